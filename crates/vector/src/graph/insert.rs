//! Linking new nodes, from several threads at once.

use std::sync::atomic::Ordering;

use super::{Graph, NONE, Walker};
use crate::{pool::Candidate, probe::Probe, values::Values};

/// What a thread that links needs again and again.
#[derive(Debug)]
pub(crate) struct Linker {
    pub(super) walker: Walker,
    /// The new node.
    pub(super) probe: Probe,
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
            start = self.gather_candidates(values, linker, slot, start, (level, ef, slots));
            let chosen = self.select(values, &linker.candidates, self.shape.m);
            {
                let _lock = self.lock(slot);
                self.join(values, linker, slot, level, &chosen);
            }
            let mut led_to = chosen.is_empty();
            for &other in &chosen {
                let _lock = self.lock(other);
                self.join(values, linker, other, level, &[slot]);
                led_to |= self.links(values, other, level).any(|link| link == slot);
            }
            if !led_to {
                self.force(values, chosen[0], level, slot);
            }
        }
        if level > entry.1 {
            self.raise_entry(slot, level);
        }
    }

    /// Leaves in `linker.candidates` what is worth linking `slot` with on a level, and returns where
    /// the walk on the next one begins.
    fn gather_candidates(
        &self,
        values: &Values,
        linker: &mut Linker,
        slot: u32,
        start: Candidate,
        limits: (u32, usize, u32),
    ) -> Candidate {
        let Linker { walker, probe, candidates, .. } = linker;
        self.walk(values, walker, probe, start, limits);
        candidates.clear();
        candidates.extend(walker.pool.sorted().iter().filter(|found| found.slot() != slot));
        let nearest = walker.pool.sorted().first().copied().unwrap_or(start);
        if candidates.iter().all(|found| values.undying(found.slot())) {
            return nearest;
        }
        // Dead nodes lead on but are nothing to be linked with: where a whole region was updated at
        // once they would be all that a walk keeps, and nothing would ever lead to the new node.
        let (level, ef, slots) = limits;
        let limits = (level, ef, slots, usize::MAX);
        self.walk_accepting(values, walker, probe, start, limits, &mut |found| values.undying(found));
        let living = || walker.pool.sorted().iter().filter(|found| found.slot() != slot);
        if living().count() >= self.shape.m {
            candidates.clear();
            candidates.extend(living());
        } else {
            // Too few to be sure that something leads here; the dead ones do until they are mended.
            candidates.extend(living());
            candidates.sort_unstable_by_key(|found| found.afresh());
            candidates.dedup_by_key(|found| found.slot());
        }
        nearest
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
        // A dead node must not keep out the living one beside it: its own new version, as a rule.
        links.retain(|&link| values.undying(link));
        let chosen = if links.len() <= row.len() { links } else { self.choose(values, linker, slot, links, row.len()) };
        self.set_links(values, slot, level, &chosen);
    }

    /// Links `from` with `to` whatever else it has to give up: there are better links for it, but
    /// none other that leads to `to`.
    pub(super) fn force(&self, values: &Values, from: u32, level: u32, to: u32) {
        let _lock = self.lock(from);
        let row = self.row(values, from, level);
        let place = row.iter().position(|link| link.load(Ordering::Relaxed) == NONE).unwrap_or(row.len() - 1);
        row[place].store(to, Ordering::Release);
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
