//! Where an object lives below `objects/`, and back.
//!
//! The mapping must be injective, must not leave the root, and must hold on file systems that
//! ignore case or normalise Unicode. So a file name is made of `a-z 0-9 - _ .` alone and every
//! other byte is written as `%xx`; names differing in case or normal form differ in those bytes.
//!
//! ```text
//! key                       file
//! datasets/weather/1f.x     datasets+/weather+/1f.x
//! datasets                  datasets                  (a file beside the directory `datasets+`)
//! O'Brien                   %4f%27%42rien
//! <150 times a>/b           <128 times a>+/=<22 times a>+/b
//! ```
//!
//! `+` ends a directory's name, so that `a` and `a/b` don't collide. A segment is cut after
//! [`FULL`] encoded bytes, and `=` begins the name of what continues it one directory deeper:
//! file names stay short enough for every file system (eCryptfs allows 143 bytes).

/// An encoded chunk of at least this many bytes is full: nothing is appended to it, what follows
/// goes one directory deeper. One byte takes up to 3, so a name has at most `FULL + 2 + 2` bytes.
pub(super) const FULL: usize = 128;

const DIRECTORY: u8 = b'+';
const CONTINUED: u8 = b'=';

/// The directories, from the outside in, and the file of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) dirs: Vec<String>,
    pub(super) file: String,
}

impl Location {
    /// The place of `key`, which the type has checked already: no empty, `.` or `..` segments.
    pub(super) fn of(key: &str) -> Self {
        let mut names = Vec::new();
        for segment in key.split('/') {
            let mut rest = segment.as_bytes();
            let mut continued = false;
            while !rest.is_empty() {
                let (encoded, used) = encode_chunk(rest);
                names.push(if continued { format!("{}{encoded}", CONTINUED as char) } else { encoded });
                rest = rest.get(used..).unwrap_or_default();
                continued = true;
            }
        }
        let file = names.pop().unwrap_or_default();
        for name in &mut names {
            name.push(DIRECTORY as char);
        }
        Self { dirs: names, file }
    }
}

/// What a name in a directory stands for.
///
/// `rel` is what it adds to the directory's own prefix of the key, and sorting by it (objects
/// before directories) is sorting by key: a directory's carries the `/` that all keys below it
/// have, save where its chunk is full, because those keys may go on without one. No sibling of a
/// full chunk begins with it, so the keys below a directory are never mixed with its siblings'.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) rel: Box<[u8]>,
    pub(super) kind: EntryKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EntryKind {
    Object,
    Directory,
}

impl Entry {
    /// Reads a file name found in a directory; `None` for a name this mapping never writes.
    /// `in_full` says whether that directory's own chunk is full.
    pub(super) fn parse(name: &[u8], kind: EntryKind, in_full: bool) -> Option<Self> {
        let body = match kind {
            EntryKind::Object => name,
            EntryKind::Directory => name.strip_suffix(&[DIRECTORY])?,
        };
        let (continued, encoded) = match body.strip_prefix(&[CONTINUED]) {
            Some(rest) if in_full => (true, rest),
            Some(_) => return None,
            None => (false, body),
        };
        let raw = decode(encoded)?;
        // Only the one spelling that `Location::of` writes; any other would be a second file for a key.
        let (again, used) = encode_chunk(&raw);
        if used != raw.len() || again.as_bytes() != encoded || raw.is_empty() || raw.contains(&b'/') {
            return None;
        }
        let mut rel = Vec::with_capacity(raw.len() + 2);
        if in_full && !continued {
            rel.push(b'/');
        }
        rel.extend_from_slice(&raw);
        if kind == EntryKind::Directory && encoded.len() < FULL {
            rel.push(b'/');
        }
        Some(Self { rel: rel.into(), kind })
    }

