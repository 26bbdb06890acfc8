//! Bringing an index back: its file, then the log behind it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lakehouse_objstore::ObjectStore;
use lakehouse_types::{Name, ObjectKey};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    Options,
    collection::{Core, SharedStatus, State, Store, Trouble},
    committer::read_object,
    keys::{self, Known},
    log::{self, Operation},
    maintenance::Maintenance,
    remove,
    takeover::{self, Files},
};
use crate::{Error, Index, Result, lhv1};

/// Keys asked for at once.
const PAGE: usize = 1_000;
/// Log entries read at once.
const READS: usize = 16;
/// Pause before a store that did not answer is asked again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// What every index of a registry is made with.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) options: Arc<Options>,
    pub(super) store: Option<Store>,
    pub(super) maintenance: Maintenance,
    pub(super) save_wanted: Arc<Notify>,
}

impl Context {
    pub(super) fn core(&self, name: Name, index: Index, incarnation: u64, state: State) -> Core {
        Core {
            name,
            index,
            incarnation,
            writer: rand::random(),
            options: Arc::clone(&self.options),
            store: self.store.clone(),
            state: Mutex::new(state),
            status: SharedStatus::default(),
            saving: tokio::sync::Mutex::new(()),
            save_micros: AtomicU64::new(0),
            progress: Notify::new(),
            queued: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            maintenance: self.maintenance.clone(),
            trouble: Trouble::default(),
            save_wanted: Arc::clone(&self.save_wanted),
        }
    }
}

