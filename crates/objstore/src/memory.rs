use std::{
    collections::BTreeMap,
    ops::Bound,
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use lakehouse_types::{
    ObjectKey,
    store::{ListPage, ObjectEntry},
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::{
    ByteStream, Condition, Error, GetOptions, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome, pieces::Pieces,
    store::check_size,
};

/// Bytes of one piece of a body on its way out.
const PIECE: usize = 256 << 10;

/// Objects in memory, for tests and for what may end with the process.
#[derive(Debug)]
pub struct Memory {
    capacity: u64,
    objects: Mutex<Objects>,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<String, Stored>,
    bytes: u64,
    writes: u64,
}

#[derive(Debug, Clone)]
struct Stored {
    key: ObjectKey,
    content: Bytes,
    etag: String,
    modified: SystemTime,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(1 << 30)
    }
}

impl Memory {
    /// An empty store that holds at most `capacity` bytes; a write over that is [`Error::NoSpace`].
    /// The default is 1 GiB.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        Self { capacity, objects: Mutex::default() }
    }

    fn find(&self, key: &ObjectKey) -> Result<Stored, Error> {
        let found = self.objects.lock().by_key.get(key.as_str()).cloned();
        found.ok_or_else(|| Error::NotFound { key: key.to_string() })
    }
}

impl Stored {
    fn size(&self) -> u64 {
        self.content.len() as u64
    }

    fn meta(&self) -> ObjectMeta {
        ObjectMeta { key: self.key.clone(), size: self.size(), etag: self.etag.clone(), modified: self.modified }
    }

    fn entry(&self) -> ObjectEntry {
        let since = self.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        ObjectEntry { key: self.key.clone(), size: self.size(), etag: self.etag.clone(), modified_ms }
    }
}

impl Objects {
    fn put(
        &mut self,
        capacity: u64,
        key: &ObjectKey,
        content: Bytes,
        condition: &Condition,
    ) -> Result<PutOutcome, Error> {
        let current = self.by_key.get(key.as_str());
        let holds = match condition {
            Condition::None => true,
            Condition::IfAbsent => current.is_none(),
            Condition::IfMatch(etag) => current.is_some_and(|stored| stored.etag == *etag),
        };
        if !holds {
            return Err(Error::PreconditionFailed { key: key.to_string() });
        }
        let size = content.len() as u64;
        let bytes = self.bytes - current.map_or(0, Stored::size) + size;
        if bytes > capacity {
            return Err(Error::NoSpace { action: "write object" });
        }
        let created = current.is_none();
        let modified = SystemTime::now();
        self.bytes = bytes;
        self.writes += 1;
        // The time keeps tags apart between one life of the process and the next.
        let nanos = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let etag = format!("{:x}-{nanos:x}", self.writes);
        self.by_key.insert(key.to_string(), Stored { key: key.clone(), content, etag: etag.clone(), modified });
        Ok(PutOutcome { etag, created, size })
    }
}

#[async_trait]
impl ObjectStore for Memory {
    async fn put(&self, key: &ObjectKey, mut body: ByteStream, options: PutOptions) -> Result<PutOutcome, Error> {
        let mut pieces = Pieces::default();
        while let Some(piece) = body.try_next().await.map_err(Error::Body)? {
            if (pieces.len() + piece.len()) as u64 > self.capacity {
                return Err(Error::NoSpace { action: "write object" });
            }
            pieces.push(piece);
            check_size(&options, pieces.len() as u64, false)?;
        }
        check_size(&options, pieces.len() as u64, true)?;
        let content = pieces.into_bytes();
        if let Some(expected) = &options.sha256 {
            let actual = hex::encode(Sha256::digest(&content));
            if !expected.eq_ignore_ascii_case(&actual) {
                return Err(Error::ChecksumMismatch { expected: expected.clone(), actual });
            }
        }
        self.objects.lock().put(self.capacity, key, content, &options.condition)
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
        let stored = self.find(key)?;
        let meta = stored.meta();
        if options.if_none_match.contains(&meta.etag) {
            return Err(Error::NotModified { key: key.to_string(), etag: meta.etag });
        }
        let range = match options.range {
            Some(range) => range.resolve(meta.size)?,
            None => 0..meta.size,
        };
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let mut rest = stored.content.slice(index(range.start)..index(range.end));
        let pieces = std::iter::from_fn(move || (!rest.is_empty()).then(|| Ok(rest.split_to(rest.len().min(PIECE)))));
        Ok(Object { meta, range, body: futures::stream::iter(pieces).boxed() })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        Ok(self.find(key)?.meta())
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        let mut objects = self.objects.lock();
        if let Some(stored) = objects.by_key.remove(key.as_str()) {
            objects.bytes -= stored.size();
        }
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, Error> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let objects = self.objects.lock();
        let mut page = ListPage::default();
        if limit == 0 {
            return Ok(page);
        }
        for (key, stored) in objects.by_key.range::<str, _>((from, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            if page.objects.len() == limit {
                page.next = page.objects.last().map(|last| last.key.to_string());
                break;
            }
            page.objects.push(stored.entry());
        }
        Ok(page)
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    #[tokio::test]
    async fn capacity_counts_what_is_there_and_not_what_was_replaced() {
        let store = Memory::new(10);
        let (a, b) = (ObjectKey::new("a").unwrap(), ObjectKey::new("b").unwrap());
        store.put(&a, body(&b"12345678"[..]), PutOptions::default()).await.unwrap();
        store.put(&a, body(&b"123456789"[..]), PutOptions::default()).await.unwrap();
        let full = store.put(&b, body(&b"12"[..]), PutOptions::default()).await;
        assert!(matches!(full, Err(Error::NoSpace { .. })), "{full:?}");
        store.delete(&a).await.unwrap();
        store.delete(&a).await.unwrap();
        store.put(&b, body(&b"1234567890"[..]), PutOptions::default()).await.unwrap();
    }
}
