use proptest::prelude::*;

use super::*;

fn named(bytes: &[u8], whole: bool) -> String {
    what(bytes, whole).unwrap_or_default().into_owned()
}

fn utf16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

fn utf32(text: &str, order: fn(u32) -> [u8; 4]) -> Vec<u8> {
    text.chars().flat_map(|letter| order(letter.into())).collect()
}

/// A file of zeros with these bytes at their places.
fn zeros(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    for (at, part) in parts {
        bytes[*at..*at + part.len()].copy_from_slice(part);
    }
    bytes
}

#[test]
fn binary_data_is_named() {
    for (bytes, name) in [
        (b"ORC\x08\x03\x08\x03".as_slice(), "ORC"),
        (b"\x04\x22\x4d\x18abc", "LZ4; unpack it first"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip; unpack it first"),
        (b"\x28\xb5\x2f\xfd\x04\x58", "Zstandard; unpack it first"),
        (b"\xfd7zXZ\0\0\x04", "XZ; unpack it first"),
        (b"BZh91AY&SY\x8c\xbb", "bzip2; unpack it first"),
        (b"\x5d\0\0\x80\0\xff", "LZMA; unpack it first"),
        (b"\x78\x9c\x4b\x04\0", "zlib; unpack it first"),
        (b"\xff\x06\0\0sNaPpY", "Snappy; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "7-Zip (an archive); unpack it first"),
        (b"Rar!\x1a\x07\x01\0", "RAR (an archive); unpack it first"),
        (b"PK\x03\x04\x14\0", "a ZIP archive or a spreadsheet; unpack it, or send its table as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "an old Office document; send its table as CSV"),
        (b"PAR1\x15\x04\x15", "Parquet, which this call does not take"),
        (b"Obj\x01\x04", "Avro"),
        (b"ARROW1\0\0", "Arrow"),
        (b"\xff\xff\xff\xff\x10\x01\0\0", "an Arrow stream, or other binary data"),
        (b"FEA1\0\0", "Feather"),
        (b"SQLite format 3\0", "SQLite 3 (a database); export a table of it as CSV"),
        (b"\0\0\0\0\0\0\0\0DUCK\x40", "a DuckDB database; export a table of it as CSV"),
        (b"PGDMP\x01\x0e\0", "a PostgreSQL dump; restore it and export a table as CSV"),
        (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"\x80\x04\x95\x10\0", "a Python pickle"),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0", "BMP (an image)"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0d", "PNG (an image)"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG (an image)"),
        (b"GIF89a\x01\0\x01\0", "GIF (an image)"),
        (b"II*\0\x08\0\0\0", "TIFF (an image)"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP (an image)"),
        (b"ID3\x04\0\0", "ID3v2"),
        (b"\x7fELF\x02\x01\x01\0", "ELF (a program)"),
        (b"\r\n\0junk %PDF-1.4\n", "PDF"),
    ] {
        assert_eq!(named(bytes, true), name, "{:?}", bytes.escape_ascii().to_string());
    }
    let tar = zeros(&[(0, b"a.csv"), (100, b"0000644"), (257, b"ustar\x0000")]);
    assert_eq!(named(&tar, true), "TAR (an archive); unpack it first");
    let sas = zeros(&[(12, b"\xc2\xea\x81\x60")]);
    assert_eq!(named(&sas, true), "a SAS file");
}

#[test]
fn wide_text_is_told_from_its_order() {
    for text in
        ["id,name\n1,ann\n", "id,имя\n1,Анна Ивановна\n", "番号,名前\n1,一二三\n", "번호;이름\n1;김\n", "αβ\tγ\n1\tδ\n"]
    {
        for (bytes, word) in [
            (utf16(text, u16::to_le_bytes), "UTF-16 text (little endian, without"),
            (utf16(text, u16::to_be_bytes), "UTF-16 text (big endian, without"),
            (utf16(&format!("\u{feff}{text}"), u16::to_le_bytes), "UTF-16 text; convert"),
            (utf16(&format!("\u{feff}{text}"), u16::to_be_bytes), "UTF-16 text; convert"),
            (utf32(text, u32::to_le_bytes), "UTF-32 text (without"),
            (utf32(text, u32::to_be_bytes), "UTF-32 text (without"),
            (utf32(&format!("\u{feff}{text}"), u32::to_le_bytes), "UTF-32 text; convert"),
        ] {
            assert!(named(&bytes, true).starts_with(word), "{text:?}: {word}: {}", named(&bytes, true));
            // Of a long file a sample is looked at, which may end inside of a character.
            let long = bytes.repeat(1000);
            assert!(named(&long, false).starts_with(word), "{text:?}: {word}: {}", named(&long, false));
        }
    }
    let cut = utf16("id,name\n1,😀", u16::to_le_bytes);
    assert!(named(&cut[..cut.len() - 2], false).contains("little endian"));
}

#[test]
fn text_that_is_no_table_is_named() {
    for (text, name) in [
        ("%PDF-1.4\n1 0 obj\n", "PDF"),
        ("\u{feff}\n%PDF-1.4\n", "PDF"),
        ("%!PS-Adobe-3.0\n", "PostScript"),
        ("{\\rtf1\\ansi x}", "a rich text document"),
        ("-----BEGIN CERTIFICATE-----\r\nMIIB\r\n", "a PEM or PGP block"),
        ("-- MySQL dump 10.13  Distrib 8.0, for Linux\n", SQL),
        ("--\n-- PostgreSQL database dump\n--\n", SQL),
        ("<?xml version='1.0'?>\n<a/>\n", "XML; send its rows as CSV"),
        ("<?xml version='1.0'?>\n<!-- a > b --><svg/>\n", "SVG (an image)"),
        ("<!-- x -->\n<rows><row/></rows>\n", "XML; send its rows as CSV"),
        ("<rows><row/><rows>1</rows>\n</rows>\n", "XML; send its rows as CSV"),
        ("<a:b c=\"1\">words</a:b> ", "XML; send its rows as CSV"),
        ("\u{feff} <!DOCTYPE html><p>", "HTML; send its table as CSV"),
        ("<!-- x --><HTML>", "HTML; send its table as CSV"),
        ("<html lang=en><body><p>x<br>", "HTML; send its table as CSV"),
        ("<head><title>x</title></head>\n<body>", "HTML; send its table as CSV"),
        ("<table>\n<tr><td>1</table>\n", "HTML; send its table as CSV"),
        ("<svg width=\"1\"></svg>", "SVG (an image)"),
        ("[{\"a\": 1}, {\"a\": 2}]\n", "JSON, which this call does not take"),
        ("{\n  \"a\": NaN,\n  \"b\": [-Infinity, Infinity]\n}\n", "JSON, which this call does not take"),
        ("[\n  1,\n  2\n]\n", "JSON, which this call does not take"),
        ("{\"a\": 1,\r\n \"b\": {}}", "JSON, which this call does not take"),
        ("[{\"a\": 1},\n {\"a\": 2}]", "JSON, which this call does not take"),
        ("[[\n1, 2\n]]", "JSON, which this call does not take"),
        ("[1, 2]", "JSON, which this call does not take"),
        ("{\"a\": 1}\n{\"a\": NaN}\n", "NDJSON, which this call does not take"),
        ("{\"a\": 1}\r\n\r\n{\"a\": 2}\r\n{bad\r\n", "NDJSON, which this call does not take"),
        ("[\"a\", 1]\n[\"b\", 2]\n", "NDJSON, which this call does not take"),
    ] {
        assert_eq!(named(text.as_bytes(), true), name, "{text:?}");
    }
}

#[test]
fn the_head_of_a_long_file_is_enough() {
    for (text, name) in [
        ("[{\"a\": 1}, {\"a", "JSON, which this call does not take"),
        ("[{\"a\": 1}, {\"a\": -Infi", "JSON, which this call does not take"),
        ("[1.5, -3.", "JSON, which this call does not take"),
        ("{\"a\": 1}\n{\"a\": tr", "JSON, which this call does not take"),
        ("<rows a=\"1\">\n <row>1</row>\n <ro", "XML; send its rows as CSV"),
        ("<?xml version='1.0'?>\n<a", "XML; send its rows as CSV"),
        ("<!-- a long", "XML; send its rows as CSV"),
        ("<html>\n<head><title>x</title>", "HTML; send its table as CSV"),
    ] {
        assert_eq!(named(text.as_bytes(), false), name, "{text:?}");
    }
}

#[test]
fn tables_that_begin_alike_are_tables() {
    for text in [
        "[id],[name]\n1,x\n",
        "[1,2]\n[3,4]\n",
        "[1,\n2,3]\n",
        "[1,\"a\"\n,\n",
        "[1,2]\r\n[][,\"\"\r\n",
        "[1,{\"a\":1},\n\"0\",{\"a\":1},2]\n",
        "[0,[\n\"[1\",\n",
        "[1,\"a\",\n\"b\",2]\n",
        "[1],[2]\n[3],[4]\n",
        "<id>,<name>\n1,x\n",
        "<id>,<name>\n1,<b>x</b>\n",
        "<table>,<html>\n1,<body>x</body>\n",
        "<id>\t<name>\n1\t<b>x</b>\n",
        "<id> <name>\n<1> <x>\n",
        "<b>x</b>,<b>y</b>\n<b>1</b>,<b>2</b>\n",
        "<table><tr></table>,1\n<table></table>,2\n",
        "<br/>,1\n<br/>,2\n",
        "<5,3\n>7,2\n",
        "<a>0;1\n<b>;\n;</b>\n",
        "<a><|<b>\n</b>|x\n",
        "<c><,x\n1,</b>\n",
        "<c/,</b>\n1,2\n",
        "<a b>\n1 </a>\n",
        "\t<b>\n1\t</b>\n",
        "\t{\"a\":1}\n\t{\"a\":2}\n",
        "text\n{\"a\": 1}\n<b>\n",
        "json\n{\"a\": 1}\n{\"a\": 2}\n",
        "\"{\"\"a\"\":1}\",x\n\"{}\",y\n",
        "{\"a\":1}\tx\n{\"a\":2}\ty\n",
        "{\"a\":1}\t{\"b\":1}\n{\"a\":2}\t{\"b\":2}\n",
        "{\"a\":1} {\"b\":1}\n{\"a\":2} {\"b\":2}\n",
        "{a},{b}\n1,2\n",
        "\"<?xml?>\",1\n",
        "a,b\n1,x\0y\n2,z\n",
        "1,\0\n2,\0\n3,\0\n",
        "a,b\n\0,\0\n\0,\0\n",
        "---\na,b\n",
        "--,-- MySQL dump\n1,2\n",
        "-----,BEGIN\n1,2\n",
        "-----BEGIN x,y\n1,2\n",
        "#!/bin/sh,x\n1,2\n",
        "% PDF,%\n1,2\n",
        "name,document\n1,%PDF-1.4\n",
    ] {
        assert_eq!(named(text.as_bytes(), true), "", "{text:?}");
        assert_eq!(named(text.repeat(9000).as_bytes(), false), "", "{text:?}, and more of it");
    }
}

/// The short words that formats begin with, here and in `file-format`.
#[test]
fn a_magic_word_is_a_name_as_well() {
    for word in "BM MZ ZM PK PK00 BZh BZ0 BZ3v1 ID3 GIF GIF89a RIFF OTTO II MM ORC PAR1 Obj ARROW1 FEA1 CDF GRIB PGDMP RDX RDA \
                 $FL2 8BPS !<arch> MThd CWS FWS ZOO AMV true free mdat moov skip wide DDS AC10 0707 070701 icns .snd P1 P6 Pf \
                 solid LZIP LRZI MAC MPCK FLIF fLaC OggS wOFF DICM BC VTXF FORM glTF Cr24 MSCF BLENDER #EXTM3U #!AMR %! \
                 DRACO SBx qoif IMPM SCRM book ply xar! MOVI SQLite NES MAR1 BEGIN:VCARD WEBVTT 1 G x ftypM4A DUCK"
        .split_whitespace()
    {
        for delimiter in [',', ';', '\t', '|', ' ', ':', '\n'] {
            let text = format!("{word}{delimiter}b\n1{delimiter}2\n");
            assert_eq!(named(text.as_bytes(), true), "", "{text:?}");
            let text = format!("{word}{delimiter}é\n1{delimiter}2\x0c\x1b\x1a\n").repeat(300);
            assert_eq!(named(text.as_bytes(), false), "", "{text:?}");
            let latin1: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
            assert_eq!(named(&latin1, false), "", "{text:?} in Latin-1");
        }
    }
}

fn table() -> impl Strategy<Value = String> {
    let plain = prop_oneof![
        "[a-zA-Z]{0,6}",
        "-?[0-9]{1,4}(\\.[0-9]{1,2})?",
        "[\\[\\]{}<>()/!?%a-z0-9 ]{0,5}",
        Just("NaN".to_owned()),
        Just("<b>".to_owned()),
        Just("</b>".to_owned()),
        Just("[1".to_owned()),
        Just("2]".to_owned()),
        Just("{\"a\":1}".to_owned()),
        Just("null".to_owned()),
        Just("é一\u{416}".to_owned()),
    ];
    let cell = (plain, 0..4_u8).prop_map(|(cell, quote)| match quote {
        0 => format!("\"{}\"", cell.replace('"', "\"\"")),
        _ => cell,
    });
    let delimiter = prop::sample::select(vec![',', ';', '\t', '|', ' ', ':', '~', '^']);
    let end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    (2..5_usize, 2..6_usize, delimiter, end).prop_flat_map(move |(columns, rows, delimiter, end)| {
        let row = prop::collection::vec(cell.clone(), columns);
        prop::collection::vec(row, rows).prop_map(move |rows| {
            let line = |row: &Vec<String>| row.join(&delimiter.to_string()) + end;
            rows.iter().map(line).collect()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_tables_are_tables(table in table(), header in "[a-z]{1,3}") {
        prop_assert_eq!(named(table.as_bytes(), true), "");
        prop_assert_eq!(named(table.repeat(9).as_bytes(), false), "");
        let with_header = format!("{header},b\n{table}");
        prop_assert_eq!(named(with_header.as_bytes(), true), "");
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..600), whole: bool) {
        let _ = what(&bytes, whole);
    }
}
