use proptest::{collection::vec, prelude::*};

use super::*;
use crate::split;

fn rows_of(codes: &[Vec<i8>], padded: usize) -> Rows {
    let rows = Rows::new(padded);
    rows.reserve(codes.len() as u32);
    for (slot, code) in codes.iter().enumerate() {
        // SAFETY: reserved just now; a row has `padded` bytes.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), rows.row(slot as u32).cast(), padded) };
    }
    rows
}

/// Queries and codes of every length up to a few blocks; the extremes are drawn often.
fn inputs() -> impl Strategy<Value = (Vec<i16>, Vec<Vec<i8>>)> {
    (1_usize..12).prop_flat_map(|blocks| {
        let padded = blocks * LANES;
        let code = prop_oneof![3 => any::<i8>(), 1 => Just(i8::MIN), 1 => Just(i8::MAX)];
        let number = prop_oneof![3 => any::<i16>(), 1 => Just(i16::MIN + 1), 1 => Just(i16::MAX)];
        // 16 bits times 8 bits over this many places stay within 32 bits, as `Probe` sees to.
        let number = number.prop_map(move |n| n / (padded / LANES) as i16);
        (vec(number, padded), vec(vec(code, padded), 1..20))
    })
}

proptest! {
    #[test]
    fn every_set_gives_the_plain_products((query, codes) in inputs()) {
        let padded = query.len();
        let rows = rows_of(&codes, padded);
        let slots: Vec<u32> = (0..codes.len() as u32).rev().collect();
        let mut expected = vec![0; slots.len()];
        // SAFETY: every row is written and as long as the query.
        unsafe { plain::KERNELS.scores(&query, &rows, &slots, &mut expected) };
        for kernels in Kernels::available() {
            let mut found = vec![0; slots.len()];
            // SAFETY: as above.
            unsafe { kernels.scores(&query, &rows, &slots, &mut found) };
            prop_assert_eq!(&found, &expected, "{}", kernels.name);
            let (a, b) = (codes[0].as_ptr(), codes[codes.len() - 1].as_ptr());
            // SAFETY: both have `padded` codes.
            let (found, expected) = unsafe { (kernels.pair(a, b, padded), plain::KERNELS.pair(a, b, padded)) };
            prop_assert_eq!(found, expected, "{}", kernels.name);
        }
    }

    #[test]
    fn every_set_decodes_alike(codes in vec((any::<i8>(), 0_u32..1 << 24), 1..100), scale in any::<f32>()) {
        let count = codes.len();
        let mut rest = vec![0_u8; 3 * count];
        for (position, (_, low)) in codes.iter().enumerate() {
            let bytes = low.to_le_bytes();
            rest[2 * position..2 * position + 2].copy_from_slice(&bytes[..2]);
            rest[2 * count + position] = bytes[2];
        }
        let plain_codes: Vec<i8> = codes.iter().map(|(code, _)| *code).collect();
        let expected: Vec<u32> = codes.iter().map(|&(code, low)| split::decode_one(code, low, scale).to_bits()).collect();
        for kernels in Kernels::available() {
            let mut found = vec![0.0; count];
            // SAFETY: `count` codes, and three bytes for each behind them.
            unsafe { kernels.decode(plain_codes.as_ptr(), rest.as_ptr(), scale, &mut found) };
            let found: Vec<u32> = found.into_iter().map(f32::to_bits).collect();
            prop_assert_eq!(&found, &expected, "{}", kernels.name);
        }
    }

    #[test]
    fn every_set_sums_alike(pairs in vec((-1e3_f32..1e3, -1e3_f32..1e3), 0..200)) {
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        let (dot, square) = (plain::KERNELS.dot(&a, &b), plain::KERNELS.square(&a, &b));
        for kernels in Kernels::available() {
            prop_assert_eq!(kernels.dot(&a, &b).to_bits(), dot.to_bits(), "{}", kernels.name);
            prop_assert_eq!(kernels.square(&a, &b).to_bits(), square.to_bits(), "{}", kernels.name);
        }
    }
}
