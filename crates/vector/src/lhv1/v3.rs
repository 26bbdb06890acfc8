//! Version 3: what this project writes.
//!
//! After the envelope, little-endian and in this order: the vectors (`items` times `dimension`
//! f32); the texts (for each item the id's length u16, the metadata's length u32 or `NO_METADATA`,
//! the id, the metadata); and of the first `linked` items their levels (u8 each), their links on
//! the lowest level (`2 m` u32 each, `NONE` from the first free place on), and their links on the
//! upper levels (`m` u32 for each item and level, levels from 1 up). Last, a CRC-32C of all before.
//!
//! Items behind `linked` are linked after loading. Codes are not stored: they follow from the vectors.

use std::sync::Arc;

use bytes::Bytes;
use lakehouse_types::vector::Distance;
use serde::{Deserialize, Serialize};

use super::{HEAD, Loaded, MAGIC, split};
use crate::{
    Params,
    generation::{Generation, Written},
    graph::{Graph, MAX_LEVEL, NONE},
    params::{check_id, put_numbers},
    values::Moment,
};

const VERSION: u32 = 3;
const NO_METADATA: u32 = u32::MAX;
const TEXT_HEAD: usize = 6;
const CHECKSUM: usize = 4;
/// Pieces in which a file is written.
const PIECE: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    version: u32,
    params: EnvelopeParams,
    /// Hexadecimal: JSON numbers of 64 bits are not safe everywhere.
    incarnation: String,
    sequence: u64,
    items: u32,
    linked: u32,
    /// Bytes of all texts.
    texts: u64,
    /// Rows of upper levels.
    uppers: u32,
    /// The item where walks begin, and its level.
    entry: Option<(u32, u32)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeParams {
    /// For people; the object's key decides.
    name: String,
    dimension: usize,
    distance: Distance,
    m: usize,
    ef_construction: usize,
    ef_search: usize,
}

/// The incarnation and the sequence number in the first bytes of a file of this version; `None`
/// for others. `head` holds at least the envelope.
pub(crate) fn identity(head: &[u8]) -> Option<(u64, u64)> {
    let (envelope, _) = split(head).ok()?;
    let envelope: Envelope = serde_json::from_slice(envelope).ok()?;
    Some((u64::from_str_radix(&envelope.incarnation, 16).ok()?, envelope.sequence))
}

/// A file that is about to be written: what it will hold, and its exact size.
#[derive(Debug)]
pub(crate) struct Plan {
    generation: Arc<Generation>,
    envelope: Vec<u8>,
    /// The living slots, in order: their places in this list are the items' numbers.
    slots: Vec<u32>,
    /// The number of each slot; `NONE` for dead ones.
    numbers: Vec<u32>,
    linked: usize,
    size: u64,
}

impl Plan {
    /// Plans the file for a moment of a generation. `moment` and `linked` were read under the
    /// commit lock.
    pub(crate) fn new(
        name: &str,
        params: &Params,
        (incarnation, sequence): (u64, u64),
        generation: Arc<Generation>,
        (moment, linked): (Moment, u32),
    ) -> Result<Self, String> {
        let values = &generation.values;
        let slots: Vec<u32> = (0..moment.slots).filter(|&slot| values.alive(slot, moment)).collect();
        let mut numbers = vec![NONE; moment.slots as usize];
        for (number, &slot) in (0..).zip(&slots) {
            numbers[slot as usize] = number;
        }
        let linked = slots.partition_point(|&slot| slot < linked);
        let text = |&slot: &u32| {
            let record = values.record(slot);
            (TEXT_HEAD + record.id().len() + record.metadata().map_or(0, str::len)) as u64
        };
        let texts: u64 = slots.iter().map(text).sum();
        let levels = || slots[..linked].iter().map(|&slot| Graph::level(values, slot));
        let uppers: u32 = levels().sum();
        let entry = (0..).zip(levels()).max_by_key(|&(number, level)| (level, std::cmp::Reverse(number)));
        let envelope = Envelope {
            version: VERSION,
            params: EnvelopeParams {
                name: name.to_owned(),
                dimension: params.dimension,
                distance: params.distance,
                m: params.m,
                ef_construction: params.ef_construction,
                ef_search: params.ef_search,
            },
            incarnation: format!("{incarnation:016x}"),
            sequence,
            items: slots.len() as u32,
            linked: linked as u32,
            texts,
            uppers,
            entry,
        };
        let payload = payload_size(&envelope).ok_or("the index is too large for a file")?;
        let envelope = serde_json::to_vec(&envelope).map_err(|error| format!("write envelope: {error}"))?;
        let size = (HEAD + envelope.len() + CHECKSUM) as u64 + payload;
        Ok(Self { envelope, slots, numbers, linked, size, generation })
    }

