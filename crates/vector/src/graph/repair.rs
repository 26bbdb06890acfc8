//! Taking dead nodes out of the graph.

use super::{Graph, insert::Linker};
use crate::values::Values;

impl Graph {
    /// Relinks the living `slot` around its dead neighbours: their own links take their place, as
    /// far as they are the best of all. May run for several slots at once, but not beside inserts.
    pub(crate) fn mend(&self, values: &Values, linker: &mut Linker, slot: u32) {
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
            let chosen = self.choose_among(values, linker, slot, level, candidates);
            let _lock = self.lock(slot);
            self.set_links(values, slot, level, &chosen);
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
