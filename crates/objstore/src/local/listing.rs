//! Sorted names of large directories, kept between the pages of a listing.
//!
//! A directory can only be read as a whole and in no order, so a page from one of 100,000 names
//! costs some 50 ms, and all its pages a hundred times that. What was read for one page is kept
//! for the next, and is kept right: every change that this process makes is applied to it, and no
//! other process changes a store (the root is locked). A window holds at most [`WINDOW`] names,
//! so a listing of n names reads its directory n / [`WINDOW`] times and memory stays bounded.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    ops::Bound,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::path::{Entry, EntryKind};

/// Names in one window; about 12 MB.
const WINDOW: usize = 128 << 10;
/// Names in all windows together.
const TOTAL: usize = 2 * WINDOW;
/// Smaller directories are read again: that costs less than keeping them right.
const SMALL: usize = 512;
/// Bounds how long a file stays unlisted that somebody copied into a running store by hand.
const KEEP: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Listings {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    windows: HashMap<String, Window>,
    loads: Vec<Load>,
    last_load: u64,
    uses: u64,
}

/// All names of a directory from `from` on, up to and with `through` (absent: to the end).
struct Window {
    from: Box<[u8]>,
    through: Option<Entry>,
    entries: BTreeSet<Entry>,
    loaded: Instant,
    used: u64,
}

/// A directory being read. What changes meanwhile may or may not be seen, so it is applied after.
struct Load {
    id: u64,
    dir: String,
    changes: Vec<(Entry, bool)>,
}

/// Where a page begins.
#[derive(Debug, Clone)]
pub(super) enum Start {
    At(Box<[u8]>),
    After(Entry),
}

/// Some names of a directory, in order.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) entries: Vec<Entry>,
    /// There may be further ones.
    pub(super) more: bool,
}

impl Listings {
    /// At most `limit` names of the directory `path` from `start` on. `open` opens it.
    pub(super) fn names<F: AsFd>(
        &self,
        path: &str,
        in_full: bool,
        start: &Start,
        limit: usize,
        open: impl FnOnce() -> io::Result<F>,
    ) -> io::Result<Names> {
        let id = {
            let mut inner = self.inner.lock();
            if let Some(names) = inner.page(path, start, limit) {
                return Ok(names);
            }
            inner.last_load += 1;
            let id = inner.last_load;
            inner.loads.push(Load { id, dir: path.to_owned(), changes: Vec::new() });
            id
        };
        let read = open().and_then(|fd| read_directory(fd, in_full, start));
        let mut inner = self.inner.lock();
        let changes = inner.finish(id);
        let mut window = read?;
        for (entry, present) in changes {
            window.apply(entry, present);
        }
        let names = window.names(start, limit);
        if window.entries.len() > SMALL {
            inner.keep(path, window);
        }
        Ok(names)
    }

    /// `entry` has come into the directory `path`, or has gone from it.
    pub(super) fn changed(&self, path: &str, entry: Entry, present: bool) {
        let mut inner = self.inner.lock();
        for load in inner.loads.iter_mut().filter(|load| load.dir == path) {
            load.changes.push((entry.clone(), present));
        }
        if let Some(window) = inner.windows.get_mut(path) {
            window.apply(entry, present);
            if window.loaded.elapsed() > KEEP || window.entries.len() > TOTAL {
                inner.windows.remove(path);
            }
        }
    }

    #[cfg(test)]
    fn kept(&self) -> usize {
        self.inner.lock().windows.len()
    }
}

impl Inner {
    fn page(&mut self, path: &str, start: &Start, limit: usize) -> Option<Names> {
        self.uses += 1;
        let window = self.windows.get_mut(path)?;
        if window.loaded.elapsed() > KEEP || !window.covers(start) {
            return None;
        }
        window.used = self.uses;
        let names = window.names(start, limit);
        // All that was left in the window has been deleted: what follows has to be read.
        (!names.entries.is_empty() || !names.more).then_some(names)
    }

    fn finish(&mut self, id: u64) -> Vec<(Entry, bool)> {
        let at = self.loads.iter().position(|load| load.id == id);
        at.map(|at| self.loads.swap_remove(at).changes).unwrap_or_default()
    }

    fn keep(&mut self, path: &str, mut window: Window) {
        window.used = self.uses;
        self.windows.insert(path.to_owned(), window);
        while self.windows.values().map(|window| window.entries.len()).sum::<usize>() > TOTAL {
            let oldest = self.windows.iter().min_by_key(|(_, window)| window.used).map(|(path, _)| path.clone());
            let Some(oldest) = oldest else { return };
            self.windows.remove(&oldest);
        }
    }
}

impl Window {
    fn covers(&self, start: &Start) -> bool {
        let begin = match start {
            Start::At(rel) => rel,
            Start::After(entry) => &entry.rel,
        };
        // At `through` itself there is nothing left to give out.
        *begin >= self.from && self.through.as_ref().is_none_or(|through| *begin < through.rel)
    }

    fn apply(&mut self, entry: Entry, present: bool) {
        if entry.rel < self.from || self.through.as_ref().is_some_and(|through| entry > *through) {
            return;
        }
        if present {
            self.entries.insert(entry);
        } else {
            self.entries.remove(&entry);
        }
    }

    fn names(&self, start: &Start, limit: usize) -> Names {
        let from = match start {
            Start::At(rel) => Bound::Included(Entry { rel: rel.clone(), kind: EntryKind::Object }),
            Start::After(entry) => Bound::Excluded(entry.clone()),
        };
        let mut rest = self.entries.range((from, Bound::Unbounded));
        let entries: Vec<Entry> = rest.by_ref().take(limit).cloned().collect();
        let more = rest.next().is_some() || self.through.is_some();
        Names { entries, more }
    }
}

