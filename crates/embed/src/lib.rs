//! Text to vectors.
//!
//! A [`Service`] takes the texts of a request, answers what it can from its cache, and gives the
//! rest in bounded batches to one [`Provider`]:
//!
//! | provider | what it is |
//! |---|---|
//! | `Hash` | built in: lexical feature hashing, no model and no download |
//! | [`Ollama`] | an Ollama server |
//! | [`OpenAi`] | any server with OpenAI's `/embeddings` |
//! | [`Local`] | a BERT-family sentence model in a directory, run in this process |
//!
//! What a provider says is checked before anyone sees it: one vector a text, all of one length,
//! every number finite.

pub mod base64;
mod cache;
mod error;
mod hash;
mod local;
mod metrics;
mod provider;
mod remote;
mod service;

pub use error::{Error, OptionsError, ProviderError};
pub use hash::Hash;
pub use local::{LoadError, Local};
pub use metrics::Metrics;
pub use provider::{Embedding, Provider};
pub use remote::{Ollama, OpenAi, RemoteOptions};
pub use service::{Options, Service};
