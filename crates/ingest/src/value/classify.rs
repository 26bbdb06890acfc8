use super::{
    Notation,
    number::{Number, is_grouped, is_lossless_double, parse_number, parse_word, unsigned},
    temporal::{Temporal, parse_temporal},
};
use crate::kind::KindSet;

/// `cell` without the spaces and tabs around it.
pub(super) fn trim(mut cell: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = cell {
        cell = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = cell {
        cell = rest;
    }
    cell
}

impl Notation {
    /// The kind of a cell that is neither null nor padded.
    pub(super) fn kind_of_value(&self, cell: &[u8]) -> KindSet {
        match cell.first() {
            Some(b'0'..=b'9') => match parse_temporal(cell) {
                Some(Temporal::Date(_)) => KindSet::DATE,
                Some(Temporal::Timestamp(_)) => KindSet::TIMESTAMP,
                Some(Temporal::TimestampTz(_)) => KindSet::TIMESTAMP_TZ,
                Some(Temporal::Time(_)) => KindSet::TIME,
                None => self.number_kind(cell),
            },
            Some(b'-' | b'.' | b',') => self.number_kind(cell),
            Some(b't' | b'T' | b'f' | b'F') if is_boolean(cell) => KindSet::BOOLEAN,
            Some(b'n' | b'N' | b'i' | b'I') if parse_word(cell).is_some() => KindSet::WORD,
            _ => KindSet::TEXT,
        }
    }

    fn number_kind(&self, cell: &[u8]) -> KindSet {
        if let Some(kind) = self.in_plain_form(cell, plain_kind) {
            kind
        } else if parse_word(cell).is_some() {
            // `-inf`, `-nan`.
            KindSet::WORD
        } else if self.is_guessed() {
            comma_kind(cell)
        } else {
            KindSet::TEXT
        }
    }
}

fn is_boolean(cell: &[u8]) -> bool {
    cell.eq_ignore_ascii_case(b"true") || cell.eq_ignore_ascii_case(b"false")
}

fn is_bare_exponent(cell: &[u8]) -> bool {
    let has_e = cell.iter().any(|byte| matches!(byte, b'e' | b'E'));
    has_e && cell.iter().all(u8::is_ascii_alphanumeric)
}

/// The kind of a number in its plain form; `None` where it is none.
fn plain_kind(cell: &[u8]) -> Option<KindSet> {
    Some(match parse_number(cell)? {
        Number::Integer(value) => match is_lossless_double(i128::from(value)) {
            true => KindSet::INTEGER,
            false => KindSet::INTEGER_WIDE,
        },
        Number::Huge(value) => match is_lossless_double(value) {
            true => KindSet::HUGE,
            false => KindSet::HUGE_WIDE,
        },
        // No point, and no sign in the exponent: ids look like that.
        Number::Float(_) if is_bare_exponent(cell) => KindSet::EXPONENT,
        Number::Float(_) if is_grouped(unsigned(cell), b'.') => KindSet::FLOAT.union(KindSet::GROUPED),
        Number::Float(_) => KindSet::FLOAT,
    })
}

/// The kind of a cell that is no number as they are written by default, but may be one in a file
/// with decimal commas.
fn comma_kind(cell: &[u8]) -> KindSet {
    let cell = unsigned(cell);
    let Some(comma) = cell.iter().position(|byte| *byte == b',') else {
        return if is_grouped(cell, b'.') { KindSet::POINT_GROUPS } else { KindSet::TEXT };
    };
    if is_grouped(cell, b',') {
        return KindSet::COMMA_GROUP;
    }
    let (whole, places) = cell.split_at(comma);
    let is_digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
    // As with points: `,5` is a number, and a zero that would get lost makes a text.
    let is_whole = is_digits(whole) && !matches!(whole, [b'0', _, ..]);
    let is_number = match places {
        [_, places @ ..] if !places.is_empty() && is_digits(places) => is_whole || is_grouped(whole, b'.'),
        _ => false,
    };
    if is_number { KindSet::COMMA } else { KindSet::TEXT }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kind: KindSet, cells: &[&str]) {
        for cell in cells {
            assert_eq!(Notation::default().classify(cell.as_bytes()), kind, "{cell:?}");
        }
    }

    #[test]
    fn every_kind_by_example() {
        all(KindSet::NULL, &["", "NA", "N/A", "null", "NULL", "  ", " NA\t"]);
        all(KindSet::BOOLEAN, &["true", "False", "TRUE", " true "]);
        all(KindSet::INTEGER, &["0", "7", "-1", "1234567890", " 12 ", "9007199254740992", "9223372036854775000"]);
        all(KindSet::INTEGER_WIDE, &["9007199254740993", "9223372036854775807", "-9223372036854775808"]);
        all(KindSet::HUGE, &["10000000000000000000", "-20000000000000000000"]);
        all(KindSet::HUGE_WIDE, &["9223372036854775809", "99999999999999999999999999999999999999"]);
        all(KindSet::FLOAT, &["1.0", "-0", ".5", "5.", "-1.5E-3", "0.10", "1e+05", "1e-5", "0.125", "1234.567"]);
        all(KindSet::FLOAT.union(KindSet::GROUPED), &["1.200", "-12.345", "999.999"]);
        all(KindSet::EXPONENT, &["1e5", "7731e104", "1E3"]);
        all(KindSet::COMMA, &["1,5", "-0,25", "0,125", ",5", "1234,567", "1.234,56", "-1.234.567,8", "1.200,300"]);
        all(KindSet::COMMA_GROUP, &["1,234", "-12,345,678"]);
        all(KindSet::POINT_GROUPS, &["1.234.567", "-12.345.678"]);
        all(KindSet::WORD, &["NaN", "inf", "-Infinity"]);
        all(KindSet::DATE, &["2013-01-01", "0001-01-01", "9999-12-31", "2024-02-29"]);
        all(KindSet::TIMESTAMP, &["2013-01-01T06:00:00", "2013-01-01 06:00", "2013-01-01 06:00:00.123456"]);
        all(KindSet::TIMESTAMP_TZ, &["2013-01-01T06:00:00Z", "2013-01-01 06:00:00+02", "2013-01-01 06:00:00 UTC"]);
        all(KindSet::TIME, &["06:00", "23:59:59", "00:00:00.5"]);
    }

    #[test]
    fn what_a_type_would_lose_is_text() {
        all(KindSet::TEXT, &["00501", "-01", "007.5", "+1", "+1.5", "1_000", "0x1F", "5%", "1e999", "1e-999"]);
        all(
            KindSet::TEXT,
            &[
                "1.2.3",
                "1.2.345",
                "0.123.456",
                "1,",
                "-,",
                "1,2,3",
                "00,5",
                "0,123,456",
                "1,234.5",
                "12.34,5",
                "0.123,5",
                "+1,5",
                "1,5 EUR",
                "-",
                ".",
                "1e",
                "--1",
                "1-2",
                "t",
                "yes",
                "Na",
                "nope",
                "999999999999999999999999999999999999999",
            ],
        );
        all(
            KindSet::TEXT,
            &["2013-02-29", "2013-13-01", "0000-01-01", "2013/01/02", "2013-1-2", "24:00", "12:60", "23:59:60"],
        );
        all(KindSet::TEXT, &["2013-01-01 06:00:00.1234567", "2013-01-01T", "2013-01-01 06:00:00+25:00", "2013-01-01x"]);
    }
}
