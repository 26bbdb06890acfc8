//! What is no CSV, told by what it is.
//!
//! A short magic of letters (`BM`, `PK`, `ORC`) may begin a table as well: it counts only where the bytes
//! behind it are no text.

use serde::de::IgnoredAny;

use crate::Error;

/// First bytes that begin no text.
const BINARY: [(&[u8], &str); 20] = [
    (b"\xff\xfe\0\0", "UTF-32 text; convert it to UTF-8"),
    (b"\xff\xfe", "UTF-16 text; convert it to UTF-8"),
    (b"\xfe\xff", "UTF-16 text; convert it to UTF-8"),
    (b"\x1f\x8b", "gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd; unpack it first"),
    (b"\x04\x22\x4d\x18", "LZ4; unpack it first"),
    (b"\xfd7zXZ\0", "xz; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it first"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet; send it as CSV"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document; send it as CSV"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"Obj\x01", "Avro"),
    (b"ARROW1\0\0", "Arrow"),
    (b"\xff\xff\xff\xff", "an Arrow stream, or other binary data"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x93NUMPY", "a NumPy array"),
];

/// First letters that count only where binary data follows.
const LETTERS: [(&[u8], &str); 10] = [
    (b"PAR1", "Parquet, which this call does not take"),
    (b"ORC", "ORC"),
    (b"BZh", "bzip2; unpack it first"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"RIFF", "a WebP image or another RIFF file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"FEA1", "Feather"),
    (b"PGDMP", "a PostgreSQL dump"),
];

/// First letters that no table begins with.
const TEXT: [(&[u8], &str); 6] = [
    (b"%PDF-", "PDF"),
    (b"%!PS-", "PostScript"),
    (b"{\\rtf", "a rich text document"),
    (b"<?xml", "XML"),
    (b"<!doctype html", "HTML"),
    (b"<html", "HTML"),
];

/// Bytes at the beginning that tell whether a file is text.
const LOOKED_AT: usize = 4 << 10;

/// Refuses a file that `sample`, its first bytes, shows to be no CSV.
pub(crate) fn refuse(sample: &[u8], whole: bool) -> Result<(), Error> {
    match what(sample, whole) {
        Some(what) => Err(Error::Invalid(format!("the file is not CSV: it looks like {what}"))),
        None => Ok(()),
    }
}

fn what(sample: &[u8], whole: bool) -> Option<&'static str> {
    let begins = |table: &[(&[u8], &'static str)]| {
        table.iter().find(|(magic, _)| sample.starts_with(magic)).map(|(_, what)| *what)
    };
    if let Some(what) = begins(&BINARY) {
        return Some(what);
    }
    if sample.get(8..12) == Some(b"DUCK") && is_binary(sample) {
        return Some("a DuckDB database");
    }
    if sample.get(257..262) == Some(b"ustar") && is_binary(sample) {
        return Some("a tar archive; unpack it first");
    }
    if is_binary(sample)
        && let Some(what) = begins(&LETTERS)
    {
        return Some(what);
    }
    wide_text(sample).or_else(|| markup(sample, whole))
}

/// Are there bytes that no text has? Invalid UTF-8 alone may be an old encoding.
fn is_binary(sample: &[u8]) -> bool {
    let head = sample.get(..LOOKED_AT).unwrap_or(sample);
    head.iter().any(|byte| matches!(byte, 0..=8 | 14..=25 | 28..=31))
}

/// UTF-16 without a byte order mark: of each pair one and the same byte is NUL time and again, the
/// other never. Delimiters, digits and line ends are such pairs in every language.
fn wide_text(sample: &[u8]) -> Option<&'static str> {
    let (pairs, _) = sample.get(..LOOKED_AT).unwrap_or(sample).as_chunks::<2>();
    let first = pairs.iter().filter(|[first, _]| *first == 0).count();
    let second = pairs.iter().filter(|[_, second]| *second == 0).count();
    // A tenth: less would be a table with a few NULs in its texts.
    let least = (pairs.len() / 10).max(2);
    match (first, second) {
        (0, second) if second >= least => {
            Some("UTF-16 text (little endian, without a byte order mark); convert it to UTF-8")
        }
        (first, 0) if first >= least => {
            Some("UTF-16 text (big endian, without a byte order mark); convert it to UTF-8")
        }
        _ => None,
    }
}

fn markup(sample: &[u8], whole: bool) -> Option<&'static str> {
    let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample).trim_ascii_start();
    let begins = |magic: &[u8]| text.get(..magic.len()).is_some_and(|start| start.eq_ignore_ascii_case(magic));
    if let Some((_, what)) = TEXT.iter().find(|(magic, _)| begins(magic)) {
        return Some(what);
    }
    match text.first() {
        Some(b'{' | b'[') => json(text, whole),
        Some(b'<') => is_element(text).then_some("XML"),
        _ => None,
    }
}

