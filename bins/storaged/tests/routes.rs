//! Requests against the router, over stores in memory and in a directory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use lakehouse_objstore::{Local, LocalOptions, Memory, ObjectStore};
use sha2::{Digest as _, Sha256};
use support::{Answer, Service};

fn memory() -> Service {
    Service::new(Arc::new(Memory::default()), 1 << 20)
}

fn object(key: &str) -> String {
    format!("/storage/objects/{key}")
}

async fn stored(service: &Service, key: &str) -> Option<String> {
    let answer = service.get(&object(key), &[]).await;
    (answer.status == StatusCode::OK).then(|| answer.text())
}

#[tokio::test]
async fn an_object_makes_the_round_trip() {
    let service = memory();
    let made = service.put(&object("a/b.txt"), &[], "hello").await;
    assert_eq!(made.status, StatusCode::CREATED);
    let etag = made.header("etag");
    assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    let got = service.get(&object("a/b.txt"), &[]).await;
    assert_eq!((got.status, got.text().as_str()), (StatusCode::OK, "hello"));
    assert_eq!(got.header("etag"), etag);
    assert_eq!(got.header("content-length"), "5");
    assert_eq!(got.header("accept-ranges"), "bytes");
    assert_eq!(got.header("content-type"), "application/octet-stream");
    let modified = httpdate::parse_http_date(&got.header("last-modified")).unwrap();
    assert!(modified.elapsed().unwrap().as_secs() < 60);
    let replaced = service.put(&object("a/b.txt"), &[], "again").await;
    assert_eq!(replaced.status, StatusCode::OK);
    assert_ne!(replaced.header("etag"), etag);
}

#[tokio::test]
async fn head_tells_what_get_would_without_the_body() {
    let service = memory();
    service.put(&object("a"), &[], "hello").await;
    let got = service.get(&object("a"), &[]).await;
    let head = service.send(Method::HEAD, &object("a"), &[], "").await;
    assert_eq!((head.status, head.text().as_str()), (StatusCode::OK, ""));
    for name in ["etag", "last-modified", "content-length", "accept-ranges", "content-type"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    let absent = service.send(Method::HEAD, &object("b"), &[], "").await;
    assert_eq!((absent.status, absent.text().as_str()), (StatusCode::NOT_FOUND, ""));
}

#[tokio::test]
async fn deleting_is_204_also_when_absent() {
    let service = memory();
    service.put(&object("a"), &[], "x").await;
    for _ in 0..2 {
        let answer = service.send(Method::DELETE, &object("a"), &[], "").await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NO_CONTENT, ""));
    }
    assert_eq!(service.get(&object("a"), &[]).await.problem(), (404, "urn:lakehouse:not-found".to_owned()));
    let conditional = service.send(Method::DELETE, &object("a"), &[("if-match", "\"x\"")], "").await;
    assert_eq!(conditional.status, StatusCode::BAD_REQUEST, "a condition is not ignored");
}

