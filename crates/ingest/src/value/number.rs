//! Numbers in their plain form: a decimal point, and nothing between thousands.

use crate::kind::KindSet;

/// A number, in the narrowest form that keeps all of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    /// Fits 64 bits.
    Integer(i64),
    /// Up to 38 digits.
    Huge(i128),
    /// With a point or an exponent, or too long an integer that a double brings back whole.
    Float(f64),
}

/// Every power of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Integers up to here are exact in a double.
pub(crate) const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// The most digits that `DECIMAL` has.
const MAX_DIGITS: usize = 38;

/// A canonical integer of up to 18 digits: no padding, no leading zero, not `-0`. Whatever else may
/// be a number is left to [`parse_number`].
// Always inlined, as is the next one: each stands in two loops, and as calls they make the loop over
// doubles half as slow again (20 ns a cell for 13.5).
#[inline(always)]
pub(crate) fn parse_i64_fast(cell: &[u8]) -> Option<i64> {
    let (negative, digits) = match cell {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 || (digits[0] == b'0' && (digits.len() > 1 || negative)) {
        return None;
    }
    let mut value = 0_i64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// What a plain decimal looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `1200`
    Whole,
    /// `1.20`
    Point,
    /// `1.200`
    Grouped,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Whole, Self::Point, Self::Grouped];

    pub(crate) const fn kind(self) -> KindSet {
        match self {
            Self::Whole => KindSet::INTEGER,
            Self::Point => KindSet::FLOAT,
            Self::Grouped => KindSet::FLOAT.union(KindSet::GROUPED),
        }
    }
}

/// A plain decimal (no exponent, no padding) of up to 19 digits, and its form. `None` leaves it to
/// [`parse_number`].
#[inline(always)]
pub(crate) fn parse_double_fast(cell: &[u8]) -> Option<(f64, Form)> {
    let (negative, digits) = match cell {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // 20 bytes hold 19 digits and a point, and 19 digits fit 64 bits.
    if digits.len() > 20 {
        return None;
    }
    let mut mantissa = 0_u64;
    let mut point = usize::MAX;
    for (at, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if byte == b'.' && point == usize::MAX {
            point = at;
        } else {
            return None;
        }
    }
    let has_point = point != usize::MAX;
    let whole = if has_point { point } else { digits.len() };
    let places = if has_point { digits.len() - point - 1 } else { 0 };
    let count = whole + places;
    // A leading zero means text, `-0` has a sign to keep, and 20 digits may have wrapped around.
    if count == 0 || count > 19 || (whole > 1 && digits[0] == b'0') || (negative && mantissa == 0 && !has_point) {
        return None;
    }
    let value = if mantissa <= EXACT_IN_DOUBLE {
        // Both are exact, so the quotient is rounded once: the nearest double.
        mantissa as f64 / POWERS_OF_TEN[places]
    } else if has_point {
        let text = std::str::from_utf8(digits).ok()?;
        text.parse().ok()?
    } else {
        // An integer that a double may round: `parse_number` looks closer.
        return None;
    };
    // Without branches, which the lengths of numbers would lead astray.
    let is_grouped = (places == 3) & (whole.wrapping_sub(1) < 3) & (digits[0] != b'0');
    let form = match (has_point, is_grouped) {
        (false, _) => Form::Whole,
        (true, false) => Form::Point,
        (true, true) => Form::Grouped,
    };
    Some((if negative { -value } else { value }, form))
}

/// Any number that brings back its own text, up to the precision of its type.
pub(crate) fn parse_number(cell: &[u8]) -> Option<Number> {
    let shape = Shape::of(cell)?;
    if shape.leading_zero {
        return None;
    }
    let text = std::str::from_utf8(cell).ok()?;
    if shape.is_integer && !(shape.negative && shape.is_zero) {
        if let Ok(value) = text.parse() {
            return Some(Number::Integer(value));
        }
        if shape.digits <= MAX_DIGITS {
            return text.parse().ok().map(Number::Huge);
        }
        let value: f64 = text.parse().ok()?;
        return (value.is_finite() && value.to_string() == text).then_some(Number::Float(value));
    }
    let value: f64 = text.parse().ok()?;
    // An overflow to infinity or an underflow to zero would lose the number.
    (value.is_finite() && (value != 0.0 || shape.is_zero)).then_some(Number::Float(value))
}

/// `NaN`, `inf` and `infinity`, in any case, with or without a minus.
pub(crate) fn parse_word(cell: &[u8]) -> Option<f64> {
    let (sign, word) = match cell {
        [b'-', word @ ..] => (-1.0, word),
        word => (1.0, word),
    };
    if word.eq_ignore_ascii_case(b"nan") {
        Some(f64::NAN)
    } else if word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"infinity") {
        Some(sign * f64::INFINITY)
    } else {
        None
    }
}

/// Does the double nearest to `value` print as the same digits?
pub(crate) fn is_lossless_double(value: i128) -> bool {
    value.unsigned_abs() <= u128::from(EXACT_IN_DOUBLE) || (value as f64).to_string() == value.to_string()
}

/// `cell` without a minus.
pub(crate) fn unsigned(cell: &[u8]) -> &[u8] {
    cell.strip_prefix(b"-").unwrap_or(cell)
}

