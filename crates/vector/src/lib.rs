//! Vector indexes: string ids, JSON metadata, nearest neighbours, durable through an object store.
//!
//! [`Index`] is one index in memory. [`Registry`] keeps many of them durable.

mod durable;
mod error;
mod filter;
mod generation;
mod graph;
mod index;
mod lhv1;
mod maintain;
mod params;
mod pool;
mod probe;
mod records;
mod rows;
mod same;
mod search;
mod simd;
mod split;
mod values;

pub use durable::{IndexMetrics, Options, Registry, check_entry};
pub use error::{Error, Result};
pub use filter::check_filter;
pub use index::{Change, Index, Outcome, Query, Stats, Tuning};
pub use lhv1::check_frame;
pub use params::{MAX_DIMENSION, MAX_ID_BYTES, MAX_METADATA_BYTES, MAX_RESULTS, Params};
