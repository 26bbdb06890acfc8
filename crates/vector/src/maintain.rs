//! What goes on behind searches and commits: linking, mending, compaction. One step at a time, on
//! threads of the caller's choosing.

use std::sync::{Arc, atomic::Ordering};

use rayon::{
    ThreadPool,
    iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _},
};

use crate::{
    Index,
    generation::Generation,
    graph::{Graph, Linker, MAX_LEVEL, draw_level},
};

/// Slots linked in one step: enough to keep threads busy, few enough that the tail which searches
/// scan shrinks steadily.
const LINK_STEP: u32 = 1_024;
/// Dead nodes are tolerated up to this share of the graph before it is mended.
const MEND_SHARE: u32 = 32;
/// New nodes are looked at again once they are such a part of the graph and nothing else is to do,
const LOOK_SHARE: u32 = 64;
/// and all nodes after the graph has grown by such a part: that takes time in proportion to it.
const SURVEY_SHARE: u32 = 4;

/// Dead slots are tolerated up to this share of all (in percent) before the index is compacted.
const COMPACT_PERCENT: u64 = 25;

impl Index {
    /// Does one step of background work; false where there is nothing to do. Searches and commits
    /// go on meanwhile.
    pub fn maintain(&self, threads: &ThreadPool) -> bool {
        let _one_at_a_time = self.maintenance.lock();
        let generation = self.generation();
        let slots = generation.values.moment().slots;
        let linked = generation.linked();
        let (dead, unmended) = (generation.values.dead(), generation.unmended.load(Ordering::Relaxed));
        let unseen = linked.saturating_sub(generation.looked_at.load(Ordering::Relaxed));
        let grown = linked.saturating_sub(generation.surveyed.load(Ordering::Relaxed));
        let compact = dead >= self.tuning().compact_from && u64::from(dead) * 100 > u64::from(slots) * COMPACT_PERCENT;
        if unmended > 0 && (compact || unmended >= self.tuning().mend_from.max(linked / MEND_SHARE)) {
            self.mend(&generation, threads);
        } else if compact {
            self.compact(&generation);
        } else if grown > (linked / SURVEY_SHARE).max(8 * LINK_STEP) {
            self.reconnect(&generation, threads, true);
        } else if generation.calibration.is_due(linked, false) {
            generation.calibrate(threads);
        } else if linked < slots && (linked > 0 || generation.live() >= self.tuning().graph_from) {
            self.link(&generation, threads, linked..slots.min(linked + LINK_STEP));
        } else if unseen > linked / LOOK_SHARE {
            self.reconnect(&generation, threads, grown > linked / SURVEY_SHARE);
        } else if generation.calibration.is_due(linked, true) {
            generation.calibrate(threads);
        } else {
            return false;
        }
        true
    }

    fn link(&self, generation: &Generation, threads: &ThreadPool, slots: std::ops::Range<u32>) {
        let Generation { values, graph, .. } = generation;
        let wanted: Vec<u32> = slots.clone().filter(|&slot| values.undying(slot)).collect();
        // After a panic the same slots come again, and a walk may be among their rows already.
        let placed = generation.placed.load(Ordering::Relaxed);
        for &slot in wanted.iter().filter(|&&slot| slot >= placed) {
            graph.place(values, slot, draw_level(u64::from(slot), graph.shape.m));
            generation.placed.store(slot + 1, Ordering::Relaxed);
        }
        insert_all(generation, threads, wanted, slots.end);
        #[cfg(test)]
        threads.install(|| self.panic_if_told());
        // Under the commit lock a slot is killed either before this, and counted here, or after
        // it, and counted there.
        let _commit = self.commit.lock();
        let died = slots.clone().filter(|&slot| !values.undying(slot)).count();
        generation.unmended.fetch_add(died as u32, Ordering::Relaxed);
        generation.linked.store(slots.end, Ordering::Release);
    }

