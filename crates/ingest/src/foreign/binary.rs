use std::borrow::Cow;

use file_format::{FileFormat, Kind};

/// Formats that `file-format` doesn't know, or has another name for.
const MAGICS: [(&[u8], &str); 27] = [
    (b"ORC", "ORC"),
    (b"FEA1", "Feather"),
    (b"\xff\xff\xff\xff", "an Arrow stream, or other binary data"),
    (b"VTXF", "Vortex"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x0e\x03\x13\x01", "HDF4"),
    (b"CDF\x01", "NetCDF"),
    (b"CDF\x02", "NetCDF"),
    (b"CDF\x05", "NetCDF"),
    (b"GRIB", "GRIB"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"RDX", "R data"),
    (b"RDA", "R data"),
    (b"MATLAB ", "a MATLAB file"),
    (b"$FL2", "an SPSS file"),
    (b"$FL3", "an SPSS file"),
    (b"<stata_dta>", "a Stata file"),
    (b"\0\0\0\0\0\0\0\0\0\0\0\0\xc2\xea\x81\x60", "a SAS file"),
    (b"PGDMP", "a PostgreSQL dump; restore it and export a table as CSV"),
    // Streams of zlib; the first is an "Apple Disk Image" to `file-format`.
    (b"\x78\x01", ZLIB),
    (b"\x78\x9c", ZLIB),
    (b"\x78\xda", ZLIB),
    (b"\x89LZO\0\r\n\x1a\n", "lzop; unpack it first"),
];

const PICKLE: &str = "a Python pickle";
const ZLIB: &str = "zlib; unpack it first";

/// Control characters count within these bytes: every binary header has some there, a tar archive behind
/// its first file's name. A table with a NUL further down is a table.
const LOOKED_AT: usize = 512;

/// A PDF may begin within these bytes, say its readers.
const BEFORE_PDF: usize = 1 << 10;

pub(super) fn what(sample: &[u8]) -> Option<Cow<'static, str>> {
    // With its first block. What is packed is random, and a short file may happen to have no control
    // characters.
    if sample.starts_with(b"BZh") && sample.get(4..10) == Some(b"1AY&SY") {
        return Some(describe(FileFormat::Bzip2));
    }
    if !is_binary(sample) {
        return None;
    }
    if let Some((_, what)) = MAGICS.iter().find(|(magic, _)| sample.starts_with(magic)) {
        return Some((*what).into());
    }
    if sample.get(8..12) == Some(b"DUCK") {
        return Some("a DuckDB database; export a table of it as CSV".into());
    }
    let head = sample.get(..BEFORE_PDF).unwrap_or(sample);
    if let Some(at) = memchr::memmem::find(head, b"%PDF-")
        && is_binary(head.get(..at).unwrap_or_default())
    {
        return Some("PDF".into());
    }
    match FileFormat::from_bytes(sample) {
        // No answers, two that are one letter at two places (a `G`), and two of which the text rules know
        // more than their first bytes tell.
        FileFormat::ArbitraryBinaryData
        | FileFormat::Empty
        | FileFormat::BdavMpeg2TransportStream
        | FileFormat::Mpeg2TransportStream
        | FileFormat::ExtensibleMarkupLanguage
        | FileFormat::HypertextMarkupLanguage => None,
        format => Some(describe(format)),
    }
}

/// Are there bytes that no text has? Invalid UTF-8 alone may be an old encoding; a form feed, an escape and
/// the end of a DOS file (26) are text.
fn is_binary(sample: &[u8]) -> bool {
    let head = sample.get(..LOOKED_AT).unwrap_or(sample);
    head.iter().any(|byte| matches!(byte, 0..=8 | 14..=25 | 28..=31))
}

fn describe(format: FileFormat) -> Cow<'static, str> {
    let name = match format {
        FileFormat::Zip => return "a ZIP archive or a spreadsheet; unpack it, or send its table as CSV".into(),
        FileFormat::CompoundFileBinary => return "an old Office document; send its table as CSV".into(),
        FileFormat::ApacheParquet => return "Parquet, which this call does not take".into(),
        FileFormat::ExtensibleBinaryMetaLanguage => return "a Matroska or WebM video".into(),
        // The short names of these are the endings of file names: `GZ`, `MDB`.
        _ if format.kind() == Kind::Database || !format.name().contains(' ') => format.name(),
        _ => format.short_name().unwrap_or(format.name()),
    };
    let (kind, advice) = match format.kind() {
        Kind::Compressed => ("", "; unpack it first"),
        Kind::Archive | Kind::Package => (" (an archive)", "; unpack it first"),
        Kind::Database => (" (a database)", "; export a table of it as CSV"),
        Kind::Spreadsheet => (" (a spreadsheet)", "; send its table as CSV"),
        Kind::Document => (" (a document)", ""),
        Kind::Image => (" (an image)", ""),
        Kind::Audio => (" (audio)", ""),
        Kind::Video => (" (a video)", ""),
        Kind::Font => (" (a font)", ""),
        Kind::Executable => (" (a program)", ""),
        _ => ("", ""),
    };
    format!("{name}{kind}{advice}").into()
}
