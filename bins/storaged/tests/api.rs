//! storaged's calls, against the router over the memory backend and, for what needs a connection,
//! over a socket and a directory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use lakehouse_objstore::Memory;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use storaged::{AppState, StoreMetrics, router};
use tower::ServiceExt as _;

fn app(cap: u64) -> Router {
    router(AppState::new(Arc::new(Memory::new(1 << 30)), cap, StoreMetrics::default()))
}

async fn call(app: &Router, method: &str, path: &str, headers: &[(&str, &str)], body: &'static str) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn header(response: &Response<Body>, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

const OBJECT: &str = "/storage/objects/a/b";

#[tokio::test]
async fn an_object_is_written_read_replaced_and_removed() {
    let app = app(100);
    let put = call(&app, "PUT", OBJECT, &[], "hello").await;
    assert_eq!(put.status(), StatusCode::CREATED);
    let etag = header(&put, "etag");
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let get = call(&app, "GET", OBJECT, &[], "").await;
    assert_eq!(
        (get.status(), header(&get, "etag"), header(&get, "content-length")),
        (StatusCode::OK, etag.clone(), "5".into())
    );
    assert!(header(&get, "last-modified").ends_with(" GMT"));
    assert_eq!(text(get).await, "hello");
    let put = call(&app, "PUT", OBJECT, &[], "other").await;
    assert_eq!(put.status(), StatusCode::OK);
    assert_ne!(header(&put, "etag"), etag);
    let head = call(&app, "HEAD", OBJECT, &[], "").await;
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, "5".into()));
    assert_eq!(text(head).await, "");
    for _ in 0..2 {
        assert_eq!(call(&app, "DELETE", OBJECT, &[], "").await.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(call(&app, "GET", OBJECT, &[], "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(call(&app, "HEAD", OBJECT, &[], "").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn conditions_are_kept() {
    let app = app(100);
    let put = |headers: &'static [(&str, &str)]| call(&app, "PUT", OBJECT, headers, "x");
    assert_eq!(put(&[("if-match", "*")]).await.status(), 412);
    assert_eq!(put(&[("if-none-match", "*")]).await.status(), 201);
    assert_eq!(put(&[("if-none-match", "*")]).await.status(), 412);
    assert_eq!(put(&[("if-match", "\"nope\"")]).await.status(), 412);
    assert_eq!(put(&[("if-match", "*")]).await.status(), 200);
    assert_eq!(put(&[("if-none-match", "\"a\"")]).await.status(), 400);
    assert_eq!(put(&[("if-match", "no quotes")]).await.status(), 400);
    assert_eq!(put(&[("if-match", "*"), ("if-none-match", "*")]).await.status(), 400);
    let etag = header(&call(&app, "HEAD", OBJECT, &[], "").await, "etag");
    assert_eq!(call(&app, "PUT", OBJECT, &[("if-match", &format!("W/{etag}"))], "y").await.status(), 412);
    assert_eq!(call(&app, "GET", OBJECT, &[("if-none-match", &etag)], "").await.status(), 304);
    assert_eq!(call(&app, "GET", OBJECT, &[("if-none-match", "*")], "").await.status(), 304);
    assert_eq!(call(&app, "GET", OBJECT, &[("if-none-match", "\"other\"")], "").await.status(), 200);
    assert_eq!(call(&app, "PUT", OBJECT, &[("if-match", &format!("\"other\", {etag}"))], "y").await.status(), 200);
    assert_eq!(call(&app, "PUT", OBJECT, &[("if-match", &etag)], "z").await.status(), 412);
}

#[tokio::test]
async fn ranges_are_cut_as_asked() {
    let app = app(100);
    call(&app, "PUT", OBJECT, &[], "0123456789").await;
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=8-100", 206, "bytes 8-9/10", "89"),
        ("bytes=0-1,3-4", 200, "", "0123456789"),
    ] {
        let answer = call(&app, "GET", OBJECT, &[("range", range)], "").await;
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "content-range")),
            (status, content_range.to_owned()),
            "{range}"
        );
        assert_eq!(text(answer).await, body, "{range}");
    }
    let past = call(&app, "GET", OBJECT, &[("range", "bytes=10-")], "").await;
    assert_eq!((past.status().as_u16(), header(&past, "content-range")), (416, "bytes */10".to_owned()));
    let stale = call(&app, "GET", OBJECT, &[("range", "bytes=0-1"), ("if-range", "\"old\"")], "").await;
    assert_eq!(stale.status(), 200);
}

