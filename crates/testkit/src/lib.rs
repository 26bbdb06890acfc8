//! Services in this process, on free ports and temporary directories. For tests only.

#![expect(clippy::unwrap_used, reason = "what can't be set up fails the test, by panicking")]

use std::{future::Future, path::Path, sync::Arc};

use lakehouse_common::{
    Shutdown, StartError,
    config::{Config, Sources},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// A service that runs in this process until it is dropped or stopped.
#[derive(Debug)]
pub struct Service {
    url: String,
    shutdown: Shutdown,
    task: Option<JoinHandle<Result<(), StartError>>>,
}

impl Service {
    /// Starts `run` on a free port of loopback, with the defaults and `flags` over them
    /// (`("storaged.root", "/tmp/x")`).
    pub async fn start<F, Fut>(run: F, flags: &[(&str, &str)]) -> Self
    where
        F: FnOnce(Arc<Config>, TcpListener, Shutdown) -> Fut,
        Fut: Future<Output = Result<(), StartError>> + Send + 'static,
    {
        let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let task = tokio::spawn(run(Arc::new(config), listener, shutdown.clone()));
        Self { url, shutdown, task: Some(task) }
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the service as SIGTERM would, and waits for its end.
    pub async fn stop(mut self) {
        self.shutdown.trigger();
        if let Some(task) = self.task.take() {
            task.await.unwrap().unwrap();
        }
    }

    /// Ends the service where it stands, as kill -9 would: nothing of it runs to its end.
    pub async fn kill(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.trigger();
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// storaged over `root`.
pub async fn storaged(root: &Path) -> Service {
    Service::start(storaged::run, &[("storaged.root", root.to_str().unwrap())]).await
}

/// catalogd over `store`.
pub async fn catalogd(store: &Service) -> Service {
    Service::start(catalogd::run, &[("catalogd.storaged_url", store.url()), ("catalogd.refresh_seconds", "1")]).await
}
