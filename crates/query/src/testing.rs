//! What the tests of this crate share: a store and a catalog in memory, Parquet files from SQL.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use lakehouse_objstore::{
    ByteStream, Error as StoreError, GetOptions, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome,
};
use lakehouse_types::{
    Name, ObjectKey,
    catalog::{DataObject, Manifest},
    escape_segment,
    store::ListPage,
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::{Catalog, Error, Isolation, Options, Snapshot, duck::Database};

/// Objects in memory; reads are counted, and can be made to wait or to break off.
#[derive(Default)]
pub(crate) struct FakeStore {
    pub(crate) objects: Mutex<HashMap<String, Bytes>>,
    pub(crate) reads: AtomicUsize,
    /// While this is set, reads wait for its notification.
    pub(crate) gate: Mutex<Option<Arc<Notify>>>,
    /// Bodies end with an error after this many bytes.
    pub(crate) break_after: Mutex<Option<usize>>,
}

impl FakeStore {
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ObjectStore for FakeStore {
    async fn put(&self, _: &ObjectKey, _: ByteStream, _: PutOptions) -> Result<PutOutcome, StoreError> {
        unreachable!("queries write nothing")
    }

    async fn get(&self, key: &ObjectKey, _: GetOptions) -> Result<Object, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.lock().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
        let bytes = self.objects.lock().get(key.as_str()).cloned();
        let bytes = bytes.ok_or_else(|| StoreError::NotFound { key: key.to_string() })?;
        let meta =
            ObjectMeta { key: key.clone(), size: bytes.len() as u64, etag: "e".into(), modified: SystemTime::now() };
        let range = 0..meta.size;
        let cut = (*self.break_after.lock()).unwrap_or(usize::MAX);
        let mut pieces: Vec<std::io::Result<Bytes>> =
            bytes.slice(..cut.min(bytes.len())).chunks(1_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        if cut < bytes.len() {
            pieces.push(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        Ok(Object { meta, range, body: futures::stream::iter(pieces).boxed() })
    }

    async fn head(&self, _: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        unreachable!("queries read whole objects")
    }

    async fn delete(&self, _: &ObjectKey) -> Result<(), StoreError> {
        unreachable!("queries write nothing")
    }

    async fn list(&self, _: &str, _: Option<&str>, _: usize) -> Result<ListPage, StoreError> {
        unreachable!("queries list nothing")
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A catalog in memory over a store in memory.
#[derive(Default)]
pub(crate) struct FakeLake {
    pub(crate) store: Arc<FakeStore>,
    pub(crate) manifests: Mutex<Vec<Manifest>>,
    /// Answers of the catalog before the current one: what an old snapshot looks like.
    pub(crate) stale: Mutex<Vec<Vec<Manifest>>>,
}

#[async_trait]
impl Catalog for FakeLake {
    async fn snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        let stale = self.stale.lock().pop();
        let snapshot = Snapshot::new(stale.unwrap_or_else(|| self.manifests.lock().clone()));
        Ok(Arc::new(snapshot.beside_damaged(["torn".to_owned()])))
    }
}

impl FakeLake {
    /// Makes `name` the dataset whose files hold the results of these statements.
    pub(crate) fn put(&self, name: &str, selects: &[&str]) -> Manifest {
        let files: Vec<Vec<u8>> = selects.iter().map(|sql| parquet(sql)).collect();
        self.put_files(name, &files)
    }

    pub(crate) fn put_files(&self, name: &str, files: &[Vec<u8>]) -> Manifest {
        let objects: Vec<DataObject> = files.iter().map(|bytes| self.put_object(name, bytes)).collect();
        let name = Name::new(name).unwrap();
        let mut manifests = self.manifests.lock();
        let version = manifests.iter().find(|known| known.name == name).map_or(1, |known| known.version + 1);
        let manifest = Manifest {
            name: name.clone(),
            version,
            schema_fingerprint: "f".into(),
            schema: vec![lakehouse_types::catalog::Column { name: "id".into(), sql_type: "BIGINT".into() }],
            rows: 0,
            bytes: objects.iter().map(|object| object.size).sum(),
            objects,
            created_ms: 0,
            updated_ms: 0,
        };
        manifests.retain(|known| known.name != name);
        manifests.push(manifest.clone());
        manifest
    }

    pub(crate) fn put_object(&self, name: &str, bytes: &[u8]) -> DataObject {
        let sha256 = hex::encode(Sha256::digest(bytes));
        let key = format!("datasets/{}/{sha256}.parquet", escape_segment(name));
        self.store.objects.lock().insert(key.clone(), Bytes::copy_from_slice(bytes));
        DataObject {
            key: ObjectKey::new(key).unwrap(),
            size: bytes.len() as u64,
            rows: 0,
            fingerprint: sha256.clone(),
            sha256: Some(sha256),
        }
    }
}

/// A Parquet file with the result of `sql`.
pub(crate) fn parquet(sql: &str) -> Vec<u8> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("x.parquet");
    let connection = Database::open().unwrap().connect().unwrap();
    connection.execute(&format!("COPY ({sql}) TO '{}' (FORMAT parquet)", path.display())).unwrap();
    std::fs::read(path).unwrap()
}

/// Options over directories of their own, which live as long as the first value.
pub(crate) fn options() -> (TempDir, Options) {
    let directory = TempDir::new().unwrap();
    let options = Options {
        cache_dir: directory.path().join("cache"),
        cache_bytes: 64 << 20,
        spill_dir: directory.path().join("spill"),
        spill_bytes: 64 << 20,
        memory_bytes: 256 << 20,
        threads: 2,
        max_concurrent: 2,
        max_queued: 2,
        timeout: Duration::from_secs(60),
        max_result_bytes: 64 << 20,
        isolation: Isolation::Threads,
    };
    (directory, options)
}
