//! A write: the body into a temporary file, synced, then renamed over the object.

use std::{
    fs::File,
    io::{self, Write as _},
    mem,
    os::fd::{AsRawFd as _, BorrowedFd},
    sync::Arc,
    time::Instant,
};

use futures::TryStreamExt as _;
use lakehouse_types::ObjectKey;
use rustix::{
    fs::{AtFlags, RenameFlags},
    io::Errno,
};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use super::{Inner, blocking, failed, path::Location, stamp::Stamp};
use crate::{ByteStream, Condition, Error, PutOptions, PutOutcome, store::check_size};

/// Bytes that one trip to a blocking thread carries: enough that the trip costs nothing beside
/// them, and few enough that a thousand slow callers don't hold a gigabyte.
const SMALLEST_BATCH: usize = 256 << 10;
const LARGEST_BATCH: usize = 1 << 20;

/// The disk is told to begin after this many bytes, so that it works while more arrive and the
/// sync at the end has little left to do. Left to itself the kernel waits up to 30 seconds.
const WRITE_BACK: u64 = 8 << 20;

pub(super) async fn put(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    mut body: ByteStream,
    options: PutOptions,
) -> Result<PutOutcome, Error> {
    let location = Location::of(key.as_str());
    if options.condition != Condition::None {
        // Before the body is read: most refused writes are refused here, and cost nothing.
        check_condition(inner, key, &location, &options.condition).await?;
    }
    let mut upload = Upload::new(inner, options.sha256.is_some());
    let mut received = 0_u64;
    while let Some(piece) = body.try_next().await.map_err(Error::Body)? {
        received += piece.len() as u64;
        check_size(&options, received, false)?;
        upload.take_in(&piece, batch_bytes(received)).await?;
    }
    check_size(&options, received, true)?;
    let temporary = upload.finish(options.sha256).await?;
    let guard = inner.locks.lock(key).await;
    let (inner, key) = (Arc::clone(inner), key.clone());
    blocking(move || {
        let _guard = guard;
        commit(&inner, &key, &location, temporary, &options.condition)
    })
    .await
}

async fn check_condition(
    inner: &Arc<Inner>,
    key: &ObjectKey,
    location: &Location,
    condition: &Condition,
) -> Result<(), Error> {
    // Under the lock: the object that decides may have been renamed and not synced yet, and a
    // caller who is told that it exists will count on it.
    let guard = inner.locks.lock(key).await;
    let (inner, key, location, condition) = (Arc::clone(inner), key.clone(), location.clone(), condition.clone());
    blocking(move || {
        let _guard = guard;
        let current = match inner.tree.open(&location.dirs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("open directory", error)),
            Ok(dir) => current(&dir, &location.file)?,
        };
        holds(&condition, current, &key)
    })
    .await
}

fn holds(condition: &Condition, current: Option<Stamp>, key: &ObjectKey) -> Result<(), Error> {
    let holds = match condition {
        Condition::None => true,
        Condition::IfAbsent => current.is_none(),
        Condition::IfMatch(etag) => current.is_some_and(|stamp| stamp.etag() == *etag),
    };
    if holds { Ok(()) } else { Err(Error::PreconditionFailed { key: key.to_string() }) }
}

