use std::{
    collections::HashMap,
    num::NonZero,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use lakehouse_objstore::{
    ByteStream, Error as StoreError, GetOptions, Memory, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome, body,
};
use lakehouse_types::{
    ErrorKind, Name, ObjectKey, ServiceError,
    catalog::{ListResponse, Manifest, Mode, RegisterRequest, RegisterResponse},
    ingest::IngestResponse,
    store::ListPage,
};

use super::*;
use crate::{Error, Limits, Options, SpoolDir};

/// A catalog in memory that does what the contract says.
struct FakeCatalog {
    manifests: Mutex<HashMap<Name, Manifest>>,
    /// Those that it can't read.
    damaged: Mutex<Vec<Name>>,
    down: AtomicBool,
    /// Registers, and then does not say so.
    loses_answers: AtomicBool,
    /// Lists that it gives before it fails.
    fails_after: AtomicUsize,
    registrations: AtomicUsize,
}

impl Default for FakeCatalog {
    fn default() -> Self {
        Self {
            manifests: Mutex::default(),
            damaged: Mutex::default(),
            down: AtomicBool::default(),
            loses_answers: AtomicBool::default(),
            fails_after: AtomicUsize::new(usize::MAX),
            registrations: AtomicUsize::default(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{1}")]
struct Refusal(ErrorKind, &'static str);

impl ServiceError for Refusal {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl FakeCatalog {
    fn check(&self) -> Result<(), CatalogError> {
        // Gives other tasks a turn, as a call over the network does.
        if self.down.load(Ordering::SeqCst) { Err(Box::new(Refusal(ErrorKind::Unavailable, "down"))) } else { Ok(()) }
    }

    fn objects(&self, name: &str) -> Vec<ObjectKey> {
        let name = Name::new(name).unwrap();
        let manifests = self.manifests.lock().unwrap();
        manifests.get(&name).map_or_else(Vec::new, |m| m.objects.iter().map(|object| object.key.clone()).collect())
    }
}

#[async_trait]
impl Catalog for FakeCatalog {
    async fn manifest(&self, name: &Name) -> Result<Option<Manifest>, CatalogError> {
        tokio::task::yield_now().await;
        self.check()?;
        Ok(self.manifests.lock().unwrap().get(name).cloned())
    }

    async fn register(&self, request: RegisterRequest) -> Result<RegisterResponse, CatalogError> {
        tokio::task::yield_now().await;
        self.check()?;
        self.registrations.fetch_add(1, Ordering::SeqCst);
        let mut manifests = self.manifests.lock().unwrap();
        if manifests.keys().any(|name| *name != request.name && name.folded() == request.name.folded()) {
            return Err(Box::new(Refusal(ErrorKind::Conflict, "differs only by case")));
        }
        let before = manifests.get(&request.name).cloned();
        if before.as_ref().is_some_and(|before| before.schema_fingerprint != request.schema_fingerprint) {
            return Err(Box::new(Refusal(ErrorKind::Conflict, "schema drift")));
        }
        let mut objects = request.objects.clone();
        if let (Some(before), Mode::Append) = (&before, request.mode) {
            objects = before.objects.clone();
            objects.extend(
                request.objects.iter().filter(|new| before.objects.iter().all(|old| old.key != new.key)).cloned(),
            );
        }
        if let Some(before) = &before
            && before.objects == objects
        {
            return Ok(RegisterResponse { existing: true, manifest: before.clone() });
        }
        let manifest = Manifest {
            name: request.name.clone(),
            version: before.map_or(0, |before| before.version) + 1,
            schema_fingerprint: request.schema_fingerprint,
            schema: request.schema,
            rows: objects.iter().map(|object| object.rows).sum(),
            bytes: objects.iter().map(|object| object.size).sum(),
            objects,
            created_ms: 0,
            updated_ms: 0,
        };
        manifests.insert(request.name, manifest.clone());
        if self.loses_answers.load(Ordering::SeqCst) {
            return Err(Box::new(Refusal(ErrorKind::Unavailable, "gone")));
        }
        Ok(RegisterResponse { existing: false, manifest })
    }

    async fn list(&self) -> Result<ListResponse, CatalogError> {
        tokio::task::yield_now().await;
        self.check()?;
        if self.fails_after.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(Box::new(Refusal(ErrorKind::Unavailable, "down")));
        }
        let (mut datasets, mut damaged) = (Vec::new(), Vec::new());
        for manifest in self.manifests.lock().unwrap().values().cloned() {
            match self.damaged.lock().unwrap().contains(&manifest.name) {
                true => damaged.push(manifest.name.folded()),
                false => datasets.push(manifest),
            }
        }
        Ok(ListResponse { datasets, damaged })
    }
}

/// A store that gives other tasks a turn between its steps, counts writes, and can be taken down.
#[derive(Default)]
struct Shaky {
    inner: Memory,
    down: AtomicBool,
    puts: AtomicUsize,
    /// Says of no removal what became of it.
    loses_deletes: AtomicBool,
    /// Milliseconds by which objects look older than they are.
    aged: AtomicI64,
}

impl Shaky {
    async fn step(&self) -> Result<(), StoreError> {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable { reason: "down".to_owned(), retry_after: None }),
            false => Ok(()),
        }
    }

    async fn keys(&self) -> Vec<String> {
        let page = self.inner.list(sweep::PREFIX, None, 1000).await.unwrap();
        page.objects.into_iter().map(|entry| entry.key.to_string()).collect()
    }
}

#[async_trait]
impl ObjectStore for Shaky {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: PutOptions) -> Result<PutOutcome, StoreError> {
        self.step().await?;
        if key.as_str().starts_with(sweep::PREFIX) {
            self.puts.fetch_add(1, Ordering::SeqCst);
        }
        let outcome = self.inner.put(key, body, options).await;
        self.step().await?;
        outcome
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, StoreError> {
        self.step().await?;
        self.inner.get(key, options).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        self.step().await?;
        let mut meta = self.inner.head(key).await?;
        if key.as_str().starts_with(sweep::PREFIX) {
            meta.modified -= Duration::from_millis(self.aged.load(Ordering::SeqCst).try_into().unwrap());
        }
        Ok(meta)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.step().await?;
        if self.loses_deletes.load(Ordering::SeqCst) {
            return Err(StoreError::Timeout);
        }
        self.inner.delete(key).await?;
        self.step().await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        self.step().await?;
        let mut page = self.inner.list(prefix, after, limit).await?;
        page.objects.iter_mut().for_each(|entry| entry.modified_ms -= self.aged.load(Ordering::SeqCst));
        Ok(page)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.step().await
    }
}

struct World {
    store: Arc<Shaky>,
    catalog: Arc<FakeCatalog>,
    dirs: Vec<tempfile::TempDir>,
}

impl World {
    fn new() -> Self {
        Self { store: Arc::default(), catalog: Arc::default(), dirs: Vec::new() }
    }

    /// One more ingestd on the same store and catalog.
    fn ingestor(&mut self, grace: Duration) -> Arc<Ingestor> {
        self.dirs.push(tempfile::tempdir().unwrap());
        let spool = SpoolDir::open(self.dirs.last().unwrap().path()).unwrap();
        let options = IngestorOptions {
            limits: Limits::with_threads(NonZero::<usize>::MIN),
            max_concurrent: 2,
            max_queued: 2,
            sweep_grace: grace,
        };
        let (store, catalog) = (Arc::clone(&self.store), Arc::clone(&self.catalog));
        Ingestor::new(store, catalog, spool, options).unwrap()
    }
}

async fn ingest(ingestor: &Arc<Ingestor>, name: &str, text: &str, mode: Mode) -> Result<IngestResponse, Error> {
    let options = Options::default();
    let mut upload = ingestor.spool().upload(&options)?;
    upload.write(Bytes::copy_from_slice(text.as_bytes())).await?;
    let request = IngestRequest { name: Name::new(name).unwrap(), mode, options };
    ingestor.ingest(request, upload.finish().await?).await
}

#[tokio::test]
async fn an_answer_for_known_bytes_says_what_the_first_one_said() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    let text = "id,ID\n1,2\n";
    let first = ingest(&ingestor, "d", text, Mode::Replace).await.unwrap();
    assert_eq!(first.renamed_columns.len(), 1);
    let again = ingest(&ingestor, "d", text, Mode::Replace).await.unwrap();
    assert_eq!(again, IngestResponse { existing: true, ..first });
}

fn table(content: u32) -> String {
    format!("id,v\n{content},x\n")
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_same_bytes_again_change_nothing() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    let first = ingest(&ingestor, "O'Brien's data", &table(1), Mode::Replace).await.unwrap();
    assert_eq!((first.existing, first.version, first.rows), (false, 1, 1));
    assert_eq!(first.key.as_str(), format!("datasets/O%27Brien%27s%20data/{}.parquet", first.fingerprint));
    let again = ingest(&ingestor, "O'Brien's data", &table(1), Mode::Replace).await.unwrap();
    assert_eq!((again.existing, again.version), (true, 1));
    assert_eq!(again, IngestResponse { existing: true, ..first });
    assert_eq!(world.store.puts.load(Ordering::SeqCst), 1, "no new object");
}

/// The same bytes again put back what the store has lost or bent, as a new file and as one of several.
#[tokio::test]
async fn the_same_bytes_again_heal_a_damaged_object() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    for mode in [Mode::Replace, Mode::Append] {
        let first = ingest(&ingestor, "d", &table(1), mode).await.unwrap();
        let read = async || {
            let object = world.store.inner.get(&first.key, GetOptions::default()).await.unwrap();
            lakehouse_objstore::collect(object.body, 1 << 20).await.unwrap()
        };
        let good = read().await;
        let put = async |bytes: Vec<u8>| {
            world.store.inner.put(&first.key, body(bytes), PutOptions::default()).await.unwrap();
        };
        let mut flipped = good.to_vec();
        flipped[good.len() / 2] ^= 1;
        for damaged in [Some(good[..good.len() - 1].to_vec()), Some(flipped), Some(Vec::new()), None] {
            match damaged {
                Some(bytes) => put(bytes).await,
                None => world.store.inner.delete(&first.key).await.unwrap(),
            }
            let again = ingest(&ingestor, "d", &table(1), mode).await.unwrap();
            assert_eq!((&again.key, again.rows, again.bytes), (&first.key, first.rows, first.bytes));
            assert_eq!(read().await, good);
        }
        // What is whole is not written again.
        let puts = world.store.puts.load(Ordering::SeqCst);
        assert!(ingest(&ingestor, "d", &table(1), mode).await.unwrap().existing);
        assert_eq!(world.store.puts.load(Ordering::SeqCst), puts);
    }
}

#[tokio::test]
async fn append_adds_and_replace_goes_back_without_a_new_object() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    let one = ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap();
    let two = ingest(&ingestor, "d", &table(2), Mode::Append).await.unwrap();
    assert_eq!((two.version, world.catalog.objects("d")), (2, vec![one.key.clone(), two.key]));
    let back = ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap();
    assert_eq!((back.existing, back.version, world.catalog.objects("d")), (true, 3, vec![one.key]));
    assert_eq!(world.store.puts.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_registration_leaves_no_object() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    let first = ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap();
    for (name, text) in [("d", "id,other\n1,x\n".to_owned()), ("D", table(1))] {
        let error = ingest(&ingestor, name, &text, Mode::Replace).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert_eq!(world.store.keys().await, [first.key.to_string()], "{name}");
    }
}

#[tokio::test]
async fn upstreams_that_are_down_are_a_503_and_no_half_state() {
    let mut world = World::new();
    let ingestor = world.ingestor(Duration::ZERO);
    for down in [&world.catalog.down, &world.store.down] {
        down.store(true, Ordering::SeqCst);
        let error = ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.retry_after().is_some());
        assert!(ingestor.sweep().await.is_err(), "a sweep without them does nothing");
        down.store(false, Ordering::SeqCst);
    }
    assert!(world.catalog.objects("d").is_empty());
    assert!(world.store.keys().await.is_empty());
    assert!(!ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap().existing);
}

#[tokio::test]
async fn a_full_house_sends_callers_away() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    let places: Vec<_> = (0..4).map(|_| ingestor.enter().unwrap()).collect();
    assert_eq!(ingestor.enter().unwrap_err().kind(), ErrorKind::Unavailable);
    drop(places);
    assert!(ingestor.enter().is_ok());
}