#[tokio::test]
async fn keys_are_decoded_once() {
    let service = memory();
    service.put(&object("a%2Fb%20c"), &[], "slash").await;
    assert_eq!(stored(&service, "a/b%20c").await.as_deref(), Some("slash"));
    service.put(&object("%252e%252e"), &[], "literal").await;
    assert_eq!(service.keys("").await, ["%2e%2e", "a/b c"]);
    service.put(&object("%E6%97%A5%F0%9F%A6%86"), &[], "text").await;
    assert!(service.keys("").await.contains(&"日🦆".to_owned()));
    // A plus is a plus in a path, and a space in a query.
    service.put(&object("1+1"), &[], "2").await;
    assert_eq!(service.keys("1%2B").await, ["1+1"]);
    assert_eq!(service.keys("1+").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_key_is_400_for_every_method() {
    let service = memory();
    let long = "k".repeat(1025);
    let bad = [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "%2e%2e",
        "%2E%2E/a",
        "a/%2e%2e/b",
        "..%2fa",
        "%2Fa",
        "a%2F",
        "a%2F%2Fb",
        "%00",
        "a%00b",
        "a%0Ab",
        "%7f",
        "%c2%80",
        "%ff",
        "a%c3",
        "%ed%a0%80",
        "%c0%ae",
        &long,
    ];
    for key in bad {
        for method in [Method::PUT, Method::GET, Method::HEAD, Method::DELETE] {
            let answer = service.send(method.clone(), &object(key), &[], "").await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {key:?}");
            if method != Method::HEAD {
                assert_eq!(answer.problem().1, "urn:lakehouse:invalid-input", "{method} {key:?}");
            }
        }
    }
    assert!(service.keys("").await.is_empty());
}

#[tokio::test]
async fn writes_keep_their_conditions() {
    let service = memory();
    let key = object("a");
    let absent = [("if-none-match", "*")];
    assert_eq!(service.put(&key, &[("if-match", "*")], "x").await.status, StatusCode::PRECONDITION_FAILED);
    let made = service.put(&key, &absent, "one").await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(
        service.put(&key, &absent, "two").await.problem(),
        (412, "urn:lakehouse:precondition-failed".to_owned())
    );
    let first = made.header("etag");
    let weak = format!("W/{first}");
    let list = format!("\"x\", {first}");
    for (tag, status) in [
        ("\"x\"", StatusCode::PRECONDITION_FAILED),
        (&*weak, StatusCode::PRECONDITION_FAILED),
        ("\"x\", \"y\"", StatusCode::PRECONDITION_FAILED),
        (&*list, StatusCode::OK),
        (&*first, StatusCode::PRECONDITION_FAILED), // the one before has changed it
        ("*", StatusCode::OK),
    ] {
        let answer = service.put(&key, &[("if-match", tag)], tag.to_owned()).await;
        assert_eq!(answer.status, status, "If-Match: {tag}");
    }
    assert_eq!(stored(&service, "a").await.as_deref(), Some("*"));
    for bad in [
        &[("if-match", "unquoted")][..],
        &[("if-none-match", "\"a\"")],
        &[("if-none-match", "*"), ("if-match", "\"a\"")],
    ] {
        assert_eq!(service.put(&key, bad, "x").await.status, StatusCode::BAD_REQUEST, "{bad:?}");
    }
    assert_eq!(stored(&service, "a").await.as_deref(), Some("*"), "nothing refused was written");
}

#[tokio::test]
async fn reads_keep_their_conditions() {
    let service = memory();
    let key = object("a");
    let etag = service.put(&key, &[], "one").await.header("etag");
    let weak = format!("W/{etag}");
    let list = format!("\"x\" , {etag}");
    for method in [Method::GET, Method::HEAD] {
        for known in [&*etag, &*weak, &*list, "*"] {
            let answer = service.send(method.clone(), &key, &[("if-none-match", known)], "").await;
            assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{method} {known}");
            assert_eq!((answer.header("etag"), answer.text().as_str()), (etag.clone(), ""));
        }
        let changed = service.send(method.clone(), &key, &[("if-none-match", "\"x\"")], "").await;
        assert_eq!(changed.status, StatusCode::OK);
        let unlike = service.send(method.clone(), &key, &[("if-match", "\"x\"")], "").await;
        assert_eq!(unlike.status, StatusCode::PRECONDITION_FAILED);
        let like = service.send(method.clone(), &key, &[("if-match", &*etag)], "").await;
        assert_eq!(like.status, StatusCode::OK);
        let absent = service.send(method.clone(), &object("none"), &[("if-none-match", "*")], "").await;
        assert_eq!(absent.status, StatusCode::NOT_FOUND);
        let bad = service.send(method.clone(), &key, &[("if-none-match", "a b")], "").await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn ranges_are_206_and_outside_416() {
    let service = memory();
    let key = object("a");
    let etag = service.put(&key, &[], "0123456789").await.header("etag");
    for (range, content, described) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=5-1000", "56789", "bytes 5-9/10"),
        ("bytes=0-", "0123456789", "bytes 0-9/10"),
    ] {
        let answer = service.get(&key, &[("range", range)]).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::PARTIAL_CONTENT, content), "{range}");
        assert_eq!(answer.header("content-range"), described);
        assert_eq!(answer.header("content-length"), content.len().to_string());
        assert_eq!(answer.header("etag"), etag);
    }
    for range in ["bytes=10-", "bytes=99-100", "bytes=-0"] {
        let answer = service.get(&key, &[("range", range)]).await;
        assert_eq!(answer.problem(), (416, "urn:lakehouse:range-not-satisfiable".to_owned()), "{range}");
        assert_eq!(answer.header("content-range"), "bytes */10");
        assert_eq!(answer.json()["size"], 10);
    }
    for range in ["bytes=1-2,4-5", "rows=1-2", "bytes=3-1", "nonsense"] {
        let answer = service.get(&key, &[("range", range)]).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "0123456789"), "{range}");
    }
}

