//! Versions 1 and 2: the graph section is an export of the Go library coder/hnsw.
//!
//! Little-endian; whole numbers are zigzag varints; strings and vectors have their length before
//! them. Version, M, Ml (f64), EfSearch, the distance's name, then layers from the lowest up, each
//! with its nodes: key, vector, and the keys of its neighbours. The links are read over: the index
//! builds its own, and a neighbour may be an item that was deleted.

use std::collections::{BTreeMap, HashMap};

use lakehouse_types::vector::Distance;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Loaded;
use crate::{Params, generation::Generation, params::check_id};

/// The export's own version; there has been one.
const EXPORT_VERSION: i64 = 1;

#[derive(Deserialize)]
struct Envelope {
    params: EnvelopeParams,
    /// An item that has none is not in it; Go writes an empty map that was never made as null.
    metadata: Option<BTreeMap<String, Box<RawValue>>>,
    /// The canonical set of ids, from version 2 on; as with `metadata`, null where it was never made.
    ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct EnvelopeParams {
    name: Option<String>,
    dimension: usize,
    distance: String,
    m: Option<usize>,
    ef_search: Option<usize>,
}

/// What the first bytes of the first system's files say of where they belong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The index's name in the envelope.
    pub(crate) name: Option<String>,
    pub(crate) incarnation: u64,
}

/// No id of its own, but one that the same bytes always have: log entries refer to it.
pub(super) fn incarnation(frame: &[u8]) -> u64 {
    u64::from(crc32c::crc32c(frame)) << 32 | (frame.len() as u64 & 0xffff_ffff)
}

pub(super) fn origin(frame: &[u8], envelope: &[u8]) -> Option<Origin> {
    let envelope: Envelope = serde_json::from_slice(envelope).ok()?;
    Some(Origin { name: envelope.params.name, incarnation: incarnation(frame) })
}

pub(super) fn read(frame: &[u8], envelope: &[u8], body: &[u8], version: u32) -> Result<Loaded, String> {
    let envelope: Envelope =
        serde_json::from_slice(envelope).map_err(|error| format!("the envelope is not what it should be: {error}"))?;
    let params = params(&envelope.params)?;
    let vectors = Reader { rest: body }.graph(&params)?;
    let ids = match (version, &envelope.ids) {
        (2, Some(ids)) => ids.iter().map(String::as_str).collect(),
        _ => {
            let mut ids: Vec<&str> = vectors.keys().copied().collect();
            // A map has no order of its own; the same file must always give the same index.
            ids.sort_unstable();
            ids
        }
    };
    let generation = Generation::new(&params);
    // SAFETY: nobody else knows of this generation.
    let mut commit = unsafe { generation.commit() };
    for id in ids {
        let vector = vectors.get(id).ok_or_else(|| format!("item `{}` has no vector", short(id)))?;
        let metadata = envelope.metadata.as_ref().and_then(|all| all.get(id)).map(|text| text.get());
        check_id(id)?;
        params.check_vector(vector).map_err(|reason| format!("item `{}`: {reason}", short(id)))?;
        commit.put(id, vector, metadata, false);
    }
    commit.publish();
    Ok(Loaded { version, params, incarnation: incarnation(frame), sequence: 0, generation })
}

fn params(given: &EnvelopeParams) -> Result<Params, String> {
    let distance = match given.distance.as_str() {
        "cosine" => Distance::Cosine,
        "l2" | "euclidean" => Distance::L2,
        "dot" => Distance::Dot,
        other => return Err(format!("`{}` is not a distance", short(other))),
    };
    let defaults = Params::new(given.dimension, distance);
    Params {
        m: given.m.filter(|&m| m > 0).map_or(defaults.m, |m| m.clamp(4, 64)),
        // That library's value was chosen for that library's graph: never search less than we do by default.
        ef_search: given.ef_search.unwrap_or_default().clamp(defaults.ef_search, crate::MAX_RESULTS),
        ..defaults
    }
    .checked()
    .map_err(|error| error.to_string())
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The vectors of the lowest layer, by key.
    fn graph(mut self, params: &Params) -> Result<HashMap<&'a str, Vec<f32>>, String> {
        let version = self.int()?;
        if version != EXPORT_VERSION {
            return Err(format!("the graph section has version {version}, not {EXPORT_VERSION}"));
        }
        let _m = self.int()?;
        let _level_factor = self.take(size_of::<f64>())?;
        let _ef_search = self.int()?;
        let _distance = self.string()?;
        let layers = self.count(1)?;
        let mut vectors = HashMap::new();
        for layer in 0..layers {
            for _ in 0..self.count(3)? {
                let (key, vector) = self.node(params)?;
                if layer == 0 && vectors.insert(key, vector).is_some() {
                    return Err(format!("node `{}` is there twice", short(key)));
                }
            }
        }
        if self.rest.is_empty() { Ok(vectors) } else { Err(format!("{} bytes follow the graph", self.rest.len())) }
    }

    fn node(&mut self, params: &Params) -> Result<(&'a str, Vec<f32>), String> {
        let key = self.string()?;
        let length = self.count(size_of::<f32>())?;
        if length != params.dimension {
            return Err(format!("node `{}` has {length} numbers, not {}", short(key), params.dimension));
        }
        let (numbers, _) = self.take(length * size_of::<f32>())?.as_chunks::<4>();
        let vector = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        for _ in 0..self.count(1)? {
            self.string()?;
        }
        Ok((key, vector))
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or("the graph section is cut off")?;
        self.rest = rest;
        Ok(taken)
    }

    /// A zigzag varint.
    fn int(&mut self) -> Result<i64, String> {
        let mut bits = 0_u64;
        for shift in (0..64).step_by(7) {
            let &[byte] = self.take(1)? else { break };
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                break;
            }
            bits |= part << shift;
            if byte & 0x80 == 0 {
                return Ok((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()));
            }
        }
        Err("a number of the graph section is too large".to_owned())
    }

    /// A number of things of at least `size` bytes each, no more than can follow.
    fn count(&mut self, size: usize) -> Result<usize, String> {
        let count = self.int()?;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= self.rest.len() / size)
            .ok_or_else(|| format!("the graph section names {count} things, which it can't hold"))
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let length = self.count(1)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| "a key of the graph section is not UTF-8".to_owned())
    }
}
