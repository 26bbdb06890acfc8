//! Single situations that the random run meets too seldom.

use std::sync::{Arc, atomic::Ordering};

use lakehouse_objstore::{GetOptions, ObjectStore, PutOptions, body, collect};
use lakehouse_types::{
    ErrorKind, ObjectKey, ServiceError as _,
    vector::{AddRequest, DeleteRequest, Distance, MergeRequest},
};
use lakehouse_vector::{Error, Registry};

use crate::{add_request, faults::FaultyStore, options, request};

fn items(range: std::ops::Range<usize>) -> AddRequest {
    let items: Vec<_> = range
        .map(|n| (format!("item-{n}"), ((0..8).map(|place| ((n * 5 + place * 3) % 17) as f32 + 0.5).collect(), None)))
        .collect();
    add_request(&items)
}

pub(crate) async fn open(store: &Arc<FaultyStore>) -> Registry {
    let store: Arc<dyn ObjectStore> = Arc::clone(store) as _;
    Registry::open(Some(store), options()).await.expect("opens")
}

pub(crate) async fn keys(store: &FaultyStore) -> Vec<String> {
    let page = store.sound().list("_vectors/", None, 1_000).await.expect("lists");
    page.objects.into_iter().map(|entry| entry.key.to_string()).collect()
}

/// An object that something else has put there.
pub(crate) async fn put_file(store: &FaultyStore, key: &str, bytes: &[u8]) {
    let key = ObjectKey::new(key).expect("a key");
    store.sound().put(&key, body(bytes.to_vec()), PutOptions::default()).await.expect("writes");
}

#[tokio::test]
async fn a_store_that_is_down_changes_nothing_and_loses_nothing() {
    let store = Arc::new(FaultyStore::new(1));
    let registry = open(&store).await;
    registry.create(&request("a", Distance::L2)).await.expect("creates");
    registry.add("a", items(0..5)).await.expect("adds");
    store.faults.store(1_000, Ordering::Relaxed);
    for _ in 0..2 {
        let error = registry.add("a", items(5..10)).await.expect_err("down");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some());
        assert_eq!(registry.info("a").expect("there").count, 5);
        assert!(registry.delete("a", DeleteRequest { ids: vec!["item-1".into()] }).await.is_err());
        assert!(registry.get("a", "item-1").is_ok());
    }
    store.faults.store(0, Ordering::Relaxed);
    assert_eq!(registry.add("a", items(5..10)).await.expect("up again").added, 5);
    drop(registry);
    assert_eq!(open(&store).await.info("a").expect("there").count, 10);
}

#[tokio::test]
async fn a_create_whose_outcome_can_t_be_read_back_is_not_an_internal_error() {
    let mut refused = 0;
    for seed in 0..200 {
        let store = Arc::new(FaultyStore::new(seed));
        let registry = open(&store).await;
        // A file of an earlier attempt lies there, and the store fails every other call.
        let other = open(&store).await;
        other.create(&request("a", Distance::L2)).await.expect("creates");
        store.faults.store(500, Ordering::Relaxed);
        if let Err(error) = registry.create(&request("a", Distance::L2)).await {
            assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Conflict), "seed {seed}: {error}");
            refused += 1;
        }
    }
    assert!(refused > 0, "no create was refused");
}

#[tokio::test]
async fn a_dropped_index_leaves_nothing_and_its_name_can_be_taken_again() {
    let store = Arc::new(FaultyStore::new(2));
    let registry = open(&store).await;
    registry.create(&request("a/b".replace('/', " ").as_str(), Distance::L2)).await.expect("creates");
    registry.add("a b", items(0..5)).await.expect("adds");
    assert!(matches!(registry.create(&request("a b", Distance::L2)).await, Err(Error::Exists(_))));
    registry.drop_index("a b").await.expect("drops");
    assert_eq!(keys(&store).await, Vec::<String>::new());
    assert!(matches!(registry.drop_index("a b").await, Err(Error::NoIndex(_))));
    registry.create(&request("a b", Distance::Dot)).await.expect("creates again");
    registry.add("a b", items(7..9)).await.expect("adds");
    drop(registry);
    let info = open(&store).await.info("a b").expect("there");
    assert_eq!((info.count, info.distance), (2, Distance::Dot));
}

