//! Searching one generation: scan or walk, then exact distances for whoever may be among the best.

use std::{cmp::Ordering, collections::BinaryHeap, sync::atomic};

use crate::{
    effort::{self, Effort},
    filter::Matcher,
    generation::Generation,
    graph::Walker,
    pool::Candidate,
    probe::Probe,
    values::Moment,
};

/// What to look for.
pub(crate) struct Ask<'a> {
    pub(crate) probe: Probe,
    pub(crate) k: usize,
    pub(crate) effort: Effort,
    pub(crate) filter: Option<Matcher<'a>>,
}

impl<'a> Ask<'a> {
    pub(crate) const fn new(probe: Probe, k: usize, effort: Effort) -> Self {
        Self { probe, k, effort, filter: None }
    }
}

/// How much farther a walk goes that could not tell its last candidates from its best.
const WIDEN: usize = 4;

/// A slot and its distance.
pub(crate) type Found = (f64, u32);

/// What a search found.
pub(crate) struct Answer {
    /// Nearest first.
    pub(crate) found: Vec<Found>,
    /// Nothing nearer can have been missed: every item was looked at.
    pub(crate) exact: bool,
}

/// The `k` nearest so far, by exact distance.
struct Nearest {
    /// The farthest is on top.
    heap: BinaryHeap<Ranked>,
    best: f64,
    k: usize,
}

/// In the order of distances, then of slots, so that the same search has the same answer.
#[derive(Clone, Copy, PartialEq)]
struct Ranked(f64, u32);

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(k), best: f64::INFINITY, k }
    }

    fn worst(&self) -> Option<f64> {
        (self.heap.len() == self.k).then(|| self.heap.peek().map(|&Ranked(distance, _)| distance)).flatten()
    }

    fn push(&mut self, distance: f64, slot: u32) {
        self.best = self.best.min(distance);
        let ranked = Ranked(distance, slot);
        if self.heap.len() < self.k {
            self.heap.push(ranked);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && ranked < *worst
        {
            *worst = ranked;
        }
    }

    fn into_sorted(self) -> Vec<Found> {
        self.heap.into_sorted_vec().into_iter().map(|Ranked(distance, slot)| (distance, slot)).collect()
    }
}

impl Generation {
    /// The nearest items, as many as there are, up to `k`.
    pub(crate) fn search(&self, walker: &mut Walker, ask: &Ask<'_>) -> Answer {
        // In this order: what is linked after this look may be found twice, but nothing is missed.
        let linked = self.linked();
        let moment = self.values.moment();
        let k = ask.k.min(moment.slots as usize);
        let walked = self.effort(ask, k).and_then(|ef| self.widening_walk(walker, ask, (k, ef), (linked, moment)));
        walked.map_or_else(
            || Answer { found: self.scan(walker, ask, k, moment), exact: true },
            |found| Answer { found, exact: false },
        )
    }

    /// The candidates that a walk keeps; `None` where all items are to be looked at.
    fn effort(&self, ask: &Ask<'_>, k: usize) -> Option<usize> {
        match ask.effort {
            Effort::Exact => None,
            Effort::Walk(ef) => Some(effort::at_least(k, ef)),
            Effort::Default => self.calibration.effort(k),
        }
    }

    /// Walks, and farther each time that the codes leave a doubt. `None` where that is not worth its while.
    pub(crate) fn widening_walk(
        &self,
        walker: &mut Walker,
        ask: &Ask<'_>,
        (k, mut ef): (usize, usize),
        (linked, moment): (u32, Moment),
    ) -> Option<Vec<Found>> {
        let entry = self.graph.entry()?;
        if k == 0 || linked == 0 {
            return None;
        }
        let start = self.graph.descend(&self.values, walker, &ask.probe, entry, 0);
        // A walk that has to meet a quarter of everything is a slow scan.
        while 4 * ef <= moment.slots as usize {
            if !self.walk(walker, ask, start, ef, moment) {
                return None;
            }
            self.scan_tail(walker, ask, linked, moment);
            let (found, sure) = self.settle(walker, ask, k, moment);
            // The graph may hold too few living or matching items within reach: then all are looked at.
            if found.len() < k && (ask.filter.is_some() || found.len() < self.live().min(k)) {
                return None;
            }
            if sure {
                return Some(found);
            }
            ef *= WIDEN;
        }
        None
    }

