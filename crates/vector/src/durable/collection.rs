//! One durable index: its state, and the calls that change it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lakehouse_objstore::ObjectStore;
use lakehouse_types::{Name, vector::IndexInfo};
use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock, mpsc, oneshot};

use super::{Options, committer, log::Operation, maintenance::Maintenance};
use crate::{Change, Error, Index, Outcome, Result, Stats};

/// Requests that may wait for the committer before senders have to wait themselves.
const QUEUE: usize = 256;

/// May the index be written?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    Serving,
    /// Another process writes it.
    Fenced,
    Dropped,
}

/// A [`Status`] that is read without a lock: every search asks for it, and none may wait for the
/// change that is being applied.
#[derive(Debug, Default)]
pub(super) struct SharedStatus(AtomicU8);

impl SharedStatus {
    pub(super) fn get(&self) -> Status {
        const FENCED: u8 = Status::Fenced as u8;
        const DROPPED: u8 = Status::Dropped as u8;
        match self.0.load(Ordering::Acquire) {
            FENCED => Status::Fenced,
            DROPPED => Status::Dropped,
            _ => Status::Serving,
        }
    }

    pub(super) fn set(&self, status: Status) {
        self.0.store(status as u8, Ordering::Release);
    }
}

/// Where the log stands. Locked while a change is applied, so that a snapshot's items and its
/// sequence number belong together.
#[derive(Debug)]
pub(super) struct State {
    /// The last entry whose changes the index has.
    pub(super) applied: u64,
    /// The last entry that the file covers.
    pub(super) covered: u64,
    /// The first entry that may still be in the store.
    pub(super) first: u64,
    /// Bytes of all entries that this process wrote or replayed.
    pub(super) log_total: u64,
    /// How much of that the file covers.
    pub(super) covered_total: u64,
    /// How many slots are linked in the file.
    pub(super) saved_links: u32,
    /// The file's entity tag and size.
    pub(super) etag: String,
    pub(super) file_bytes: u64,
    pub(super) changed: Instant,
}

impl State {
    /// The state of an index whose file is all there is.
    pub(super) fn of_file(covered: u64, etag: String, file_bytes: u64) -> Self {
        Self {
            applied: covered,
            covered,
            first: covered + 1,
            log_total: 0,
            covered_total: 0,
            saved_links: 0,
            etag,
            file_bytes,
            changed: Instant::now(),
        }
    }

    /// Entries behind the file, and their bytes.
    pub(super) const fn log(&self) -> (u64, u64) {
        (self.applied - self.covered, self.log_total - self.covered_total)
    }
}

/// What the committer, the saver and the readers of an index share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) name: Name,
    pub(super) index: Index,
    pub(super) incarnation: u64,
    pub(super) writer: u64,
    pub(super) options: Arc<Options>,
    pub(super) store: Option<Store>,
    pub(super) state: Mutex<State>,
    pub(super) status: SharedStatus,
    /// One save at a time, and none while the index is removed.
    pub(super) saving: tokio::sync::Mutex<()>,
    pub(super) save_micros: AtomicU64,
    /// Told whenever some of the backlog is done.
    pub(super) progress: Notify,
    pub(super) queued: AtomicBool,
    /// This process has written an entry to the log, or seen that it did.
    pub(super) claimed: AtomicBool,
    pub(super) maintenance: Maintenance,
    pub(super) trouble: Trouble,
    /// Told when the log has grown enough for a save.
    pub(super) save_wanted: Arc<Notify>,
}

/// What has gone wrong with the work behind an index.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Steps of maintenance that panicked, in all.
    pub(super) panics: AtomicU64,
    /// Those since the last one that did not.
    pub(super) in_a_row: AtomicU32,
    /// Adds that were refused because the graph had not kept up.
    pub(super) refused: AtomicU64,
}

/// The store, in a form that can be printed.
#[derive(Clone)]
pub(super) struct Store(pub(super) Arc<dyn ObjectStore>);

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