fn current(dir: impl std::os::fd::AsFd, file: &str) -> Result<Option<Stamp>, Error> {
    match rustix::fs::statat(dir, file, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Stamp::of(&stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(failed("look up object", error.into())),
    }
}

/// Decides the condition and renames, under the key's lock; returns once that is on the disk.
fn commit(
    inner: &Inner,
    key: &ObjectKey,
    location: &Location,
    mut temporary: Temporary,
    condition: &Condition,
) -> Result<PutOutcome, Error> {
    let renamed = inner.tree.place(&location.dirs, &location.file, |dir| {
        let current = current(dir, &location.file).map_err(Refusal)?;
        holds(condition, current, key).map_err(Refusal)?;
        rename(inner, &temporary.name, dir, &location.file, condition).map_err(|error| match error {
            Errno::EXIST => Refusal(Error::PreconditionFailed { key: key.to_string() }),
            error => Refusal(failed("rename object", error.into())),
        })?;
        Ok::<_, Refusal>(current.is_none())
    });
    let (created, placed) = match renamed {
        Ok(renamed) => renamed,
        Err(Refusal(error)) => {
            inner.tree.prune(&location.dirs);
            return Err(error);
        }
    };
    temporary.placed = true;
    // An error here can't take the rename back: the object is new and whole, and may be the old
    // one again after a loss of power. The caller is told that the write failed, and can repeat it.
    inner.tree.settle(&placed, |dir| inner.sync(dir)).map_err(|error| failed("sync directory", error))?;
    Ok(PutOutcome { etag: std::mem::take(&mut temporary.etag), created, size: temporary.written })
}

struct Refusal(Error);

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self(failed("make directory", error))
    }
}

/// Moves a temporary file to its place. For `IfAbsent` the kernel makes sure that nothing is
/// there, so that even a process that ignores our locks can't be overwritten.
fn rename(inner: &Inner, name: &str, dir: BorrowedFd<'_>, file: &str, condition: &Condition) -> Result<(), Errno> {
    let tmp = &inner.root.tmp;
    if *condition != Condition::IfAbsent {
        return rustix::fs::renameat(tmp, name, dir, file);
    }
    match rustix::fs::renameat_with(tmp, name, dir, file, RenameFlags::NOREPLACE) {
        // Some network and FUSE file systems don't know the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_and_unlink(inner, name, dir, file),
        renamed => renamed,
    }
}

pub(super) fn link_and_unlink(inner: &Inner, name: &str, dir: BorrowedFd<'_>, file: &str) -> Result<(), Errno> {
    rustix::fs::linkat(&inner.root.tmp, name, dir, file, AtFlags::empty())?;
    inner.root.remove_temporary(name);
    Ok(())
}

/// Larger batches for larger bodies.
fn batch_bytes(received: u64) -> usize {
    usize::try_from(received / 8).unwrap_or(LARGEST_BATCH).clamp(SMALLEST_BATCH, LARGEST_BATCH)
}

/// The file with a batch more in it, and the batch's buffer for another one.
type WrittenBatch = Result<(Temporary, Vec<u8>), Error>;

/// A body on its way into a temporary file. One batch is written while the next arrives.
///
/// The pieces are copied into two buffers that take turns. To keep them until they are written
/// would cost more: the server has to find fresh memory for what follows then, and the pages of a
/// gigabyte take longer to come by than the copy.
struct Upload {
    inner: Arc<Inner>,
    hash: bool,
    filling: Vec<u8>,
    under_way: Option<JoinHandle<WrittenBatch>>,
}

impl Upload {
    fn new(inner: &Arc<Inner>, hash: bool) -> Self {
        Self { inner: Arc::clone(inner), hash, filling: Vec::new(), under_way: None }
    }

    async fn take_in(&mut self, mut piece: &[u8], batch_bytes: usize) -> Result<(), Error> {
        while self.filling.len() + piece.len() >= batch_bytes {
            let (fits, rest) = piece.split_at(batch_bytes.saturating_sub(self.filling.len()).min(piece.len()));
            self.filling.extend_from_slice(fits);
            self.write().await?;
            piece = rest;
        }
        self.filling.extend_from_slice(piece);
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Error> {
        let (file, mut emptied) = self.written_so_far().await?;
        emptied.clear();
        let batch = mem::replace(&mut self.filling, emptied);
        let inner = Arc::clone(&self.inner);
        let hash = self.hash;
        // If this future is dropped, the thread finishes its batch and drops the file, which removes it.
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            let mut file = file.map_or_else(|| Temporary::new(&inner, hash), Ok)?;
            file.write(&batch)?;
            Ok((file, batch))
        }));
        Ok(())
    }

    async fn written_so_far(&mut self) -> Result<(Option<Temporary>, Vec<u8>), Error> {
        let Some(task) = self.under_way.take() else { return Ok((None, Vec::new())) };
        let (file, buffer) = task.await.map_err(|error| Error::backend("write object", error))??;
        Ok((Some(file), buffer))
    }

    async fn finish(mut self, sha256: Option<String>) -> Result<Temporary, Error> {
        let (file, _) = self.written_so_far().await?;
        let Self { inner, hash, filling, .. } = self;
        blocking(move || {
            let mut file = file.map_or_else(|| Temporary::new(&inner, hash), Ok)?;
            file.write(&filling)?;
            file.seal(sha256)?;
            Ok(file)
        })
        .await
    }
}

