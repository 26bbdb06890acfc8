use std::os::unix::fs::PermissionsExt as _;

use lakehouse_types::{ErrorKind, ServiceError as _};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;
use crate::testing::{FakeLake, FakeStore};

struct Fixture {
    directory: TempDir,
    lake: FakeLake,
    cache: Arc<Cache>,
}

impl Fixture {
    fn new(limit: u64) -> Self {
        let (directory, lake) = (TempDir::new().unwrap(), FakeLake::default());
        let cache = open(&directory, limit, &lake.store).unwrap();
        Self { directory, lake, cache }
    }

    fn object(&self, name: &str, size: usize) -> DataObject {
        // Bytes that differ from object to object.
        let bytes: Vec<u8> = name.bytes().chain((0..size).map(|index| (index * 31 % 251) as u8)).take(size).collect();
        self.lake.put_object(name, &bytes)
    }

    async fn get(&self, object: &DataObject) -> Result<Vec<Pin>, Error> {
        self.cache.pin(std::slice::from_ref(object)).await
    }

    fn path(&self, pin: &Pin) -> PathBuf {
        self.directory.path().join(pin.relative_path())
    }

    /// The same directory, opened by the next process.
    fn reopen(self, limit: u64) -> Self {
        let Self { directory, lake, cache } = self;
        drop(cache);
        let cache = open(&directory, limit, &lake.store).unwrap();
        Self { directory, lake, cache }
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.directory.path().join(FILES)).unwrap();
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn open(directory: &TempDir, limit: u64, store: &Arc<FakeStore>) -> io::Result<Arc<Cache>> {
    Cache::open(directory.path(), limit, Arc::clone(store) as Arc<dyn ObjectStore>)
}

#[tokio::test]
async fn a_file_is_fetched_once_and_is_read_only() {
    let fixture = Fixture::new(1 << 20);
    let object = fixture.object("a", 5_000);
    for _ in 0..3 {
        let pins = fixture.get(&object).await.unwrap();
        let path = fixture.path(&pins[0]);
        assert_eq!(fs::read(&path).unwrap(), fixture.lake.store.objects.lock()[object.key.as_str()]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
    }
    assert_eq!(fixture.lake.store.reads(), 1);
    let expected = CacheStats { hits: 2, misses: 1, bytes: 5_000, files: 1, ..CacheStats::default() };
    assert_eq!(fixture.cache.stats(), expected);
}

#[tokio::test]
async fn one_download_serves_all_who_wait_and_survives_those_who_leave() {
    let fixture = Fixture::new(1 << 20);
    let object = fixture.object("a", 5_000);
    let gate = Arc::new(Notify::new());
    *fixture.lake.store.gate.lock() = Some(Arc::clone(&gate));
    let spawn = || {
        let (cache, object) = (Arc::clone(&fixture.cache), object.clone());
        tokio::spawn(async move { cache.pin(&[object]).await.map(|pins| pins.len()) })
    };
    let (leaving, first, second) = (spawn(), spawn(), spawn());
    while fixture.cache.stats().misses < 3 {
        tokio::task::yield_now().await;
    }
    leaving.abort();
    gate.notify_one();
    assert_eq!(first.await.unwrap().unwrap() + second.await.unwrap().unwrap(), 2);
    assert_eq!(fixture.lake.store.reads(), 1);
}

#[tokio::test]
async fn what_was_used_longest_ago_makes_way_and_what_is_pinned_stays() {
    let fixture = Fixture::new(10_000);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| fixture.object(name, 4_000));
    fixture.get(&a).await.unwrap();
    fixture.get(&b).await.unwrap();
    let pinned = fixture.get(&a).await.unwrap();
    // `b` goes, though it came last.
    fixture.get(&c).await.unwrap();
    assert_eq!(fixture.cache.stats().evictions, 1);
    fixture.get(&a).await.unwrap();
    assert_eq!(fixture.lake.store.reads(), 3);
    let also_pinned = fixture.get(&c).await.unwrap();
    let error = fixture.get(&d).await.unwrap_err();
    assert!(matches!(error, Error::CacheFull { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(fixture.path(&pinned[0]).exists() && fixture.path(&also_pinned[0]).exists());
    drop(pinned);
    fixture.get(&d).await.unwrap();
    assert!(fixture.cache.stats().bytes <= 10_000);
    assert_eq!(fixture.names().len(), 2);
}

#[tokio::test]
async fn a_file_larger_than_the_cache_is_a_clear_error() {
    let fixture = Fixture::new(3_000);
    let (a, b) = (fixture.object("a", 2_000), fixture.object("b", 2_000));
    assert!(matches!(fixture.get(&fixture.object("c", 3_001)).await, Err(Error::CacheTooSmall { needed: 3_001, .. })));
    let error = fixture.cache.pin(&[a, b]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("4000 bytes") && error.to_string().contains("3000 bytes"), "{error}");
    assert_eq!(fixture.lake.store.reads(), 0);
}

#[tokio::test]
async fn files_survive_a_restart_after_their_bytes_are_checked() {
    let fixture = Fixture::new(1 << 20);
    let (a, b) = (fixture.object("a", 5_000), fixture.object("b", 5_000));
    fixture.get(&a).await.unwrap();
    let damaged = fixture.path(&fixture.get(&b).await.unwrap()[0]);
    let leftover = fixture.directory.path().join(PARTIAL).join("fetch-x");
    fs::write(&leftover, "half").unwrap();
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[2_500] ^= 1;
    fs::remove_file(&damaged).unwrap();
    fs::write(&damaged, &bytes).unwrap();
    let fixture = fixture.reopen(1 << 20);
    assert!(!leftover.exists());
    assert_eq!(fixture.cache.stats().files, 2);
    fixture.get(&a).await.unwrap();
    assert_eq!(fixture.lake.store.reads(), 2);
    let pins = fixture.get(&b).await.unwrap();
    assert_eq!(fixture.lake.store.reads(), 3);
    assert_eq!(fs::read(fixture.path(&pins[0])).unwrap(), fixture.lake.store.objects.lock()[b.key.as_str()]);
    assert_eq!(fixture.cache.stats().corrupt, 1);
}

#[tokio::test]
async fn a_smaller_limit_holds_from_the_start() {
    let fixture = Fixture::new(1 << 20);
    for name in ["a", "b", "c"] {
        fixture.get(&fixture.object(name, 4_000)).await.unwrap();
    }
    let fixture = fixture.reopen(9_000);
    assert_eq!((fixture.cache.stats().bytes, fixture.names().len()), (8_000, 2));
}

#[tokio::test]
async fn a_file_that_changes_while_in_use_is_fetched_again() {
    let fixture = Fixture::new(1 << 20);
    let object = fixture.object("a", 5_000);
    let path = fixture.path(&fixture.get(&object).await.unwrap()[0]);
    let whole = fs::read(&path).unwrap();
    for damage in [Some(whole[..4_000].to_vec()), Some(vec![0; 5_000]), None] {
        fs::remove_file(&path).unwrap();
        if let Some(bytes) = damage {
            fs::write(&path, bytes).unwrap();
        }
        fixture.get(&object).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    assert_eq!((fixture.lake.store.reads(), fixture.cache.stats().corrupt), (4, 3));
    // Touched but whole: read again, not fetched again.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fixture.get(&object).await.unwrap();
    fixture.get(&object).await.unwrap()[0].doubt();
    fixture.get(&object).await.unwrap();
    assert_eq!(fixture.lake.store.reads(), 4);
}

#[tokio::test]
async fn an_object_that_is_not_what_was_registered_is_refused() {
    let fixture = Fixture::new(1 << 20);
    let good = fixture.object("a", 5_000);
    let reason = async |object: DataObject| match fixture.get(&object).await.unwrap_err() {
        Error::BadFile { reason, .. } => reason,
        other => panic!("{other}"),
    };
    assert!(reason(DataObject { sha256: Some("0".repeat(64)), ..good.clone() }).await.contains("hash"));
    assert!(reason(DataObject { size: 4_999, ..good.clone() }).await.contains("4999 were registered"));
    let key = lakehouse_types::ObjectKey::new("datasets/a/none.parquet").unwrap();
    assert!(reason(DataObject { key, ..good.clone() }).await.contains("no such object"));
    assert_eq!(fixture.names(), [""; 0]);
    assert!(fs::read_dir(fixture.directory.path().join(PARTIAL)).unwrap().next().is_none());
    // Without a registered hash the bytes are taken as they come, and checked from then on.
    fixture.get(&DataObject { sha256: None, ..good.clone() }).await.unwrap();
    let fixture = fixture.reopen(1 << 20);
    let reads = fixture.lake.store.reads();
    fixture.get(&DataObject { sha256: None, ..good }).await.unwrap();
    assert_eq!(fixture.lake.store.reads(), reads);
}

#[tokio::test]
async fn a_broken_transfer_leaves_nothing_and_can_be_tried_again() {
    let fixture = Fixture::new(6_000);
    let object = fixture.object("a", 5_000);
    *fixture.lake.store.break_after.lock() = Some(3_000);
    for _ in 0..3 {
        let error = fixture.get(&object).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert!(fs::read_dir(fixture.directory.path().join(PARTIAL)).unwrap().next().is_none());
    *fixture.lake.store.break_after.lock() = None;
    fixture.get(&object).await.unwrap();
}

#[tokio::test]
async fn a_directory_has_one_user() {
    let fixture = Fixture::new(1 << 20);
    let error = open(&fixture.directory, 1 << 20, &fixture.lake.store).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    let foreign = fixture.directory.path().join(FILES).join("notes.txt");
    fs::write(&foreign, "mine").unwrap();
    let fixture = fixture.reopen(0);
    assert!(foreign.exists() && fixture.cache.stats().files == 0);
}

#[tokio::test]
async fn a_directory_that_can_t_be_written_is_no_room() {
    let fixture = Fixture::new(1 << 20);
    let object = fixture.object("a", 5_000);
    fs::remove_dir_all(fixture.directory.path().join(PARTIAL)).unwrap();
    let error = fixture.get(&object).await.unwrap_err();
    assert!(matches!(error, Error::CacheFull { .. }), "{error}");
    assert!(!error.detail().contains("partial") && error.retry_after().is_some(), "{}", error.detail());
}
