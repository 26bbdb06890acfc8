//! Objects as files in a local directory.
//!
//! A write goes to a temporary file on the same file system, is synced, renamed over the object,
//! and the directory is synced: see `write.rs` for the order and `tree.rs` for fresh directories.
//! One process at a time has a root open.

mod list;
mod listing;
mod locks;
mod path;
mod read;
mod root;
mod stamp;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use async_trait::async_trait;
use lakehouse_types::{ObjectKey, store::ListPage};

#[doc(hidden)]
pub use self::path::check_name;
use self::{locks::KeyLocks, path::Location, root::Root, stamp::Clock, tree::Tree};
use crate::{ByteStream, Error, GetOptions, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome};

/// Is told how long each sync of a file or directory took.
pub type SyncObserver = Arc<dyn Fn(Duration) + Send + Sync>;

/// How to open a [`Local`].
#[derive(Clone, Default)]
pub struct LocalOptions {
    /// The directory; made if it is missing.
    pub root: PathBuf,
    /// For metrics.
    pub on_sync: Option<SyncObserver>,
}

impl std::fmt::Debug for LocalOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalOptions").field("root", &self.root).finish_non_exhaustive()
    }
}

/// An [`ObjectStore`] in a local directory. Cheap to clone.
#[derive(Clone)]
pub struct Local {
    inner: Arc<Inner>,
}

struct Inner {
    root: Root,
    tree: Tree,
    clock: Clock,
    locks: KeyLocks,
    temporaries: AtomicU64,
    on_sync: Option<SyncObserver>,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Local")
    }
}

impl Local {
    /// Opens the store under `root`, for this process alone: a second one is refused. Bodies of
    /// writes that a crash cut off are removed.
    ///
    /// This reads and syncs the disk; call it where blocking is allowed.
    ///
    /// # Errors
    /// What is wrong with the directory.
    pub fn open(options: LocalOptions) -> Result<Self, Error> {
        let LocalOptions { root: path, on_sync } = options;
        let (root, objects) = Root::open(&path).map_err(|error| {
            let text = format!("{}: {error}", path.display());
            Error::backend("open object store", io::Error::new(error.kind(), text))
        })?;
        let inner = Inner {
            clock: Clock::new(root.time_step),
            root,
            tree: Tree::new(objects),
            locks: KeyLocks::default(),
            temporaries: AtomicU64::new(0),
            on_sync,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where the object under `key` is, relative to the root. For people and tests: whoever writes
    /// there while a store has the root open breaks it.
    #[must_use]
    pub fn relative_path(key: &ObjectKey) -> PathBuf {
        let Location { dirs, file } = Location::of(key.as_str());
        Path::new("objects").join(dirs.iter().collect::<PathBuf>()).join(file)
    }
}

#[async_trait]
impl ObjectStore for Local {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: PutOptions) -> Result<PutOutcome, Error> {
        write::put(&self.inner, key, body, options).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
        read::get(&self.inner, key, options).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        read::head(&self.inner, key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let location = Location::of(key.as_str());
        let guard = self.inner.locks.lock(key).await;
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _guard = guard;
            let removed = inner.tree.remove(&location.dirs, &location.file);
            if let Some(directory) = removed.map_err(|error| failed("remove object", error))? {
                inner.sync(&directory).map_err(|error| failed("sync directory", error))?;
                inner.tree.prune(&location.dirs);
            }
            Ok(())
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, Error> {
        let inner = Arc::clone(&self.inner);
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        blocking(move || {
            let page = list::list(&inner.tree, &prefix, after.as_deref(), limit);
            page.map_err(|error| failed("list objects", error))
        })
        .await
    }

    async fn check(&self) -> Result<(), Error> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.root.check().map_err(|error| failed("check object store", error))).await
    }
}

/// Runs file work where it may block. It is finished even if nobody waits for it any more.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::backend("run file work", error))?
}

fn failed(action: &'static str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::NoSpace { action },
        _ => Error::backend(action, error),
    }
}
