//! Cells of a column whose type the caller declared: read as generously as is safe, and never by
//! guessing or rounding. A cell that doesn't fit makes its row a bad row.

use super::{
    number,
    temporal::{MICROS_PER_DAY, Temporal, parse_temporal},
};
use crate::schema::ColumnType;

/// A value of any type but text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Boolean(bool),
    Integer(i64),
    Huge(i128),
    Double(f64),
    Days(i32),
    Micros(i64),
}

/// Reads a cell, neither null nor padded, and a number in its plain form.
pub(super) fn parse(ty: ColumnType, cell: &[u8]) -> Option<Value> {
    match ty {
        ColumnType::Boolean => parse_boolean(cell).map(Value::Boolean),
        ColumnType::BigInt => number_text(cell)?.parse().ok().map(Value::Integer),
        ColumnType::Decimal { precision, scale } => parse_decimal(cell, precision, scale).map(Value::Huge),
        ColumnType::Double => parse_double(cell).map(Value::Double),
        ColumnType::Date => match parse_temporal(cell)? {
            Temporal::Date(days) => Some(Value::Days(days)),
            _ => None,
        },
        ColumnType::Time => match parse_temporal(cell)? {
            Temporal::Time(micros) => Some(Value::Micros(micros)),
            _ => None,
        },
        ColumnType::Timestamp => match parse_temporal(cell)? {
            Temporal::Date(days) => Some(Value::Micros(i64::from(days) * MICROS_PER_DAY)),
            Temporal::Timestamp(micros) => Some(Value::Micros(micros)),
            _ => None,
        },
        // A clock without a zone is read as UTC: the caller said that these are instants.
        ColumnType::TimestampTz => match parse_temporal(cell)? {
            Temporal::Date(days) => Some(Value::Micros(i64::from(days) * MICROS_PER_DAY)),
            Temporal::Timestamp(micros) | Temporal::TimestampTz(micros) => Some(Value::Micros(micros)),
            Temporal::Time(_) => None,
        },
        ColumnType::Varchar => None,
    }
}

fn parse_boolean(cell: &[u8]) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| cell.eq_ignore_ascii_case(word.as_bytes()));
    if is(&["true", "t", "yes", "y", "1"]) { Some(true) } else { is(&["false", "f", "no", "n", "0"]).then_some(false) }
}

/// The text of a number, where only digits with a sign may stand.
fn number_text(cell: &[u8]) -> Option<&str> {
    let digits = cell.strip_prefix(b"-").or_else(|| cell.strip_prefix(b"+")).unwrap_or(cell);
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(cell).ok().filter(|_| all_digits)
}

fn parse_double(cell: &[u8]) -> Option<f64> {
    let unsigned = cell.strip_prefix(b"+").unwrap_or(cell);
    if unsigned.len() < cell.len() && unsigned.first() == Some(&b'-') {
        return None;
    }
    number::Shape::of(unsigned)?;
    std::str::from_utf8(unsigned).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Exact: digits beyond `scale` must be zeros, and the rest must fit `precision`.
fn parse_decimal(cell: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let negative = cell.first() == Some(&b'-');
    let digits = cell.strip_prefix(b"-").or_else(|| cell.strip_prefix(b"+")).unwrap_or(cell);
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, places) = (digits.get(..point)?, digits.get(point + 1..).unwrap_or_default());
    if whole.len() + places.len() == 0 || !whole.iter().chain(places).all(u8::is_ascii_digit) {
        return None;
    }
    let (kept, finer) = places.split_at(places.len().min(usize::from(scale)));
    if finer.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let padding = std::iter::repeat_n(&b'0', usize::from(scale) - kept.len());
    let value = whole
        .iter()
        .chain(kept)
        .chain(padding)
        .try_fold(0_i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(digit - b'0')))?;
    let fits = value < 10_i128.pow(u32::from(precision));
    fits.then_some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Notation;

    fn parse(ty: ColumnType, text: &str) -> Option<Value> {
        Notation::default().parse_declared(ty, text.as_bytes())
    }

    #[test]
    fn a_declared_type_reads_what_inference_leaves_alone() {
        assert_eq!(parse(ColumnType::BigInt, " 00501 "), Some(Value::Integer(501)));
        assert_eq!(parse(ColumnType::BigInt, "+7"), Some(Value::Integer(7)));
        assert_eq!(parse(ColumnType::Double, "+007"), Some(Value::Double(7.0)));
        assert_eq!(parse(ColumnType::Double, "9007199254740993"), Some(Value::Double(9_007_199_254_740_992.0)));
        assert_eq!(parse(ColumnType::Boolean, "Yes"), Some(Value::Boolean(true)));
        assert_eq!(parse(ColumnType::TimestampTz, "1970-01-02"), Some(Value::Micros(MICROS_PER_DAY)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (ty, text) in [
            (ColumnType::BigInt, "1.0"),
            (ColumnType::BigInt, "9223372036854775808"),
            (ColumnType::BigInt, "+-1"),
            (ColumnType::Double, "1e999"),
            (ColumnType::Double, "+-1"),
            (ColumnType::Boolean, "maybe"),
            (ColumnType::Date, "1970-01-01T00:00"),
            (ColumnType::Timestamp, "1970-01-01T00:00Z"),
            (ColumnType::Time, "1970-01-01"),
        ] {
            assert_eq!(parse(ty, text), None, "{text:?} as {ty}");
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let money = ColumnType::Decimal { precision: 5, scale: 2 };
        assert_eq!(parse(money, "123.45"), Some(Value::Huge(12_345)));
        assert_eq!(parse(money, "-.5"), Some(Value::Huge(-50)));
        assert_eq!(parse(money, "7"), Some(Value::Huge(700)));
        assert_eq!(parse(money, "1.2300"), Some(Value::Huge(123)));
        for none in ["1234.5", "1.234", "", ".", "1e2", "1.2.3"] {
            assert_eq!(parse(money, none), None, "{none:?}");
        }
        let widest = ColumnType::HUGE_INTEGER;
        assert_eq!(parse(widest, &"9".repeat(38)), Some(Value::Huge(10_i128.pow(38) - 1)));
        assert_eq!(parse(widest, &"9".repeat(39)), None);
        assert_eq!(parse(widest, &"9".repeat(60)), None);
    }
}
