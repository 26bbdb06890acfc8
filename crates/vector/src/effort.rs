//! How far a search has to walk so that it finds what it is asked for.
//!
//! The same number of candidates finds nearly everything among sentence embeddings and hardly half
//! of it among random vectors of as many dimensions, and what is enough for ten results is not for
//! a hundred. So an index asks itself: it takes some of its own items for queries, lets walks
//! look for their neighbours as if the item were not there, and compares with a scan. The fewest
//! candidates with which [`TARGET`] of the neighbours are found are its default; where walks that
//! find so much are no cheaper than a scan, searches scan.

use std::sync::atomic::{AtomicU32, Ordering};

use rayon::{
    ThreadPool,
    iter::{IntoParallelRefIterator as _, ParallelIterator as _},
};

use crate::{
    generation::Generation,
    graph::{Graph, Walker},
    probe::Probe,
    search::{Ask, Found},
    split_mix,
    values::Moment,
};

/// The share of the nearest neighbours that a default search is to find, on average. The promise is
/// .98; a sample of [`QUERIES`] may be wrong by about one in a hundred.
const TARGET: f64 = 0.99;
/// Items that are taken for queries.
const QUERIES: usize = 96;
/// Numbers of results for which the candidates are counted; between them they are interpolated.
const DEPTHS: [usize; 3] = [10, 100, 1_000];
/// What a walk pays for one comparison, where a scan, which reads memory in order, pays one.
const WALK_COST: u64 = 4;
/// Not counted yet.
const UNKNOWN: u32 = 0;
/// A scan is as cheap as a walk that finds enough.
const SCAN: u32 = u32::MAX;

/// How hard a search tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// As hard as it takes here.
    Default,
    /// With so many candidates; more where codes leave a doubt.
    Walk(usize),
    /// Every item is looked at.
    Exact,
}

/// The fewest candidates for `k` results: some more than the results, or the codes alone would
/// decide which candidate is the last of them.
pub(crate) fn at_least(k: usize, ef: usize) -> usize {
    ef.max(k + k / 4 + 8)
}

/// The candidates that searches need, for each of [`DEPTHS`].
#[derive(Debug)]
pub(crate) struct Calibration {
    /// The index's own `ef_search`: never less.
    floor: usize,
    needed: [AtomicU32; DEPTHS.len()],
    /// How many slots were linked when they were counted.
    counted_at: AtomicU32,
}

impl Calibration {
    pub(crate) fn new(floor: usize) -> Self {
        Self { floor, needed: Default::default(), counted_at: AtomicU32::new(0) }
    }

    /// Candidates for `k` results; `None` where all items are to be looked at.
    pub(crate) fn effort(&self, k: usize) -> Option<usize> {
        let [first, .., last] = DEPTHS;
        let after = DEPTHS.iter().position(|&depth| k <= depth).unwrap_or(DEPTHS.len() - 1);
        let before = after.saturating_sub(1);
        let needed = |place: usize| self.needed[place].load(Ordering::Relaxed);
        let ef = match (needed(before), needed(after)) {
            (UNKNOWN | SCAN, _) | (_, SCAN) => return None,
            (low, _) if k <= first => low as usize,
            // Too few items to count for so many results: in proportion.
            (low, UNKNOWN) => low as usize * k / DEPTHS[before],
            (_, high) if k >= last => high as usize * k / last,
            (low, high) => {
                let (from, to) = (DEPTHS[before], DEPTHS[after]);
                (low as usize * (to - k) + high as usize * (k - from)) / (to - from)
            }
        };
        Some(at_least(k, ef))
    }

    /// Has the graph grown so much that it should be asked again? `idle`: there is nothing else to do.
    pub(crate) fn is_due(&self, linked: u32, idle: bool) -> bool {
        let counted_at = self.counted_at.load(Ordering::Relaxed);
        let grown = linked.saturating_sub(counted_at);
        if idle { grown > counted_at / 8 } else { grown > counted_at }
    }

