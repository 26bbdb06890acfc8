//! Zones in the spelling of a time: honoured, or a reason to refuse it. Never a guess, since a guess
//! puts a row into a wrong day for ever.

use std::sync::LazyLock;

use jiff::{
    Timestamp,
    civil::Time,
    fmt::temporal::{Pieces, PiecesOffset},
    tz::{AmbiguousOffset, Offset, TimeZoneDatabase},
};

/// The rules that this program carries itself: a row's day must not depend on what its machine has.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The instant of a time with a zone in brackets, as in `2026-04-20T10:00:00[Europe/Zurich]`; none if
/// what stands in the brackets is no zone (`[u-ca=iso8601]`).
pub(super) fn in_brackets(text: &str) -> Result<Option<Timestamp>, &'static str> {
    let pieces = Pieces::parse(text).map_err(|_| "what stands in brackets can't be read")?;
    let Some(annotation) = pieces.time_zone_annotation() else { return Ok(None) };
    let zone = annotation.to_time_zone_with(&ZONES).map_err(|_| "there is no such zone")?;
    let local = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    let beyond = |_| "it is beyond what can be counted";
    let timestamp = match pieces.offset() {
        None => {
            let ambiguous = zone.to_ambiguous_timestamp(local);
            match ambiguous.offset() {
                AmbiguousOffset::Unambiguous { .. } => {}
                AmbiguousOffset::Gap { .. } => return Err("the clocks of this zone never showed it"),
                AmbiguousOffset::Fold { .. } => return Err("the clocks of this zone showed it twice"),
            }
            ambiguous.unambiguous().map_err(beyond)?
        }
        // Both say that the time is in UTC, and nothing of where it was taken.
        Some(PiecesOffset::Zulu) => Offset::UTC.to_timestamp(local).map_err(beyond)?,
        Some(PiecesOffset::Numeric(offset)) if offset.is_negative() && offset.offset().is_zero() => {
            Offset::UTC.to_timestamp(local).map_err(beyond)?
        }
        Some(PiecesOffset::Numeric(offset)) => {
            let timestamp = offset.offset().to_timestamp(local).map_err(beyond)?;
            if zone.to_offset(timestamp) != offset.offset() {
                return Err("its offset is not that of its zone");
            }
            timestamp
        }
        Some(_) => return Err("its offset can't be read"),
    };
    Ok(Some(timestamp))
}

/// The name in the place of the zone of a time as in RFC 2822, if it is one that says nothing: RFC 2822
/// knows ten, and has all others, and the letters that armies use, taken for an unknown zone.
pub(super) fn unknown_in_mail(text: &str) -> Option<String> {
    const KNOWN: [&str; 12] = ["UT", "GMT", "UTC", "Z", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT"];
    let plain = without_comments(text);
    let zone = plain.split_whitespace().last()?;
    let is_name = zone.bytes().all(|byte| byte.is_ascii_alphabetic());
    (is_name && !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(zone))).then(|| zone.to_owned())
}

/// Without what stands in parentheses, which nest.
fn without_comments(text: &str) -> String {
    let (mut depth, mut is_escaped) = (0_usize, false);
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if depth > 0 => is_escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}
