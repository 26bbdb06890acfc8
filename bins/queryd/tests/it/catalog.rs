//! queryd over a catalogd and a storaged that are stubs: what it asks of them, and what it says
//! when they are not there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, StatusCode, header};
use lakehouse_client::{CatalogClient, ClientOptions};
use lakehouse_common::{
    Shutdown,
    config::{Config, Sources},
};
use lakehouse_objstore::{GetOptions, ObjectStore as _};
use lakehouse_query::Catalog as _;
use lakehouse_types::{ObjectKey, catalog::ListResponse};
use queryd::RemoteCatalog;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
};

use crate::{lake::Lake, service::client};

/// Both services in one.
struct Stub {
    lake: Lake,
    /// Lists that were sent whole, and those that were "unchanged".
    full: AtomicUsize,
    unchanged: AtomicUsize,
    /// While `held`, each list waits for a permit.
    hold: Semaphore,
    held: AtomicBool,
}

impl Default for Stub {
    fn default() -> Self {
        let (full, unchanged) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { lake: Lake::default(), full, unchanged, hold: Semaphore::new(0), held: AtomicBool::new(false) }
    }
}

async fn list(State(stub): State<Arc<Stub>>, headers: HeaderMap) -> Response {
    if stub.held.load(Ordering::SeqCst) {
        stub.hold.acquire().await.unwrap().forget();
    }
    let datasets = stub.lake.manifests();
    let tag = format!(
        "\"{:x}\"",
        datasets.iter().map(|manifest| manifest.bytes + manifest.objects.len() as u64).sum::<u64>()
    );
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == &tag) {
        stub.unchanged.fetch_add(1, Ordering::SeqCst);
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    stub.full.fetch_add(1, Ordering::SeqCst);
    ([(header::ETAG, tag)], axum::Json(ListResponse { datasets, damaged: vec!["torn".to_owned()] })).into_response()
}

async fn object(State(stub): State<Arc<Stub>>, Path(key): Path<String>) -> Response {
    let got = stub.lake.store.get(&ObjectKey::new(key).unwrap(), GetOptions::default()).await.unwrap();
    let head = [
        (header::ETAG, format!("\"{}\"", got.meta.etag)),
        (header::CONTENT_LENGTH, got.meta.size.to_string()),
        (header::LAST_MODIFIED, "Wed, 31 Jan 2024 00:00:00 GMT".to_owned()),
    ];
    (head, Body::from_stream(got.body)).into_response()
}

