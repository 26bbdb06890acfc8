use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::State, middleware::from_fn_with_state, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    Auth, BindError, Metrics, Readiness, Shutdown,
    auth::{ALLOW_NON_LOOPBACK, check_bind},
    body,
    config::{Config, Limits},
    extract::Json,
    request::{self, Stack},
    server,
};

/// Why a service did not start, or ended: one line for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl StartError {
    /// "verb noun: cause".
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What a service has besides its own routes.
#[derive(Debug)]
pub struct App {
    service: &'static str,
    auth: Auth,
    limits: Limits,
    metrics: Metrics,
    readiness: Readiness,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl App {
    /// Checks who may call and where the service listens, before anything else is done.
    ///
    /// # Errors
    /// The bind gate's, or a list in `[auth]` without a valid entry.
    pub fn new(service: &'static str, config: &Config, listener: &TcpListener) -> Result<Self, StartError> {
        let address: SocketAddr = listener.local_addr()?;
        let allow = std::env::var(ALLOW_NON_LOOPBACK).ok();
        check_bind(address, !config.auth.token.is_empty(), allow.as_deref())?;
        Ok(Self {
            service,
            auth: Auth::new(&config.auth)?,
            limits: config.limits.clone(),
            metrics: Metrics::new(service),
            readiness: Readiness::default(),
            tasks: Vec::new(),
        })
    }

    /// What the service waits for.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Adds a member to `/health`.
    pub fn health_detail(&self, member: &str, value: impl Into<serde_json::Value>) {
        self.readiness.detail(member, value);
    }

    /// The service's metrics.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Runs `task` beside the server. It should watch the service's [`Shutdown`]; if it outlives
    /// the deadline it is named in the log and dropped.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push((name, tokio::spawn(task)));
    }

    /// Serves `routes` and the four paths every service has until `shutdown`, then lets requests
    /// under way and the spawned tasks finish, up to `limits.shutdown_seconds`.
    ///
    /// # Errors
    /// None today; the signature leaves room for a listener that breaks for good.
    pub async fn serve(self, listener: TcpListener, routes: Router, shutdown: Shutdown) -> Result<(), StartError> {
        let deadline = Duration::from_secs(self.limits.shutdown_seconds);
        let router = self.router(routes);
        let address = listener.local_addr()?;
        tracing::info!(service = self.service, %address, version = env!("CARGO_PKG_VERSION"), "serving");
        notify(&[sd_notify::NotifyState::Ready]);
        server::serve(listener, router, &self.limits, &self.metrics, &shutdown).await;
        notify(&[sd_notify::NotifyState::Stopping]);
        for (name, mut task) in self.tasks {
            match tokio::time::timeout(deadline, &mut task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(task = name, %error, "task failed"),
                Err(_) => {
                    tracing::warn!(task = name, "task did not stop in time");
                    task.abort();
                }
            }
        }
        tracing::info!(service = self.service, "stopped");
        Ok(())
    }

    /// The routes with the stack around them; for tests, which call it without a listener.
    pub fn router(&self, routes: Router) -> Router {
        let stack = Stack {
            service: self.service,
            auth: self.auth.clone(),
            metrics: self.metrics.clone(),
            running: Arc::default(),
            max_running: self.limits.max_concurrent_requests,
        };
        let own = Router::new()
            .route("/health", get(health))
            .route("/livez", get(async || "ok"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state((self.service, self.readiness.clone(), self.metrics.clone()));
        routes
            .merge(own)
            // A service has no fallback of its own: what it serves stands in its routes.
            .fallback(request::not_found)
            .method_not_allowed_fallback(request::method_not_allowed)
            .layer(from_fn_with_state(Duration::from_secs(self.limits.body_idle_timeout_seconds), body::limited))
            .layer(from_fn_with_state(stack, request::identify))
    }
}

type Shared = (&'static str, Readiness, Metrics);

async fn health(State((service, readiness, _)): State<Shared>) -> impl IntoResponse {
    Json(readiness.health(service))
}

async fn readyz(State((_, readiness, _)): State<Shared>) -> impl IntoResponse {
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness.report()))
}

async fn metrics(State((_, _, metrics)): State<Shared>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
}

/// Tells systemd, where it asked (`NOTIFY_SOCKET`); elsewhere it does nothing.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "notify systemd");
    }
}
