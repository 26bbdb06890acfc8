//! SQL over the catalog's datasets: the only crate that links DuckDB.
//!
//! [`Engine::query`] is the way in. A statement is judged by the [`gate`] from its parsed tree;
//! the files of the datasets it names are brought into the local [`cache`]; it runs in a
//! [`worker`], a process that can read that cache and nothing else; and its rows are written by
//! [`encode`] as they come.

mod advice;
mod cache;
mod catalog;
mod duck;
mod encode;
mod engine;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod options;
mod show;
#[cfg(test)]
mod testing;
pub mod worker;

pub use cache::CacheStats;
pub use catalog::{Catalog, Snapshot};
pub use encode::Format;
pub use engine::{Answer, Engine, Observer, Outcome, Stats};
pub use error::Error;
pub use options::{Isolation, Options};
pub use worker::protocol::Confinement;
