//! The one door for clients: `/v1/*` to the service behind it, whatever the size of the bodies.
//!
//! ```text
//! routes.rs    what is answered here, and what is forwarded
//! mounts.rs    which path belongs to which service
//! guard.rs     what is refused before it can reach a service
//! headers.rs   what ends at this hop, and what is said about the caller
//! forward.rs   one request to one service
//! chat.rs      /v1/chat to the endpoint of gateway.chat_url
//! health.rs    /v1/health
//! upstream/    connections to a service: pool, exchange, bodies, time limits
//! ```
//!
//! Nothing of a body is kept here: a chunk is read from one side when the other side takes it.

mod chat;
mod error;
mod forward;
mod guard;
mod headers;
mod health;
mod metrics;
mod mounts;
mod routes;
mod state;
mod upstream;

use std::sync::Arc;

use lakehouse_common::{App, Shutdown, StartError, config::Config};
use tokio::net::TcpListener;

pub use mounts::{Mount, Service};
pub use routes::{OPENAPI, OWN_ROUTES};

/// Serves until `shutdown`.
///
/// # Errors
/// The bind gate's, a `chat_token` that can't be sent, or a TLS setup that can't be used.
pub async fn run(config: Arc<Config>, listener: TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
    let mut app = App::new("gateway", &config, &listener)?;
    let state = state::AppState::new(&config, &app)?;
    app.spawn("close idle connections", state.clone().close_idle(shutdown.clone()));
    app.serve(listener, routes::router(state), shutdown).await
}