async fn plant(world: &World, dataset: &str, digit: &str) -> ObjectKey {
    let key = ObjectKey::new(format!("datasets/{dataset}/{}.parquet", digit.repeat(64))).unwrap();
    world.store.inner.put(&key, body("1234"), PutOptions::default()).await.unwrap();
    key
}

#[tokio::test]
async fn a_sweep_takes_orphans_past_their_grace_and_nothing_else() {
    let mut world = World::new();
    let (patient, prompt) = (world.ingestor(LONG), world.ingestor(Duration::ZERO));
    let live = ingest(&prompt, "d", &table(1), Mode::Replace).await.unwrap();
    plant(&world, "d", "a").await;
    plant(&world, "never", "b").await;
    let foreign = ObjectKey::new("datasets/d/notes.txt").unwrap();
    world.store.inner.put(&foreign, body("mine"), PutOptions::default()).await.unwrap();
    assert_eq!(patient.sweep().await.unwrap(), SweepReport { removed: 0, kept: 2, bytes: 0 });
    assert_eq!(prompt.sweep().await.unwrap(), SweepReport { removed: 2, kept: 0, bytes: 8 });
    assert_eq!(world.store.keys().await, [live.key.to_string(), foreign.to_string()]);
}

#[tokio::test]
async fn a_sweep_removes_nothing_while_the_catalog_can_not_read_a_dataset() {
    let mut world = World::new();
    let ingestor = world.ingestor(Duration::ZERO);
    let live = ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap();
    let orphan = plant(&world, "e", "a").await;
    world.catalog.damaged.lock().unwrap().push(Name::new("d").unwrap());
    let error = ingestor.sweep().await.unwrap_err();
    assert!(matches!(&error, Error::Damaged(names) if *names == ["d"]), "{error}");
    assert_eq!(world.store.keys().await, [live.key.to_string(), orphan.to_string()]);
    world.catalog.damaged.lock().unwrap().clear();
    assert_eq!(ingestor.sweep().await.unwrap().removed, 1);
    assert_eq!(world.store.keys().await, [live.key.to_string()]);
}

