//! How an index comes into being and how it goes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lakehouse_objstore::{Condition, PutOptions};
use lakehouse_types::{Name, ServiceError as _};
use parking_lot::RwLock;

use super::{
    Options,
    collection::{Collection, Store},
    committer::read_object,
    keys, load,
    log::Operation,
    remove,
    save::stream_of,
};
use crate::{Error, Index, Result, lhv1};

/// What stands under a name.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    Serving(Arc<Collection>),
    /// Its file or log is bad.
    Quarantined(String),
    /// Being created or removed: not there yet, or not any more, and the name is taken.
    Busy,
}

/// What stands under each name.
pub(super) type Slots = Arc<RwLock<BTreeMap<String, Slot>>>;

/// A name that nobody else can take. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Reservation {
    pub(super) slots: Slots,
    pub(super) name: String,
}

impl Reservation {
    pub(super) fn become_slot(&self, slot: Slot) {
        self.slots.write().insert(self.name.clone(), slot);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut slots = self.slots.write();
        if matches!(slots.get(&self.name), Some(Slot::Busy)) {
            slots.remove(&self.name);
        }
    }
}

/// Makes an index that serves stop doing so, durably; its name stays taken until the removal that
/// is returned has run.
pub(super) async fn drop_slot(
    slots: Slots,
    store: Option<Store>,
    name: String,
    collection: Option<Arc<Collection>>,
) -> Result<Option<Removal>> {
    let Some(collection) = collection else {
        return take(slots, store, &name, None).map(Some).ok_or(Error::NoIndex(name));
    };
    {
        let _alone = collection.writes.write().await;
        // Once this is in the log, the index is gone, whatever happens to the rest.
        collection.submit(Operation::Drop).await?;
    }
    // Not there any more: the sweep has come first.
    Ok(take(slots, store, &name, Some(collection)))
}

/// Takes the name of an index that is to be removed: a dropped one or, without `collection`, one
/// that is quarantined. `None` where something else stands under the name by now.
pub(super) fn take(
    slots: Slots,
    store: Option<Store>,
    name: &str,
    collection: Option<Arc<Collection>>,
) -> Option<Removal> {
    {
        let mut all = slots.write();
        let slot = all.get_mut(name)?;
        let same = match (&*slot, &collection) {
            (Slot::Serving(there), Some(dropped)) => Arc::ptr_eq(there, dropped),
            (Slot::Quarantined(_), None) => true,
            _ => false,
        };
        if !same {
            return None;
        }
        *slot = Slot::Busy;
    }
    Some(Removal { reservation: Reservation { slots, name: name.to_owned() }, store, collection })
}

/// An index that is gone, and whose objects are still there.
pub(super) struct Removal {
    reservation: Reservation,
    store: Option<Store>,
    collection: Option<Arc<Collection>>,
}

impl Removal {
    pub(super) async fn run(self) -> Result<()> {
        let Some(store) = self.store else { return Ok(()) };
        // A save under way would put the file back.
        let _saving = match &self.collection {
            Some(collection) => Some(collection.core.saving.lock().await),
            None => None,
        };
        let mut pause = Duration::from_millis(10);
        loop {
            match remove::remove_objects(&*store.0, &self.reservation.name).await {
                Ok(()) => return Ok(()),
                Err(error) if self.collection.is_none() => {
                    let reason = "it was to be removed, and its files could not be".to_owned();
                    self.reservation.become_slot(Slot::Quarantined(reason));
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(index = self.reservation.name, %error, "remove a dropped index: trying again");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(Duration::from_secs(10));
        }
    }
}

/// Writes the file of a new index; with it the index exists. Returns its entity tag and size.
pub(super) async fn write_empty(
    store: &Store,
    options: &Options,
    name: &Name,
    index: &Index,
    incarnation: u64,
) -> Result<(String, u64)> {
    let generation = index.generation();
    let moment = (generation.values.moment(), 0);
    let internal = |reason: String| {
        tracing::error!(index = %name, reason, "plan the file of an empty index");
        Error::Internal("plan the file of an empty index")
    };
    let plan = || {
        lhv1::Plan::new(name.as_str(), index.params(), (incarnation, 0), Arc::clone(&generation), moment)
            .map_err(internal)
    };
    let key = keys::file(name.as_str())?;
    let mut condition = Condition::IfAbsent;
    loop {
        let plan = plan()?;
        let size = plan.size();
        let put = PutOptions { condition: condition.clone(), size: Some(size), ..PutOptions::default() };
        let work = store.0.put(&key, stream_of(plan), put);
        let result = tokio::time::timeout(options.store_timeout, work).await;
        let error = match result.unwrap_or(Err(lakehouse_objstore::Error::Timeout)) {
            Ok(outcome) => return Ok((outcome.etag, size)),
            Err(error) => error,
        };
        // Nobody serves this name: a file under it is this very one, or an empty one from an
        // earlier attempt whose outcome nobody learnt, or something that was put there by hand.
        let found = read_object(&*store.0, &key, options.store_timeout).await;
        let (meta, bytes) = match found {
            Ok(found) => found,
            // Something lies there, and nobody knows what: the caller may ask again.
            Err(unread) if error.is_precondition_failed() => {
                return Err(Error::Unavailable {
                    reason: format!("look at what lies at `{key}`: {unread}"),
                    retry_after: unread.retry_after().unwrap_or(load::RETRY),
                });
            }
            Err(_) => return Err(Error::store("write index file", error)),
        };
        if lhv1::identity(&bytes).is_some_and(|(found, _)| found == incarnation) {
            return Ok((meta.etag, meta.size));
        }
        let empty = lhv1::identity(&bytes).is_some()
            && lhv1::check_frame(&bytes) == Ok(0)
            && load::list_all(&*store.0, &keys::logs(name.as_str())).await?.is_empty();
        if !error.is_precondition_failed() || !empty || condition != Condition::IfAbsent {
            return Err(if error.is_precondition_failed() {
                Error::Exists(name.to_string())
            } else {
                Error::store("write index file", error)
            });
        }
        condition = Condition::IfMatch(meta.etag);
    }
}
