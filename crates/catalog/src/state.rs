//! The catalog in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use lakehouse_types::{catalog::Manifest, unescape_segment};

use crate::record::{Record, WriteId};

/// All datasets at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Changes with every change of the catalog, and differs between any two catalogs: fit for an
    /// entity tag (without quotes).
    pub tag: String,
    /// The datasets, sorted by name.
    pub datasets: Vec<Arc<Manifest>>,
    /// Those whose newest version can't be read, by their folded names, sorted.
    pub damaged: Vec<String>,
}

/// A manifest that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The dataset, as its name is escaped and folded in the store's keys.
    pub dataset: String,
    /// What is wrong with its newest manifest.
    pub reason: String,
}

/// What is known under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) version: u64,
    pub(crate) etag: String,
    /// What the next version's lineage is; empty where this one is damaged.
    pub(crate) heritage: Vec<WriteId>,
    pub(crate) state: EntryState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryState {
    Present(Arc<Manifest>),
    Deleted,
    Damaged { reason: String },
}

impl Entry {
    /// What `record`, which has `etag` in the store, amounts to.
    pub(crate) fn of(record: Record, etag: String) -> Self {
        let (version, heritage) = (record.version, record.heritage());
        let state = record.manifest.map_or(EntryState::Deleted, |manifest| EntryState::Present(Arc::new(manifest)));
        Self { version, etag, heritage, state }
    }

    /// A version that can't be understood.
    pub(crate) const fn damaged(version: u64, etag: String, reason: String) -> Self {
        Self { version, etag, heritage: Vec::new(), state: EntryState::Damaged { reason } }
    }

    pub(crate) const fn is_damaged(&self) -> bool {
        matches!(self.state, EntryState::Damaged { .. })
    }

    pub(crate) fn manifest(&self) -> Option<&Arc<Manifest>> {
        match &self.state {
            EntryState::Present(manifest) => Some(manifest),
            EntryState::Deleted | EntryState::Damaged { .. } => None,
        }
    }
}

/// The entries by the segment of their keys. Cheap reads from many tasks, few writes.
#[derive(Debug)]
pub(crate) struct State {
    boot: uuid::Uuid,
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    loaded: bool,
    entries: BTreeMap<String, Entry>,
    revision: u64,
    /// Of the current revision, where anyone asked for it.
    snapshot: Option<Arc<Snapshot>>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self { boot: uuid::Uuid::new_v4(), inner: RwLock::default() }
    }

    pub(crate) fn loaded(&self) -> bool {
        self.read(|inner| inner.loaded)
    }

    pub(crate) fn get(&self, segment: &str) -> Option<Entry> {
        self.read(|inner| inner.entries.get(segment).cloned())
    }

    /// The version and entity tag under every segment.
    pub(crate) fn versions(&self) -> BTreeMap<String, (u64, String)> {
        let version = |(segment, entry): (&String, &Entry)| (segment.clone(), (entry.version, entry.etag.clone()));
        self.read(|inner| inner.entries.iter().map(version).collect())
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        self.read(|inner| {
            let of = |test: fn(&Entry) -> bool| inner.entries.values().filter(|entry| test(entry)).count();
            (of(|entry| entry.manifest().is_some()), of(Entry::is_damaged))
        })
    }

    pub(crate) fn damage(&self) -> Vec<Damage> {
        let damage = |(segment, entry): (&String, &Entry)| match &entry.state {
            EntryState::Damaged { reason } => Some(Damage { dataset: segment.clone(), reason: reason.clone() }),
            EntryState::Present(_) | EntryState::Deleted => None,
        };
        self.read(|inner| inner.entries.iter().filter_map(damage).collect())
    }

    /// Takes over everything that was read at start.
    pub(crate) fn fill(&self, entries: BTreeMap<String, Entry>) {
        self.write(|inner| {
            inner.entries = entries;
            inner.loaded = true;
            inner.revision += 1;
            inner.snapshot = None;
        });
    }

    /// Sets or removes one entry; true where that changed what readers see.
    pub(crate) fn set(&self, segment: &str, entry: Option<Entry>) -> bool {
        self.write(|inner| {
            // One that is deleted looks like one that never was.
            let visible = |entry: Option<&Entry>| {
                entry.map(|entry| (entry.manifest().cloned(), entry.is_damaged())).unwrap_or_default()
            };
            let after = visible(entry.as_ref());
            let before = visible(inner.entries.get(segment));
            match entry {
                Some(entry) => drop(inner.entries.insert(segment.to_owned(), entry)),
                None => drop(inner.entries.remove(segment)),
            }
            let changed = before != after;
            if changed {
                inner.revision += 1;
                inner.snapshot = None;
            }
            changed
        })
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        if let Some(snapshot) = self.read(|inner| inner.snapshot.clone()) {
            return snapshot;
        }
        self.write(|inner| {
            // Another task may have made it while this one waited for the lock.
            let (boot, revision) = (self.boot.simple(), inner.revision);
            let made = inner.snapshot.get_or_insert_with(|| {
                let mut datasets: Vec<_> = inner.entries.values().filter_map(Entry::manifest).cloned().collect();
                datasets.sort_by(|a, b| a.name.cmp(&b.name));
                let damaged = inner.entries.iter().filter(|(_, entry)| entry.is_damaged());
                let damaged = damaged.map(|(segment, _)| unescape_segment(segment).unwrap_or_else(|| segment.clone()));
                let damaged = damaged.collect();
                Arc::new(Snapshot { tag: format!("{boot}-{revision}"), datasets, damaged })
            });
            Arc::clone(made)
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner))
    }
}
