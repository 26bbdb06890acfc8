use std::{io, time::SystemTime};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use lakehouse_types::{ObjectKey, store::ListPage};

use crate::Error;

/// A body on its way in or out, in pieces.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// A body that is in memory already.
pub fn body(bytes: impl Into<Bytes>) -> ByteStream {
    let bytes = bytes.into();
    futures::stream::once(async move { Ok(bytes) }).boxed()
}

/// Reads a body to its end.
///
/// # Errors
/// [`Error::TooLarge`] past `limit` bytes; [`Error::Body`] when the stream fails.
pub async fn collect(mut stream: ByteStream, limit: usize) -> Result<Bytes, Error> {
    let mut all = BytesMut::new();
    while let Some(piece) = stream.try_next().await.map_err(Error::Body)? {
        if all.len() + piece.len() > limit {
            return Err(Error::TooLarge { limit: limit as u64 });
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its key.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, without quotes: changes whenever other content is written. (S3's is a hash,
    /// the same again for the same content; the other backends change it on every write.)
    pub etag: String,
    /// When it was last written.
    pub modified: SystemTime,
}

/// A condition on a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Write whatever is there.
    #[default]
    None,
    /// `If-None-Match: *`: only where there is nothing. Every backend decides this atomically.
    IfAbsent,
    /// `If-Match`: only over exactly this entity tag (without quotes).
    IfMatch(String),
}

/// How to write.
#[derive(Debug, Clone, Default)]
pub struct PutOptions {
    /// What must hold for the write to happen.
    pub condition: Condition,
    /// SHA-256 (hex, lower case) that the body must have, else nothing is written.
    pub sha256: Option<String>,
    /// The body's size in bytes where the caller knows it; a body of another size is an error.
    pub size: Option<u64>,
}

/// Compares the bytes received with the size announced; before the end only too many are wrong.
pub(crate) fn check_size(options: &PutOptions, received: u64, ended: bool) -> Result<(), Error> {
    let Some(announced) = options.size else { return Ok(()) };
    if received == announced || (received < announced && !ended) {
        return Ok(());
    }
    let text = if ended {
        format!("the body has {received} bytes, not the {announced} announced")
    } else {
        format!("the body has more than the {announced} bytes announced")
    };
    Err(Error::Body(io::Error::new(io::ErrorKind::InvalidData, text)))
}

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// The new entity tag, without quotes.
    pub etag: String,
    /// True where there was nothing before, as far as the backend can tell.
    pub created: bool,
    /// Bytes written.
    pub size: u64,
}

/// A part of an object, as in HTTP's `Range: bytes=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `start-`: from `start` to the end.
    From(u64),
    /// `start-end`, both inclusive; an `end` past the object is cut to it.
    Inclusive(u64, u64),
    /// `-n`: the last `n` bytes.
    Last(u64),
}

impl ByteRange {
    /// The half-open range of bytes that this means in an object of `size` bytes.
    ///
    /// # Errors
    /// [`Error::InvalidRange`] where it would be empty.
    pub const fn resolve(self, size: u64) -> Result<std::ops::Range<u64>, Error> {
        let range = match self {
            Self::From(start) => start..size,
            Self::Inclusive(start, end) => start..if end < size { end.saturating_add(1) } else { size },
            Self::Last(n) => size.saturating_sub(n)..size,
        };
        if range.start < range.end { Ok(range) } else { Err(Error::InvalidRange { size }) }
    }
}

/// How to read.
#[derive(Debug, Clone, Default)]
pub struct GetOptions {
    /// Only this part.
    pub range: Option<ByteRange>,
    /// [`Error::NotModified`] where the object still has one of these entity tags (no quotes).
    pub if_none_match: Vec<String>,
}

/// An object on its way out.
pub struct Object {
    /// Of the whole object, also where only a part was asked for.
    pub meta: ObjectMeta,
    /// The bytes that `body` yields, as a half-open range of the object.
    pub range: std::ops::Range<u64>,
    /// The bytes.
    pub body: ByteStream,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}

/// A place for objects. Every method may be called at any time from any task.
///
/// An object is whole or absent: a `put` that fails, is dropped or dies with its process leaves
/// what was there before, and the old object or none is what every reader sees until then. (One
/// that is dropped after its body has ended may still take effect, whole.) A `put` that has
/// returned `Ok` survives the loss of the process and, for the local backend, of the machine's
/// power. A reader keeps the object it began with, whatever is written meanwhile.
///
/// `contract` (feature `contract`) has a test for each of these promises; every backend passes it.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Writes an object.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`], [`Error::ChecksumMismatch`], [`Error::Body`],
    /// [`Error::NoSpace`], or the backend's.
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: PutOptions) -> Result<PutOutcome, Error>;

    /// Reads an object, or a part of it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotModified`], [`Error::InvalidRange`], or the backend's.
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, Error>;

    /// What is known of an object.
    ///
    /// # Errors
    /// [`Error::NotFound`], or the backend's.
    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error>;

    /// Removes an object; it is no error where there is none.
    ///
    /// # Errors
    /// The backend's.
    async fn delete(&self, key: &ObjectKey) -> Result<(), Error>;

    /// One page of the objects whose key begins with `prefix` (any string, not only whole
    /// segments) and comes after `after`, sorted by the bytes of the key, at most `limit`. A page
    /// of more than 1,000 may be cut short; where there is more, `next` is set.
    ///
    /// # Errors
    /// The backend's.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, Error>;

    /// Can it be reached? For readiness; cheap.
    ///
    /// # Errors
    /// The backend's, telling why not.
    async fn check(&self) -> Result<(), Error>;
}