#[tokio::test]
async fn a_checksum_that_is_off_writes_nothing() {
    let app = app(100);
    let right = hex::encode(Sha256::digest("hello"));
    let wrong = call(&app, "PUT", OBJECT, &[("x-content-sha256", &"0".repeat(64))], "hello").await;
    assert_eq!(wrong.status(), 400);
    assert_eq!(call(&app, "HEAD", OBJECT, &[], "").await.status(), 404);
    assert_eq!(call(&app, "PUT", OBJECT, &[("x-content-sha256", &right)], "hello").await.status(), 201);
    assert_eq!(call(&app, "PUT", OBJECT, &[("x-content-sha256", "short")], "hello").await.status(), 400);
}

#[tokio::test]
async fn keys_are_decoded_once_and_checked() {
    let app = app(100);
    assert_eq!(call(&app, "PUT", "/storage/objects/a%2Fb%20c", &[], "1").await.status(), 201);
    assert_eq!(call(&app, "PUT", "/storage/objects/a/b c".replace(' ', "%20").as_str(), &[], "2").await.status(), 200);
    assert_eq!(call(&app, "PUT", "/storage/objects/a%252Fb", &[], "3").await.status(), 201);
    assert_eq!(text(call(&app, "GET", "/storage/objects/a%252Fb", &[], "").await).await, "3");
    for bad in
        ["a//b", "a/", "/a", "..", "a/../b", "%2e%2e/b", ".%2e", "a/%2e", "a%00b", "%ff", "a%0ab", &"x".repeat(1025)]
    {
        let answer = call(&app, "PUT", &format!("/storage/objects/{bad}"), &[], "x").await;
        assert_eq!(answer.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_announced_or_not() {
    let app = app(4);
    let announced = call(&app, "PUT", OBJECT, &[("content-length", "5")], "12345").await;
    assert_eq!(announced.status(), 413);
    let pieces = futures::stream::iter(["123", "45"].map(Ok::<_, std::io::Error>));
    let request = Request::put(OBJECT).body(Body::from_stream(pieces)).unwrap();
    assert_eq!(app.clone().oneshot(request).await.unwrap().status(), 413);
    assert_eq!(call(&app, "HEAD", OBJECT, &[], "").await.status(), 404);
}

#[tokio::test]
async fn listings_are_sorted_and_paged() {
    let app = app(100);
    for key in ["b", "a/2", "a/10", "a", "a-1", "%C3%A9"] {
        call(&app, "PUT", &format!("/storage/objects/{key}"), &[], "x").await;
    }
    let mut keys = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/storage/objects?limit=2{after}");
        let page: Value = serde_json::from_str(&text(call(&app, "GET", &path, &[], "").await).await).unwrap();
        keys.extend(page["objects"].as_array().unwrap().iter().map(|o| o["key"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={}", next.replace('é', "%C3%A9"));
    }
    assert_eq!(keys, ["a", "a-1", "a/10", "a/2", "b", "é"]);
    let page = text(call(&app, "GET", "/storage/objects?prefix=a/", &[], "").await).await;
    assert_eq!(serde_json::from_str::<Value>(&page).unwrap()["objects"].as_array().unwrap().len(), 2);
    for bad in ["limit=0", "limit=10001", "limit=x", "nosuch=1"] {
        assert_eq!(call(&app, "GET", &format!("/storage/objects?{bad}"), &[], "").await.status(), 400, "{bad}");
    }
}
