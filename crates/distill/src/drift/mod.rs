//! Drift: of the scorer against what it said before, and of measurements against what they were.

mod confusion;
mod psi;

pub use confusion::Confusion;
pub use psi::{Bucket, Level, MAX_BUCKETS, MIN_BUCKETS, Psi, psi};
