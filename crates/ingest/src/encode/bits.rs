/// Appends `values`, `width` bits each, the lowest bit first, padded with zeros to whole bytes.
/// Every value must fit `width`.
pub(super) fn pack_u32(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let width = u32::from(width);
    out.reserve((values.len() * width as usize).div_ceil(8));
    let (mut pending, mut filled) = (0_u64, 0_u32);
    for &value in values {
        // At most 31 bits are pending, so that 32 more always fit.
        pending |= u64::from(value) << filled;
        filled += width;
        if filled >= 32 {
            out.extend_from_slice(&(pending as u32).to_le_bytes());
            pending >>= 32;
            filled -= 32;
        }
    }
    finish(pending, filled, out);
}

/// The same for values of up to 64 bits.
pub(super) fn pack_u64(values: &[u64], width: u8, out: &mut Vec<u8>) {
    let width = u32::from(width);
    if width <= 32 {
        let (mut pending, mut filled) = (0_u64, 0_u32);
        for &value in values {
            pending |= value << filled;
            filled += width;
            if filled >= 32 {
                out.extend_from_slice(&(pending as u32).to_le_bytes());
                pending >>= 32;
                filled -= 32;
            }
        }
        return finish(pending, filled, out);
    }
    let (mut pending, mut filled) = (0_u128, 0_u32);
    for &value in values {
        pending |= u128::from(value) << filled;
        filled += width;
        while filled >= 32 {
            out.extend_from_slice(&(pending as u32).to_le_bytes());
            pending >>= 32;
            filled -= 32;
        }
    }
    finish(pending as u64, filled, out);
}

fn finish(pending: u64, filled: u32, out: &mut Vec<u8>) {
    let bytes = pending.to_le_bytes();
    out.extend_from_slice(&bytes[..filled.div_ceil(8) as usize]);
}

/// Bits that hold every value up to `max`.
pub(super) const fn width_of(max: u64) -> u8 {
    (u64::BITS - max.leading_zeros()) as u8
}

/// Appends an unsigned LEB128 number.
pub(super) fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number: zigzag, then LEB128.
pub(super) fn push_zigzag(value: i64, out: &mut Vec<u8>) {
    push_varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packing_is_bit_by_bit(values in proptest::collection::vec(any::<u64>(), 0..70), width in 0_u8..=64) {
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            let values: Vec<u64> = values.iter().map(|value| value & mask).collect();
            let mut expected = vec![0_u8; (values.len() * usize::from(width)).div_ceil(8)];
            for (i, value) in values.iter().enumerate() {
                for bit in 0..usize::from(width) {
                    let at = i * usize::from(width) + bit;
                    expected[at / 8] |= ((value >> bit & 1) as u8) << (at % 8);
                }
            }
            let mut packed = Vec::new();
            pack_u64(&values, width, &mut packed);
            prop_assert_eq!(&packed, &expected);
            if width <= 32 {
                packed.clear();
                pack_u32(&values.iter().map(|value| *value as u32).collect::<Vec<_>>(), width, &mut packed);
                prop_assert_eq!(&packed, &expected);
            }
        }
    }

    #[test]
    fn numbers_of_variable_length() {
        let encoded = |push: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            push(&mut out);
            out
        };
        assert_eq!(encoded(&|out| push_varint(300, out)), [0xac, 0x02]);
        assert_eq!(encoded(&|out| push_zigzag(-1, out)), [1]);
        assert_eq!(encoded(&|out| push_zigzag(i64::MIN, out)).len(), 10);
        assert_eq!((width_of(0), width_of(1), width_of(255), width_of(u64::MAX)), (0, 1, 8, 64));
    }
}
