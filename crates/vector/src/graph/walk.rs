//! Walking the graph towards a probe.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::Graph;
use crate::{
    pool::{Candidate, Pool},
    probe::Probe,
    values::Values,
};

/// The memory of a walk, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Walker {
    /// One bit a slot: of a hundred thousand they fit into the first-level cache.
    seen: Vec<u64>,
    slots: Vec<u32>,
    products: Vec<i32>,
    /// What the last walk found.
    pub(crate) pool: Pool,
    frontier: BinaryHeap<Reverse<Candidate>>,
    accepted: BinaryHeap<Candidate>,
    /// For decoded vectors.
    pub(crate) scratch: Vec<f32>,
    passed_by: Option<u32>,
    met: u64,
}

impl Walker {
    fn begin(&mut self, slots: usize) {
        self.seen.clear();
        self.seen.resize(slots.div_ceil(64), 0);
        if let Some(slot) = self.passed_by {
            self.mark(slot);
        }
    }

    /// Walks from now on as if this slot were not there.
    pub(crate) const fn pass_by(&mut self, slot: Option<u32>) {
        self.passed_by = slot;
    }

    /// How many nodes walks have come to since this was last asked.
    pub(crate) const fn take_met(&mut self) -> u64 {
        std::mem::replace(&mut self.met, 0)
    }

