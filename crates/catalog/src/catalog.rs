use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use lakehouse_objstore::ObjectStore;
use lakehouse_types::{
    Name,
    catalog::{Manifest, RegisterRequest, RegisterResponse},
    context,
};
use tokio::sync::{Mutex, MutexGuard};
use tracing::Instrument as _;

use crate::{
    Damage, Error, Snapshot,
    journal::{Commit, Journal, Newest},
    plan::{self, Plan},
    record::{Record, segment},
    state::{Entry, EntryState, State},
};

/// How a catalog works.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many manifests are read at once at start and on refresh.
    pub parallel: usize,
    /// How many versions of a dataset are kept, at least two; older ones are removed.
    pub keep_versions: usize,
    /// The largest manifest in bytes, as JSON; a file takes about 250.
    pub max_manifest_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { parallel: 32, keep_versions: 3, max_manifest_bytes: 64 << 20 }
    }
}

/// What a catalog has seen and done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datasets that can be read.
    pub datasets: u64,
    /// Datasets whose manifest is damaged.
    pub damaged: u64,
    /// Changes written.
    pub commits: u64,
    /// Attempts at a change that met another catalog's.
    pub conflicts: u64,
    /// Changes of which the store did not tell the outcome.
    pub unconfirmed: u64,
    /// Refreshes completed.
    pub refreshes: u64,
}

/// More tasks than this change datasets at the same time only if chance wills it: a name's lock is
/// one of these.
const LOCKS: usize = 1024;
/// A change that another catalog's got ahead of is planned anew this often. Each time somebody
/// made progress, so only a flood of changes to one dataset can exhaust it.
const MAX_CONFLICTS: usize = 64;

/// The datasets in one store. Cheap to clone; the clones are one catalog.
#[derive(Clone)]
pub struct Catalog {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Journal,
    state: State,
    parallel: usize,
    /// Held while a name's entry is changed, so that the changes of this process queue up here
    /// instead of racing to the store.
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
    commits: AtomicU64,
    conflicts: AtomicU64,
    unconfirmed: AtomicU64,
    refreshes: AtomicU64,
}