#[tokio::test]
async fn if_range_gives_a_part_of_the_same_version_only() {
    let service = memory();
    let key = object("a");
    let etag = service.put(&key, &[], "0123456789").await.header("etag");
    let same = service.get(&key, &[("range", "bytes=8-"), ("if-range", &etag)]).await;
    assert_eq!((same.status, same.text().as_str()), (StatusCode::PARTIAL_CONTENT, "89"));
    service.put(&key, &[], "another").await;
    for range in ["bytes=3-", "bytes=8-"] {
        let other = service.get(&key, &[("range", range), ("if-range", &etag)]).await;
        assert_eq!((other.status, other.text().as_str()), (StatusCode::OK, "another"), "{range}");
        assert_eq!(other.header("content-range"), "");
    }
}

#[tokio::test]
async fn checksums_in_both_headers_are_verified() {
    let service = memory();
    let key = object("a");
    let hex = |content: &str| hex::encode(Sha256::digest(content));
    let dictionary = |content: &str| {
        use base64::Engine as _;
        format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content)))
    };
    for (name, right, wrong) in
        [("x-content-sha256", hex("hello"), hex("other")), ("content-digest", dictionary("hello"), dictionary("other"))]
    {
        let refused = service.put(&key, &[(name, &wrong)], "hello").await;
        assert_eq!(refused.problem(), (400, "urn:lakehouse:invalid-input".to_owned()), "{name}");
        assert_eq!(refused.json()["actual_sha256"], hex("hello"));
        assert_eq!(stored(&service, "a").await, None, "{name}: nothing is written");
        assert_eq!(service.put(&key, &[(name, "rubbish")], "hello").await.status, StatusCode::BAD_REQUEST);
        assert_eq!(service.put(&key, &[(name, &right)], "hello").await.status, StatusCode::CREATED);
        service.send(Method::DELETE, &key, &[], "").await;
    }
}

