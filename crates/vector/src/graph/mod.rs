//! A navigable small-world graph over the slots of [`Values`], flat: a row of slot numbers for
//! each node and level, read without a lock while others write.
//!
//! A row is filled from the left and ends at the first `NONE`. Every number in a row is that of a
//! slot whose vector and rows were written before, so whatever mixture of old and new numbers a
//! reader sees while a row is rewritten, it can follow all of them.

mod insert;
mod repair;
mod select;
mod walk;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::{rows::Rows, split_mix, values::Values};

pub(crate) use insert::Linker;
pub(crate) use walk::Walker;

/// Ends a row that is not full.
pub(crate) const NONE: u32 = u32::MAX;
/// No node is on a level above this: with 16 links a level it would take 2^64 nodes.
pub(crate) const MAX_LEVEL: u32 = 16;
/// Row numbers of upper levels share 32 bits with the level.
const UPPER_BITS: u32 = 27;
/// Writers of rows lock one of these.
const STRIPES: usize = 512;

/// How a graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Links of a node on an upper level; twice as many on the lowest.
    pub(crate) m: usize,
    /// Candidates weighed for a new node's links.
    pub(crate) ef_construction: usize,
}

/// The links of one generation of an index.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) shape: Shape,
    base: Rows,
    upper: Rows,
    upper_len: AtomicU32,
    /// The slot where walks begin (low half) and its level (high half); `NO_ENTRY` in an empty graph.
    entry: AtomicU64,
    entry_lock: Mutex<()>,
    stripes: Box<[Mutex<()>]>,
    /// The largest squared length of a linked vector, as bits of an `f32`; under `dot` only.
    longest: AtomicU32,
}

const NO_ENTRY: u64 = u64::MAX;

impl Graph {
    pub(crate) fn new(shape: Shape) -> Self {
        let stride = shape.m * size_of::<u32>();
        Self {
            shape,
            base: Rows::new(2 * stride),
            upper: Rows::new(stride),
            upper_len: AtomicU32::new(0),
            entry: AtomicU64::new(NO_ENTRY),
            entry_lock: Mutex::new(()),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            longest: AtomicU32::new(0),
        }
    }

    /// Where walks begin: a slot and its level.
    pub(crate) fn entry(&self) -> Option<(u32, u32)> {
        let both = self.entry.load(Ordering::Acquire);
        (both != NO_ENTRY).then_some((both as u32, (both >> 32) as u32))
    }

    pub(crate) fn set_entry(&self, entry: Option<(u32, u32)>) {
        let both = entry.map_or(NO_ENTRY, |(slot, level)| u64::from(level) << 32 | u64::from(slot));
        self.entry.store(both, Ordering::Release);
    }

    /// The most links that a row of `level` holds.
    pub(crate) const fn width(&self, level: u32) -> usize {
        if level == 0 { 2 * self.shape.m } else { self.shape.m }
    }

    /// The highest level that the slot is on.
    pub(crate) fn level(values: &Values, slot: u32) -> u32 {
        values.upper(slot) >> UPPER_BITS
    }

    /// Gives the slot empty rows on the levels `0..=level`. Done once, before anything links to it.
    pub(crate) fn place(&self, values: &Values, slot: u32, level: u32) {
        self.base.reserve(slot + 1);
        if level > 0 {
            let first = self.upper_len.fetch_add(level, Ordering::Relaxed);
            assert!(first + level < 1 << UPPER_BITS, "more upper rows than a graph can have");
            self.upper.reserve(first + level);
            values.set_upper(slot, level << UPPER_BITS | first);
        }
        for level in 0..=level {
            for link in self.row(values, slot, level) {
                link.store(NONE, Ordering::Relaxed);
            }
        }
    }

    /// The slot's links on a level that it is on.
    #[inline(always)]
    pub(crate) fn row(&self, values: &Values, slot: u32, level: u32) -> &[AtomicU32] {
        let (rows, row) = if level == 0 {
            (&self.base, slot)
        } else {
            (&self.upper, (values.upper(slot) & ((1 << UPPER_BITS) - 1)) + level - 1)
        };
        // SAFETY: the slot was placed before its number went anywhere; a row has so many links
        // and is only ever accessed as atomics.
        unsafe { std::slice::from_raw_parts(rows.row(row).cast::<AtomicU32>(), self.width(level)) }
    }

    /// The slots that the row names.
    #[inline(always)]
    pub(crate) fn links(&self, values: &Values, slot: u32, level: u32) -> impl Iterator<Item = u32> {
        self.row(values, slot, level).iter().map(|link| link.load(Ordering::Acquire)).take_while(|&link| link != NONE)
    }

    /// Writes a whole row. Readers see old and new links mixed for a moment.
    pub(crate) fn set_links(&self, values: &Values, slot: u32, level: u32, links: &[u32]) {
        let ends = std::iter::repeat(&NONE);
        for (link, &new) in self.row(values, slot, level).iter().zip(links.iter().chain(ends)) {
            link.store(new, Ordering::Release);
        }
    }

    /// Whoever writes the slot's rows holds this.
    fn lock(&self, slot: u32) -> MutexGuard<'_, ()> {
        self.stripes[slot as usize % STRIPES].lock()
    }

    fn longest(&self) -> f32 {
        f32::from_bits(self.longest.load(Ordering::Relaxed))
    }

    /// Takes a squared length into account. Positive floats sort like their bits.
    pub(crate) fn lengthen(&self, square: f32) {
        self.longest.fetch_max(square.max(0.0).to_bits(), Ordering::Relaxed);
    }

    /// Bytes of memory for `slots` slots.
    pub(crate) fn bytes(&self, slots: u32) -> usize {
        self.base.stride() * slots as usize + self.upper.stride() * self.upper_len.load(Ordering::Relaxed) as usize
    }
}

/// The level of the `number`th node: geometric, from a hash, so that a build can be repeated.
pub(crate) fn draw_level(number: u64, m: usize) -> u32 {
    let bits = split_mix(number);
    let uniform = ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    ((-uniform.ln() / (m as f64).ln()) as u32).min(MAX_LEVEL)
}
