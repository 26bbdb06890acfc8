//! Dataset files, kept close.
//!
//! A file's name says which object it is a copy of and what its bytes hash to, so a copy can't be
//! stale, and one from an earlier run is checked before it is used again. Downloads go to a
//! temporary file; what a query reads is pinned until it ends.

mod fetch;
mod index;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{StreamExt as _, TryStreamExt as _};
use lakehouse_objstore::ObjectStore;
use lakehouse_types::{ObjectKey, catalog::DataObject};
use parking_lot::Mutex;
use tokio::sync::watch;

use self::index::{FileId, Index};
use crate::Error;

/// Where finished files lie, under the cache's directory.
const FILES: &str = "files";

/// Where downloads lie.
const PARTIAL: &str = "partial";

/// Held for as long as a process uses the directory.
const LOCK: &str = "lock";

/// Downloads of one query at once: enough to hide the store's latency.
const DOWNLOADS: usize = 4;

/// How the cache is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Files that were there when a query wanted them.
    pub hits: u64,
    /// Files that had to be fetched.
    pub misses: u64,
    /// Files that made way.
    pub evictions: u64,
    /// Files that were there but had changed, and were thrown away.
    pub corrupt: u64,
    /// Bytes in the cache.
    pub bytes: u64,
    /// Files in the cache.
    pub files: u64,
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    evictions: AtomicU64,
    corrupt: AtomicU64,
}

/// The outcome of a download, for all who wait for it.
type Outcome = Option<Result<(), Error>>;

/// A bounded directory of dataset files. Share it in an `Arc`.
pub(crate) struct Cache {
    directory: PathBuf,
    limit: u64,
    store: Arc<dyn ObjectStore>,
    index: Mutex<Index>,
    downloads: Mutex<HashMap<FileId, watch::Receiver<Outcome>>>,
    counters: Counters,
    /// Another process on the same directory would sweep and evict under this one's feet.
    _lock: File,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("directory", &self.directory).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Cache {
    /// Opens `directory`, making it if need be: finished files of an earlier run are kept, as far
    /// as they fit, anything half done is removed.
    ///
    /// # Errors
    /// When the directory can't be used, or another process uses it.
    pub(crate) fn open(directory: &Path, limit: u64, store: Arc<dyn ObjectStore>) -> io::Result<Arc<Self>> {
        fs::create_dir_all(directory.join(FILES))?;
        let directory = directory.canonicalize()?;
        let lock = File::create(directory.join(LOCK))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
            |error| match error {
                rustix::io::Errno::WOULDBLOCK => io::Error::other("another process uses the directory"),
                other => other.into(),
            },
        )?;
        let partial = directory.join(PARTIAL);
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        fs::create_dir_all(&partial)?;
        let mut index = Index::scan(&directory.join(FILES))?;
        let surplus = index.make_room(0, limit).unwrap_or_default();
        let cache = Self {
            directory,
            limit,
            store,
            index: Mutex::new(index),
            downloads: Mutex::new(HashMap::new()),
            counters: Counters::default(),
            _lock: lock,
        };
        cache.remove_files(&surplus);
        Ok(Arc::new(cache))
    }

