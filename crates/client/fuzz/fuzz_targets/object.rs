//! Any headers as those of an object's bytes: what is taken for a part of an object lies in it, and nothing
//! else is taken.
//!
//! `Content-Range` stands on the first line, `ETag` on the second.
//! `scripts/soak/fuzz 60 client`.

#![no_main]

use http::{HeaderMap, HeaderValue, header};
use lakehouse_client::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (range, etag) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Ok(value) = std::str::from_utf8(range)
        && let Some((range, size)) = fuzzing::content_range(value)
    {
        assert!(range.start < range.end && range.end <= size, "{value:?}");
        let written = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        assert_eq!(fuzzing::content_range(&written), Some((range, size)));
    }
    let Ok(value) = HeaderValue::from_bytes(etag) else { return };
    let read = fuzzing::etag(&HeaderMap::from_iter([(header::ETAG, value.clone())]));
    if let Some(tag) = &read {
        // As it goes out in `If-Match`.
        let quoted = HeaderValue::from_str(&format!("\"{tag}\"")).expect("it came in a header");
        assert_eq!(fuzzing::etag(&HeaderMap::from_iter([(header::ETAG, quoted)])).as_ref(), Some(tag));
        assert!(value.as_bytes().ends_with(format!("\"{tag}\"").as_bytes()), "{value:?}");
    }
});
