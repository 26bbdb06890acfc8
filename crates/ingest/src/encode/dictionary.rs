//! Distinct values, numbered in the order in which they come.

use std::hash::{BuildHasher as _, RandomState};

/// An open-addressing table from values to their numbers.
///
/// The hash is seeded anew for each table, so that no file can be made to collide; the numbers do
/// not depend on it.
#[derive(Debug)]
pub(super) struct Dictionary<S> {
    pub(super) values: S,
    /// Number + 1 of the value in each slot; 0 where it is free. A power of two in length.
    slots: Vec<u32>,
    seed: u64,
}

/// Where the values lie.
pub(super) trait Store: Default {
    type Value<'a>: Copy;
    fn len(&self) -> usize;
    fn push(&mut self, value: Self::Value<'_>);
    fn is(&self, number: usize, value: Self::Value<'_>) -> bool;
    fn hash(value: Self::Value<'_>, seed: u64) -> u64;
    fn hash_of(&self, number: usize, seed: u64) -> u64;
    /// Bytes of the values as a dictionary page has them.
    fn bytes(&self) -> usize;
}

const FIRST_SLOTS: usize = 64;

impl<S: Store> Dictionary<S> {
    pub(super) fn new() -> Self {
        Self { values: S::default(), slots: vec![0; FIRST_SLOTS], seed: RandomState::new().hash_one(0) | 1 }
    }

    /// The value's number; a new one where it was not there.
    #[inline]
    pub(super) fn intern(&mut self, value: S::Value<'_>) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = S::hash(value, self.seed) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return self.insert(slot, value),
                number if self.values.is(number as usize - 1, value) => return number - 1,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    #[cold]
    fn insert(&mut self, slot: usize, value: S::Value<'_>) -> u32 {
        self.values.push(value);
        // The size of a dictionary is capped far below 2^32 entries.
        let number = self.values.len() as u32;
        self.slots[slot] = number;
        if self.values.len() * 2 > self.slots.len() {
            self.grow();
        }
        number - 1
    }

    fn grow(&mut self) {
        let len = self.slots.len() * 2;
        self.slots = vec![0; len];
        for number in 0..self.values.len() {
            let mut slot = self.values.hash_of(number, self.seed) as usize & (len - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (len - 1);
            }
            self.slots[slot] = number as u32 + 1;
        }
    }
}

/// Multiplies to 128 bits and folds the halves: every bit of the product counts.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// An odd number with bits all over, from the digits of the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Values of up to eight bytes, as bits.
#[derive(Debug, Default)]
pub(super) struct Words(pub(super) Vec<u64>);

impl Store for Words {
    type Value<'a> = u64;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, value: u64) {
        self.0.push(value);
    }

    #[inline]
    fn is(&self, number: usize, value: u64) -> bool {
        self.0[number] == value
    }

    #[inline]
    fn hash(value: u64, seed: u64) -> u64 {
        fold(value ^ seed, GOLDEN)
    }

    fn hash_of(&self, number: usize, seed: u64) -> u64 {
        Self::hash(self.0[number], seed)
    }

    fn bytes(&self) -> usize {
        self.0.len() * 8
    }
}

/// Byte strings end to end.
#[derive(Debug, Default)]
pub(super) struct Strings {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Strings {
    pub(super) fn get(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.ends[number - 1] as usize };
        &self.bytes[start..self.ends[number] as usize]
    }
}

impl Store for Strings {
    type Value<'a> = &'a [u8];

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        // Capped with the dictionary, plus one value of at most a record.
        self.ends.push(self.bytes.len() as u32);
    }

    #[inline]
    fn is(&self, number: usize, value: &[u8]) -> bool {
        self.get(number) == value
    }

    #[inline]
    fn hash(value: &[u8], seed: u64) -> u64 {
        let mut hash = seed ^ (value.len() as u64).wrapping_mul(GOLDEN);
        let (words, rest) = value.as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word), GOLDEN);
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        fold(hash ^ u64::from_le_bytes(last), seed)
    }

    fn hash_of(&self, number: usize, seed: u64) -> u64 {
        Self::hash(self.get(number), seed)
    }

    fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * 4
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equal_values_have_equal_numbers(words in proptest::collection::vec(0_u64..200, 0..1000), texts in proptest::collection::vec("[ab]{0,9}", 0..300)) {
            let mut dictionary = Dictionary::<Words>::new();
            let mut order: Vec<u64> = Vec::new();
            for word in words {
                let number = dictionary.intern(word);
                if !order.contains(&word) {
                    order.push(word);
                }
                prop_assert_eq!(order[number as usize], word);
            }
            prop_assert_eq!(&dictionary.values.0, &order);

            let mut dictionary = Dictionary::<Strings>::new();
            for text in &texts {
                let number = dictionary.intern(text.as_bytes());
                prop_assert_eq!(dictionary.values.get(number as usize), text.as_bytes());
            }
            let distinct: std::collections::HashSet<_> = texts.iter().collect();
            prop_assert_eq!(dictionary.values.len(), distinct.len());
        }
    }
}
