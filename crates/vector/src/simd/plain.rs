//! The loops in plain Rust: what other machines run, what the fast forms are tested against, and,
//! for the loops that the compiler vectorises well by itself, what the fast forms are made of.

use super::{Kernels, LANES};
use crate::{rows::Rows, split};

pub(super) static KERNELS: Kernels =
    Kernels { name: "plain", scores, pair, decode: decode_plain, dot: dot_plain, square: square_plain };

unsafe fn scores(query: &[i16], codes: &Rows, slots: &[u32], out: &mut [i32]) {
    for (slot, out) in slots.iter().zip(out) {
        // SAFETY: the caller's: the slot's row is written and as long as the query.
        let row = unsafe { std::slice::from_raw_parts(codes.row(*slot).cast::<i8>(), query.len()) };
        *out = query.iter().zip(row).map(|(&q, &c)| i32::from(q) * i32::from(c)).sum();
    }
}

unsafe fn pair(a: *const i8, b: *const i8, padded: usize) -> i32 {
    // SAFETY: the caller's: both rows have `padded` codes.
    let (a, b) = unsafe { (std::slice::from_raw_parts(a, padded), std::slice::from_raw_parts(b, padded)) };
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

#[inline(always)]
pub(super) unsafe fn decode(codes: *const i8, rest: *const u8, scale: f32, out: &mut [f32]) {
    let count = out.len();
    // SAFETY: the caller's: so many codes, and behind one another two and one byte for each.
    let (codes, halves, bytes) = unsafe {
        (
            std::slice::from_raw_parts(codes, count),
            std::slice::from_raw_parts(rest.cast::<[u8; 2]>(), count),
            std::slice::from_raw_parts(rest.add(2 * count), count),
        )
    };
    for (((out, &code), &half), &byte) in out.iter_mut().zip(codes).zip(halves).zip(bytes) {
        let low = u32::from(u16::from_le_bytes(half)) | u32::from(byte) << 16;
        *out = split::decode_one(code, low, scale);
    }
}

/// Sums in this many places at once, so that the compiler may use vectors: it must not reorder
/// floating-point sums by itself.
const SUMS: usize = 16;

#[inline(always)]
fn reduce(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f64) -> f64 {
    let mut sums = [0.0_f64; SUMS];
    let (a_chunks, b_chunks) = (a.chunks_exact(SUMS), b.chunks_exact(SUMS));
    let tail: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(&a, &b)| term(a, b)).sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(a, b);
        }
    }
    sums.iter().sum::<f64>() + tail
}

#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    reduce(a, b, |a, b| f64::from(a) * f64::from(b))
}

#[inline(always)]
pub(super) fn square(a: &[f32], b: &[f32]) -> f64 {
    reduce(a, b, |a, b| {
        let difference = f64::from(a) - f64::from(b);
        difference * difference
    })
}

unsafe fn decode_plain(codes: *const i8, rest: *const u8, scale: f32, out: &mut [f32]) {
    // SAFETY: the caller's.
    unsafe { decode(codes, rest, scale, out) }
}

unsafe fn dot_plain(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b)
}

unsafe fn square_plain(a: &[f32], b: &[f32]) -> f64 {
    square(a, b)
}

const _: () = assert!(LANES.is_multiple_of(SUMS), "padded rows have no tail");
