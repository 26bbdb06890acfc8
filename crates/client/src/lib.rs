//! Typed clients of the services.
//!
//! Each one has a pool of connections, a limit on every wait, and repeats what is safe to repeat
//! (`retry` says what that is). It passes the current request's id and trace on, and turns an
//! error answer back into the kind it was made from. What is common to all is in `transport`.

mod body;
mod catalog;
mod chat;
mod embed;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod ingest;
mod lakehouse;
mod options;
mod retry;
mod store;
mod transport;
mod vector;

pub use catalog::CatalogClient;
pub use chat::{ChatAnswer, ChatClient, ChatMessage, ChatRequest};
pub use embed::EmbedClient;
pub use error::Error;
pub use ingest::{IngestClient, Upload as IngestUpload};
pub use lakehouse::LakehouseClient;
pub use options::ClientOptions;
pub use store::StoreClient;
pub use vector::VectorClient;
