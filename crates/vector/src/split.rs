//! A vector as 8-bit codes plus the 24 bits that make each number whole again.
//!
//! The walk over the graph reads codes only: a quarter of the memory traffic of `f32`. Storing
//! codes *beside* the `f32`s would cost 25 % more memory, so the two share it: a code and a scale
//! say in which narrow interval the number lies, and 24 bits then single it out.
//!
//! With `scale = max|x| / 127` and `code = round(x / scale)`, a number with `code != 0` lies
//! between `(|code| - 0.6) * scale` and `(|code| + 0.5) * scale`: a range of less than a factor of
//! four. The upper eight bits of an `f32` are its sign and its exponent without the last bit, so
//! they step once a factor of four: given the low 24 bits, exactly one number of that sign fits.
//! With `code == 0` the same holds from `scale / 8` up. Numbers below that (on embeddings about
//! six in a thousand; an exact zero is none of them) are exceptions, kept whole in the item's
//! record. The encoder decodes what it wrote and makes an exception of whatever differs, so that
//! no rounding anywhere can cost a bit.

use crate::simd::LANES;

/// The largest magnitude of a code. -128 is not used, so that negating a vector negates its codes.
pub(crate) const MAX_CODE: f32 = 127.0;

/// Numbers that the codes can't give back: their place in the vector and their value.
pub(crate) type Exceptions = Vec<(u16, f32)>;

/// `dimension`, padded to whole SIMD blocks.
pub(crate) const fn padded(dimension: usize) -> usize {
    dimension.next_multiple_of(LANES)
}

/// One number from its code, its low 24 bits and its vector's scale.
#[inline(always)]
pub(crate) fn decode_one(code: i8, low: u32, scale: f32) -> f32 {
    const UPPER: u32 = 0xff00_0000;
    let magnitude = f32::from(code.unsigned_abs());
    let factor = if code == 0 { 0.125 } else { magnitude - 0.6 };
    let least = (factor * scale).to_bits() & 0x7fff_ffff;
    let candidate = (least & UPPER) | low;
    let stepped = candidate.wrapping_add(if candidate < least { 1 << 24 } else { 0 });
    let zero = code == 0 && low == 0;
    let sign = u32::from(code.cast_unsigned() & 0x80) << 24;
    f32::from_bits(if zero { 0 } else { (stepped & 0x7fff_ffff) | sign })
}

/// A vector, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    /// One code a number, padded with zeros.
    pub(crate) codes: Vec<i8>,
    /// The low 16 bits of each number (little-endian), then bits 16..24 of each; padded too.
    pub(crate) rest: Vec<u8>,
    pub(crate) scale: f32,
    pub(crate) exceptions: Exceptions,
}

/// Encodes `vector`, whose numbers are finite.
pub(crate) fn encode(vector: &[f32]) -> Split {
    let padded = padded(vector.len());
    let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let scale = largest / MAX_CODE;
    let mut split = Split { codes: vec![0; padded], rest: vec![0; 3 * padded], scale, exceptions: Exceptions::new() };
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for (code, &x) in split.codes.iter_mut().zip(vector) {
        *code = round_code(x * inverse);
    }
    let (halves, bytes) = split.rest.split_at_mut(2 * padded);
    for (position, &x) in vector.iter().enumerate() {
        let [low, high, byte, _] = x.to_bits().to_le_bytes();
        halves[2 * position] = low;
        halves[2 * position + 1] = high;
        bytes[position] = byte;
        let read = decode_one(split.codes[position], x.to_bits() & 0x00ff_ffff, scale);
        if read.to_bits() != x.to_bits() {
            split.exceptions.push((position as u16, x));
        }
    }
    split
}

/// The nearest whole number within the codes' range.
#[inline(always)]
fn round_code(x: f32) -> i8 {
    round_within(x, MAX_CODE) as i8
}

/// The nearest whole number (ties to even) of at most `limit`, itself at most 2^22.
#[inline(always)]
pub(crate) fn round_within(x: f32, limit: f32) -> f32 {
    // Adding and taking away 1.5 * 2^23 leaves no room for a fraction: the rounding that every
    // machine does in one instruction, where `round_ties_even` would be a call on some.
    const SHIFT: f32 = 12_582_912.0;
    (x.clamp(-limit, limit) + SHIFT) - SHIFT
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn decode(split: &Split, dimension: usize) -> Vec<f32> {
        let count = split.codes.len();
        let mut out: Vec<f32> = (0..dimension)
            .map(|n| {
                let low = [split.rest[2 * n], split.rest[2 * n + 1], split.rest[2 * count + n], 0];
                decode_one(split.codes[n], u32::from_le_bytes(low), split.scale)
            })
            .collect();
        for &(position, value) in &split.exceptions {
            out[position as usize] = value;
        }
        out
    }

    fn bits(vector: &[f32]) -> Vec<u32> {
        vector.iter().map(|x| x.to_bits()).collect()
    }

    proptest! {
        #[test]
        fn any_finite_vector_comes_back_bit_for_bit(
            vector in vec(any::<f32>().prop_filter("finite", |x| x.is_finite()), 1..100)
        ) {
            let split = encode(&vector);
            prop_assert_eq!(bits(&decode(&split, vector.len())), bits(&vector));
        }

        #[test]
        fn a_vector_of_one_magnitude_needs_few_exceptions(
            vector in vec(-1.0_f32..1.0, 384), exponent in -30_i32..30
        ) {
            let vector: Vec<f32> = vector.into_iter().map(|x| x * 2.0_f32.powi(exponent)).collect();
            let split = encode(&vector);
            prop_assert_eq!(bits(&decode(&split, vector.len())), bits(&vector));
            prop_assert!(split.exceptions.len() < 12, "{} exceptions", split.exceptions.len());
            for (&code, &x) in split.codes.iter().zip(&vector) {
                prop_assert!((f32::from(code) * split.scale - x).abs() <= 0.501 * split.scale);
            }
        }
    }

    #[test]
    fn zeros_are_no_exceptions() {
        let split = encode(&[0.0, 0.0, 3.0, 0.0, -4.0]);
        assert!(split.exceptions.is_empty());
        assert_eq!(encode(&[0.0; 7]).scale, 0.0);
        assert_eq!(decode(&encode(&[-0.0, 1.0]), 2)[0].to_bits(), (-0.0_f32).to_bits());
    }
}