    /// In the middle of linking: the nodes have their links, and are not counted as linked.
    #[cfg(test)]
    fn panic_if_told(&self) {
        let less = |left: u32| left.checked_sub(1);
        if self.panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            panic!("injected: a panic in linking");
        }
    }

    fn mend(&self, generation: &Generation, threads: &ThreadPool) {
        let Generation { values, graph, .. } = generation;
        let unmended = {
            let _commit = self.commit.lock();
            generation.unmended.load(Ordering::Relaxed)
        };
        let linked = generation.linked();
        let starved: Vec<u32> = threads.install(|| {
            let living = (0..linked).into_par_iter().with_min_len(256).filter(|&slot| values.undying(slot));
            living
                .map_init(|| Linker::new(values, 0), |linker, slot| (slot, graph.mend(values, linker, slot)))
                .filter_map(|(slot, enough)| (!enough).then_some(slot))
                .collect()
        });
        graph.mend_entry(values, linked);
        insert_all(generation, threads, starved, linked);
        self.reconnect(generation, threads, true);
        // Whatever died since is still counted.
        generation.unmended.fetch_sub(unmended, Ordering::Relaxed);
    }

    /// Sees to it that searches for the vectors of new nodes find them; with `all`, for those of old
    /// ones too that look as if they had lost their links, and that a path leads to every node.
    fn reconnect(&self, generation: &Generation, threads: &ThreadPool, all: bool) {
        let Generation { values, graph, .. } = generation;
        let linked = generation.linked();
        let new = generation.looked_at.load(Ordering::Relaxed);
        let ef = self.params().ef_search;
        let missed: Vec<(u32, Vec<u32>)> = threads.install(|| {
            let slots = (if all { 0 } else { new }..linked).into_par_iter().with_min_len(256);
            slots
                .filter(|&slot| values.undying(slot) && (slot >= new || graph.is_suspect(values, slot)))
                .map_init(
                    || Linker::new(values, 0),
                    |linker, slot| Some((slot, graph.missed(values, linker, slot, ef, linked)?)),
                )
                .flatten()
                .collect()
        });
        for (slot, near) in &missed {
            graph.adopt(values, near, *slot);
        }
        generation.looked_at.store(linked, Ordering::Relaxed);
        let mut links = 0;
        if all {
            links = graph.reconnect(values, linked);
            generation.surveyed.store(linked, Ordering::Relaxed);
        }
        tracing::debug!(linked, all, missed = missed.len(), links, "looked at the graph's connections");
    }

    /// Moves the living slots into a new generation, links and all.
    fn compact(&self, old: &Generation) {
        let new = Generation::new(self.params());
        let slots = old.values.moment().slots;
        let linked = old.linked();
        // SAFETY: nobody else knows of the new generation, which is as good as holding its lock.
        let mut copying = unsafe { new.commit() };
        let mut places: Vec<Option<u32>> = Vec::with_capacity(slots as usize);
        let mut new_linked = 0;
        for slot in 0..slots {
            let place = old.values.undying(slot).then(|| copying.copy(old, slot));
            places.push(place);
            if let (Some(place), true) = (place, slot < linked) {
                new_linked = place + 1;
            }
        }
        copying.publish();
        copy_links(old, &new, &places[..linked as usize]);
        new.linked.store(new_linked, Ordering::Release);
        new.calibration.inherit(&old.calibration, new_linked);
        new.looked_at.store(new_linked.min(old.looked_at.load(Ordering::Relaxed)), Ordering::Relaxed);

        let _commit = self.commit.lock();
        // SAFETY: the lock is held.
        let mut catching_up = unsafe { new.commit() };
        for slot in slots..old.values.moment().slots {
            if old.values.undying(slot) {
                catching_up.copy(old, slot);
            }
        }
        for (slot, place) in (0..).zip(&places) {
            if let Some(place) = *place
                && !old.values.undying(slot)
            {
                catching_up.remove_slot(place);
            }
        }
        catching_up.publish();
        self.replace(Arc::new(new));
    }
}

/// Links `wanted`, which are placed, with each other and with all slots below `slots`.
fn insert_all(generation: &Generation, threads: &ThreadPool, wanted: Vec<u32>, slots: u32) {
    let Generation { values, graph, .. } = generation;
    threads.install(|| {
        wanted
            .into_par_iter()
            .for_each_init(|| Linker::new(values, 0), |linker, slot| graph.insert(values, linker, slot, slots));
    });
}

/// Rebuilds the links of `old` in `new`, where slot `n` has become `places[n]`.
fn copy_links(old: &Generation, new: &Generation, places: &[Option<u32>]) {
    let moved = |slot: u32| places.get(slot as usize).copied().flatten();
    for (slot, place) in (0..).zip(places) {
        let Some(place) = *place else { continue };
        let level = Graph::level(&old.values, slot);
        new.graph.place(&new.values, place, level);
        new.graph.lengthen(new.values.factors(place).aux);
    }
    let mut highest = None;
    for (slot, place) in (0..).zip(places) {
        let Some(place) = *place else { continue };
        let top = Graph::level(&old.values, slot);
        for level in 0..=top.min(MAX_LEVEL) {
            let links: Vec<u32> = old.graph.links(&old.values, slot, level).filter_map(moved).collect();
            new.graph.set_links(&new.values, place, level, &links);
        }
        if highest.is_none_or(|(_, level)| top > level) {
            highest = Some((place, top));
        }
    }
    new.graph.set_entry(highest);
}
