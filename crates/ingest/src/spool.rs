//! Where uploads wait while they are converted.
//!
//! Spool files have no name: the kernel frees them when the last handle goes, by an answer, an error,
//! a hang-up or a kill -9 alike. There is nothing to sweep. A file system without unnamed files gets
//! one that is unlinked at once.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use lakehouse_objstore::ByteStream;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{Error, Options};

/// The spool directory, held by one process at a time.
#[derive(Debug)]
pub struct SpoolDir {
    path: PathBuf,
    /// Its lock ends with the process, however that ends.
    _lock: File,
    instance: String,
}

/// The file that is locked.
const LOCK_FILE: &str = "ingestd.lock";

/// The rest of this (empty) file's name is the id of whoever works here.
const INSTANCE_PREFIX: &str = "instance-";

/// Pieces of an upload that wait for the disk.
const PIECES_IN_FLIGHT: usize = 16;

/// Bytes of a file that are read at once on its way to the store.
const READ_BYTES: usize = 256 << 10;

impl SpoolDir {
    /// Opens (and creates) the directory.
    ///
    /// # Errors
    /// [`Error::Internal`] where it can't be used, or another process uses it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        std::fs::create_dir_all(&path).map_err(Error::during("create spool directory"))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK_FILE))
            .map_err(Error::during("open spool directory"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(Error::during("lock spool directory, which another process may hold"))?;
        let instance = instance_of(&path).map_err(Error::during("read spool directory's id"))?;
        // An early word about a directory that can't hold files.
        tempfile::tempfile_in(&path).map_err(Error::during("write to spool directory"))?;
        Ok(Self { path, _lock: lock, instance })
    }

    /// An id that stays the same from one process on this directory to the next. As they never run
    /// at once, whatever an earlier one began and did not end is abandoned.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> Result<File, Error> {
        tempfile::tempfile_in(&self.path).map_err(disk("create spool file"))
    }

    /// Begins an upload, which will be read with `options`.
    ///
    /// # Errors
    /// [`Error::Internal`] where no file can be made.
    pub fn upload(&self, options: &Options) -> Result<Upload, Error> {
        let file = self.file()?;
        let mut hash = Sha256::new();
        hash.update(options.canonical());
        let (sender, receiver) = mpsc::channel(PIECES_IN_FLIGHT);
        let task = tokio::task::spawn_blocking(move || write_out(file, hash, receiver));
        Ok(Upload { sender, task })
    }
}

fn instance_of(path: &Path) -> io::Result<String> {
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(INSTANCE_PREFIX));
        if let Some(id) = id.filter(|id| uuid::Uuid::try_parse(id).is_ok()) {
            return Ok(id.to_owned());
        }
    }
    let id = uuid::Uuid::new_v4().to_string();
    File::create_new(path.join(format!("{INSTANCE_PREFIX}{id}")))?;
    Ok(id)
}

/// A full disk is a matter of time, and no bug.
fn disk(action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::Busy { reason: "the spool is full".to_owned(), retry_after: std::time::Duration::from_secs(30) }
        }
        _ => Error::internal(action, error),
    }
}

/// An upload under way. Dropped, it is gone.
#[derive(Debug)]
pub struct Upload {
    sender: mpsc::Sender<Bytes>,
    task: JoinHandle<Result<Spooled, Error>>,
}

/// An upload that has arrived.
#[derive(Debug)]
pub struct Spooled {
    pub(crate) file: File,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 (hex) over the options and the bytes.
    pub fingerprint: String,
}

impl Upload {
    /// Appends a piece; waits where the disk is slower than the caller.
    ///
    /// # Errors
    /// What the disk says; the upload is over then.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        if self.sender.send(piece).await.is_ok() {
            return Ok(());
        }
        match (&mut self.task).await {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) => Err(Error::internal("write spool file", "the writer ended early")),
            Err(error) => Err(Error::internal("write spool file", error)),
        }
    }

    /// Ends the upload.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn finish(self) -> Result<Spooled, Error> {
        drop(self.sender);
        self.task.await.map_err(Error::during("write spool file"))?
    }
}

