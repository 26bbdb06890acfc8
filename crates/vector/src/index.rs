//! An index in memory: values, graph, and the rules of what a change does to them.

use std::sync::Arc;

use lakehouse_types::vector::{AddItem, Filter, Item, SearchHit, SearchResponse};
use parking_lot::{Mutex, RwLock};
use serde_json::value::RawValue;

use crate::{
    Error, Params, Result,
    effort::Effort,
    filter::Matcher,
    generation::{Generation, Written},
    graph::Walker,
    params::{MAX_ID_BYTES, MAX_RESULT_METADATA, MAX_RESULT_NUMBERS, MAX_RESULTS, check_id},
    probe::Probe,
    rows,
    same::{same_bits, same_metadata},
    search::{Answer, Ask, Found},
    values::Values,
};

/// Sizes at which an index changes its ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Below so many items a search looks at all of them, and there is no graph.
    pub graph_from: usize,
    /// Below so many dead nodes a graph is not mended; above, from a thirty-second of it on.
    pub mend_from: u32,
    /// Below so many dead slots an index is not compacted; above, from a quarter of all on.
    pub compact_from: u32,
}

impl Default for Tuning {
    fn default() -> Self {
        // A scan of 4,000 vectors of 384 numbers takes as long as a walk among 30,000 of them
        // (`examples/recall.rs`), finds everything, and needs no graph.
        Self { graph_from: 2_000, mend_from: 64, compact_from: 1_024 }
    }
}

/// A change that was [checked](Params::check_batch): it can't fail any more.
#[derive(Debug, Clone)]
pub enum Change {
    /// Adds the items, or replaces those that are there.
    Add(Vec<AddItem>),
    /// Adds the items whose ids are not there.
    AddMissing(Vec<AddItem>),
    /// Removes the ids.
    Delete(Vec<String>),
    /// Removes the items that are still the same, vector and metadata.
    DeleteSame(Vec<AddItem>),
}

/// What a change did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Items that were not there before.
    pub added: u64,
    /// Items that were there and were replaced.
    pub updated: u64,
    /// Items that were there, or are not the same any more, and were left alone.
    pub kept: u64,
    /// Items that are gone.
    pub deleted: u64,
    /// Ids to delete that were not there.
    pub missing: u64,
}

/// What a search looks for.
#[derive(Debug, Clone, Default)]
pub struct Query<'a> {
    /// As many numbers as the index has dimensions.
    pub vector: &'a [f32],
    /// How many results at most.
    pub k: usize,
    /// Candidates to keep; where absent, as many as this index needs for `k` results.
    pub ef: Option<usize>,
    /// Only items whose metadata match.
    pub filter: Option<&'a Filter>,
    /// Answer with vectors.
    pub with_vectors: bool,
    /// Look at every item instead of walking the graph.
    pub exact: bool,
}

/// Sizes of an index, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Items.
    pub items: u64,
    /// Slots that the graph covers.
    pub linked: u64,
    /// Slots that still wait to be linked.
    pub backlog: u64,
    /// Slots whose item was deleted or replaced, as a share of all slots.
    pub dead_fraction: f64,
    /// Memory that the index takes, in bytes, as far as it knows.
    pub bytes: u64,
}

/// See the module. Every method may be called from any thread; searches wait for nobody.
#[derive(Debug)]
pub struct Index {
    params: Params,
    tuning: Tuning,
    /// Held only to copy or replace the pointer.
    current: RwLock<Arc<Generation>>,
    /// Whoever changes items holds this.
    pub(crate) commit: Mutex<()>,
    /// Whoever changes links holds this.
    pub(crate) maintenance: Mutex<()>,
    walkers: Mutex<Vec<Walker>>,
    /// So many steps of linking panic, for tests of what happens then.
    #[cfg(test)]
    pub(crate) panics: std::sync::atomic::AtomicU32,
}

impl Index {
    /// An empty index. `params` were [checked](Params::checked).
    #[must_use]
    pub fn new(params: Params, tuning: Tuning) -> Self {
        Self::from_generation(params, tuning, Generation::new(&params))
    }

    pub(crate) fn from_generation(params: Params, tuning: Tuning, generation: Generation) -> Self {
        Self {
            params,
            tuning,
            current: RwLock::new(Arc::new(generation)),
            commit: Mutex::new(()),
            maintenance: Mutex::new(()),
            walkers: Mutex::new(Vec::new()),
            #[cfg(test)]
            panics: std::sync::atomic::AtomicU32::new(0),
        }
    }

