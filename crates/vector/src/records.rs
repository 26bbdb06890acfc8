//! Variable-length records that never move: an item's id, its vector's exceptions, its metadata.
//!
//! Written once, back to back into blocks that are freed together; a pointer a record is all that
//! the slot keeps. Layout: id length u16, exceptions u16, metadata length u32 (`NO_METADATA` for
//! none), id, exceptions (u16 place, u32 bits), metadata; little-endian, unaligned.

use parking_lot::Mutex;

use crate::split::Exceptions;

const HEADER: usize = 8;
const EXCEPTION: usize = 6;
const NO_METADATA: u32 = u32::MAX;
/// The first block; each further one is twice as large, up to `LAST_BLOCK`.
const FIRST_BLOCK: usize = 4 << 10;
const LAST_BLOCK: usize = 1 << 20;

/// The blocks, and where the next record goes.
#[derive(Debug, Default)]
pub(crate) struct Records {
    blocks: Mutex<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    /// Each is allocated once with its final capacity, so its bytes stay where they are.
    blocks: Vec<Vec<u8>>,
    bytes: usize,
}

/// A record that lies in a [`Records`].
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    id_len: usize,
    exceptions: usize,
    metadata: Option<usize>,
    body: &'a [u8],
}

impl Records {
    /// Appends a record, and tells where it lies for as long as `self` lives.
    pub(crate) fn push(&self, id: &str, exceptions: &Exceptions, metadata: Option<&str>) -> *const u8 {
        let size = HEADER + id.len() + exceptions.len() * EXCEPTION + metadata.map_or(0, str::len);
        let mut blocks = self.blocks.lock();
        let block = blocks.with_room(size);
        let start = block.len();
        block.extend_from_slice(&(id.len() as u16).to_le_bytes());
        block.extend_from_slice(&(exceptions.len() as u16).to_le_bytes());
        block.extend_from_slice(&metadata.map_or(NO_METADATA, |text| text.len() as u32).to_le_bytes());
        block.extend_from_slice(id.as_bytes());
        for (place, value) in exceptions {
            block.extend_from_slice(&place.to_le_bytes());
            block.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        block.extend_from_slice(metadata.unwrap_or_default().as_bytes());
        block.as_ptr().wrapping_add(start)
    }

    /// Bytes taken from the system.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.lock().bytes
    }
}

impl Blocks {
    fn with_room(&mut self, size: usize) -> &mut Vec<u8> {
        let fits = self.blocks.last().is_some_and(|block| block.capacity() - block.len() >= size);
        if !fits {
            let capacity = (FIRST_BLOCK << self.blocks.len().min(16)).min(LAST_BLOCK).max(size);
            self.bytes += capacity;
            self.blocks.push(Vec::with_capacity(capacity));
        }
        let last = self.blocks.len() - 1;
        &mut self.blocks[last]
    }
}

impl<'a> Record<'a> {
    /// Reads the record at `start`.
    ///
    /// # Safety
    /// `start` came from [`Records::push`], and its `Records` lives for `'a`.
    pub(crate) unsafe fn at(start: *const u8) -> Self {
        // SAFETY: the caller's: a whole record lies there, and is never written again.
        let (header, body) = unsafe { (start.cast::<[u8; HEADER]>().read(), start.add(HEADER)) };
        let [a, b, c, d, e, f, g, h] = header;
        let id_len = usize::from(u16::from_le_bytes([a, b]));
        let exceptions = usize::from(u16::from_le_bytes([c, d]));
        let metadata = match u32::from_le_bytes([e, f, g, h]) {
            NO_METADATA => None,
            length => Some(length as usize),
        };
        let size = id_len + exceptions * EXCEPTION + metadata.unwrap_or(0);
        // SAFETY: as above.
        Self { id_len, exceptions, metadata, body: unsafe { std::slice::from_raw_parts(body, size) } }
    }

    pub(crate) fn id(self) -> &'a str {
        // SAFETY: `push` copied these bytes from a `str`.
        unsafe { std::str::from_utf8_unchecked(&self.body[..self.id_len]) }
    }

    pub(crate) fn metadata(self) -> Option<&'a str> {
        let length = self.metadata?;
        // SAFETY: `push` copied these bytes from a `str`.
        Some(unsafe { std::str::from_utf8_unchecked(&self.body[self.body.len() - length..]) })
    }

    /// The numbers that the codes could not hold.
    pub(crate) fn exceptions(self) -> Exceptions {
        self.iter_exceptions().collect()
    }

    /// Puts the numbers that the codes could not hold into their places.
    pub(crate) fn patch(self, vector: &mut [f32]) {
        for (place, value) in self.iter_exceptions() {
            if let Some(number) = vector.get_mut(usize::from(place)) {
                *number = value;
            }
        }
    }

    fn iter_exceptions(self) -> impl Iterator<Item = (u16, f32)> + 'a {
        let bytes = &self.body[self.id_len..self.id_len + self.exceptions * EXCEPTION];
        let (exceptions, _) = bytes.as_chunks::<EXCEPTION>();
        exceptions.iter().map(|&[low, high, a, b, c, d]| {
            (u16::from_le_bytes([low, high]), f32::from_bits(u32::from_le_bytes([a, b, c, d])))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_every_shape_are_read_back() {
        let records = Records::default();
        let long = "m".repeat(3 * LAST_BLOCK);
        let mut pushed = Vec::new();
        for n in 0..5_000_u16 {
            let id = format!("id-{n}");
            let exceptions: Exceptions = (0..n % 4).map(|place| (place, f32::from(n) + f32::from(place))).collect();
            let metadata = match n % 3 {
                0 => None,
                1 => Some("{}"),
                _ => Some(if n == 2 { long.as_str() } else { "{\"a\":1}" }),
            };
            pushed.push((records.push(&id, &exceptions, metadata), id, exceptions, metadata));
        }
        for (start, id, exceptions, metadata) in pushed {
            // SAFETY: pushed above, and `records` is alive.
            let record = unsafe { Record::at(start) };
            assert_eq!((record.id(), record.metadata()), (id.as_str(), metadata));
            let mut vector = [0.5; 4];
            record.patch(&mut vector);
            for (place, value) in vector.iter().enumerate() {
                let expected = exceptions.iter().find(|(p, _)| usize::from(*p) == place).map_or(0.5, |(_, v)| *v);
                assert_eq!(*value, expected);
            }
        }
    }
}
