use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use lakehouse_objstore::{GetOptions, ObjectStore};
use lakehouse_types::catalog::DataObject;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::Error;

/// Hashed and written at once: long enough that handing it to another thread costs nothing.
const STEP: usize = 1 << 20;

/// How a file looks from outside. One that looks the same has not been written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    size: u64,
    inode: u64,
    /// Seconds and nanoseconds of the last change of its content or its mode.
    changed: (i64, i64),
}

/// `None` where there is no file, or one of another size.
pub(super) fn look(path: &Path, size: u64) -> Option<Seen> {
    let metadata = fs::metadata(path).ok()?;
    let seen = Seen { size, inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) };
    (metadata.is_file() && metadata.len() == size).then_some(seen)
}

/// Hex SHA-256 of a file.
pub(super) fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; STEP];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

/// A file that has arrived whole.
#[derive(Debug)]
pub(super) struct Fetched {
    file: NamedTempFile,
    size: u64,
    pub(super) sha256: String,
}

impl Fetched {
    /// Puts it where it belongs, read only.
    pub(super) fn keep_as(self, path: &Path) -> io::Result<Seen> {
        self.file.as_file().set_permissions(fs::Permissions::from_mode(0o444))?;
        self.file.persist(path)?;
        look(path, self.size).ok_or_else(|| io::Error::other("the file has another size than was written"))
    }
}

/// Copies an object into a temporary file in `directory` and checks what arrived.
pub(super) async fn fetch(store: &dyn ObjectStore, object: &DataObject, directory: &Path) -> Result<Fetched, Error> {
    let bad = |reason: String| Error::BadFile { key: object.key.to_string(), reason };
    let got = store.get(&object.key, GetOptions::default()).await.map_err(|error| match error {
        lakehouse_objstore::Error::NotFound { .. } => bad("the store has no such object".to_owned()),
        other => Error::dependency(other),
    })?;
    if got.meta.size != object.size {
        return Err(bad(format!("it has {} bytes, {} were registered", got.meta.size, object.size)));
    }
    let mut body = got.body;
    let mut writer = Writer::new(directory).map_err(|error| no_room(&error))?;
    let mut step = BytesMut::new();
    let mut size = 0;
    while let Some(piece) = body.try_next().await.map_err(|error| Error::dependency(broken(&error)))? {
        size += piece.len() as u64;
        if size > object.size {
            return Err(bad(format!("it has more than the {} bytes that were registered", object.size)));
        }
        step.extend_from_slice(&piece);
        if step.len() >= STEP {
            writer = writer.write(step.split().freeze()).await?;
        }
    }
    let (file, sha256) = writer.write(step.freeze()).await?.finish();
    if size != object.size {
        return Err(Error::dependency(broken(&io::ErrorKind::UnexpectedEof.into())));
    }
    match &object.sha256 {
        Some(expected) if *expected != sha256 => {
            Err(bad(format!("its bytes hash to {sha256}, {expected} was registered")))
        }
        _ => Ok(Fetched { file, size, sha256 }),
    }
}

/// A transfer that broke off can be tried again.
fn broken(error: &io::Error) -> lakehouse_objstore::Error {
    lakehouse_objstore::Error::Unavailable { reason: format!("read object: {error}"), retry_after: None }
}

fn no_room(error: &io::Error) -> Error {
    Error::CacheFull { reason: format!("write file: {error}") }
}

/// Hashes and writes on threads that may block.
struct Writer {
    file: NamedTempFile,
    hash: Sha256,
}

impl Writer {
    fn new(directory: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::Builder::new().prefix("fetch-").tempfile_in(directory)?, hash: Sha256::new() })
    }

    async fn write(mut self, bytes: Bytes) -> Result<Self, Error> {
        let written = tokio::task::spawn_blocking(move || {
            self.hash.update(&bytes);
            self.file.as_file_mut().write_all(&bytes).map(|()| self)
        });
        match written.await {
            Ok(written) => written.map_err(|error| no_room(&error)),
            Err(_) => Err(Error::Internal("the thread that writes the cache panicked".to_owned())),
        }
    }

    fn finish(self) -> (NamedTempFile, String) {
        (self.file, hex::encode(self.hash.finalize()))
    }
}
