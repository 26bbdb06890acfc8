//! Integers wider than 64 bits, and decimals, as digits.

use std::io::Write as _;

/// The largest integer up to which a double holds every one.
const EXACT: u128 = 1 << 53;

/// The most significant digits that a double keeps.
const DOUBLE_DIGITS: u128 = 1_000_000_000_000_000;

/// An integer: as a number where every JSON reader keeps it exactly, else as a string.
pub(super) fn write_json_integer(negative: bool, magnitude: u128, out: &mut Vec<u8>) {
    let quoted = magnitude > EXACT;
    write_quoted(quoted, out, |out| write_integer(negative, magnitude, out));
}

pub(super) fn write_integer(negative: bool, magnitude: u128, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    let _ = if negative { write!(out, "-{magnitude}") } else { write!(out, "{magnitude}") };
}

/// A decimal: as a number up to 15 digits, else as a string. All digits of the scale are written.
pub(super) fn write_json_decimal(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    let quoted = unscaled.unsigned_abs() >= DOUBLE_DIGITS;
    write_quoted(quoted, out, |out| write_decimal(unscaled, scale, out));
}

pub(super) fn write_decimal(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    if scale == 0 {
        return write_integer(unscaled < 0, unscaled.unsigned_abs(), out);
    }
    let unit = 10_u128.pow(u32::from(scale));
    let magnitude = unscaled.unsigned_abs();
    write_integer(unscaled < 0, magnitude / unit, out);
    // Writing to a vector can't fail.
    let _ = write!(out, ".{:0width$}", magnitude % unit, width = usize::from(scale));
}

fn write_quoted(quoted: bool, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    if quoted {
        out.push(b'"');
    }
    write(out);
    if quoted {
        out.push(b'"');
    }
}

/// DuckDB's integers of any size: a header of three bytes (top bit: not negative; the rest: how
/// many bytes follow), then the magnitude, most significant byte first; a negative number has
/// all bits turned over.
pub(super) fn bignum_digits(raw: &[u8]) -> String {
    /// Decimal digits that one step of the division yields.
    const STEP: u64 = 1_000_000_000;
    let (Some(first), Some(body)) = (raw.first(), raw.get(3..)) else { return "0".to_owned() };
    let negative = first & 0x80 == 0;
    let mut limbs: Vec<u32> = body
        .rchunks(4)
        .rev()
        .map(|bytes| bytes.iter().fold(0_u32, |limb, byte| limb << 8 | u32::from(if negative { !byte } else { *byte })))
        .collect();
    let mut groups = Vec::new();
    while limbs.iter().any(|limb| *limb != 0) {
        let mut remainder = 0_u64;
        for limb in &mut limbs {
            let value = remainder << 32 | u64::from(*limb);
            // The quotient fits: the remainder is below the divisor.
            *limb = (value / STEP) as u32;
            remainder = value % STEP;
        }
        groups.push(remainder);
        let leading = limbs.iter().take_while(|limb| **limb == 0).count();
        limbs.drain(..leading);
    }
    let Some(last) = groups.pop() else { return "0".to_owned() };
    let mut digits = format!("{}{last}", if negative { "-" } else { "" });
    for group in groups.iter().rev() {
        digits.push_str(&format!("{group:09}"));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_are_numbers_as_long_as_a_double_holds_them() {
        assert_eq!(written(|out| write_json_integer(false, 0, out)), "0");
        assert_eq!(written(|out| write_json_integer(true, EXACT, out)), "-9007199254740992");
        assert_eq!(written(|out| write_json_integer(false, EXACT + 1, out)), "\"9007199254740993\"");
        assert_eq!(
            written(|out| write_json_integer(true, 1 << 127, out)),
            "\"-170141183460469231731687303715884105728\""
        );
    }

    #[test]
    fn decimals_keep_all_digits() {
        assert_eq!(written(|out| write_json_decimal(150, 2, out)), "1.50");
        assert_eq!(written(|out| write_json_decimal(-5, 3, out)), "-0.005");
        assert_eq!(written(|out| write_json_decimal(7, 0, out)), "7");
        assert_eq!(written(|out| write_json_decimal(999_999_999_999_999, 1, out)), "99999999999999.9");
        assert_eq!(written(|out| write_json_decimal(-1_000_000_000_000_000, 1, out)), "\"-100000000000000.0\"");
        assert_eq!(written(|out| write_json_decimal(1, 38, out)).len(), 40);
    }

    #[test]
    fn bignums_are_turned_back_into_digits() {
        assert_eq!(bignum_digits(&[0x80, 0, 1, 0]), "0");
        assert_eq!(bignum_digits(&[0x80, 0, 1, 42]), "42");
        assert_eq!(bignum_digits(&[0x7f, 0xff, 0xfe, !42]), "-42");
        assert_eq!(bignum_digits(&[0x80, 0, 5, 1, 0, 0, 0, 0]), "4294967296");
        assert_eq!(bignum_digits(&[]), "0");
    }
}