#[tokio::test]
async fn a_save_folds_the_log_into_the_file() {
    let store = Arc::new(FaultyStore::new(3));
    let registry = open(&store).await;
    registry.create(&request("a", Distance::L2)).await.expect("creates");
    for n in 0..5 {
        registry.add("a", items(n..n + 3)).await.expect("adds");
    }
    assert_eq!(registry.metrics()[0].log_entries, 5);
    assert_eq!(keys(&store).await.len(), 6);
    registry.save_all().await;
    assert_eq!(registry.metrics()[0].log_entries, 0);
    assert_eq!(keys(&store).await, ["_vectors/a.lhv1"]);
    registry.add("a", items(10..11)).await.expect("adds");
    drop(registry);
    assert_eq!(open(&store).await.info("a").expect("there").count, 8);
}

#[tokio::test]
async fn a_bad_file_is_kept_and_named_and_the_others_serve() {
    let store = Arc::new(FaultyStore::new(4));
    let registry = open(&store).await;
    for name in ["bad", "good", "gap"] {
        registry.create(&request(name, Distance::L2)).await.expect("creates");
        registry.add(name, items(0..3)).await.expect("adds");
        registry.add(name, items(3..6)).await.expect("adds");
    }
    drop(registry);
    let file = ObjectKey::new("_vectors/bad.lhv1").expect("a key");
    let object = store.sound().get(&file, GetOptions::default()).await.expect("there");
    let mut bytes = collect(object.body, 1 << 20).await.expect("reads").to_vec();
    bytes[40] ^= 1;
    store.sound().put(&file, body(bytes), PutOptions::default()).await.expect("writes");
    let first = keys(&store).await.into_iter().find(|key| key.starts_with("_vectors/gap/")).expect("an entry");
    store.sound().delete(&ObjectKey::new(first).expect("a key")).await.expect("deletes");

    let before = keys(&store).await;
    let registry = open(&store).await;
    let quarantined = registry.quarantined();
    assert_eq!(quarantined.iter().map(|index| index.name.as_str()).collect::<Vec<_>>(), ["bad", "gap"]);
    assert!(quarantined[0].reason.contains("checksum") || quarantined[0].reason.contains("envelope"));
    assert!(quarantined[1].reason.contains("missing"));
    assert_eq!(keys(&store).await, before);
    assert_eq!(registry.info("good").expect("serves").count, 6);
    let error = registry.add("bad", items(0..1)).await.expect_err("quarantined");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(matches!(registry.create(&request("bad", Distance::L2)).await, Err(Error::Quarantined { .. })));
    registry.drop_index("bad").await.expect("an explicit delete removes it");
    registry.create(&request("bad", Distance::L2)).await.expect("creates again");
}

#[tokio::test]
async fn the_first_file_of_version_3_serves_and_takes_changes() {
    let store = Arc::new(FaultyStore::new(5));
    put_file(&store, "_vectors/v3.lhv1", include_bytes!("../fixtures/v3.lhv1")).await;
    for round in 0..3 {
        let registry = open(&store).await;
        assert!(registry.quarantined().is_empty(), "{:?}", registry.quarantined());
        assert_eq!(registry.info("v3").expect("serves").count, 40 - round);
        let deleted = registry.delete("v3", DeleteRequest { ids: vec![format!("item-{round:02}")] }).await;
        assert_eq!(deleted.expect("deletes").deleted, 1);
        if round == 1 {
            registry.save_all().await;
        }
    }
}

#[tokio::test]
async fn the_second_of_two_processes_takes_over_and_the_first_one_stops() {
    let store = Arc::new(FaultyStore::new(6));
    let first = open(&store).await;
    first.create(&request("a", Distance::L2)).await.expect("creates");
    first.add("a", items(0..3)).await.expect("adds");
    let second = open(&store).await;
    second.add("a", items(3..6)).await.expect("adds");
    let error = first.add("a", items(6..9)).await.expect_err("fenced");
    assert!(matches!(error, Error::Fenced(_)), "{error}");
    assert_eq!(first.info("a").expect("readable").count, 3);
    // The last entry of a killed process may arrive after the next one has read the log.
    let third = open(&store).await;
    second.add("a", items(9..12)).await.expect("adds");
    assert_eq!(third.add("a", items(12..15)).await.expect("takes over").added, 3);
    drop((first, second, third));
    assert_eq!(open(&store).await.info("a").expect("there").count, 12);
}

