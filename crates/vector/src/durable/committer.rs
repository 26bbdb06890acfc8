//! Group commit: one task an index takes whatever requests wait, writes one log entry for all of
//! them, and then lets the index have the changes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use lakehouse_objstore::{Condition, Error as StoreError, GetOptions, ObjectStore, PutOptions, body, collect};
use lakehouse_types::ObjectKey;
use tokio::sync::mpsc;

use super::{
    collection::{Core, Request, Status, Store},
    keys,
    log::{self, Head, Operation},
    save::{FILE_IS_ANOTHERS, fence, is_overtaken},
};
use crate::{Change, Error, Outcome, Result};

/// Tries to learn the outcome of a write before its callers are told to come back later, and the
/// pauses before them.
const RESOLVE_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(50), Duration::from_millis(200)];

/// An entry whose write failed in a way that leaves open whether it happened.
struct InDoubt {
    sequence: u64,
    bytes: Bytes,
}

/// What became of an entry.
enum Fate {
    Written,
    /// It is not there and never will be: a void entry has its place.
    Void,
    /// It is not there and never will be: somebody else's entry, this one, has its place.
    Taken(Bytes),
    Unknown,
}

pub(super) async fn run(core: Arc<Core>, mut queue: mpsc::Receiver<Request>) {
    let mut in_doubt: Option<InDoubt> = None;
    let mut held_back: Option<Request> = None;
    loop {
        let first = match held_back.take() {
            Some(request) => request,
            None => match queue.recv().await {
                Some(request) => request,
                None => return,
            },
        };
        let mut group = vec![first];
        let mut bytes = log::size(&group[0].operation);
        while bytes < core.options.group_bytes
            && !matches!(group[0].operation, Operation::Drop)
            && let Ok(next) = queue.try_recv()
        {
            // A drop has an entry of its own, which a later start can recognise by itself.
            if matches!(next.operation, Operation::Drop) {
                held_back = Some(next);
                break;
            }
            bytes += log::size(&next.operation);
            group.push(next);
        }
        wait_for_backlog(&core, &mut group).await;
        if group.is_empty() {
            continue;
        }
        let (operations, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|request| (request.operation, request.reply)).unzip();
        match commit(&core, operations, &mut in_doubt).await {
            Ok(outcomes) => {
                replies.into_iter().zip(outcomes).for_each(|(reply, outcome)| drop(reply.send(Ok(outcome))));
            }
            Err(error) => replies.into_iter().for_each(|reply| drop(reply.send(Err(copy(&core, &error))))),
        }
    }
}

/// The same error for each request of a group.
fn copy(core: &Core, error: &Error) -> Error {
    match error {
        Error::Unavailable { reason, retry_after } => {
            Error::Unavailable { reason: reason.clone(), retry_after: *retry_after }
        }
        Error::Full(reason) => Error::Full(reason),
        Error::NoIndex(name) => Error::NoIndex(name.clone()),
        Error::Fenced(name) => Error::Fenced(name.clone()),
        other => {
            tracing::error!(index = %core.name, error = %other, "commit changes");
            Error::Internal("commit changes: see the log")
        }
    }
}

async fn commit(core: &Arc<Core>, operations: Vec<Operation>, in_doubt: &mut Option<InDoubt>) -> Result<Vec<Outcome>> {
    check_status(core)?;
    core.index.check_room(operations.iter().map(items_of).sum())?;
    let written = match &core.store {
        None => None,
        Some(store) => {
            settle(core, store, in_doubt).await?;
            Some(append(core, store, &operations, in_doubt).await?)
        }
    };
    apply(core, operations, written).await
}

fn head(core: &Core) -> Head {
    Head { incarnation: core.incarnation, sequence: 0, writer: core.writer }
}

fn check_status(core: &Core) -> Result<()> {
    match core.status.get() {
        Status::Serving => Ok(()),
        Status::Fenced => Err(Error::Fenced(core.name.to_string())),
        Status::Dropped => Err(Error::NoIndex(core.name.to_string())),
    }
}

/// How many items an operation may add.
fn items_of(operation: &Operation) -> usize {
    match operation {
        Operation::Change(Change::Add(items) | Change::AddMissing(items)) => items.len(),
        _ => 0,
    }
}

/// Every search scans what is not linked yet: past a point, those who add wait for the links. If these
/// don't come, since there is more to link than can be linked in that time or linking fails, the adds
/// are refused; what takes items away goes on.
async fn wait_for_backlog(core: &Arc<Core>, group: &mut Vec<Request>) {
    let adds = |request: &Request| items_of(&request.operation) > 0;
    let Some(since) = group.iter().filter(|request| adds(request)).map(|request| request.since).min() else { return };
    while core.index.backlog() > core.options.max_backlog && core.status.get() == Status::Serving {
        let left = core.options.backlog_wait.saturating_sub(since.elapsed());
        if left.is_zero() {
            let (refused, others): (Vec<_>, Vec<_>) = group.drain(..).partition(adds);
            *group = others;
            core.trouble.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
            tracing::warn!(index = %core.name, adds = refused.len(), "refuse adds: the graph has not kept up");
            for request in refused {
                drop(request.reply.send(Err(Error::Behind(core.name.to_string()))));
            }
            return;
        }
        core.wake_maintenance();
        // A notification may have come just before: look again after a moment.
        let _ = tokio::time::timeout(left.min(Duration::from_millis(20)), core.progress.notified()).await;
    }
}

