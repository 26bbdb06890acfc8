//! JSON in the form that is hashed, and in the form that earlier releases hashed.

use std::cmp::Ordering;

use super::{Json, Object, number};

/// Appends the canonical form: RFC 8785, except that a number which no double holds stays as it was
/// written, as do `NaN`, `Infinity` and `-Infinity`. Says whether [`as_written`] is another text.
pub(super) fn canonical(value: &Json<'_>, out: &mut Vec<u8>) -> bool {
    let mut writer = Writer { out, is_canonical: true, differs: false };
    writer.value(value);
    writer.differs
}

/// Appends what earlier releases hashed: numbers as they were written, members by code point.
pub(super) fn as_written(value: &Json<'_>, out: &mut Vec<u8>) {
    Writer { out, is_canonical: false, differs: false }.value(value);
}

/// The order of RFC 8785: by UTF-16 code units, in which U+E000 to U+FFFF come behind all that takes a
/// surrogate pair. In UTF-8 just these begin with `EE` or `EF`, and pairs are what begins with `F0` or more.
pub(super) fn by_code_unit(a: &str, b: &str) -> Ordering {
    const fn rank(byte: u8) -> u8 {
        if matches!(byte, 0xee | 0xef) { byte + 0x10 } else { byte }
    }
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        Some((a, b)) => rank(a).cmp(&rank(b)),
        None => a.len().cmp(&b.len()),
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    is_canonical: bool,
    differs: bool,
}

impl Writer<'_> {
    fn value(&mut self, value: &Json<'_>) {
        match value {
            Json::Null => self.out.extend_from_slice(b"null"),
            Json::Bool(true) => self.out.extend_from_slice(b"true"),
            Json::Bool(false) => self.out.extend_from_slice(b"false"),
            Json::Number(text) if self.is_canonical => self.differs |= number::write(text, self.out),
            Json::Number(text) | Json::NotFinite(text) => self.out.extend_from_slice(text.as_bytes()),
            Json::String(text) => string(text, self.out),
            Json::Array(items) => {
                self.out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        self.out.push(b',');
                    }
                    self.value(item);
                }
                self.out.push(b']');
            }
            Json::Object(object) => self.object(object),
        }
    }

    fn object(&mut self, object: &Object<'_>) {
        self.out.push(b'{');
        let is_by_code_point = object.0.is_sorted_by(|a, b| a.0 < b.0);
        if self.is_canonical || is_by_code_point {
            self.differs |= !is_by_code_point;
            self.members(object.iter());
        } else {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            self.members(members.into_iter());
        }
        self.out.push(b'}');
    }

    fn members<'j, 'a: 'j>(&mut self, members: impl Iterator<Item = (&'j str, &'j Json<'a>)>) {
        for (i, (key, value)) in members.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            string(key, self.out);
            self.out.push(b':');
            self.value(value);
        }
    }
}

/// Appends `text` in quotes, with the escapes of `JSON.stringify`.
fn string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            0x00..=0x1f => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + 1;
        if short == 0 {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}
