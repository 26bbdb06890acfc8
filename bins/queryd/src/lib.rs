//! SQL over the catalog's datasets: `lakehouse-query` behind one route.
//!
//! The first worker is started before the first request is served; from then on /health answers,
//! and /readyz says whether catalogd can be asked.

mod accept;
mod catalog;
mod metrics;
mod readiness;
mod routes;
mod state;

use std::sync::Arc;

use lakehouse_client::{CatalogClient, ClientOptions, StoreClient};
use lakehouse_common::{App, Shutdown, StartError, config::Config};
use lakehouse_query::{Catalog, Confinement, Engine};
use tokio::net::TcpListener;

pub use catalog::RemoteCatalog;
pub use metrics::QueryMetrics;
pub use routes::router;
pub use state::AppState;

/// Serves until `shutdown`.
///
/// # Errors
/// The bind gate's, a URL or token that no client can use, or why no query can run here.
pub async fn run(config: Arc<Config>, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let mut app = App::new("queryd", &config, &listener)?;
    let client = ClientOptions::with_token(config.auth.token.expose());
    let store = StoreClient::new(config.queryd.storaged_url.base(), client.clone())
        .map_err(|error| StartError::new(format!("queryd.storaged_url: {error}")))?;
    let catalog = CatalogClient::new(config.queryd.catalogd_url.base(), client)
        .map_err(|error| StartError::new(format!("queryd.catalogd_url: {error}")))?;
    let catalog = Arc::new(RemoteCatalog::new(catalog));
    let metrics = Arc::new(QueryMetrics::default());
    let options = state::options(&config.queryd)?;
    let engine = Engine::start(options, store.into_store(), Arc::clone(&catalog) as Arc<dyn Catalog>, metrics.clone());
    let engine = Arc::new(engine.await.map_err(StartError::new)?);
    metrics.register(app.metrics(), &engine);
    report(&app, engine.confinement());
    let watch = readiness::watch(catalog, app.readiness(), shutdown.clone());
    app.spawn("catalog check", watch);
    app.spawn("idle workers", maintain(Arc::clone(&engine), shutdown.clone()));
    app.serve(listener, routes::router(AppState::new(engine)), shutdown).await
}

fn report(app: &App, confinement: Confinement) {
    let (text, warning) = match confinement {
        Confinement::Full => ("full", None),
        Confinement::Partial => ("partial", Some("this kernel's Landlock knows only some of the rules")),
        Confinement::LimitsOnly => {
            ("limits only", Some("this kernel has no Landlock, or a filter of system calls holds it back"))
        }
        Confinement::None => ("none", Some("queryd.worker_processes is false")),
    };
    app.health_detail("sandbox", text);
    if let Some(why) = warning {
        tracing::warn!(sandbox = text, why, "statements are held back by less than they could be");
    }
}

async fn maintain(engine: Arc<Engine>, shutdown: Shutdown) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = engine.maintain() => {}
    }
}
