//! What the catalog makes of a store that is down, empty, damaged or edited behind its back.

use std::sync::Arc;

use crate::support::{Fault, Flaky, append, ids, name, open, replace, request, until};
use lakehouse_catalog::{Catalog, Error, Options};
use lakehouse_objstore::ObjectStore;
use lakehouse_types::{ErrorKind, ServiceError as _, catalog::Mode};

const V1: &[u8] = include_bytes!("../fixtures/record-v1.json");

#[tokio::test]
async fn nothing_is_answered_before_it_is_loaded() {
    let store = Flaky::new();
    store.go_down();
    let catalog = Catalog::new(Arc::clone(&store) as Arc<dyn ObjectStore>, &Options::default());
    assert_eq!(catalog.load().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let refusals = [
        catalog.register(append("d", "x")).await.unwrap_err(),
        catalog.delete(&name("d")).await.unwrap_err(),
        catalog.manifest(&name("d")).unwrap_err(),
        catalog.snapshot().unwrap_err(),
        catalog.refresh().await.unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error, Error::Loading));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some());
    }
    store.behave();
    catalog.load().await.unwrap();
    assert!(catalog.snapshot().unwrap().datasets.is_empty());
    catalog.register(append("d", "x")).await.unwrap();
}

#[tokio::test]
async fn a_store_that_went_down_is_said_so_and_nothing_changes() {
    let store = Flaky::new();
    let catalog = open(&store).await;
    catalog.register(append("d", "x")).await.unwrap();
    let tag = catalog.snapshot().unwrap().tag.clone();
    store.go_down();
    // Also the repetition: without the store, nobody knows whether it is still true.
    for id in ["x", "y"] {
        let error = catalog.register(append("d", id)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some());
    }
    assert_eq!(catalog.delete(&name("d")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(catalog.refresh().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(catalog.snapshot().unwrap().tag, tag);
    assert_eq!(ids(&catalog.manifest(&name("D")).unwrap()).len(), 1, "reads go on, whatever the case");
    assert_eq!(catalog.stats().unconfirmed, 2, "the append of `y` and the deletion; the rest wrote nothing");
}

#[tokio::test]
async fn one_lost_answer_is_cleared_up_and_nobody_notices() {
    for fault in [Fault::Before, Fault::After, Fault::Echo] {
        let store = Flaky::new();
        let catalog = open(&store).await;
        for (round, id) in (1..).zip(["x", "y"]) {
            store.fault_next_put(fault);
            let answer = catalog.register(append("d", id)).await.unwrap();
            assert!(!answer.existing, "{fault:?}: it was this call that made the change");
            assert_eq!(answer.manifest.version, round, "{fault:?}");
        }
        let stats = catalog.stats();
        assert_eq!((stats.commits, stats.conflicts, stats.unconfirmed), (2, 0, 0), "{fault:?}");
        store.fault_next_put(fault);
        catalog.delete(&name("d")).await.unwrap();
        assert!(open(&store).await.snapshot().unwrap().datasets.is_empty());
    }
}

#[tokio::test]
async fn a_damaged_manifest_is_named_and_the_others_serve() {
    let store = Flaky::new();
    let catalog = open(&store).await;
    for dataset in ["good", "torn", "newer", "moved", "large"] {
        catalog.register(append(dataset, "x")).await.unwrap();
    }
    store.write("_catalog/torn/00000000000000000002.json", &b"{\"schema_version\": 1, "[..]).await;
    store.write("_catalog/newer/00000000000000000002.json", &b"{\"schema_version\": 9}"[..]).await;
    store.write("_catalog/moved/00000000000000000003.json", V1).await;
    store.write("_catalog/large/00000000000000000002.json", vec![b' '; 2000]).await;
    store.write("_catalog/readme.txt", &b"not a manifest"[..]).await;
    let options = Options { max_manifest_bytes: 1500, ..Options::default() };
    let again = Catalog::new(Arc::clone(&store) as Arc<dyn ObjectStore>, &options);
    again.load().await.unwrap();
    catalog.refresh().await.unwrap();
    for catalog in [&again, &catalog] {
        let damaged = catalog.damaged();
        let named: Vec<&str> = damaged.iter().map(|damage| damage.dataset.as_str()).collect();
        assert_eq!(named, ["large", "moved", "newer", "torn"]);
        assert!(damaged[2].reason.contains("schema version is 9"), "{:?}", damaged[2]);
        assert_eq!(catalog.snapshot().unwrap().datasets.len(), 1);
        assert_eq!((catalog.stats().datasets, catalog.stats().damaged), (1, 4));
        catalog.manifest(&name("good")).unwrap();
    }
    for error in [again.manifest(&name("Torn")).unwrap_err(), again.register(append("torn", "y")).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.detail().contains("`"), "the caller learns which: {}", error.detail());
        assert!(!error.detail().contains("EOF"), "but not how it is stored: {}", error.detail());
    }
    // The way out: delete it, and begin anew.
    again.delete(&name("torn")).await.unwrap();
    assert_eq!(again.register(append("torn", "y")).await.unwrap().manifest.version, 4);
    assert_eq!(again.damaged().len(), 3);
}

#[tokio::test]
async fn after_the_last_version_there_is_none() {
    let store = Flaky::new();
    store.write(&format!("_catalog/d/{}.json", u64::MAX), &b"{}"[..]).await;
    let catalog = open(&store).await;
    assert!(catalog.delete(&name("d")).await.unwrap_err().to_string().contains("ran out"));
    assert_eq!(store.keys("_catalog/").await.len(), 1, "nothing was written");
}

#[tokio::test]
async fn a_repaired_manifest_comes_back_by_refresh() {
    let store = Flaky::new();
    let key = "_catalog/o%27brien%27s%20data/00000000000000000003.json";
    store.write(key, &b"{}"[..]).await;
    let catalog = open(&store).await;
    let tag = catalog.snapshot().unwrap().tag.clone();
    assert_eq!(catalog.damaged().len(), 1);
    store.write(key, V1).await;
    assert!(catalog.refresh().await.unwrap());
    assert!(catalog.damaged().is_empty());
    assert_ne!(catalog.snapshot().unwrap().tag, tag);
    assert_eq!(catalog.manifest(&name("O'Brien's data")).unwrap().version, 3);
}

#[tokio::test]
async fn the_tag_changes_with_every_change_and_no_other() {
    let store = Flaky::new();
    let (here, there) = (open(&store).await, open(&store).await);
    let tag = || here.snapshot().unwrap().tag.clone();
    assert_ne!(tag(), there.snapshot().unwrap().tag, "no two catalogs share a tag");
    let mut last = tag();
    let mut changed = || std::mem::replace(&mut last, tag()) != tag();
    here.register(append("d", "x")).await.unwrap();
    assert!(changed());
    here.register(append("d", "x")).await.unwrap();
    assert!(!changed(), "the same again");
    here.register(request("d", "VARCHAR", Mode::Append, &["x"])).await.unwrap_err();
    assert!(!changed(), "a refusal");
    there.register(append("d", "y")).await.unwrap();
    assert!(!changed(), "not known here yet");
    here.refresh().await.unwrap();
    assert!(changed(), "brought by the refresh");
    here.refresh().await.unwrap();
    assert!(!changed(), "nothing new");
    here.delete(&name("d")).await.unwrap();
    assert!(changed());
}

#[tokio::test]
async fn a_version_number_never_comes_back() {
    let store = Flaky::new();
    let catalog = open(&store).await;
    let mut last = 0;
    for round in 0..5 {
        let manifest = catalog.register(replace("d", &format!("x{round}"))).await.unwrap().manifest;
        assert!(manifest.version > last);
        assert_eq!(manifest.created_ms, manifest.updated_ms, "it was deleted in between");
        last = manifest.version;
        catalog.delete(&name("D")).await.unwrap();
        assert!(matches!(catalog.delete(&name("d")).await, Err(Error::NotFound(_))));
    }
    let again = open(&store).await;
    assert_eq!(again.register(replace("D", "x")).await.unwrap().manifest.version, last + 2, "in another case now");
    assert!(matches!(again.register(replace("d", "x")).await, Err(Error::CaseConflict { .. })));
}

#[tokio::test]
async fn a_store_that_was_emptied_or_set_back_is_believed() {
    let store = Flaky::new();
    let catalog = open(&store).await;
    for id in ["x", "y"] {
        catalog.register(append("d", id)).await.unwrap();
        catalog.register(append("e", id)).await.unwrap();
    }
    store.erase("_catalog/d/").await;
    store.erase("_catalog/e/00000000000000000002").await;
    assert!(catalog.refresh().await.unwrap());
    assert!(matches!(catalog.manifest(&name("d")), Err(Error::NotFound(_))));
    assert_eq!(catalog.manifest(&name("e")).unwrap().version, 1);
    // And without a refresh: the first change finds out.
    store.erase("_catalog/e/").await;
    assert_eq!(catalog.register(append("e", "z")).await.unwrap().manifest.version, 1);
}

#[tokio::test]
async fn a_manifest_that_grows_too_large_is_refused() {
    let store = Flaky::new();
    let options = Options { max_manifest_bytes: 1000, ..Options::default() };
    let catalog = Catalog::new(Arc::clone(&store) as Arc<dyn ObjectStore>, &options);
    catalog.load().await.unwrap();
    let mut stored = 0;
    let error = loop {
        match catalog.register(append("d", &format!("x{stored}"))).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(ids(&catalog.manifest(&name("d")).unwrap()).len(), stored);
    assert!(stored > 1);
}

#[tokio::test]
async fn old_versions_are_pruned_and_the_newest_ones_kept() {
    let store = Flaky::new();
    let catalog = open(&store).await;
    for round in 0..20 {
        catalog.register(replace("d", &format!("x{round}"))).await.unwrap();
    }
    let expected: Vec<String> = (18..=20).map(|version| format!("_catalog/d/{version:020}.json")).collect();
    until("three versions are left", async || store.keys("_catalog/d/").await == expected).await;
}
