use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::{ErrorKind, ServiceError};

/// The name of an object: 1..=1024 bytes of UTF-8 in `/`-separated segments, none of them empty,
/// `.` or `..`, and no control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectKey(String);

/// Why a key was refused. The text is meant for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid key: {0}")]
pub struct InvalidKey(&'static str);

impl ServiceError for InvalidKey {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl ObjectKey {
    /// The longest key, in bytes; S3 has the same limit.
    pub const MAX_BYTES: usize = 1024;

    /// Checks `key` against the rules above.
    ///
    /// # Errors
    /// [`InvalidKey`] says which rule is broken.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidKey> {
        let key = key.into();
        if key.is_empty() {
            return Err(InvalidKey("it is empty"));
        }
        if key.len() > Self::MAX_BYTES {
            return Err(InvalidKey("it is longer than 1024 bytes"));
        }
        if key.chars().any(char::is_control) {
            return Err(InvalidKey("it contains a control character"));
        }
        for segment in key.split('/') {
            match segment {
                "" => return Err(InvalidKey("it has an empty segment")),
                "." | ".." => return Err(InvalidKey("it has a `.` or `..` segment")),
                _ => {}
            }
        }
        Ok(Self(key))
    }

    /// The key, unescaped.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as it stands in a URL path: each segment escaped, the slashes plain.
    #[must_use]
    pub fn to_url_path(&self) -> String {
        let segments: Vec<String> = self.0.split('/').map(escape_segment).collect();
        segments.join("/")
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ObjectKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ObjectKey {
    type Error = InvalidKey;
    fn try_from(key: String) -> Result<Self, InvalidKey> {
        Self::new(key)
    }
}

impl From<ObjectKey> for String {
    fn from(key: ObjectKey) -> Self {
        key.0
    }
}

/// RFC 3986's unreserved characters; everything else in a segment is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes `segment` so that it holds no `/` and nothing that a shell, URL or file
/// system reads in a special way. `unescape_segment` turns it back.
#[must_use]
pub fn escape_segment(segment: &str) -> String {
    utf8_percent_encode(segment, ESCAPED).to_string()
}

/// The inverse of [`escape_segment`]; `None` where the escapes are not UTF-8.
#[must_use]
pub fn unescape_segment(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_rule_is_checked() {
        for ok in ["a", "a/b", "..a/b..", "日本語/é", &"k".repeat(1024)] {
            assert!(ObjectKey::new(ok).is_ok(), "{ok:?}");
        }
        for bad in ["", "/", "a/", "/a", "a//b", ".", "a/..", "../a", "a/./b", "a\0b", "a\n", &"k".repeat(1025)] {
            assert!(ObjectKey::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn url_path_keeps_slashes_and_escapes_the_rest() {
        let key = ObjectKey::new("datasets/O'Brien's data/1%.parquet").map(|k| k.to_url_path());
        assert_eq!(key.as_deref(), Ok("datasets/O%27Brien%27s%20data/1%25.parquet"));
    }

    proptest! {
        #[test]
        fn escaping_is_reversible_and_clean(s in "\\PC{0,40}") {
            let escaped = escape_segment(&s);
            prop_assert!(escaped.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
            prop_assert_eq!(unescape_segment(&escaped), Some(s));
        }
    }
}
