//! A merge loses nothing, whatever stands in the destination and whatever comes between.

use std::sync::{Arc, atomic::Ordering};

use lakehouse_types::{
    ErrorKind, ServiceError as _,
    vector::{DeleteRequest, Distance, MergeRequest, MergeResponse},
};
use lakehouse_vector::Registry;

use crate::{
    add_request,
    faults::FaultyStore,
    model::Stored,
    request,
    scenarios::{open, put_file},
};

fn stored(first: f32, metadata: Option<&str>) -> Stored {
    (vec![first, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], metadata.map(str::to_owned))
}

async fn create(registry: &Registry, name: &str, items: &[(&str, Stored)]) {
    registry.create(&request(name, Distance::L2)).await.expect("creates");
    add(registry, name, items).await;
}

async fn add(registry: &Registry, name: &str, items: &[(&str, Stored)]) {
    let items: Vec<_> = items.iter().map(|(id, stored)| ((*id).to_owned(), stored.clone())).collect();
    if !items.is_empty() {
        registry.add(name, add_request(&items)).await.expect("adds");
    }
}

async fn merge(registry: &Registry, from: &str, to: &str, clear_source: bool) -> MergeResponse {
    let dest = request(to, Distance::L2).name;
    registry.merge(from, &MergeRequest { dest, clear_source }).await.expect("merges")
}

fn there(registry: &Registry, name: &str, id: &str) -> Option<Stored> {
    let item = registry.get(name, id).ok()?;
    Some((item.vector, item.metadata.map(|text| text.get().to_owned())))
}

fn counts(merged: u64, skipped: u64, cleared: u64, kept: u64) -> MergeResponse {
    MergeResponse { merged, skipped, cleared, kept }
}

