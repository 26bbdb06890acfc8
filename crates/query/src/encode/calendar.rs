//! Dates and times as ISO 8601 text.

use std::io::Write as _;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Fractions of a second that a type counts, as a number of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds = 0,
    Millis = 3,
    Micros = 6,
    Nanos = 9,
}

impl Unit {
    const fn per_second(self) -> i64 {
        10_i64.pow(self as u32)
    }
}

/// `2024-01-31`. Years before 1 count on to 0 and below, as ISO 8601 has it: 44 BC is `-0043`.
/// The infinities are `infinity` and `-infinity`.
pub(super) fn write_date(days: i32, out: &mut Vec<u8>) {
    if !write_infinity(days == i32::MAX, days == -i32::MAX, out) {
        write_day(i64::from(days), out);
    }
}

/// `2024-01-31T12:34:56.5`, then `zone`.
pub(super) fn write_timestamp(value: i64, unit: Unit, zone: &str, out: &mut Vec<u8>) {
    if write_infinity(value == i64::MAX, value == -i64::MAX, out) {
        return;
    }
    let seconds = value.div_euclid(unit.per_second());
    write_day(seconds.div_euclid(SECONDS_PER_DAY), out);
    out.push(b'T');
    write_clock(seconds.rem_euclid(SECONDS_PER_DAY), value.rem_euclid(unit.per_second()), unit, out);
    out.extend_from_slice(zone.as_bytes());
}

/// `12:34:56.5`. The end of a day is `24:00:00`.
pub(super) fn write_time(value: i64, unit: Unit, out: &mut Vec<u8>) {
    write_clock(value.div_euclid(unit.per_second()), value.rem_euclid(unit.per_second()), unit, out);
}

/// A time and its offset: 40 bits of microseconds, then 24 of the offset in seconds, counted
/// down from the largest.
pub(super) fn write_time_tz(bits: u64, out: &mut Vec<u8>) {
    const OFFSET_BITS: u32 = 24;
    const MAX_OFFSET: i64 = 16 * 3_600 - 1;
    // 40 bits fit.
    write_time((bits >> OFFSET_BITS) as i64, Unit::Micros, out);
    let offset = MAX_OFFSET - (bits & ((1 << OFFSET_BITS) - 1)) as i64;
    let (sign, magnitude) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    // Writing to a vector can't fail.
    let _ = write!(out, "{sign}{:02}:{:02}", magnitude / 3_600, magnitude / 60 % 60);
    if magnitude % 60 != 0 {
        let _ = write!(out, ":{:02}", magnitude % 60);
    }
}

/// An ISO 8601 duration of months, days and seconds, each with its own sign: `P1Y2M3DT4H5M6.5S`.
pub(super) fn write_interval(months: i32, days: i32, micros: i64, out: &mut Vec<u8>) {
    let parts = |out: &mut Vec<u8>, parts: &[(i64, char)]| {
        for (value, unit) in parts.iter().filter(|(value, _)| *value != 0) {
            // Writing to a vector can't fail.
            let _ = write!(out, "{value}{unit}");
        }
    };
    out.push(b'P');
    parts(out, &[(i64::from(months / 12), 'Y'), (i64::from(months % 12), 'M'), (i64::from(days), 'D')]);
    let (seconds, fraction) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    if micros == 0 {
        if months == 0 && days == 0 {
            out.extend_from_slice(b"T0S");
        }
        return;
    }
    out.push(b'T');
    parts(out, &[(seconds / 3_600, 'H'), (seconds / 60 % 60, 'M')]);
    if seconds % 60 != 0 || fraction != 0 {
        if micros < 0 {
            out.push(b'-');
        }
        let _ = write!(out, "{}", (seconds % 60).abs());
        write_fraction(fraction.abs(), Unit::Micros, out);
        out.push(b'S');
    }
}

