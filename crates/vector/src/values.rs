//! The truth: every vector, id and metadata of an index. The graph is built over it and can be
//! thrown away.
//!
//! Items lie in slots that are written once and then only marked dead: an update is a new slot and
//! a dead old one. A reader therefore needs no lock: it takes a [`Moment`], and sees exactly the
//! slots that were written before it and not dead at it, however long it looks.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lakehouse_types::vector::Distance;

use crate::{
    records::{Record, Records},
    rows::Rows,
    simd::Kernels,
    split::{self, Split},
};

/// What all vectors of an index have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) dimension: usize,
    pub(crate) padded: usize,
    pub(crate) distance: Distance,
    pub(crate) kernels: &'static Kernels,
}

impl Shape {
    pub(crate) fn new(dimension: usize, distance: Distance) -> Self {
        Self { dimension, padded: split::padded(dimension), distance, kernels: Kernels::detect() }
    }
}

/// A state of the index that a reader holds on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Slots written.
    pub(crate) slots: u32,
    /// Grows with every commit; a slot that died at or before this is dead.
    pub(crate) epoch: u32,
}

/// What a slot keeps besides its vector.
#[repr(C)]
struct Node {
    /// The epoch at which it died; `ALIVE` until then.
    died: AtomicU32,
    /// Where its upper rows are; the graph's.
    upper: AtomicU32,
    record: *const u8,
}

const ALIVE: u32 = u32::MAX;

/// What the walk needs of a slot besides its codes: a distance is
/// `aux - product * probe * factor`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Factors {
    /// The codes' scale; under cosine divided by the vector's length.
    pub(crate) factor: f32,
    /// The vector's squared length; under cosine 0.
    pub(crate) aux: f32,
}

/// The slots of one generation of an index.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) shape: Shape,
    pub(crate) codes: Rows,
    factors: Rows,
    /// The other 24 bits of every number, then the scale.
    rests: Rows,
    nodes: Rows,
    records: Records,
    /// Slots (low half) and epoch (high half) of the last commit, published together.
    moment: AtomicU64,
    dead: AtomicU32,
}

// SAFETY: rows are written by one thread (the committer, under the index's commit lock) before
// their slot is published with `Release`, and from then on are read only, but for the atomics.
unsafe impl Send for Values {}
// SAFETY: as above.
unsafe impl Sync for Values {}

