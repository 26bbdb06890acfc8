//! Searching one generation: scan or walk, then exact distances for whoever may be among the best.

use std::sync::atomic::Ordering;

use crate::{filter::Matcher, generation::Generation, graph::Walker, pool::Candidate, probe::Probe, values::Moment};

/// What to look for.
pub(crate) struct Ask<'a> {
    pub(crate) probe: Probe,
    pub(crate) k: usize,
    pub(crate) ef: usize,
    pub(crate) filter: Option<Matcher<'a>>,
    /// Don't use the graph.
    pub(crate) exact: bool,
}

/// How much farther a walk goes that could not tell its last candidates from its best.
const WIDEN: usize = 4;

/// A slot and its distance.
pub(crate) type Found = (f64, u32);

/// The `k` nearest so far, by exact distance.
struct Nearest {
    found: Vec<Found>,
    k: usize,
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { found: Vec::with_capacity(k + 1), k }
    }

    fn worst(&self) -> Option<f64> {
        (self.found.len() == self.k).then(|| self.found.last().map(|&(distance, _)| distance)).flatten()
    }

    fn push(&mut self, distance: f64, slot: u32) {
        let place = self
            .found
            .partition_point(|&(other, other_slot)| other.total_cmp(&distance).then(other_slot.cmp(&slot)).is_lt());
        self.found.insert(place, (distance, slot));
        self.found.truncate(self.k);
    }
}

impl Generation {
    /// The nearest items, nearest first. As many as there are, up to `k`.
    pub(crate) fn search(&self, walker: &mut Walker, ask: &Ask<'_>) -> Vec<Found> {
        // In this order: what is linked after this look may be found twice, but nothing is missed.
        let linked = self.linked();
        let moment = self.values.moment();
        let k = ask.k.min(moment.slots as usize);
        // A walk that has to meet a quarter of everything is a slow scan.
        if k == 0 || linked == 0 || ask.exact || 4 * k.max(ask.ef) > moment.slots as usize {
            return self.scan(walker, ask, k, moment);
        }
        let Some(entry) = self.graph.entry() else { return self.scan(walker, ask, k, moment) };
        let start = self.graph.descend(&self.values, walker, &ask.probe, entry, 0);
        let mut ef = ask.ef.max(k);
        while 4 * ef <= moment.slots as usize {
            if !self.walk(walker, ask, start, ef, moment) {
                break;
            }
            self.scan_tail(walker, ask, linked, moment);
            let (found, sure) = self.settle(walker, ask, k, moment);
            // The graph may hold too few living or matching items within reach: then all are looked at.
            let enough = found.len() == k || (ask.filter.is_none() && found.len() >= self.live().min(k));
            if !enough {
                break;
            }
            if sure {
                return found;
            }
            ef *= WIDEN;
        }
        self.scan(walker, ask, k, moment)
    }

    /// Leaves the `ef` best of the graph in the walk's pool; false where it is not worth its while.
    fn walk(&self, walker: &mut Walker, ask: &Ask<'_>, start: Candidate, ef: usize, moment: Moment) -> bool {
        if ask.filter.is_none() && self.unmended.load(Ordering::Relaxed) == 0 {
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
        // Where all are equally far, more of them are no better; and where there are hardly more
        // candidates than results, the last one is a result by right.
        let differ = nearest.found.first().is_some_and(|&(best, _)| farthest > best);
        let in_doubt = to_the_end && differ && walker.pool.is_full() && walker.pool.sorted().len() >= 2 * k;
        (nearest.found, !in_doubt)
    }

    /// Looks at everything. Codes decide only where their largest possible error leaves no doubt.
    fn scan(&self, walker: &mut Walker, ask: &Ask<'_>, k: usize, moment: Moment) -> Vec<Found> {
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
        nearest.found
    }
}
