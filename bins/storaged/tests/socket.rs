//! What needs a connection and a directory: callers that hang up, and a second copy.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc, time::Duration};

use lakehouse_common::{
    Shutdown,
    config::{Config, Sources},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

fn config(root: &Path) -> Arc<Config> {
    let flags = vec![("storaged.root".to_owned(), root.to_str().unwrap().to_owned())];
    Arc::new(Config::load(&Sources { flags, ..Sources::default() }).unwrap())
}

fn files(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let server = tokio::spawn(storaged::run(config(root.path()), listener, shutdown.clone()));

    // The object is there first, so that "unchanged" is something to see.
    let put = "PUT /storage/objects/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nold";
    assert!(ask(address, put).await.starts_with("HTTP/1.1 201 "));
    let before = files(root.path());
    for _ in 0..5 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "PUT /storage/objects/k HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
    }
    let get = "GET /storage/objects/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(ask(address, get).await.ends_with("\r\n\r\nold"));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while files(root.path()) != before {
        assert!(tokio::time::Instant::now() < deadline, "temporary files stay");
        tokio::task::yield_now().await;
    }

    // While it runs, nobody else may have the directory.
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = storaged::run(config(root.path()), second, Shutdown::new()).await.unwrap_err();
    assert!(refused.to_string().starts_with("open object store: "), "{refused}");
    shutdown.trigger();
    server.await.unwrap().unwrap();
}
