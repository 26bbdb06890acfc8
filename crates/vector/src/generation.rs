//! The slots of an index between two compactions: values, links, and the map from ids to slots.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use hashbrown::{HashTable, hash_table::Entry};
use parking_lot::RwLock;

use crate::{
    Params,
    effort::Calibration,
    graph::{self, Graph},
    same::same_bits,
    split,
    values::{Moment, Shape, Values},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) values: Values,
    pub(crate) graph: Graph,
    ids: RwLock<HashTable<u32>>,
    /// The size of `ids`, for those who must not wait for its lock.
    live: AtomicUsize,
    hasher: RandomState,
    /// Slots before this are in the graph, or were dead when their turn came.
    pub(crate) linked: AtomicU32,
    /// Slots before this have their rows. More than are linked where linking was broken off.
    pub(crate) placed: AtomicU32,
    /// Dead slots that may still be linked to.
    pub(crate) unmended: AtomicU32,
    /// How many slots were linked when it was last seen to that searches find the new ones, and all.
    pub(crate) looked_at: AtomicU32,
    pub(crate) surveyed: AtomicU32,
    /// How far a search has to walk here.
    pub(crate) calibration: Calibration,
}

/// What one item's commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Added,
    Updated,
    /// It was there already, and was left alone.
    Kept,
}

/// A commit under way. The index's commit lock is held for as long as this lives.
pub(crate) struct Commit<'a> {
    generation: &'a Generation,
    slots: u32,
    epoch: u32,
}

impl Generation {
    pub(crate) fn new(params: &Params) -> Self {
        Self {
            values: Values::new(Shape::new(params.dimension, params.distance)),
            graph: Graph::new(graph::Shape { m: params.m, ef_construction: params.ef_construction }),
            ids: RwLock::new(HashTable::new()),
            live: AtomicUsize::new(0),
            hasher: RandomState::new(),
            linked: AtomicU32::new(0),
            placed: AtomicU32::new(0),
            unmended: AtomicU32::new(0),
            looked_at: AtomicU32::new(0),
            surveyed: AtomicU32::new(0),
            calibration: Calibration::new(params.ef_search),
        }
    }

    /// The number of living items.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn linked(&self) -> u32 {
        self.linked.load(Ordering::Acquire)
    }

    /// The slot that holds the item now.
    pub(crate) fn find(&self, id: &str) -> Option<u32> {
        self.ids.read().find(self.hasher.hash_one(id), |&slot| self.values.record(slot).id() == id).copied()
    }

    /// Begins a commit.
    ///
    /// # Safety
    /// The caller holds the index's commit lock until the commit is gone.
    pub(crate) unsafe fn commit(&self) -> Commit<'_> {
        let Moment { slots, epoch } = self.values.moment();
        Commit { generation: self, slots, epoch: epoch + 1 }
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        let slots = self.values.moment().slots;
        // A slot number and a tag byte for each place of the map.
        self.values.bytes(slots) + self.graph.bytes(self.linked()) + self.ids.read().capacity() * 8 / 7 * 5
    }
}

impl Commit<'_> {
    /// Adds or replaces an item; without `replace`, one that is there is kept.
    pub(crate) fn put(&mut self, id: &str, vector: &[f32], metadata: Option<&str>, replace: bool) -> Written {
        let values = &self.generation.values;
        let old = self.generation.find(id);
        if old.is_some() && !replace {
            return Written::Kept;
        }
        let kept = || old.and_then(|slot| values.record(slot).metadata());
        // `{}` clears; but where a file or a merge says what an item has, `{}` is what it has.
        let metadata = metadata.map_or_else(kept, |text| (!replace || !is_empty_object(text)).then_some(text));
        if let Some(slot) = old
            && values.record(slot).metadata() == metadata
            && same_bits(&values.vector(slot), vector)
        {
            // A request sent again must not leave dead slots behind.
            return Written::Updated;
        }
        let norm = values.shape.kernels.dot(vector, vector).sqrt();
        // SAFETY: `Generation::commit`'s caller holds the commit lock; `slots` is not published yet.
        unsafe { values.write(self.slots, id, &split::encode(vector), norm, metadata) };
        self.enter(id, self.slots);
        self.slots += 1;
        if let Some(slot) = old {
            self.kill(slot);
            return Written::Updated;
        }
        Written::Added
    }

    /// Takes a slot of another generation over, with its links to come, and returns its new number.
    pub(crate) fn copy(&mut self, other: &Generation, from: u32) -> u32 {
        let slot = self.slots;
        // SAFETY: as in `put`; `from` is published.
        unsafe { self.generation.values.copy(slot, &other.values, from) };
        self.enter(self.generation.values.record(slot).id(), slot);
        self.slots += 1;
        slot
    }

    /// Removes an item; false where there is none.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let generation = self.generation;
        let mut ids = generation.ids.write();
        let found = ids.find_entry(generation.hasher.hash_one(id), |&slot| generation.values.record(slot).id() == id);
        let Ok(entry) = found else { return false };
        let (slot, _) = entry.remove();
        drop(ids);
        self.kill(slot);
        true
    }

    /// Makes this slot dead, and the item with it where no later slot holds it.
    pub(crate) fn remove_slot(&mut self, slot: u32) {
        let id = self.generation.values.record(slot).id();
        if self.generation.find(id) == Some(slot) {
            self.remove(id);
        } else {
            self.kill(slot);
        }
    }

    /// Makes all of it visible at once.
    pub(crate) fn publish(self) {
        self.generation.live.store(self.generation.ids.read().len(), Ordering::Relaxed);
        self.generation.values.publish(Moment { slots: self.slots, epoch: self.epoch });
    }

    fn enter(&self, id: &str, slot: u32) {
        let generation = self.generation;
        let id_of = |slot: &u32| generation.values.record(*slot).id();
        let hash = generation.hasher.hash_one(id);
        let mut ids = generation.ids.write();
        match ids.entry(hash, |slot| id_of(slot) == id, |slot| generation.hasher.hash_one(id_of(slot))) {
            Entry::Occupied(mut entry) => *entry.get_mut() = slot,
            Entry::Vacant(entry) => drop(entry.insert(slot)),
        }
    }

    fn kill(&self, slot: u32) {
        self.generation.values.kill(slot, self.epoch);
        if slot < self.generation.linked() {
            self.generation.unmended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn is_empty_object(text: &str) -> bool {
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| inner.trim().is_empty())
}
