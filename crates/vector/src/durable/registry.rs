//! All indexes of a service.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use lakehouse_objstore::ObjectStore;
use lakehouse_types::{
    Name, ServiceError as _,
    vector::{
        AddRequest, AddResponse, CreateIndexRequest, DeleteRequest, DeleteResponse, IndexInfo, IndexList, Item,
        MergeRequest, MergeResponse, QuarantinedIndex, SearchRequest, SearchResponse,
    },
};
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::{
    Options,
    collection::{Collection, IndexMetrics, State, Store},
    lifecycle::{Reservation, Slot, Slots, drop_slot, take, write_empty},
    load::{self, Context, blocking},
    maintenance::Maintenance,
    merge, save,
    takeover::Files,
};
use crate::{Change, Error, Index, Params, Query, Result};

/// How often idle logs are looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// Saves at once: each reads a whole index.
const SAVES: usize = 2;
/// A scan of more vectors than this is no work for a thread that serves connections.
const QUICK_SCAN: usize = 4_096;

/// All indexes of a service, each durable in the store, or in memory only without one. Every
/// method may be called at any time from any task of a tokio runtime.
#[derive(Debug)]
pub struct Registry {
    context: Context,
    slots: Slots,
    /// What runs beside the calls; ends with the registry.
    beside: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.beside.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Registry {
    /// Loads every index that the store has, several at once. One that can't be loaded is
    /// [quarantined](Self::quarantined); the others serve. One that the store did not give in time is
    /// asked for again until it does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the store can't be listed: try again later.
    pub async fn open(store: Option<Arc<dyn ObjectStore>>, options: Options) -> Result<Self> {
        let maintenance = Maintenance::start(options.threads).map_err(|error| {
            tracing::error!(%error, "start maintenance threads");
            Error::Internal("start maintenance threads")
        })?;
        let context = Context {
            options: Arc::new(options),
            store: store.map(Store),
            maintenance,
            save_wanted: Arc::new(Notify::new()),
        };
        let (slots, unread) = load_all(&context).await?;
        let slots = Arc::new(RwLock::new(slots));
        let mut beside = vec![tokio::spawn(sweep(Arc::clone(&slots), context.clone()))];
        if !unread.is_empty() {
            beside.push(tokio::spawn(load_again(Arc::clone(&slots), context.clone(), unread)));
        }
        Ok(Self { context, slots, beside })
    }

    /// Is everything lost with the process?
    #[must_use]
    pub const fn ephemeral(&self) -> bool {
        self.context.store.is_none()
    }

    pub(super) fn collection(&self, name: &str) -> Result<Arc<Collection>> {
        match self.slots.read().get(name) {
            Some(Slot::Serving(collection)) if !collection.is_dropped() => Ok(Arc::clone(collection)),
            Some(Slot::Quarantined(reason)) => {
                Err(Error::Quarantined { name: name.to_owned(), reason: reason.clone() })
            }
            Some(Slot::Serving(_) | Slot::Busy) | None => Err(Error::NoIndex(name.to_owned())),
        }
    }

    /// Creates an empty index.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Exists`], [`Error::Quarantined`], or the store's.
    pub async fn create(&self, request: &CreateIndexRequest) -> Result<IndexInfo> {
        let params = Params::from_request(request)?;
        let reservation = self.reserve(&request.name)?;
        let index = Index::new(params, self.context.options.tuning);
        let incarnation = rand::random();
        let (etag, file_bytes) = match &self.context.store {
            None => Default::default(),
            Some(store) => write_empty(store, &self.context.options, &request.name, &index, incarnation).await?,
        };
        let state = State::of_file(0, etag, file_bytes);
        let collection = Collection::start(self.context.core(request.name.clone(), index, incarnation, state));
        let info = collection.info();
        reservation.become_slot(Slot::Serving(collection));
        Ok(info)
    }

    /// Takes a name that is free.
    fn reserve(&self, name: &Name) -> Result<Reservation> {
        let mut slots = self.slots.write();
        match slots.get(name.as_str()) {
            None => {
                slots.insert(name.to_string(), Slot::Busy);
                Ok(Reservation { slots: Arc::clone(&self.slots), name: name.to_string() })
            }
            Some(Slot::Serving(collection)) if !collection.is_dropped() => Err(Error::Exists(name.to_string())),
            Some(Slot::Quarantined(reason)) => {
                Err(Error::Quarantined { name: name.to_string(), reason: reason.clone() })
            }
            Some(Slot::Serving(_) | Slot::Busy) => Err(Error::Busy(name.to_string())),
        }
    }

    /// Removes an index and all it has in the store, also one that is quarantined.
    ///
    /// # Errors
    /// [`Error::NoIndex`], or the store's.
    pub async fn drop_index(&self, name: &str) -> Result<()> {
        let collection = match self.collection(name) {
            Err(Error::Quarantined { .. }) => None,
            other => Some(other?),
        };
        let (slots, store) = (Arc::clone(&self.slots), self.context.store.clone());
        // A task of its own: a caller that stops waiting must not leave half of it undone.
        let (told, answer) = tokio::sync::oneshot::channel();
        let dropping = drop_slot(slots, store, name.to_owned(), collection);
        tokio::spawn(async move {
            match dropping.await {
                Ok(removal) => {
                    let removed = match removal {
                        Some(removal) => removal.run().await,
                        None => Ok(()),
                    };
                    drop(told.send(removed));
                }
                Err(error) => drop(told.send(Err(error))),
            }
        });
        // Once it is dropped it is dropped: if the store is slow to forget it, that goes on behind.
        match tokio::time::timeout(self.context.options.store_timeout, answer).await {
            Ok(answer) => answer.map_err(|_| Error::Internal("the removal of an index died"))?,
            Err(_) if matches!(self.collection(name), Err(Error::NoIndex(_))) => Ok(()),
            Err(_) => Err(Error::Busy(name.to_owned())),
        }
    }

    /// Every index, sorted by name.
    #[must_use]
    pub fn list(&self) -> IndexList {
        let indexes = self.serving().iter().map(|collection| collection.info()).collect();
        IndexList { indexes, quarantined: self.quarantined() }
    }

    fn serving(&self) -> Vec<Arc<Collection>> {
        let mut serving = serving(&self.slots);
        serving.retain(|collection| !collection.is_dropped());
        serving
    }

    /// What is known of an index.
    ///
    /// # Errors
    /// [`Error::NoIndex`] or [`Error::Quarantined`].
    pub fn info(&self, name: &str) -> Result<IndexInfo> {
        Ok(self.collection(name)?.info())
    }

    /// The indexes that do not serve because their files are bad.
    #[must_use]
    pub fn quarantined(&self) -> Vec<QuarantinedIndex> {
        let slots = self.slots.read();
        let bad = slots.iter().filter_map(|(name, slot)| match slot {
            Slot::Quarantined(reason) => Some(QuarantinedIndex { name: name.clone(), reason: reason.clone() }),
            _ => None,
        });
        bad.collect()
    }

    /// Sizes and times of every index, for metrics.
    #[must_use]
    pub fn metrics(&self) -> Vec<IndexMetrics> {
        self.serving().iter().map(|collection| collection.metrics()).collect()
    }

    /// Adds items, or replaces those that are there: all of them or none.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first bad item; [`Error::NoIndex`]; or the store's, and then
    /// nothing was changed.
    pub async fn add(&self, name: &str, request: AddRequest) -> Result<AddResponse> {
        let collection = self.collection(name)?;
        let (items, duplicates) = collection.core.index.params().check_batch(request.items)?;
        let _shared = collection.writes.read().await;
        let outcome = collection.commit(Change::Add(items)).await?;
        Ok(AddResponse { added: outcome.added, updated: outcome.updated, duplicates })
    }

    /// Removes items. One that is not there is no error.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub async fn delete(&self, name: &str, request: DeleteRequest) -> Result<DeleteResponse> {
        let collection = self.collection(name)?;
        collection.core.index.check_ids(&request.ids)?;
        let _shared = collection.writes.read().await;
        let outcome = collection.commit(Change::Delete(request.ids)).await?;
        Ok(DeleteResponse { deleted: outcome.deleted, missing: outcome.missing })
    }