    /// The file's size in bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Hands the file to `take`, piece by piece, until it is told to stop (false).
    pub(crate) fn write(&self, take: &mut dyn FnMut(Bytes) -> bool) {
        let mut pieces = Pieces { piece: Vec::with_capacity(PIECE), checksum: 0, take, stopped: false };
        pieces.put(MAGIC);
        pieces.put(&(self.envelope.len() as u32).to_be_bytes());
        pieces.put(&self.envelope);
        self.write_items(&mut pieces);
        self.write_links(&mut pieces);
        pieces.finish();
    }

    fn write_items(&self, pieces: &mut Pieces<'_>) {
        let values = &self.generation.values;
        let mut numbers = vec![0.0; values.shape.padded];
        let mut bytes = Vec::with_capacity(4 * values.shape.dimension);
        for &slot in &self.slots {
            values.decode(slot, &mut numbers);
            bytes.clear();
            put_numbers(&mut bytes, &numbers[..values.shape.dimension]);
            pieces.put(&bytes);
        }
        for &slot in &self.slots {
            let record = values.record(slot);
            pieces.put(&(record.id().len() as u16).to_le_bytes());
            pieces.put(&record.metadata().map_or(NO_METADATA, |text| text.len() as u32).to_le_bytes());
            pieces.put(record.id().as_bytes());
            pieces.put(record.metadata().unwrap_or_default().as_bytes());
        }
    }

    fn write_links(&self, pieces: &mut Pieces<'_>) {
        let Generation { values, graph, .. } = &*self.generation;
        let linked = &self.slots[..self.linked];
        for &slot in linked {
            pieces.put(&[Graph::level(values, slot) as u8]);
        }
        let number = |slot: u32| self.numbers.get(slot as usize).copied().filter(|&n| (n as usize) < self.linked);
        let mut row = |slot, level| {
            // What is dead, or newer than this file, is left out.
            let links = graph.links(values, slot, level).filter_map(number);
            links
                .chain(std::iter::repeat(NONE))
                .take(graph.width(level))
                .for_each(|link| pieces.put(&link.to_le_bytes()));
        };
        for &slot in linked {
            row(slot, 0);
        }
        for &slot in linked {
            for level in 1..=Graph::level(values, slot) {
                row(slot, level);
            }
        }
    }
}

fn payload_size(envelope: &Envelope) -> Option<u64> {
    let (m, linked) = (envelope.params.m as u64, u64::from(envelope.linked));
    let vectors = u64::from(envelope.items).checked_mul(4)?.checked_mul(envelope.params.dimension as u64)?;
    let links = (1 + 8 * m).checked_mul(linked)?.checked_add((4 * m).checked_mul(u64::from(envelope.uppers))?)?;
    vectors.checked_add(envelope.texts)?.checked_add(links)
}

struct Pieces<'a> {
    piece: Vec<u8>,
    checksum: u32,
    take: &'a mut dyn FnMut(Bytes) -> bool,
    stopped: bool,
}

impl Pieces<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if self.piece.len() + bytes.len() > PIECE {
            self.hand_over();
        }
        self.piece.extend_from_slice(bytes);
    }

    fn hand_over(&mut self) {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.piece);
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.stopped = self.stopped || !(self.take)(piece.into());
    }

    fn finish(mut self) {
        self.hand_over();
        self.piece.extend_from_slice(&self.checksum.to_le_bytes());
        let piece = std::mem::take(&mut self.piece);
        let _ = self.stopped || (self.take)(piece.into());
    }
}

pub(super) fn read(frame: &[u8], envelope: &[u8], body: &[u8]) -> Result<Loaded, String> {
    let (covered, checksum) = frame.split_last_chunk::<CHECKSUM>().ok_or("it is cut off")?;
    if crc32c::crc32c(covered) != u32::from_le_bytes(*checksum) {
        return Err("its checksum does not fit: it is damaged or cut off".to_owned());
    }
    let envelope: Envelope =
        serde_json::from_slice(envelope).map_err(|error| format!("the envelope is not what it should be: {error}"))?;
    let given = &envelope.params;
    let params = Params {
        dimension: given.dimension,
        distance: given.distance,
        m: given.m,
        ef_construction: given.ef_construction,
        ef_search: given.ef_search,
    };
    let params = params.checked().map_err(|error| error.to_string())?;
    let size = payload_size(&envelope).and_then(|size| size.checked_add(CHECKSUM as u64));
    if size != Some(body.len() as u64) || envelope.linked > envelope.items || envelope.items > crate::rows::MAX_ROWS / 2
    {
        return Err("its size does not fit what the envelope says".to_owned());
    }
    let incarnation =
        u64::from_str_radix(&envelope.incarnation, 16).map_err(|_| "the incarnation is not hexadecimal")?;
    let mut parts = Parts { rest: body };
    let generation = Generation::new(&params);
    read_items(&mut parts, &envelope, &params, &generation)?;
    read_links(&mut parts, &envelope, &generation)?;
    Ok(Loaded { version: VERSION, params, incarnation, sequence: envelope.sequence, generation })
}

struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or("it is cut off")?;
        self.rest = rest;
        Ok(taken)
    }

    fn numbers(&mut self, count: usize) -> Result<&'a [[u8; 4]], String> {
        Ok(self.take(4 * count)?.as_chunks::<4>().0)
    }
}

fn read_items(
    parts: &mut Parts<'_>,
    envelope: &Envelope,
    params: &Params,
    generation: &Generation,
) -> Result<(), String> {
    let mut vectors = Parts { rest: parts.take(envelope.items as usize * 4 * params.dimension)? };
    let mut texts = Parts { rest: parts.take(usize::try_from(envelope.texts).map_err(|_| "it is too large")?)? };
    // SAFETY: nobody else knows of this generation.
    let mut commit = unsafe { generation.commit() };
    let mut vector = Vec::with_capacity(params.dimension);
    for number in 0..envelope.items {
        vector.clear();
        vector.extend(vectors.numbers(params.dimension)?.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        params.check_vector(&vector).map_err(|reason| format!("item {number}: {reason}"))?;
        let (id, metadata) = read_text(&mut texts).map_err(|reason| format!("item {number}: {reason}"))?;
        if commit.put(id, &vector, metadata, false) != Written::Added {
            return Err(format!("item {number} has the id of an earlier one"));
        }
    }
    commit.publish();
    if texts.rest.is_empty() { Ok(()) } else { Err("the texts are longer than their items".to_owned()) }
}

fn read_text<'a>(texts: &mut Parts<'a>) -> Result<(&'a str, Option<&'a str>), String> {
    let &[a, b, c, d, e, f] = texts.take(TEXT_HEAD)? else { return Err("it is cut off".to_owned()) };
    let metadata = u32::from_le_bytes([c, d, e, f]);
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "its text is not UTF-8".to_owned());
    let id = text(texts.take(usize::from(u16::from_le_bytes([a, b])))?)?;
    check_id(id)?;
    if metadata == NO_METADATA {
        return Ok((id, None));
    }
    let metadata = text(texts.take(metadata as usize)?)?;
    match serde_json::from_str::<&serde_json::value::RawValue>(metadata) {
        Ok(_) => Ok((id, Some(metadata))),
        Err(error) => Err(format!("its metadata are not JSON: {error}")),
    }
}

fn read_links(parts: &mut Parts<'_>, envelope: &Envelope, generation: &Generation) -> Result<(), String> {
    let Generation { values, graph, .. } = generation;
    let levels = parts.take(envelope.linked as usize)?;
    let uppers: u64 = levels.iter().map(|&level| u64::from(level)).sum();
    if uppers != u64::from(envelope.uppers) || levels.iter().any(|&level| u32::from(level) > MAX_LEVEL) {
        return Err("its levels do not fit".to_owned());
    }
    for (slot, &level) in (0..).zip(levels) {
        graph.place(values, slot, u32::from(level));
        graph.lengthen(values.factors(slot).aux);
    }
    let mut links = Vec::with_capacity(graph.width(0));
    let mut row = |slot: u32, level: u32| {
        links.clear();
        let all = parts.numbers(graph.width(level))?.iter().map(|bytes| u32::from_le_bytes(*bytes));
        links.extend(all.take_while(|&link| link != NONE));
        // A link to what is not on its level would lead a walk out of the graph.
        let sound = links.iter().all(|&link| levels.get(link as usize).is_some_and(|&other| u32::from(other) >= level));
        graph.set_links(values, slot, level, &links);
        if sound { Ok(()) } else { Err("a link leads nowhere".to_owned()) }
    };
    for slot in 0..envelope.linked {
        row(slot, 0)?;
    }
    for (slot, &level) in (0..).zip(levels) {
        for level in 1..=u32::from(level) {
            row(slot, level)?;
        }
    }
    let sound = match envelope.entry {
        None => levels.is_empty(),
        Some((slot, level)) => levels.get(slot as usize).is_some_and(|&own| u32::from(own) == level),
    };
    if !sound {
        return Err("the entry leads nowhere".to_owned());
    }
    graph.set_entry(envelope.entry);
    generation.linked.store(envelope.linked, std::sync::atomic::Ordering::Release);
    // Searching for each of them again would cost a start more than it can mend; a survey will come.
    generation.looked_at.store(envelope.linked, std::sync::atomic::Ordering::Relaxed);
    Ok(())
}
