//! Log entries: what one group commit writes.
//!
//! Little-endian: `LHVL`, version u8, incarnation u64, sequence u64, writer u64, the number of
//! operations u32, the operations, and a CRC-32C of all before. An operation is its kind u8 (1 add,
//! 2 add what is missing, 3 delete, 4 drop, 5 delete what is still the same) and, but for a drop, a count u32 and so many items (id's length u16, metadata's length u32 or
//! `NO_METADATA`, id, metadata, numbers f32) or ids (length u16, id). An entry without operations
//! is void: it stands where a write was given up, so that the write can't arrive later.

use lakehouse_types::vector::AddItem;
use serde_json::value::RawValue;

use crate::{
    Change, Params,
    params::{check_id, put_numbers},
};

const MAGIC: &[u8; 4] = b"LHVL";
const VERSION: u8 = 1;
const NO_METADATA: u32 = u32::MAX;

/// What an entry can ask for.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Change(Change),
    /// The index ends here.
    Drop,
}

/// An entry's place, and who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) incarnation: u64,
    pub(super) sequence: u64,
    /// A random number of the process, so that equal changes of two processes differ.
    pub(super) writer: u64,
}

pub(super) fn encode(head: Head, operations: &[Operation]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + operations.iter().map(size).sum::<usize>());
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    for number in [head.incarnation, head.sequence, head.writer] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&(operations.len() as u32).to_le_bytes());
    for operation in operations {
        match operation {
            Operation::Change(Change::Add(items)) => put_items(&mut out, 1, items),
            Operation::Change(Change::AddMissing(items)) => put_items(&mut out, 2, items),
            Operation::Change(Change::DeleteSame(items)) => put_items(&mut out, 5, items),
            Operation::Change(Change::Delete(ids)) => {
                out.push(3);
                out.extend_from_slice(&(ids.len() as u32).to_le_bytes());
                for id in ids {
                    out.extend_from_slice(&(id.len() as u16).to_le_bytes());
                    out.extend_from_slice(id.as_bytes());
                }
            }
            Operation::Drop => out.push(4),
        }
    }
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn put_items(out: &mut Vec<u8>, kind: u8, items: &[AddItem]) {
    out.push(kind);
    out.extend_from_slice(&(items.len() as u32).to_le_bytes());
    for item in items {
        let metadata = item.metadata.as_ref().map(|text| text.get());
        out.extend_from_slice(&(item.id.len() as u16).to_le_bytes());
        out.extend_from_slice(&metadata.map_or(NO_METADATA, |text| text.len() as u32).to_le_bytes());
        out.extend_from_slice(item.id.as_bytes());
        out.extend_from_slice(metadata.unwrap_or_default().as_bytes());
        put_numbers(out, &item.vector);
    }
}

/// About how many bytes an operation takes in an entry.
pub(super) fn size(operation: &Operation) -> usize {
    match operation {
        Operation::Change(Change::Add(items) | Change::AddMissing(items) | Change::DeleteSame(items)) => items
            .iter()
            .map(|item| {
                6 + item.id.len() + item.metadata.as_ref().map_or(0, |text| text.get().len()) + 4 * item.vector.len()
            })
            .sum(),
        Operation::Change(Change::Delete(ids)) => ids.iter().map(|id| 2 + id.len()).sum(),
        Operation::Drop => 1,
    }
}

/// Reads an entry of an index with these parameters.
pub(super) fn decode(bytes: &[u8], params: &Params) -> Result<(Head, Vec<Operation>), String> {
    let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or("the entry is cut off")?;
    if crc32c::crc32c(covered) != u32::from_le_bytes(*checksum) {
        return Err("the entry's checksum does not fit".to_owned());
    }
    let mut reader = Reader { rest: covered };
    if reader.take(4)? != MAGIC || reader.take(1)? != [VERSION] {
        return Err("it is not a log entry that this program knows".to_owned());
    }
    let head = Head { incarnation: reader.u64()?, sequence: reader.u64()?, writer: reader.u64()? };
    let mut operations = Vec::new();
    for _ in 0..reader.u32()? {
        operations.push(match reader.take(1)? {
            [1] => Operation::Change(Change::Add(reader.items(params)?)),
            [2] => Operation::Change(Change::AddMissing(reader.items(params)?)),
            [3] => Operation::Change(Change::Delete(reader.ids()?)),
            [4] => Operation::Drop,
            [5] => Operation::Change(Change::DeleteSame(reader.items(params)?)),
            _ => return Err("the entry has an operation that this program does not know".to_owned()),
        });
    }
    if reader.rest.is_empty() { Ok((head, operations)) } else { Err("bytes follow the entry".to_owned()) }
}