#[tokio::test]
async fn a_sweep_that_fails_takes_its_announcement_back() {
    let mut world = World::new();
    let ingestor = world.ingestor(Duration::ZERO);
    let orphan = plant(&world, "d", "a").await;
    world.catalog.fails_after.store(1, Ordering::SeqCst);
    assert!(ingestor.sweep().await.is_err());
    // Nobody waits for it.
    tokio::time::timeout(Duration::from_secs(60), ingestor.markers.wait_for(&orphan)).await.unwrap().unwrap();
    world.catalog.fails_after.store(usize::MAX, Ordering::SeqCst);
    // A removal whose fate is not known may be carried out later: the announcement stays.
    world.store.loses_deletes.store(true, Ordering::SeqCst);
    assert!(ingestor.sweep().await.is_err());
    tokio::time::timeout(Duration::from_millis(300), ingestor.markers.wait_for(&orphan)).await.unwrap_err();
    world.store.loses_deletes.store(false, Ordering::SeqCst);
    assert_eq!(ingestor.sweep().await.unwrap().removed, 1);
}

#[tokio::test]
async fn what_was_written_anew_since_it_was_listed_stays() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    let orphan = plant(&world, "d", "a").await;
    let hold = ingestor.markers.acquire().await.unwrap().unwrap();
    let mut report = SweepReport::default();
    let hold = ingestor.remove(hold, &[(orphan.clone(), 4)], false, &mut report).await.unwrap().unwrap();
    assert_eq!(report, SweepReport { removed: 0, kept: 1, bytes: 0 });
    world.store.aged.store(86_400_000, Ordering::SeqCst);
    ingestor.remove(hold, &[(orphan, 4)], false, &mut report).await.unwrap().unwrap();
    assert_eq!(report.removed, 1);
}

