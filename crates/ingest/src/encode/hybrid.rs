//! Parquet's RLE / bit-packing hybrid, for dictionary indices and definition levels.

use std::ops::Range;

use super::bits::{pack_u32, push_varint};
use crate::column::Nulls;

/// From here on a run of equal values is shorter as a run.
const LEAST_RUN: usize = 16;

/// Appends `values`, all of which fit `width` bits.
pub(super) fn encode(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let (mut packed, mut at) = (0, 0);
    while at < values.len() {
        let run = values[at..].iter().take_while(|value| **value == values[at]).count();
        if run >= LEAST_RUN {
            // Packed values come in groups of eight: the run lends what is missing.
            let lent = (at - packed).next_multiple_of(8) - (at - packed);
            push_packed(&values[packed..at + lent], width, out);
            push_run(values[at], run - lent, width, out);
            packed = at + run;
        }
        at += run;
    }
    push_packed(&values[packed..], width, out);
}

fn push_run(value: u32, count: usize, width: u8, out: &mut Vec<u8>) {
    push_varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..usize::from(width).div_ceil(8)]);
}

fn push_packed(values: &[u32], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    push_varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * usize::from(width);
    pack_u32(values, width, out);
    out.resize(end, 0);
}

/// Definition levels of a column that is not nested: a bit for each row, set where it has a value.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// Empty as long as no row is null.
    words: Vec<u64>,
    pub(super) rows: usize,
    pub(super) nulls: usize,
}

impl Levels {
    pub(super) fn append(&mut self, from: &Nulls, rows: Range<usize>, nulls: usize) {
        if nulls > 0 && self.nulls == 0 {
            self.words.clear();
            self.words.resize(self.rows.div_ceil(64), u64::MAX);
        }
        if self.nulls + nulls > 0 {
            for start in rows.clone().step_by(64) {
                let count = (rows.end - start).min(64);
                self.push_bits(from.valid_word(start), count, self.rows + start - rows.start);
            }
        }
        self.rows += rows.len();
        self.nulls += nulls;
    }

    /// Puts the `count` lowest bits of `bits` at row `at`.
    fn push_bits(&mut self, bits: u64, count: usize, at: usize) {
        let bits = if count == 64 { bits } else { bits & ((1 << count) - 1) };
        let (word, shift) = (at / 64, at % 64);
        self.words.resize((at + count).div_ceil(64), 0);
        // What was filled with ones beyond the rows that there were must not stay.
        self.words[word] = self.words[word] & !(u64::MAX << shift) | bits << shift;
        if shift + count > 64 {
            self.words[word + 1] = bits >> (64 - shift);
        }
    }

    /// Appends them as a first-version data page has them: four bytes of length, then one run.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        if self.nulls == 0 || self.nulls == self.rows {
            push_run(u32::from(self.nulls == 0), self.rows, 1, out);
        } else {
            let groups = self.rows.div_ceil(8);
            push_varint((groups as u64) << 1 | 1, out);
            out.extend(self.words.iter().flat_map(|word| word.to_le_bytes()).take(groups));
        }
        let len = (out.len() - at - 4) as u32;
        out[at..at + 4].copy_from_slice(&len.to_le_bytes());
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.rows = 0;
        self.nulls = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads what the encoder wrote, by the letter of the format.
    fn decode(mut bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let (byte, rest) = bytes.split_first().unwrap();
                bytes = rest;
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 1 {
                let len = (header >> 1) as usize * usize::from(width);
                let bit = |at: usize| u32::from(bytes[at / 8] >> (at % 8) & 1);
                for i in 0..(header >> 1) as usize * 8 {
                    values.push((0..usize::from(width)).map(|b| bit(i * usize::from(width) + b) << b).sum());
                }
                bytes = &bytes[len..];
            } else {
                let size = usize::from(width).div_ceil(8);
                let mut value = [0; 4];
                value[..size].copy_from_slice(&bytes[..size]);
                values.extend(std::iter::repeat_n(u32::from_le_bytes(value), (header >> 1) as usize));
                bytes = &bytes[size..];
            }
        }
        assert!(bytes.is_empty(), "nothing is left over");
        assert!(values[count..].iter().all(|value| *value == 0), "the padding is zero");
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(runs in proptest::collection::vec((0_u32..300, 1_usize..40), 0..30), width in 9_u8..=17) {
            let values: Vec<u32> = runs.iter().flat_map(|(value, count)| std::iter::repeat_n(*value, *count)).collect();
            let mut out = Vec::new();
            encode(&values, width, &mut out);
            prop_assert_eq!(decode(&out, width, values.len()), values);
        }
    }
}
