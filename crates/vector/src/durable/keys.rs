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

/// What a key under [`PREFIX`] is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The file of this index.
    File(String),
    /// Something that belongs to this index's log; `skip` sorts after all of it.
    Log { name: String, skip: String },
    /// Not ours.
    Other,
}

pub(super) fn classify(key: &str) -> Known {
    let name = |escaped: &str| unescape_segment(escaped).and_then(|name| Name::new(name).ok()).map(String::from);
    let Some(rest) = key.strip_prefix(PREFIX) else { return Known::Other };
    match rest.split_once('/') {
        None => rest.strip_suffix(SUFFIX).and_then(name).map_or(Known::Other, Known::File),
        // '0' is the character after '/'.
        Some((escaped, rest)) if rest.starts_with("log/") => match name(escaped) {
            Some(name) => Known::Log { name, skip: format!("{PREFIX}{escaped}/log0") },
            None => Known::Other,
        },
        Some(_) => Known::Other,
    }
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
            assert_eq!(classify(file.as_str()), Known::File(name.to_owned()));
            let entry = entry(name, 7, 42).expect("a key");
            assert!(matches!(classify(entry.as_str()), Known::Log { name: found, .. } if found == name));
            assert_eq!(parse_entry(name, entry.as_str()), Some((7, 42)));
        }
        for other in ["_vectors/readme", "_vectors/a/b", "datasets/a.lhv1", "_vectors/%ff.lhv1", "_vectors/ .lhv1"] {
            assert_eq!(classify(other), Known::Other, "{other}");
        }
        assert!(entry("a", 1, 9).expect("key") < entry("a", 1, 10).expect("key"));
    }
}