fn write_infinity(positive: bool, negative: bool, out: &mut Vec<u8>) -> bool {
    if positive {
        out.extend_from_slice(b"infinity");
    } else if negative {
        out.extend_from_slice(b"-infinity");
    }
    positive || negative
}

fn write_clock(seconds: i64, fraction: i64, unit: Unit, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    write_fraction(fraction, unit, out);
}

/// The fraction without zeros at its end; nothing where it is zero.
fn write_fraction(fraction: i64, unit: Unit, out: &mut Vec<u8>) {
    if fraction == 0 {
        return;
    }
    let _ = write!(out, ".{fraction:0width$}", width = unit as usize);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// Days since 1970-01-01 as year, month and day of the proleptic Gregorian calendar. Years begin
/// in March here, so that the leap day is the last of its year and every month's start follows
/// from one division.
fn write_day(days: i64, out: &mut Vec<u8>) {
    const DAYS_PER_ERA: i64 = 146_097;
    const DAYS_TO_EPOCH: i64 = 719_468;
    let shifted = days + DAYS_TO_EPOCH;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    // Writing to a vector can't fail.
    let _ = if year < 0 {
        write!(out, "-{:04}-{month:02}-{day:02}", -year)
    } else {
        write!(out, "{year:04}-{month:02}-{day:02}")
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_days() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (19_782, "2024-02-29"),
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (2_932_897, "10000-01-01"),
            (i32::MAX, "infinity"),
            (-i32::MAX, "-infinity"),
        ] {
            assert_eq!(written(|out| write_date(days, out)), text);
        }
    }

    #[test]
    fn timestamps_drop_zeros_at_the_end_only() {
        for (value, unit, text) in [
            (0, Unit::Micros, "1970-01-01T00:00:00Z"),
            (-1, Unit::Micros, "1969-12-31T23:59:59.999999Z"),
            (1_500_000, Unit::Micros, "1970-01-01T00:00:01.5Z"),
            (1_000_000_010, Unit::Nanos, "1970-01-01T00:00:01.00000001Z"),
            (86_399, Unit::Seconds, "1970-01-01T23:59:59Z"),
            (20, Unit::Millis, "1970-01-01T00:00:00.02Z"),
            (i64::MAX, Unit::Micros, "infinity"),
        ] {
            assert_eq!(written(|out| write_timestamp(value, unit, "Z", out)), text);
        }
    }

    #[test]
    fn intervals_keep_their_three_parts() {
        for (months, days, micros, text) in [
            (0, 0, 0, "PT0S"),
            (14, 3, 14_706_500_000, "P1Y2M3DT4H5M6.5S"),
            (-1, 3, -4_500_000, "P-1M3DT-4.5S"),
            (0, 0, -3_600_000_000, "PT-1H"),
            (12, 0, 1, "P1YT0.000001S"),
            (0, 0, -100_000, "PT-0.1S"),
        ] {
            assert_eq!(written(|out| write_interval(months, days, micros, out)), text);
        }
    }

    proptest! {
        /// One day on is the next date, whatever the day.
        #[test]
        fn days_follow_each_other(day in -3_000_000_i64..4_000_000) {
            let parse = |text: String| {
                let (sign, text) = text.strip_prefix('-').map_or((1, text.as_str()), |rest| (-1, rest));
                let parts: Vec<i64> = text.split('-').map(|part| part.parse().unwrap()).collect();
                (sign * parts[0], parts[1], parts[2])
            };
            let (year, month, date) = parse(written(|out| write_day(day, out)));
            let next = parse(written(|out| write_day(day + 1, out)));
            let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
            let length = match month { 2 => if leap { 29 } else { 28 }, 4 | 6 | 9 | 11 => 30, _ => 31 };
            let expected = if date < length { (year, month, date + 1) }
                else if month < 12 { (year, month + 1, 1) }
                else { (year + 1, 1, 1) };
            prop_assert_eq!(next, expected);
        }
    }
}
