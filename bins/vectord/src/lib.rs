//! Vector search, over HTTP: `lakehouse-vector` behind its routes.
//!
//! It answers /health from its first moment and everything else once the indexes are loaded; until
//! then calls get 503, and /readyz says what is waited for. Without a store it holds its indexes in
//! memory only, and /health says so.

mod loader;
mod metrics;
mod routes;
mod state;

use std::{sync::Arc, time::Duration};

use lakehouse_client::{ClientOptions, EmbedClient, StoreClient};
use lakehouse_common::{
    App, Shutdown, StartError,
    config::{Config, ServiceUrl, Vectord},
};
use lakehouse_objstore::ObjectStore;
use lakehouse_vector::Options;
use tokio::net::TcpListener;

pub use routes::router;
pub use state::AppState;

/// Serves until `shutdown`, then saves every index, so that the next start is quick.
///
/// # Errors
/// The bind gate's, or a URL or token that no client can use.
pub async fn run(config: Arc<Config>, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let mut app = App::new("vectord", &config, &listener)?;
    let token = || ClientOptions::with_token(config.auth.token.expose());
    let section = &config.vectord;
    let store = section.storaged_url.as_ref().map(|url| store(url, token())).transpose()?;
    let embed = section.embedd_url.as_ref().map(|url| {
        EmbedClient::new(url.base(), token()).map_err(|error| StartError::new(format!("vectord.embedd_url: {error}")))
    });
    let state = start(&mut app, store, embed.transpose()?, section, &shutdown);
    let saved = state.clone();
    let patience = Duration::from_secs(config.limits.shutdown_seconds);
    let served = app.serve(listener, routes::router(state), shutdown).await;
    if let Ok(registry) = saved.registry()
        && tokio::time::timeout(patience, registry.save_all()).await.is_err()
    {
        tracing::warn!("not every index was saved in time; the next start replays its log");
    }
    served
}

fn store(url: &ServiceUrl, options: ClientOptions) -> Result<Arc<dyn ObjectStore>, StartError> {
    let client = StoreClient::new(url.base(), options);
    let client = client.map_err(|error| StartError::new(format!("vectord.storaged_url: {error}")))?;
    Ok(client.into_store())
}

/// The state, and the task that loads the indexes into it; apart from [`run`] so that tests can
/// choose the store.
pub fn start(
    app: &mut App,
    store: Option<Arc<dyn ObjectStore>>,
    embed: Option<EmbedClient>,
    section: &Vectord,
    shutdown: &Shutdown,
) -> AppState {
    app.health_detail("mode", if store.is_some() { "durable" } else { "ephemeral" });
    let state = AppState::new(embed, usize::try_from(section.max_body_bytes).unwrap_or(usize::MAX));
    metrics::register(app.metrics(), &state);
    let loader = loader::Loader::new(store, options(section), state.clone(), app.readiness());
    app.spawn("index load", loader.run(shutdown.clone()));
    state
}

fn options(section: &Vectord) -> Options {
    let defaults = Options::default();
    Options {
        threads: if section.threads == 0 { defaults.threads } else { section.threads },
        load_timeout: Duration::from_secs(section.load_timeout_seconds),
        save_idle: Duration::from_secs(section.save_interval_seconds),
        backlog_wait: Duration::from_secs(section.backlog_wait_seconds),
        ..defaults
    }
}