#[tokio::test]
async fn an_error_after_the_registration_does_not_say_that_nothing_has_changed() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    world.catalog.loses_answers.store(true, Ordering::SeqCst);
    let error = ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_after().is_some());
    assert_eq!(
        error.detail(),
        "the catalog is not available; the file may have been taken all the same: sending it again is safe"
    );
    world.catalog.loses_answers.store(false, Ordering::SeqCst);
    assert!(ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap().existing);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_version_keeps_its_objects_for_the_grace_period() {
    let mut world = World::new();
    let ingestor = world.ingestor(LONG);
    // Written long ago, and in use all the time.
    world.store.aged.store(86_400_000, Ordering::SeqCst);
    let old = ingest(&ingestor, "d", &table(1), Mode::Replace).await.unwrap();
    assert_eq!(ingestor.sweep().await.unwrap(), SweepReport::default());
    ingest(&ingestor, "d", &table(2), Mode::Replace).await.unwrap();
    let kept = SweepReport { removed: 0, kept: 1, bytes: 0 };
    assert_eq!(ingestor.sweep().await.unwrap(), kept);
    tokio::time::advance(LONG / 2).await;
    assert_eq!(ingestor.sweep().await.unwrap(), kept);
    tokio::time::advance(LONG / 2).await;
    assert_eq!(ingestor.sweep().await.unwrap(), SweepReport { removed: 1, kept: 0, bytes: old.bytes });
}