/// A file in `tmp/`, removed when dropped unless it has become an object.
struct Temporary {
    inner: Arc<Inner>,
    file: File,
    name: String,
    hash: Option<Sha256>,
    written: u64,
    handed_to_disk: u64,
    etag: String,
    placed: bool,
}

impl Temporary {
    fn new(inner: &Arc<Inner>, hash: bool) -> Result<Self, Error> {
        let (file, name) = inner.temporary().map_err(|error| failed("make temporary file", error))?;
        Ok(Self {
            inner: Arc::clone(inner),
            file,
            name,
            hash: hash.then(Sha256::new),
            written: 0,
            handed_to_disk: 0,
            etag: String::new(),
            placed: false,
        })
    }

    fn write(&mut self, batch: &[u8]) -> Result<(), Error> {
        if let Some(hash) = &mut self.hash {
            hash.update(batch);
        }
        self.file.write_all(batch).map_err(|error| failed("write object", error))?;
        self.written += batch.len() as u64;
        if self.written - self.handed_to_disk >= WRITE_BACK {
            start_write_back(&self.file, self.handed_to_disk, self.written - self.handed_to_disk);
            self.handed_to_disk = self.written;
        }
        Ok(())
    }

    /// Compares the checksum, gives the file its time, which is its entity tag, and syncs it.
    fn seal(&mut self, sha256: Option<String>) -> Result<(), Error> {
        if let (Some(expected), Some(hash)) = (sha256, self.hash.take()) {
            let actual = hex::encode(hash.finalize());
            if !expected.eq_ignore_ascii_case(&actual) {
                return Err(Error::ChecksumMismatch { expected, actual });
            }
        }
        let sealed =
            rustix::fs::futimens(&self.file, &self.inner.clock.next()).and_then(|()| rustix::fs::fstat(&self.file));
        let stat = sealed.map_err(|error| failed("set time of object", error.into()))?;
        let stamp = Stamp::of(&stat).filter(|stamp| stamp.size == self.written);
        let stamp = stamp.ok_or_else(|| Error::backend("write object", "somebody else changed the temporary file"))?;
        self.etag = stamp.etag();
        // Not `fdatasync`: the time is part of what must survive.
        self.inner.sync(&self.file).map_err(|error| failed("sync object", error))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.placed {
            self.inner.root.remove_temporary(&self.name);
        }
    }
}

/// Asks for the pages to be written soon; a hint, so a failure is of no account. The sync that
/// counts comes later.
#[cfg(target_os = "linux")]
fn start_write_back(file: &File, from: u64, bytes: u64) {
    let (from, bytes) = (from.cast_signed(), bytes.cast_signed());
    // SAFETY: the descriptor is open for as long as `file` lives, and the call touches no memory of ours.
    unsafe { libc::sync_file_range(file.as_raw_fd(), from, bytes, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
fn start_write_back(_: &File, _: u64, _: u64) {}

impl Inner {
    fn temporary(&self) -> io::Result<(File, String)> {
        let number = self.temporaries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.root.temporary(number)
    }

    /// Syncs a file or directory, and tells how long that took.
    pub(super) fn sync(&self, fd: impl std::os::fd::AsFd) -> io::Result<()> {
        let began = Instant::now();
        rustix::fs::fsync(fd)?;
        if let Some(observe) = &self.on_sync {
            observe(began.elapsed());
        }
        Ok(())
    }
}
