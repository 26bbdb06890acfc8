//! Where new rows wait until their source has been read to its end.
//!
//! They are then appended to the day's file, to which others append too. A crash leaves a beginning
//! of them there; the next run reads the source again, finds what is there already by its hash, and
//! adds the rest in the source's order, beginning with the end of a line that was cut. So the files
//! come out the same however often the work was interrupted.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use lakehouse_distill::{
    files::{self, Appender, At as _, HashingReader, LineReader, Writer, Written},
    layout,
    receipt::FileDigest,
    time::Day,
};
use sha2::{Digest as _, Sha256};

use crate::{
    dedup::{Dedup, Key},
    error::{Error, Result},
    job::Job,
};

/// A folder for unfinished files, on the same file system as their places. A dry run has it where
/// the system keeps its temporary files, and leaves its files there.
pub(crate) struct Staging {
    folder: PathBuf,
    is_dry: bool,
}

impl Staging {
    /// Makes the folder anew in `tree`; what a crash left in it goes. The caller holds the lock.
    pub(crate) fn begin(job: &Job, tree: &str) -> Result<Self> {
        if job.dry_run {
            let folder = tempfile::Builder::new().prefix("materializer-").tempdir().map_err(Error::Spill)?.keep();
            return Ok(Self { folder, is_dry: true });
        }
        let folder = job.path(tree).join(".staging");
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Ok(Err(e).at("remove", &folder)?),
            _ => {}
        }
        files::create_dir(&folder)?;
        Ok(Self { folder, is_dry: false })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What appends to the file at `path` under the root; in a dry run, to a copy of it.
    fn appender(&self, job: &Job, path: &str) -> Result<Appender> {
        let place = job.path(path);
        if !self.is_dry {
            return Ok(Appender::open(place)?);
        }
        let copy = self.file("appended.new");
        let mut new = File::create(&copy).at("create", &copy)?;
        if let Some(mut old) = files::open_if_there(&place)? {
            io::copy(&mut old, &mut new).at("copy", &place)?;
        }
        Ok(Appender::open(copy)?)
    }

    /// Moves what `writer` wrote to `path` under the root.
    fn publish(&self, job: &Job, writer: Writer, path: &str, rows: u64) -> Result<FileDigest> {
        let written = if self.is_dry { writer.written() } else { writer.publish(&job.path(path))? };
        Ok(digest(path.to_owned(), written, rows))
    }

