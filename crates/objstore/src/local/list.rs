//! A page of keys: the tree walked in the order of the keys, straight to where the page begins.

use std::{io, os::fd::OwnedFd};

use lakehouse_types::{
    ObjectKey,
    store::{ListPage, ObjectEntry},
};
use rustix::{
    fs::{AtFlags, statat},
    io::Errno,
};

use super::{
    listing::Start,
    path::{Entry, EntryKind, seek_to},
    stamp::Stamp,
    tree::Tree,
};

/// One directory on the way down.
struct Frame {
    /// Names of the directories down to this one, each with a slash after it.
    path: String,
    /// What every key in here begins with.
    prefix: Vec<u8>,
    in_full: bool,
    next: Start,
    batch: std::vec::IntoIter<Entry>,
    more: bool,
    /// Closed while a directory further in is walked: a tree can be deeper than a process may have files open.
    fd: Option<OwnedFd>,
}

pub(super) fn list(tree: &Tree, prefix: &str, after: Option<&str>, limit: usize) -> io::Result<ListPage> {
    let mut page = ListPage::default();
    if limit == 0 {
        return Ok(page);
    }
    let from = after.unwrap_or_default().max(prefix).as_bytes();
    let (prefix, after) = (prefix.as_bytes(), after.map(str::as_bytes));
    let mut stack = vec![Frame::new(String::new(), Vec::new(), false, from)];
    while let Some(frame) = stack.last_mut() {
        let Some(entry) = frame.next_entry(tree, limit - page.objects.len() + 1)? else {
            stack.pop();
            continue;
        };
        let key = [&frame.prefix, &entry.rel[..]].concat();
        let inside = key.starts_with(prefix);
        if !inside && &key[..] > prefix {
            break; // and so is all that follows
        }
        match entry.kind {
            EntryKind::Object if inside && after.is_none_or(|after| &key[..] > after) => {
                let Some(object) = frame.object(tree, &entry, key)? else { continue };
                if page.objects.len() == limit {
                    page.next = page.objects.last().map(|last: &ObjectEntry| last.key.as_str().to_owned());
                    break;
                }
                page.objects.push(object);
            }
            EntryKind::Directory if leads_on(&key, inside, prefix, after) => {
                let path = format!("{}{}/", frame.path, entry.file_name(frame.in_full));
                frame.fd = None;
                stack.push(Frame::new(path, key, entry.is_full(), from));
            }
            _ => {}
        }
    }
    Ok(page)
}

/// Can there be keys that begin with `key` and belong on the page?
fn leads_on(key: &[u8], inside: bool, prefix: &[u8], after: Option<&[u8]>) -> bool {
    (inside || prefix.starts_with(key)) && after.is_none_or(|after| key > after || after.starts_with(key))
}

impl Frame {
    fn new(path: String, prefix: Vec<u8>, in_full: bool, from: &[u8]) -> Self {
        let start = from.strip_prefix(&prefix[..]).map(|rel| seek_to(rel, in_full)).unwrap_or_default();
        Self { path, prefix, in_full, next: Start::At(start), batch: Vec::new().into_iter(), more: true, fd: None }
    }

    fn next_entry(&mut self, tree: &Tree, wanted: usize) -> io::Result<Option<Entry>> {
        while self.batch.as_slice().is_empty() && self.more {
            let (path, fd) = (&self.path, &mut self.fd);
            let open = || fd.insert(tree.open(components(path))?).try_clone();
            let names = match tree.listings.names(path, self.in_full, &self.next, wanted, open) {
                // Removed since its name was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                names => names?,
            };
            self.more = names.more;
            if let Some(last) = names.entries.last() {
                self.next = Start::After(last.clone());
            }
            self.batch = names.entries.into_iter();
        }
        Ok(self.batch.next())
    }

    fn object(&mut self, tree: &Tree, entry: &Entry, key: Vec<u8>) -> io::Result<Option<ObjectEntry>> {
        // A file that has a name of ours and is no key of ours was put there by somebody else.
        let Some(key) = String::from_utf8(key).ok().and_then(|key| ObjectKey::new(key).ok()) else { return Ok(None) };
        if self.fd.is_none() {
            self.fd = match tree.open(components(&self.path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => Some(opened?),
            };
        }
        let Some(fd) = &self.fd else { return Ok(None) };
        let stat = match statat(fd, entry.file_name(self.in_full), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None), // deleted since its name was read
            stat => stat?,
        };
        Ok(Stamp::of(&stat).map(|stamp| ObjectEntry {
            key,
            size: stamp.size,
            etag: stamp.etag(),
            modified_ms: stamp.modified_ms(),
        }))
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty())
}