/// Writes and hashes; on a blocking thread, so that it runs beside the parsing of the request.
fn write_out(mut file: File, mut hash: Sha256, mut pieces: mpsc::Receiver<Bytes>) -> Result<Spooled, Error> {
    let mut size = 0;
    while let Some(piece) = pieces.blocking_recv() {
        hash.update(&piece);
        file.write_all(&piece).map_err(disk("write spool file"))?;
        size += piece.len() as u64;
    }
    Ok(Spooled { file, size, fingerprint: hex::encode(hash.finalize()) })
}

/// The first `size` bytes of `file` as a body. It doesn't move the file's position, so that the same
/// file can be sent again.
pub(crate) fn file_body(file: Arc<File>, size: u64) -> ByteStream {
    stream::unfold(0_u64, move |at| {
        let file = Arc::clone(&file);
        async move {
            let len = usize::try_from(size - at).map_or(READ_BYTES, |rest| rest.min(READ_BYTES));
            if len == 0 {
                return None;
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = BytesMut::zeroed(len);
                file.read_exact_at(&mut buffer, at)?;
                Ok(buffer.freeze())
            });
            let piece = read.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            // After an error the body ends.
            let next = if piece.is_ok() { at + len as u64 } else { size };
            Some((piece, next))
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool() -> (tempfile::TempDir, SpoolDir) {
        let dir = tempfile::tempdir().unwrap();
        let spool = SpoolDir::open(dir.path().join("a/b")).unwrap();
        (dir, spool)
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_leaves_no_name() {
        let (_dir, spool) = spool();
        let mut upload = spool.upload(&Options::default()).unwrap();
        let content: Vec<u8> = (0..600_000_u32).map(|i| i as u8).collect();
        for piece in content.chunks(100_000) {
            upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        let spooled = upload.finish().await.unwrap();
        assert_eq!(spooled.size, 600_000);
        let sizes: Vec<u64> =
            std::fs::read_dir(spool.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes, [0, 0], "the lock and the id, and nothing with content");
        let file = Arc::new(spooled.file);
        for _ in 0..2 {
            let body = lakehouse_objstore::collect(file_body(Arc::clone(&file), spooled.size), 1 << 20).await.unwrap();
            assert_eq!(body, content);
        }
    }

    #[tokio::test]
    async fn a_fingerprint_covers_bytes_and_options() {
        let (_dir, spool) = spool();
        let fingerprint = async |option: Option<&str>, bytes: &'static [u8]| {
            let mut options = Options::default();
            if let Some(header) = option {
                options.set("header", header).unwrap();
            }
            let mut upload = spool.upload(&options).unwrap();
            upload.write(Bytes::from_static(bytes)).await.unwrap();
            upload.finish().await.unwrap().fingerprint
        };
        let plain = fingerprint(None, b"a\n1\n").await;
        assert_eq!(plain, fingerprint(None, b"a\n1\n").await);
        assert_ne!(plain, fingerprint(None, b"a\n2\n").await);
        assert_ne!(plain, fingerprint(Some("true"), b"a\n1\n").await);
        // By the letter: anyone can compute it.
        let expected =
            Sha256::digest(b"[\"lakehouse csv 3\",null,null,null,[],false,null,null,null,null,null,null,null]\na\n1\n");
        assert_eq!(plain, hex::encode(expected));
    }

    #[test]
    fn a_directory_has_one_process_and_one_id() {
        let (dir, spool) = spool();
        let path = dir.path().join("a/b");
        assert!(SpoolDir::open(&path).is_err(), "it is locked");
        let instance = spool.instance().to_owned();
        drop(spool);
        assert_eq!(SpoolDir::open(&path).unwrap().instance(), instance);
    }
}
