//! Linking new nodes, from several threads at once.

use std::sync::atomic::Ordering;

use super::{Graph, NONE, Walker};
use crate::{pool::Candidate, probe::Probe, values::Values};

/// What a thread that links needs again and again.
#[derive(Debug)]
pub(crate) struct Linker {
    walker: Walker,
    /// The new node.
    probe: Probe,
    /// A node whose row is full.
    other: Probe,
    candidates: Vec<Candidate>,
}

impl Linker {
    pub(crate) fn new(values: &Values, slot: u32) -> Self {
        Self {
            walker: Walker::default(),
            probe: Probe::item(values, slot, 0.0),
            other: Probe::item(values, slot, 0.0),
            candidates: Vec::new(),
        }
    }
}

impl Graph {
    /// Links a slot that was [placed](Self::place). May run for several slots at once, all of
    /// them below `slots`.
    pub(crate) fn insert(&self, values: &Values, linker: &mut Linker, slot: u32, slots: u32) {
        self.lengthen(values.factors(slot).aux);
        let level = Self::level(values, slot);
        let Some(entry) = self.entry_or_become(slot, level) else { return };
        linker.probe.become_item(values, slot, self.longest());
        let from = level.min(entry.1);
        let mut start = self.descend(values, &mut linker.walker, &linker.probe, entry, from);
        for level in (0..=from).rev() {
            let ef = self.shape.ef_construction;
            self.walk(values, &mut linker.walker, &linker.probe, start, (level, ef, slots));
            linker.candidates.clear();
            let found = linker.walker.pool.sorted().iter();
            linker.candidates.extend(found.filter(|found| found.slot() != slot && values.undying(found.slot())));
            start = linker.walker.pool.sorted().first().copied().unwrap_or(start);
            let chosen = self.select(values, &linker.candidates, self.shape.m);
            {
                let _lock = self.lock(slot);
                self.join(values, linker, slot, level, &chosen);
            }
            for other in chosen {
                let _lock = self.lock(other);
                self.join(values, linker, other, level, &[slot]);
            }
        }
        if level > entry.1 {
            self.raise_entry(slot, level);
        }
    }

    /// The entry, or `None` where the graph was empty and `slot` is the entry now.
    fn entry_or_become(&self, slot: u32, level: u32) -> Option<(u32, u32)> {
        if let Some(entry) = self.entry() {
            return Some(entry);
        }
        let _lock = self.entry_lock.lock();
        let entry = self.entry();
        if entry.is_none() {
            self.set_entry(Some((slot, level)));
        }
        entry
    }

    fn raise_entry(&self, slot: u32, level: u32) {
        let _lock = self.entry_lock.lock();
        if self.entry().is_none_or(|(_, top)| level > top) {
            self.set_entry(Some((slot, level)));
        }
    }

    /// Adds links to a row, and where they don't fit, chooses anew among old and new ones. The
    /// caller holds the slot's lock.
    fn join(&self, values: &Values, linker: &mut Linker, slot: u32, level: u32, new: &[u32]) {
        let row = self.row(values, slot, level);
        let mut links: Vec<u32> = self.links(values, slot, level).collect();
        let old = links.len();
        links.extend(
            new.iter().filter(|&&link| link != slot && !links[..old].contains(&link)).copied().collect::<Vec<_>>(),
        );
        if links.len() <= row.len() {
            for (link, &new) in row.iter().zip(&links).skip(old) {
                debug_assert_eq!(link.load(Ordering::Relaxed), NONE, "a row ends where it is empty");
                link.store(new, Ordering::Release);
            }
            return;
        }
        let chosen = self.choose(values, linker, slot, links, row.len());
        self.set_links(values, slot, level, &chosen);
    }

    /// The best `width` links for `slot` among `links`.
    fn choose(&self, values: &Values, linker: &mut Linker, slot: u32, links: Vec<u32>, width: usize) -> Vec<u32> {
        linker.other.become_item(values, slot, self.longest());
        let mut candidates = Vec::with_capacity(links.len());
        linker.walker.scan(values, &linker.other, links, &mut |_, link, score| {
            candidates.push(Candidate::new(score, link));
        });
        candidates.sort_unstable();
        self.select(values, &candidates, width)
    }

    /// [`Self::choose`] for the repair.
    pub(super) fn choose_among(
        &self,
        values: &Values,
        linker: &mut Linker,
        slot: u32,
        level: u32,
        links: Vec<u32>,
    ) -> Vec<u32> {
        self.choose(values, linker, slot, links, self.width(level))
    }
}