impl Catalog {
    /// A catalog over `store`. Until [`Catalog::load`] has succeeded, every call but that one
    /// gives [`Error::Loading`].
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, options: &Options) -> Self {
        let shared = Shared {
            journal: Journal::new(store, options.keep_versions, options.max_manifest_bytes),
            state: State::new(),
            parallel: options.parallel.max(1),
            locks: std::iter::repeat_with(Mutex::default).take(LOCKS).collect(),
            hasher: RandomState::new(),
            commits: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            unconfirmed: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Reads every dataset's newest manifest. A damaged one is left out and named by
    /// [`Catalog::damaged`]; the others serve.
    ///
    /// # Errors
    /// The store's; then nothing is loaded, and the call can be made again.
    pub async fn load(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let listing = shared.journal.list_all().await?;
        if let Some(key) = listing.foreign.first() {
            let count = listing.foreign.len();
            tracing::warn!(count, first = %key, "objects beside the manifests that are none");
        }
        let entries: BTreeMap<String, Entry> = stream::iter(listing.newest)
            .map(|(segment, newest)| async move {
                let entry = shared.journal.read_newest(&segment, Some(newest)).await?;
                Ok::<_, Error>(entry.map(|entry| (segment, entry)))
            })
            .buffer_unordered(shared.parallel)
            .try_filter_map(async |found| Ok(found))
            .try_collect()
            .await?;
        shared.state.fill(entries);
        Ok(())
    }

    /// True once [`Catalog::load`] has succeeded.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.shared.state.loaded()
    }

    /// Brings in what other catalogs wrote. True where that changed anything.
    ///
    /// # Errors
    /// [`Error::Loading`], or the store's; what was brought in until then stays.
    pub async fn refresh(&self) -> Result<bool, Error> {
        self.demand_loaded()?;
        let shared = &self.shared;
        let known = shared.state.versions();
        let newest = shared.journal.list_all().await?.newest;
        // The listing is only a hint: a change may have passed it by. What differs is read anew,
        // under its lock.
        let differs = |segment: &&String| {
            let listed = newest.get(*segment).map(|newest| (newest.version, &newest.etag));
            listed != known.get(*segment).map(|(version, etag)| (*version, etag))
        };
        let segments: BTreeSet<&String> = known.keys().chain(newest.keys()).collect();
        let outdated: Vec<String> = segments.into_iter().filter(differs).cloned().collect();
        let changed = stream::iter(outdated)
            .map(|segment| async move {
                let _guard = shared.lock(&segment).await;
                shared.reload(&segment, None).await
            })
            .buffer_unordered(shared.parallel)
            .try_fold(false, async |any, changed| Ok(any | changed))
            .await?;
        shared.refreshes.fetch_add(1, Ordering::Relaxed);
        Ok(changed)
    }

    /// Registers files under a name. When this returns `Ok`, the store has acknowledged it.
    ///
    /// The change goes on to its end also where the returned future is dropped.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Drift`], [`Error::CaseConflict`], [`Error::ObjectConflict`],
    /// [`Error::TooLarge`], [`Error::Loading`], or what comes of the store.
    pub async fn register(&self, request: RegisterRequest) -> Result<RegisterResponse, Error> {
        plan::validate(&request)?;
        self.demand_loaded()?;
        let shared = Arc::clone(&self.shared);
        detached(async move { shared.register(&request).await }).await
    }

    /// A dataset's newest version, by its name in any case.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Damaged`], [`Error::Loading`].
    pub fn manifest(&self, name: &Name) -> Result<Arc<Manifest>, Error> {
        self.demand_loaded()?;
        match self.shared.state.get(&segment(name)).map(|entry| entry.state) {
            Some(EntryState::Present(manifest)) => Ok(manifest),
            Some(EntryState::Damaged { reason }) => Err(Error::Damaged { name: name.clone(), reason }),
            Some(EntryState::Deleted) | None => Err(Error::NotFound(name.clone())),
        }
    }

    /// Removes a dataset, by its name in any case; its files stay. A damaged manifest can be
    /// removed too.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Loading`], or what comes of the store.
    pub async fn delete(&self, name: &Name) -> Result<(), Error> {
        self.demand_loaded()?;
        let (shared, name) = (Arc::clone(&self.shared), name.clone());
        detached(async move { shared.delete(&name).await }).await
    }

    /// All datasets at this moment.
    ///
    /// # Errors
    /// [`Error::Loading`].
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        self.demand_loaded()?;
        Ok(self.shared.state.snapshot())
    }

    /// The datasets whose newest manifest can't be read.
    #[must_use]
    pub fn damaged(&self) -> Vec<Damage> {
        self.shared.state.damage()
    }

    /// For metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (datasets, damaged) = self.shared.state.counts();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            datasets: datasets as u64,
            damaged: damaged as u64,
            commits: count(&self.shared.commits),
            conflicts: count(&self.shared.conflicts),
            unconfirmed: count(&self.shared.unconfirmed),
            refreshes: count(&self.shared.refreshes),
        }
    }

    fn demand_loaded(&self) -> Result<(), Error> {
        if self.is_loaded() { Ok(()) } else { Err(Error::Loading) }
    }
}