/// Makes the changes of a durable entry visible.
async fn apply(core: &Arc<Core>, operations: Vec<Operation>, written: Option<(u64, u64)>) -> Result<Vec<Outcome>> {
    let shared = Arc::clone(core);
    // Encoding thousands of vectors is no work for a thread that serves connections.
    let outcomes = tokio::task::spawn_blocking(move || {
        let mut state = shared.state.lock();
        let changes: Vec<&Change> = operations
            .iter()
            .filter_map(|operation| match operation {
                Operation::Change(change) => Some(change),
                Operation::Drop => None,
            })
            .collect();
        let mut applied = shared.index.apply_all(changes).into_iter();
        let outcomes = operations.iter().map(|operation| match operation {
            Operation::Change(_) => applied.next().unwrap_or_default(),
            Operation::Drop => Outcome::default(),
        });
        let outcomes = outcomes.collect();
        if operations.iter().any(|operation| matches!(operation, Operation::Drop)) {
            shared.status.set(Status::Dropped);
        }
        if let Some((sequence, size)) = written {
            state.applied = sequence;
            state.log_total += size;
        }
        state.changed = Instant::now();
        outcomes
    })
    .await
    .map_err(|_| Error::Internal("a commit died while it was applied"))?;
    core.wake_maintenance();
    if core.save_due(false) {
        core.save_wanted.notify_one();
    }
    Ok(outcomes)
}

/// Finds out what became of an earlier entry whose callers were told that nothing changed, and
/// makes that true: if it did get in, a void entry takes its place.
async fn settle(core: &Arc<Core>, store: &Store, in_doubt: &mut Option<InDoubt>) -> Result<()> {
    let Some(doubt) = in_doubt.as_ref() else { return Ok(()) };
    let reason = || Error::Unavailable {
        reason: format!("the outcome of log entry {} is not known yet", doubt.sequence),
        retry_after: Duration::from_secs(1),
    };
    match fate(core, store, doubt).await? {
        Fate::Unknown => return Err(reason()),
        Fate::Void => {}
        Fate::Taken(found) => return adopt(core, &found, doubt.sequence).await.map(|()| *in_doubt = None),
        Fate::Written => {
            let key = keys::entry(core.name.as_str(), core.incarnation, doubt.sequence)?;
            let meta = call(core, store.0.head(&key)).await.map_err(|_| reason())?;
            let void = Bytes::from(log::encode(Head { sequence: doubt.sequence, ..head(core) }, &[]));
            let over = put_options(Condition::IfMatch(meta.etag), &void);
            call(core, store.0.put(&key, body(void), over)).await.map_err(|_| reason())?;
        }
    }
    let sequence = doubt.sequence;
    claim(core, store, sequence).await?.map_err(|_| reason())?;
    core.state.lock().applied = sequence;
    *in_doubt = None;
    Ok(())
}

/// Writes an entry and tells its sequence number and size; or makes sure that it never gets in; or
/// notes that neither is certain.
async fn append(
    core: &Arc<Core>,
    store: &Store,
    operations: &[Operation],
    in_doubt: &mut Option<InDoubt>,
) -> Result<(u64, u64)> {
    loop {
        let sequence = core.state.lock().applied + 1;
        let bytes = Bytes::from(log::encode(Head { sequence, ..head(core) }, operations));
        let size = bytes.len() as u64;
        let key = keys::entry(core.name.as_str(), core.incarnation, sequence)?;
        let options = put_options(Condition::IfAbsent, &bytes);
        let written = call(core, store.0.put(&key, body(bytes.clone()), options)).await;
        let doubt = InDoubt { sequence, bytes };
        let Err(error) = written else {
            core.claimed.store(true, Ordering::Relaxed);
            claim_or_doubt(core, store, doubt, in_doubt).await?;
            return Ok((sequence, size));
        };
        tracing::warn!(index = %core.name, sequence, %error, "write log entry");
        match fate(core, store, &doubt).await? {
            Fate::Written => {
                claim_or_doubt(core, store, doubt, in_doubt).await?;
                return Ok((sequence, size));
            }
            Fate::Void => {
                claim_or_doubt(core, store, doubt, in_doubt).await?;
                core.state.lock().applied = sequence;
                return Err(unavailable(error));
            }
            Fate::Taken(found) => adopt(core, &found, sequence).await?,
            Fate::Unknown => {
                *in_doubt = Some(doubt);
                return Err(unavailable(error));
            }
        }
    }
}

