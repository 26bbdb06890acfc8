//! Instants of source rows, whatever their spelling.

use std::{fmt, str::FromStr};

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    fmt::rfc2822,
    tz::Offset,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::json::Json;

mod zone;

/// An instant after 1970, written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Timestamp);

/// Why a text or number is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a point in time: {0}")]
pub struct InvalidInstant(String);

impl Instant {
    /// The day it lies in, UTC.
    #[must_use]
    pub fn day(self) -> Day {
        Day(Offset::UTC.to_datetime(self.0).date())
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn as_millisecond(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The same instant for `jiff`.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    /// Takes a time that a program read from its clock.
    ///
    /// # Errors
    /// For an instant before 1970 or after 9999.
    pub fn from_timestamp(timestamp: Timestamp) -> Result<Self, InvalidInstant> {
        // Zero is what broken clocks and default values say: it is never when a run took place.
        let year = Offset::UTC.to_datetime(timestamp).year();
        if timestamp > Timestamp::UNIX_EPOCH && year <= 9999 {
            Ok(Self(timestamp))
        } else {
            Err(InvalidInstant(timestamp.to_string()))
        }
    }

    /// Reads a row's value: RFC 3339 with any offset, with or without a zone in brackets (RFC 9557), RFC
    /// 2822, a date and time without an offset or zone (taken as UTC), a bare date (its midnight, UTC), or a count since the epoch as number or
    /// text, in seconds, milli-, micro- or nanoseconds by its magnitude.
    ///
    /// # Errors
    /// For anything else, for a zone that is unknown or contradicts the offset, and outside of 1970..=9999.
    pub fn from_json(value: &Json<'_>) -> Result<Self, InvalidInstant> {
        match value {
            Json::String(text) => text.parse(),
            Json::Number(text) => from_epoch(text).ok_or_else(|| InvalidInstant((*text).to_owned()))?,
            other => Err(InvalidInstant(shorten(&other.to_string()))),
        }
    }
}

impl FromStr for Instant {
    type Err = InvalidInstant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let invalid = || InvalidInstant(shorten(trimmed));
        let because = |why: &str| InvalidInstant(format!("{} ({why})", shorten(trimmed)));
        if trimmed.contains('[')
            && let Some(timestamp) = zone::in_brackets(trimmed).map_err(because)?
        {
            return Self::from_timestamp(timestamp);
        }
        if let Ok(timestamp) = trimmed.parse::<Timestamp>() {
            return Self::from_timestamp(timestamp);
        }
        // A full stop in the place of the colon and such are left alone: guessing there would put a
        // row into a wrong day for ever.
        let naive = trimmed.parse::<DateTime>().ok().or_else(|| trimmed.parse::<Date>().ok().map(DateTime::from));
        if let Some(naive) = naive {
            return Self::from_timestamp(Offset::UTC.to_timestamp(naive).map_err(|_| invalid())?);
        }
        if let Ok(zoned) = rfc2822::parse(trimmed) {
            if let Some(zone) = zone::unknown_in_mail(trimmed) {
                return Err(because(&format!("the zone {zone} is none that RFC 2822 knows")));
            }
            return Self::from_timestamp(zoned.timestamp());
        }
        from_epoch(trimmed).ok_or_else(invalid)?
    }
}

/// A count since the epoch. Seconds reach the year 5138 before they look like milliseconds, which
/// begin in 1973, and so on with a factor of a thousand.
fn from_epoch(text: &str) -> Option<Result<Instant, InvalidInstant>> {
    let in_nanoseconds = |size: f64| match size {
        s if s < 1e11 => 1_000_000_000,
        s if s < 1e14 => 1_000_000,
        s if s < 1e17 => 1_000,
        _ => 1,
    };
    let nanoseconds: i128 = if let Ok(whole) = text.parse::<i64>() {
        let unit = in_nanoseconds(whole.unsigned_abs() as f64);
        i128::from(whole) * unit
    } else {
        let count = text.parse::<f64>().ok().filter(|x| x.is_finite() && x.abs() < 1e19)?;
        let nanoseconds = (count * in_nanoseconds(count.abs()) as f64).round() as i128;
        // A double of seconds holds about a quarter of a microsecond; the digits below are noise.
        (nanoseconds + 500).div_euclid(1_000) * 1_000
    };
    let timestamp = Timestamp::from_nanosecond(nanoseconds).ok()?;
    Some(Instant::from_timestamp(timestamp))
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start:?}...")
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A day in UTC: the partition that a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

impl Day {
    /// `YYYY/MM/DD`, the folder of this day.
    #[must_use]
    pub fn folder(self) -> String {
        format!("{:04}/{:02}/{:02}", self.0.year(), self.0.month(), self.0.day())
    }

    /// The day of a folder `YYYY/MM/DD`; `None` for any other spelling.
    #[must_use]
    pub fn from_folder(folder: &str) -> Option<Self> {
        let day = Self(folder.replace('/', "-").parse().ok()?);
        (day.folder() == folder).then_some(day)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
