//! JSON as the source logs have it: every number keeps its text, every object its sorted keys.
//!
//! `serde_json` turns numbers into 64-bit integers and doubles as it parses, and keeping their text
//! is a feature (`arbitrary_precision`, `raw_value`) that Cargo would switch on for every service of
//! the workspace. The hash of a source row must not depend on such rounding, so rows are read here:
//! one pass, strings borrowed where they hold no escape, and limits on depth and size that hold for
//! hostile lines too. The tests compare what is accepted with `serde_json`, which does not know the
//! three words that Python, alone among writers of JSON, has for what is no number.

use std::{borrow::Cow, fmt};

use serde_json::Value;

mod number;
mod parser;
mod write;

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
    /// `NaN`, `Infinity` or `-Infinity`: no JSON, but what Python's `json` writes for such a float.
    NotFinite(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// An object's members, sorted by the UTF-16 code units of their keys. Of a key that occurs twice the last value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    fn from_members(mut members: Vec<(Cow<'a, str>, Json<'a>)>) -> Self {
        if !members.is_sorted_by(|a, b| write::by_code_unit(&a.0, &b.0).is_lt()) {
            // Reversed, a stable sort puts the last of equal keys first, which is the one that dedup keeps.
            members.reverse();
            members.sort_by(|a, b| write::by_code_unit(&a.0, &b.0));
            members.dedup_by(|a, b| a.0 == b.0);
        }
        Self(members)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        let found = self.0.binary_search_by(|(k, _)| write::by_code_unit(k, key)).ok()?;
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

    /// Reads the value that begins at byte `from` of `text`, white space before it left out. Returns it with
    /// the byte behind it.
    ///
    /// # Errors
    /// As [`Self::parse`], but for what follows the value.
    pub fn parse_one(text: &'a str, from: usize) -> Result<(Self, usize), JsonError> {
        parser::parse_one(text, from)
    }

    /// Appends the canonical form, which is hashed: RFC 8785, except for numbers that no double holds and
    /// those that are none, which stay as they were written. Says whether it is another text than
    /// [`Self::write_as_written`].
    pub fn write_canonical(&self, out: &mut Vec<u8>) -> bool {
        write::canonical(self, out)
    }

    /// Appends the form that earlier releases hashed: numbers as they were written, members by code point.
    pub fn write_as_written(&self, out: &mut Vec<u8>) {
        write::as_written(self, out);
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

    /// A number's text as every runtime writes it: 301 for 301.0.
    #[must_use]
    pub fn as_number(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Number(text) => Some(number::canonical(text).map_or(Cow::Borrowed(*text), Cow::Owned)),
            _ => None,
        }
    }

    /// An owned copy for a record. A number that neither a 64-bit integer nor a finite double can
    /// hold becomes a string of its text, so that no digit is lost. What is no number is left out of its
    /// object, and null in an array.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null | Self::NotFinite(_) => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(text) => number(text),
            Self::String(text) => Value::String(text.clone().into_owned()),
            Self::Array(items) => Value::Array(items.iter().map(Json::to_value).collect()),
            Self::Object(object) => {
                let members = object.iter().filter(|(_, value)| !matches!(value, Self::NotFinite(_)));
                Value::Object(members.map(|(k, v)| (k.to_owned(), v.to_value())).collect())
            }
        }
    }
}

/// Numbers as they were written.
impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write_as_written(&mut out);
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

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