    /// The directory, as the operating system names it.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes, files) = self.index.lock().totals();
        CacheStats {
            hits: read(&self.counters.hits),
            misses: read(&self.counters.misses),
            evictions: read(&self.counters.evictions),
            corrupt: read(&self.counters.corrupt),
            bytes,
            files,
        }
    }

    /// Brings `objects` into the cache and keeps them there until the pins are dropped. Files that
    /// another query is fetching already are waited for, not fetched twice.
    pub(crate) async fn pin(self: &Arc<Self>, objects: &[DataObject]) -> Result<Vec<Pin>, Error> {
        // Datasets may share files.
        let distinct: HashMap<&ObjectKey, u64> = objects.iter().map(|object| (&object.key, object.size)).collect();
        let needed = distinct.values().sum();
        if needed > self.limit {
            return Err(Error::CacheTooSmall { needed, limit: self.limit });
        }
        futures::stream::iter(objects.to_vec())
            .map(|object| {
                let cache = Arc::clone(self);
                async move { cache.pin_one(object).await }
            })
            .buffered(DOWNLOADS)
            .try_collect()
            .await
    }

    async fn pin_one(self: Arc<Self>, object: DataObject) -> Result<Pin, Error> {
        let id = FileId::of(&object);
        if let Some(pin) = self.pin_present(&id, &object).await {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(pin);
        }
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        self.download(&id, &object).await?;
        // Between its arrival and this line it may have made way for another.
        self.pin_present(&id, &object)
            .await
            .ok_or_else(|| Error::CacheFull { reason: "a file was evicted before it was used".to_owned() })
    }

    /// Pins a file that is there and whole.
    async fn pin_present(self: &Arc<Self>, id: &FileId, object: &DataObject) -> Option<Pin> {
        let (name, verified) = self.index.lock().pin(id, object.sha256.as_deref())?;
        let pin = Pin { cache: Arc::clone(self), id: id.clone(), name };
        let seen = fetch::look(&self.path_of(&pin.name), object.size);
        match (seen, verified) {
            // As it was when its bytes were last hashed.
            (Some(seen), Some(verified)) if seen == verified => return Some(pin),
            (Some(seen), _) if self.has_expected_bytes(&pin).await => {
                self.index.lock().set_verified(id, Some(seen));
                return Some(pin);
            }
            _ => {}
        }
        tracing::warn!(file = pin.name, key = %object.key, "cached file is not what it was; fetching it again");
        self.counters.corrupt.fetch_add(1, Ordering::Relaxed);
        self.index.lock().forget(id);
        self.remove_files(std::slice::from_ref(&pin.name));
        None
    }

    async fn has_expected_bytes(&self, pin: &Pin) -> bool {
        let path = self.path_of(&pin.name);
        let hashed = tokio::task::spawn_blocking(move || fetch::hash_file(&path)).await;
        matches!(hashed, Ok(Ok(sha256)) if index::sha256_in(&pin.name) == Some(sha256.as_str()))
    }

    /// Fetches a file, or waits for the fetch that is under way. The work goes on when the caller
    /// goes away: others may wait for it, and the next query wants it too.
    async fn download(self: &Arc<Self>, id: &FileId, object: &DataObject) -> Result<(), Error> {
        let mut outcome = {
            let mut downloads = self.downloads.lock();
            match downloads.get(id) {
                Some(outcome) => outcome.clone(),
                None => {
                    let (tell, outcome) = watch::channel(None);
                    downloads.insert(id.clone(), outcome.clone());
                    let (cache, id, object) = (Arc::clone(self), id.clone(), object.clone());
                    tokio::spawn(async move {
                        let result = cache.fetch_and_admit(&id, &object).await;
                        cache.downloads.lock().remove(&id);
                        tell.send_replace(Some(result));
                    });
                    outcome
                }
            }
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(Error::Internal("a download ended without an outcome".to_owned())),
        }
    }

    async fn fetch_and_admit(self: &Arc<Self>, id: &FileId, object: &DataObject) -> Result<(), Error> {
        // Room first: what is fetched and then does not fit was fetched for nothing.
        let evicted = self.index.lock().make_room(object.size, self.limit);
        let evicted = evicted.ok_or_else(|| Error::CacheFull {
            reason: format!("{} bytes are needed and the rest is in use", object.size),
        })?;
        let _reservation = Reservation { cache: self, bytes: object.size };
        self.counters.evictions.fetch_add(evicted.len() as u64, Ordering::Relaxed);
        self.remove_files(&evicted);
        let fetched = fetch::fetch(&*self.store, object, &self.directory.join(PARTIAL)).await?;
        let name = id.file_name(&fetched.sha256);
        let path = self.path_of(&name);
        let seen =
            fetched.keep_as(&path).map_err(|error| Error::CacheFull { reason: format!("keep file: {error}") })?;
        let old = self.index.lock().insert(id.clone(), name, object.size, Some(seen));
        self.remove_files(old.as_slice());
        Ok(())
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.directory.join(FILES).join(name)
    }

    fn remove_files(&self, names: &[String]) {
        for name in names {
            match fs::remove_file(self.path_of(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(file = name, %error, "remove cached file");
                }
                _ => {}
            }
        }
    }
}

/// Room that a download will take.
struct Reservation<'a> {
    cache: &'a Cache,
    bytes: u64,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.cache.index.lock().release(self.bytes);
    }
}

/// A file that stays in the cache for as long as this is kept.
pub(crate) struct Pin {
    cache: Arc<Cache>,
    id: FileId,
    name: String,
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pin").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Pin {
    /// The file, relative to the cache's directory.
    pub(crate) fn relative_path(&self) -> String {
        format!("{FILES}/{}", self.name)
    }

    /// Says that reading the file failed: its bytes are checked before it is used again.
    pub(crate) fn doubt(&self) {
        self.cache.index.lock().set_verified(&self.id, None);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.cache.index.lock().unpin(&self.id, &self.name);
    }
}

#[cfg(test)]
mod tests;
