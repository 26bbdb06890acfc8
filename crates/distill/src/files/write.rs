use std::{
    fs::{self, File},
    io::{self, BufRead, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{At, Error};

/// Writes a file beside its place and moves it there when it is whole.
///
/// Dropped without [`Writer::publish`] it removes what it wrote; a process that dies leaves the
/// temporary file, which the next one overwrites.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    hash: Sha256,
    bytes: u64,
}

/// What a [`Writer`] has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// SHA-256 (hex) of the whole file.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

impl Writer {
    /// Begins a file at the temporary `path`, whose folder is made if need be.
    ///
    /// # Errors
    /// If the file or its folder can't be made.
    pub fn create(path: PathBuf) -> Result<Self, Error> {
        if let Some(parent) = path.parent() {
            create_dir(parent)?;
        }
        let file = File::create(&path).at("create", &path)?;
        let file = Some(BufWriter::with_capacity(1 << 16, file));
        Ok(Self { path, file, hash: Sha256::new(), bytes: 0 })
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// If the disk is full, or worse.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        match &mut self.file {
            Some(file) => file.write_all(bytes).at("write", &self.path),
            None => Ok(()),
        }
    }

    /// Appends `line` and a new line.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.write(line)?;
        self.write(b"\n")
    }

    /// What the file holds so far.
    #[must_use]
    pub fn written(&self) -> Written {
        Written { sha256: hex::encode(self.hash.clone().finalize()), bytes: self.bytes }
    }

    /// Makes the file durable and moves it to `place`, in one step for whoever reads there.
    ///
    /// # Errors
    /// If it can't be flushed, synced or moved.
    pub fn publish(mut self, place: &Path) -> Result<Written, Error> {
        let written = self.written();
        if let Some(file) = self.file.take() {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error).at("write", &self.path)?;
            file.sync_all().at("sync", &self.path)?;
        }
        if let Some(parent) = place.parent() {
            create_dir(parent)?;
            fs::rename(&self.path, place).at("move into place", place)?;
            sync_dir(parent)?;
        }
        Ok(written)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Nobody reads it there; the next writer overwrites what can't be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a folder and those above it, durably.
///
/// # Errors
/// If one of them can't be made.
pub fn create_dir(path: &Path) -> Result<(), Error> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(e) => return Err(e).at("create", path),
    }
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes what was created in, or moved into, a folder durable.
///
/// # Errors
/// If the folder can't be opened or synced.
pub fn sync_dir(path: &Path) -> Result<(), Error> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|folder| folder.sync_all()).at("sync", path)
}

/// Hashes what is read through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: BufRead> HashingReader<R> {
    /// Hashes from here on.
    pub fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// What was read so far.
    #[must_use]
    pub fn digest(&self) -> Written {
        Written { sha256: hex::encode(self.hash.clone().finalize()), bytes: self.bytes }
    }
}

impl<R: BufRead> Read for HashingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.hash.update(&out[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for HashingReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        // The buffer still holds these bytes, so asking again costs nothing.
        if let Ok(chunk) = self.inner.fill_buf() {
            self.hash.update(&chunk[..n.min(chunk.len())]);
        }
        self.bytes += n as u64;
        self.inner.consume(n);
    }
}