/// The names of all indexes in the store, and which files each has (it may have only a log).
pub(super) async fn discover(store: &dyn ObjectStore, limit: Duration) -> Result<Vec<(String, Files)>> {
    let mut found = BTreeMap::<String, Files>::new();
    let mut either = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page =
            store.list(keys::PREFIX, after.as_deref(), PAGE).await.map_err(|e| Error::store("list indexes", e))?;
        let mut skipped = None;
        for entry in &page.objects {
            match keys::classify(entry.key.as_str()) {
                Known::File(name) => found.entry(name).or_default().own = true,
                Known::Literal(name) => found.entry(name).or_default().literal = true,
                Known::Either { escaped, literal } => either.push((escaped, literal)),
                Known::Log { name, skip } => {
                    found.entry(name).or_default();
                    skipped = Some(skip);
                    break;
                }
                Known::Other => tracing::warn!(key = %entry.key, "an object that is no index's"),
            }
        }
        after = skipped.or(page.next);
        if after.is_none() {
            break;
        }
    }
    // The shortest first: whether a file is `a%20b`'s or `a b`'s can depend on whether `a b` has another.
    either.sort_by_key(|(_, literal)| literal.len());
    for (escaped, literal) in either {
        let beside = found.get(&escaped).is_some_and(|files| files.literal);
        if takeover::is_literal(store, &escaped, beside, limit).await? {
            found.entry(literal).or_default().literal = true;
        } else {
            found.entry(escaped).or_default().own = true;
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    // The longest first: a file may have to make room for that of a name whose escaped form it looks like.
    found.sort_by_key(|(name, files)| std::cmp::Reverse(if files.literal { name.len() } else { 0 }));
    Ok(found)
}

/// Every key that begins with `prefix`.
pub(super) async fn list_all(store: &dyn ObjectStore, prefix: &str) -> Result<Vec<ObjectKey>> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list(prefix, after.as_deref(), PAGE).await.map_err(|e| Error::store("list log", e))?;
        all.extend(page.objects.into_iter().map(|entry| entry.key));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// Loads an index, asking again while the store is not available, until the time limit. `None`
/// where the log says that it was dropped.
pub(super) async fn load(context: &Context, store: &Store, name: &str, files: Files) -> Result<Option<Core>> {
    let started = Instant::now();
    loop {
        let left = context.options.load_timeout.saturating_sub(started.elapsed());
        let work = async {
            if files.literal {
                takeover::take_over(context, store, name, files.own).await?;
            }
            if files.own || files.literal { load_once(context, store, name).await } else { orphan(store, name).await }
        };
        let error = match tokio::time::timeout(left, work).await {
            Ok(Ok(core)) => return Ok(core),
            Ok(Err(error)) => error,
            Err(_) => {
                return Err(Error::Unavailable {
                    reason: format!("it did not load within {} s", context.options.load_timeout.as_secs()),
                    retry_after: RETRY,
                });
            }
        };
        // Only what was read and is bad is bad; a download that broke off, or a store that fails, is
        // no verdict on the index.
        if matches!(error, Error::BadFrame { .. } | Error::Name(_) | Error::Internal(_)) {
            return Err(error);
        }
        tracing::warn!(index = name, %error, "load index: trying again");
        tokio::time::sleep(RETRY).await;
    }
}

/// A log without a file: what is left of a drop is removed, anything else is kept for a person to see.
async fn orphan(store: &Store, name: &str) -> Result<Option<Core>> {
    let keys = list_all(&*store.0, &keys::logs(name)).await?;
    // A drop is the last of its log.
    for key in keys.iter().rev() {
        let (_, bytes) =
            read_object(&*store.0, key, RETRY * 60).await.map_err(|e| Error::store("read log entry", e))?;
        if log::is_drop(&bytes) {
            remove::remove_keys(&*store.0, &keys).await?;
            return Ok(None);
        }
    }
    Err(Error::BadFrame {
        object: keys::logs(name),
        reason: "there is a log, but not the file that it continues".to_owned(),
    })
}

async fn load_once(context: &Context, store: &Store, name: &str) -> Result<Option<Core>> {
    let file = keys::file(name)?;
    let limit = context.options.load_timeout;
    let bad = |object: &ObjectKey, reason: String| Error::BadFrame { object: object.to_string(), reason };
    let (meta, bytes) = read_object(&*store.0, &file, limit).await.map_err(|e| Error::store("read index file", e))?;
    let loaded = blocking(move || lhv1::read(&bytes)).await?.map_err(|reason| bad(&file, reason))?;
    let (incarnation, covered) = (loaded.incarnation, loaded.sequence);
    let params = loaded.params;
    tracing::debug!(index = name, version = loaded.version, sequence = covered, "read index file");
    let links = loaded.generation.linked();
    let index = Index::from_generation(params, context.options.tuning, loaded.generation);

    let entries = log_behind(store, name, incarnation, covered).await?;
    let first = entries.first.unwrap_or(covered + 1);
    let reads = entries.behind.into_iter().map(|(sequence, key)| async move {
        let read = read_object(&*store.0, &key, limit).await.map_err(|e| Error::store("read log entry", e));
        read.map(|(_, bytes)| (sequence, key, bytes))
    });
    let mut reads = stream::iter(reads).buffered(READS);
    let index = Arc::new(index);
    let (mut applied, mut log_bytes) = (covered, 0);
    while let Some((sequence, key, bytes)) = reads.try_next().await? {
        if sequence != applied + 1 {
            return Err(bad(&key, format!("log entry {} is missing before it", applied + 1)));
        }
        log_bytes += bytes.len() as u64;
        applied = sequence;
        let target = Arc::clone(&index);
        let replayed = blocking(move || replay(&target, &bytes, incarnation, sequence)).await?;
        if !replayed.map_err(|reason| bad(&key, reason))? {
            drop(reads);
            remove::remove_objects(&*store.0, name).await?;
            return Ok(None);
        }
    }
    drop(reads);
    let index = Arc::into_inner(index).ok_or(Error::Internal("a replay holds on to its index"))?;
    let mut state = State::of_file(covered, meta.etag, meta.size);
    (state.applied, state.first, state.log_total) = (applied, first, log_bytes);
    state.saved_links = links;
    let name = Name::new(name)?;
    Ok(Some(context.core(name, index, incarnation, state)))
}

/// The log entries that the file does not cover, in order, and the first that there is at all.
struct Behind {
    behind: Vec<(u64, ObjectKey)>,
    first: Option<u64>,
}

async fn log_behind(store: &Store, name: &str, incarnation: u64, covered: u64) -> Result<Behind> {
    let keys = list_all(&*store.0, &keys::logs(name)).await?;
    let own = keys.into_iter().filter_map(|key| match keys::parse_entry(name, key.as_str()) {
        Some((found, sequence)) if found == incarnation => Some((sequence, key)),
        _ => {
            tracing::warn!(%key, "a log entry of another index that had this name; it is not read");
            None
        }
    });
    let own: Vec<(u64, ObjectKey)> = own.collect();
    let first = own.first().map(|(sequence, _)| *sequence);
    Ok(Behind { behind: own.into_iter().filter(|(sequence, _)| *sequence > covered).collect(), first })
}

/// Applies an entry; false where it says that the index was dropped.
fn replay(index: &Index, bytes: &Bytes, incarnation: u64, sequence: u64) -> Result<bool, String> {
    let (head, operations) = log::decode(bytes, index.params())?;
    if (head.incarnation, head.sequence) != (incarnation, sequence) {
        return Err(format!("it is entry {} of another log", head.sequence));
    }
    let mut dropped = false;
    let changes = operations.iter().filter_map(|operation| match operation {
        Operation::Change(change) => Some(change),
        Operation::Drop => {
            dropped = true;
            None
        }
    });
    index.apply_all(changes.collect::<Vec<_>>());
    Ok(!dropped)
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal("a task of the index died"))
}
