//! What every service shares, and the only library here that knows axum.
//!
//! It holds: configuration, authentication and the bind gate, errors as HTTP answers, extractors,
//! telemetry, health, metrics, limits, and the server loop. What belongs to one service only, and
//! everything that has no HTTP in it, lives elsewhere; this crate depends on no domain crate.

mod app;
mod auth;
mod body;
mod bootstrap;
pub mod config;
mod connection;
mod error;
pub mod extract;
mod health;
mod metrics;
mod request;
mod server;
mod shutdown;
mod telemetry;

pub use app::{App, StartError};
pub use auth::{Auth, BindError, ClientAddr, TrustedPeer, check_bind};
pub use bootstrap::{ConfigFlags, prepare_job, run_service};
pub use error::{ApiError, status_of};
pub use health::Readiness;
pub use metrics::Metrics;
#[doc(hidden)]
pub use request::check_identity;
pub use shutdown::Shutdown;