/// Sizes and times of an index, for metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexMetrics {
    /// The index.
    pub name: String,
    /// Its sizes.
    pub stats: Stats,
    /// Log entries that the file does not cover.
    pub log_entries: u64,
    /// Their size in bytes.
    pub log_bytes: u64,
    /// How long the last save took; zero before the first.
    pub save_duration: Duration,
    /// Steps of maintenance that panicked since the process started.
    pub maintenance_panics: u64,
    /// The last step of maintenance panicked: what is not linked is scanned until one succeeds.
    pub maintenance_stalled: bool,
    /// Adds that were refused because the graph had not kept up.
    pub refused_adds: u64,
}

/// One request for the committer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    /// When its caller began to wait.
    pub(super) since: Instant,
    pub(super) reply: oneshot::Sender<Result<Outcome>>,
}

/// A handle on a durable index. The committer ends when the last one is gone.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) core: Arc<Core>,
    requests: mpsc::Sender<Request>,
    /// Held shared by adds and deletes, alone by a merge.
    pub(super) writes: RwLock<()>,
}

impl Core {
    pub(super) fn stats(&self) -> Stats {
        self.index.stats()
    }

    /// Tells the maintenance threads that there may be something to do.
    pub(super) fn wake_maintenance(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.maintenance.enqueue(Arc::downgrade(self));
        }
    }

    /// Would a file written now hold more than the one that is there?
    pub(super) fn differs_from_file(&self) -> bool {
        let state = self.state.lock();
        state.log().0 > 0 || state.saved_links != self.index.generation().linked()
    }

    /// Has the log grown large, in relation to the file?
    pub(super) fn save_due(&self, idle: bool) -> bool {
        /// Reading an entry costs about as much as reading so many bytes of a file.
        const ENTRY_COST: u64 = 64 << 10;
        let state = self.state.lock();
        let (entries, bytes) = state.log();
        if self.status.get() != Status::Serving || entries == 0 || self.store.is_none() {
            return false;
        }
        let cost = bytes + entries * ENTRY_COST;
        2 * cost >= state.file_bytes.max(self.options.save_floor)
            || (idle && state.changed.elapsed() >= self.options.save_idle)
    }
}

impl Collection {
    pub(super) fn start(core: Core) -> Arc<Self> {
        let core = Arc::new(core);
        core.wake_maintenance();
        let (requests, queue) = mpsc::channel(QUEUE);
        tokio::spawn(committer::run(Arc::clone(&core), queue));
        Arc::new(Self { core, requests, writes: RwLock::new(()) })
    }

    /// Is it gone, with only its name still taken?
    pub(super) fn is_dropped(&self) -> bool {
        self.core.status.get() == Status::Dropped
    }

    pub(super) fn name(&self) -> &str {
        self.core.name.as_str()
    }

    pub(super) fn info(&self) -> IndexInfo {
        let (params, stats) = (self.core.index.params(), self.core.stats());
        IndexInfo {
            name: self.core.name.clone(),
            dimension: params.dimension,
            distance: params.distance,
            m: params.m,
            ef_construction: params.ef_construction,
            ef_search: params.ef_search,
            count: stats.items,
            indexed: self.core.index.indexed().min(stats.items),
        }
    }

    pub(super) fn metrics(&self) -> IndexMetrics {
        let (log_entries, log_bytes) = self.core.state.lock().log();
        IndexMetrics {
            name: self.name().to_owned(),
            stats: self.core.stats(),
            log_entries,
            log_bytes,
            save_duration: Duration::from_micros(self.core.save_micros.load(Ordering::Relaxed)),
            maintenance_panics: self.core.trouble.panics.load(Ordering::Relaxed),
            maintenance_stalled: self.core.trouble.in_a_row.load(Ordering::Relaxed) > 0,
            refused_adds: self.core.trouble.refused.load(Ordering::Relaxed),
        }
    }

    /// Waits until the change is durable and visible. It is carried out even where the caller
    /// stops waiting.
    pub(super) async fn commit(&self, change: Change) -> Result<Outcome> {
        self.submit(Operation::Change(change)).await
    }

    pub(super) async fn submit(&self, operation: Operation) -> Result<Outcome> {
        const STOPPED: Error = Error::Internal("the index's committer is gone");
        let (reply, answer) = oneshot::channel();
        let since = Instant::now();
        self.requests.send(Request { operation, since, reply }).await.map_err(|_| STOPPED)?;
        answer.await.map_err(|_| STOPPED)?
    }
}