#[tokio::test]
async fn what_is_something_else_in_the_destination_stays_in_the_source() {
    let store = Arc::new(FaultyStore::new(40));
    let registry = open(&store).await;
    let source = [
        ("new", stored(0.0, Some(r#"{"a":1}"#))),
        ("same", stored(1.0, Some(r#"{"a":1,"b":[1,2]}"#))),
        ("same, written otherwise", stored(1.5, Some(r#"{"a":"é","b":{"c":null,"d":1.50}}"#))),
        ("bare", stored(2.0, None)),
        ("another vector", stored(3.0, None)),
        ("another sign of zero", stored(0.0, None)),
        ("other metadata", stored(4.0, Some(r#"{"a":1}"#))),
        ("another order of elements", stored(4.5, Some("[1,2]"))),
        ("other digits", stored(4.6, Some("[0.1234567890123456789]"))),
        ("metadata here only", stored(5.0, Some(r#"{"a":1}"#))),
        ("metadata there only", stored(6.0, None)),
        ("null is a value", stored(7.0, Some(r#"{"a":null}"#))),
    ];
    let dest = [
        ("same", stored(1.0, Some(r#"{"a":1,"b":[1,2]}"#))),
        ("same, written otherwise", stored(1.5, Some(r#"{ "b": {"d": 1.50, "c": null}, "a": "\u00e9" }"#))),
        ("bare", stored(2.0, None)),
        ("another vector", stored(3.5, None)),
        ("another sign of zero", stored(-0.0, None)),
        ("other metadata", stored(4.0, Some(r#"{"a":2}"#))),
        ("another order of elements", stored(4.5, Some("[2,1]"))),
        ("other digits", stored(4.6, Some("[0.1234567890123456788]"))),
        ("metadata here only", stored(5.0, None)),
        ("metadata there only", stored(6.0, Some(r#"{"a":1}"#))),
        ("null is a value", stored(7.0, Some(r#"{"b":1}"#))),
    ];
    create(&registry, "a", &source).await;
    create(&registry, "b", &dest).await;
    let check = |registry: &Registry| {
        for (id, stored) in &source[4..] {
            assert_eq!(there(registry, "a", id).as_ref(), Some(stored), "{id} is still there");
        }
        for (id, _) in &source[..4] {
            assert_eq!(there(registry, "a", id), None, "{id} has moved");
        }
        for (id, stored) in dest.iter().chain([&source[0]]) {
            assert_eq!(there(registry, "b", id).as_ref(), Some(stored), "{id} is as it was");
        }
    };
    assert_eq!(merge(&registry, "a", "b", false).await, counts(1, 11, 0, 0));
    assert_eq!(merge(&registry, "a", "b", true).await, counts(0, 12, 4, 8));
    check(&registry);
    assert_eq!(merge(&registry, "a", "b", true).await, counts(0, 8, 0, 8));
    drop(registry);
    check(&open(&store).await);
}

#[tokio::test]
async fn indexes_that_do_not_fit_together_are_refused() {
    let store = Arc::new(FaultyStore::new(41));
    let registry = open(&store).await;
    create(&registry, "a", &[("x", stored(1.0, None))]).await;
    registry.create(&request("dot", Distance::Dot)).await.expect("creates");
    let wide = lakehouse_types::vector::CreateIndexRequest { dimension: 9, ..request("wide", Distance::L2) };
    registry.create(&wide).await.expect("creates");
    for (dest, says) in [("dot", "dot"), ("wide", "9"), ("a", "same index")] {
        let dest = request(dest, Distance::L2).name;
        let error = registry.merge("a", &MergeRequest { dest, clear_source: true }).await.expect_err(says);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.detail().contains(says), "{error}");
    }
    assert!(there(&registry, "a", "x").is_some());
}

/// Between the copy and the clearing the process dies, or the store fails; then both sides change.
#[tokio::test]
async fn what_changes_after_the_copy_is_not_cleared() {
    let store = Arc::new(FaultyStore::new(42));
    let registry = open(&store).await;
    let items = ["updated here", "updated there", "deleted there", "untouched"].map(|id| (id, stored(1.0, None)));
    create(&registry, "a", &items).await;
    create(&registry, "b", &[]).await;
    assert_eq!(merge(&registry, "a", "b", false).await, counts(4, 0, 0, 0));
    drop(registry);
    let registry = open(&store).await;
    add(&registry, "a", &[("updated here", stored(2.0, None))]).await;
    add(&registry, "b", &[("updated there", stored(3.0, None))]).await;
    registry.delete("b", DeleteRequest { ids: vec!["deleted there".into()] }).await.expect("deletes");
    assert_eq!(merge(&registry, "a", "b", true).await, counts(1, 3, 2, 2));
    assert_eq!(there(&registry, "a", "updated here"), Some(stored(2.0, None)));
    assert_eq!(there(&registry, "a", "updated there"), Some(stored(1.0, None)));
    assert_eq!(there(&registry, "b", "deleted there"), Some(stored(1.0, None)));
    assert_eq!(there(&registry, "a", "untouched"), None);
}

/// The last entry of the process before may be found only when the source is cleared.
#[tokio::test]
async fn an_update_that_the_copy_did_not_see_is_not_cleared() {
    let store = Arc::new(FaultyStore::new(43));
    let first = open(&store).await;
    create(&first, "a", &[("x", stored(1.0, None)), ("y", stored(2.0, None))]).await;
    create(&first, "b", &[]).await;
    let second = open(&store).await;
    add(&first, "a", &[("x", stored(9.0, Some(r#"{"acknowledged":true}"#)))]).await;
    assert_eq!(merge(&second, "a", "b", true).await, counts(2, 0, 1, 1));
    for registry in [second, open(&store).await] {
        assert_eq!(there(&registry, "a", "x"), Some(stored(9.0, Some(r#"{"acknowledged":true}"#))));
        assert_eq!(there(&registry, "b", "x"), Some(stored(1.0, None)));
        assert_eq!(there(&registry, "a", "y"), None);
    }
}

#[tokio::test]
async fn writers_of_both_sides_lose_nothing_to_a_merge() {
    const IDS: usize = 600;
    let store = Arc::new(FaultyStore::new(44));
    let registry = Arc::new(open(&store).await);
    let id = |n: usize| format!("x{n}");
    let items: Vec<_> = (0..IDS).map(|n| (id(n), stored(n as f32, None))).collect();
    for name in ["a", "b"] {
        registry.create(&request(name, Distance::L2)).await.expect("creates");
    }
    registry.add("a", add_request(&items)).await.expect("adds");
    let writer = {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            for n in (0..IDS).step_by(3) {
                registry.add("a", add_request(&[(id(n), stored(n as f32 + 0.5, None))])).await.expect("adds");
            }
        })
    };
    while !writer.is_finished() {
        merge(&registry, "a", "b", true).await;
        tokio::task::yield_now().await;
    }
    writer.await.expect("ends");
    for n in 0..IDS {
        let versions: Vec<_> = ["a", "b"].iter().filter_map(|name| there(&registry, name, &id(n))).collect();
        let last = stored(n as f32 + if n % 3 == 0 { 0.5 } else { 0.0 }, None);
        assert!(versions.contains(&last), "{} has lost its last version: {versions:?}", id(n));
    }
    assert_eq!(store.faults.load(Ordering::Relaxed), 0);
}

/// `{}` and `null` of an old file are values: they move, and are the same where they have arrived.
#[tokio::test]
async fn metadata_of_old_files_move_as_they_are() {
    let store = Arc::new(FaultyStore::new(45));
    put_file(&store, "_vectors/old.lhv1", include_bytes!("../fixtures/go/v2-24.lhv1")).await;
    let registry = open(&store).await;
    registry.create(&request("new", Distance::Cosine)).await.expect("creates");
    let ids = ["w-13", "w-16", "w-22"];
    let before = ids.map(|id| there(&registry, "old", id));
    assert_eq!(merge(&registry, "old", "new", false).await, counts(23, 0, 0, 0));
    assert_eq!(merge(&registry, "old", "new", true).await, counts(0, 23, 23, 0));
    drop(registry);
    let registry = open(&store).await;
    assert_eq!(ids.map(|id| there(&registry, "new", id)), before);
    assert_eq!(registry.info("old").expect("there").count, 0);
}
