//! Finds delimiters, LFs and CRs, 64 bytes at a time.

/// Bytes that one mask speaks of.
pub(crate) const WINDOW: usize = 64;

/// One bit for each byte of `window` that is `delimiter` or ends a line, the first byte in the lowest bit.
#[inline(always)]
pub(crate) fn mask_of(window: &[u8; WINDOW], delimiter: u8) -> u64 {
    imp::mask_of(window, delimiter, b'\n', b'\r')
}

/// SSE2 is part of every x86-64.
#[cfg(target_arch = "x86_64")]
mod imp {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8};

    use super::WINDOW;

    #[inline(always)]
    pub(super) fn mask_of(window: &[u8; WINDOW], a: u8, b: u8, c: u8) -> u64 {
        let (lanes, _) = window.as_chunks::<16>();
        let mut mask = 0;
        // SAFETY: these need SSE2, which the x86-64 targets of this crate have by definition; none of
        // them touches memory.
        unsafe {
            let [a, b, c] = [a, b, c].map(|byte| _mm_set1_epi8(byte.cast_signed()));
            for (i, lane) in lanes.iter().enumerate() {
                let bits = u128::from_le_bytes(*lane);
                let bytes = _mm_set_epi64x(((bits >> 64) as u64).cast_signed(), (bits as u64).cast_signed());
                let ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, b), _mm_cmpeq_epi8(bytes, c));
                let hits = _mm_or_si128(_mm_cmpeq_epi8(bytes, a), ends);
                mask |= u64::from(_mm_movemask_epi8(hits).cast_unsigned()) << (16 * i);
            }
        }
        mask
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    use super::WINDOW;

    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const ONES: u64 = 0x0101_0101_0101_0101;
    /// Brings the lowest bit of each byte to one of the eight highest bits.
    const GATHER: u64 = 0x0102_0408_1020_4080;

    #[inline(always)]
    pub(super) fn mask_of(window: &[u8; WINDOW], a: u8, b: u8, c: u8) -> u64 {
        let (lanes, _) = window.as_chunks::<8>();
        let mut mask = 0;
        for (i, lane) in lanes.iter().enumerate() {
            let word = u64::from_le_bytes(*lane);
            let is = |byte: u8| zero_bytes(word ^ (ONES * u64::from(byte)));
            let hits = is(a) | is(b) | is(c);
            mask |= (hits.wrapping_mul(GATHER) >> 56) << (8 * i);
        }
        mask
    }

    /// The lowest bit of each byte that is zero, exactly (no carry passes between bytes).
    #[inline(always)]
    fn zero_bytes(word: u64) -> u64 {
        (!(((word & LOW) + LOW) | word | LOW)) >> 7
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_plain_loop(bytes in proptest::collection::vec(0_u8..16, WINDOW), delimiter in 0_u8..16, high: bool) {
            // High bits too: the portable version must not carry between bytes.
            let lift = |byte: u8| if high { byte | 0x80 } else { byte };
            let window: [u8; WINDOW] = std::array::from_fn(|i| lift(bytes[i]));
            let wanted = [lift(delimiter), b'\n', b'\r'];
            let expected = (0..WINDOW).filter(|i| wanted.contains(&window[*i])).fold(0, |mask, i| mask | 1 << i);
            prop_assert_eq!(mask_of(&window, lift(delimiter)), expected);
        }
    }
}
