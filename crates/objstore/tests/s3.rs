//! The contract over S3, where there is an endpoint: `scripts/with-moto cargo test ...` starts one.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod s3_support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures::StreamExt as _;
use lakehouse_objstore::{Condition, GetOptions, ObjectStore, PutOptions, S3, S3Options, body, collect, contract};
use lakehouse_types::ObjectKey;
use s3_support::{LossyProxy, uploads_under_way};

/// Absent, with a line that says so, where no endpoint is given.
fn options(test: &str) -> Option<S3Options> {
    static BUCKETS: AtomicU64 = AtomicU64::new(0);
    let Ok(endpoint) = std::env::var("LAKEHOUSE_TEST_S3_ENDPOINT") else {
        eprintln!("SKIPPED: {test}: LAKEHOUSE_TEST_S3_ENDPOINT is not set (scripts/with-moto sets it)");
        return None;
    };
    let from_environment = |name: &str| std::env::var(name).unwrap_or_else(|_| "test".to_owned());
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    Some(S3Options {
        endpoint: Some(endpoint),
        region: "us-east-1".to_owned(),
        bucket: format!("contract-{nanos}-{}", BUCKETS.fetch_add(1, Ordering::Relaxed)),
        prefix: String::new(),
        path_style: true,
        create_bucket: true,
        access_key_id: from_environment("AWS_ACCESS_KEY_ID"),
        secret_access_key: from_environment("AWS_SECRET_ACCESS_KEY"),
        session_token: None,
    })
}

fn suite() -> contract::Options {
    // More than two parts.
    contract::Options { large_bytes: 18 << 20, ..contract::Options::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_keeps_the_contract() {
    let Some(options) = options("s3_keeps_the_contract") else { return };
    let store = Arc::new(S3::open(options).await.unwrap());
    contract::run(store, suite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_keeps_the_contract_below_a_prefix() {
    let Some(options) = options("s3_keeps_the_contract_below_a_prefix") else { return };
    let options = S3Options { prefix: "/some/where/".to_owned(), ..options };
    let store = Arc::new(S3::open(options).await.unwrap());
    let suite = contract::Options { max_key_bytes: 1024 - "some/where/".len(), large_bytes: 1 << 20, ..suite() };
    contract::run(store, suite).await;
}

fn key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

/// The endpoint writes the object and its answer gets lost. The request is sent again, meets what it
/// has written itself, and must not take that for somebody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_is_not_taken_for_a_conflict() {
    let Some(options) = options("a_write_whose_answer_is_lost_is_not_taken_for_a_conflict") else { return };
    let proxy = LossyProxy::start(options.endpoint.as_deref().unwrap()).await;
    let store = S3::open(S3Options { endpoint: Some(proxy.url()), ..options }).await.unwrap();
    let when = |condition| PutOptions { condition, ..PutOptions::default() };
    proxy.lose_answer_to("if-none-match: *");
    let made = store.put(&key("a"), body("mine"), when(Condition::IfAbsent)).await.unwrap();
    assert_eq!(proxy.lost(), 1);
    let theirs = store.put(&key("a"), body("theirs"), when(Condition::IfAbsent)).await.unwrap_err();
    assert!(theirs.is_precondition_failed(), "{theirs:?}");
    proxy.lose_answer_to("if-match: ");
    store.put(&key("a"), body("mine again"), when(Condition::IfMatch(made.etag))).await.unwrap();
    assert_eq!(proxy.lost(), 2);
    let object = store.get(&key("a"), GetOptions::default()).await.unwrap();
    assert_eq!(collect(object.body, 100).await.unwrap(), "mine again");
    // An upload that was completed is forgotten by the time its completion is asked for again.
    proxy.lose_answer_to("?uploadid=");
    let large = Bytes::from(vec![7; 20 << 20]);
    let stored = store.put(&key("large"), body(large.clone()), PutOptions::default()).await.unwrap();
    assert_eq!(proxy.lost(), 3);
    let object = store.get(&key("large"), GetOptions::default()).await.unwrap();
    assert_eq!(object.meta.etag, stored.etag);
    assert!(collect(object.body, large.len()).await.unwrap() == large);
}

/// Parts that nobody aborts are kept, and paid for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_and_dropped_uploads_are_aborted() {
    let Some(options) = options("failed_and_dropped_uploads_are_aborted") else { return };
    let store = S3::open(options.clone()).await.unwrap();
    let parts = || futures::stream::iter((0..20).map(|_| Ok(Bytes::from(vec![7; 1 << 20]))));
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let broken = parts().chain(futures::stream::iter([Err(reset)])).boxed();
    store.put(&key("a"), broken, PutOptions::default()).await.unwrap_err();
    assert_eq!(uploads_under_way(&options).await, 0);

    let endless = parts().chain(futures::stream::pending()).boxed();
    let put = tokio::spawn(async move { store.put(&key("a"), endless, PutOptions::default()).await });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while uploads_under_way(&options).await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the upload does not begin");
    }
    put.abort();
    while uploads_under_way(&options).await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "the upload is not aborted");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let Some(options) = options("a_missing_bucket_is_named") else { return };
    let bucket = options.bucket.clone();
    let error = S3::open(S3Options { create_bucket: false, ..options }).await.unwrap_err().to_string();
    assert!(error.contains(&format!("bucket `{bucket}` does not exist")), "{error}");
    assert!(error.contains("create_bucket"), "{error}");
}

#[tokio::test]
async fn nothing_is_left_of_the_probe() {
    let Some(options) = options("nothing_is_left_of_the_probe") else { return };
    let store = S3::open(options).await.unwrap();
    assert!(store.list("", None, 10).await.unwrap().objects.is_empty());
    store.check().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_an_error_without_credentials() {
    let options = S3Options {
        // Nothing listens on port 1, and a refused connection is known at once.
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        region: "us-east-1".to_owned(),
        bucket: "b".to_owned(),
        prefix: String::new(),
        path_style: true,
        create_bucket: false,
        access_key_id: "AKIAVERYSECRET".to_owned(),
        secret_access_key: "alsoverysecret".to_owned(),
        session_token: Some("tokensecret".to_owned()),
    };
    let debug = format!("{options:?}");
    let error = S3::open(options).await.unwrap_err();
    let text = format!("{error} {error:?} {debug}");
    assert!(matches!(error, lakehouse_objstore::Error::Unavailable { .. }), "{error:?}");
    assert!(!text.to_lowercase().contains("secret"), "{text}");
}
