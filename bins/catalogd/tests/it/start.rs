//! Start without a store, damage, and what readiness and metrics say of it.

use std::sync::Arc;

use serde_json::json;

use crate::service::{Service, Switch};

fn registration(name: &str) -> serde_json::Value {
    json!({
        "name": name,
        "schema_fingerprint": "s1",
        "schema": [{"name": "a", "type": "BIGINT"}],
        "objects": [{"key": "datasets/x", "size": 1, "rows": 1, "fingerprint": "x"}],
    })
}

#[tokio::test]
async fn it_starts_without_its_store_and_says_what_it_waits_for() {
    let store: Arc<Switch> = Arc::default();
    store.turn(false);
    let service = Service::start(&store).await;
    assert_eq!(service.get("/health").await.status, 200);
    let waiting = service.until("it has tried", "/readyz", |answer| answer.text.contains("storaged: ")).await;
    assert_eq!(waiting.status, 503);
    assert_eq!(waiting.json()["waiting"][0]["what"], "catalog");
    assert!(!waiting.text.contains("10.1.2.3"), "anyone may read it: {}", waiting.text);
    for answer in [
        service.register(&registration("d")).await,
        service.get("/catalog/list").await,
        service.get("/catalog/manifest/d").await,
        service.call("DELETE", "/catalog/manifest/d").await,
    ] {
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
    store.turn(true);
    service.until("it is ready", "/readyz", |answer| answer.status == 200).await;
    assert_eq!(service.register(&registration("d")).await.status, 201);
}

#[tokio::test]
async fn it_reads_on_while_its_store_is_away_and_refuses_to_write() {
    let store: Arc<Switch> = Arc::default();
    let service = Service::ready(&store).await;
    assert_eq!(service.register(&registration("d")).await.status, 201);
    store.turn(false);
    let degraded = service.until("it has noticed", "/readyz", |answer| answer.text.contains("storaged")).await;
    assert_eq!((degraded.status, &degraded.json()["status"]), (200, &json!("degraded")));
    assert_eq!(service.get("/catalog/manifest/d").await.status, 200);
    for name in ["d", "e"] {
        let refused = service.register(&registration(name)).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.headers.contains_key("retry-after"));
        assert!(!refused.text.contains("10.1.2.3"), "{}", refused.text);
    }
    store.turn(true);
    service.until("it is well again", "/readyz", |answer| answer.json()["status"] == "ready").await;
    assert_eq!(service.register(&registration("e")).await.status, 201);
}

#[tokio::test]
async fn a_damaged_manifest_is_named_and_the_rest_serves() {
    let store: Arc<Switch> = Arc::default();
    store.write("_catalog/torn/00000000000000000001.json", "{").await;
    let service = Service::ready(&store).await;
    assert_eq!(service.register(&registration("good")).await.status, 201);
    let report = service.get("/readyz").await.json();
    assert_eq!((&report["status"], &report["degraded"][0]["what"]), (&json!("degraded"), &json!("dataset torn")));
    assert_eq!(service.get("/catalog/manifest/torn").await.status, 500);
    for path in ["/catalog/list", "/catalog/list?full=true"] {
        let list = service.get(path).await.json();
        assert_eq!(list["datasets"].as_array().unwrap().len(), 1);
        // Who decides by what no dataset names must know that one can't tell.
        assert_eq!(list["damaged"], json!(["torn"]));
    }
    let tag = service.get("/catalog/list").await.headers["etag"].clone();
    let metrics = service.get("/metrics").await.text;
    assert!(metrics.contains("lakehouse_catalog_damaged_datasets 1"), "{metrics}");
    assert!(metrics.contains("lakehouse_catalog_datasets 1"), "{metrics}");
    assert!(metrics.contains("lakehouse_catalog_commits_total 1"), "{metrics}");
    assert_eq!(service.call("DELETE", "/catalog/manifest/torn").await.status, 204);
    service.until("it is well again", "/readyz", |answer| answer.json()["status"] == "ready").await;
    let healed = service.get("/catalog/list").await;
    assert!(healed.json().get("damaged").is_none());
    assert_ne!(healed.headers["etag"], tag);
}