    /// Leaves the `ef` best of the graph in the walk's pool; false where it is not worth its while.
    fn walk(&self, walker: &mut Walker, ask: &Ask<'_>, start: Candidate, ef: usize, moment: Moment) -> bool {
        if ask.filter.is_none() && self.unmended.load(atomic::Ordering::Relaxed) == 0 {
            self.graph.walk(&self.values, walker, &ask.probe, start, (0, ef, moment.slots));
            return true;
        }
        // A walk through items of which few match costs more than looking at all of them.
        let limits = (0, ef, moment.slots, moment.slots as usize / 2);
        let accept = &mut |slot| self.accepts(ask, slot, moment);
        self.graph.walk_accepting(&self.values, walker, &ask.probe, start, limits, accept)
    }

    fn accepts(&self, ask: &Ask<'_>, slot: u32, moment: Moment) -> bool {
        self.values.alive(slot, moment)
            && ask.filter.as_ref().is_none_or(|filter| filter.matches(self.values.record(slot).metadata()))
    }

    /// Puts what is not linked yet into the walk's pool.
    fn scan_tail(&self, walker: &mut Walker, ask: &Ask<'_>, linked: u32, moment: Moment) {
        walker.scan(&self.values, &ask.probe, linked..moment.slots, &mut |walker, slot, score| {
            if score < walker.pool.limit() && self.accepts(ask, slot, moment) {
                walker.pool.push(Candidate::new(score, slot));
            }
        });
    }

    /// Exact distances for the pool's candidates, as far down as rounding can have misplaced one; and
    /// whether the pool reached down that far. Where vectors differ by less than their codes can tell,
    /// it does not: the best may be among those that found no place in it.
    fn settle(&self, walker: &mut Walker, ask: &Ask<'_>, k: usize, moment: Moment) -> (Vec<Found>, bool) {
        let distance = self.values.shape.distance;
        let mut nearest = Nearest::new(k);
        let (mut last, mut farthest, mut to_the_end) = (None, f64::NEG_INFINITY, true);
        for candidate in walker.pool.sorted() {
            let slot = candidate.slot();
            if let Some(worst) = nearest.worst() {
                let worst = ask.probe.as_score(distance, worst);
                to_the_end = candidate.score() - ask.probe.doubt(self.values.factors(slot)) <= worst;
                if !to_the_end {
                    continue;
                }
            }
            // A slot that was linked while the tail was scanned has come both ways, side by side.
            if last.replace(slot) != Some(slot) && self.values.alive(slot, moment) {
                let exact = ask.probe.exact(&self.values, slot, &mut walker.scratch);
                farthest = farthest.max(exact);
                nearest.push(exact, slot);
            }
        }
        // Where all are equally far, more of them are no better.
        let differ = farthest > nearest.best;
        let in_doubt = to_the_end && differ && walker.pool.is_full();
        (nearest.into_sorted(), !in_doubt)
    }

    /// Looks at everything. Codes decide only where their largest possible error leaves no doubt.
    pub(crate) fn scan(&self, walker: &mut Walker, ask: &Ask<'_>, k: usize, moment: Moment) -> Vec<Found> {
        if k == 0 {
            return Vec::new();
        }
        let shape = &self.values.shape;
        let mut nearest = Nearest::new(k);
        let mut worst = f32::INFINITY;
        walker.scan(&self.values, &ask.probe, 0..moment.slots, &mut |walker, slot, score| {
            let least = score - ask.probe.error(self.values.factors(slot));
            if least > worst || !self.accepts(ask, slot, moment) {
                return;
            }
            nearest.push(ask.probe.exact(&self.values, slot, &mut walker.scratch), slot);
            if let Some(distance) = nearest.worst() {
                worst = ask.probe.as_score(shape.distance, distance);
            }
        });
        nearest.into_sorted()
    }
}
