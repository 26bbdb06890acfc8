//! Taking dead nodes out of the graph.

use super::{Graph, insert::Linker};
use crate::{pool::Candidate, probe::between, values::Values};

impl Graph {
    /// Relinks the living `slot` around its dead neighbours: their own links take their place, as
    /// far as they are the best of all. False where hardly any are left: then it is to be
    /// [inserted](Self::insert) anew. May run for several slots at once, but not beside inserts.
    pub(crate) fn mend(&self, values: &Values, linker: &mut Linker, slot: u32) -> bool {
        let mut enough = true;
        for level in 0..=Self::level(values, slot) {
            let links: Vec<u32> = self.links(values, slot, level).collect();
            let dead: Vec<u32> = links.iter().copied().filter(|&link| !values.undying(link)).collect();
            if dead.is_empty() {
                continue;
            }
            let beyond = dead.iter().flat_map(|&link| self.links(values, link, level));
            let mut candidates: Vec<u32> =
                links.iter().copied().chain(beyond).filter(|&link| link != slot && values.undying(link)).collect();
            candidates.sort_unstable();
            candidates.dedup();
            enough &= candidates.len() >= self.shape.m;
            let chosen = self.choose_among(values, linker, slot, level, candidates);
            let _lock = self.lock(slot);
            self.set_links(values, slot, level, &chosen);
        }
        enough
    }

    /// May it be that searches for this slot's own vector don't find it? That hardly any of its
    /// nearest nodes link back is the sign of it: among many that are nearly the same some are among
    /// nobody's best links, and a walk comes to them from far away only, if at all.
    pub(crate) fn is_suspect(&self, values: &Values, slot: u32) -> bool {
        const NEAR: usize = 8;
        const ENOUGH: usize = 3;
        let longest = self.longest();
        let scored = |link| Candidate::new(between(values, slot, link, longest), link);
        let mut near: Vec<Candidate> = self.links(values, slot, 0).map(scored).collect();
        near.sort_unstable();
        near.truncate(NEAR);
        let links_back = |other: &&Candidate| self.links(values, other.slot(), 0).any(|link| link == slot);
        near.iter().filter(links_back).count() < ENOUGH
    }

    /// `None` where a walk with `ef` candidates towards this slot's own vector comes to it; otherwise
    /// the nodes that the walk came to, nearest first: a link from any of them would lead to it.
    pub(crate) fn missed(
        &self,
        values: &Values,
        linker: &mut Linker,
        slot: u32,
        ef: usize,
        slots: u32,
    ) -> Option<Vec<u32>> {
        const SHORT: usize = 16;
        let entry = self.entry()?;
        linker.probe.become_item(values, slot, self.longest());
        let start = self.descend(values, &mut linker.walker, &linker.probe, entry, 0);
        // Nearly all are met by a short walk, which is cheap.
        for ef in [SHORT, ef] {
            self.walk(values, &mut linker.walker, &linker.probe, start, (0, ef, slots));
            if linker.walker.has_seen(slot) {
                return None;
            }
        }
        Some(linker.walker.pool.sorted().iter().map(|found| found.slot()).collect())
    }

    /// Links one of `near`, nearest first, with `slot`: one that has room if there is one. Not
    /// beside inserts.
    pub(crate) fn adopt(&self, values: &Values, near: &[u32], slot: u32) {
        let has_room = |found: &&u32| self.links(values, **found, 0).count() < self.width(0);
        if let Some(&from) = near.iter().find(has_room).or(near.first()) {
            self.force(values, from, 0, slot);
        }
    }

    /// Sees to it that a path on the lowest level leads from the entry to every living slot below
    /// `slots`, and tells how many links that took. Choosing the best links drops others, and where
    /// many vectors are nearly the same, the last one to a node may be among them. Not beside inserts.
    pub(crate) fn reconnect(&self, values: &Values, slots: u32) -> usize {
        /// A link that makes room for another may have been some node's last one.
        const ROUNDS: usize = 4;
        let Some((entry, _)) = self.entry() else { return 0 };
        let mut linker = Linker::new(values, entry);
        let mut links = 0;
        for _ in 0..ROUNDS {
            let mut reached = vec![false; slots as usize];
            self.flood(values, &mut reached, entry);
            let before = links;
            for slot in 0..slots {
                if !reached[slot as usize] && values.undying(slot) {
                    let near = self.missed(values, &mut linker, slot, self.shape.ef_construction, slots);
                    let mut near = near.unwrap_or_default();
                    near.retain(|&found| reached[found as usize]);
                    near.push(entry);
                    self.adopt(values, &near, slot);
                    self.flood(values, &mut reached, slot);
                    links += 1;
                }
            }
            if links == before {
                break;
            }
        }
        links
    }

    /// Marks what can be reached from `start`.
    fn flood(&self, values: &Values, reached: &mut [bool], start: u32) {
        let mut mark = |slot: u32| reached.get_mut(slot as usize).is_some_and(|seen| !std::mem::replace(seen, true));
        let mut frontier = vec![start];
        mark(start);
        while let Some(slot) = frontier.pop() {
            frontier.extend(self.links(values, slot, 0).filter(|&link| mark(link)));
        }
    }

    /// Moves the entry to a living node of the highest level there is, below `slots`.
    pub(crate) fn mend_entry(&self, values: &Values, slots: u32) {
        if self.entry().is_some_and(|(slot, _)| values.undying(slot)) {
            return;
        }
        let highest = (0..slots)
            .filter(|&slot| values.undying(slot))
            .map(|slot| (Self::level(values, slot), slot))
            .max_by_key(|&(level, slot)| (level, std::cmp::Reverse(slot)));
        self.set_entry(highest.map(|(level, slot)| (slot, level)));
    }
}
