//! What is no CSV, told by what it is.
//!
//! The first line decides, and what may be a table is one: `BM`, `true` and `P1` begin binary formats and
//! tables alike, so a magic number counts only in binary data, and a brace or an angle bracket only where
//! the text goes on as JSON or markup does.

mod binary;
mod json;
mod markup;
mod wide;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::Error;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Text that no table begins with.
const TEXT: [(&[u8], &str); 8] = [
    (b"%!PS", "PostScript"),
    (b"{\\rtf", "a rich text document"),
    // The first card of a FITS file, which is text for 2,880 bytes.
    (b"SIMPLE  =                    T", "FITS"),
    (b"-- MySQL dump", SQL),
    (b"-- MariaDB dump", SQL),
    (b"/*!999999\\- enable the sandbox mode */", SQL),
    (b"--\n-- PostgreSQL database dump", SQL),
    (b"--\r\n-- PostgreSQL database dump", SQL),
];

const SQL: &str = "an SQL dump; load it into its database and export a table as CSV";

/// Refuses a file that `sample`, its first bytes, shows to be no CSV.
pub(crate) fn refuse(sample: &[u8], whole: bool) -> Result<(), Error> {
    match what(sample, whole) {
        Some(what) => Err(Error::Invalid(format!("the file is not CSV: it looks like {what}"))),
        None => Ok(()),
    }
}

fn what(sample: &[u8], whole: bool) -> Option<Cow<'static, str>> {
    // Wide text is full of NULs: it comes before the formats that are binary data.
    if let Some(what) = wide::what(sample) {
        return Some(what.into());
    }
    if let Some(what) = binary::what(sample) {
        return Some(what);
    }
    let sample = sample.strip_prefix(BOM).unwrap_or(sample);
    let text = sample.trim_ascii_start();
    // A tab or a space may be the delimiter behind an empty cell.
    let indented = matches!(sample[..sample.len() - text.len()].last(), Some(b'\t' | b' '));
    if let Some((_, what)) = TEXT.iter().find(|(magic, _)| text.starts_with(magic)) {
        return Some((*what).into());
    }
    let what = match text.first()? {
        b'{' | b'[' if !indented => json::what(text, whole),
        b'<' => markup::what(text, whole, indented),
        b'%' => text.starts_with(b"%PDF-").then_some("PDF"),
        b'-' => is_armour(text).then_some("a PEM or PGP block"),
        _ => None,
    };
    what.map(Cow::Borrowed)
}

/// A first line `-----BEGIN CERTIFICATE-----`, or of a key or a message.
fn is_armour(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or(text).trim_ascii_end();
    line.strip_prefix(b"-----BEGIN ").is_some_and(|label| label.ends_with(b"-----"))
}