    /// What it was created with.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// The sizes at which it changes its ways.
    #[must_use]
    pub const fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.current.read())
    }

    pub(crate) fn replace(&self, generation: Arc<Generation>) {
        *self.current.write() = generation;
    }

    /// Is there room for so many more items?
    ///
    /// # Errors
    /// [`Error::Full`] where there is not.
    pub fn check_room(&self, items: usize) -> Result<()> {
        let slots = self.generation().values.moment().slots as usize;
        // Compaction needs a while to give slots back: keep a margin.
        let most = (rows::MAX_ROWS / 2) as usize;
        if slots + items > most { Err(Error::Full("it has as many items as an index can have")) } else { Ok(()) }
    }

    /// Commits a change: seen by every search that begins after this returns, and by none before.
    pub fn apply(&self, change: &Change) -> Outcome {
        self.apply_all([change]).into_iter().next().unwrap_or_default()
    }

    /// Commits changes in their order; they become visible together.
    pub fn apply_all<'c>(&self, changes: impl IntoIterator<Item = &'c Change>) -> Vec<Outcome> {
        let _commit = self.commit.lock();
        let generation = self.generation();
        // SAFETY: the lock is held until the end of this function.
        let mut commit = unsafe { generation.commit() };
        let outcomes = changes
            .into_iter()
            .map(|change| {
                let mut outcome = Outcome::default();
                match change {
                    Change::Add(items) | Change::AddMissing(items) => {
                        let replace = matches!(change, Change::Add(_));
                        for item in items {
                            let metadata = item.metadata.as_ref().map(|text| text.get());
                            match commit.put(&item.id, &item.vector, metadata, replace) {
                                Written::Added => outcome.added += 1,
                                Written::Updated => outcome.updated += 1,
                                Written::Kept => outcome.kept += 1,
                            }
                        }
                    }
                    Change::Delete(ids) => {
                        for id in ids {
                            if commit.remove(id) { outcome.deleted += 1 } else { outcome.missing += 1 }
                        }
                    }
                    Change::DeleteSame(items) => {
                        for item in items {
                            match generation.find(&item.id) {
                                Some(slot) if is_same(&generation.values, slot, item) => {
                                    commit.remove(&item.id);
                                    outcome.deleted += 1;
                                }
                                Some(_) => outcome.kept += 1,
                                None => outcome.missing += 1,
                            }
                        }
                    }
                }
                outcome
            })
            .collect();
        commit.publish();
        outcomes
    }

    /// The item, as it was given.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Item> {
        self.find(id).map(|(generation, slot)| item(&generation.values, slot))
    }

    /// Is there such an item, with this vector and these metadata?
    #[must_use]
    pub fn holds(&self, item: &AddItem) -> bool {
        self.find(&item.id).is_some_and(|(generation, slot)| is_same(&generation.values, slot, item))
    }

    /// Where the item is, as of the last commit.
    fn find(&self, id: &str) -> Option<(Arc<Generation>, u32)> {
        if id.len() > MAX_ID_BYTES {
            return None;
        }
        let generation = self.generation();
        let moment = generation.values.moment();
        if let Some(slot) = generation.find(id).filter(|&slot| generation.values.alive(slot, moment)) {
            return Some((generation, slot));
        }
        // It is not there, or a commit has it in hand, of which nobody may see a part.
        let _commit = self.commit.lock();
        let generation = self.generation();
        let slot = generation.find(id)?;
        Some((generation, slot))
    }

    /// Is there such an item?
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// Every id, in no particular order.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let generation = self.generation();
        let values = &generation.values;
        let moment = values.moment();
        let live = (0..moment.slots).filter(|&slot| values.alive(slot, moment));
        live.map(|slot| values.record(slot).id().to_owned()).collect()
    }

    /// The nearest items, nearest first: as many as there are (and match), up to `k`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the query makes no sense.
    pub fn search(&self, query: &Query<'_>) -> Result<SearchResponse> {
        let ask = self.check_query(query)?;
        let generation = self.generation();
        let Answer { found, exact } = self.with_walker(|walker| generation.search(walker, &ask));
        let values = &generation.values;
        let metadata = |&(_, slot): &Found| values.record(slot).metadata().map_or(0, str::len);
        if found.iter().map(metadata).sum::<usize>() > MAX_RESULT_METADATA {
            let most = MAX_RESULT_METADATA >> 20;
            return Err(Error::invalid(format!("the results' metadata are larger than {most} MiB: ask for fewer")));
        }
        let results = found.into_iter().map(|found| hit(values, found, query.with_vectors)).collect();
        Ok(SearchResponse { results, exact })
    }

    /// The error that [`Self::search`] would give, without searching.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the query makes no sense.
    pub fn check(&self, query: &Query<'_>) -> Result<()> {
        self.check_query(query).map(drop)
    }

    fn check_query<'q>(&self, query: &Query<'q>) -> Result<Ask<'q>> {
        self.params.check_vector(query.vector).map_err(Error::Invalid)?;
        for (name, value) in [("k", query.k), ("ef", query.ef.unwrap_or(1))] {
            if !(1..=MAX_RESULTS).contains(&value) {
                return Err(Error::invalid(format!("`{name}` is {value}; it must be in 1..={MAX_RESULTS}")));
            }
        }
        if query.with_vectors && query.k * self.params.dimension > MAX_RESULT_NUMBERS {
            let most = MAX_RESULT_NUMBERS / self.params.dimension;
            return Err(Error::invalid(format!("`k` is {}; with vectors it must be in 1..={most} here", query.k)));
        }
        let filter = query.filter.map(Matcher::new).transpose()?;
        let probe = Probe::query(&self.generation().values.shape, query.vector);
        let effort = if query.exact { Effort::Exact } else { query.ef.map_or(Effort::Default, Effort::Walk) };
        Ok(Ask { probe, k: query.k, effort, filter })
    }

    fn with_walker<T>(&self, work: impl FnOnce(&mut Walker) -> T) -> T {
        let mut walker = self.walkers.lock().pop().unwrap_or_default();
        let result = work(&mut walker);
        self.walkers.lock().push(walker);
        result
    }

    /// Checks ids that are to be deleted or got.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first bad one's position.
    pub fn check_ids(&self, ids: &[String]) -> Result<()> {
        if ids.is_empty() {
            return Err(Error::invalid("`ids` is empty"));
        }
        for (position, id) in ids.iter().enumerate() {
            check_id(id).map_err(|reason| Error::Invalid(format!("id {position}: {reason}")))?;
        }
        Ok(())
    }

    /// Sizes, for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let generation = self.generation();
        let slots = generation.values.moment().slots;
        let items = generation.live() as u64;
        Stats {
            items,
            linked: u64::from(generation.linked().min(slots)),
            backlog: self.backlog(),
            dead_fraction: f64::from(generation.values.dead()) / f64::from(slots.max(1)),
            bytes: generation.bytes() as u64,
        }
    }

    /// The number of items. Waits for nobody.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generation().live()
    }

    /// Are there no items?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots that still wait to be linked, and are scanned by every search until then. Waits for nobody.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        let generation = self.generation();
        let slots = generation.values.moment().slots;
        let linked = generation.linked().min(slots);
        let waits = linked > 0 || generation.live() >= self.tuning.graph_from;
        if waits { u64::from(slots - linked) } else { 0 }
    }

    /// Does a search that names no `ef` look at every item? There may be no graph, or walks that find
    /// enough of `k` results are no cheaper here.
    #[must_use]
    pub fn scans(&self, k: usize) -> bool {
        let generation = self.generation();
        let slots = generation.values.moment().slots as usize;
        generation.linked() == 0 || generation.calibration.effort(k).is_none_or(|ef| 4 * ef > slots)
    }

    /// Items that a search finds by walking the graph.
    #[must_use]
    pub fn indexed(&self) -> u64 {
        let generation = self.generation();
        let values = &generation.values;
        let dead = values.dead().min(generation.linked());
        u64::from(generation.linked() - dead)
    }
}

/// Does the slot hold what `item` says?
fn is_same(values: &Values, slot: u32, item: &AddItem) -> bool {
    same_bits(&values.vector(slot), &item.vector)
        && same_metadata(values.record(slot).metadata(), item.metadata.as_deref().map(RawValue::get))
}

fn raw(text: &str) -> Option<Box<RawValue>> {
    // It was read as JSON on its way in.
    RawValue::from_string(text.to_owned()).ok()
}

fn item(values: &Values, slot: u32) -> Item {
    let record = values.record(slot);
    Item { id: record.id().to_owned(), vector: values.vector(slot), metadata: record.metadata().and_then(raw) }
}

fn hit(values: &Values, (distance, slot): Found, with_vector: bool) -> SearchHit {
    let record = values.record(slot);
    SearchHit {
        id: record.id().to_owned(),
        distance,
        metadata: record.metadata().and_then(raw),
        vector: with_vector.then(|| values.vector(slot)),
    }
}
