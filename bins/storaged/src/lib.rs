//! The bytes, over HTTP: an object store behind two routes.
//!
//! It is opened before the first request is served; a store that can't be opened ends the start
//! with one line that says why. Bodies stream in both directions and are never held whole.

mod backend;
mod conditions;
mod digest;
mod incoming;
mod metrics;
mod range;
mod routes;
mod state;
mod watch;

use std::sync::Arc;

use lakehouse_common::{App, Shutdown, StartError, config::Config};
use tokio::net::TcpListener;

pub use metrics::StoreMetrics;
pub use routes::router;
pub use state::AppState;

/// Serves until `shutdown`.
///
/// # Errors
/// The bind gate's, or why the store can't be opened.
pub async fn run(config: Arc<Config>, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let mut app = App::new("storaged", &config, &listener)?;
    let metrics = StoreMetrics::default();
    metrics.register(app.metrics());
    app.health_detail("backend", backend::name(&config));
    let store = backend::open(&config, &metrics).await?;
    app.spawn("store check", watch::run(Arc::clone(&store), app.readiness(), shutdown.clone()));
    let state = AppState::new(store, config.storaged.max_object_bytes, metrics);
    app.serve(listener, routes::router(state), shutdown).await
}
