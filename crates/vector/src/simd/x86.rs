//! AVX2 and AVX-512 VNNI forms.
//!
//! The query side is held as 16-bit integers: its codes are then far finer than the rows' own,
//! and the multiply-add of 16-bit pairs is exact where the 8-bit one saturates.

use std::arch::x86_64::{
    __m256i, __m512i, _MM_HINT_T0, _mm_add_epi32, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_prefetch, _mm_shuffle_epi32,
    _mm256_add_epi32, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_extracti128_si256, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_setzero_si256, _mm512_add_epi32, _mm512_cvtepi8_epi16, _mm512_dpwssd_epi32,
    _mm512_loadu_si512, _mm512_reduce_add_epi32, _mm512_setzero_si512,
};

use super::{Kernels, LANES, plain};
use crate::rows::Rows;

pub(super) static AVX2: Kernels = Kernels {
    name: "avx2",
    scores: scores_avx2,
    pair: pair_avx2,
    decode: decode_avx2,
    dot: dot_avx2,
    square: square_avx2,
};

pub(super) static AVX512_VNNI: Kernels = Kernels {
    name: "avx512-vnni",
    scores: scores_avx512,
    pair: pair_avx512,
    decode: decode_avx512,
    dot: dot_avx512,
    square: square_avx512,
};

/// Rows fetched ahead of the one being summed: far enough to hide a miss, near enough that the
/// core's line-fill buffers are not overrun (4 measured best of 1..8 on 384 codes).
const AHEAD: usize = 4;
const LINE: usize = 64;

#[inline(always)]
unsafe fn prefetch_row(codes: &Rows, slot: u32, bytes: usize) {
    // SAFETY: the caller's: the row is reserved. A prefetch of any address is harmless.
    let row = unsafe { codes.row(slot) };
    let mut offset = 0;
    while offset < bytes {
        // SAFETY: SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(offset).cast::<i8>()) };
        offset += LINE;
    }
}

macro_rules! scores {
    ($name:ident, $features:literal, $dot:ident) => {
        #[target_feature(enable = $features)]
        unsafe fn $name(query: &[i16], codes: &Rows, slots: &[u32], out: &mut [i32]) {
            for &slot in slots.iter().take(AHEAD) {
                // SAFETY: the caller's: written rows.
                unsafe { prefetch_row(codes, slot, query.len()) };
            }
            for (position, (&slot, out)) in slots.iter().zip(out).enumerate() {
                if let Some(&next) = slots.get(position + AHEAD) {
                    // SAFETY: the caller's: written rows.
                    unsafe { prefetch_row(codes, next, query.len()) };
                }
                // SAFETY: the caller's: a written row as long as the query, which is padded.
                *out = unsafe { $dot(query, codes.row(slot).cast::<i8>()) };
            }
        }
    };
}

scores!(scores_avx2, "avx2,lzcnt", dot_codes_avx2);
scores!(scores_avx512, "avx512bw,avx512vnni,avx2,lzcnt", dot_codes_avx512);

#[inline]
#[target_feature(enable = "avx2")]
fn sum_avx2(lanes: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
}

/// Sixteen codes at `from`, widened.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn widen_avx2(from: *const i8) -> __m256i {
    // SAFETY: the caller's: 16 codes can be read.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(from.cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
unsafe fn dot_codes_avx2(query: &[i16], row: *const i8) -> i32 {
    let (mut even, mut odd) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for start in (0..query.len()).step_by(LANES) {
        // SAFETY: `query` and `row` are padded to whole blocks of `LANES`.
        unsafe {
            let at = query.as_ptr().add(start);
            let (q0, q1) = (_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(16).cast()));
            even = _mm256_add_epi32(even, _mm256_madd_epi16(q0, widen_avx2(row.add(start))));
            odd = _mm256_add_epi32(odd, _mm256_madd_epi16(q1, widen_avx2(row.add(start + 16))));
        }
    }
    sum_avx2(_mm256_add_epi32(even, odd))
}

#[target_feature(enable = "avx2")]
unsafe fn pair_avx2(a: *const i8, b: *const i8, padded: usize) -> i32 {
    let (mut even, mut odd) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    for start in (0..padded).step_by(LANES) {
        // SAFETY: the caller's: both rows have `padded` codes, whole blocks of `LANES`.
        unsafe {
            let (a0, b0) = (widen_avx2(a.add(start)), widen_avx2(b.add(start)));
            let (a1, b1) = (widen_avx2(a.add(start + 16)), widen_avx2(b.add(start + 16)));
            even = _mm256_add_epi32(even, _mm256_madd_epi16(a0, b0));
            odd = _mm256_add_epi32(odd, _mm256_madd_epi16(a1, b1));
        }
    }
    sum_avx2(_mm256_add_epi32(even, odd))
}

/// Thirty-two codes at `from`, widened.
#[inline]
#[target_feature(enable = "avx512bw,avx512vnni,avx2")]
unsafe fn widen_avx512(from: *const i8) -> __m512i {
    // SAFETY: the caller's: 32 codes can be read.
    _mm512_cvtepi8_epi16(unsafe { _mm256_loadu_si256(from.cast()) })
}

#[inline]
#[target_feature(enable = "avx512bw,avx512vnni,avx2")]
unsafe fn dot_codes_avx512(query: &[i16], row: *const i8) -> i32 {
    let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let mut start = 0;
    while start < query.len() {
        // SAFETY: `query` and `row` are padded to whole blocks of `LANES`.
        unsafe {
            even = _mm512_dpwssd_epi32(
                even,
                _mm512_loadu_si512(query.as_ptr().add(start).cast()),
                widen_avx512(row.add(start)),
            );
            start += LANES;
            if start < query.len() {
                let at = query.as_ptr().add(start);
                odd = _mm512_dpwssd_epi32(odd, _mm512_loadu_si512(at.cast()), widen_avx512(row.add(start)));
                start += LANES;
            }
        }
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(even, odd))
}

#[target_feature(enable = "avx512bw,avx512vnni,avx2")]
unsafe fn pair_avx512(a: *const i8, b: *const i8, padded: usize) -> i32 {
    let mut sums = _mm512_setzero_si512();
    for start in (0..padded).step_by(LANES) {
        // SAFETY: the caller's: both rows have `padded` codes, whole blocks of `LANES`.
        sums = unsafe { _mm512_dpwssd_epi32(sums, widen_avx512(a.add(start)), widen_avx512(b.add(start))) };
    }
    _mm512_reduce_add_epi32(sums)
}

macro_rules! from_plain {
    ($features:literal, $decode:ident, $dot:ident, $square:ident) => {
        #[target_feature(enable = $features)]
        unsafe fn $decode(codes: *const i8, rest: *const u8, scale: f32, out: &mut [f32]) {
            // SAFETY: the caller's.
            unsafe { plain::decode(codes, rest, scale, out) }
        }

        #[target_feature(enable = $features)]
        unsafe fn $dot(a: &[f32], b: &[f32]) -> f64 {
            plain::dot(a, b)
        }

        #[target_feature(enable = $features)]
        unsafe fn $square(a: &[f32], b: &[f32]) -> f64 {
            plain::square(a, b)
        }
    };
}

from_plain!("avx2,lzcnt", decode_avx2, dot_avx2, square_avx2);
from_plain!("avx512bw,avx512vnni,avx2,lzcnt", decode_avx512, dot_avx512, square_avx512);
