//! A server that does exactly what its script says, one line a request, and keeps what it was sent.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lakehouse_client::ClientOptions;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// What to do with one request, after it was read.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// A whole answer: status, headers, body.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// No answer; the connection is closed.
    HangUp,
    /// The head of an answer that announces more body than comes, then the end of the connection.
    Truncated,
    /// The head and some body, and nothing more.
    Stall,
    /// Nothing at all, but the connection stays.
    Silence,
}

/// An answer without further headers.
pub(crate) fn answer(status: u16, body: impl Into<Vec<u8>>) -> Act {
    Act::Answer(status, Vec::new(), body.into())
}

/// An answer with headers, such as `"etag: \"a\""`.
pub(crate) fn with(status: u16, headers: &[&str], body: impl Into<Vec<u8>>) -> Act {
    let split = |line: &&str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    Act::Answer(status, headers.iter().map(split).collect(), body.into())
}

/// A problem of ours.
pub(crate) fn problem(status: u16, slug: &str) -> Act {
    answer(status, format!(r#"{{"type":"urn:lakehouse:{slug}","title":"t","status":{status},"detail":"told"}}"#))
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<VecDeque<Act>>,
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
}

/// Stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    port: u16,
    task: AbortHandle,
}

impl Server {
    pub(crate) async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    pub(crate) fn on(listener: TcpListener, script: impl IntoIterator<Item = Act>) -> Self {
        let shared = Arc::new(Shared { script: Mutex::new(script.into_iter().collect()), ..Shared::default() });
        let port = listener.local_addr().unwrap().port();
        let accepting = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(connection, Arc::clone(&accepting)));
            }
        });
        Self { shared, port, task: task.abort_handle() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The one request that was made.
    pub(crate) fn request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(connection: TcpStream, shared: Arc<Shared>) {
    let mut connection = BufReader::new(connection);
    while let Some(request) = read(&mut connection).await {
        let act = shared.script.lock().unwrap().pop_front();
        shared.requests.lock().unwrap().push(request.clone());
        match act.unwrap_or_else(|| answer(500, "the script is at its end")) {
            Act::Answer(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                let bodiless = request.line.starts_with("HEAD") || status == 304 || status == 204;
                if !bodiless {
                    head.push_str(&format!("content-length: {}\r\n", body.len()));
                }
                head.push_str("\r\n");
                connection.write_all(head.as_bytes()).await.unwrap();
                if !bodiless {
                    connection.write_all(&body).await.unwrap();
                }
            }
            Act::HangUp => return,
            Act::Truncated => {
                connection.write_all(TORN).await.unwrap();
                return;
            }
            Act::Stall => {
                connection.write_all(TORN).await.unwrap();
                std::future::pending::<()>().await;
            }
            Act::Silence => std::future::pending::<()>().await,
        }
    }
}

const TORN: &[u8] = b"HTTP/1.1 200 OK\r\netag: \"e\"\r\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    content-length: 100\r\n\r\nsome";

/// `None` where the connection ends before the request does.
async fn read(connection: &mut BufReader<TcpStream>) -> Option<Request> {
    let line = read_line(connection).await?;
    let mut headers = BTreeMap::new();
    loop {
        let header = read_line(connection).await?;
        let Some((name, value)) = header.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        body.resize(length.parse().unwrap(), 0);
        connection.read_exact(&mut body).await.ok()?;
    } else if headers.contains_key("transfer-encoding") {
        loop {
            let size = usize::from_str_radix(&read_line(connection).await?, 16).unwrap();
            let start = body.len();
            body.resize(start + size, 0);
            connection.read_exact(&mut body[start..]).await.ok()?;
            read_line(connection).await?;
            if size == 0 {
                break;
            }
        }
    }
    Some(Request { line, headers, body })
}

async fn read_line(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = connection.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// Limits that no answer comes near, however busy the machine is.
pub(crate) fn options() -> ClientOptions {
    let long = Duration::from_secs(60);
    ClientOptions {
        connect_timeout: long,
        timeout: long,
        idle_timeout: long,
        commit_timeout: long,
        retry_window: Duration::from_secs(30),
        ..ClientOptions::default()
    }
}

/// Waits of this length, for a test of what comes after one. Answers before and after it must come
/// within it too.
pub(crate) fn impatient(limit: Duration) -> ClientOptions {
    ClientOptions { timeout: limit, idle_timeout: limit, commit_timeout: limit, ..options() }
}

/// For one request that is treated so: short waits where nothing else would end it.
pub(crate) fn options_for(act: &Act) -> ClientOptions {
    if matches!(act, Act::Silence | Act::Stall) { impatient(Duration::from_secs(1)) } else { options() }
}
