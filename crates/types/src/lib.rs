//! What crosses a process: names, keys, request and response bodies, error kinds.
//!
//! Everything here is plain data with serde; no I/O, no HTTP framework. Every other crate may
//! depend on this one, and this one depends on none of them.

pub mod catalog;
pub mod context;
pub mod embed;
mod error;
pub mod ingest;
mod key;
mod member;
mod name;
pub mod query;
pub mod store;
pub mod vector;

pub use error::{ErrorKind, Problem, ServiceError};
pub use key::{InvalidKey, ObjectKey, escape_segment, unescape_segment};
pub use name::{InvalidName, Name};
