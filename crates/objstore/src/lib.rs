//! Objects: immutable-by-convention byte strings under a key, whole or absent.
//!
//! [`ObjectStore`] is the seam that everything durable goes through. storaged serves one over
//! HTTP, `lakehouse-client` turns that back into one, and the domain crates see only the trait.

#[cfg(feature = "contract")]
pub mod contract;
mod error;
mod local;
mod memory;
mod pieces;
#[cfg(feature = "s3")]
mod s3;
mod store;

pub use error::Error;
#[doc(hidden)]
pub use local::check_name;
pub use local::{Local, LocalOptions, SyncObserver};
pub use memory::Memory;
#[cfg(feature = "s3")]
pub use s3::{S3, S3Options};
pub use store::{
    ByteRange, ByteStream, Condition, GetOptions, Object, ObjectMeta, ObjectStore, PutOptions, PutOutcome, body,
    collect,
};
