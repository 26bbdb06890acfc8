//! The few loops that everything else waits for, in one form for each instruction set.
//!
//! The set is chosen once, at run time. Integer results are the same bits on every set; a test
//! holds each against the plain form.

mod plain;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::rows::Rows;

/// Vectors of codes are padded with zeros to a multiple of this, so that no loop has a tail.
pub(crate) const LANES: usize = 32;

/// One instruction set's forms of the loops.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// For the log and the tests.
    pub(crate) name: &'static str,
    scores: unsafe fn(&[i16], &Rows, &[u32], &mut [i32]),
    pair: unsafe fn(*const i8, *const i8, usize) -> i32,
    decode: unsafe fn(*const i8, *const u8, f32, &mut [f32]),
    dot: unsafe fn(&[f32], &[f32]) -> f64,
    square: unsafe fn(&[f32], &[f32]) -> f64,
}

impl std::fmt::Debug for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Kernels {
    /// The fastest set that this machine has.
    pub(crate) fn detect() -> &'static Self {
        Self::available().next().unwrap_or(&plain::KERNELS)
    }

    /// Every set that this machine has, fastest first.
    pub(crate) fn available() -> impl Iterator<Item = &'static Self> {
        #[cfg(target_arch = "x86_64")]
        let fast = [
            (is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vnni"))
                .then_some(&x86::AVX512_VNNI),
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("lzcnt")).then_some(&x86::AVX2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let fast: [Option<&'static Self>; 0] = [];
        fast.into_iter().flatten().chain(std::iter::once(&plain::KERNELS))
    }

    /// The products of `query` with the codes of `slots`, one for each.
    ///
    /// # Safety
    /// The rows of `slots` are written, and are `query.len()` codes long.
    #[inline]
    pub(crate) unsafe fn scores(&self, query: &[i16], codes: &Rows, slots: &[u32], out: &mut [i32]) {
        assert!(out.len() >= slots.len() && query.len().is_multiple_of(LANES), "one result a slot");
        // SAFETY: the machine has this set's features (`available`); the rest is the caller's.
        unsafe { (self.scores)(query, codes, slots, out) }
    }

    /// The product of two rows of codes.
    ///
    /// # Safety
    /// Both rows are written and `padded` codes long, a multiple of [`LANES`].
    #[inline]
    pub(crate) unsafe fn pair(&self, a: *const i8, b: *const i8, padded: usize) -> i32 {
        debug_assert!(padded.is_multiple_of(LANES), "rows are padded");
        // SAFETY: as above.
        unsafe { (self.pair)(a, b, padded) }
    }

    /// See [`crate::split::decode_one`], for a whole row.
    ///
    /// # Safety
    /// `codes` has `out.len()` codes, `rest` two bytes for each of them and then one for each.
    pub(crate) unsafe fn decode(&self, codes: *const i8, rest: *const u8, scale: f32, out: &mut [f32]) {
        // SAFETY: as above.
        unsafe { (self.decode)(codes, rest, scale, out) }
    }

    /// The dot product, with every sum in double precision.
    pub(crate) fn dot(&self, a: &[f32], b: &[f32]) -> f64 {
        // SAFETY: the machine has this set's features.
        unsafe { (self.dot)(a, b) }
    }

    /// The squared Euclidean distance, with every sum in double precision.
    pub(crate) fn square(&self, a: &[f32], b: &[f32]) -> f64 {
        // SAFETY: the machine has this set's features.
        unsafe { (self.square)(a, b) }
    }
}

#[cfg(test)]
mod tests;