/// Is this an undamaged entry that ends with a drop? For whoever does not know the parameters.
pub(super) fn is_drop(bytes: &[u8]) -> bool {
    let sound = bytes.split_last_chunk::<4>().filter(|(covered, checksum)| {
        covered.starts_with(MAGIC) && crc32c::crc32c(covered) == u32::from_le_bytes(**checksum)
    });
    // A drop is submitted while nobody else may write, so it is alone in its entry: after the head,
    // a count of one and its kind.
    const HEAD: usize = 4 + 1 + 3 * 8;
    sound.is_some_and(|(covered, _)| covered.get(HEAD..) == Some(&[1, 0, 0, 0, 4][..]))
}

/// Reads one entry and throws it away: for the fuzz target.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn check_entry(bytes: &[u8], params: &Params) -> Result<usize, String> {
    decode(bytes, params).map(|(_, operations)| operations.len())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or("the entry is cut off")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or("the entry is cut off")?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u16(&mut self) -> Result<usize, String> {
        Ok(usize::from(u16::from_le_bytes(self.array()?)))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self, length: usize) -> Result<String, String> {
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "a text of the entry is not UTF-8")?;
        Ok(text.to_owned())
    }

    fn id(&mut self, length: usize) -> Result<String, String> {
        let id = self.text(length)?;
        check_id(&id)?;
        Ok(id)
    }

    fn items(&mut self, params: &Params) -> Result<Vec<AddItem>, String> {
        let mut items = Vec::new();
        for _ in 0..self.u32()? {
            let (id_length, metadata_length) = (self.u16()?, self.u32()?);
            let id = self.id(id_length)?;
            let metadata = match metadata_length {
                NO_METADATA => None,
                length => Some(self.metadata(length as usize)?),
            };
            let (numbers, _) = self.take(4 * params.dimension)?.as_chunks::<4>();
            let vector: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            params.check_vector(&vector)?;
            items.push(AddItem { id, vector, metadata });
        }
        Ok(items)
    }

    fn metadata(&mut self, length: usize) -> Result<Box<RawValue>, String> {
        let text = self.text(length)?;
        RawValue::from_string(text).map_err(|error| format!("metadata: {error}"))
    }

    fn ids(&mut self) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        for _ in 0..self.u32()? {
            let length = self.u16()?;
            ids.push(self.id(length)?);
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use lakehouse_types::vector::Distance;

    use super::*;

    fn sample() -> (Head, Vec<Operation>, Params) {
        let item = |id: &str, metadata: Option<&str>| AddItem {
            id: id.to_owned(),
            vector: vec![1.0, -2.5],
            metadata: metadata.map(|text| RawValue::from_string(text.to_owned()).expect("JSON")),
        };
        let operations = vec![
            Operation::Change(Change::Add(vec![item("a", None), item("é", Some(r#"{"b": 1e2}"#))])),
            Operation::Change(Change::AddMissing(vec![item("c", Some("{}")), item("d", Some("null"))])),
            Operation::Change(Change::DeleteSame(vec![item("e", None), item("f", Some(r#"[1,"x",null]"#))])),
            Operation::Change(Change::Delete(vec!["a".to_owned(), "x".to_owned()])),
            Operation::Drop,
        ];
        (Head { incarnation: 1 << 60, sequence: 9, writer: 3 }, operations, Params::new(2, Distance::Cosine))
    }

    #[test]
    fn entries_come_back_and_damage_does_not() {
        let (head, operations, params) = sample();
        let bytes = encode(head, &operations);
        let (found_head, found) = decode(&bytes, &params).expect("its own entry");
        assert_eq!(found_head, head);
        assert_eq!(encode(head, &found), bytes);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], &params).is_err(), "cut at {length}");
        }
        for bit in 0..8 * bytes.len() {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes, &params).is_err(), "bit {bit}");
        }
        assert!(decode(&bytes, &Params::new(3, Distance::Cosine)).is_err());
        assert!(decode(&encode(head, &[]), &params).expect("a void entry").1.is_empty());
        assert!(is_drop(&encode(head, &[Operation::Drop])));
        assert!(!is_drop(&bytes) && !is_drop(&encode(head, &[])));
    }
}
