//! A small HTTP server for tests, in the process of the test: a function answers, and what was asked
//! is remembered. Included by path from the tests that need a gateway to talk to.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    #[allow(dead_code, reason = "not every test that includes this looks at it")]
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// What is answered.
#[allow(dead_code, reason = "not every test that includes this needs every kind")]
pub(crate) enum Reply {
    Json(u16, Value),
    Bytes(u16, &'static str, Vec<u8>),
    /// The head and half of the body, then the connection is closed.
    BreakOff,
    /// Nothing, until the server is dropped.
    Stall,
}

/// The server; gone when it is dropped.
pub(crate) struct FakeHttp {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    asked: Mutex<Vec<Asked>>,
    more: Condvar,
    is_over: AtomicBool,
}

impl FakeHttp {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared =
            Arc::new(Shared { asked: Mutex::default(), more: Condvar::new(), is_over: AtomicBool::new(false) });
        let (answer, inner) = (Arc::new(answer), Arc::clone(&shared));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if inner.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), answer, inner) = (stream, Arc::clone(&answer), Arc::clone(&inner)) else { continue };
                std::thread::spawn(move || serve(stream, &inner, &*answer));
            }
        });
        Self { url, shared }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits until `path` was asked for so many times.
    #[allow(dead_code, reason = "not every test that includes this waits")]
    pub(crate) fn wait_for(&self, path: &str, times: usize) {
        let asked = self.shared.asked.lock().unwrap();
        let not_yet = |asked: &mut Vec<Asked>| asked.iter().filter(|asked| asked.path == path).count() < times;
        let (_asked, outcome) = self.shared.more.wait_timeout_while(asked, Duration::from_secs(60), not_yet).unwrap();
        assert!(!outcome.timed_out(), "{path} was not asked for {times} times");
    }
}

impl Drop for FakeHttp {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.more.notify_all();
        // Wakes the listener up, so that it sees that it is over.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

fn serve(mut stream: TcpStream, shared: &Shared, answer: &dyn Fn(&Asked) -> Reply) {
    let Some(asked) = read(&stream) else { return };
    shared.asked.lock().unwrap().push(asked.clone());
    shared.more.notify_all();
    let reply = answer(&asked);
    // Whoever asked may be gone by now.
    let _ = match reply {
        Reply::Json(status, body) => write(&mut stream, status, "application/json", body.to_string().as_bytes()),
        Reply::Bytes(status, content_type, body) => write(&mut stream, status, content_type, &body),
        Reply::BreakOff => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"choices\":"),
        Reply::Stall => {
            let asked = shared.asked.lock().unwrap();
            let still = |_: &mut Vec<Asked>| !shared.is_over.load(Ordering::SeqCst);
            drop(shared.more.wait_timeout_while(asked, Duration::from_secs(60), still).unwrap());
            Ok(())
        }
    };
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, authorization, body })
}

fn write(stream: &mut TcpStream, status: u16, content_type: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}