/// Makes sure that the entry `sequence`, which this process has just written, is the newest one, and not
/// one that another process has left behind. The inner error means that this is not known.
async fn claim(core: &Core, store: &Store, sequence: u64) -> Result<Result<(), StoreError>> {
    match is_overtaken(core, store, sequence).await {
        Ok(false) => Ok(Ok(())),
        Ok(true) => {
            fence(core, FILE_IS_ANOTHERS);
            // Nobody will read it; without its file it would look like what is left of a lost index.
            let key = keys::entry(core.name.as_str(), core.incarnation, sequence)?;
            if let Err(error) = call(core, store.0.delete(&key)).await {
                tracing::warn!(index = %core.name, sequence, %error, "remove a log entry that came too late");
            }
            Err(Error::Fenced(core.name.to_string()))
        }
        Err(error) => Ok(Err(error)),
    }
}

/// The same for an entry of which callers still wait.
async fn claim_or_doubt(core: &Core, store: &Store, entry: InDoubt, in_doubt: &mut Option<InDoubt>) -> Result<()> {
    let Err(error) = claim(core, store, entry.sequence).await? else { return Ok(()) };
    tracing::warn!(index = %core.name, sequence = entry.sequence, %error, "look at index file");
    *in_doubt = Some(entry);
    Err(unavailable(error))
}

/// Takes over an entry that was found where this process wanted to write. The last write of a
/// process that was killed can reach the store after the next one has read the log: until this
/// process has written an entry of its own, such an entry is a legitimate part of the log. After
/// that it is the sign of a second writer.
async fn adopt(core: &Arc<Core>, found: &Bytes, sequence: u64) -> Result<()> {
    let entry = log::decode(found, core.index.params()).ok();
    let entry = entry.filter(|(head, _)| (head.incarnation, head.sequence) == (core.incarnation, sequence));
    match entry {
        Some((_, operations)) if !core.claimed.load(Ordering::Relaxed) => {
            tracing::info!(index = %core.name, sequence, "take over the last log entry of an earlier process");
            apply(core, operations, Some((sequence, found.len() as u64))).await?;
            check_status(core)
        }
        _ => {
            fence(core, &format!("another process has written entry {sequence}"));
            Err(Error::Fenced(core.name.to_string()))
        }
    }
}

/// Whatever the store's reason: nothing was changed, and trying again is safe.
fn unavailable(error: StoreError) -> Error {
    match Error::store("write log entry", error) {
        Error::Store { action, source } => {
            Error::Unavailable { reason: format!("{action}: {source}"), retry_after: Duration::from_secs(5) }
        }
        other => other,
    }
}

/// What became of an entry: its place is taken by a void one, unless it is taken already.
async fn fate(core: &Core, store: &Store, doubt: &InDoubt) -> Result<Fate> {
    let key = keys::entry(core.name.as_str(), core.incarnation, doubt.sequence)?;
    let void = Bytes::from(log::encode(Head { sequence: doubt.sequence, ..head(core) }, &[]));
    for pause in RESOLVE_PAUSES {
        tokio::time::sleep(pause).await;
        match call(core, store.0.put(&key, body(void.clone()), put_options(Condition::IfAbsent, &void))).await {
            Ok(_) => {
                core.claimed.store(true, Ordering::Relaxed);
                return Ok(Fate::Void);
            }
            Err(error) if error.is_precondition_failed() => {}
            Err(_) => continue,
        }
        let Ok(found) = read(core, store, &key).await else { continue };
        if found == doubt.bytes {
            core.claimed.store(true, Ordering::Relaxed);
            return Ok(Fate::Written);
        }
        return Ok(if found == void { Fate::Void } else { Fate::Taken(found) });
    }
    Ok(Fate::Unknown)
}

async fn read(core: &Core, store: &Store, key: &ObjectKey) -> Result<Bytes, StoreError> {
    let work = async {
        let object = store.0.get(key, GetOptions::default()).await?;
        let size = usize::try_from(object.meta.size).unwrap_or(usize::MAX);
        collect(object.body, size).await
    };
    call(core, work).await
}

pub(super) fn put_options(condition: Condition, bytes: &Bytes) -> PutOptions {
    PutOptions { condition, size: Some(bytes.len() as u64), ..PutOptions::default() }
}

/// A call to the store, with its time limit.
pub(super) async fn call<T>(core: &Core, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(core.options.store_timeout, work).await.unwrap_or(Err(StoreError::Timeout))
}

/// Reads a whole object, with a time limit.
pub(super) async fn read_object(
    store: &dyn ObjectStore,
    key: &ObjectKey,
    limit: Duration,
) -> Result<(lakehouse_objstore::ObjectMeta, Bytes), StoreError> {
    let work = async {
        let object = store.get(key, GetOptions::default()).await?;
        let size = usize::try_from(object.meta.size).unwrap_or(usize::MAX);
        Ok((object.meta, collect(object.body, size).await?))
    };
    tokio::time::timeout(limit, work).await.unwrap_or(Err(StoreError::Timeout))
}
