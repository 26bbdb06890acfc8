//! Requests against the routes, over the real storaged and catalogd in this process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, body::Body, http::Request};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use lakehouse_common::config::Config;
use lakehouse_testkit::Service;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// The tabular services below ingestd, and ingestd's routes.
struct Lake {
    router: Router,
    storaged: Service,
    _catalogd: Service,
    dir: tempfile::TempDir,
}

impl Lake {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let storaged = lakehouse_testkit::storaged(&dir.path().join("objects")).await;
        let catalogd = lakehouse_testkit::catalogd(&storaged).await;
        let mut config = Config::default();
        config.ingestd.spool_dir = dir.path().join("spool");
        config.ingestd.threads = 2;
        change(&mut config);
        let store = lakehouse_client::StoreClient::new(storaged.url(), Default::default()).unwrap();
        let catalog = lakehouse_client::CatalogClient::new(catalogd.url(), Default::default()).unwrap();
        let state = ingestd::AppState::new(&config.ingestd, store.into_store(), ingestd::adapter(catalog)).unwrap();
        Self { router: ingestd::router(state), storaged, _catalogd: catalogd, dir }
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("no JSON: {body:?}")))
    }

    async fn ingest(&self, query: &str, csv: impl AsRef<[u8]>) -> (StatusCode, Value) {
        self.ask(form(query, &[("file", csv.as_ref())])).await
    }

    /// Keys of all dataset files.
    async fn objects(&self) -> Vec<String> {
        let store = lakehouse_client::StoreClient::new(self.storaged.url(), Default::default()).unwrap().into_store();
        let page = store.list("datasets/", None, 1000).await.unwrap();
        page.objects.into_iter().map(|entry| entry.key.to_string()).collect()
    }
}

