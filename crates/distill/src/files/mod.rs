//! The disk: reading logs line by line, walking the day folders, and writing so that a crash at any
//! moment leaves whole files only.

mod append;
mod lines;
mod walk;
mod write;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

pub use append::{Appender, append_line, whole_lines};
pub use lines::{Line, LineReader, MAX_LINE_BYTES, Row};
pub use walk::{DayFile, day_files};
pub use write::{HashingReader, Writer, Written, create_dir, sync_dir};

/// What failed, on which file, and why.
#[derive(Debug, thiserror::Error)]
#[error("{verb} {path}: {source}")]
pub struct Error {
    /// What was tried.
    pub verb: &'static str,
    /// On what.
    pub path: String,
    /// Why it did not work.
    pub source: io::Error,
}

impl Error {
    /// Whether the file is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Adds verb and path to an I/O error.
pub trait At<T> {
    /// `read data/_kb/outcomes.jsonl: No such file or directory`.
    ///
    /// # Errors
    /// The error that it was, with more to say.
    fn at(self, verb: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, verb: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error { verb, path: path.display().to_string(), source })
    }
}

/// Opens `path` for reading; none if it is not there.
///
/// # Errors
/// If it is there and can't be opened, or is a directory.
pub fn open_if_there(path: &Path) -> Result<Option<File>, Error> {
    let file = match File::open(path).at("open", path) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata().at("look at", path)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory)).at("read", path);
    }
    Ok(Some(file))
}

/// Held for as long as nobody else may write; freed by the kernel when the process ends, however.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "its closing is what frees the lock")] File);

/// Takes the lock file at `path`, after the one who has it; `waiting` is called before the wait.
///
/// # Errors
/// If the file can't be made or locked.
pub fn lock(path: &Path, waiting: impl FnOnce()) -> Result<Lock, Error> {
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    let file = File::options().create(true).append(true).open(path).at("open", path)?;
    match file.try_lock() {
        Ok(()) => return Ok(Lock(file)),
        Err(std::fs::TryLockError::WouldBlock) => waiting(),
        Err(std::fs::TryLockError::Error(error)) => return Err(error).at("lock", path),
    }
    file.lock().at("lock", path)?;
    Ok(Lock(file))
}

/// `root` and a relative path with `/`.
#[must_use]
pub fn under(root: &Path, relative: &str) -> PathBuf {
    root.join(relative)
}

#[cfg(test)]
mod tests;
