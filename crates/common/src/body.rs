//! Bodies that stand still, and what is left of one that was refused.
//!
//! A connection that is closed with bytes unread is reset, and a caller that is still sending may
//! never see why it was refused. So after an error the rest is read for a while, to nowhere.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use bytes::{Buf, Bytes};
use http::header;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tower_http::timeout::TimeoutBody;

/// A caller with more than this, or slower than this, is cut off after all.
const MOST_BYTES: usize = 16 << 20;
const LONGEST: Duration = Duration::from_secs(5);

/// Gives up on a body that stands still for `limit`, and reads on after a refusal. Wants to be the
/// innermost layer: only a route reads a body.
pub(crate) async fn limited(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    // Most requests have none, and should not pay for it.
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Who waits for a word before it sends has sent nothing yet, and is to be told before it does.
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    // Inside the timeout, so that a body which stands still is not waited for here either.
    let body = Body::new(TimeoutBody::new(limit, body));
    let shared = Shared { body: Arc::new(Mutex::new(body)), touched: Arc::default() };
    let rest = shared.clone();
    let response = next.run(Request::from_parts(parts, Body::new(shared))).await;
    let untouched = waits && !rest.touched.load(Ordering::Relaxed);
    if response.status().as_u16() >= 400 && !untouched && !rest.is_end_stream() {
        // Over the time or over the bytes: the answer goes out all the same.
        let _ = tokio::time::timeout(LONGEST, read_on(rest)).await;
    }
    response
}

async fn read_on(mut rest: Shared) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = rest.frame().await {
        bytes += frame.data_ref().map_or(0, Buf::remaining);
        if bytes > MOST_BYTES {
            return;
        }
    }
}

/// A body with two handles: the handler's, and the one that reads what it left.
#[derive(Clone)]
struct Shared {
    body: Arc<Mutex<Body>>,
    touched: Arc<AtomicBool>,
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.touched.store(true, Ordering::Relaxed);
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
