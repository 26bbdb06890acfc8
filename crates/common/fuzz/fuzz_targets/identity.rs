//! Any `X-Request-Id` and `traceparent`: a sane one is taken as it is, any other is as if it were not
//! there, and what goes on from here is well-formed.
//! `scripts/soak/fuzz 60 common`.

#![no_main]

use http::{HeaderMap, HeaderValue};
use lakehouse_common::check_identity;
use libfuzzer_sys::fuzz_target;

fn is_sane(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte))
}

/// W3C's version 00: `00-<32>-<16>-<2>` in lower-case hex, neither the trace nor the parent all zeros.
fn is_trace(text: &[u8]) -> bool {
    let fields = || text.split(|byte| *byte == b'-');
    fields().map(<[u8]>::len).eq([2, 32, 16, 2])
        && text.starts_with(b"00-")
        && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
        && fields().skip(1).take(2).all(|field| field.iter().any(|digit| *digit != b'0'))
}

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut lines = data.splitn(2, |byte| *byte == b'\n').map(|line| HeaderValue::from_bytes(line).ok());
    let (id, trace) = (lines.next().flatten(), lines.next().flatten());
    for (name, value) in [("x-request-id", &id), ("traceparent", &trace)] {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    let identity = check_identity(&headers);

    match id.as_ref().map(HeaderValue::as_bytes).filter(|id| is_sane(id)) {
        Some(id) => assert_eq!(identity.request_id.as_bytes(), id),
        None => assert_eq!(identity.request_id.len(), 36, "{id:?}"),
    }
    assert!(HeaderValue::from_str(&identity.request_id).is_ok());

    let trace = trace.as_ref().map(HeaderValue::as_bytes).filter(|trace| is_trace(trace));
    assert_eq!(identity.traceparent.is_some(), trace.is_some(), "{trace:?}");
    if let (Some(parent), Some(child)) = (trace, &identity.traceparent) {
        assert!(is_trace(child.as_bytes()), "{child}");
        // The same trace and flags under a span of its own.
        assert_eq!((&child.as_bytes()[..36], &child.as_bytes()[52..]), (&parent[..36], &parent[52..]));
    }
});