    /// The same, but leaves a file alone that has just these bytes; then there is no digest.
    pub(crate) fn publish_if_new(
        &self,
        job: &Job,
        writer: Writer,
        path: &str,
        rows: u64,
    ) -> Result<Option<FileDigest>> {
        let place = job.path(path);
        let new = writer.written();
        let is_same = match files::open_if_there(&place)? {
            Some(old) if old.metadata().at("look at", &place)?.len() == new.bytes => {
                let mut old = HashingReader::new(BufReader::new(old));
                io::copy(&mut old, &mut io::sink()).at("read", &place)?;
                old.digest() == new
            }
            _ => false,
        };
        if is_same { Ok(None) } else { self.publish(job, writer, path, rows).map(Some) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays is removed by the next run.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// One source's new rows, by day.
pub(crate) struct Days<'a> {
    staging: &'a Staging,
    source: &'a str,
    days: BTreeMap<Day, Pending>,
    in_memory: usize,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// What was written to disk to make room.
    on_disk: Option<PathBuf>,
    rows: u64,
}

impl<'a> Days<'a> {
    /// Rows in memory beyond this many bytes go to disk.
    const IN_MEMORY: usize = 16 << 20;

    pub(crate) fn new(staging: &'a Staging, source: &'a str) -> Self {
        Self { staging, source, days: BTreeMap::new(), in_memory: 0 }
    }

    /// Adds `line` to its day.
    pub(crate) fn push(&mut self, day: Day, line: &[u8]) -> Result<()> {
        let pending = self.days.entry(day).or_default();
        pending.rows += 1;
        pending.bytes.extend_from_slice(line);
        pending.bytes.push(b'\n');
        self.in_memory += line.len() + 1;
        if self.in_memory > Self::IN_MEMORY { self.spill() } else { Ok(()) }
    }

    /// Sees to it that the last line of that day's file is ended, also if the day gets no row.
    pub(crate) fn end_line(&mut self, day: Day) {
        self.days.entry(day).or_default();
    }

    fn spill(&mut self) -> Result<()> {
        for (day, pending) in &mut self.days {
            if pending.bytes.is_empty() {
                continue;
            }
            let path = pending.on_disk.get_or_insert_with(|| self.staging.file(&format!("{}.{day}.part", self.source)));
            let file = File::options().create(true).append(true).open(&*path);
            file.and_then(|mut file| file.write_all(&pending.bytes)).at("write", path)?;
            pending.bytes = Vec::new();
        }
        self.in_memory = 0;
        Ok(())
    }

    /// Appends every day's rows to its file, and says what is there now.
    pub(crate) fn commit(self, job: &Job) -> Result<Vec<FileDigest>> {
        let mut outputs = Vec::new();
        for (day, pending) in self.days {
            let path = layout::day_file(layout::EVIDENCE, day, self.source);
            let mut appender = self.staging.appender(job, &path)?;
            if let Some(part) = &pending.on_disk {
                let rows = BufReader::with_capacity(1 << 18, File::open(part).at("open", part)?);
                append(&mut appender, rows, part)?;
                fs::remove_file(part).at("remove", part)?;
            }
            append(&mut appender, &pending.bytes[..], &job.path(&path))?;
            outputs.push(digest(path, appender.finish()?, pending.rows));
        }
        Ok(outputs)
    }
}

fn append(appender: &mut Appender, rows: impl BufRead, path: &Path) -> Result<()> {
    let mut lines = LineReader::new(rows);
    while let Some(line) = lines.next_line().at("read", path)? {
        appender.push(line.bytes)?;
    }
    Ok(())
}

fn digest(path: String, written: Written, rows: u64) -> FileDigest {
    FileDigest { path, sha256: Some(written.sha256), bytes: written.bytes, rows }
}

/// Lines for a file that has each of its lines once.
pub(crate) struct NewLines<'a> {
    staging: &'a Staging,
    file: Option<BufWriter<File>>,
    keys: Dedup,
}

impl<'a> NewLines<'a> {
    pub(crate) fn new(staging: &'a Staging) -> Self {
        Self { staging, file: None, keys: Dedup::new(Some(staging.folder())) }
    }

    /// Adds `line`, which ends up in the file if no line like it is there.
    pub(crate) fn push(&mut self, line: &[u8]) -> Result<()> {
        self.keys.row(key(line), None)?;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(tempfile::tempfile_in(self.staging.folder()).map_err(Error::Spill)?)),
        };
        file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(Error::Spill)
    }

    /// Appends what is new to the file at `path`; none if nothing is.
    pub(crate) fn commit(mut self, job: &Job, path: &str) -> Result<Option<FileDigest>> {
        let Some(file) = self.file.take() else { return Ok(None) };
        let place = job.path(path);
        let mut is_cut = false;
        if let Some(old) = files::open_if_there(&place)? {
            let mut lines = LineReader::new(BufReader::new(old));
            while let Some(line) = lines.next_line().at("read", &place)? {
                self.keys.known(key(line.bytes))?;
                is_cut = !line.is_whole;
            }
        }
        let fresh = self.keys.resolve()?;
        if fresh.count() == 0 && !is_cut {
            return Ok(None);
        }
        let mut file = file.into_inner().map_err(|e| Error::Spill(e.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(Error::Spill)?;
        let mut appender = self.staging.appender(job, path)?;
        let mut lines = LineReader::new(BufReader::new(file));
        while let Some(line) = lines.next_line().map_err(Error::Spill)? {
            if fresh.has(line.number) {
                appender.push(line.bytes)?;
            }
        }
        Ok(Some(digest(path.to_owned(), appender.finish()?, fresh.count())))
    }
}

/// The key of a line.
pub(crate) fn key(line: &[u8]) -> Key {
    let hash: [u8; 32] = Sha256::digest(line).into();
    short(&hash)
}

/// The part of a SHA-256 that is kept in memory.
pub(crate) fn short(hash: &[u8; 32]) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&hash[..16]);
    key
}