fn form(query: &str, fields: &[(&str, &[u8])]) -> Request<Body> {
    let mut body = Vec::new();
    for (name, content) in fields {
        body.extend_from_slice(format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    post(&format!("/ingest?{query}"), Some("multipart/form-data; boundary=b"), body)
}

fn post(path: &str, content_type: Option<&str>, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri(path);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    request.body(body.into()).unwrap()
}

fn detail(body: &Value) -> &str {
    body["detail"].as_str().unwrap()
}

#[tokio::test]
async fn a_file_becomes_a_dataset_and_the_same_one_again_nothing_new() {
    let lake = Lake::new().await;
    let (status, first) = lake.ingest("name=O'Brien%27s+data", "zip,n\n00501,1\n00544,NA\n").await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(first["name"], "O'Brien's data");
    assert_eq!(first["rows"], 2);
    assert_eq!(first["existing"], false);
    assert_eq!(first["columns"], json!([{"name": "zip", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"}]));
    assert_eq!(lake.objects().await, [first["key"].as_str().unwrap()]);
    let (status, again) = lake.ingest("name=O'Brien%27s+data", "zip,n\n00501,1\n00544,NA\n").await;
    assert_eq!((status, &again["existing"], &again["key"]), (StatusCode::OK, &json!(true), &first["key"]));
    assert_eq!(lake.objects().await.len(), 1);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let lake = Lake::new().await;
    let multipart = Some("multipart/form-data; boundary=b");
    let csv: &[u8] = b"a\n1\n";
    for (request, word) in [
        (form("", &[("file", csv)]), "`name`"),
        (form("name=a&nmae=b", &[("file", csv)]), "`nmae`"),
        (post("/ingest?name=a", None, "a\n1\n"), "form"),
        (post("/ingest?name=a", Some("text/csv"), "a\n1\n"), "form"),
        (form("name=a", &[]), "`file`"),
        (form("name=a", &[("fil", csv)]), "`fil`"),
        (form("name=a", &[("file", csv), ("file", csv)]), "twice"),
        (post("/ingest?name=a", multipart, "--b\r\ncontent-disposition: form-data; name=file\r\n\r\na\n1\n"), "no end"),
        (post("/ingest?name=a", multipart, vec![b'x'; 1 << 20]), "boundary"),
        (form("name=a", &[("file", b"")]), "empty"),
        (form("name=a", &[("file", b"a,b\n1,2\n3\n\xff,4\n")]), "line 3"),
    ] {
        let (status, body) = lake.ask(request).await;
        assert_eq!(status, 400, "{word}: {body}");
        assert!(detail(&body).contains(word), "{word}: {body}");
    }
    assert!(lake.objects().await.is_empty());
}

#[tokio::test]
async fn a_file_over_the_cap_is_413_whether_its_size_is_told_or_not() {
    let lake = Lake::with(|config| config.ingestd.max_body_bytes = 1000).await;
    assert_eq!(lake.ingest("name=a", format!("a\n{}", "1\n".repeat(400))).await.0, 200);
    let (status, body) = lake.ingest("name=a", format!("a\n{}", "1\n".repeat(500))).await;
    assert_eq!(status, 413, "{body}");
    let mut told = form("name=a", &[("file", b"a\n1\n")]);
    told.headers_mut().insert("content-length", "99999999".parse().unwrap());
    assert_eq!(lake.ask(told).await.0, 413);
}

#[tokio::test]
async fn a_form_without_boundaries_is_refused_before_it_fills_the_memory() {
    let lake = Lake::new().await;
    let head = "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n";
    for (start, name) in [("", "no boundary at all"), (head, "a part's head without an end")] {
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let pieces = futures::stream::iter(0..1_000).map(move |_| {
            count.fetch_add(64 << 10, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from(vec![b'1'; 64 << 10]))
        });
        let start = futures::stream::iter([Ok(Bytes::from(start))]);
        let body = Body::from_stream(start.chain(pieces));
        let (status, answer) = lake.ask(post("/ingest?name=d", Some("multipart/form-data; boundary=x"), body)).await;
        assert_eq!(status, 400, "{name}: {answer}");
        assert!(detail(&answer).contains("no boundary"), "{name}: {answer}");
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken <= 2 << 20, "{name}: {taken} bytes were taken");
    }
}

#[tokio::test]
async fn drift_and_case_are_409_and_leave_no_object() {
    let lake = Lake::new().await;
    let (_, first) = lake.ingest("name=d", "a,b\n1,x\n").await;
    let (status, body) = lake.ingest("name=d", "a,b\n1.5,x\n").await;
    assert_eq!(status, 409, "{body}");
    assert_eq!(body["columns"][0]["name"], "a");
    assert!(detail(&body).contains("types="), "{body}");
    let (status, body) = lake.ingest("name=D", "a,b\n2,x\n").await;
    assert_eq!(status, 409, "{body}");
    assert_eq!(lake.objects().await, [first["key"].as_str().unwrap()]);
    assert_eq!(lake.ingest("name=d&types=a:bigint", "a,b\n7,x\n").await.0, 200);
}

#[tokio::test]
async fn skipped_rows_and_renamed_columns_are_told() {
    let lake = Lake::new().await;
    let (status, body) = lake.ingest("name=d&on_error=skip", "a,A\n1,2\n3\n4,5\n").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["skipped"], json!({"count": 1, "first": [{"line": 3, "reason": "it has 1 fields instead of 2"}]}));
    assert_eq!(body["renamed_columns"], json!([{"position": 1, "from": "A", "to": "A_2"}]));
    let (status, body) = lake.ingest("name=d", "a,b\n1\n").await;
    assert_eq!((status, &body["rows"][0]["line"]), (StatusCode::BAD_REQUEST, &json!(2)));
}

#[tokio::test]
async fn guesses_are_told_the_first_time_and_again() {
    let lake = Lake::new().await;
    let csv = "sep=;\r\nplace; \"rain\"\r\nUri; \"12,5\"\r\n";
    let (status, first) = lake.ingest("name=d", csv).await;
    assert_eq!(status, 200, "{first}");
    let codes: Vec<&str> = first["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["sep_line", "spaces_trimmed", "decimal_comma"]);
    assert_eq!((&first["warnings"][0]["line"], &first["warnings"][2]["column"]), (&json!(1), &json!("rain")));
    let (_, again) = lake.ingest("name=d", csv).await;
    assert_eq!((&again["existing"], &again["warnings"]), (&json!(true), &first["warnings"]));
    let (status, body) = lake.ingest("name=d&decimal=,&trim=true&types=rain:decimal(4,1)", csv).await;
    assert_eq!((status, body["columns"][1]["type"].as_str()), (StatusCode::CONFLICT, None), "{body}");
    let (status, body) = lake.ingest("name=e&decimal=,&trim=true&types=rain:decimal(4,1)", csv).await;
    assert_eq!((status, &body["columns"][1]["type"]), (StatusCode::OK, &json!("DECIMAL(4,1)")), "{body}");
    for (query, word) in [("decimal=;", "`decimal`"), ("skip_lines=-1", "`skip_lines`"), ("trim=1", "`trim`")] {
        let (status, body) = lake.ingest(&format!("name=f&{query}"), csv).await;
        assert_eq!(status, 400, "{body}");
        assert!(detail(&body).contains(word), "{body}");
    }
}

#[tokio::test]
async fn a_skip_of_every_row_leaves_the_old_rows() {
    let lake = Lake::new().await;
    let (_, first) = lake.ingest("name=d", "A,B\nx,y\n").await;
    let (status, body) = lake.ingest("name=d&on_error=skip", "A,B\n1,4,\n2,5,\n").await;
    assert_eq!((status, &body["rows"][0]["line"]), (StatusCode::BAD_REQUEST, &json!(2)), "{body}");
    assert_eq!(lake.objects().await, [first["key"].as_str().unwrap()]);
}

#[tokio::test]
async fn what_is_no_csv_is_named_and_leaves_no_dataset() {
    let lake = Lake::new().await;
    let wide: Vec<u8> = "a,b\n1,x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, word) in [(wide.as_slice(), "UTF-16"), (b"%PDF-1.7\n", "PDF"), (b"[{\"a\": NaN}]", "JSON")] {
        let (status, body) = lake.ingest("name=d", bytes).await;
        assert_eq!(status, 400, "{body}");
        assert!(detail(&body).contains(word), "{body}");
    }
    assert!(lake.objects().await.is_empty());
}

#[tokio::test]
async fn a_sweep_answers_with_what_it_did() {
    let lake = Lake::with(|config| config.ingestd.sweep_grace_seconds = 0).await;
    lake.ingest("name=d", "a\n1\n").await;
    lake.ingest("name=d", "a\n2\n").await;
    let (status, body) = lake.ask(post("/ingest/sweep", None, Body::empty())).await;
    assert_eq!((status, &body["removed"], &body["kept"]), (StatusCode::OK, &json!(1), &json!(0)));
    assert!(body["bytes"].as_u64().unwrap() > 0);
    assert_eq!(lake.objects().await.len(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing() {
    let lake = Lake::new().await;
    let pieces = futures::stream::iter([
        Ok(bytes::Bytes::from_static(b"--b\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\na,b\n1,2\n")),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ]);
    let broken = post("/ingest?name=a", Some("multipart/form-data; boundary=b"), Body::from_stream(pieces));
    let (status, body) = lake.ask(broken).await;
    assert_eq!(status, 400, "{body}");
    assert!(lake.objects().await.is_empty());
    let left = std::fs::read_dir(lake.dir.path().join("spool")).unwrap();
    assert!(left.map(|entry| entry.unwrap().metadata().unwrap().len()).all(|size| size == 0));
}

#[tokio::test]
async fn a_storaged_that_is_down_is_503_and_loses_nothing() {
    let lake = Lake::new().await;
    lake.ingest("name=d", "a\n1\n").await;
    let Lake { router, storaged, _catalogd, dir } = lake;
    let root = dir.path().join("objects");
    storaged.kill().await;
    let answer = router.clone().oneshot(form("name=d", &[("file", b"a\n2\n")])).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(root.exists());
}

#[tokio::test]
async fn run_serves_once_the_services_below_have_answered() {
    let dir = tempfile::tempdir().unwrap();
    let storaged = lakehouse_testkit::storaged(&dir.path().join("objects")).await;
    let catalogd = lakehouse_testkit::catalogd(&storaged).await;
    let spool = dir.path().join("spool");
    let flags = [
        ("ingestd.storaged_url", storaged.url()),
        ("ingestd.catalogd_url", catalogd.url()),
        ("ingestd.spool_dir", spool.to_str().unwrap()),
    ];
    let service = Service::start(ingestd::run, &flags).await;
    let client = lakehouse_client::IngestClient::new(service.url(), Default::default()).unwrap();
    let upload = lakehouse_client::IngestUpload {
        name: "d".parse().unwrap(),
        file_name: "d.csv".to_owned(),
        parameters: vec![("header".to_owned(), "true".to_owned())],
        size: None,
    };
    let response = client.ingest(&upload, lakehouse_objstore::body("a,b\n1,x\n")).await.unwrap();
    assert_eq!((response.rows, response.existing, response.version), (1, false, 1));
    service.stop().await;
}
