//! Vectors from letters alone: signed feature hashing, without a model.
//!
//! Texts that share words, or parts of words, are near each other; synonyms are not. The whole
//! recipe, `hash-v1`, which [`Hash::MODEL`] names and a golden file holds still:
//!
//! 1. The text is folded (`words.rs`): compatibility forms are resolved, letters are lower case,
//!    Latin, Greek and Cyrillic accents are gone. It is cut into words; what is written without
//!    spaces (Han, Kana, Thai, ...) is cut into characters and pairs of neighbours instead.
//! 2. A word that stands `c` times weighs `g = sqrt(c) * (min(len, 8) / 8)^(1/4)`, and a fifth of
//!    that if it is one of the English function words: long words tell more than short ones, and
//!    the second occurrence tells less than the first. There is no document frequency to go by.
//! 3. A word is one feature of weight `g`, and each of the `m` runs of 3, 4 and 5 characters of
//!    `<word>` one of weight `2g / sqrt(m)`: "forecasts" is near "forecast".
//! 4. A feature's 64-bit hash picks one place of the vector and a sign; its weight is added there.
//!    Opposite signs make what collides cancel out on average, so that the product of two vectors
//!    estimates the product of their features.
//! 5. The vector is scaled to unit length.
//!
//! A text without any word (`!?`, an emoji) has its characters for features, and one that would
//! still come out as zero has a single place that its hash picks. So no vector is zero.
//!
//! Every step is integer arithmetic or an IEEE operation that is rounded exactly (`+ * / sqrt`), in
//! an order that the text alone decides: the same text has the same bits on every machine.

mod words;

#[cfg(test)]
mod tests;

use async_trait::async_trait;

use crate::{Embedding, OptionsError, Provider, ProviderError};
use words::{Words, fold};

/// The lengths of the runs of characters. Two say little, six are nearly the word again.
const GRAMS: std::ops::RangeInclusive<usize> = 3..=5;
/// What all runs of a word weigh together, as a vector, beside the word itself.
const GRAMS_WEIGHT: f64 = 2.0;
/// What a function word keeps of its weight.
const FUNCTION_WORD: f64 = 0.2;
/// Words of this many characters and more have their full weight.
const FULL_LENGTH: usize = 8;
/// More bytes than this are hashed on a thread that may block.
const INLINE_BYTES: usize = 64 << 10;

/// The provider `hash`.
#[derive(Debug, Clone)]
pub struct Hash {
    dimension: usize,
}

impl Hash {
    /// The recipe's name. A change to any vector is another recipe, with another name.
    pub const MODEL: &'static str = "hash-v1";
    /// The usual length, which is also that of the smaller sentence models.
    pub const DIMENSION: usize = 384;
    /// Below the least, features collide more than they tell; vectord takes no more than the most.
    const DIMENSIONS: std::ops::RangeInclusive<usize> = 16..=16_384;

    /// Vectors of `dimension` numbers.
    ///
    /// # Errors
    /// A dimension outside of 16..=16384.
    pub fn new(dimension: usize) -> Result<Self, OptionsError> {
        if Self::DIMENSIONS.contains(&dimension) {
            return Ok(Self { dimension });
        }
        let (least, most) = (Self::DIMENSIONS.start(), Self::DIMENSIONS.end());
        Err(OptionsError(format!("dimension: {dimension} is not in {least} to {most}, which `hash` can make")))
    }

    /// The vector of `text`: of unit length, unless the text is empty, which has none.
    #[must_use]
    pub fn vector(&self, text: &str) -> Vec<f32> {
        self.count_and_vector(text).1
    }

    fn count_and_vector(&self, text: &str) -> (u64, Vec<f32>) {
        let mut sum = Sum(vec![0.0; self.dimension]);
        let folded = fold(text);
        let words = Words::of(&folded);
        for (word, count) in words.spaced() {
            sum.add_word(word, weight(word, count));
        }
        for (feature, count) in words.dense() {
            sum.add(kind::DENSE, feature.as_bytes(), (count as f64).sqrt());
        }
        if words.count() == 0 {
            let mut buffer = [0; 4];
            for symbol in folded.chars().filter(|symbol| !symbol.is_whitespace()) {
                sum.add(kind::SYMBOL, symbol.encode_utf8(&mut buffer).as_bytes(), 1.0);
            }
        }
        (words.count().max(1), sum.into_unit(text))
    }
}