    /// The inverse of [`Entry::parse`].
    pub(super) fn file_name(&self, in_full: bool) -> String {
        let raw = match self.kind {
            EntryKind::Object => &self.rel[..],
            EntryKind::Directory => self.rel.strip_suffix(b"/").unwrap_or(&self.rel),
        };
        let mut name = match raw.strip_prefix(b"/") {
            Some(segment) => encode_chunk(segment).0,
            None if in_full => format!("{}{}", CONTINUED as char, encode_chunk(raw).0),
            None => encode_chunk(raw).0,
        };
        if self.kind == EntryKind::Directory {
            name.push(DIRECTORY as char);
        }
        name
    }

    /// Are the keys below this directory allowed to go on without a `/`?
    pub(super) fn is_full(&self) -> bool {
        self.kind == EntryKind::Directory && !self.rel.ends_with(b"/")
    }
}

/// Does the directory of this name hold a full chunk?
pub(super) fn is_full_directory(name: &str) -> bool {
    let name = name.strip_prefix(CONTINUED as char).unwrap_or(name);
    name.strip_suffix(DIRECTORY as char).is_some_and(|encoded| encoded.len() >= FULL)
}

/// What a name found in a directory adds to the key, and the name that has this meaning: for the fuzz
/// target. `None` for a name that this mapping never writes.
#[doc(hidden)]
#[must_use]
pub fn check_name(name: &[u8], is_directory: bool, in_full: bool) -> Option<(Vec<u8>, String)> {
    let kind = if is_directory { EntryKind::Directory } else { EntryKind::Object };
    let entry = Entry::parse(name, kind, in_full)?;
    let again = entry.file_name(in_full);
    Some((entry.rel.into_vec(), again))
}

/// The place in a directory's order from which on keys at or after `rel` can be: the entry that
/// leads to `rel` itself, where `rel` points into a subdirectory.
pub(super) fn seek_to(rel: &[u8], in_full: bool) -> Box<[u8]> {
    let lead = usize::from(in_full && rel.first() == Some(&b'/'));
    let segment_end = rel.iter().skip(lead).position(|byte| *byte == b'/').map(|at| at + lead);
    let segment = rel.get(lead..segment_end.unwrap_or(rel.len())).unwrap_or_default();
    let (encoded, used) = encode_chunk(segment);
    let mut end = lead + used;
    if encoded.len() < FULL && segment_end.is_some() {
        end += 1; // the directory's own `/`
    }
    rel.get(..end).unwrap_or(rel).into()
}

/// Encodes bytes from the front until the chunk is full; says how many that were.
fn encode_chunk(raw: &[u8]) -> (String, usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut encoded = String::with_capacity(raw.len().min(FULL) + 2);
    let mut used = 0;
    for byte in raw {
        if encoded.len() >= FULL {
            break;
        }
        let plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => true,
            // A leading dot would hide the file, and could make `.` or `..` of a continuation.
            b'.' => used > 0,
            _ => false,
        };
        if plain {
            encoded.push(*byte as char);
        } else {
            encoded.push('%');
            encoded.push(HEX[usize::from(byte >> 4)] as char);
            encoded.push(HEX[usize::from(byte & 15)] as char);
        }
        used += 1;
    }
    (encoded, used)
}

fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut raw = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'%' {
            let digit = |byte: &u8| (*byte as char).to_digit(16);
            let value = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
            raw.push(u8::try_from(value).ok()?);
        } else {
            raw.push(*byte);
        }
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::*;

    fn path(key: &str) -> String {
        let location = Location::of(key);
        let mut parts = location.dirs;
        parts.push(location.file);
        parts.join("/")
    }

    #[test]
    fn the_documented_examples() {
        assert_eq!(path("datasets/weather/1f.x"), "datasets+/weather+/1f.x");
        assert_eq!(path("datasets"), "datasets");
        assert_eq!(path("O'Brien"), "%4f%27%42rien");
        let (long, rest) = ("a".repeat(128), "a".repeat(22));
        assert_eq!(path(&format!("{long}{rest}/b")), format!("{long}+/={rest}+/b"));
    }

    #[test]
    fn no_name_is_long_hidden_or_special() {
        for key in ["..a", ".a/...", &"É".repeat(512), &"x".repeat(1024), "a+/=b", &format!("{}..", "y".repeat(128))] {
            let location = Location::of(key);
            for name in location.dirs.iter().chain([&location.file]) {
                assert!(name.len() <= FULL + 4 && !name.starts_with('.'), "{name}");
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.%+=".contains(&b)));
            }
        }
    }

    #[test]
    fn foreign_names_are_not_objects() {
        let long = "a".repeat(129);
        for name in ["A", "%41+", "%4F", "%61", "%2f", ".a", "=a", "", "%", "%4", long.as_str(), "a b"] {
            assert_eq!(Entry::parse(name.as_bytes(), EntryKind::Object, false), None, "{name:?}");
        }
        assert_eq!(Entry::parse(b"plain", EntryKind::Directory, false), None);
    }

    /// Few letters and long runs, so that collisions and full chunks are likely.
    fn key() -> impl Strategy<Value = String> {
        let letter = prop::sample::select(vec!["a", "A", "b", "-", ".", "0", "é", "e\u{301}", "%", "+", "=", " "]);
        let run = (letter, prop::sample::select(vec![1_usize, 1, 2, 41, 42, 43, 126, 127, 128, 129]))
            .prop_map(|(letter, times)| letter.repeat(times));
        let segment = prop::collection::vec(run, 1..4).prop_map(|runs| runs.concat());
        prop::collection::vec(segment, 1..4)
            .prop_map(|segments| segments.join("/"))
            .prop_filter("a valid key", |key| lakehouse_types::ObjectKey::new(key.as_str()).is_ok())
    }

    /// A directory tree as `Local` would make it: directory path -> names.
    fn tree(keys: &BTreeSet<String>) -> HashMap<String, BTreeSet<(String, EntryKind)>> {
        let mut tree: HashMap<String, BTreeSet<(String, EntryKind)>> = HashMap::new();
        for key in keys {
            let location = Location::of(key);
            let mut at = String::new();
            for dir in location.dirs {
                tree.entry(at.clone()).or_default().insert((dir.clone(), EntryKind::Directory));
                at = format!("{at}{dir}/");
            }
            tree.entry(at).or_default().insert((location.file, EntryKind::Object));
        }
        tree
    }

    fn walk(
        tree: &HashMap<String, BTreeSet<(String, EntryKind)>>,
        at: &str,
        prefix: &[u8],
        full: bool,
        out: &mut Vec<String>,
    ) {
        let mut entries: Vec<(Entry, &str)> = tree[at]
            .iter()
            .map(|(name, kind)| (Entry::parse(name.as_bytes(), *kind, full).unwrap(), name.as_str()))
            .collect();
        entries.sort();
        for (entry, name) in entries {
            assert_eq!(entry.file_name(full), name);
            let below = [prefix, &entry.rel].concat();
            match entry.kind {
                EntryKind::Object => out.push(String::from_utf8(below).unwrap()),
                EntryKind::Directory => {
                    assert_eq!(entry.is_full(), is_full_directory(name));
                    walk(tree, &format!("{at}{name}/"), &below, entry.is_full(), out);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn paths_are_injective_even_without_case(keys in prop::collection::btree_set(key(), 1..40)) {
            let paths: BTreeSet<String> = keys.iter().map(|key| path(key).to_ascii_lowercase()).collect();
            prop_assert_eq!(paths.len(), keys.len());
        }

        #[test]
        fn walking_in_order_gives_the_keys_in_order(keys in prop::collection::btree_set(key(), 1..40)) {
            let mut seen = Vec::new();
            walk(&tree(&keys), "", b"", false, &mut seen);
            prop_assert_eq!(seen, keys.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn seeking_never_passes_the_way_to_a_key(key in key()) {
            let location = Location::of(&key);
            let (mut rest, mut full) = (key.as_bytes().to_vec(), false);
            for dir in location.dirs {
                let entry = Entry::parse(dir.as_bytes(), EntryKind::Directory, full).unwrap();
                prop_assert_eq!(&seek_to(&rest, full), &entry.rel);
                full = entry.is_full();
                rest.drain(..entry.rel.len());
            }
            prop_assert_eq!(&seek_to(&rest, full)[..], &rest[..]);
        }
    }
}
