//! StoreClient: what it sends, and what it makes of every answer.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures::StreamExt as _;
use lakehouse_client::{ClientOptions, StoreClient};
use lakehouse_objstore::{ByteRange, Condition, Error, GetOptions, ObjectStore as _, PutOptions, body, collect};
use lakehouse_types::{
    ErrorKind, ObjectKey, ServiceError as _,
    context::{RequestContext, scope},
};

use crate::server::{Act, Server, answer, options, options_for, problem, with};

const DATE: &str = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT";

fn key() -> ObjectKey {
    ObjectKey::new("a b/O'Brien's 100%").unwrap()
}

fn client(server: &Server) -> StoreClient {
    StoreClient::new(server.url(), options()).unwrap()
}

/// The error of a GET that is answered by `act`.
async fn get_error(act: Act) -> Error {
    let server = Server::start([act.clone(), act.clone(), act.clone(), act.clone(), act]).await;
    client(&server).get(&key(), GetOptions::default()).await.unwrap_err()
}

async fn put_error(act: Act, put: PutOptions) -> Error {
    let server = Server::start([act]).await;
    client(&server).put(&key(), body("content"), put).await.unwrap_err()
}

#[tokio::test]
async fn a_put_says_everything_that_was_asked_for() {
    let server = Server::start([with(201, &["etag: \"new\""], "")]).await;
    let options = ClientOptions { token: Some("s3cret".into()), ..options() };
    let store = StoreClient::new(format!("{}/v1/", server.url()), options).unwrap();
    let put = PutOptions { condition: Condition::IfAbsent, sha256: Some("ab12".into()), size: Some(7) };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = RequestContext { request_id: "req-7".into(), traceparent: Some(trace.into()) };
    let outcome = scope(Arc::new(context), store.put(&key(), body("content"), put)).await.unwrap();
    assert_eq!((outcome.etag.as_str(), outcome.created, outcome.size), ("new", true, 7));
    let request = server.request();
    assert_eq!(request.line, "PUT /v1/storage/objects/a%20b/O%27Brien%27s%20100%25 HTTP/1.1");
    assert_eq!(request.body, b"content");
    for (name, value) in [
        ("authorization", "Bearer s3cret"),
        ("x-request-id", "req-7"),
        ("traceparent", trace),
        ("if-none-match", "*"),
        ("x-content-sha256", "ab12"),
        ("content-length", "7"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_call_outside_of_a_request_has_no_id_and_without_a_token_no_authorization() {
    let server = Server::start([with(200, &["etag: \"e\""], "")]).await;
    let store = StoreClient::new(server.url(), ClientOptions::with_token("")).unwrap();
    let put = PutOptions { condition: Condition::IfMatch("old".into()), ..PutOptions::default() };
    let outcome = store.put(&key(), body("content"), put).await.unwrap();
    assert!(!outcome.created);
    let request = server.request();
    assert_eq!(request.header("if-match"), Some("\"old\""));
    for name in ["x-request-id", "traceparent", "authorization", "x-content-sha256", "if-none-match"] {
        assert_eq!(request.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_large_body_streams_with_its_length_where_that_is_known() {
    let pieces = || futures::stream::iter((0..40).map(|_| Ok(Bytes::from(vec![7; 16 << 10])))).boxed();
    for (size, header) in [(Some(640 << 10), "content-length"), (None, "transfer-encoding")] {
        let server = Server::start([with(201, &["etag: \"e\""], "")]).await;
        let put = PutOptions { size, ..PutOptions::default() };
        assert_eq!(client(&server).put(&key(), pieces(), put).await.unwrap().size, 640 << 10);
        let request = server.request();
        assert_eq!(request.body.len(), 640 << 10);
        assert!(request.header(header).is_some(), "{:?}", request.headers);
    }
}

#[tokio::test]
async fn a_body_that_fails_is_the_caller_s_error_and_never_a_whole_object() {
    for before in [1, 100] {
        let server = Server::start([]).await;
        let pieces = (0..before).map(|_| Ok(Bytes::from(vec![7; 16 << 10])));
        let torn = futures::stream::iter(pieces.chain([Err(io::Error::other("tape torn"))])).boxed();
        let error = client(&server).put(&key(), torn, PutOptions::default()).await.unwrap_err();
        assert!(matches!(&error, Error::Body(cause) if cause.to_string() == "tape torn"), "{error:?}");
        assert!(server.requests().is_empty(), "no request came to its end");
    }
}

#[tokio::test]
async fn a_part_and_a_known_version_are_asked_for_in_http_s_words() {
    let cases = [
        (ByteRange::From(4), "bytes=4-", "bytes 4-9/10", 4..10, "456789"),
        (ByteRange::Inclusive(2, 5), "bytes=2-5", "bytes 2-5/10", 2..6, "2345"),
        (ByteRange::Last(3), "bytes=-3", "bytes 7-9/10", 7..10, "789"),
    ];
    for (range, asked, told, expected, content) in cases {
        let content_range = format!("content-range: {told}");
        let server = Server::start([with(206, &["etag: \"e\"", DATE, &content_range], content)]).await;
        let get = GetOptions { range: Some(range), if_none_match: vec!["x".into(), "y".into()] };
        let object = client(&server).get(&key(), get).await.unwrap();
        assert_eq!((object.meta.size, object.meta.etag.as_str(), object.range), (10, "e", expected));
        assert_eq!(collect(object.body, 100).await.unwrap(), content);
        let request = server.request();
        assert_eq!(request.header("range"), Some(asked));
        assert_eq!(request.header("if-none-match"), Some("\"x\", \"y\""));
    }
}

#[tokio::test]
async fn head_delete_and_list_speak_the_contract() {
    let page = r#"{"objects":[{"key":"p/a","size":1,"etag":"e","modified_ms":5}],"next":"p/a"}"#;
    let server = Server::start([
        with(200, &["etag: \"e\"", DATE, "content-length: 42"], ""),
        answer(204, ""),
        answer(200, page),
        answer(200, r#"{"objects":[]}"#),
    ])
    .await;
    let store = client(&server);
    let meta = store.head(&key()).await.unwrap();
    assert_eq!((meta.size, meta.etag.as_str()), (42, "e"));
    assert_eq!(meta.modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 784_111_777);
    store.delete(&key()).await.unwrap();
    let page = store.list("p/&=", Some("p/ä"), 7).await.unwrap();
    assert_eq!((page.objects.len(), page.next.as_deref()), (1, Some("p/a")));
    store.check().await.unwrap();
    let lines: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(lines[0], "HEAD /storage/objects/a%20b/O%27Brien%27s%20100%25 HTTP/1.1");
    assert_eq!(lines[2], "GET /storage/objects?prefix=p%2F%26%3D&limit=7&after=p%2F%C3%A4 HTTP/1.1");
    assert_eq!(server.connections(), 1, "one connection serves all of them");
}

#[tokio::test]
async fn every_answer_has_its_error() {
    assert!(
        matches!(get_error(problem(404, "not-found")).await, Error::NotFound { key: told } if told == key().as_str())
    );
    assert!(get_error(answer(404, "")).await.is_not_found());
    let unchanged = get_error(with(304, &["etag: \"e\""], "")).await;
    assert!(matches!(unchanged, Error::NotModified { etag, .. } if etag == "e"));
    let outside = get_error(with(416, &["content-range: bytes */10"], "")).await;
    assert!(matches!(outside, Error::InvalidRange { size: 10 }));
    assert!(matches!(get_error(problem(503, "unavailable")).await, Error::Unavailable { .. }));
    assert!(matches!(get_error(problem(504, "timeout")).await, Error::Timeout));
    assert!(matches!(get_error(problem(500, "internal")).await, Error::Backend { .. }));
    let conditional = || PutOptions { condition: Condition::IfAbsent, ..PutOptions::default() };
    assert!(put_error(problem(412, "precondition-failed"), conditional()).await.is_precondition_failed());
    assert!(matches!(put_error(problem(413, "too-large"), PutOptions::default()).await, Error::TooLarge { .. }));
    // A listing, or a deletion, has no object that could be missing: this is another server.
    let server = Server::start([problem(404, "not-found")]).await;
    assert!(matches!(client(&server).list("", None, 1).await, Err(Error::Backend { .. })));
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_an_error_and_not_an_object() {
    let nonsense = [
        with(200, &[DATE], "no etag"),
        with(200, &["etag: \"e\""], "no date"),
        with(200, &["etag: e", DATE], "no quotes"),
        with(206, &["etag: \"e\"", DATE, "content-range: bytes 0-1/2"], "xx"),
        with(302, &["location: http://127.0.0.1:1/"], ""),
    ];
    for act in nonsense {
        let error = get_error(act.clone()).await;
        assert!(matches!(error, Error::Backend { .. }), "{act:?} gave {error:?}");
    }
    let server = Server::start([with(200, &["etag: \"e\"", DATE], "all of it")]).await;
    let part = GetOptions { range: Some(ByteRange::From(3)), ..GetOptions::default() };
    assert!(matches!(client(&server).get(&key(), part).await, Err(Error::Backend { .. })));
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stands_still_is_an_error_and_not_an_end() {
    for (act, kind) in [(Act::Truncated, io::ErrorKind::ConnectionAborted), (Act::Stall, io::ErrorKind::TimedOut)] {
        let options = options_for(&act);
        let server = Server::start([act]).await;
        let store = StoreClient::new(server.url(), options).unwrap();
        let object = store.get(&key(), GetOptions::default()).await.unwrap();
        match collect(object.body, 1000).await {
            Err(Error::Body(error)) => assert_eq!(error.kind(), kind),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn refused_credentials_are_told_without_the_token() {
    for status in [401, 403] {
        let server = Server::start([answer(status, "")]).await;
        let store =
            StoreClient::new(server.url(), ClientOptions { token: Some("s3cret".into()), ..options() }).unwrap();
        let error = store.get(&key(), GetOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains("storaged refused this service's credentials"), "{error}");
        assert!(!format!("{error:?} {error} {store:?}").contains("s3cret"));
        assert!(!error.detail().contains("credentials"), "{}", error.detail());
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
}