/// Reads the smallest [`WINDOW`] names from `start` on, with memory for twice as many.
fn read_directory(fd: impl AsFd, in_full: bool, start: &Start) -> io::Result<Window> {
    let from = match start {
        Start::At(rel) => rel.clone(),
        Start::After(entry) => entry.rel.clone(),
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut through = None;
    for found in Dir::read_from(&fd)? {
        let found = found?;
        let kind = match found.file_type() {
            FileType::Unknown => {
                FileType::from_raw_mode(statat(&fd, found.file_name(), AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
            }
            known => known,
        };
        let kind = match kind {
            FileType::RegularFile => EntryKind::Object,
            FileType::Directory => EntryKind::Directory,
            _ => continue,
        };
        let Some(entry) = Entry::parse(found.file_name().to_bytes(), kind, in_full) else { continue };
        if entry.rel < from || through.as_ref().is_some_and(|through| entry > *through) {
            continue;
        }
        entries.push(entry);
        if entries.len() >= 2 * WINDOW {
            through = keep_smallest(&mut entries);
        }
    }
    if entries.len() > WINDOW {
        through = keep_smallest(&mut entries);
    }
    Ok(Window { from, through, entries: entries.into_iter().collect(), loaded: Instant::now(), used: 0 })
}

fn keep_smallest(entries: &mut Vec<Entry>) -> Option<Entry> {
    let (_, last, _) = entries.select_nth_unstable(WINDOW - 1);
    let last = last.clone();
    entries.truncate(WINDOW);
    Some(last)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn entry(name: &str) -> Entry {
        Entry::parse(name.as_bytes(), EntryKind::Object, false).unwrap()
    }

    fn directory(names: usize) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..names {
            File::create(dir.path().join(format!("{i:05}"))).unwrap();
        }
        dir
    }

    fn page(listings: &Listings, dir: &tempfile::TempDir, start: &Start, limit: usize) -> Vec<String> {
        let names = listings.names("d/", false, start, limit, || File::open(dir.path())).unwrap();
        names.entries.iter().map(|entry| entry.file_name(false)).collect()
    }

    #[test]
    fn a_large_directory_is_read_once_and_kept_right() {
        let (listings, dir) = (Listings::default(), directory(SMALL + 1));
        let from_start = Start::At(Box::default());
        assert_eq!(page(&listings, &dir, &from_start, 2), ["00000", "00001"]);
        assert_eq!(listings.kept(), 1);
        // Not told of this one, so not seen: the directory was not read again.
        File::create(dir.path().join("000001")).unwrap();
        assert_eq!(page(&listings, &dir, &Start::After(entry("00000")), 1), ["00001"]);
        listings.changed("d/", entry("000001"), true);
        listings.changed("d/", entry("00001"), false);
        listings.changed("other/", entry("00002"), false);
        assert_eq!(page(&listings, &dir, &from_start, 3), ["00000", "000001", "00002"]);
    }

    #[test]
    fn a_small_directory_is_read_every_time() {
        let (listings, dir) = (Listings::default(), directory(3));
        assert_eq!(page(&listings, &dir, &Start::At(Box::default()), 9).len(), 3);
        assert_eq!(listings.kept(), 0);
        File::create(dir.path().join("9")).unwrap();
        assert_eq!(page(&listings, &dir, &Start::At(Box::from(*b"00002")), 9), ["00002", "9"]);
    }

    #[test]
    fn a_change_while_the_directory_is_read_is_not_lost() {
        let (listings, dir) = (Listings::default(), directory(SMALL + 1));
        let open = || {
            // Stands for a write and a delete that land after the names were read.
            listings.changed("d/", entry("00000"), false);
            listings.changed("d/", entry("zz"), true);
            File::open(dir.path())
        };
        let names = listings.names("d/", false, &Start::At(Box::default()), 10_000, open).unwrap();
        assert_eq!(names.entries.len(), SMALL + 1);
        assert_eq!(names.entries.last(), Some(&entry("zz")));
        assert!(!names.entries.contains(&entry("00000")) && !names.more);
    }

    #[test]
    fn a_window_ends_where_its_names_end() {
        let entries: BTreeSet<Entry> = ["b", "c", "d"].map(entry).into();
        let through = Some(entry("d"));
        let mut window = Window { from: Box::from(*b"b"), through, entries, loaded: Instant::now(), used: 0 };
        window.apply(entry("a"), true);
        window.apply(entry("e"), true);
        window.apply(entry("bb"), true);
        assert!(!window.covers(&Start::At(Box::default())) && !window.covers(&Start::After(entry("d"))));
        let names = window.names(&Start::After(entry("b")), 10);
        assert_eq!(names.entries, ["bb", "c", "d"].map(entry));
        assert!(names.more, "what follows has to be read");
    }

    #[test]
    fn windows_together_stay_bounded() {
        let mut inner = Inner::default();
        let window = |names: usize| Window {
            from: Box::default(),
            through: None,
            entries: (0..names).map(|i| entry(&i.to_string())).collect(),
            loaded: Instant::now(),
            used: 0,
        };
        inner.keep("a/", window(TOTAL / 2));
        inner.keep("b/", window(TOTAL / 2));
        inner.page("a/", &Start::At(Box::default()), 1);
        inner.keep("c/", window(TOTAL / 4));
        let mut kept: Vec<&str> = inner.windows.keys().map(String::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["a/", "c/"], "the one used longest ago went");
    }
}
