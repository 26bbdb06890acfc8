//! One queryd on a free port.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use lakehouse_common::{
    App, Shutdown,
    config::{Config, Sources},
};
use lakehouse_query::{Engine, Isolation, Options};
use queryd::{AppState, QueryMetrics, router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::lake::Lake;

pub(crate) struct Service {
    pub(crate) directory: TempDir,
    pub(crate) lake: Arc<Lake>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) url: String,
    client: reqwest::Client,
    shutdown: Shutdown,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Of a problem, which this must be.
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let directory = TempDir::new().unwrap();
        let mut options = options(directory.path());
        change(&mut options);
        let lake = Arc::new(Lake::default());
        let metrics = Arc::new(QueryMetrics::default());
        let engine = Engine::start(options, lake.store.clone(), lake.clone(), metrics).await.unwrap();
        let engine = Arc::new(engine);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = Config::load(&Sources::default()).unwrap();
        let app = App::new("queryd", &config, &listener).unwrap();
        let shutdown = Shutdown::new();
        let served = app.serve(listener, router(AppState::new(Arc::clone(&engine))), shutdown.clone());
        tokio::spawn(served);
        Self { directory, lake, engine, url, client: client(), shutdown }
    }

    pub(crate) async fn sql(&self, sql: &str) -> Answer {
        self.sql_as(sql, None).await
    }

    pub(crate) async fn sql_as(&self, sql: &str, accept: Option<&str>) -> Answer {
        self.post(json!({ "sql": sql }).to_string(), "application/json", accept).await.unwrap()
    }

    /// An error where the answer breaks off.
    pub(crate) async fn post(
        &self,
        body: String,
        content_type: &str,
        accept: Option<&str>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.post(format!("{}/sql", self.url)).header("content-type", content_type).body(body);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    /// The rows of a statement that must succeed.
    pub(crate) async fn rows(&self, sql: &str) -> Value {
        let answer = self.sql(sql).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.json()["rows"].take()
    }

    pub(crate) fn cache_directory(&self) -> PathBuf {
        self.directory.path().join("cache").canonicalize().unwrap()
    }

    pub(crate) async fn until_idle(&self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.engine.stats().running > 0 {
            assert!(tokio::time::Instant::now() < deadline, "a query still runs");
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// The worker processes of the service with this cache: its children that stand in it. Tests run
/// beside each other, and each has its own.
pub(crate) fn workers(cache: &Path) -> Vec<u32> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let children: Vec<String> = tasks.map(|task| read(&task.path().join("children"))).collect();
    let pids = children.iter().flat_map(|list| list.split_ascii_whitespace()).filter_map(|pid| pid.parse().ok());
    pids.filter(|pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cache)).collect()
}

/// Kills the processes of this service's workers, by their ids; how many there were.
pub(crate) fn kill_workers(service: &Service) -> usize {
    let workers = workers(&service.cache_directory());
    for worker in &workers {
        // It may have died since.
        let _ = Command::new("kill").args(["-9", &worker.to_string()]).stderr(Stdio::null()).status();
    }
    workers.len()
}

pub(crate) fn client() -> reqwest::Client {
    // Built without a default provider; it is never used over plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(120)).build().unwrap()
}

pub(crate) fn options(directory: &Path) -> Options {
    Options {
        cache_dir: directory.join("cache"),
        cache_bytes: 64 << 20,
        spill_dir: directory.join("spill"),
        spill_bytes: 64 << 20,
        memory_bytes: 256 << 20,
        threads: 2,
        max_concurrent: 2,
        max_queued: 4,
        timeout: Duration::from_secs(60),
        max_result_bytes: 256 << 20,
        isolation: Isolation::Process { program: env!("CARGO_BIN_EXE_queryd").into() },
    }
}
