//! Folding a log into its file.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use lakehouse_objstore::{ByteRange, Condition, Error as StoreError, GetOptions, PutOptions, collect};
use lakehouse_types::ObjectKey;
use tokio::sync::mpsc;

use super::{
    collection::{Core, Status, Store},
    committer::call,
    keys,
};
use crate::{Error, Result, lhv1};

/// Pieces of a file that may wait for the store.
const PIECES: usize = 4;
/// Log entries removed at once.
const REMOVALS: usize = 8;
/// Enough of a file to hold its envelope.
const ENVELOPE: u64 = 64 << 10;

/// Writes the file as of now, and removes the log entries that it covers.
pub(super) async fn save(core: &Arc<Core>) -> Result<()> {
    let Some(store) = core.store.clone() else { return Ok(()) };
    let _one_at_a_time = core.saving.lock().await;
    if core.status.get() != Status::Serving {
        return Ok(());
    }
    let started = Instant::now();
    let planning = Arc::clone(core);
    let planned = tokio::task::spawn_blocking(move || plan(&planning)).await;
    let (plan, sequence, total, links) = planned.map_err(|_| Error::Internal("a save died"))??;
    let size = plan.size();
    let etag = core.state.lock().etag.clone();
    let options = PutOptions { condition: Condition::IfMatch(etag), size: Some(size), ..PutOptions::default() };
    let key = keys::file(core.name.as_str())?;
    // No time limit but the store's own: a large file takes as long as it takes.
    match store.0.put(&key, stream_of(plan), options).await {
        Ok(outcome) => {
            let mut state = core.state.lock();
            state.etag = outcome.etag;
            state.file_bytes = size;
            (state.covered, state.covered_total, state.saved_links) = (sequence, total, links);
        }
        Err(error) => {
            recognise(core, &store, &key).await;
            return Err(Error::store("write index file", error));
        }
    }
    core.save_micros.store(started.elapsed().as_micros() as u64, Ordering::Relaxed);
    remove_covered(core, &store).await;
    Ok(())
}

/// The file of this very moment, the last entry that it covers, the log's bytes up to there, and how
/// many slots are linked in it.
fn plan(core: &Core) -> Result<(lhv1::Plan, u64, u64, u32)> {
    let (sequence, total, generation, moment) = {
        let state = core.state.lock();
        let _commit = core.index.commit.lock();
        let generation = core.index.generation();
        let moment = (generation.values.moment(), generation.linked());
        (state.applied, state.log_total, generation, moment)
    };
    let (identity, links) = ((core.incarnation, sequence), moment.1);
    let plan = lhv1::Plan::new(core.name.as_str(), core.index.params(), identity, generation, moment);
    plan.map(|plan| (plan, sequence, total, links))
        .map_err(|reason| Error::BadFrame { object: core.name.to_string(), reason })
}

/// The file's bytes, made as the store takes them.
pub(super) fn stream_of(plan: lhv1::Plan) -> lakehouse_objstore::ByteStream {
    let (pieces, taken) = mpsc::channel::<Bytes>(PIECES);
    tokio::task::spawn_blocking(move || plan.write(&mut |piece| pieces.blocking_send(piece).is_ok()));
    stream::unfold(taken, |mut taken| async move { taken.recv().await.map(|piece| (Ok(piece), taken)) }).boxed()
}

/// After a write that failed: whose file is there? If it is this index's, old or new, its entity
/// tag is what the next save must match; either is consistent with the log. If it is another's,
/// this process has no business here any more.
async fn recognise(core: &Core, store: &Store, key: &ObjectKey) {
    let applied = core.state.lock().applied;
    match file_within(core, store, key, applied).await {
        Ok(Some((etag, size))) => {
            let mut state = core.state.lock();
            (state.etag, state.file_bytes) = (etag, size);
        }
        Ok(None) => fence(core, FILE_IS_ANOTHERS),
        // Not known: the next save tries again.
        Err(_) => {}
    }
}

/// The tag and size of the file, if it is this index's and covers no entry after `last`: one that does
/// is the work of another process, for this one has not written such an entry.
async fn file_within(
    core: &Core,
    store: &Store,
    key: &ObjectKey,
    last: u64,
) -> Result<Option<(String, u64)>, StoreError> {
    let head = async {
        let options = GetOptions { range: Some(ByteRange::Inclusive(0, ENVELOPE - 1)), ..GetOptions::default() };
        let object = store.0.get(key, options).await?;
        Ok((object.meta, collect(object.body, ENVELOPE as usize).await?))
    };
    let (meta, bytes) = match call(core, head).await {
        Ok(found) => found,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let ours = match lhv1::identity(&bytes) {
        Some((incarnation, covered)) => incarnation == core.incarnation && covered <= last,
        // An older version's file has no identity: it is ours as long as its tag is.
        None => meta.etag == core.state.lock().etag,
    };
    Ok(ours.then_some((meta.etag, meta.size)))
}

/// Has another process gone past the entry `sequence`, which this one has just written? Then the entry
/// stands where one was that a save has covered and removed, and nobody will ever read it. A file is
/// written before the entries that it covers are removed, so it shows.
pub(super) async fn is_overtaken(core: &Core, store: &Store, sequence: u64) -> Result<bool, StoreError> {
    let Ok(key) = keys::file(core.name.as_str()) else { return Ok(false) };
    match call(core, store.0.head(&key)).await {
        Ok(meta) if meta.etag == core.state.lock().etag => return Ok(false),
        Ok(_) => {}
        Err(error) if error.is_not_found() => return Ok(true),
        Err(error) => return Err(error),
    }
    // Written since this process last looked, maybe by a save of its own that is not over yet.
    Ok(file_within(core, store, &key, sequence - 1).await?.is_none())
}

/// Why an index is fenced whose file shows it.
pub(super) const FILE_IS_ANOTHERS: &str = "the index's file is gone or another's";

/// Another process writes the index, or has dropped it: from here on it is read-only.
pub(super) fn fence(core: &Core, why: &str) {
    let _state = core.state.lock();
    if core.status.get() == Status::Serving {
        core.status.set(Status::Fenced);
        tracing::error!(index = %core.name, why, "an index is read-only here now");
    }
}

/// Removes the entries that the file covers. One that can't be removed now is tried again after
/// the next save; replaying skips it.
async fn remove_covered(core: &Core, store: &Store) {
    let (first, covered) = {
        let state = core.state.lock();
        (state.first, state.covered)
    };
    let removals = stream::iter(first..=covered).map(|sequence| async move {
        let Ok(key) = keys::entry(core.name.as_str(), core.incarnation, sequence) else { return None };
        let removed = call(core, store.0.delete(&key)).await;
        removed.err().map(|error| {
            tracing::warn!(index = %core.name, sequence, %error, "remove log entry");
            sequence
        })
    });
    let kept = removals.buffer_unordered(REMOVALS).filter_map(async |kept| kept).collect::<Vec<u64>>().await;
    core.state.lock().first = kept.into_iter().min().unwrap_or(covered + 1);
}
