//! The directories below `objects/`: opened without following links, made and removed so that no
//! write loses its directory, and synced up to the root.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use parking_lot::{Mutex, RwLock};
use rustix::{
    fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat},
    io::Errno,
};

use super::{
    listing::Listings,
    path::{Entry, EntryKind, is_full_directory},
};

const DIRECTORY_MODE: Mode = Mode::from_bits_retain(0o700);

pub(super) struct Tree {
    objects: OwnedFd,
    pub(super) listings: Listings,
    /// Shared while a write makes directories and puts its file into the last of them, exclusive
    /// while an empty one is removed: a file can't be placed into a directory that is going away.
    shape: RwLock<()>,
    unsynced: Mutex<Unsynced>,
}

/// Directories that exist and whose entry in their parent is not known to be on the disk yet. Who
/// writes below one syncs that parent too: whoever made it may be slower, or be gone.
#[derive(Default)]
struct Unsynced {
    generations: HashMap<String, u64>,
    last: u64,
}

/// A file is in place; its directories have to be synced before anyone may count on it.
pub(super) struct Placed {
    directory: OwnedFd,
    parents: Vec<UnsyncedParent>,
}

struct UnsyncedParent {
    fd: OwnedFd,
    child: String,
    generation: u64,
}

impl Tree {
    pub(super) fn new(objects: OwnedFd) -> Self {
        Self { objects, listings: Listings::default(), shape: RwLock::new(()), unsynced: Mutex::default() }
    }

    /// Opens a directory, component by component so that a planted link is refused at every step.
    pub(super) fn open<S: AsRef<str>>(&self, dirs: impl IntoIterator<Item = S>) -> io::Result<OwnedFd> {
        let mut at = self.objects.try_clone()?;
        for dir in dirs {
            at = open_directory(&at, dir.as_ref())?;
        }
        Ok(at)
    }

    /// Makes the directories that are missing, then lets `place` put `file` into the last one.
    pub(super) fn place<T, E: From<io::Error>>(
        &self,
        dirs: &[String],
        file: &str,
        place: impl FnOnce(BorrowedFd<'_>) -> Result<T, E>,
    ) -> Result<(T, Placed), E> {
        let _shape = self.shape.read();
        let mut at = self.objects.try_clone()?;
        let mut path = String::new();
        let mut parents = Vec::new();
        for dir in dirs {
            let parent_len = path.len();
            path.push_str(dir);
            path.push('/');
            let next = match open_directory(&at, dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.make(&at, path.get(..parent_len).unwrap_or_default(), dir, &path)?
                }
                opened => opened?,
            };
            let parent = std::mem::replace(&mut at, next);
            if let Some(generation) = self.unsynced.lock().generations.get(&path).copied() {
                parents.push(UnsyncedParent { fd: parent, child: path.clone(), generation });
            }
        }
        let placed = place(at.as_fd())?;
        if let Some(entry) = entry_of(file, EntryKind::Object, dirs.last()) {
            self.listings.changed(&path, entry, true);
        }
        Ok((placed, Placed { directory: at, parents }))
    }

