//! Any `Accept`: the format that the caller likes best by a plain reading, or a refusal where it likes none.
//!
//! The module is queryd's own, read from its folder: a program has no door to it.
//! `scripts/soak/fuzz 60 query`.

#![no_main]

use http::{HeaderMap, HeaderValue, header};
use lakehouse_query::Format;
use lakehouse_types::ErrorKind;
use libfuzzer_sys::fuzz_target;

#[path = "../../../../bins/queryd/src/accept.rs"]
mod accept;

const NAMES: [(&str, Format); 6] = [
    ("application/json", Format::Json),
    ("application/x-ndjson", Format::NdJson),
    ("application/ndjson", Format::NdJson),
    ("application/jsonl", Format::NdJson),
    ("text/csv", Format::Csv),
    ("application/vnd.apache.arrow.stream", Format::Arrow),
];

/// A range and how much it is liked; `None` for what is none.
fn range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let weight = weight.map_or(Some(1.0), |(_, weight)| weight.trim().parse().ok());
    let weight = weight.filter(|weight| (0.0..=1.0).contains(weight))?;
    name.contains('/').then_some((name, weight))
}

/// How much a format is liked, in thousandths: what the nearest of the ranges says.
fn liking(format: Format, ranges: &[(String, f32)]) -> u16 {
    let names = || NAMES.iter().filter(move |(_, other)| *other == format).map(|(name, _)| *name);
    let said = |matches: &dyn Fn(&str) -> bool| {
        let weights = ranges.iter().filter(|(range, _)| matches(range)).map(|(_, weight)| (weight * 1e3) as u16);
        weights.max()
    };
    let by_kind =
        |range: &str| names().any(|name| name.split_once('/').is_some_and(|(kind, _)| range == format!("{kind}/*")));
    said(&|range| names().any(|name| name == range))
        .or_else(|| said(&by_kind))
        .or_else(|| said(&|it| it == "*/*"))
        .unwrap_or(0)
}

fuzz_target!(|data: &[u8]| {
    let lines: Vec<HeaderValue> =
        data.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let headers: HeaderMap = lines.iter().map(|line| (header::ACCEPT, line.clone())).collect();
    let ranges: Vec<(String, f32)> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(range)
        .collect();
    match accept::format(&headers) {
        Ok(format) if ranges.is_empty() => assert_eq!(format, Format::Json),
        Ok(format) => {
            let best = Format::ALL.into_iter().map(|format| liking(format, &ranges)).max();
            assert_eq!(Some(liking(format, &ranges)), best, "{lines:?}");
            assert!(best > Some(0), "{lines:?}");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(
                !ranges.is_empty() && Format::ALL.into_iter().all(|format| liking(format, &ranges) == 0),
                "{lines:?}"
            );
        }
    }
});
