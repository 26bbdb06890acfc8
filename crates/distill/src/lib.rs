//! Agent logs become evidence, evidence becomes scored runs, and of these only what may be learned
//! from becomes training rows; replay answers a new task from the same memory.
//!
//! Everything that decides is a pure function of its arguments: no file, no clock, no network.
//! [`files`] alone touches the disk, for the two programs (`materializer`, `replay`) that share it.
//! What lies on disk is the contract with other runtimes: docs/adr/007-evidence-contract.md.

pub mod baseline;
pub mod drift;
pub mod evidence;
pub mod files;
pub mod json;
pub mod layout;
pub mod receipt;
pub mod replay;
pub mod score;
pub mod sft;
pub mod source;
pub mod time;
mod transforms;

use sha2::{Digest, Sha256};

pub use transforms::{Context, Skip, transform, transform_line};

/// SHA-256 of `bytes`, in hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// SHA-256 of the canonical form of `row`: the same for the same members in any order, whichever runtime
/// wrote them.
#[must_use]
pub fn sig_hash(row: &json::Json<'_>) -> [u8; 32] {
    sig_hashes(row).0
}

/// [`sig_hash`] of `row`, and the one that earlier releases gave it where that is another: evidence may
/// still have it.
#[must_use]
pub fn sig_hashes(row: &json::Json<'_>) -> ([u8; 32], Option<[u8; 32]>) {
    let mut text = Vec::new();
    let was_another = row.write_canonical(&mut text);
    let hash = Sha256::digest(&text).into();
    if !was_another {
        return (hash, None);
    }
    text.clear();
    row.write_as_written(&mut text);
    (hash, Some(Sha256::digest(&text).into()))
}
