//! embedd in this process, servers that play its provider, and a client that sends bytes.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request, response::Response};
use bytes::Bytes;
use http::HeaderMap;
use lakehouse_common::{
    Shutdown, StartError,
    config::{Config, Sources},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// Nothing in these tests takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fails the test instead of hanging it.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

/// A running embedd; stops when dropped.
pub struct Embedd {
    pub address: SocketAddr,
    shutdown: Shutdown,
}

impl Drop for Embedd {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn detail(&self) -> String {
        assert_eq!(self.content_type, "application/problem+json");
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

fn config(flags: &[(&str, &str)]) -> Arc<Config> {
    let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Arc::new(Config::load(&Sources { flags, ..Sources::default() }).unwrap())
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl Embedd {
    /// With the defaults and `flags` over them.
    pub async fn start(flags: &[(&str, &str)]) -> Self {
        let (listener, address) = listener().await;
        let shutdown = Shutdown::new();
        tokio::spawn(embedd::run(config(flags), listener, shutdown.clone()));
        Self { address, shutdown }
    }

    /// What a start with `flags` fails with.
    pub async fn refused(flags: &[(&str, &str)]) -> StartError {
        let (listener, _) = listener().await;
        soon(embedd::run(config(flags), listener, Shutdown::new())).await.unwrap_err()
    }

    pub async fn get(&self, path: &str) -> Answer {
        soon(self.ask(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        soon(self.ask(Self::request(path, "application/json", &body.to_string()))).await
    }

    pub async fn post_text(&self, path: &str, content_type: &str, body: &str) -> Answer {
        soon(self.ask(Self::request(path, content_type, body))).await
    }

    pub fn request(path: &str, content_type: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    }

    async fn ask(&self, request: String) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        // A service that refuses a long body does not read it to its end, and closes.
        let writing = tokio::spawn(async move {
            let _ = writer.write_all(request.as_bytes()).await;
            writer
        });
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes).await;
        assert!(read.is_ok() || !bytes.is_empty(), "{read:?}");
        writing.abort();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        assert_eq!(header("transfer-encoding"), None, "answers in these tests have a length");
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            content_type: header("content-type").unwrap_or_default(),
            text: body.to_owned(),
        }
    }
}

/// A server that plays a provider: it writes down what it gets, and answers as it is told.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Told when a request that was not answered is given up by its sender.
    pub given_up: Arc<Notify>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

struct GivenUp(Option<Arc<Notify>>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(notify) = &self.0 {
            notify.notify_one();
        }
    }
}

impl Upstream {
    /// Answers each request with what `answer` makes of its number (from 0) and body; `None`: never.
    pub async fn start(answer: impl Fn(usize, &Value) -> Option<Response> + Clone + Send + Sync + 'static) -> Self {
        let (listener, address) = listener().await;
        let (seen, given_up): (Arc<Mutex<Vec<Seen>>>, _) = (Arc::default(), Arc::new(Notify::new()));
        let (log, notify) = (Arc::clone(&seen), Arc::clone(&given_up));
        let handler = move |request: Request| {
            let (log, notify, answer) = (Arc::clone(&log), Arc::clone(&notify), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let body: Value = serde_json::from_slice(&body).unwrap();
                let number = {
                    let mut log = log.lock().unwrap();
                    let path = parts.uri.path().to_owned();
                    log.push(Seen { path, headers: parts.headers, body: body.clone() });
                    log.len() - 1
                };
                let mut waiting = GivenUp(Some(notify));
                let response = match answer(number, &body) {
                    Some(response) => response,
                    None => std::future::pending().await,
                };
                waiting.0 = None;
                response
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        Self { address, seen, given_up }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}
