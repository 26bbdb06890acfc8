//! A read: the file opened once, so that a reader keeps the object it began with whatever is
//! written meanwhile.

use std::{fs::File, io, ops::Range, os::fd::OwnedFd, sync::Arc};

use bytes::Bytes;
use futures::StreamExt as _;
use lakehouse_types::ObjectKey;
use rustix::fs::{Mode, OFlags};

use super::{Inner, blocking, failed, path::Location, stamp::Stamp};
use crate::{ByteStream, Error, GetOptions, Object, ObjectMeta};

/// Bytes of one piece: each costs a trip to a blocking thread, and every slow reader holds one.
const SMALLEST_PIECE: u64 = 256 << 10;
const LARGEST_PIECE: u64 = 1 << 20;

pub(super) async fn get(inner: &Arc<Inner>, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
    let (inner, key) = (Arc::clone(inner), key.clone());
    blocking(move || {
        let (file, meta) = open(&inner, &key)?;
        if options.if_none_match.contains(&meta.etag) {
            return Err(Error::NotModified { key: key.to_string(), etag: meta.etag });
        }
        let range = match options.range {
            Some(range) => range.resolve(meta.size)?,
            None => 0..meta.size,
        };
        // The first piece on this thread already: a small object is read in one go.
        let first = read_piece(&file, &range, SMALLEST_PIECE).map_err(|error| failed("read object", error))?;
        let body = stream(file, first, range.clone());
        Ok(Object { meta, range, body })
    })
    .await
}

pub(super) async fn head(inner: &Arc<Inner>, key: &ObjectKey) -> Result<ObjectMeta, Error> {
    let (inner, key) = (Arc::clone(inner), key.clone());
    blocking(move || open(&inner, &key).map(|(_, meta)| meta)).await
}

fn open(inner: &Inner, key: &ObjectKey) -> Result<(File, ObjectMeta), Error> {
    let location = Location::of(key.as_str());
    let not_found = || Error::NotFound { key: key.to_string() };
    // Not blocking: a pipe that somebody planted would keep the thread for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = inner
        .tree
        .open(&location.dirs)
        .and_then(|dir| -> io::Result<OwnedFd> { Ok(rustix::fs::openat(dir, &location.file, flags, Mode::empty())?) });
    let file = match opened {
        Ok(fd) => File::from(fd),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not_found()),
        Err(error) => return Err(failed("open object", error)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| failed("look up object", error.into()))?;
    let stamp = Stamp::of(&stat).ok_or_else(|| Error::backend("open object", "there is something else than a file"))?;
    let meta = ObjectMeta { key: key.clone(), size: stamp.size, etag: stamp.etag(), modified: stamp.modified() };
    Ok((file, meta))
}

fn stream(file: File, first: Bytes, range: Range<u64>) -> ByteStream {
    let begun = range.start + first.len() as u64;
    let rest = futures::stream::try_unfold((Arc::new(file), begun..range.end), move |(file, left)| async move {
        if left.is_empty() {
            return Ok(None);
        }
        // Larger pieces for those who have taken much already.
        let size = ((left.start - range.start) / 8).clamp(SMALLEST_PIECE, LARGEST_PIECE);
        let (from, wanted) = (Arc::clone(&file), left.clone());
        let read = tokio::task::spawn_blocking(move || read_piece(&from, &wanted, size));
        let piece = read.await.map_err(io::Error::other)??;
        let left = left.start + piece.len() as u64..left.end;
        Ok(Some((piece, (file, left))))
    });
    if first.is_empty() { rest.boxed() } else { futures::stream::once(async move { Ok(first) }).chain(rest).boxed() }
}

/// At most `size` bytes from the front of `range`. Empty only where `range` is: a file that is
/// shorter than it was when opened has been cut by somebody, and the reader must not take that
/// for the end.
fn read_piece(file: &File, range: &Range<u64>, size: u64) -> io::Result<Bytes> {
    let wanted = usize::try_from((range.end - range.start).min(size)).unwrap_or_default();
    let mut piece = Vec::with_capacity(wanted);
    while piece.len() < wanted {
        let at = range.start + piece.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut piece), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The allocator may have given more than was asked for.
    piece.truncate(wanted);
    Ok(piece.into())
}
