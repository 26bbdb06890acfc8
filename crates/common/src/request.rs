//! What happens to every request around its handler.
//!
//! One flat stack, from the outside in: identity (so that everything below can be found again),
//! panics (so that they become an answer with that identity), metrics and the log line (so that
//! refusals count as well), authorization, the bound on concurrency (so that callers who may not
//! call can't fill it), and then the routes.

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use lakehouse_types::{
    ErrorKind,
    context::{self, RequestContext},
};
use tracing::Instrument as _;

use crate::{ApiError, Auth, Metrics, auth::TrustedPeer};

/// The header under which a request's id comes in and goes out.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// An id longer than this is not a sane one; ours have 36 characters.
const MAX_REQUEST_ID: usize = 128;

/// The paths that need no token.
const PUBLIC: [&str; 3] = ["/health", "/livez", "/readyz"];

/// What the stack needs; one for the service.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    pub(crate) service: &'static str,
    pub(crate) auth: Auth,
    pub(crate) metrics: Metrics,
    pub(crate) running: Arc<AtomicUsize>,
    pub(crate) max_running: usize,
}

/// The outermost layer: gives the request its identity, and makes it the current one.
pub(crate) async fn identify(State(stack): State<Stack>, request: Request, next: Next) -> Response {
    let context = Arc::new(identity(request.headers()));
    let id = context.request_id.clone();
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let answer = observe(stack, request, next).instrument(span);
    let mut response = context::scope(context, answer).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Panics, metrics, the log line.
async fn observe(stack: Stack, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let _in_flight = stack.metrics.request_started();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let metrics = stack.metrics.clone();
    let service = stack.service;
    // The panic hook has logged it; nothing of the request outlives this await, so no broken
    // state can be seen through the unwind boundary.
    let response = match AssertUnwindSafe(authorize(stack, request, next)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => ApiError::new(ErrorKind::Internal, "an internal error; the log has it under this request id")
            .into_response(),
    };
    let took = started.elapsed();
    let status = response.status().as_u16();
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str);
    metrics.request_done(route, &method, status, took);
    tracing::debug!(service, status, millis = took.as_secs_f64() * 1e3, "answered");
    response
}

/// Authorization and the bound on concurrency.
async fn authorize(stack: Stack, mut request: Request, next: Next) -> Response {
    let peer =
        request.extensions().get::<PeerAddr>().map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
    let (client, trusted): (_, TrustedPeer) = stack.auth.client_address(peer, request.headers());
    let public = PUBLIC.contains(&request.uri().path());
    if !public && let Err(refusal) = stack.auth.check(client, request.headers()) {
        return refusal.into_response();
    }
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(trusted);
    let Some(_place) = Place::take(&stack.running, stack.max_running, public) else {
        return ApiError::new(ErrorKind::Unavailable, "too many requests at once").into_response();
    };
    next.run(request).await
}

/// The address at the other end of the connection; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddr(pub(crate) SocketAddr);

/// One of the places for requests; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    /// Health is asked for exactly when a service is overloaded, so it is never refused.
    fn take(running: &Arc<AtomicUsize>, max: usize, always: bool) -> Option<Self> {
        let place = Self(Arc::clone(running));
        let before = running.fetch_add(1, Ordering::Relaxed);
        (always || before < max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes the caller's request id and trace where they are well-formed, else makes an id.
fn identity(headers: &HeaderMap) -> RequestContext {
    let sane = |id: &&str| {
        !id.is_empty()
            && id.len() <= MAX_REQUEST_ID
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:+/=".contains(&b))
    };
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    let request_id = given.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let traceparent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(child_trace);
    RequestContext { request_id, traceparent }
}

/// What a request with these headers is known by: for the fuzz target.
#[doc(hidden)]
#[must_use]
pub fn check_identity(headers: &HeaderMap) -> RequestContext {
    identity(headers)
}

/// The caller's `traceparent` with a parent id of our own in it: `00-<32 hex>-<16 hex>-<2 hex>`.
/// `None` where it is malformed: W3C says to start anew then, and we start no traces of our own.
fn child_trace(parent: &str) -> Option<String> {
    let lower_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let mut parts = parent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let well_formed = version == "00"
        && parts.next().is_none()
        && lower_hex(trace, 32)
        && lower_hex(span, 16)
        && lower_hex(flags, 2)
        && trace.bytes().any(|b| b != b'0')
        && span.bytes().any(|b| b != b'0');
    let own = uuid::Uuid::new_v4().as_u64_pair().0 | 1;
    well_formed.then(|| format!("00-{trace}-{own:016x}-{flags}"))
}

/// What is answered where no route matches.
pub(crate) async fn not_found() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "there is no such path here")
}

/// What is answered where a route matches but not its method. axum adds `Allow`.
pub(crate) async fn method_not_allowed() -> ApiError {
    ApiError::new(ErrorKind::MethodNotAllowed, "this path does not take that method")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn a_sane_request_id_is_kept_and_another_replaced() {
        assert_eq!(identity(&with("x-request-id", "abc-1:2")).request_id, "abc-1:2");
        for insane in ["", "a b", "a\tb", "<script>"] {
            let id = identity(&with("x-request-id", insane)).request_id;
            assert_eq!(id.len(), 36, "{insane:?} gave {id}");
        }
        let long = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(&"a".repeat(129)).unwrap())]);
        assert_eq!(identity(&long).request_id.len(), 36);
    }

    #[test]
    fn a_trace_goes_on_under_a_span_of_our_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let child = child_trace(parent).unwrap();
        assert!(child.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && child.ends_with("-01"));
        assert_eq!(child.len(), parent.len());
        assert_ne!(child, parent);
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(child_trace(bad), None, "{bad}");
        }
    }

    #[test]
    fn places_run_out_and_come_back() {
        let running = Arc::new(AtomicUsize::new(0));
        let first = Place::take(&running, 1, false);
        assert!(first.is_some());
        assert!(Place::take(&running, 1, false).is_none());
        assert!(Place::take(&running, 1, true).is_some());
        drop(first);
        assert!(Place::take(&running, 1, false).is_some());
        assert_eq!(running.load(Ordering::Relaxed), 0);
    }
}
