//! The contract over S3, where there is an endpoint: `scripts/with-moto cargo test ...` starts one.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use lakehouse_objstore::{ObjectStore, S3, S3Options, contract};

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
