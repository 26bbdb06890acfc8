//! What goes on where the work behind an index panics.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use lakehouse_types::{
    ErrorKind, ServiceError as _,
    vector::{AddItem, AddRequest, DeleteRequest},
};

use super::{Options, Registry};
use crate::{Error, Tuning};

const WAIT: Duration = Duration::from_millis(300);

fn options() -> Options {
    Options {
        tuning: Tuning { graph_from: 20, ..Tuning::default() },
        threads: 1,
        max_backlog: 30,
        backlog_wait: WAIT,
        ..Options::default()
    }
}

fn items(range: std::ops::Range<usize>) -> AddRequest {
    let item = |n: usize| AddItem { id: format!("x{n}"), vector: vec![n as f32, 1.0], metadata: None };
    AddRequest { items: range.map(item).collect() }
}

async fn registry(panics: u32) -> Registry {
    let registry = Registry::open(None, options()).await.expect("opens");
    for name in ["a", "other"] {
        let request = format!(r#"{{"name": "{name}", "dimension": 2, "distance": "l2"}}"#);
        registry.create(&serde_json::from_str(&request).expect("a request")).await.expect("creates");
    }
    let index = &registry.collection("a").expect("there").core.index;
    index.panics.store(panics, Ordering::Relaxed);
    registry
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn metrics(registry: &Registry) -> crate::IndexMetrics {
    registry.metrics().into_iter().find(|metrics| metrics.name == "a").expect("there")
}

#[tokio::test]
async fn a_panic_in_linking_refuses_adds_and_nothing_else() {
    let registry = registry(u32::MAX).await;
    registry.add("a", items(0..100)).await.expect("the first adds find no backlog");
    until("it panics", || metrics(&registry).maintenance_panics > 0).await;
    let started = Instant::now();
    let adds = (0..4).map(|n| registry.add("a", items(200 + n..201 + n)));
    for outcome in futures::future::join_all(adds).await {
        let error = outcome.expect_err("behind");
        assert!(matches!(error, Error::Behind(_)), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.retry_after().is_some() && error.detail().contains("`a`"), "{error}");
    }
    // Together, and not one after the other.
    assert!(started.elapsed() >= WAIT && started.elapsed() < 20 * WAIT, "{:?}", started.elapsed());
    let now = metrics(&registry);
    assert!(now.maintenance_stalled && now.refused_adds == 4, "{now:?}");

    // Nothing was added; all that was there is found, and can be removed; other indexes go on.
    assert!(registry.get("a", "x200").is_err());
    for n in 0..100 {
        let search = format!(r#"{{"vector": [{n}, 1], "k": 1}}"#);
        let found = registry.search("a", serde_json::from_str(&search).expect("a search")).await.expect("searches");
        assert_eq!(found.results[0].id, format!("x{n}"));
    }
    let ids = (0..5).map(|n| format!("x{n}")).collect();
    assert_eq!(registry.delete("a", DeleteRequest { ids }).await.expect("deletes").deleted, 5);
    registry.add("other", items(0..100)).await.expect("adds");
    until("others are linked", || registry.info("other").expect("there").indexed == 100).await;
    registry.drop_index("a").await.expect("drops");
}

#[tokio::test]
async fn linking_goes_on_after_a_panic_without_any_further_call() {
    let registry = registry(2).await;
    registry.add("a", items(0..100)).await.expect("adds");
    until("it recovers", || registry.info("a").expect("there").indexed == 100).await;
    let now = metrics(&registry);
    assert_eq!((now.maintenance_panics, now.maintenance_stalled, now.refused_adds), (2, false, 0));
    registry.add("a", items(100..200)).await.expect("adds");
    for n in 0..200 {
        let search = format!(r#"{{"vector": [{n}, 1], "k": 3}}"#);
        let found = registry.search("a", serde_json::from_str(&search).expect("a search")).await.expect("searches");
        let mut ids: Vec<_> = found.results.iter().map(|hit| hit.id.as_str()).collect();
        assert_eq!(ids[0], format!("x{n}"));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3, "nothing is found twice");
    }
}

#[tokio::test]
async fn a_change_that_takes_away_does_not_wait_for_one_that_adds() {
    let registry = registry(u32::MAX).await;
    registry.add("a", items(0..100)).await.expect("adds");
    until("it panics", || metrics(&registry).maintenance_panics > 0).await;
    let delete = registry.delete("a", DeleteRequest { ids: vec!["x1".into()] });
    let (added, deleted) = futures::join!(registry.add("a", items(200..201)), delete);
    assert!(matches!(added, Err(Error::Behind(_))));
    assert_eq!(deleted.expect("deletes").deleted, 1);
}