/// Digits in groups of three with a mark between them, of which the first may be shorter: `1.234.567`.
/// A number that begins with zero is never written so.
pub(crate) fn is_grouped(digits: &[u8], mark: u8) -> bool {
    let mut groups = digits.split(|byte| *byte == mark);
    let is_first = matches!(groups.next(), Some([b'1'..=b'9', more @ ..]) if more.len() < 3 && all_digits(more));
    let mut others = 0;
    is_first && groups.inspect(|_| others += 1).all(|group| group.len() == 3 && all_digits(group)) && others > 0
}

fn all_digits(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_digit)
}

/// The parts of a number, once it is known to be one.
pub(crate) struct Shape {
    pub(crate) negative: bool,
    pub(crate) is_integer: bool,
    pub(crate) is_zero: bool,
    /// A zero in front of another digit.
    pub(crate) leading_zero: bool,
    /// Digits before the point.
    pub(crate) digits: usize,
}

impl Shape {
    /// `-? digits [. digits] [e [+-] digits]`, with a digit on at least one side of the point.
    pub(crate) fn of(cell: &[u8]) -> Option<Self> {
        let (negative, rest) = match cell {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let run = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = run(rest);
        let (before, rest) = rest.split_at(whole);
        let (has_point, rest) = match rest {
            [b'.', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let places = if has_point { run(rest) } else { 0 };
        let (after, rest) = rest.split_at(places);
        let exponent = match rest {
            [] => None,
            [b'e' | b'E', b'+' | b'-', digits @ ..] | [b'e' | b'E', digits @ ..] => Some(digits),
            _ => return None,
        };
        if whole + places == 0 || exponent.is_some_and(|digits| digits.is_empty() || run(digits) < digits.len()) {
            return None;
        }
        Some(Self {
            negative,
            is_integer: !has_point && exponent.is_none(),
            is_zero: before.iter().chain(after).all(|digit| *digit == b'0'),
            leading_zero: whole > 1 && before.first() == Some(&b'0'),
            digits: whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Option<Number> {
        parse_number(text.as_bytes())
    }

    #[test]
    fn groups_have_three_digits_and_the_first_may_have_fewer() {
        for grouped in ["1.234", "12.345", "123.456.789", "9.000.000"] {
            assert!(is_grouped(grouped.as_bytes(), b'.'), "{grouped:?}");
        }
        for other in
            ["", ".", "1", "123", "1234", "1234.567", "1.23", "1.2345", "0.123", "1..234", "1.234.", ".234", "1,234"]
        {
            assert!(!is_grouped(other.as_bytes(), b'.'), "{other:?}");
        }
    }

    #[test]
    fn numbers_land_in_the_narrowest_form() {
        assert_eq!(number("12"), Some(Number::Integer(12)));
        assert_eq!(number("-9223372036854775808"), Some(Number::Integer(i64::MIN)));
        assert_eq!(number("9223372036854775808"), Some(Number::Huge(1 << 63)));
        assert_eq!(number("1.50"), Some(Number::Float(1.5)));
        assert_eq!(number("5."), Some(Number::Float(5.0)));
        assert_eq!(number(&format!("1{}", "0".repeat(39))), Some(Number::Float(1e39)));
        assert_eq!(number(&"9".repeat(39)), None);
        assert!(matches!(number("-0"), Some(Number::Float(zero)) if zero.is_sign_negative()));
        for none in ["", "-", ".", "-.", "e5", "1e", "1e+", "1.e+", "01", "+1", " 1", "1 ", "1e400", "4e-400", "1f"] {
            assert_eq!(number(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn fast_integers_agree_with_the_standard_library(value in any::<i64>(), text in "-?[0-9]{0,20}") {
            let printed = value.to_string();
            if let Some(fast) = parse_i64_fast(printed.as_bytes()) {
                prop_assert_eq!(fast, value);
            } else {
                prop_assert!(printed.len() > 18);
            }
            if let Some(fast) = parse_i64_fast(text.as_bytes()) {
                prop_assert_eq!(fast.to_string(), text);
            }
        }

        /// Bit for bit: a fast path that rounds otherwise would make a value depend on its spelling.
        #[test]
        fn fast_doubles_agree_with_the_standard_library(
            text in prop_oneof!["-?[0-9]{0,12}\\.?[0-9]{0,12}", "-?[0-9]{1,4}\\.[0-9]{2,4}"]
        ) {
            if let Some((fast, form)) = parse_double_fast(text.as_bytes()) {
                prop_assert_eq!(fast.to_bits(), text.parse::<f64>().unwrap().to_bits());
                prop_assert!(parse_number(text.as_bytes()).is_some(), "only numbers pass: {}", text);
                prop_assert_eq!(form.kind(), crate::value::Notation::default().classify(text.as_bytes()));
            }
        }

        #[test]
        fn any_printed_double_is_read_back(value in any::<f64>()) {
            prop_assume!(value.is_finite());
            let text = format!("{value:?}");
            match parse_number(text.as_bytes()) {
                Some(Number::Float(read)) => prop_assert_eq!(read.to_bits(), value.to_bits()),
                other => prop_assert!(false, "{} gave {:?}", text, other),
            }
        }
    }
}