#[tokio::test(start_paused = true)]
async fn the_marker_of_a_dead_sweep_holds_up_others_only_for_a_while() {
    let mut world = World::new();
    let (one, two) = (world.ingestor(Duration::ZERO), world.ingestor(Duration::ZERO));
    let orphan = plant(&world, "d", "a").await;
    // A sweep that dies right after its announcement.
    let hold = one.markers.acquire().await.unwrap().unwrap();
    one.markers.announce(hold, &[orphan]).await.unwrap().unwrap();
    assert_eq!(two.sweep().await.unwrap_err().kind(), ErrorKind::Unavailable);
    tokio::time::advance(Duration::from_secs(200)).await;
    assert_eq!(two.sweep().await.unwrap().removed, 1);
    // Its own successor need not wait at all.
    let hold = one.markers.acquire().await.unwrap().unwrap();
    one.markers.announce(hold, &[]).await.unwrap().unwrap();
    assert_eq!(one.sweep().await.unwrap(), SweepReport::default());
}

#[tokio::test]
async fn an_ingest_waits_for_the_sweep_that_is_after_its_object_and_repairs_it() {
    let mut world = World::new();
    let (one, two) = (world.ingestor(Duration::ZERO), world.ingestor(Duration::ZERO));
    let key = ingest(&one, "d", &table(1), Mode::Replace).await.unwrap().key;
    world.catalog.manifests.lock().unwrap().clear();
    let hold = two.markers.acquire().await.unwrap().unwrap();
    let hold = two.markers.announce(hold, std::slice::from_ref(&key)).await.unwrap().unwrap();
    let waiting = tokio::spawn(async move { ingest(&one, "d", &table(1), Mode::Replace).await });
    // It can't be acknowledged as long as the announcement stands.
    tokio::time::timeout(Duration::from_millis(300), async {
        while world.catalog.registrations.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap_err();
    assert!(!waiting.is_finished());
    world.store.inner.delete(&key).await.unwrap();
    two.markers.release(hold).await.unwrap();
    waiting.await.unwrap().unwrap();
    assert!(world.store.inner.head(&key).await.is_ok(), "stored again");
}

/// Several ingestds, a few names, few contents (so that the same ones come again, replace each other
/// and become orphans again), and sweeps without any grace all the while: every object that the
/// catalog names is there whenever an ingest of it is acknowledged, and in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sweep_ever_takes_what_was_acknowledged() {
    let mut world = World::new();
    let ingestors = [world.ingestor(Duration::ZERO), world.ingestor(Duration::ZERO)];
    let done = Arc::new(AtomicBool::new(false));
    let sweepers: Vec<_> = ingestors
        .iter()
        .cloned()
        .map(|ingestor| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                let mut removed = 0;
                while !done.load(Ordering::SeqCst) {
                    removed += ingestor.sweep().await.map_or(0, |report| report.removed);
                    tokio::task::yield_now().await;
                }
                removed
            })
        })
        .collect();
    let clients: Vec<_> = (0..6_u32)
        .map(|client| {
            let ingestor = Arc::clone(&ingestors[client as usize % 2]);
            let (store, catalog) = (Arc::clone(&world.store), Arc::clone(&world.catalog));
            tokio::spawn(async move {
                for round in 0..40_u32 {
                    let name = format!("d{}", (client + round) % 2);
                    let content = client.wrapping_mul(7).wrapping_add(round.wrapping_mul(5)) % 3;
                    let mode = if round % 4 == 0 { Mode::Append } else { Mode::Replace };
                    let response = ingest(&ingestor, &name, &table(content), mode).await.unwrap();
                    let is_stored = store.inner.head(&response.key).await.is_ok();
                    // Not there is right only where somebody has replaced it since.
                    assert!(
                        is_stored || !catalog.objects(&name).contains(&response.key),
                        "{name} lost {}",
                        response.key
                    );
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let mut removed = 0;
    for sweeper in sweepers {
        removed += sweeper.await.unwrap();
    }
    assert!(removed > 0, "the sweeps had something to do");
    ingestors[0].sweep().await.unwrap();
    let mut named: Vec<String> =
        ["d0", "d1"].iter().flat_map(|name| world.catalog.objects(name)).map(|key| key.to_string()).collect();
    named.sort();
    assert_eq!(world.store.keys().await, named, "all that is named, and nothing else");
}