impl Shared {
    async fn lock(&self, segment: &str) -> MutexGuard<'_, ()> {
        let place = usize::try_from(self.hasher.hash_one(segment)).unwrap_or_default() % LOCKS;
        #[expect(clippy::indexing_slicing, reason = "there are LOCKS locks")]
        self.locks[place].lock().await
    }

    async fn register(self: &Arc<Self>, request: &RegisterRequest) -> Result<RegisterResponse, Error> {
        let segment = segment(&request.name);
        let _guard = self.lock(&segment).await;
        let decide = |entry: Option<&Entry>| {
            if let Some(EntryState::Damaged { reason }) = entry.map(|entry| &entry.state) {
                return Err(Error::Damaged { name: request.name.clone(), reason: reason.clone() });
            }
            let current = entry.and_then(Entry::manifest);
            let last_version = entry.map_or(0, |entry| entry.version);
            Ok(match plan::plan(current.map(AsRef::as_ref), last_version, request, now_ms())? {
                Plan::Write(manifest) => Intent::Write(Some(manifest)),
                Plan::Existing => Intent::Nothing,
            })
        };
        let existing = !self.change(&request.name, &segment, decide).await?;
        let entry = self.state.get(&segment);
        let manifest = entry.as_ref().and_then(Entry::manifest).map(|manifest| Manifest::clone(manifest));
        let manifest = manifest.ok_or_else(|| Error::Internal("a dataset vanished under its lock".into()))?;
        Ok(RegisterResponse { existing, manifest })
    }

    async fn delete(self: &Arc<Self>, name: &Name) -> Result<(), Error> {
        let segment = segment(name);
        let _guard = self.lock(&segment).await;
        let decide = |entry: Option<&Entry>| match entry.map(|entry| &entry.state) {
            Some(EntryState::Present(_) | EntryState::Damaged { .. }) => Ok(Intent::Write(None)),
            Some(EntryState::Deleted) | None => Err(Error::NotFound(name.clone())),
        };
        self.change(name, &segment, decide).await.map(drop)
    }

    /// Carries out what `decide` makes of the newest entry; the name's lock is held. True where
    /// something was written.
    ///
    /// What memory says may be out of date. A write finds that out by itself, for its version is
    /// taken; "nothing to do" and a refusal are believed only after a look at the store, else the
    /// answer could contradict a change that another catalog has already acknowledged.
    async fn change(
        self: &Arc<Self>,
        name: &Name,
        segment: &str,
        decide: impl Fn(Option<&Entry>) -> Result<Intent, Error>,
    ) -> Result<bool, Error> {
        let mut fresh = false;
        for _ in 0..MAX_CONFLICTS {
            let entry = self.state.get(segment);
            match decide(entry.as_ref()) {
                Ok(Intent::Write(manifest)) => {
                    if self.write(name, segment, entry.as_ref(), manifest).await? {
                        return Ok(true);
                    }
                    self.conflicts.fetch_add(1, Ordering::Relaxed);
                    self.reload(segment, None).await?;
                }
                unchanged if fresh || self.is_current(segment, entry.as_ref()).await? => {
                    return unchanged.map(|_| false);
                }
                // `is_current` has put the newer entry into memory.
                _ => {}
            }
            fresh = true;
        }
        Err(Error::Contended(name.clone()))
    }

    /// Writes the version after `entry`; false where another catalog was first.
    async fn write(
        self: &Arc<Self>,
        name: &Name,
        segment: &str,
        entry: Option<&Entry>,
        manifest: Option<Manifest>,
    ) -> Result<bool, Error> {
        let version = entry.map_or(0, |entry| entry.version).checked_add(1);
        let version = version.ok_or_else(|| Error::Internal("the versions of a dataset ran out".into()))?;
        let lineage = entry.map(|entry| entry.heritage.clone()).unwrap_or_default();
        let record = Record::new(name.clone(), version, lineage, now_ms(), manifest);
        let commit = self.journal.commit(segment, &record).await;
        if matches!(commit, Err(Error::Unconfirmed(_))) {
            self.unconfirmed.fetch_add(1, Ordering::Relaxed);
        }
        let Commit::Done { etag, prunable } = commit? else { return Ok(false) };
        self.state.set(segment, Some(Entry::of(record, etag)));
        self.commits.fetch_add(1, Ordering::Relaxed);
        if !prunable.is_empty() {
            let (shared, segment) = (Arc::clone(self), segment.to_owned());
            tokio::spawn(async move {
                if let Err(error) = shared.journal.prune(&segment, &prunable).await {
                    tracing::warn!(%error, dataset = segment, "old manifests stay for now");
                }
            });
        }
        Ok(true)
    }

    /// Is `entry` what the store has? Else memory has it afterwards.
    async fn is_current(&self, segment: &str, entry: Option<&Entry>) -> Result<bool, Error> {
        let newest = self.journal.versions(segment).await?.pop();
        let known = entry.map(|entry| Newest { version: entry.version, etag: entry.etag.clone() });
        if newest == known {
            return Ok(true);
        }
        self.reload(segment, newest).await?;
        Ok(false)
    }

    /// Reads one name's newest version into memory; its lock is held. True where readers see
    /// something else now.
    async fn reload(&self, segment: &str, hint: Option<Newest>) -> Result<bool, Error> {
        let entry = self.journal.read_newest(segment, hint).await?;
        if entry.is_none() && self.state.get(segment).is_some() {
            tracing::warn!(dataset = segment, "all versions of a dataset vanished from the store");
        }
        Ok(self.state.set(segment, entry))
    }
}

/// What a change comes to.
enum Intent {
    Nothing,
    /// A new version: a dataset, or that it is gone.
    Write(Option<Manifest>),
}

/// Runs `work` to its end, also where the caller loses interest: a change that is under way when a
/// client hangs up must still reach memory.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let work = work.in_current_span();
    tokio::spawn(context::carried(work)).await.map_err(|error| Error::Internal(format!("change dataset: {error}")))?
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