/// `<root ...>` that is closed by `</root>` at the end.
fn is_element(text: &[u8]) -> bool {
    let name =
        |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"_:-.".contains(byte)).count();
    let Some(rest) = text.get(1..) else { return false };
    let Some(root) = rest.get(..name(rest)).filter(|root| !root.is_empty()) else { return false };
    let end = text.trim_ascii_end();
    end.strip_suffix(b">").and_then(|end| end.strip_suffix(root)).is_some_and(|end| end.ends_with(b"</"))
}

/// One value, or one on each line, and nothing between them but white space.
fn json(text: &[u8], whole: bool) -> Option<&'static str> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    let mut count = 0;
    loop {
        let rest = text.get(values.byte_offset()..).unwrap_or_default().trim_ascii_start();
        if count > 0 && !matches!(rest.first(), None | Some(b'{' | b'[')) {
            return None;
        }
        match values.next() {
            Some(Ok(IgnoredAny)) => count += 1,
            // The sample ends inside of a value, and up to there it is one.
            Some(Err(error)) if error.is_eof() && !whole => break,
            Some(Err(_)) => return None,
            None => break,
        }
    }
    Some(if count > 1 { "NDJSON, which this call does not take" } else { "JSON, which this call does not take" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_csv_is_named() {
        let wide = |order: fn(u16) -> [u8; 2]| "a,b\n1,x\n".encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for (bytes, word) in [
            (wide(u16::to_le_bytes).as_slice(), "little endian"),
            (wide(u16::to_be_bytes).as_slice(), "big endian"),
            (b"%PDF-1.4\n1 0 obj\n", "PDF"),
            (b"ORC\x08\x03\x08\x03", "ORC"),
            (b"\x04\x22\x4d\x18abc", "LZ4"),
            (b"PAR1\x15\x04\x15", "Parquet"),
            (b"BM\x36\0\0\0", "BMP"),
            (b"Obj\x01\x04", "Avro"),
            (b"<?xml version='1.0'?>\n<a/>\n", "XML"),
            (b"\xef\xbb\xbf <!DOCTYPE html><p>", "HTML"),
            (b"<rows><row/></rows>\n", "XML"),
            (b"[{\"a\": 1}, {\"a\": 2}]\n", " JSON"),
            (b"{\"a\": 1}\n{\"a\": 2}\n", "NDJSON"),
            (b"\0\0\0\0\0\0\0\0DUCK\x40", "DuckDB"),
        ] {
            let error = refuse(bytes, true).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
        assert_eq!(what(b"[{\"a\": 1}, {\"a", false), Some("JSON, which this call does not take"));
    }

    #[test]
    fn tables_that_begin_alike_are_tables() {
        for text in [
            "BM,PK\n1,2\n",
            "PK;GIF\n1;2\n",
            "ORC,a\n1,2\n",
            "PAR1,x\n1,2\n",
            "ID3,BZh\n1,2\n",
            "[id],[name]\n1,x\n",
            "<id>,<name>\n1,x\n",
            "text\n{\"a\": 1}\n<b>\n",
            "{\"a\":1}\tx\n{\"a\":2}\ty\n",
            "a,b\n1,x\0y\n2,z\n",
        ] {
            assert_eq!(what(text.as_bytes(), true), None, "{text:?}");
        }
    }
}
