//! The service over a real socket: streaming, hanging up, two of them over one root.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use lakehouse_client::{ClientOptions, StoreClient};
use lakehouse_common::{
    Shutdown,
    config::{Config, Sources},
};
use lakehouse_objstore::{GetOptions, ObjectStore as _, PutOptions, contract};
use lakehouse_testkit::Service;
use lakehouse_types::ObjectKey;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn start(root: &Path) -> Service {
    Service::start(storaged::run, &[("storaged.root", root.to_str().unwrap())]).await
}

fn client(service: &Service) -> StoreClient {
    StoreClient::new(service.url(), ClientOptions::default()).unwrap()
}

fn key(key: &str) -> ObjectKey {
    ObjectKey::new(key).unwrap()
}

fn temporary_files(root: &Path) -> usize {
    std::fs::read_dir(root.join("tmp")).unwrap().count()
}

/// Waits, with a deadline, for what another task has to do first.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within 60 s");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// All promises of the trait, through the client, the socket and the routes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_contract_holds_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    contract::run(Arc::new(client(&service)), contract::Options::default()).await;
    assert_eq!(temporary_files(dir.path()), 0);
    service.stop().await;
}

/// The sender and the receiver keep step: neither side can have held the object whole. A stream
/// of unannounced length is read back while only a window of it ever exists in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_objects_stream_in_both_directions() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 64;
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let store = client(&service);
    let body = futures::stream::iter((0..PIECES).map(|i| Ok(Bytes::from(vec![i as u8; PIECE])))).boxed();
    let outcome = store.put(&key("large"), body, PutOptions::default()).await.unwrap();
    assert_eq!(outcome.size, (PIECE * PIECES) as u64);
    let mut object = store.get(&key("large"), GetOptions::default()).await.unwrap();
    let mut at = 0;
    while let Some(piece) = object.body.next().await {
        for byte in piece.unwrap() {
            assert_eq!(byte, (at / PIECE) as u8, "at {at}");
            at += 1;
        }
    }
    assert_eq!(at, PIECE * PIECES);
    service.stop().await;
}

async fn connect(service: &Service) -> TcpStream {
    TcpStream::connect(service.url().strip_prefix("http://").unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_hangs_up_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let store = client(&service);
    store.put(&key("a"), lakehouse_objstore::body("old"), PutOptions::default()).await.unwrap();
    for framing in ["Content-Length: 100000000", "Transfer-Encoding: chunked"] {
        let mut caller = connect(&service).await;
        let head = format!("PUT /storage/objects/a HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n");
        caller.write_all(head.as_bytes()).await.unwrap();
        if framing.contains("chunked") {
            caller.write_all(b"200000\r\n").await.unwrap();
        }
        caller.write_all(&vec![7; 2 << 20]).await.unwrap();
        until("some of the body is on disk", || temporary_files(dir.path()) == 1).await;
        drop(caller);
        until("it is gone again", || temporary_files(dir.path()) == 0).await;
    }
    let object = store.get(&key("a"), GetOptions::default()).await.unwrap();
    assert_eq!(lakehouse_objstore::collect(object.body, 100).await.unwrap(), "old");
    service.stop().await;
}

/// A caller that is still sending reads why it was refused, and not a reset connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_a_caller_in_full_flow() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let size = 8 << 20;
    let mut caller = connect(&service).await;
    let head = format!("PUT /storage/objects/a%00 HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n");
    caller.write_all(head.as_bytes()).await.unwrap();
    caller.write_all(&vec![7; size]).await.unwrap();
    let mut answer = vec![0; 12];
    caller.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 400");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_announces_the_length_on_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    let store = client(&service);
    store.put(&key("a"), lakehouse_objstore::body("12345"), PutOptions::default()).await.unwrap();
    let mut caller = connect(&service).await;
    caller.write_all(b"HEAD /storage/objects/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200") && head.to_lowercase().contains("\r\ncontent-length: 5\r\n"), "{head}");
    assert_eq!(body, "");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_survive_the_service_and_one_root_has_one_service() {
    let dir = tempfile::tempdir().unwrap();
    let service = start(dir.path()).await;
    client(&service).put(&key("a/b"), lakehouse_objstore::body("kept"), PutOptions::default()).await.unwrap();
    let flags = vec![("storaged.root".to_owned(), dir.path().to_str().unwrap().to_owned())];
    let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = storaged::run(Arc::new(config), listener, Shutdown::new()).await.unwrap_err().to_string();
    assert!(second.starts_with("storaged.root: ") && second.contains("another process"), "{second}");
    service.stop().await;
    let service = start(dir.path()).await;
    let object = client(&service).get(&key("a/b"), GetOptions::default()).await.unwrap();
    assert_eq!(lakehouse_objstore::collect(object.body, 100).await.unwrap(), "kept");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_goes_away_makes_the_service_unready() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let service = start(&root).await;
    assert_eq!(status(&service, "/readyz").await, 200);
    std::fs::rename(&root, dir.path().join("elsewhere")).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while status(&service, "/readyz").await != 503 {
        assert!(tokio::time::Instant::now() < deadline, "still ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&service, "/livez").await, 200);
    service.stop().await;
}

async fn status(service: &Service, path: &str) -> u16 {
    let mut caller = connect(service).await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    caller.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    answer[9..12].parse().unwrap()
}
