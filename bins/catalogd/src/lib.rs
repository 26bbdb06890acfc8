//! The facts about datasets, over HTTP: `lakehouse-catalog` behind four routes.
//!
//! It answers /health from its first moment and everything else once the manifests are loaded;
//! until then calls get 503, and /readyz says what is waited for.

mod keeper;
mod metrics;
mod routes;
mod state;

use std::{sync::Arc, time::Duration};

use lakehouse_catalog::Catalog;
use lakehouse_client::{ClientOptions, StoreClient};
use lakehouse_common::{App, Shutdown, StartError, config::Config};
use lakehouse_objstore::ObjectStore;
use tokio::net::TcpListener;

pub use routes::router;
pub use state::AppState;

/// Serves until `shutdown`.
///
/// # Errors
/// The bind gate's, or a storaged URL or token that no client can use.
pub async fn run(config: Arc<Config>, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let mut app = App::new("catalogd", &config, &listener)?;
    let options = ClientOptions::with_token(config.auth.token.expose());
    let store = StoreClient::new(config.catalogd.storaged_url.base(), options)
        .map_err(|error| StartError::new(format!("catalogd.storaged_url: {error}")))?;
    let refresh = Duration::from_secs(config.catalogd.refresh_seconds);
    let state = start(&mut app, store.into_store(), refresh, &shutdown);
    app.serve(listener, routes::router(state), shutdown).await
}

/// The catalog over `store`, with everything that keeps it going beside the requests; apart from
/// [`run`] so that tests can choose the store.
pub fn start(app: &mut App, store: Arc<dyn ObjectStore>, refresh: Duration, shutdown: &Shutdown) -> AppState {
    let catalog = Catalog::new(store, &lakehouse_catalog::Options::default());
    metrics::register(app.metrics(), &catalog);
    let keeper = keeper::Keeper::new(catalog.clone(), app.readiness(), refresh);
    app.spawn("catalog refresh", keeper.run(shutdown.clone()));
    AppState::new(catalog)
}
