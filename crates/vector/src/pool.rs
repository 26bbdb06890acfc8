//! Candidates of a walk, kept in order of their scores.

/// A slot and its score in one integer that sorts by score. The lowest bit says whether a walk
/// has been there; slots have 31 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate(u64);

impl Candidate {
    const VISITED: u64 = 1;

    #[inline(always)]
    pub(crate) fn new(score: f32, slot: u32) -> Self {
        let bits = score.to_bits();
        // Floats sort like sign-and-magnitude integers: flip all bits of negative ones, the sign of others.
        let sorted = bits ^ (((bits.cast_signed() >> 31).cast_unsigned()) | 0x8000_0000);
        Self(u64::from(sorted) << 32 | u64::from(slot) << 1)
    }

    #[inline(always)]
    pub(crate) const fn slot(self) -> u32 {
        (self.0 as u32) >> 1
    }

    #[inline(always)]
    pub(crate) fn score(self) -> f32 {
        let sorted = (self.0 >> 32) as u32;
        f32::from_bits(sorted ^ (((!sorted.cast_signed()) >> 31).cast_unsigned() | 0x8000_0000))
    }

    /// The same, not visited yet: as where a new walk begins.
    pub(crate) const fn afresh(self) -> Self {
        Self(self.0 & !Self::VISITED)
    }

    const fn visited(self) -> bool {
        self.0 & Self::VISITED != 0
    }
}

/// The best candidates seen so far, at most `capacity`, in a sorted array: at the sizes that
/// searches use, moving a few cache lines beats a heap's branches.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    sorted: Vec<Candidate>,
    capacity: usize,
    /// All before this place are visited.
    next: usize,
}

impl Pool {
    pub(crate) fn reset(&mut self, capacity: usize) {
        self.sorted.clear();
        self.sorted.reserve(capacity + 1);
        self.capacity = capacity;
        self.next = 0;
    }

    /// Only a better score than this gets in.
    #[inline(always)]
    pub(crate) fn limit(&self) -> f32 {
        if self.sorted.len() < self.capacity {
            return f32::INFINITY;
        }
        self.sorted.last().map_or(f32::INFINITY, |worst| worst.score())
    }

    /// Has a candidate had to go, or would the next one?
    pub(crate) fn is_full(&self) -> bool {
        self.sorted.len() == self.capacity
    }

    /// Puts a candidate into its place, if there is one for it.
    #[inline]
    pub(crate) fn push(&mut self, candidate: Candidate) {
        let place = self.sorted.partition_point(|other| *other < candidate);
        if self.sorted.len() < self.capacity {
            self.sorted.insert(place, candidate);
        } else if place < self.capacity {
            self.sorted.copy_within(place..self.capacity - 1, place + 1);
            self.sorted[place] = candidate;
        } else {
            return;
        }
        self.next = self.next.min(place);
    }

    /// The nearest candidate that was not visited yet; it is from now on.
    #[inline]
    pub(crate) fn visit_next(&mut self) -> Option<u32> {
        while let Some(candidate) = self.sorted.get_mut(self.next) {
            self.next += 1;
            if !candidate.visited() {
                candidate.0 |= Candidate::VISITED;
                return Some(candidate.slot());
            }
        }
        None
    }

    /// The one that [`Self::visit_next`] would probably name next.
    #[inline]
    pub(crate) fn peek_next(&self) -> Option<u32> {
        self.sorted.get(self.next).filter(|candidate| !candidate.visited()).map(|candidate| candidate.slot())
    }

    /// Best first.
    pub(crate) fn sorted(&self) -> &[Candidate] {
        &self.sorted
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn candidates_sort_by_score_and_keep_both_parts(a in any::<f32>(), b in any::<f32>(), slot in 0_u32..1 << 31) {
            let (x, y) = (Candidate::new(a, slot), Candidate::new(b, slot));
            prop_assert_eq!(x.cmp(&y), a.total_cmp(&b));
            prop_assert_eq!(x.slot(), slot);
            prop_assert_eq!(x.score().to_bits(), a.to_bits());
        }

        #[test]
        fn a_pool_keeps_the_best_and_visits_them_all(scores in vec(-10.0_f32..10.0, 0..200), capacity in 1_usize..40) {
            let mut pool = Pool::default();
            pool.reset(capacity);
            let mut visited = Vec::new();
            for (slot, &score) in scores.iter().enumerate() {
                if score < pool.limit() {
                    pool.push(Candidate::new(score, slot as u32));
                }
                if slot % 3 == 0 {
                    visited.extend(pool.visit_next());
                }
            }
            while let Some(slot) = pool.visit_next() {
                visited.push(slot);
            }
            let kept: Vec<f32> = pool.sorted().iter().map(|candidate| candidate.score()).collect();
            let mut expected = scores.clone();
            expected.sort_by(f32::total_cmp);
            expected.truncate(capacity);
            prop_assert_eq!(kept, expected);
            prop_assert!(pool.sorted().iter().all(|candidate| visited.contains(&candidate.slot())));
            let before = visited.len();
            visited.sort_unstable();
            visited.dedup();
            prop_assert_eq!(visited.len(), before, "a candidate was visited twice");
        }
    }
}
