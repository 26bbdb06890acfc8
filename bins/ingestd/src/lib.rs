//! CSV in, over HTTP: `lakehouse-ingest` behind two routes, and a sweep of orphans beside them.

mod catalog;
mod form;
mod metrics;
mod routes;
mod state;
mod sweeper;

use std::{sync::Arc, time::Duration};

use lakehouse_client::{CatalogClient, ClientOptions, StoreClient};
use lakehouse_common::{App, Shutdown, StartError, config::Config};
use tokio::net::TcpListener;

pub use catalog::adapter;
pub use routes::router;
pub use state::AppState;

/// Serves until `shutdown`.
///
/// # Errors
/// The bind gate's, a URL or token that no client can use, or a spool that another ingestd has.
pub async fn run(config: Arc<Config>, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let mut app = App::new("ingestd", &config, &listener)?;
    let section = &config.ingestd;
    let token = || ClientOptions::with_token(config.auth.token.expose());
    let store = StoreClient::new(section.storaged_url.base(), token())
        .map_err(|error| StartError::new(format!("ingestd.storaged_url: {error}")))?;
    let catalog = CatalogClient::new(section.catalogd_url.base(), token())
        .map_err(|error| StartError::new(format!("ingestd.catalogd_url: {error}")))?;
    let state = AppState::new(section, store.into_store(), adapter(catalog))?;
    state.metrics.register(app.metrics());
    let every = Duration::from_secs(section.sweep_interval_seconds);
    app.spawn("orphan sweep", sweeper::run(state.clone(), app.readiness(), every, shutdown.clone()));
    app.serve(listener, routes::router(state), shutdown).await
}
