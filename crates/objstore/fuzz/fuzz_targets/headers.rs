//! Any `Range`, `If-Match`, `If-None-Match`, `If-Range` and checksum: read as HTTP has them, by plainer
//! words, and a range never leaves its object.
//!
//! The modules are storaged's own, read from its folder: a program has no door to them.
//! `scripts/soak/fuzz 60 objstore`.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, header};
use lakehouse_objstore::ByteRange;
use lakehouse_types::ErrorKind;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "storaged uses all of it")]
#[path = "../../../../bins/storaged/src/conditions.rs"]
mod conditions;
#[path = "../../../../bins/storaged/src/digest.rs"]
mod digest;
#[path = "../../../../bins/storaged/src/range.rs"]
mod range;

use conditions::Tags;

const NAMES: [HeaderName; 6] = [
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    HeaderName::from_static("x-content-sha256"),
    HeaderName::from_static("content-digest"),
];

/// A number beyond 64 bits is past every end, and so is the largest one.
fn plain_number(text: &str) -> Option<u128> {
    let digits = text.trim();
    let significant = digits.trim_start_matches('0');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| if significant.len() > 20 { u128::MAX } else { significant.parse().unwrap_or(0) })
}

/// The first byte and the one behind the last; `None` where the header asks for everything.
fn plain_range(value: &str, size: u64) -> Option<Result<std::ops::Range<u128>, ()>> {
    let (unit, rest) = value.split_once('=')?;
    let (first, last) = rest.split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let size = u128::from(size);
    let asked = match (plain_number(first), plain_number(last)) {
        (Some(first), Some(last)) if first.min(u64::MAX.into()) <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.trim().is_empty() => first..size,
        (None, Some(count)) if first.trim().is_empty() => size.saturating_sub(count)..size,
        _ => return None,
    };
    Some(if asked.is_empty() { Err(()) } else { Ok(asked) })
}

fn check_range(headers: &HeaderMap, value: &HeaderValue) {
    let read = range::of(headers);
    for size in [0, 1, 10, 1 << 40, u64::MAX] {
        let resolved = read.map(|range: ByteRange| range.resolve(size).map_err(drop));
        if let Some(Ok(range)) = &resolved {
            assert!(range.start < range.end && range.end <= size, "{range:?} of {size}");
        }
        let wide = resolved.map(|it| it.map(|range| range.start.into()..range.end.into()));
        let plain = value.to_str().ok().and_then(|value| plain_range(value, size));
        assert_eq!(wide, plain, "{value:?} of {size}");
    }
}

/// Written again, a list reads as the same.
fn check_tags(headers: &HeaderMap, name: &HeaderName) {
    let tags = match Tags::of(headers, name) {
        Ok(tags) => tags.expect("the header is there"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            return;
        }
    };
    let Tags::List(list) = &tags else { return };
    let written: Vec<String> =
        list.iter().map(|(tag, weak)| format!("{}\"{tag}\"", if *weak { "W/" } else { "" })).collect();
    let value = HeaderValue::from_str(&written.join(", ")).expect("it was in a header");
    let again = Tags::of(&HeaderMap::from_iter([(name.clone(), value)]), name);
    assert_eq!(again.ok().flatten().as_ref(), Some(&tags));
    assert_eq!(tags.weak().len(), list.len());
    for (tag, weak) in list {
        assert!(!tag.contains('"') && tags.weak().contains(tag));
        let has_strong = list.contains(&(tag.clone(), false));
        assert_eq!(tags.matches_strongly(tag), has_strong, "{tag} {weak}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, value)) = data.split_first() else { return };
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let name = &NAMES[usize::from(*choice) % NAMES.len()];
    let headers = HeaderMap::from_iter([(name.clone(), value.clone())]);
    if *name == header::RANGE {
        check_range(&headers, &value);
    } else if *name == header::IF_RANGE {
        let tag = value.as_bytes().trim_ascii();
        assert_eq!(range::may_be_served(&headers, "a,b"), tag == b"\"a,b\"", "{value:?}");
    } else if *name == header::IF_MATCH || *name == header::IF_NONE_MATCH {
        check_tags(&headers, name);
    } else {
        match digest::of(&headers) {
            Ok(digest) => {
                let is_hex = |text: String| {
                    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                };
                assert!(digest.is_none_or(is_hex), "{value:?}");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
        }
    }
});
