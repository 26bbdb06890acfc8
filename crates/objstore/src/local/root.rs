//! The root directory: taken for this process alone, checked, and cleaned of what a crash left.
//!
//! ```text
//! root/lock      locked for as long as a process has the store open
//! root/format    "lakehouse-objects 1": how the files below are to be read
//! root/objects/  the objects, see path.rs
//! root/tmp/      bodies on their way in
//! ```

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, StatVfsMountFlags},
    io::Errno,
};

use super::{
    stamp::{Stamp, timestamps},
    tree::open_directory,
};

const FORMAT: &str = "lakehouse-objects 1\n";
const TEMPORARY: &str = "put-";
const FILE_MODE: Mode = Mode::from_bits_retain(0o600);

/// What a file system may keep of a time, finest first, in nanoseconds. Coarser than the last one
/// there would be too few different times for the entity tags.
const TIME_STEPS: [u64; 4] = [1, 100, 1_000, 1_000_000];

pub(super) struct Root {
    path: PathBuf,
    /// Holds the lock; closing it gives the root up.
    _lock: OwnedFd,
    pub(super) tmp: OwnedFd,
    /// See [`TIME_STEPS`].
    pub(super) time_step: u64,
}

impl Root {
    /// Makes the root if need be, locks and checks it. Gives back `objects/` too.
    pub(super) fn open(path: &Path) -> io::Result<(Self, OwnedFd)> {
        make_root(path)?;
        let root = File::open(path)?;
        refuse_foreign(&root)?;
        let lock = lock(&root)?;
        check_format(&root)?;
        let (objects, tmp) = (subdirectory(&root, "objects")?, subdirectory(&root, "tmp")?);
        if rustix::fs::fstat(&objects)?.st_dev != rustix::fs::fstat(&tmp)?.st_dev {
            return Err(io::Error::other("`objects` and `tmp` must be on one file system: a rename can't cross two"));
        }
        sweep(&tmp)?;
        // What the last process renamed but had not synced yet can be read from now on, and acted
        // upon, so from now on it must not get lost.
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&root)?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::sync();
        let time_step = probe_time_step(&tmp)?;
        Ok((Self { path: path.to_owned(), _lock: lock, tmp, time_step }, objects))
    }

    /// Makes a new file in `tmp/`. The names of one process don't repeat, and no other process is here.
    pub(super) fn temporary(&self, number: u64) -> io::Result<(File, String)> {
        let name = format!("{TEMPORARY}{number:x}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.tmp, &name, flags, FILE_MODE)?;
        Ok((file.into(), name))
    }

    pub(super) fn remove_temporary(&self, name: &str) {
        if let Err(error) = rustix::fs::unlinkat(&self.tmp, name, AtFlags::empty()) {
            tracing::warn!(name, %error, "remove temporary file");
        }
    }

    /// Is it still there, and can it be written to?
    pub(super) fn check(&self) -> io::Result<()> {
        let there = rustix::fs::stat(self.path.join("tmp"))?;
        let opened = rustix::fs::fstat(&self.tmp)?;
        if (there.st_dev, there.st_ino) != (opened.st_dev, opened.st_ino) {
            return Err(io::Error::other("the root directory is not the one that was opened"));
        }
        let space = rustix::fs::fstatvfs(&self.tmp)?;
        if space.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        // Some file systems have no fixed number of files, and say 0 of 0.
        if space.f_bavail == 0 || (space.f_files > 0 && space.f_favail == 0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

/// With the entry in its parent on the disk, for every directory that was missing.
fn make_root(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    for dir in missing.into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// A directory with other things in it and without our mark is somebody's mistake in the
/// configuration; its files are not to be mixed with ours.
fn refuse_foreign(root: &File) -> io::Result<()> {
    let mut foreign = None;
    for found in Dir::read_from(root)? {
        match found?.file_name().to_bytes() {
            b"format" => return Ok(()),
            b"." | b".." | b"lock" | b"objects" | b"tmp" | b"format.new" | b"lost+found" => {}
            name => foreign = Some(String::from_utf8_lossy(name).into_owned()),
        }
    }
    match foreign {
        None => Ok(()),
        Some(name) => Err(io::Error::other(format!("the directory is not empty (`{name}`) and no object store"))),
    }
}

fn lock(root: &File) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::openat(root, "lock", flags, FILE_MODE)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => {
            Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process has this object store open"))
        }
        Err(error) => Err(error.into()),
    }
}

fn check_format(root: &File) -> io::Result<()> {
    match rustix::fs::openat(root, "format", OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => {
            let mut text = String::new();
            File::from(fd).take(100).read_to_string(&mut text)?;
            if text == FORMAT {
                return Ok(());
            }
            let text = text.trim_end();
            Err(io::Error::other(format!("the store has format `{text}`, this program reads `{}`", FORMAT.trim_end())))
        }
        Err(Errno::NOENT) => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::openat(root, "format.new", flags, FILE_MODE)?);
            file.write_all(FORMAT.as_bytes())?;
            file.sync_all()?;
            rustix::fs::renameat(root, "format.new", root, "format")?;
            root.sync_all()
        }
        Err(error) => Err(error.into()),
    }
}

fn subdirectory(root: &File, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(root, name, Mode::from_bits_retain(0o700)) {
        Ok(()) => root.sync_all()?,
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    open_directory(root, name)
}

/// Removes bodies that never became objects. Nobody else writes here: the root is locked.
fn sweep(tmp: &OwnedFd) -> io::Result<()> {
    let mut swept = 0_u64;
    for found in Dir::read_from(tmp)? {
        let found = found?;
        let name = found.file_name();
        if !name.to_bytes().starts_with(TEMPORARY.as_bytes()) {
            if !matches!(name.to_bytes(), b"." | b"..") {
                tracing::warn!(name = %name.to_string_lossy(), "a file in `tmp` is none of ours; left alone");
            }
            continue;
        }
        let stat = rustix::fs::statat(tmp, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            rustix::fs::unlinkat(tmp, name, AtFlags::empty())?;
            swept += 1;
        }
    }
    if swept > 0 {
        tracing::info!(files = swept, "removed bodies of writes that a crash cut off");
    }
    Ok(())
}

/// Sets a time with an odd number of nanoseconds and looks at what comes back.
fn probe_time_step(tmp: &OwnedFd) -> io::Result<u64> {
    const PROBE: &str = "put-probe";
    const SECONDS: u64 = 1_600_000_000;
    const NANOS: u64 = 987_654_321;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(tmp, PROBE, flags, FILE_MODE)?;
    rustix::fs::futimens(&file, &timestamps(SECONDS * 1_000_000_000 + NANOS))?;
    let kept = rustix::fs::statat(tmp, PROBE, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::unlinkat(tmp, PROBE, AtFlags::empty())?;
    let kept = Stamp::of(&kept);
    TIME_STEPS
        .into_iter()
        .find(|step| kept.is_some_and(|kept| kept.is_at(SECONDS, NANOS / step * step)))
        .ok_or_else(|| io::Error::other("this file system keeps times too coarsely to tell two writes apart"))
}