impl Values {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            shape,
            codes: Rows::new(shape.padded),
            factors: Rows::new(size_of::<Factors>()),
            rests: Rows::new(3 * shape.padded + size_of::<f32>()),
            nodes: Rows::new(size_of::<Node>()),
            records: Records::default(),
            moment: AtomicU64::new(0),
            dead: AtomicU32::new(0),
        }
    }

    /// The state after the last commit.
    pub(crate) fn moment(&self) -> Moment {
        let both = self.moment.load(Ordering::Acquire);
        Moment { slots: both as u32, epoch: (both >> 32) as u32 }
    }

    /// Makes everything written and killed up to `moment` visible, in one step.
    pub(crate) fn publish(&self, moment: Moment) {
        self.moment.store(u64::from(moment.epoch) << 32 | u64::from(moment.slots), Ordering::Release);
    }

    /// Writes the item of slot `slot`, the next one; it is seen once it is published.
    ///
    /// # Safety
    /// One thread at a time, and `slot` is not published yet.
    pub(crate) unsafe fn write(&self, slot: u32, id: &str, vector: &Split, norm: f64, metadata: Option<&str>) {
        for rows in [&self.codes, &self.factors, &self.rests, &self.nodes] {
            rows.reserve(slot + 1);
        }
        let record = self.records.push(id, &vector.exceptions, metadata);
        let node = Node { died: AtomicU32::new(ALIVE), upper: AtomicU32::new(0), record };
        let factors = match self.shape.distance {
            Distance::Cosine => Factors { factor: (f64::from(vector.scale) / norm) as f32, aux: 0.0 },
            Distance::L2 | Distance::Dot => Factors { factor: vector.scale, aux: (norm * norm) as f32 },
        };
        // SAFETY: the rows are reserved above and nobody else knows of them yet; sizes are the strides.
        unsafe {
            std::ptr::copy_nonoverlapping(vector.codes.as_ptr(), self.codes.row(slot).cast(), self.shape.padded);
            let rest = self.rests.row(slot);
            std::ptr::copy_nonoverlapping(vector.rest.as_ptr(), rest, vector.rest.len());
            rest.add(3 * self.shape.padded).cast::<f32>().write_unaligned(vector.scale);
            self.factors.row(slot).cast::<Factors>().write_unaligned(factors);
            self.nodes.row(slot).cast::<Node>().write(node);
        }
    }

    /// Copies the slot `from` of `other` (of the same shape) to slot `to`.
    ///
    /// # Safety
    /// As [`Self::write`] for `to`; `from` is published.
    pub(crate) unsafe fn copy(&self, to: u32, other: &Self, from: u32) {
        for (rows, source) in
            [(&self.codes, &other.codes), (&self.factors, &other.factors), (&self.rests, &other.rests)]
        {
            rows.reserve(to + 1);
            // SAFETY: both rows are reserved, `from` is written, `to` is nobody else's yet.
            unsafe { std::ptr::copy_nonoverlapping(source.row(from), rows.row(to), rows.stride()) };
        }
        self.nodes.reserve(to + 1);
        let old = other.record(from);
        let record = self.records.push(old.id(), &old.exceptions(), old.metadata());
        let node = Node { died: AtomicU32::new(ALIVE), upper: AtomicU32::new(0), record };
        // SAFETY: reserved above, and nobody else's yet.
        unsafe { self.nodes.row(to).cast::<Node>().write(node) };
    }

    fn node(&self, slot: u32) -> &Node {
        // SAFETY: slots come from a `Moment`, a link or the id map, all of which name only slots
        // that were written before; a node is never written again but for its atomics.
        unsafe { &*self.nodes.row(slot).cast::<Node>() }
    }

    pub(crate) fn record(&self, slot: u32) -> Record<'_> {
        // SAFETY: `write` put a record of `self.records` there.
        unsafe { Record::at(self.node(slot).record) }
    }

    /// Was the slot there, and not dead, at `moment`?
    #[inline]
    pub(crate) fn alive(&self, slot: u32, moment: Moment) -> bool {
        slot < moment.slots && self.node(slot).died.load(Ordering::Relaxed) > moment.epoch
    }

    /// Has the slot never been killed, not even by a commit that is not published yet?
    #[inline]
    pub(crate) fn undying(&self, slot: u32) -> bool {
        self.node(slot).died.load(Ordering::Relaxed) == ALIVE
    }

    /// Marks the slot dead from `epoch` on.
    pub(crate) fn kill(&self, slot: u32, epoch: u32) {
        self.node(slot).died.store(epoch, Ordering::Relaxed);
        self.dead.fetch_add(1, Ordering::Relaxed);
    }

    /// Slots that are dead.
    pub(crate) fn dead(&self) -> u32 {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn upper(&self, slot: u32) -> u32 {
        self.node(slot).upper.load(Ordering::Acquire)
    }

    pub(crate) fn set_upper(&self, slot: u32, upper: u32) {
        self.node(slot).upper.store(upper, Ordering::Release);
    }

    #[inline(always)]
    pub(crate) fn factors(&self, slot: u32) -> Factors {
        // SAFETY: as in `node`.
        unsafe { self.factors.row(slot).cast::<Factors>().read_unaligned() }
    }

    /// The slot's codes.
    #[inline(always)]
    pub(crate) fn codes(&self, slot: u32) -> *const i8 {
        // SAFETY: as in `node`.
        unsafe { self.codes.row(slot).cast() }
    }

    /// The slot's vector, bit for bit; `out` has the padded length.
    pub(crate) fn decode(&self, slot: u32, out: &mut [f32]) {
        assert_eq!(out.len(), self.shape.padded, "room for a padded vector");
        // SAFETY: as in `node`; both rows have the padded length.
        unsafe {
            let rest = self.rests.row(slot);
            let scale = rest.add(3 * self.shape.padded).cast::<f32>().read_unaligned();
            self.shape.kernels.decode(self.codes(slot), rest, scale, out);
        }
        self.record(slot).patch(out);
    }

    /// The slot's vector, bit for bit.
    pub(crate) fn vector(&self, slot: u32) -> Vec<f32> {
        let mut vector = vec![0.0; self.shape.padded];
        self.decode(slot, &mut vector);
        vector.truncate(self.shape.dimension);
        vector
    }

    /// Bytes of memory for `slots` slots, their texts included.
    pub(crate) fn bytes(&self, slots: u32) -> usize {
        let stride: usize = [&self.codes, &self.factors, &self.rests, &self.nodes].iter().map(|r| r.stride()).sum();
        stride * slots as usize + self.records.bytes()
    }
}
