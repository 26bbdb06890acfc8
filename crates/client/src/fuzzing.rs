//! What the fuzz targets need of the inside.

use std::{ops::Range, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::{
    ClientOptions, Error,
    retry::{Attempts, Failure, Fate, Repeat},
    store, transport,
};

/// What an error answer becomes, and how long a call would wait before it tries again.
#[must_use]
pub fn refusal(status: StatusCode, retry_after: Option<&HeaderValue>, body: &[u8]) -> (Error, Option<Duration>) {
    let retry_after = retry_after.and_then(transport::parse_retry_after);
    let failure = Failure { error: Error::from_answer("service", status, body, retry_after), fate: Fate::Refused };
    let pause = Attempts::new(Repeat::Always, &ClientOptions::default()).pause(&failure, Instant::now());
    (failure.error, pause)
}

/// The bytes that a `Content-Range` says the answer holds, and of how many.
#[must_use]
pub fn content_range(value: &str) -> Option<(Range<u64>, u64)> {
    store::content_range(value)
}

/// An answer's entity tag, without quotes.
#[must_use]
pub fn etag(headers: &HeaderMap) -> Option<String> {
    store::etag(headers)
}