#[tokio::test]
async fn a_process_that_was_overtaken_acknowledges_nothing_and_erases_nothing() {
    // A save covers the entries that the other one has not read, and removes them.
    for saves in [false, true] {
        let store = Arc::new(FaultyStore::new(9));
        let first = open(&store).await;
        first.create(&request("a", Distance::L2)).await.expect("creates");
        first.add("a", items(0..3)).await.expect("adds");
        let second = open(&store).await;
        first.add("a", items(3..6)).await.expect("adds");
        first.add("a", items(6..9)).await.expect("adds");
        first.save_all().await;
        if saves {
            second.save_all().await;
            second.save_all().await;
        }
        let error = second.add("a", items(9..12)).await.expect_err("fenced");
        assert!(matches!(error, Error::Fenced(_)), "{error}");
        second.save_all().await;
        assert_eq!(first.add("a", items(12..15)).await.expect("adds").added, 3);
        first.save_all().await;
        drop((first, second));
        let registry = open(&store).await;
        assert_eq!(registry.info("a").expect("there").count, 12);
        assert!(registry.get("a", "item-9").is_err());
    }
    // So it is where the other one has dropped the index.
    let store = Arc::new(FaultyStore::new(10));
    let first = open(&store).await;
    first.create(&request("a", Distance::L2)).await.expect("creates");
    let second = open(&store).await;
    first.drop_index("a").await.expect("drops");
    assert!(second.add("a", items(0..3)).await.is_err());
    drop((first, second));
    let registry = open(&store).await;
    assert!(registry.list().indexes.is_empty() && registry.quarantined().is_empty());
    assert_eq!(keys(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_process_that_was_overtaken_stops_whatever_its_store_does() {
    // Whichever of its calls fail, it must not get past the other one's entry by voiding it.
    for (seed, faults) in (11..31).zip([200, 500, 700].into_iter().cycle()) {
        let store = Arc::new(FaultyStore::new(seed));
        let first = open(&store).await;
        first.create(&request("a", Distance::L2)).await.expect("creates");
        let second = open(&store).await;
        first.add("a", items(0..3)).await.expect("adds");
        first.save_all().await;
        store.faults.store(faults, Ordering::Relaxed);
        for _ in 0..5 {
            let outcome = second.add("a", items(3..6)).await;
            assert!(outcome.is_err(), "seed {seed}: acknowledged");
            second.save_all().await;
        }
        store.faults.store(0, Ordering::Relaxed);
        assert!(matches!(second.add("a", items(3..6)).await, Err(Error::Fenced(_))));
        second.save_all().await;
        first.add("a", items(6..9)).await.expect("adds");
        drop((first, second));
        let registry = open(&store).await;
        assert_eq!(registry.info("a").expect("there").count, 6);
        assert!(registry.get("a", "item-0").is_ok() && registry.get("a", "item-3").is_err());
    }
}

#[tokio::test]
async fn merges_in_opposite_directions_end() {
    let store = Arc::new(FaultyStore::new(7));
    let registry = Arc::new(open(&store).await);
    for (name, range) in [("a", 0..700), ("b", 350..1_050)] {
        registry.create(&request(name, Distance::L2)).await.expect("creates");
        registry.add(name, items(range)).await.expect("adds");
    }
    let merge = |from: &'static str, to: &str, clear_source| {
        let (registry, dest) = (Arc::clone(&registry), request(to, Distance::L2).name);
        tokio::spawn(async move { registry.merge(from, &MergeRequest { dest, clear_source }).await.expect("merges") })
    };
    let (there, back) = (merge("a", "b", false), merge("b", "a", false));
    let (there, back) = (there.await.expect("ends"), back.await.expect("ends"));
    assert_eq!((there.merged, back.merged), (350, 350));
    assert_eq!(merge("a", "b", true).await.expect("ends").cleared, 1_050);
    assert_eq!(registry.info("a").expect("there").count, 0);
    assert_eq!(registry.info("b").expect("there").count, 1_050);
}

#[tokio::test]
async fn without_a_store_all_is_in_memory() {
    let registry = Registry::open(None, options()).await.expect("opens");
    assert!(registry.ephemeral());
    registry.create(&request("a", Distance::Cosine)).await.expect("creates");
    assert_eq!(registry.add("a", items(0..100)).await.expect("adds").added, 100);
    registry.save_all().await;
    registry.drop_index("a").await.expect("drops");
    assert!(registry.list().indexes.is_empty());
}

#[tokio::test]
async fn waiting_requests_share_one_entry() {
    let store = Arc::new(FaultyStore::new(8));
    let registry = Arc::new(open(&store).await);
    registry.create(&request("a", Distance::L2)).await.expect("creates");
    let adds = (0..50).map(|n| {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move { registry.add("a", items(n..n + 1)).await.expect("adds") })
    });
    for add in adds.collect::<Vec<_>>() {
        assert_eq!(add.await.expect("ends").added, 1);
    }
    let entries = registry.metrics()[0].log_entries;
    assert!(entries < 25, "{entries} entries for 50 requests");
    drop(registry);
    assert_eq!(open(&store).await.info("a").expect("there").count, 50);
}
