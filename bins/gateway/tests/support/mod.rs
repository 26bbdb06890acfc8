//! A gateway in this process, services that do as a test tells them, and a client that sends bytes.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use lakehouse_common::{
    Shutdown,
    config::{Config, ServiceUrl},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

/// Nothing in these tests takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Fails the test instead of hanging it.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("this should not take so long")
}

/// A running gateway; stops when dropped.
pub struct Gateway {
    pub address: SocketAddr,
    shutdown: Shutdown,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Gateway {
    /// All services at `service`, and whatever `edit` changes.
    pub async fn start(service: SocketAddr, edit: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        for url in [
            &mut config.gateway.storaged_url,
            &mut config.gateway.catalogd_url,
            &mut config.gateway.ingestd_url,
            &mut config.gateway.queryd_url,
            &mut config.gateway.vectord_url,
            &mut config.gateway.embedd_url,
        ] {
            *url = url_of(service);
        }
        edit(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(gateway::run(Arc::new(config), listener, shutdown.clone()));
        Self { address, shutdown }
    }

    pub async fn send(&self, request: Request) -> http::Response<hyper::body::Incoming> {
        send(self.address, request).await
    }

    /// Sends and reads the whole answer.
    pub async fn ask(&self, request: Request) -> (u16, HeaderMap, Bytes) {
        let (parts, body) = soon(self.send(request)).await.into_parts();
        (parts.status.as_u16(), parts.headers, soon(body.collect()).await.unwrap().to_bytes())
    }

    /// A problem's status, detail and service.
    pub async fn problem(&self, request: Request) -> (u16, String, Option<String>) {
        let (status, headers, body) = self.ask(request).await;
        assert_eq!(headers["content-type"], "application/problem+json", "{body:?}");
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["status"], status);
        assert!(problem["request_id"].is_string());
        let text = |member: &str| problem[member].as_str().map(str::to_owned);
        (status, text("detail").unwrap(), text("service"))
    }

    /// Sends bytes, and reads until the gateway closes.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_ref()).await.unwrap();
        read_to_close(&mut stream).await
    }
}

/// What comes until the other side closes; a reset counts as that.
pub async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// What comes until `end` is in it.
pub async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let n = soon(stream.read(&mut buffer)).await.unwrap();
        assert!(n > 0, "closed before {end:?}: {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    text
}

pub fn url_of(address: SocketAddr) -> ServiceUrl {
    ServiceUrl::new(&format!("http://{address}")).unwrap()
}

/// One request over a connection of its own.
pub async fn send(address: SocketAddr, mut request: Request) -> http::Response<hyper::body::Incoming> {
    if !request.headers().contains_key("host") {
        request.headers_mut().insert("host", "lake.example".parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

pub fn get(path: &str) -> Request {
    request(Method::GET, path, "")
}

pub fn post(path: &str, body: &str) -> Request {
    request(Method::POST, path, body)
}

pub fn request(method: Method, path: &str, body: &str) -> Request {
    Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap()
}

/// A request as a service saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A service that keeps what it saw and answers as it is told.
pub struct Fake {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Answers every request with `answer`, once it has read the request's body.
    pub async fn start(answer: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let target = parts.uri.to_string();
            let seen = Seen { method: parts.method, target, headers: parts.headers, body };
            let response = answer(&seen);
            log.lock().unwrap().push(seen);
            response
        });
        let (address, task) = serve(router).await;
        Self { address, seen, task }
    }

    /// Answers 200 with the target it was asked for.
    pub async fn echo() -> Self {
        Self::start(|seen| Response::new(Body::from(seen.target.clone()))).await
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }
}

/// Serves `router` on a port of its own.
pub async fn serve(router: Router) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

/// An address that nothing listens on, and that nobody else is given while this process lives.
pub fn nobody() -> SocketAddr {
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap();
    std::mem::forget(taken);
    address
}

/// A service that is handed each connection, with its number from 0.
pub async fn wire<F: Future<Output = ()> + Send + 'static>(
    each: impl Fn(usize, TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(each(number, stream));
        }
    });
    address
}
