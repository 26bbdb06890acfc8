//! Any body under any `Content-Type`: read where both say JSON and the body is the one that is expected,
//! and refused with a reason otherwise; never this service's fault.
//! `scripts/soak/fuzz 60 common`.

#![no_main]

use std::cell::OnceCell;

use axum::{
    body::Body,
    extract::{FromRequest as _, Request},
};
use http::{HeaderValue, header};
use lakehouse_common::extract::Json;
use lakehouse_types::{ErrorKind, vector::SearchRequest};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let (content_type, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&b"application/json"[..], data),
    };
    let Ok(content_type) = HeaderValue::from_bytes(content_type) else { return };
    let mut request = Request::new(Body::from(body.to_vec()));
    request.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());

    let read = RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| Builder::new_current_thread().build().expect("a runtime"));
        runtime.block_on(Json::<SearchRequest>::from_request(request, &()))
    });
    let plain = serde_json::from_slice::<SearchRequest>(body);
    match read {
        Ok(Json(read)) => assert_eq!(format!("{read:?}"), format!("{:?}", plain.expect("the same"))),
        Err(error) => match error.kind() {
            ErrorKind::UnsupportedMediaType => assert!(content_type != "application/json"),
            kind => {
                assert_eq!(kind, ErrorKind::InvalidInput);
                assert!(plain.is_err(), "{:?}", String::from_utf8_lossy(body));
            }
        },
    }
});