    /// Takes over what was counted in the generation before this one. It is counted again soon.
    pub(crate) fn inherit(&self, old: &Self, linked: u32) {
        for (new, old) in self.needed.iter().zip(&old.needed) {
            new.store(old.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.counted_at.store(linked / 2, Ordering::Relaxed);
    }
}

/// An item that is taken for a query, and the true distances of its neighbours.
struct Sample {
    slot: u32,
    probe: Probe,
    nearest: Vec<f64>,
}

impl Generation {
    /// Counts how many candidates searches need.
    pub(crate) fn calibrate(&self, threads: &ThreadPool) {
        let (linked, moment) = (self.linked(), self.values.moment());
        let deepest = DEPTHS.into_iter().filter(|depth| 4 * depth <= linked as usize).max().unwrap_or(0);
        let samples = threads.install(|| self.samples(deepest, linked, moment));
        for (&depth, needed) in DEPTHS.iter().zip(&self.calibration.needed) {
            let ef = match samples.first() {
                Some(sample) if sample.nearest.len() >= depth => {
                    threads.install(|| self.needed(&samples, depth, linked, moment))
                }
                _ if depth == DEPTHS[0] => SCAN,
                _ => UNKNOWN,
            };
            needed.store(ef, Ordering::Relaxed);
        }
        self.calibration.counted_at.store(linked, Ordering::Relaxed);
        tracing::debug!(linked, calibration = ?self.calibration, "counted the candidates that searches need");
    }

    fn samples(&self, deepest: usize, linked: u32, moment: Moment) -> Vec<Sample> {
        let entry = self.graph.entry().map(|(slot, _)| slot);
        // Of the lowest level only: a walk that has to pass a node by can still begin anywhere.
        let fits = |&slot: &u32| {
            Some(slot) != entry && Graph::level(&self.values, slot) == 0 && self.values.alive(slot, moment)
        };
        let drawn =
            (0..16 * QUERIES as u64).map(|n| (split_mix(n ^ u64::from(linked)) % u64::from(linked.max(1))) as u32);
        let mut slots: Vec<u32> = drawn.filter(|slot| *slot < linked).filter(fits).take(QUERIES).collect();
        slots.sort_unstable();
        slots.dedup();
        let sample = |walker: &mut Walker, &slot: &u32| {
            let ask = Ask::new(Probe::query(&self.values.shape, &self.values.vector(slot)), deepest + 1, Effort::Exact);
            let found = self.scan(walker, &ask, deepest + 1, moment);
            let others = found.into_iter().filter(|&(_, other)| other != slot).map(|(distance, _)| distance);
            Sample { slot, nearest: others.take(deepest).collect(), probe: ask.probe }
        };
        slots.par_iter().map_init(Walker::default, sample).collect()
    }

    /// The candidates with which walks find enough of the `k` nearest.
    fn needed(&self, samples: &[Sample], k: usize, linked: u32, moment: Moment) -> u32 {
        let mut ef = at_least(k, self.calibration.floor);
        loop {
            let outcomes: Vec<(f64, u64)> = samples
                .par_iter()
                .map_init(Walker::default, |walker, sample| self.try_walk(walker, sample, (k, ef), (linked, moment)))
                .collect();
            let cost: u64 = outcomes.iter().map(|(_, cost)| cost).sum();
            if cost >= u64::from(linked) * samples.len() as u64 {
                return SCAN;
            }
            let recall = outcomes.iter().map(|(recall, _)| recall).sum::<f64>() / samples.len() as f64;
            if recall >= TARGET {
                return ef as u32;
            }
            ef += ef / 3;
        }
    }

    /// The share of the sample's neighbours that a walk finds, and its cost in comparisons of a scan.
    fn try_walk(
        &self,
        walker: &mut Walker,
        sample: &Sample,
        (k, ef): (usize, usize),
        (linked, moment): (u32, Moment),
    ) -> (f64, u64) {
        let ask = Ask::new(sample.probe.clone(), k, Effort::Walk(ef));
        walker.pass_by(Some(sample.slot));
        let found = self.widening_walk(walker, &ask, (k, ef), (linked, moment));
        walker.pass_by(None);
        let cost = WALK_COST * walker.take_met();
        let Some(found) = found else { return (1.0, cost + u64::from(linked)) };
        let farthest = sample.nearest[k - 1];
        let as_near = |&&(distance, _): &&Found| distance <= farthest;
        (found.iter().filter(as_near).count().min(k) as f64 / k as f64, cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calibration(needed: [u32; 3]) -> Calibration {
        Calibration { floor: 64, needed: needed.map(AtomicU32::new), counted_at: AtomicU32::new(1) }
    }

    #[test]
    fn effort_follows_the_number_of_results() {
        let known = calibration([64, 200, 1_300]);
        let efforts = [1, 10, 55, 100, 550, 1_000, 2_000].map(|k| known.effort(k));
        assert_eq!(efforts, [64, 64, 132, 200, 750, 1_300, 2_600].map(Some));
        assert_eq!([1, 10, 100, 200].map(|k| calibration([64, 200, UNKNOWN]).effort(k)), [64, 64, 200, 400].map(Some));
        assert_eq!([10, 11, 100].map(|k| calibration([64, SCAN, SCAN]).effort(k)), [Some(64), None, None]);
        assert_eq!(calibration([UNKNOWN; 3]).effort(1), None, "an index that was not asked yet scans");
        assert!((1..3_000).all(|k| known.effort(k) > Some(k)), "there are more candidates than results");
    }

    #[test]
    fn it_is_counted_again_when_the_graph_has_grown() {
        let fresh = Calibration::new(64);
        assert!(fresh.is_due(1, false) && !fresh.is_due(0, true));
        fresh.counted_at.store(1_000, Ordering::Relaxed);
        assert!(!fresh.is_due(2_000, false) && fresh.is_due(2_001, false));
        assert!(!fresh.is_due(1_125, true) && fresh.is_due(1_126, true));
    }
}
