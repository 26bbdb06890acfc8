//! JSON as the source logs have it: every number keeps its text, every object its sorted keys.
//!
//! `serde_json` turns numbers into 64-bit integers and doubles as it parses, and keeping their text
//! is a feature (`arbitrary_precision`, `raw_value`) that Cargo would switch on for every service of
//! the workspace. The hash of a source row must not depend on such rounding, so rows are read here:
//! one pass, strings borrowed where they hold no escape, and limits on depth and size that hold for
//! hostile lines too. The tests compare what is accepted with `serde_json`.

use std::{borrow::Cow, fmt};

use serde_json::Value;

mod parser;

/// Deeper nesting is refused; `serde_json` has the same limit.
const MAX_DEPTH: usize = 128;

/// More values than this in one row are refused. A value costs up to 250 bytes as a tree while it
/// may be two bytes of text, so this is what bounds the memory that one hostile line can take.
const MAX_VALUES: usize = 250_000;

/// Values that a record may have beside those of its row: it has some fifty members.
const OF_A_RECORD: usize = 1_000;

/// One JSON value, borrowed from the line that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// An object's members, sorted by key. Of a key that occurs twice the last value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    fn from_members(mut members: Vec<(Cow<'a, str>, Json<'a>)>) -> Self {
        if !members.is_sorted_by(|a, b| a.0 < b.0) {
            // Reversed, a stable sort puts the last of equal keys first, which is the one that dedup keeps.
            members.reverse();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            members.dedup_by(|a, b| a.0 == b.0);
        }
        Self(members)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        let found = self.0.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()?;
        self.0.get(found).map(|(_, value)| value)
    }

    /// All members, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(k, v)| (k.as_ref(), v))
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is `{}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Why a line is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: {why}")]
pub struct JsonError {
    /// 0-based byte in the text.
    pub at: usize,
    /// What was expected or is wrong.
    pub why: &'static str,
}

impl<'a> Json<'a> {
    /// Reads `text`, which must hold one value and nothing else.
    ///
    /// # Errors
    /// Where the text is not JSON, nests too deep, or holds too many values.
    pub fn parse(text: &'a str) -> Result<Self, JsonError> {
        parser::parse(text)
    }

    /// Whether a record can hold what this row holds: one level deeper, beside some values of its own, it
    /// has to be read again by the same reader.
    pub(crate) fn leaves_room(&self) -> bool {
        let mut values = 0;
        self.is_within(MAX_DEPTH - 1, &mut values) && values <= MAX_VALUES - OF_A_RECORD
    }

    fn is_within(&self, levels: usize, values: &mut usize) -> bool {
        *values += 1;
        levels > 0
            && match self {
                Self::Array(items) => items.iter().all(|item| item.is_within(levels - 1, values)),
                Self::Object(object) => object.iter().all(|(_, value)| value.is_within(levels - 1, values)),
                _ => true,
            }
    }

    /// Appends the canonical form: keys sorted by code point, no white space, numbers as they were
    /// written, strings with the fewest escapes.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write_canonical(out);
                }
                out.push(b']');
            }
            Self::Object(object) => {
                out.push(b'{');
                for (i, (key, value)) in object.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_string(key, out);
                    out.push(b':');
                    value.write_canonical(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The value as a double; `None` for anything but a finite number.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(text) => text.parse().ok().filter(|x: &f64| x.is_finite()),
            _ => None,
        }
    }

    /// The value as a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value as an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// An owned copy for a record. A number that neither a 64-bit integer nor a finite double can
    /// hold becomes a string of its text, so that no digit is lost.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(text) => number(text),
            Self::String(text) => Value::String(text.clone().into_owned()),
            Self::Array(items) => Value::Array(items.iter().map(Json::to_value).collect()),
            Self::Object(object) => Value::Object(object.iter().map(|(k, v)| (k.to_owned(), v.to_value())).collect()),
        }
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write_canonical(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

fn number(text: &str) -> Value {
    if let Ok(n) = text.parse::<u64>() {
        return n.into();
    }
    if let Ok(n) = text.parse::<i64>() {
        return n.into();
    }
    let is_integer = !text.contains(['.', 'e', 'E']);
    match text.parse::<f64>() {
        Ok(x) if !is_integer && x.is_finite() => x.into(),
        _ => Value::String(text.to_owned()),
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
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

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
