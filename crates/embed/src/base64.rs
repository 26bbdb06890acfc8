//! Vectors as OpenAI's `encoding_format: base64` has them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The numbers as little-endian `f32`, in base64 with padding.
#[must_use]
pub fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// The inverse of [`encode`]; `None` for what it never writes.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| numbers.iter().copied().map(f32::from_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_what_numpy_writes() {
        // base64.b64encode(numpy.array([1, -2.5, 3e-5], "<f4").tobytes())
        assert_eq!(encode(&[1.0, -2.5, 3e-5]), "AACAPwAAIMCCqPs3");
        assert_eq!(encode(&[]), "");
    }

    #[test]
    fn half_a_number_and_foreign_letters_are_refused() {
        for bad in ["AAA=", "AACAPwA=", "====", "AACAP!==", "AACAPw"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trips_every_bit(bits in prop::collection::vec(any::<u32>(), 0..100)) {
            let vector: Vec<f32> = bits.iter().copied().map(f32::from_bits).collect();
            let back: Vec<u32> = decode(&encode(&vector)).unwrap().iter().map(|number| number.to_bits()).collect();
            prop_assert_eq!(back, bits);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = decode(&text);
        }
    }
}
