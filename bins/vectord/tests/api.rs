//! vectord's calls against its router, over the memory backend and without a store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use axum::{Router, body::Body};
use http::Request;
use http_body_util::BodyExt as _;
use lakehouse_common::{App, Shutdown, config::Config};
use lakehouse_objstore::{Memory, ObjectStore, PutOptions, body};
use lakehouse_types::ObjectKey;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

async fn start(store: Option<Arc<dyn ObjectStore>>) -> (Router, Shutdown) {
    let config = Config::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut app = App::new("vectord", &config, &listener).unwrap();
    let shutdown = Shutdown::new();
    let state = vectord::start(&mut app, store, None, &config.vectord, &shutdown);
    let router = app.router(vectord::router(state));
    while call(&router, "GET", "/readyz", None).await.0 != 200 {
        tokio::task::yield_now().await;
    }
    (router, shutdown)
}

async fn call(app: &Router, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn post(app: &Router, path: &str, body: Value) -> (u16, Value) {
    call(app, "POST", &format!("/vectors/index{path}"), Some(body)).await
}

#[tokio::test]
async fn the_calls_answer_as_the_contract_says() {
    let (app, _shutdown) = start(None).await;
    assert_eq!(call(&app, "GET", "/health", None).await.1["mode"], "ephemeral");
    assert_eq!(call(&app, "GET", "/vectors/index", None).await, (200, json!({"indexes": []})));
    let create = json!({"name": "a", "dimension": 2, "distance": "l2"});
    assert_eq!(post(&app, "", create.clone()).await.0, 201);
    assert_eq!(post(&app, "", create).await.0, 409);
    assert_eq!(post(&app, "", json!({"name": "b/c", "dimension": 2, "distance": "l2"})).await.0, 400);
    let items = json!({"items": [
        {"id": "x", "vector": [0, 0], "metadata": {"n": 1}},
        {"id": "y", "vector": [3, 4]},
        {"id": "x", "vector": [1, 0]},
    ]});
    let (status, answer) = post(&app, "/a/add", items).await;
    assert_eq!((status, answer), (200, json!({"added": 2, "updated": 0, "duplicates": ["x"]})));
    let (_, found) = post(&app, "/a/search", json!({"vector": [1, 0], "k": 5})).await;
    let ids: Vec<&str> = found["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["x", "y"]);
    assert_eq!(found["results"][0]["distance"], 0.0);
    for (path, body, status) in [
        ("/a/add", json!({"items": []}), 400),
        ("/a/add", json!({"items": [{"id": "z", "vector": [1]}]}), 400),
        ("/a/search", json!({"vector": [1, 2, 3], "k": 1}), 400),
        ("/a/search", json!({"k": 1}), 400),
        ("/a/search", json!({"vector": [1, 2], "text": "x", "k": 1}), 400),
        ("/a/search", json!({"text": "x", "k": 1}), 503),
        ("/none/search", json!({"vector": [1, 2], "k": 1}), 404),
        ("/none/search", json!({"text": "x", "k": 1}), 404),
        ("/a/merge", json!({"dest": "a"}), 400),
        ("/a/merge", json!({"dest": "none"}), 404),
        ("/a/delete", json!({"id": ["x"]}), 400),
    ] {
        assert_eq!(post(&app, path, body.clone()).await.0, status, "{path} {body}");
    }
    // What would take a body, an answer or a memory without measure.
    let long = json!({"vector": [1, 2], "k": 1, "filter": {"in": {"a": vec![0; 2 << 20]}}});
    assert_eq!(post(&app, "/a/search", long).await.0, 413);
    assert_eq!(post(&app, "", json!({"name": "wide", "dimension": 4096, "distance": "l2"})).await.0, 201);
    let wide = |k: u32| json!({"vector": vec![0; 4096], "k": k, "with_vectors": true});
    assert_eq!(post(&app, "/wide/search", wide(1024)).await.0, 200);
    assert_eq!(post(&app, "/wide/search", wide(1025)).await.0, 400);
    assert_eq!(post(&app, "/a/delete", json!({"ids": ["x", "q"]})).await, (200, json!({"deleted": 1, "missing": 1})));
    assert_eq!(call(&app, "GET", "/vectors/index/a/items/x", None).await.0, 404);
    assert_eq!(call(&app, "GET", "/vectors/index/a/items/y", None).await.1["vector"], json!([3.0, 4.0]));
    assert_eq!(call(&app, "DELETE", "/vectors/index/a", None).await.0, 204);
    assert_eq!(call(&app, "DELETE", "/vectors/index/a", None).await.0, 404);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let store: Arc<dyn ObjectStore> = Arc::new(Memory::new(1 << 30));
    let (app, shutdown) = start(Some(Arc::clone(&store))).await;
    post(&app, "", json!({"name": "kept", "dimension": 2, "distance": "dot"})).await;
    assert_eq!(post(&app, "/kept/add", json!({"items": [{"id": "x", "vector": [1, 2]}]})).await.0, 200);
    shutdown.trigger();
    drop(app);

    let bad = ObjectKey::new("_vectors/bad.lhv1").unwrap();
    store.put(&bad, body("LHV1 and then nothing"), PutOptions::default()).await.unwrap();
    let (app, _shutdown) = start(Some(store)).await;
    assert_eq!(call(&app, "GET", "/vectors/index/kept/items/x", None).await.1["vector"], json!([1.0, 2.0]));
    let (status, ready) = call(&app, "GET", "/readyz", None).await;
    assert_eq!((status, &ready["status"]), (200, &json!("degraded")));
    assert_eq!(ready["degraded"][0]["what"], "index bad");
    assert_eq!(post(&app, "/bad/search", json!({"vector": [1, 2], "k": 1})).await.0, 503);
    assert_eq!(call(&app, "DELETE", "/vectors/index/bad", None).await.0, 204);
}

#[tokio::test]
async fn bodies_of_adds_have_only_so_much_room_together() {
    let (app, _shutdown) = start(None).await;
    assert_eq!(post(&app, "", json!({"name": "a", "dimension": 2, "distance": "l2"})).await.0, 201);
    let add = || {
        let request = Request::post("/vectors/index/a/add").header("content-type", "application/json");
        request.body(Body::from_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>())).unwrap()
    };
    // Of unknown size, so each may grow to the cap.
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut answer = Box::pin(app.clone().oneshot(add()));
        assert!(futures::poll!(&mut answer).is_pending());
        waiting.push(answer);
    }
    let response = app.clone().oneshot(add()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    drop(waiting);
    let items = json!({"items": [{"id": "x", "vector": [0, 0]}]});
    assert_eq!(post(&app, "/a/add", items).await.0, 200);
}

/// The ids that somebody on the way may take for something else.
fn odd_ids() -> Vec<String> {
    let odd = [
        ".",
        "..",
        "...",
        "a/../b",
        "a/./b",
        "../x",
        "x/..",
        "a//b",
        "/",
        "//",
        "a/",
        "/a",
        "%2e",
        "%2e%2e",
        "%2F",
        "%",
        "%zz",
        "a?b#c",
        "?",
        "#",
        "a+b",
        "a b",
        " ",
        " a ",
        "é",
        "日本語 \u{1f600}",
        "a&id=b",
        "a=b",
        "\"",
        "\\",
        "'",
        ";",
        "\u{0}",
        "\n",
        "\r\n",
        "index",
        "items",
    ];
    odd.iter().map(|id| (*id).to_owned()).chain(["x".repeat(512), "é".repeat(256)]).collect()
}

#[tokio::test]
async fn whatever_id_is_acknowledged_can_be_asked_for() {
    let (app, _shutdown) = start(None).await;
    assert_eq!(post(&app, "", json!({"name": "a", "dimension": 1, "distance": "l2"})).await.0, 201);
    let ids = odd_ids();
    let items: Vec<Value> = (0..).zip(&ids).map(|(n, id)| json!({"id": id, "vector": [n]})).collect();
    assert_eq!(post(&app, "/a/add", json!({"items": items})).await.0, 200);
    for (n, id) in (0..).zip(&ids) {
        let escaped = lakehouse_types::escape_segment(id);
        let path = format!("/vectors/index/a/items?id={escaped}");
        let (status, item) = call(&app, "GET", &path, None).await;
        assert_eq!((status, item), (200, json!({"id": id, "vector": [f64::from(n)]})), "{id:?}");
        // The router resolves nothing; what comes in one segment is the id.
        assert_eq!(call(&app, "GET", &format!("/vectors/index/a/items/{escaped}"), None).await.0, 200, "{id:?}");
    }
    for (query, status) in [("?id=none", 404), ("?id=", 404), ("", 400), ("?ids=a", 400), ("?id=.&k=1", 400)] {
        let path = format!("/vectors/index/a/items{query}");
        assert_eq!(call(&app, "GET", &path, None).await.0, status, "{query}");
    }
    assert_eq!(call(&app, "GET", "/vectors/index/none/items?id=.", None).await.0, 404);
    assert_eq!(post(&app, "/a/delete", json!({"ids": ids})).await.1["deleted"], json!(ids.len()));
}

#[tokio::test]
async fn metadata_are_any_json_value() {
    let (app, _shutdown) = start(None).await;
    assert_eq!(post(&app, "", json!({"name": "a", "dimension": 1, "distance": "l2"})).await.0, 201);
    let get = || call(&app, "GET", "/vectors/index/a/items/x", None);
    let kinds = [json!(["a", 1, null, {}]), json!("text"), json!(""), json!(1.5), json!(0), json!(true), json!(false)];
    for kind in kinds.into_iter().chain([json!([]), json!({"a": null, "b": {"c": [null]}})]) {
        let item = json!({"items": [{"id": "x", "vector": [1], "metadata": kind}]});
        assert_eq!(post(&app, "/a/add", item).await.0, 200, "{kind}");
        assert_eq!(get().await.1["metadata"], kind);
        let search = |filter| post(&app, "/a/search", json!({"vector": [1], "k": 1, "filter": filter}));
        let (_, found) = search(json!({"exists": "b"})).await;
        assert_eq!(found["results"].as_array().unwrap().len(), usize::from(kind.is_object()), "{kind}");
        let (_, found) = search(json!({"not": {"exists": "z"}})).await;
        assert_eq!(found["results"][0]["metadata"], kind);
        // Null and nothing leave them alone.
        for same in [json!({"id": "x", "vector": [1], "metadata": null}), json!({"id": "x", "vector": [1]})] {
            assert_eq!(post(&app, "/a/add", json!({"items": [same]})).await.0, 200);
            assert_eq!(get().await.1["metadata"], kind);
        }
    }
    let clear = json!({"items": [{"id": "x", "vector": [1], "metadata": {}}]});
    assert_eq!(post(&app, "/a/add", clear).await.0, 200);
    assert_eq!(get().await.1, json!({"id": "x", "vector": [1.0]}));
}

#[tokio::test]
async fn a_merge_tells_what_it_kept() {
    let (app, _shutdown) = start(None).await;
    for (name, dimension) in [("a", 1), ("b", 1), ("wide", 2)] {
        let create = json!({"name": name, "dimension": dimension, "distance": "l2"});
        assert_eq!(post(&app, "", create).await.0, 201);
    }
    let item = |id: &str, number: u32| json!({"id": id, "vector": [number]});
    let add = json!({"items": [item("new", 1), item("same", 2), item("other", 3)]});
    assert_eq!(post(&app, "/a/add", add).await.0, 200);
    assert_eq!(post(&app, "/b/add", json!({"items": [item("same", 2), item("other", 4)]})).await.0, 200);
    assert_eq!(post(&app, "/a/merge", json!({"dest": "wide", "clear_source": true})).await.0, 400);
    let (status, answer) = post(&app, "/a/merge", json!({"dest": "b", "clear_source": true})).await;
    assert_eq!((status, answer), (200, json!({"merged": 1, "skipped": 2, "cleared": 2, "kept": 1})));
    assert_eq!(call(&app, "GET", "/vectors/index/a/items/other", None).await.1["vector"], json!([3.0]));
    assert_eq!(call(&app, "GET", "/vectors/index/b/items/other", None).await.1["vector"], json!([4.0]));
}

#[tokio::test]
async fn the_metrics_tell_of_maintenance() {
    let (app, _shutdown) = start(None).await;
    assert_eq!(post(&app, "", json!({"name": "a", "dimension": 1, "distance": "l2"})).await.0, 201);
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let body = app.clone().oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    for line in [
        "vector_maintenance_stalled{index=\"a\"} 0",
        "vector_maintenance_panics_total{index=\"a\"} 0",
        "vector_refused_adds_total{index=\"a\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