    /// Syncs what [`Tree::place`] touched; `sync` is told each directory.
    pub(super) fn settle(&self, placed: &Placed, sync: impl Fn(BorrowedFd<'_>) -> io::Result<()>) -> io::Result<()> {
        sync(placed.directory.as_fd())?;
        for parent in &placed.parents {
            sync(parent.fd.as_fd())?;
            let mut unsynced = self.unsynced.lock();
            // Removed and made again meanwhile: that is a newer entry, which this sync may not cover.
            if unsynced.generations.get(&parent.child) == Some(&parent.generation) {
                unsynced.generations.remove(&parent.child);
            }
        }
        Ok(())
    }

    /// Removes a file; false where there was none.
    pub(super) fn remove(&self, dirs: &[String], file: &str) -> io::Result<Option<OwnedFd>> {
        let directory = match self.open(dirs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        match unlinkat(&directory, file, AtFlags::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            removed => removed?,
        }
        if let Some(entry) = entry_of(file, EntryKind::Object, dirs.last()) {
            self.listings.changed(&path_of(dirs), entry, false);
        }
        Ok(Some(directory))
    }

    /// Removes directories that hold nothing any more, from the inside out. Best effort: an empty
    /// directory costs a listing some time and is wrong in no other way.
    pub(super) fn prune(&self, dirs: &[String]) {
        for depth in (0..dirs.len()).rev() {
            let (Some(outer), Some(name)) = (dirs.get(..depth), dirs.get(depth)) else { return };
            let _shape = self.shape.write();
            let Ok(parent) = self.open(outer) else { return };
            if unlinkat(&parent, name.as_str(), AtFlags::REMOVEDIR).is_err() {
                return;
            }
            let (parent_path, path) = (path_of(outer), path_of(dirs.get(..=depth).unwrap_or_default()));
            self.unsynced.lock().generations.remove(&path);
            if let Some(entry) = entry_of(name, EntryKind::Directory, outer.last()) {
                self.listings.changed(&parent_path, entry, false);
            }
        }
    }

    fn make(&self, parent: &OwnedFd, parent_path: &str, name: &str, path: &str) -> io::Result<OwnedFd> {
        {
            // Before it exists, so that nobody can find it and take it for synced.
            let mut unsynced = self.unsynced.lock();
            unsynced.last += 1;
            let generation = unsynced.last;
            unsynced.generations.insert(path.to_owned(), generation);
        }
        match mkdirat(parent, name, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let parent_name = parent_path.strip_suffix('/').and_then(|path| path.rsplit('/').next());
        if let Some(entry) = entry_of(name, EntryKind::Directory, parent_name) {
            self.listings.changed(parent_path, entry, true);
        }
        open_directory(parent, name)
    }

    #[cfg(test)]
    pub(super) fn unsynced_directories(&self) -> usize {
        self.unsynced.lock().generations.len()
    }
}

/// A directory's path below `objects/`: every name followed by a slash, the root's is empty.
fn path_of(dirs: &[String]) -> String {
    dirs.iter().flat_map(|dir| [dir.as_str(), "/"]).collect()
}

fn entry_of(name: &str, kind: EntryKind, parent: Option<impl AsRef<str>>) -> Option<Entry> {
    let in_full = parent.is_some_and(|parent| is_full_directory(parent.as_ref()));
    Entry::parse(name.as_bytes(), kind, in_full)
}

pub(super) fn open_directory(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        (dir, Tree::new(fd.into()))
    }

    fn place(tree: &Tree, dirs: &[String]) -> Placed {
        let create = |dir: BorrowedFd<'_>| -> io::Result<()> {
            Ok(openat(dir, "f", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).map(drop)?)
        };
        tree.place(dirs, "f", create).unwrap().1
    }

    #[test]
    fn who_writes_into_a_fresh_directory_syncs_its_parents_too() {
        let (_dir, tree) = tree();
        let dirs = ["a+".to_owned(), "b+".to_owned()];
        let first = place(&tree, &dirs);
        assert_eq!(first.parents.len(), 2, "both directories are new");
        let second = place(&tree, &dirs);
        assert_eq!(second.parents.len(), 2, "the first writer has not synced them yet");
        let synced = std::cell::Cell::new(0);
        let count = |_: BorrowedFd<'_>| {
            synced.set(synced.get() + 1);
            Ok(())
        };
        tree.settle(&second, count).unwrap();
        assert_eq!(synced.get(), 3, "the file's directory and two parents");
        assert_eq!(place(&tree, &dirs).parents.len(), 0);
        assert_eq!(tree.unsynced_directories(), 0);
    }

    #[test]
    fn a_directory_made_again_is_not_taken_for_synced() {
        let (_dir, tree) = tree();
        let dirs = ["a+".to_owned()];
        let first = place(&tree, &dirs);
        tree.remove(&dirs, "f").unwrap();
        tree.prune(&dirs);
        let second = place(&tree, &dirs);
        tree.settle(&first, |_| Ok(())).unwrap();
        assert_eq!(tree.unsynced_directories(), 1);
        tree.settle(&second, |_| Ok(())).unwrap();
        assert_eq!(tree.unsynced_directories(), 0);
    }

    #[test]
    fn pruning_stops_at_the_first_directory_in_use() {
        let (dir, tree) = tree();
        let (inner, outer) = (["a+".to_owned(), "b+".to_owned()], ["a+".to_owned()]);
        place(&tree, &inner);
        place(&tree, &outer);
        assert!(tree.remove(&inner, "f").unwrap().is_some());
        tree.prune(&inner);
        assert!(!dir.path().join("a+/b+").exists());
        assert!(dir.path().join("a+/f").exists());
        assert!(tree.remove(&inner, "f").unwrap().is_none());
    }

    #[test]
    fn a_link_is_not_a_directory() {
        let (dir, tree) = tree();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("a+")).unwrap();
        assert!(tree.open(["a+"]).is_err());
        let placed = tree.place(&["a+".to_owned()], "f", |_| Ok::<_, io::Error>(()));
        assert!(placed.is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
