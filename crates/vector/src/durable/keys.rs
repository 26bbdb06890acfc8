//! Where an index lies in the store.

use lakehouse_types::{InvalidKey, Name, ObjectKey, escape_segment, unescape_segment};

use crate::{Error, Result};

pub(super) const PREFIX: &str = "_vectors/";
const SUFFIX: &str = ".lhv1";

fn key(text: String) -> Result<ObjectKey> {
    ObjectKey::new(text).map_err(|error: InvalidKey| Error::invalid(error.to_string()))
}

/// The index's file.
pub(super) fn file(name: &str) -> Result<ObjectKey> {
    key(format!("{PREFIX}{}{SUFFIX}", escape_segment(name)))
}

/// What all of the index's log entries begin with.
pub(super) fn logs(name: &str) -> String {
    format!("{PREFIX}{}/log/", escape_segment(name))
}

/// One log entry. Twenty digits hold every u64, so that keys sort like numbers.
pub(super) fn entry(name: &str, incarnation: u64, sequence: u64) -> Result<ObjectKey> {
    key(format!("{}{incarnation:016x}/{sequence:020}", logs(name)))
}

/// Where the first system kept the index's file: under its name as it is. `None` where no key can
/// say it, or where that is the same as [`file()`].
pub(super) fn literal(name: &str) -> Option<ObjectKey> {
    (escape_segment(name) != name).then(|| ObjectKey::new(format!("{PREFIX}{name}{SUFFIX}")).ok()).flatten()
}

/// What a key under [`PREFIX`] is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The file of this index.
    File(String),
    /// A file of the first system, of the index that is named literally; the name may be one that
    /// this project refuses.
    Literal(String),
    /// The file of this index, or one of the first system whose index is named like the key.
    Either { escaped: String, literal: String },
    /// Something that belongs to this index's log; `skip` sorts after all of it.
    Log { name: String, skip: String },
    /// Not ours.
    Other,
}

pub(super) fn classify(key: &str) -> Known {
    let Some(rest) = key.strip_prefix(PREFIX) else { return Known::Other };
    if let Some((escaped, rest)) = rest.split_once('/')
        && rest.starts_with("log/")
        && let Some(name) = name_of(escaped)
    {
        // '0' is the character after '/'.
        return Known::Log { name, skip: format!("{PREFIX}{escaped}/log0") };
    }
    let Some(segment) = rest.strip_suffix(SUFFIX) else { return Known::Other };
    let literal = segment.to_owned();
    match name_of(segment) {
        Some(name) if name == segment => Known::File(name),
        Some(escaped) if Name::new(segment).is_ok() => Known::Either { escaped, literal },
        Some(name) => Known::File(name),
        // No path of a call can carry these, so nobody could ask for such an index or remove it.
        None if matches!(segment, "" | "." | "..") => Known::Other,
        None => Known::Literal(literal),
    }
}

/// The name whose escaped form this is.
fn name_of(escaped: &str) -> Option<String> {
    let name = unescape_segment(escaped).and_then(|name| Name::new(name).ok())?;
    (escape_segment(name.as_str()) == escaped).then(|| name.into())
}

/// The incarnation and sequence number of a log entry's key.
pub(super) fn parse_entry(name: &str, key: &str) -> Option<(u64, u64)> {
    let (incarnation, sequence) = key.strip_prefix(&logs(name))?.split_once('/')?;
    Some((u64::from_str_radix(incarnation, 16).ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_whatever_the_name() {
        for name in ["a", "a.lhv1", "Zürich & co", "log", "..a", "a%2Fb"] {
            let file = file(name).expect("a key");
            let escaped = escape_segment(name);
            let expected = if escaped == name {
                Known::File(name.to_owned())
            } else {
                Known::Either { escaped: name.to_owned(), literal: escaped }
            };
            assert_eq!(classify(file.as_str()), expected);
            let entry = entry(name, 7, 42).expect("a key");
            assert!(matches!(classify(entry.as_str()), Known::Log { name: found, .. } if found == name));
            assert_eq!(parse_entry(name, entry.as_str()), Some((7, 42)));
        }
        for other in ["_vectors/readme", "_vectors/a/b", "datasets/a.lhv1", "_vectors/.lhv1", "_vectors/..lhv1"] {
            assert_eq!(classify(other), Known::Other, "{other}");
        }
        assert!(entry("a", 1, 9).expect("key") < entry("a", 1, 10).expect("key"));
    }

    #[test]
    fn literal_names_of_the_first_system_are_recognised() {
        for name in ["a b", "O'Brien", "100%", "a%2fb", "a%zz", "%41", "%ff", " at the edge", "c/d"] {
            let key = literal(name).expect("a key");
            assert_eq!(classify(key.as_str()), Known::Literal(name.to_owned()), "{name}");
        }
        assert_eq!(literal("plain-name_1.x~"), None);
    }
}
