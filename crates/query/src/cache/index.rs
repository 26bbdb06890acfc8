use std::{collections::HashMap, fs, io, path::Path, time::SystemTime};

use lakehouse_types::catalog::DataObject;
use sha2::{Digest as _, Sha256};

use super::fetch::Seen;

/// What a file is a copy of: its key, and its bytes where the catalog knows their hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FileId(String);

/// Hex digits of the hash of a key that stand in a file's name.
const KEY_DIGITS: usize = 32;

/// Hex digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

const EXTENSION: &str = ".parquet";

impl FileId {
    pub(super) fn of(object: &DataObject) -> Self {
        let mut digits = hex::encode(Sha256::digest(object.key.as_str()));
        digits.truncate(KEY_DIGITS);
        Self(digits)
    }

    /// `<hash of the key>-<hash of the bytes>.parquet`.
    pub(super) fn file_name(&self, sha256: &str) -> String {
        format!("{}-{sha256}{EXTENSION}", self.0)
    }
}

/// The hash of the bytes in a file's name.
pub(super) fn sha256_in(name: &str) -> Option<&str> {
    let (key, sha256) = name.strip_suffix(EXTENSION)?.split_once('-')?;
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (key.len() == KEY_DIGITS && sha256.len() == SHA256_DIGITS && hex(key) && hex(sha256)).then_some(sha256)
}

#[derive(Debug)]
struct Entry {
    name: String,
    size: u64,
    /// Of the clock of the index, not of the wall.
    used: u64,
    pins: usize,
    /// How the file looked when its bytes were last hashed; `None` before that.
    verified: Option<Seen>,
}

/// What is in the cache. Knows nothing of the files themselves.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<FileId, Entry>,
    bytes: u64,
    /// Room promised to downloads.
    reserved: u64,
    clock: u64,
}

impl Index {
    /// Takes in the files of an earlier run. Of which one was used last only their times tell.
    pub(super) fn scan(directory: &Path) -> io::Result<Self> {
        let mut found: Vec<(SystemTime, String, u64)> = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            match entry.file_name().to_str().filter(|name| metadata.is_file() && sha256_in(name).is_some()) {
                Some(name) => found.push((metadata.modified()?, name.to_owned(), metadata.len())),
                None => tracing::warn!(path = %entry.path().display(), "leaving a file alone that is not the cache's"),
            }
        }
        found.sort_unstable();
        let mut index = Self::default();
        for (_, name, size) in found {
            let id = FileId(name.chars().take(KEY_DIGITS).collect());
            // An object whose bytes changed has two files; the older is not asked for again.
            if let Some(old) = index.insert(id, name, size, None) {
                let _ = fs::remove_file(directory.join(old));
            }
        }
        Ok(index)
    }

    /// Bytes and files.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.bytes, self.entries.len() as u64)
    }

    /// Adds a file; gives the one that it takes the place of, if that is another.
    pub(super) fn insert(&mut self, id: FileId, name: String, size: u64, verified: Option<Seen>) -> Option<String> {
        self.clock += 1;
        self.bytes += size;
        let old = self.entries.get(&id).map(|old| (old.size, old.name.clone()));
        let kept = old.as_ref().is_some_and(|(_, old)| *old == name);
        self.entries.insert(id, Entry { name, size, used: self.clock, pins: 0, verified });
        let (old_size, old_name) = old?;
        self.bytes -= old_size;
        (!kept).then_some(old_name)
    }

    /// Pins a file; gives its name, and how it looked when it was last known to be whole. A file
    /// whose bytes are not `sha256`, where that is given, is not the one wanted.
    pub(super) fn pin(&mut self, id: &FileId, sha256: Option<&str>) -> Option<(String, Option<Seen>)> {
        let entry = self.entries.get_mut(id)?;
        if sha256.is_some_and(|sha256| sha256_in(&entry.name) != Some(sha256)) {
            return None;
        }
        self.clock += 1;
        entry.used = self.clock;
        entry.pins += 1;
        Some((entry.name.clone(), entry.verified))
    }

    pub(super) fn unpin(&mut self, id: &FileId, name: &str) {
        if let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.name == name) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }

    pub(super) fn set_verified(&mut self, id: &FileId, seen: Option<Seen>) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.verified = seen;
        }
    }

    pub(super) fn forget(&mut self, id: &FileId) {
        if let Some(entry) = self.entries.remove(id) {
            self.bytes -= entry.size;
        }
    }

    /// Promises `bytes` to a download, and gives the files that must go for it: those used
    /// longest ago. `None` where what is left is pinned or promised; then nothing has changed.
    pub(super) fn make_room(&mut self, bytes: u64, limit: u64) -> Option<Vec<String>> {
        let mut surplus = (self.bytes + self.reserved + bytes).saturating_sub(limit);
        let mut free: Vec<(u64, FileId, u64)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.pins == 0)
            .map(|(id, entry)| (entry.used, id.clone(), entry.size))
            .collect();
        if free.iter().map(|(_, _, size)| size).sum::<u64>() < surplus {
            return None;
        }
        free.sort_unstable_by_key(|(used, _, _)| *used);
        let mut gone = Vec::new();
        for (_, id, size) in free {
            if surplus == 0 {
                break;
            }
            surplus = surplus.saturating_sub(size);
            self.bytes -= size;
            gone.extend(self.entries.remove(&id).map(|entry| entry.name));
        }
        self.reserved += bytes;
        Some(gone)
    }

    /// Takes back what [`Self::make_room`] promised.
    pub(super) fn release(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }
}
