//! A store that misbehaves on demand, and short ways to say what is registered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use lakehouse_catalog::{Catalog, Options};
use lakehouse_objstore::{
    ByteStream, Error, GetOptions, Memory, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome, body,
};
use lakehouse_types::{
    Name, ObjectKey,
    catalog::{Column, DataObject, Manifest, Mode, RegisterRequest},
    store::ListPage,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::Semaphore;

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It did not reach the store.
    Before,
    /// It was carried out, and the answer got lost.
    After,
    /// It was carried out, repeated by something on the way, and met itself.
    Echo,
}

/// An in-memory store with faults and gates.
pub(crate) struct Flaky {
    inner: Memory,
    faults: Mutex<Option<(StdRng, f64)>>,
    next_put: Mutex<Option<Fault>>,
    /// A write to such a key waits for its gate.
    gates: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    pub(crate) waiting: AtomicU64,
    pub(crate) faulted: AtomicU64,
    down: Mutex<bool>,
}

impl Flaky {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Memory::default(),
            faults: Mutex::new(None),
            next_put: Mutex::new(None),
            gates: Mutex::default(),
            waiting: AtomicU64::new(0),
            faulted: AtomicU64::new(0),
            down: Mutex::new(false),
        })
    }

    /// From now on, each call goes wrong with this probability.
    pub(crate) fn misbehave(&self, seed: u64, probability: f64) {
        *self.faults.lock().unwrap() = Some((StdRng::seed_from_u64(seed), probability));
    }

    /// The next write goes wrong in this way.
    pub(crate) fn fault_next_put(&self, fault: Fault) {
        *self.next_put.lock().unwrap() = Some(fault);
    }

    pub(crate) fn behave(&self) {
        *self.faults.lock().unwrap() = None;
        *self.down.lock().unwrap() = false;
    }

    pub(crate) fn go_down(&self) {
        *self.down.lock().unwrap() = true;
    }

    /// The next write to `key` waits until the gate gets a permit.
    pub(crate) fn gate(&self, key: &str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.gates.lock().unwrap().insert(key.to_owned(), Arc::clone(&gate));
        gate
    }

    fn fault(&self) -> Option<Fault> {
        if *self.down.lock().unwrap() {
            return Some(Fault::Before);
        }
        let mut faults = self.faults.lock().unwrap();
        let (rng, probability) = faults.as_mut()?;
        if !rng.random_bool(*probability) {
            return None;
        }
        self.faulted.fetch_add(1, Ordering::Relaxed);
        Some([Fault::Before, Fault::After, Fault::Echo][rng.random_range(0..3)])
    }

    fn error() -> Error {
        Error::Unavailable { reason: "made to fail".into(), retry_after: None }
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let page = self.inner.list(prefix, None, usize::MAX).await.unwrap();
        page.objects.into_iter().map(|object| object.key.into()).collect()
    }

    /// Writes beside the catalog.
    pub(crate) async fn write(&self, key: &str, content: impl Into<Vec<u8>>) {
        let content: Vec<u8> = content.into();
        self.inner.put(&ObjectKey::new(key).unwrap(), body(content), PutOptions::default()).await.unwrap();
    }

    pub(crate) async fn erase(&self, prefix: &str) {
        for key in self.keys(prefix).await {
            self.inner.delete(&ObjectKey::new(key).unwrap()).await.unwrap();
        }
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: PutOptions) -> Result<PutOutcome, Error> {
        let gate = self.gates.lock().unwrap().remove(key.as_str());
        if let Some(gate) = gate {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
        }
        // As any real store does, so that other tasks come in between.
        tokio::task::yield_now().await;
        let planned = self.next_put.lock().unwrap().take();
        match planned.or_else(|| self.fault()) {
            None => self.inner.put(key, body, options).await,
            Some(Fault::Before) => Err(Self::error()),
            Some(Fault::After) => self.inner.put(key, body, options).await.and(Err(Self::error())),
            Some(Fault::Echo) => {
                let outcome = self.inner.put(key, body, options).await;
                outcome.and(Err(Error::PreconditionFailed { key: key.to_string() }))
            }
        }
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
        tokio::task::yield_now().await;
        if self.fault().is_some() { Err(Self::error()) } else { self.inner.get(key, options).await }
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        if self.fault().is_some() { Err(Self::error()) } else { self.inner.head(key).await }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), Error> {
        tokio::task::yield_now().await;
        match self.fault() {
            None => self.inner.delete(key).await,
            Some(Fault::Before) => Err(Self::error()),
            Some(Fault::After | Fault::Echo) => self.inner.delete(key).await.and(Err(Self::error())),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, Error> {
        tokio::task::yield_now().await;
        if self.fault().is_some() { Err(Self::error()) } else { self.inner.list(prefix, after, limit).await }
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A catalog over `store`, loaded.
pub(crate) async fn open(store: &Arc<Flaky>) -> Catalog {
    let catalog = Catalog::new(Arc::clone(store) as Arc<dyn ObjectStore>, &Options::default());
    catalog.load().await.unwrap();
    catalog
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn object(id: &str) -> DataObject {
    DataObject {
        key: ObjectKey::new(format!("datasets/{id}.parquet")).unwrap(),
        size: 100,
        rows: 10,
        fingerprint: id.to_owned(),
        sha256: None,
    }
}

/// A registration with one column, whose type is also the schema's fingerprint.
pub(crate) fn request(dataset: &str, sql_type: &str, mode: Mode, ids: &[&str]) -> RegisterRequest {
    RegisterRequest {
        name: name(dataset),
        schema_fingerprint: sql_type.to_owned(),
        schema: vec![Column { name: "a".into(), sql_type: sql_type.to_owned() }],
        objects: ids.iter().map(|id| object(id)).collect(),
        mode,
    }
}

pub(crate) fn append(dataset: &str, id: &str) -> RegisterRequest {
    request(dataset, "BIGINT", Mode::Append, &[id])
}

pub(crate) fn replace(dataset: &str, id: &str) -> RegisterRequest {
    request(dataset, "BIGINT", Mode::Replace, &[id])
}

pub(crate) fn ids(manifest: &Manifest) -> BTreeSet<String> {
    manifest.objects.iter().map(|object| object.fingerprint.clone()).collect()
}

/// Lets other tasks run until `done`.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !done().await {
        assert!(std::time::Instant::now() < deadline, "it never came to this: {what}");
        tokio::task::yield_now().await;
    }
}
