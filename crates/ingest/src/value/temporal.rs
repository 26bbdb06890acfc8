//! ISO 8601 dates, times and timestamps.

/// A date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temporal {
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01, on a clock of unknown zone.
    Timestamp(i64),
    /// Microseconds since 1970-01-01 UTC.
    TimestampTz(i64),
}

pub(crate) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// The farthest offset from UTC that is taken for one: past every zone that ever was.
const MAX_OFFSET_MINUTES: i64 = 18 * 60;

/// Reads a whole cell (without padding); `None` where it is anything else.
#[inline]
pub(crate) fn parse_temporal(cell: &[u8]) -> Option<Temporal> {
    match cell {
        [_, _, b':', ..] => {
            let (micros, rest) = parse_time(cell)?;
            rest.is_empty().then_some(Temporal::Time(micros))
        }
        [_, _, _, _, b'-', _, _, b'-', _, _] => parse_date(cell).map(Temporal::Date),
        [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't' | b' ', time @ ..] => {
            let days = parse_date(cell.get(..10)?)?;
            let (micros, zone) = parse_time(time)?;
            let local = i64::from(days) * MICROS_PER_DAY + micros;
            if zone.is_empty() {
                return Some(Temporal::Timestamp(local));
            }
            let offset = parse_offset(zone)?;
            Some(Temporal::TimestampTz(local - offset * 60 * MICROS_PER_SECOND))
        }
        _ => None,
    }
}

#[inline]
fn two_digits(bytes: &[u8]) -> Option<i64> {
    let &[tens, ones] = bytes else { return None };
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// `YYYY-MM-DD`, years 1 to 9999, as days since 1970-01-01.
#[inline]
fn parse_date(bytes: &[u8]) -> Option<i32> {
    let year = two_digits(bytes.get(..2)?)? * 100 + two_digits(bytes.get(2..4)?)?;
    let (month, day) = (two_digits(bytes.get(5..7)?)?, two_digits(bytes.get(8..10)?)?);
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > last {
        return None;
    }
    // Years run from March here, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    // 1970-01-01 is day 719,468 of that count, and year 9999 is far inside of 32 bits.
    i32::try_from(days - 719_468).ok()
}

/// `HH:MM[:SS[.ffffff]]` as microseconds, and what comes after it.
#[inline]
fn parse_time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (hour, minute) = (two_digits(bytes.get(..2)?)?, two_digits(bytes.get(3..5)?)?);
    if bytes.get(2) != Some(&b':') || hour > 23 || minute > 59 {
        return None;
    }
    let minutes = hour * 60 + minute;
    let Some((b':', rest)) = bytes.get(5..)?.split_first() else {
        return Some((minutes * 60 * MICROS_PER_SECOND, bytes.get(5..)?));
    };
    let second = two_digits(rest.get(..2)?)?;
    if second > 59 {
        return None;
    }
    let micros = (minutes * 60 + second) * MICROS_PER_SECOND;
    match rest.get(2..)? {
        [b'.', rest @ ..] => {
            let (fraction, rest) = parse_fraction(rest)?;
            Some((micros + fraction, rest))
        }
        rest => Some((micros, rest)),
    }
}

/// Digits after a second's point, as microseconds. `None` where finer digits would be lost.
fn parse_fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at(count);
    let (kept, finer) = digits.split_at(count.min(6));
    if count == 0 || finer.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let value = kept.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    let missing = 6 - u32::try_from(kept.len()).ok()?;
    Some((value * 10_i64.pow(missing), rest))
}

/// `Z`, `UTC` or `±HH[[:]MM]`, with or without a space before it, as minutes east of UTC.
fn parse_offset(zone: &[u8]) -> Option<i64> {
    let zone = zone.strip_prefix(b" ").unwrap_or(zone);
    let (sign, digits) = match zone {
        b"Z" | b"z" | b"UTC" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [_, _] => (two_digits(digits)?, 0),
        [_, _, _, _] | [_, _, b':', _, _] => {
            (two_digits(digits.get(..2)?)?, two_digits(digits.get(digits.len() - 2..)?)?)
        }
        _ => return None,
    };
    let offset = hours * 60 + minutes;
    (minutes < 60 && offset <= MAX_OFFSET_MINUTES).then_some(sign * offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<Temporal> {
        parse_temporal(text.as_bytes())
    }

    #[test]
    fn known_moments() {
        assert_eq!(parse("1970-01-01"), Some(Temporal::Date(0)));
        assert_eq!(parse("2000-03-01"), Some(Temporal::Date(11_017)));
        assert_eq!(parse("0001-01-01"), Some(Temporal::Date(-719_162)));
        assert_eq!(parse("9999-12-31"), Some(Temporal::Date(2_932_896)));
        assert_eq!(parse("2013-01-01T06:00:00Z"), Some(Temporal::TimestampTz(1_357_020_000_000_000)));
        assert_eq!(parse("2013-01-01 08:00+02:00"), parse("2013-01-01T06:00:00Z"));
        assert_eq!(parse("2013-01-01 00:30:00 -0530"), parse("2013-01-01T06:00:00Z"));
        assert_eq!(parse("1969-12-31 23:59:59.5"), Some(Temporal::Timestamp(-500_000)));
        assert_eq!(parse("00:00:01.000001000"), Some(Temporal::Time(1_000_001)));
    }

    #[test]
    fn what_is_almost_one_is_none() {
        for none in
            ["1900-02-29", "2023-04-31", "2023-00-10", "2023-01-00", "2023-1-01", "20a3-01-01", "2023-01-01T1:00"]
        {
            assert_eq!(parse(none), None, "{none:?}");
        }
        for none in [
            "12:3",
            "12:30:",
            "12:30:5",
            "12:30:05.",
            "12:30Z",
            "25:00",
            "2023-01-01T12:30+1",
            "2023-01-01T12:30+12:60",
        ] {
            assert_eq!(parse(none), None, "{none:?}");
        }
    }

    proptest! {
        /// Dates are dense: the day after prints as the next number, over all of history.
        #[test]
        fn days_follow_each_other(year in 1_i64..=9999, month in 1_i64..=12, day in 1_i64..=31) {
            let text = |y: i64, m: i64, d: i64| format!("{y:04}-{m:02}-{d:02}");
            let Some(Temporal::Date(today)) = parse(&text(year, month, day)) else { return Ok(()) };
            let next = [(year, month, day + 1), (year, month + 1, 1), (year + 1, 1, 1)]
                .into_iter()
                .find_map(|(y, m, d)| parse(&text(y, m, d)));
            if let Some(next) = next {
                prop_assert_eq!(next, Temporal::Date(today + 1));
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "[0-9:T.+Z -]{0,40}") {
            let _ = parse_temporal(&bytes);
            let _ = parse_temporal(text.as_bytes());
        }
    }
}