#[async_trait]
impl Provider for Hash {
    fn name(&self) -> &'static str {
        "hash"
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.dimension)
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Embedding>, ProviderError> {
        fn all(hash: &Hash, texts: &[String]) -> Vec<Embedding> {
            let one = |text: &String| {
                let (tokens, vector) = hash.count_and_vector(text);
                Embedding { vector, tokens }
            };
            texts.iter().map(one).collect()
        }
        if texts.iter().map(String::len).sum::<usize>() <= INLINE_BYTES {
            return Ok(all(self, texts));
        }
        let (hash, texts) = (self.clone(), texts.to_vec());
        let work = tokio::task::spawn_blocking(move || all(&hash, &texts));
        work.await.map_err(|error| ProviderError::failed("hash", format!("the work was given up: {error}")))
    }
}

fn weight(word: &str, count: usize) -> f64 {
    let length = word.chars().take(FULL_LENGTH).count();
    // The fourth root as two square roots: `powf` may differ in the last bit between machines.
    let by_length = (length as f64 / FULL_LENGTH as f64).sqrt().sqrt();
    let by_kind = if words::is_function_word(word) { FUNCTION_WORD } else { 1.0 };
    (count as f64).sqrt() * by_length * by_kind
}

/// Keeps features of different kinds apart: the word `the` is not the run `the` of `other`.
mod kind {
    pub(super) const WORD: u64 = 1;
    pub(super) const GRAM: u64 = 2;
    pub(super) const DENSE: u64 = 3;
    pub(super) const SYMBOL: u64 = 4;
    pub(super) const WHOLE: u64 = 5;
}

/// FNV-1a over the bytes, started per kind, then murmur's 64-bit finaliser: FNV alone leaves the
/// high bits, which pick the place, poorly mixed for short inputs.
fn feature_hash(kind: u64, bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The vector under construction. `f64`, so that its rounding is far below what `f32` shows.
struct Sum(Vec<f64>);

impl Sum {
    fn add(&mut self, kind: u64, bytes: &[u8], weight: f64) {
        let hash = feature_hash(kind, bytes);
        // The high bits by multiplication: an even spread over any dimension, without division.
        let place = (u128::from(hash) * self.0.len() as u128) >> 64;
        // The lowest bit has no part in the place.
        let signed = if hash & 1 == 1 { weight } else { -weight };
        self.0[place as usize] += signed;
    }

    fn add_word(&mut self, word: &str, weight: f64) {
        self.add(kind::WORD, word.as_bytes(), weight);
        let padded = format!("<{word}>");
        let mut bounds: Vec<usize> = padded.char_indices().map(|(at, _)| at).collect();
        bounds.push(padded.len());
        let length = bounds.len() - 1;
        let grams: usize = GRAMS.map(|n| (length + 1).saturating_sub(n)).sum();
        let each = GRAMS_WEIGHT * weight / (grams as f64).sqrt();
        for n in GRAMS {
            for ends in bounds.windows(n + 1) {
                if let [start, .., end] = *ends {
                    self.add(kind::GRAM, &padded.as_bytes()[start..end], each);
                }
            }
        }
    }

    fn into_unit(mut self, text: &str) -> Vec<f32> {
        let norm = |numbers: &[f64]| numbers.iter().map(|number| number * number).sum::<f64>().sqrt();
        let mut length = norm(&self.0);
        if length == 0.0 && !text.is_empty() {
            // No feature at all, or features that cancelled out to the last bit.
            self.add(kind::WHOLE, text.as_bytes(), 1.0);
            length = norm(&self.0);
        }
        let scale = |number: &f64| if length == 0.0 { 0.0 } else { (number / length) as f32 };
        self.0.iter().map(scale).collect()
    }
}
