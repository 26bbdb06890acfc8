use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{At, Error, HashingReader, MAX_LINE_BYTES, Written, create_dir, sync_dir};

/// Appends one line to a file that others append to at the same time, durably.
///
/// The line goes out in one `write` on a descriptor opened with `O_APPEND`, so lines interleave and
/// bytes never do. Programs that also take the file's advisory lock, as this one does, repair each
/// other's crashes: a line that somebody left half-written is ended before the new one begins.
///
/// # Errors
/// If the file can't be made, locked, written or synced. A line that the disk had no room for is
/// taken back.
pub fn append_line(path: &Path, line: &str) -> Result<(), Error> {
    let is_new = !path.exists();
    let mut file = open_locked(path)?;
    let mut bytes = Vec::with_capacity(line.len() + 2);
    let length = file.metadata().at("look at", path)?.len();
    if length > 0 && last_byte(&mut file, length).at("read", path)? != b'\n' {
        bytes.push(b'\n');
    }
    // A line of JSON has no new line in it; one that did would be two lines for every reader.
    bytes.extend(line.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
    bytes.push(b'\n');
    write_whole(&mut file, &bytes, path)?;
    file.sync_all().at("sync", path)?;
    if is_new && let Some(parent) = path.parent() {
        sync_dir(parent)?;
    }
    Ok(())
}

/// Appends many lines to a file that others append to at the same time, under its advisory lock.
///
/// The file is never replaced: others may have it open, lock or no lock, and what they wrote to a
/// replaced one would be lost. What a crash leaves is a beginning of the lines, the last one perhaps
/// cut; whoever then appends the lines that are missing gets the file of an undisturbed run.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    file: File,
    /// The file's last line, as long as it has no end.
    cut: Vec<u8>,
    /// The file's length when it was opened.
    length: u64,
    /// Whole lines that are still to be written.
    pending: Vec<u8>,
}

impl Appender {
    /// What is written at once: enough for few calls, little enough for memory.
    pub(super) const CHUNK: usize = 1 << 20;

    /// Opens the file at `path`, which is made with its folder if need be, after whoever has its lock.
    ///
    /// # Errors
    /// If it can't be made, locked or read.
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let mut file = open_locked(&path)?;
        let length = file.metadata().at("look at", &path)?.len();
        let cut = cut_line(&mut file, length).at("read", &path)?;
        Ok(Self { path, file, cut, length, pending: Vec::new() })
    }

    /// Appends `line`, which has no new line in it, and a new line.
    ///
    /// # Errors
    /// If the disk is full, or worse. Lines before this one may be in the file then.
    pub fn push(&mut self, line: &[u8]) -> Result<(), Error> {
        let cut = std::mem::take(&mut self.cut);
        if cut.is_empty() {
            self.pending.extend_from_slice(line);
            self.pending.push(b'\n');
            return if self.pending.len() >= Self::CHUNK { self.flush() } else { Ok(()) };
        }
        // A crash cuts the first of the lines that are missing: then only its rest is. A line that
        // somebody else left half-written is ended, also where somebody writes it at this moment.
        let rest = line.strip_prefix(&cut[..]);
        let length = self.file.metadata().at("look at", &self.path)?.len();
        let rest = rest.filter(|_| length == self.length).unwrap_or_else(|| {
            self.pending.push(b'\n');
            line
        });
        self.pending.extend_from_slice(rest);
        self.pending.push(b'\n');
        self.flush()
    }

    /// Ends the last line, makes everything durable, and says what the file holds now.
    ///
    /// # Errors
    /// As [`Self::push`], or if it can't be synced or read.
    pub fn finish(mut self) -> Result<Written, Error> {
        if !self.cut.is_empty() {
            self.pending.push(b'\n');
        }
        self.flush()?;
        self.file.sync_all().at("sync", &self.path)?;
        if let Some(parent) = self.path.parent() {
            sync_dir(parent)?;
        }
        self.file.seek(SeekFrom::Start(0)).at("read", &self.path)?;
        let mut whole = HashingReader::new(BufReader::with_capacity(1 << 18, self.file));
        io::copy(&mut whole, &mut io::sink()).at("read", &self.path)?;
        Ok(whole.digest())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.pending.is_empty() {
            write_whole(&mut self.file, &self.pending, &self.path)?;
            self.pending.clear();
        }
        Ok(())
    }
}

/// How many bytes of `file` are lines that are ended: others may be in the middle of writing the rest.
///
/// # Errors
/// If it can't be read.
pub fn whole_lines(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let cut = cut_line(file, length)?;
    Ok(length - cut.len() as u64)
}

fn open_locked(path: &Path) -> Result<File, Error> {
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    let file = File::options().create(true).read(true).append(true).open(path).at("open", path)?;
    file.lock().at("lock", path)?;
    Ok(file)
}

/// Writes `bytes` in one call. What the disk has no room for is taken back.
fn write_whole(file: &mut File, bytes: &[u8], path: &Path) -> Result<(), Error> {
    let length = file.metadata().at("look at", path)?.len();
    let written = loop {
        match file.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result.at("append to", path)?,
        }
    };
    if written < bytes.len() {
        take_back(file, length, written).at("take back a half-written line of", path)?;
        return Err(io::Error::from(io::ErrorKind::WriteZero)).at("append to", path);
    }
    Ok(())
}

/// Removes the `written` bytes behind `length`, unless somebody who doesn't take the lock has written
/// behind them: then the half line stays, and the next append ends it.
fn take_back(file: &File, length: u64, written: usize) -> io::Result<()> {
    if file.metadata()?.len() == length + written as u64 { file.set_len(length) } else { Ok(()) }
}

/// What stands behind the last new line before `length`. Of a line that is too long to be one of ours only
/// its end.
fn cut_line(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    if length == 0 || last_byte(file, length)? == b'\n' {
        return Ok(Vec::new());
    }
    let start = length.saturating_sub(MAX_LINE_BYTES as u64 + 1);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(length - start).read_to_end(&mut tail)?;
    let begin = memchr::memrchr(b'\n', &tail).map_or(0, |at| at + 1);
    Ok(tail.split_off(begin))
}

fn last_byte(file: &mut File, length: u64) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}
