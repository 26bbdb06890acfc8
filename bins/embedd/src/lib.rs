//! Text to vectors, over HTTP: `lakehouse-embed` behind its own call and OpenAI's.
//!
//! ```text
//! routes.rs      what is answered
//! openai.rs      OpenAI's shapes, and its errors beside this project's own
//! provider.rs    from [embedd] to a provider
//! state.rs       what the handlers share
//! ```

mod openai;
mod provider;
mod routes;
mod state;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lakehouse_common::{
    App, Shutdown, StartError,
    config::{Config, Embedd},
};
use lakehouse_embed::{Options, Provider, Service};
use tokio::net::TcpListener;

use state::AppState;

/// Serves until `shutdown`.
///
/// # Errors
/// The bind gate's; a provider that can't be set up: a model directory that holds no model, a
/// dimension that it does not have.
pub async fn run(config: Arc<Config>, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let app = App::new("embedd", &config, &listener)?;
    let (provider, model) = provider::set_up(&config.embedd).await?;
    let state = start(&app, &config.embedd, provider, model)?;
    app.serve(listener, routes::router(state), shutdown).await
}

/// The service over `provider`, shown in /health and /metrics.
fn start(app: &App, config: &Embedd, provider: Arc<dyn Provider>, model: String) -> Result<AppState, StartError> {
    let mut aliases = config.model_aliases.clone();
    // Who knows only which provider is configured can say so.
    aliases.push(provider.name().to_owned());
    let mut seen = BTreeSet::from([model.clone()]);
    aliases.retain(|alias| seen.insert(alias.clone()));
    let options = Options {
        model,
        aliases,
        dimension: (config.dimension > 0).then_some(config.dimension),
        batch_size: config.batch_size,
        max_concurrent_batches: config.max_concurrent_batches,
        max_texts: config.max_texts,
        max_text_bytes: config.max_text_bytes,
        cache_bytes: config.cache_bytes,
        timeout: Duration::from_secs(config.timeout_seconds),
    };
    let service = Service::new(provider, options).map_err(|error| StartError::new(format!("embedd.{error}")))?;
    app.metrics().register(|registry| service.metrics().register(registry));
    app.health_detail("provider", service.provider());
    app.health_detail("model", service.model());
    // Null until the first answer of a provider that does not say it before.
    app.health_detail("dimension", service.dimension());
    let max_body_bytes = usize::try_from(config.max_body_bytes).unwrap_or(usize::MAX);
    Ok(AppState::new(service, app.readiness(), max_body_bytes))
}
