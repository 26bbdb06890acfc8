//! The stack around every service, over a real socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Bytes, routing};
use lakehouse_common::{
    ApiError, App, Shutdown,
    config::{Config, Sources},
};
use lakehouse_types::ErrorKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

struct Service {
    address: SocketAddr,
    shutdown: Shutdown,
    done: JoinHandle<()>,
    release: Arc<Notify>,
}

async fn start(flags: &[(&str, &str)]) -> Service {
    let flags = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = App::new("test", &config, &listener).unwrap();
    let release = Arc::new(Notify::new());
    let wait = Arc::clone(&release);
    let routes = Router::new()
        .route("/echo", routing::post(async |body: Bytes| body))
        .route("/wait", routing::get(async move || wait.notified().await))
        .route("/panic", routing::get(async || -> &'static str { panic!("on purpose") }))
        .route("/busy", routing::get(async || ApiError::new(ErrorKind::Unavailable, "busy")));
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let done = tokio::spawn(async move { app.serve(listener, routes, stop).await.unwrap() });
    Service { address, shutdown, done, release }
}

/// Sends `request` as it stands and reads the answer to its end.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close before all is sent; what it answered is still there to read.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

#[tokio::test]
async fn errors_are_problems_with_the_callers_request_id() {
    let service = start(&[]).await;
    for (path, status) in [("/nowhere", 404), ("/echo", 405), ("/panic", 500), ("/busy", 503)] {
        let answer = raw(service.address, &get(path, "x-request-id: me-1\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{answer}");
        assert!(answer.contains("x-request-id: me-1"), "{answer}");
        assert!(answer.contains("\"request_id\":\"me-1\""), "{answer}");
        assert!(!answer.contains("on purpose"), "{answer}");
    }
    let answer = raw(service.address, &get("/livez", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("x-request-id: "), "{answer}");
}

#[tokio::test]
async fn the_token_guards_all_but_health() {
    let service = start(&[("auth.token", "t0ken")]).await;
    for path in ["/health", "/livez", "/readyz"] {
        assert!(raw(service.address, &get(path, "")).await.starts_with("HTTP/1.1 200 "), "{path}");
    }
    for path in ["/metrics", "/echo", "/nowhere", "//health", "/health/"] {
        let answer = raw(service.address, &get(path, "")).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{path}: {answer}");
        assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
    }
    let answer = raw(service.address, &get("/metrics", "authorization: Bearer t0ken\r\n")).await;
    assert!(answer.contains("lakehouse_build_info"), "{answer}");
}

#[tokio::test]
async fn an_address_off_the_list_is_forbidden() {
    let service = start(&[("auth.allowed_ips", "10.0.0.0/8"), ("auth.trusted_proxies", "127.0.0.1")]).await;
    assert!(raw(service.address, &get("/metrics", "")).await.starts_with("HTTP/1.1 403 "));
    let via = get("/metrics", "x-forwarded-for: 10.1.2.3\r\n");
    assert!(raw(service.address, &via).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_megabyte_of_headers_is_refused_and_the_connection_closed() {
    let service = start(&[]).await;
    let huge = format!("x-junk: {}\r\n", "a".repeat(1 << 20));
    let answer = raw(service.address, &get("/livez", &huge)).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{}", &answer[..answer.len().min(200)]);
    assert!(raw(service.address, &get("/livez", "")).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_caller_that_is_refused_while_it_sends_learns_why() {
    let service = start(&[]).await;
    let body = vec![b'x'; 8 << 20];
    let head =
        format!("POST /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    // A blocking client in its usual order: all of the request first, then the answer.
    let answer = raw(service.address, &[head.as_bytes(), &body].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    // One that asks first is told at once, and never sends.
    let waits =
        "POST /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 9999\r\n\r\n";
    let answer = raw(service.address, waits.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn headers_and_bodies_that_stand_still_are_given_up() {
    let service = start(&[("limits.header_timeout_seconds", "1"), ("limits.body_idle_timeout_seconds", "1")]).await;
    let headers = raw(service.address, b"GET /livez HTTP/1.1\r\nhost: x\r\n").await;
    assert!(headers.is_empty() || headers.starts_with("HTTP/1.1 408 "), "{headers}");
    let body = raw(service.address, b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(body.starts_with("HTTP/1.1 4"), "{body}");
}

#[tokio::test]
async fn past_the_caps_callers_are_told_to_come_back() {
    let service = start(&[("limits.max_concurrent_requests", "1"), ("limits.max_connections", "3")]).await;
    let address = service.address;
    let held = tokio::spawn(async move { raw(address, &get("/wait", "")).await });
    let busy = loop {
        let answer = raw(address, &get("/metrics", "")).await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            break answer;
        }
    };
    assert!(busy.starts_with("HTTP/1.1 503 ") && busy.contains("retry-after: 1"), "{busy}");
    assert!(raw(address, &get("/livez", "")).await.starts_with("HTTP/1.1 200 "), "health is never refused");

    let idle = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let refused = loop {
        let answer = raw(address, &get("/livez", "")).await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            break answer;
        }
    };
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 503 "), "{refused}");
    drop(idle);
    service.release.notify_waiters();
    assert!(held.await.unwrap().starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn shutdown_lets_requests_finish_and_takes_no_new_ones() {
    let service = start(&[]).await;
    let address = service.address;
    let held = tokio::spawn(async move { raw(address, &get("/wait", "")).await });
    // `/metrics` itself is one request under way; two means that the held one has arrived.
    while !raw(address, &get("/metrics", "")).await.contains("in_flight 2") {}
    service.shutdown.trigger();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!service.done.is_finished());
    service.release.notify_waiters();
    assert!(held.await.unwrap().starts_with("HTTP/1.1 200 "));
    tokio::time::timeout(Duration::from_secs(60), service.done).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_has_a_deadline() {
    let service = start(&[("limits.shutdown_seconds", "1")]).await;
    let address = service.address;
    let _held = tokio::spawn(async move { raw(address, &get("/wait", "")).await });
    while !raw(address, &get("/metrics", "")).await.contains("in_flight 2") {}
    service.shutdown.trigger();
    tokio::time::timeout(Duration::from_secs(60), service.done).await.unwrap().unwrap();
}
