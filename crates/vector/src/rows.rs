//! Append-only arrays of fixed-size rows that never move.
//!
//! A reader holds no lock and the array never reallocates: it grows by chunks, each twice as
//! large as the one before, so that a row's address needs one logarithm and one table look-up.
//! Chunks of two megabytes and more ask for huge pages: a walk touches rows at random, and with
//! 4 KiB pages most of its time would go into TLB misses.

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    sync::atomic::{AtomicPtr, Ordering},
};

use memmap2::MmapMut;
use parking_lot::Mutex;

/// Rows in the first chunk, as a power of two: small, because most indexes are.
const FIRST_BITS: u32 = 6;
/// Enough for 2^31 rows.
const CHUNKS: usize = 25;
/// From this size on a chunk is mapped by itself and asks for huge pages.
const HUGE: usize = 2 << 20;
/// A cache line; rows whose stride is a multiple of it never straddle one more than they must.
const ALIGN: usize = 64;

/// The most rows an array can have.
pub(crate) const MAX_ROWS: u32 = (1 << 31) - (1 << FIRST_BITS);

enum Chunk {
    Heap(*mut u8, Layout),
    Mapped(MmapMut),
}

// SAFETY: a heap chunk is owned by the array alone; the pointer is only freed when it is dropped.
unsafe impl Send for Chunk {}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Self::Heap(start, layout) = *self {
            // SAFETY: allocated in `Chunk::new` with this very layout, and freed once.
            unsafe { dealloc(start, layout) }
        }
    }
}

impl Chunk {
    fn new(bytes: usize) -> Self {
        if bytes >= HUGE
            && let Ok(map) = MmapMut::map_anon(bytes)
        {
            #[cfg(target_os = "linux")]
            if let Err(error) = map.advise(memmap2::Advice::HugePage) {
                // Slower, not wrong: a kernel without transparent huge pages answers so.
                tracing::debug!(%error, "advise huge pages");
            }
            return Self::Mapped(map);
        }
        let Ok(layout) = Layout::from_size_align(bytes, ALIGN) else { handle_alloc_error(Layout::new::<u8>()) };
        // SAFETY: `bytes` is never 0: a stride and a chunk's rows are at least 1.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        Self::Heap(start, layout)
    }

    fn start(&mut self) -> *mut u8 {
        match self {
            Self::Heap(start, _) => *start,
            Self::Mapped(map) => map.as_mut_ptr(),
        }
    }
}

/// An array of rows of `stride` bytes.
pub(crate) struct Rows {
    stride: usize,
    /// For each chunk, its start less the offset of its first row, so that a row's address is
    /// one addition.
    biased: [AtomicPtr<u8>; CHUNKS],
    chunks: Mutex<Vec<Chunk>>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("stride", &self.stride).finish_non_exhaustive()
    }
}

impl Rows {
    pub(crate) fn new(stride: usize) -> Self {
        assert!(stride > 0, "a row has at least one byte");
        let biased = std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut()));
        Self { stride, biased, chunks: Mutex::new(Vec::new()) }
    }

    pub(crate) const fn stride(&self) -> usize {
        self.stride
    }

    /// Makes room for the rows `..rows`. Memory is taken from the system as rows are written.
    pub(crate) fn reserve(&self, rows: u32) {
        assert!(rows <= MAX_ROWS, "more rows than an array can have");
        let Some(last) = rows.checked_sub(1) else { return };
        let needed = chunk_of(last + (1 << FIRST_BITS)) + 1;
        let mut chunks = self.chunks.lock();
        while chunks.len() < needed {
            let number = chunks.len();
            let first_row = 1_usize << (number + FIRST_BITS as usize);
            let mut chunk = Chunk::new(first_row * self.stride);
            let biased = chunk.start().wrapping_sub(first_row * self.stride);
            chunks.push(chunk);
            self.biased[number].store(biased, Ordering::Release);
        }
    }

    /// The address of a row.
    ///
    /// # Safety
    /// The row was reserved, and whoever told this thread its number did so after that (through
    /// an atomic's release and acquire, or a lock).
    #[inline(always)]
    pub(crate) unsafe fn row(&self, row: u32) -> *mut u8 {
        let shifted = row + (1 << FIRST_BITS);
        // SAFETY: a reserved row's chunk is in the table. Relaxed is enough: the caller has
        // synchronised with the thread that reserved it.
        let biased = unsafe { self.biased.get_unchecked(chunk_of(shifted)) }.load(Ordering::Relaxed);
        biased.wrapping_add(shifted as usize * self.stride)
    }
}

#[inline(always)]
const fn chunk_of(shifted: u32) -> usize {
    (shifted.ilog2() - FIRST_BITS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_apart_and_stay_where_they_are() {
        let rows = Rows::new(96);
        let mut addresses = Vec::new();
        for n in 0..70_000_u32 {
            rows.reserve(n + 1);
            // SAFETY: reserved just now by this thread.
            let address = unsafe { rows.row(n) };
            // SAFETY: a row has 96 bytes, and this thread alone writes.
            unsafe { address.cast::<u32>().write_unaligned(n) };
            addresses.push(address as usize);
        }
        for (n, &address) in addresses.iter().enumerate() {
            // SAFETY: as above.
            let row = unsafe { rows.row(n as u32) };
            assert_eq!(row as usize, address);
            // SAFETY: written above.
            assert_eq!(unsafe { row.cast::<u32>().read_unaligned() }, n as u32);
        }
        addresses.sort_unstable();
        assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] >= 96), "two rows overlap");
    }

    #[test]
    fn the_last_row_has_a_chunk() {
        assert_eq!(chunk_of(MAX_ROWS - 1 + (1 << FIRST_BITS)), CHUNKS - 1);
        assert_eq!(chunk_of(1 << FIRST_BITS), 0);
    }
}
