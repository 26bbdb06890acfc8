//! A store in memory that fails the way real ones do, from a seed.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use lakehouse_objstore::{
    ByteStream, Error, GetOptions, Memory, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome,
};
use lakehouse_types::{ObjectKey, store::ListPage};

/// SplitMix64: the same numbers from the same seed everywhere.
#[derive(Debug)]
pub(crate) struct Random(AtomicU64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Survives the registries that write to it, as a store does.
pub(crate) struct FaultyStore {
    inner: Arc<Memory>,
    random: Random,
    /// Calls that fail, of a thousand.
    pub(crate) faults: AtomicU32,
}

impl FaultyStore {
    pub(crate) fn new(seed: u64) -> Self {
        Self { inner: Arc::new(Memory::new(1 << 30)), random: Random::new(seed), faults: AtomicU32::new(0) }
    }

    /// The store without its faults.
    pub(crate) fn sound(&self) -> &Memory {
        &self.inner
    }

    fn fault(&self) -> Option<u64> {
        let fails = self.random.below(1_000) < u64::from(self.faults.load(Ordering::Relaxed));
        fails.then(|| self.random.below(3))
    }

    fn unavailable() -> Error {
        Error::Unavailable { reason: "injected".to_owned(), retry_after: None }
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: PutOptions) -> Result<PutOutcome, Error> {
        // Where a process can be killed: before and after the write.
        tokio::task::yield_now().await;
        let result = match self.fault() {
            None => self.inner.put(key, body, options).await,
            Some(0) => Err(Self::unavailable()),
            // Written, and the answer is lost.
            Some(1) => self.inner.put(key, body, options).await.and(Err(Error::Timeout)),
            // Not written now, but a moment later, while the caller has given up.
            Some(_) => {
                let (inner, key) = (Arc::clone(&self.inner), key.clone());
                tokio::spawn(async move {
                    tokio::task::yield_now().await;
                    drop(inner.put(&key, body, options).await);
                });
                Err(Error::Timeout)
            }
        };
        tokio::task::yield_now().await;
        result
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
        let fault = self.fault();
        if fault == Some(0) {
            return Err(Self::unavailable());
        }
        let mut object = self.inner.get(key, options).await?;
        if fault.is_some() {
            // The store died while it sent the object.
            let aborted = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
            object.body =
                object.body.take(1).map(|_| Ok(Default::default())).chain(stream::iter([Err(aborted)])).boxed();
        }
        Ok(object)
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        if self.fault().is_some() { Err(Self::unavailable()) } else { self.inner.head(key).await }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        match self.fault() {
            Some(0) => Err(Self::unavailable()),
            Some(_) => self.inner.delete(key).await.and(Err(Error::Timeout)),
            None => self.inner.delete(key).await,
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, Error> {
        // Small pages, so that paging is exercised.
        if self.fault().is_some() {
            Err(Self::unavailable())
        } else {
            self.inner.list(prefix, after, limit.min(7)).await
        }
    }

    async fn check(&self) -> Result<(), Error> {
        self.inner.check().await
    }
}
