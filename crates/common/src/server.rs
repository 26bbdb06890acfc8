//! Accepting and serving connections.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt as _;

use crate::{Metrics, Shutdown, config::Limits, connection::Connection, request::PeerAddr};

/// How long to wait when the process has no file descriptor left for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors kept for files and upstream connections; the rest may be callers'.
const RESERVED_FILES: usize = 512;

/// What a caller over the cap is told; there is no place to serve it even an error.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";

/// Serves until `shutdown`, then until the requests under way are answered or the time is up.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    metrics: &Metrics,
    shutdown: &Shutdown,
) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits.header_timeout_seconds))
        .max_buf_size(limits.max_header_bytes);
    let write_limit = Duration::from_secs(limits.write_idle_timeout_seconds);
    let places = Arc::new(Semaphore::new(limits.max_connections.min(open_file_limit())));
    let graceful = GracefulShutdown::new();
    // Routes are fixed from here on; this makes each request clone an Arc, not a routing table.
    let router: Router = router.with_state(());

    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            metrics.connection_refused();
            tokio::spawn(refuse(stream));
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set TCP_NODELAY");
        }
        let router = router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(PeerAddr(peer));
            router.clone().oneshot(request)
        });
        let io = TokioIo::new(Connection::new(stream, write_limit));
        let connection = graceful.watch(builder.serve_connection(io, service));
        let open = metrics.connection_opened();
        tokio::spawn(async move {
            let _held = (place, open);
            if let Err(error) = connection.await {
                // A caller that hung up or sent no HTTP: its doing, and no news.
                tracing::debug!(%error, %peer, "connection ended");
            }
        });
    }

    drop(listener);
    let under_way = graceful.count();
    tracing::info!(connections = under_way, "waiting for connections to finish");
    let finished = tokio::time::timeout(Duration::from_secs(limits.shutdown_seconds), graceful.shutdown()).await;
    if finished.is_err() {
        tracing::warn!(text = %metrics_under_way(metrics), "connections did not finish in time; closing them");
    }
}

async fn refuse(mut stream: TcpStream) {
    // Best effort: the caller may be gone, and the buffer of a new socket takes it at once.
    let _ = stream.write_all(REFUSAL).await;
    let _ = stream.shutdown().await;
}

/// How many connections the process can hold at most.
fn open_file_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    limit.saturating_sub(RESERVED_FILES).clamp(16, Semaphore::MAX_PERMITS)
}

fn metrics_under_way(metrics: &Metrics) -> String {
    let wanted = |line: &&str| line.starts_with("lakehouse_http_requests_in_flight ");
    metrics.text().lines().find(wanted).unwrap_or_default().to_owned()
}
