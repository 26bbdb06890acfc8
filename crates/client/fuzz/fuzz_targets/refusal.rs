//! Any error answer: it becomes a kind, a text and a pause that the caller can be given, and a pause of any
//! length ends the call or is waited for.
//!
//! The first two bytes are the status; `Retry-After` ends at the first line break, and the body follows.
//! `scripts/soak/fuzz 60 client`.

#![no_main]

use http::{HeaderValue, StatusCode};
use lakehouse_client::{ClientOptions, Error, fuzzing};
use lakehouse_types::{ErrorKind, Problem, ServiceError as _};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [a, b, rest @ ..] = data else { return };
    let Ok(status) = StatusCode::from_u16(100 + u16::from_be_bytes([*a, *b]) % 900) else { return };
    let (retry_after, body) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => (HeaderValue::from_bytes(&rest[..end]).ok(), &rest[end + 1..]),
        None => (None, rest),
    };
    let (error, pause) = fuzzing::refusal(status, retry_after.as_ref(), body);

    assert!(pause.is_none_or(|pause| pause <= ClientOptions::default().retry_window), "{pause:?}");
    assert!(!error.to_string().is_empty());
    let passed_on = error.kind();
    if passed_on == ErrorKind::BadGateway {
        // Another service's own fault: its words stay in the log.
        assert!(error.extensions().is_empty() && error.detail().ends_with("the log has it under this request id"));
    }
    assert_eq!(error.retry_after().is_some(), passed_on == ErrorKind::Unavailable);
    match &error {
        Error::Credentials { .. } => assert!(matches!(status.as_u16(), 401 | 403)),
        Error::Refused { kind, problem, .. } => {
            assert_eq!(problem.status, status.as_u16());
            let said = serde_json::from_slice::<Problem>(body).ok().map(|problem| problem.kind);
            let known = said.and_then(|said| {
                ErrorKind::ALL.into_iter().find(|kind| said == format!("urn:lakehouse:{}", kind.slug()))
            });
            assert!(known.is_none_or(|known| known == *kind), "{kind:?} for {known:?}");
        }
        other => panic!("{other:?}"),
    }
});