#[tokio::test]
async fn what_would_be_lost_is_refused() {
    let service = memory();
    let part = service.put(&object("a"), &[("content-range", "bytes 0-4/10")], "hello").await;
    assert_eq!(part.status, StatusCode::BAD_REQUEST);
    let packed = service.put(&object("a"), &[("content-encoding", "gzip")], "hello").await;
    assert_eq!(packed.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(stored(&service, "a").await, None);
}

#[tokio::test]
async fn the_largest_object_is_taken_and_one_byte_more_is_413() {
    let service = Service::new(Arc::new(Memory::default()), 1000);
    assert_eq!(service.put(&object("a"), &[], vec![0; 1000]).await.status, StatusCode::CREATED);
    for announced in [true, false] {
        let body = if announced { Body::from(vec![0; 1001]) } else { unannounced(vec![vec![0; 600], vec![0; 401]]) };
        let mut request = Request::put(object("b")).body(body).unwrap();
        if announced {
            request.headers_mut().insert("content-length", 1001.into());
        }
        let answer = service.call(request).await;
        assert_eq!(answer.problem(), (413, "urn:lakehouse:too-large".to_owned()), "announced: {announced}");
        assert_eq!(answer.json()["limit"], 1000);
        assert_eq!(stored(&service, "b").await, None);
    }
}

fn unannounced(pieces: Vec<Vec<u8>>) -> Body {
    Body::from_stream(futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
}

/// Refused for its announced length alone: not a byte of it is waited for.
#[tokio::test(start_paused = true)]
async fn an_announced_body_over_the_limit_is_refused_before_it_comes() {
    let service = Service::new(Arc::new(Memory::default()), 1000);
    let never = Body::from_stream(futures::stream::pending::<std::io::Result<bytes::Bytes>>());
    let request = Request::put(object("a")).header("content-length", 1001).header("expect", "100-continue");
    let began = tokio::time::Instant::now();
    let answer = service.call(request.body(never).unwrap()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(began.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_or_stands_still_writes_nothing() {
    let service = memory();
    service.put(&object("a"), &[], "old").await;
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let broken = futures::stream::iter([Ok(bytes::Bytes::from("ne")), Err(reset)]);
    let answer = service.call(Request::put(object("a")).body(Body::from_stream(broken)).unwrap()).await;
    assert_eq!(answer.problem(), (400, "urn:lakehouse:invalid-input".to_owned()));
    let still = futures::StreamExt::chain(
        futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from("ne"))]),
        futures::stream::pending(),
    );
    let answer = service.call(Request::put(object("a")).body(Body::from_stream(still)).unwrap()).await;
    assert_eq!(answer.problem(), (408, "urn:lakehouse:request-timeout".to_owned()));
    assert_eq!(stored(&service, "a").await.as_deref(), Some("old"));
}

#[tokio::test]
async fn listings_are_sorted_and_paged() {
    let service = memory();
    for key in ["b", "a/2", "a/1", "a", "A", "a-"] {
        service.put(&object(key), &[], key.to_owned()).await;
    }
    let page = service.get("/storage/objects?limit=4", &[]).await.json();
    let keys: Vec<&str> = page["objects"].as_array().unwrap().iter().map(|o| o["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["A", "a", "a-", "a/1"]);
    assert_eq!(page["next"], "a/1");
    assert_eq!(page["objects"][3]["size"], 3);
    let head = service.send(Method::HEAD, &object("a/1"), &[], "").await;
    assert_eq!(format!("\"{}\"", page["objects"][3]["etag"].as_str().unwrap()), head.header("etag"));
    let rest = service.get("/storage/objects?limit=4&after=a/1", &[]).await.json();
    assert_eq!(rest["objects"].as_array().unwrap().len(), 2);
    assert_eq!(rest.get("next"), None);
    assert_eq!(service.keys("a/").await, ["a/1", "a/2"]);
    let none = service.get("/storage/objects?limit=0", &[]).await.json();
    assert_eq!(none, serde_json::json!({"objects": []}));
    for bad in ["limit=-1", "limit=x", "nosuch=1", "prefix=%ff", "after=%c3"] {
        let answer = service.get(&format!("/storage/objects?{bad}"), &[]).await;
        assert_eq!(answer.problem().0, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_page_never_holds_more_than_1000() {
    let service = memory();
    for i in 0..1001 {
        service.put(&object(&format!("{i:04}")), &[], "").await;
    }
    for query in ["", "?limit=1000", "?limit=5000"] {
        let page = service.get(&format!("/storage/objects{query}"), &[]).await.json();
        assert_eq!(page["objects"].as_array().unwrap().len(), 1000, "{query}");
        assert_eq!(page["next"], "0999");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let service = memory();
    assert_eq!(service.send(Method::POST, &object("a"), &[], "").await.problem().0, 405);
    assert_eq!(service.send(Method::PUT, "/storage/objects", &[], "").await.problem().0, 405);
    assert_eq!(service.get("/storage", &[]).await.problem().0, 404);
}

#[tokio::test]
async fn what_happens_is_counted() {
    let service = memory();
    service.put(&object("a"), &[], "hello").await;
    service.put(&object("a"), &[("if-none-match", "*")], "hello").await;
    service.get(&object("a"), &[]).await;
    service.get(&object("a"), &[("range", "bytes=0-1")]).await;
    service.get(&object("b"), &[]).await;
    let text = service.get("/metrics", &[]).await.text();
    for line in [
        "lakehouse_store_operations_total{operation=\"put\",outcome=\"ok\"} 1",
        "lakehouse_store_operations_total{operation=\"put\",outcome=\"precondition-failed\"} 1",
        "lakehouse_store_operations_total{operation=\"get\",outcome=\"ok\"} 2",
        "lakehouse_store_operations_total{operation=\"get\",outcome=\"not-found\"} 1",
        "lakehouse_store_bytes_out_total 7",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

/// What the disk says of itself stays in the log.
#[tokio::test]
async fn a_failure_of_the_disk_is_500_without_its_inside() {
    let dir = tempfile::tempdir().unwrap();
    let store = Local::open(LocalOptions { root: dir.path().join("s"), on_sync: None }).unwrap();
    let service = Service::new(Arc::new(store), 1000);
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("s/objects/a")).unwrap();
    let answer: Answer = service.get(&object("a"), &[]).await;
    assert_eq!(answer.problem(), (500, "urn:lakehouse:internal".to_owned()));
    assert!(!answer.text().contains("link") && !answer.text().contains("root:"), "{}", answer.text());
}

#[tokio::test]
async fn a_store_over_http_is_still_whole() {
    let store: Arc<dyn ObjectStore> = Arc::new(Memory::new(10));
    let service = Service::new(store, 1000);
    let full = service.put(&object("a"), &[], "more than ten bytes").await;
    assert_eq!(full.problem(), (503, "urn:lakehouse:unavailable".to_owned()));
    assert!(full.json()["detail"].as_str().unwrap().contains("full"), "{}", full.text());
    assert_eq!(full.header("retry-after"), "60");
}