    /// Marks a slot; false where it was marked, or is newer than this walk.
    #[inline(always)]
    fn mark(&mut self, slot: u32) -> bool {
        let Some(word) = self.seen.get_mut(slot as usize / 64) else { return false };
        let bit = 1 << (slot % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Did the last walk come to this slot?
    pub(super) fn has_seen(&self, slot: u32) -> bool {
        self.seen.get(slot as usize / 64).is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }

    /// Computes the products of `self.slots` into `self.products`.
    #[inline(always)]
    fn multiply(&mut self, values: &Values, probe: &Probe) {
        self.products.resize(self.slots.len().max(self.products.len()), 0);
        // SAFETY: the slots were written before their numbers were linked or published.
        unsafe { values.shape.kernels.scores(&probe.ints, &values.codes, &self.slots, &mut self.products) };
    }

    /// Gathers the unmarked links of `slot` and marks them.
    #[inline(always)]
    fn gather(&mut self, graph: &Graph, values: &Values, slot: u32, level: u32) {
        self.slots.clear();
        for link in graph.links(values, slot, level) {
            if self.mark(link) {
                self.slots.push(link);
            }
        }
        self.met += self.slots.len() as u64;
    }

    pub(crate) fn score(&mut self, values: &Values, probe: &Probe, slot: u32) -> f32 {
        self.slots.clear();
        self.slots.push(slot);
        self.multiply(values, probe);
        probe.score(values.factors(slot), self.products[0])
    }

    /// Scores `slots`, the dead ones too, in blocks, and hands each to `take`: few get any further
    /// than their score, and to look at what else is known of all the others costs as much as that.
    pub(crate) fn scan(
        &mut self,
        values: &Values,
        probe: &Probe,
        slots: impl IntoIterator<Item = u32>,
        take: &mut impl FnMut(&mut Self, u32, f32),
    ) {
        const BLOCK: usize = 128;
        let mut slots = slots.into_iter();
        loop {
            self.slots.clear();
            self.slots.extend(slots.by_ref().take(BLOCK));
            if self.slots.is_empty() {
                return;
            }
            self.multiply(values, probe);
            let (block, products) = (std::mem::take(&mut self.slots), std::mem::take(&mut self.products));
            for (&slot, &product) in block.iter().zip(&products) {
                take(self, slot, probe.score(values.factors(slot), product));
            }
            (self.slots, self.products) = (block, products);
        }
    }
}

impl Graph {
    /// The nearest node that a greedy descent from the entry finds on `level`.
    pub(crate) fn descend(
        &self,
        values: &Values,
        walker: &mut Walker,
        probe: &Probe,
        entry: (u32, u32),
        level: u32,
    ) -> Candidate {
        let (mut slot, top) = entry;
        let mut best = walker.score(values, probe, slot);
        for level in (level..top).rev().map(|level| level + 1) {
            loop {
                walker.slots.clear();
                walker.slots.extend(self.links(values, slot, level));
                walker.multiply(values, probe);
                let before = slot;
                for (&link, &product) in walker.slots.iter().zip(&walker.products) {
                    let score = probe.score(values.factors(link), product);
                    if score < best {
                        (best, slot) = (score, link);
                    }
                }
                if slot == before {
                    break;
                }
            }
        }
        Candidate::new(best, slot)
    }

    /// Leaves the `ef` best nodes that a walk on `level` meets in `walker.pool`. Links to slots
    /// from `slots` on are not followed.
    pub(crate) fn walk(
        &self,
        values: &Values,
        walker: &mut Walker,
        probe: &Probe,
        start: Candidate,
        (level, ef, slots): (u32, usize, u32),
    ) {
        walker.begin(slots as usize);
        walker.pool.reset(ef);
        walker.mark(start.slot());
        walker.pool.push(start.afresh());
        while let Some(slot) = walker.pool.visit_next() {
            if let Some(next) = walker.pool.peek_next() {
                prefetch(self.row(values, next, level));
            }
            walker.gather(self, values, slot, level);
            walker.multiply(values, probe);
            let mut limit = walker.pool.limit();
            for (&link, &product) in walker.slots.iter().zip(&walker.products) {
                let score = probe.score(values.factors(link), product);
                if score < limit {
                    walker.pool.push(Candidate::new(score, link));
                    limit = walker.pool.limit();
                }
            }
        }
    }

    /// Like [`Self::walk`], but only slots that `accept` takes end up in the pool; the others are
    /// stepping stones. Gives up after `budget` slots, with false.
    pub(crate) fn walk_accepting(
        &self,
        values: &Values,
        walker: &mut Walker,
        probe: &Probe,
        start: Candidate,
        (level, ef, slots, budget): (u32, usize, u32, usize),
        accept: &mut dyn FnMut(u32) -> bool,
    ) -> bool {
        walker.begin(slots as usize);
        walker.pool.reset(ef);
        walker.frontier.clear();
        walker.accepted.clear();
        walker.mark(start.slot());
        walker.frontier.push(Reverse(start.afresh()));
        if accept(start.slot()) {
            walker.accepted.push(start.afresh());
        }
        let mut spent = 0;
        while let Some(Reverse(nearest)) = walker.frontier.pop() {
            let full = walker.accepted.len() >= ef;
            if full && walker.accepted.peek().is_some_and(|worst| nearest.score() > worst.score()) {
                break;
            }
            if spent > budget {
                return false;
            }
            walker.gather(self, values, nearest.slot(), level);
            walker.multiply(values, probe);
            spent += walker.slots.len();
            for (&link, &product) in walker.slots.iter().zip(&walker.products) {
                let candidate = Candidate::new(probe.score(values.factors(link), product), link);
                let full = walker.accepted.len() >= ef;
                if full && walker.accepted.peek().is_some_and(|worst| candidate >= *worst) {
                    continue;
                }
                walker.frontier.push(Reverse(candidate));
                if accept(link) {
                    walker.accepted.push(candidate);
                    if full {
                        walker.accepted.pop();
                    }
                }
            }
        }
        while let Some(candidate) = walker.accepted.pop() {
            walker.pool.push(candidate);
        }
        true
    }
}

/// Asks for the first lines of a row that will be read soon.
#[inline(always)]
fn prefetch<T>(row: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = row.as_ptr().cast::<i8>();
        // SAFETY: SSE is part of x86-64, and a prefetch of any address is harmless.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(start);
            _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(64));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
