//! `Range` and `If-Range` (RFC 9110, sections 13.1.5 and 14).

use http::{HeaderMap, header};
use lakehouse_objstore::ByteRange;

use crate::conditions::opaque_tag;

/// The one range asked for. `None` means everything: HTTP lets a server ignore what it does not
/// support (several ranges at once, other units), and has it ignore what is malformed.
pub(crate) fn of(headers: &HeaderMap) -> Option<ByteRange> {
    let mut values = headers.get_all(header::RANGE).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else { return None };
    let (unit, range) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (number(first.trim()), number(last.trim())) {
        (Some(first), Some(last)) => (first <= last).then_some(ByteRange::Inclusive(first, last)),
        (Some(first), None) if last.trim().is_empty() => Some(ByteRange::From(first)),
        (None, Some(count)) if first.trim().is_empty() => Some(ByteRange::Last(count)),
        _ => None,
    }
}

/// Digits only; more of them than fit mean "past every end".
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// May the range be served, given the object's tag? `If-Range` compares strongly. A date in it
/// never matches: two writes can share a second, and a splice of two versions is worse than
/// sending everything.
pub(crate) fn may_be_served(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|value| value.to_str().ok().and_then(opaque_tag) == Some(etag))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn parse(value: &'static str) -> Option<ByteRange> {
        of(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(value))]))
    }

    #[test]
    fn ranges_are_read_as_http_has_them() {
        assert_eq!(parse("bytes=0-"), Some(ByteRange::From(0)));
        assert_eq!(parse("bytes=5-9"), Some(ByteRange::Inclusive(5, 9)));
        assert_eq!(parse("Bytes = 5 - 9 "), Some(ByteRange::Inclusive(5, 9)));
        assert_eq!(parse("bytes=-3"), Some(ByteRange::Last(3)));
        assert_eq!(parse("bytes=-0"), Some(ByteRange::Last(0)));
        assert_eq!(parse("bytes=1-99999999999999999999999"), Some(ByteRange::Inclusive(1, u64::MAX)));
    }

    #[test]
    fn what_is_no_single_range_of_bytes_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=+1-2",
            "bytes=1-2,4-5",
            "rows=1-2",
            "1-2",
        ] {
            assert_eq!(parse(value), None, "{value:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        twice.append(header::RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(of(&twice), None);
    }

    #[test]
    fn if_range_wants_the_very_tag() {
        let with = |value: &'static str| HeaderMap::from_iter([(header::IF_RANGE, HeaderValue::from_static(value))]);
        assert!(may_be_served(&HeaderMap::new(), "a"));
        assert!(may_be_served(&with("\"a\""), "a"));
        for other in ["\"b\"", "W/\"a\"", "a", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert!(!may_be_served(&with(other), "a"), "{other}");
        }
    }
}
