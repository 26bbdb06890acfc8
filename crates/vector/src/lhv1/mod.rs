//! LHV1: one file an index.
//!
//! `LHV1`, the envelope's length as a big-endian u32, the envelope (JSON), and the rest, whose form
//! depends on the envelope's `version`. Versions 1 and 2 were written by a system before this one
//! and hold another library's graph ([`go`]); version 3 is this one's own ([`v3`]).
//!
//! A reader may be given anything. It checks sizes before it believes them, so that whatever comes
//! in costs at most a small multiple of its own size, and ends as an index or as a reason.

mod go;
mod v3;

#[cfg(test)]
mod tests;

use serde::Deserialize;

use crate::{Params, generation::Generation};

pub(crate) use go::Origin;
pub(crate) use v3::{Plan, identity};

const MAGIC: &[u8; 4] = b"LHV1";
const HEAD: usize = 8;

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The version it was written in.
    pub(crate) version: u32,
    pub(crate) params: Params,
    /// Which of all the indexes that ever had this name it is.
    pub(crate) incarnation: u64,
    /// The last log entry that it covers.
    pub(crate) sequence: u64,
    pub(crate) generation: Generation,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Reads a whole file.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(frame: &[u8]) -> Result<Loaded, String> {
    let (envelope, body) = split(frame)?;
    let Version { version } =
        serde_json::from_slice(envelope).map_err(|error| format!("the envelope is not what it should be: {error}"))?;
    match version {
        1 | 2 => go::read(frame, envelope, body, version),
        3 => v3::read(frame, envelope, body),
        _ => Err(format!("version {version} is not one that this program knows (1 to 3)")),
    }
}

/// Where a whole file of version 1 or 2 belongs; `None` for anything else.
pub(crate) fn origin(frame: &[u8]) -> Option<Origin> {
    let (envelope, _) = split(frame).ok()?;
    let Version { version } = serde_json::from_slice(envelope).ok()?;
    matches!(version, 1 | 2).then(|| go::origin(frame, envelope)).flatten()
}

/// The envelope and what follows it.
fn split(frame: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let Some((head, rest)) = frame.split_at_checked(HEAD) else {
        return Err(format!("{} bytes are too few for a file of this kind", frame.len()));
    };
    let (magic, length) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err("it does not begin with `LHV1`".to_owned());
    }
    let length = length.iter().fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    rest.split_at_checked(length)
        .ok_or_else(|| format!("the envelope of {length} bytes is cut off after {}", rest.len()))
}

/// Reads one frame and throws it away: for the fuzz target and the property tests.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn check_frame(frame: &[u8]) -> Result<usize, String> {
    read(frame).map(|loaded| loaded.generation.live())
}