async fn serve(stub: Arc<Stub>) -> String {
    let routes =
        Router::new().route("/catalog/list", get(list)).route("/storage/objects/{*key}", get(object)).with_state(stub);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

fn remote(url: &str) -> RemoteCatalog {
    let options = ClientOptions { retries: 0, ..ClientOptions::default() };
    RemoteCatalog::new(CatalogClient::new(url, options).unwrap())
}

#[tokio::test]
async fn an_unchanged_catalog_is_not_read_again() {
    let stub = Arc::new(Stub::default());
    stub.lake.put("a", 0, 1).await;
    let catalog = remote(&serve(Arc::clone(&stub)).await);
    let first = catalog.snapshot().await.unwrap();
    for _ in 0..5 {
        assert!(Arc::ptr_eq(&first, &catalog.snapshot().await.unwrap()));
    }
    assert_eq!((stub.full.load(Ordering::SeqCst), stub.unchanged.load(Ordering::SeqCst)), (1, 5));
    stub.lake.put("b", 0, 500).await;
    let second = catalog.snapshot().await.unwrap();
    assert!(second.get("b").is_some() && first.get("b").is_none());
    assert!(second.is_damaged("Torn") && !second.is_damaged("b"));
    assert!(Arc::ptr_eq(first.get("a").unwrap(), second.get("a").unwrap()));
}

/// A look that is under way when a query comes may have missed what its caller just wrote; one
/// that is not sent yet serves all who wait for it.
#[tokio::test]
async fn looks_are_shared_but_never_with_an_older_one() {
    let stub = Arc::new(Stub::default());
    stub.held.store(true, Ordering::SeqCst);
    let catalog = Arc::new(remote(&serve(Arc::clone(&stub)).await));
    let spawn = || {
        let catalog = Arc::clone(&catalog);
        tokio::spawn(async move { catalog.snapshot().await.unwrap() })
    };
    let early = spawn();
    // The first look is at the stub, and held there; it will answer with what is there then.
    let mut late = Vec::new();
    for _ in 0..20 {
        tokio::task::yield_now().await;
        late.push(spawn());
    }
    tokio::task::yield_now().await;
    stub.hold.add_permits(1);
    early.await.unwrap();
    stub.lake.put("new", 0, 7).await;
    stub.hold.add_permits(100);
    for look in late {
        assert!(look.await.unwrap().get("new").is_some());
    }
    let looks = stub.full.load(Ordering::SeqCst) + stub.unchanged.load(Ordering::SeqCst);
    assert!(looks <= 3, "{looks} looks for 21 queries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_waits_for_catalogd_and_then_serves_what_it_has() {
    let directory = TempDir::new().unwrap();
    let stub = Arc::new(Stub::default());
    stub.lake.put("zipcodes", 500, 3).await;
    stub.held.store(true, Ordering::SeqCst);
    let upstream = serve(Arc::clone(&stub)).await;
    let path = |name: &str| directory.path().join(name).display().to_string();
    let flags = [
        ("queryd.catalogd_url", upstream.clone()),
        ("queryd.storaged_url", upstream),
        ("queryd.cache_dir", path("cache")),
        ("queryd.spill_dir", path("spill")),
        // The test's own program is no worker.
        ("queryd.worker_processes", "false".to_owned()),
    ];
    let flags = flags.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = Shutdown::new();
    let service = tokio::spawn(queryd::run(Arc::new(config), listener, shutdown.clone()));
    let client = client();
    let get = async |path: &str| {
        let response = client.get(format!("{url}{path}")).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, body) = get("/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["waiting"][0]["what"]), (503, &json!("catalogd")));
    assert_eq!(serde_json::from_str::<Value>(&get("/health").await.1).unwrap()["sandbox"], "none");
    stub.held.store(false, Ordering::SeqCst);
    stub.hold.add_permits(100);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while get("/readyz").await.0 != 200 {
        assert!(tokio::time::Instant::now() < deadline, "not ready");
    }
    let sql = async |sql: &str| {
        let request = client.post(format!("{url}/sql")).header("content-type", "application/json");
        let response = request.body(json!({ "sql": sql }).to_string()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, body) = sql("SELECT max(id) FROM zipcodes").await;
    assert_eq!((status, &serde_json::from_str::<Value>(&body).unwrap()["rows"]), (200, &json!([[502]])), "{body}");
    // What was just registered is there for the next query.
    stub.lake.put("zipcodes", 600, 5).await;
    assert!(sql("SELECT max(id) FROM zipcodes").await.1.contains("[[604]]"));
    assert_eq!(sql("SELECT nosuch").await.0, 400);
    let metrics = get("/metrics").await.1;
    for line in [
        "lakehouse_queries_total{outcome=\"complete\"} 2",
        "lakehouse_queries_total{outcome=\"refused\"} 1",
        "lakehouse_query_seconds_count 3",
        "lakehouse_query_cache_misses_total 2",
        "lakehouse_query_cache_files 2",
        "lakehouse_queries_running 0",
        "lakehouse_queries_queued 0",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    shutdown.trigger();
    service.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_catalogd_that_is_not_there_is_503() {
    use lakehouse_types::{ErrorKind, ServiceError as _};
    // A port that refuses: it is taken, but nobody listens.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = format!("http://{}", taken.local_addr().unwrap());
    let error = remote(&gone).snapshot().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.detail(), "catalogd is not available");
    assert!(error.retry_after().is_some());
}
