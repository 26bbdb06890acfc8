//! Vector indexes: string ids, JSON metadata, nearest neighbours, durable through an object store.
//!
//! [`Index`] is one index in memory. [`Registry`] keeps many of them durable.

mod durable;
mod effort;
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

/// The `number`th of a sequence that looks random (`SplitMix64`), the same in every run.
fn split_mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