    /// One item, as it was given.
    ///
    /// # Errors
    /// [`Error::NoIndex`], [`Error::Quarantined`] or [`Error::NoItem`].
    pub fn get(&self, name: &str, id: &str) -> Result<Item> {
        let item = self.collection(name)?.core.index.get(id);
        item.ok_or_else(|| Error::NoItem { index: name.to_owned(), id: id.to_owned() })
    }

    /// The items nearest to `request.vector`, nearest first. (`request.text` is for the service,
    /// which turns it into a vector first.)
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::NoIndex`] or [`Error::Quarantined`].
    pub async fn search(&self, name: &str, request: SearchRequest) -> Result<SearchResponse> {
        let collection = self.collection(name)?;
        let index = &collection.core.index;
        let scans = index.scans(request.k) && index.len() > QUICK_SCAN;
        let large = request.exact || request.k.max(request.ef.unwrap_or(0)) > 1_000;
        if scans || large || request.filter.is_some() {
            let collection = Arc::clone(&collection);
            blocking(move || search(&collection.core.index, &request)).await?
        } else {
            search(index, &request)
        }
    }

    /// Copies the items of `source` into another index; see [`MergeRequest`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where the two don't fit together, [`Error::NoIndex`], or the store's: then
    /// some items may have been merged, and the same call again does the rest.
    pub async fn merge(&self, source: &str, request: &MergeRequest) -> Result<MergeResponse> {
        let from = self.collection(source)?;
        let dest = self.collection(request.dest.as_str())?;
        merge::merge(&from, &dest, request.clear_source).await
    }

    /// Writes the file of every index that has changed since, so that the next start is quick.
    /// Nothing is lost without it, nor if it is cut short.
    pub async fn save_all(&self) {
        save_each(self.serving().into_iter().filter(|collection| collection.core.differs_from_file())).await;
    }
}

fn serving(slots: &Slots) -> Vec<Arc<Collection>> {
    let slots = slots.read();
    let serving = slots.values().filter_map(|slot| match slot {
        Slot::Serving(collection) => Some(Arc::clone(collection)),
        _ => None,
    });
    serving.collect()
}

fn search(index: &Index, request: &SearchRequest) -> Result<SearchResponse> {
    let vector = request.vector.as_deref().ok_or_else(|| Error::invalid("`vector` is missing"))?;
    index.search(&Query {
        vector,
        k: request.k,
        ef: request.ef,
        filter: request.filter.as_ref(),
        with_vectors: request.with_vectors,
        exact: request.exact,
    })
}

/// An index that the store did not give: its name, and the files that it has.
type Unread = (String, Files);

async fn load_all(context: &Context) -> Result<(BTreeMap<String, Slot>, Vec<Unread>)> {
    let Some(store) = &context.store else { return Ok(Default::default()) };
    let names = load::discover(&*store.0, context.options.load_timeout).await?;
    let loads = names.into_iter().map(|(name, files)| async move {
        let (slot, unread) = load_one(context, store, &name, files).await;
        (name, files, slot, unread)
    });
    let parallel = context.options.load_parallel.max(1);
    let loaded: Vec<_> = stream::iter(loads).buffer_unordered(parallel).collect().await;
    let mut unread = Vec::new();
    let mut slots = BTreeMap::new();
    for (name, files, slot, again) in loaded {
        if again {
            unread.push((name.clone(), files));
        }
        slots.extend(slot.map(|slot| (name, slot)));
    }
    Ok((slots, unread))
}

/// What stands under the name after an attempt to load it, and whether to try again.
async fn load_one(context: &Context, store: &Store, name: &str, files: Files) -> (Option<Slot>, bool) {
    let started = Instant::now();
    match load::load(context, store, name, files).await {
        Ok(Some(core)) => {
            let items = core.stats().items;
            tracing::info!(index = name, items, milliseconds = started.elapsed().as_millis() as u64, "loaded");
            (Some(Slot::Serving(Collection::start(core))), false)
        }
        Ok(None) => (None, false),
        Err(error) => {
            tracing::error!(index = name, %error, "load index: it is quarantined, its files are kept");
            match error {
                Error::BadFrame { reason, .. } => (Some(Slot::Quarantined(reason)), false),
                other => (Some(Slot::Quarantined(format!("{}; it is tried again", other.detail()))), true),
            }
        }
    }
}

/// Tries the indexes that could not be read until each of them is, or is known to be bad.
async fn load_again(slots: Slots, context: Context, mut unread: Vec<Unread>) {
    let Some(store) = context.store.clone() else { return };
    while !unread.is_empty() {
        tokio::time::sleep(SWEEP).await;
        for (name, files) in std::mem::take(&mut unread) {
            if !matches!(slots.read().get(&name), Some(Slot::Quarantined(_))) {
                continue;
            }
            let (slot, again) = load_one(&context, &store, &name, files).await;
            let mut slots = slots.write();
            // It may have been removed meanwhile, and then the name may even be another's.
            if matches!(slots.get(&name), Some(Slot::Quarantined(_))) {
                match slot {
                    Some(slot) => drop(slots.insert(name.clone(), slot)),
                    None => drop(slots.remove(&name)),
                }
                if again {
                    unread.push((name, files));
                }
            }
        }
    }
}

/// Saves what is due, for as long as the registry lives.
async fn sweep(slots: Slots, context: Context) {
    loop {
        let idle = tokio::time::timeout(SWEEP, context.save_wanted.notified()).await.is_err();
        // The drop of a process before this one may have come into the log after it was read.
        for gone in serving(&slots).into_iter().filter(|collection| collection.is_dropped()) {
            let name = gone.name().to_owned();
            if let Some(removal) = take(Arc::clone(&slots), context.store.clone(), &name, Some(gone))
                && let Err(error) = removal.run().await
            {
                tracing::warn!(index = name, %error, "remove a dropped index");
            }
        }
        save_each(serving(&slots).into_iter().filter(|collection| collection.core.save_due(idle))).await;
    }
}

async fn save_each(collections: impl Iterator<Item = Arc<Collection>>) {
    stream::iter(collections)
        .for_each_concurrent(SAVES, async |collection| {
            if let Err(error) = save::save(&collection.core).await {
                tracing::warn!(index = collection.name(), %error, "save index");
            }
        })
        .await;
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_search_waits_for_no_change_that_is_being_applied() {
        let registry = Registry::open(None, Options::default()).await.expect("opens");
        let request = serde_json::from_str(r#"{"name": "a", "dimension": 2, "distance": "l2"}"#);
        registry.create(&request.expect("a request")).await.expect("creates");
        let request = serde_json::from_str(r#"{"items": [{"id": "x", "vector": [1, 2]}]}"#);
        registry.add("a", request.expect("a request")).await.expect("adds");
        let (found, answer) = mpsc::channel();
        // What a change holds while it is applied; a thread that waits for it would wait for ever.
        let searching = thread::spawn(move || {
            let core = Arc::clone(&registry.collection("a").expect("there").core);
            let _applying = (core.state.lock(), core.index.commit.lock());
            let request = serde_json::from_str(r#"{"vector": [1, 2], "k": 1}"#).expect("a request");
            let hits = registry.search("a", request).now_or_never();
            let _ = found.send(hits.map(|hits| hits.expect("searches").results.len()));
        });
        assert_eq!(answer.recv_timeout(Duration::from_secs(60)), Ok(Some(1)));
        searching.join().expect("ends");
    }
}
