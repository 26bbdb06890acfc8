use std::io;

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, RawQuery, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use lakehouse_common::{
    ApiError,
    extract::{Json, Path, Query},
};
use lakehouse_objstore::{ByteStream, Error, GetOptions, Object, ObjectMeta, PutOptions, PutOutcome};
use lakehouse_types::{ErrorKind, ObjectKey};
use percent_encoding::percent_decode_str;
use prometheus_client::metrics::counter::Counter;
use serde::Deserialize;

use crate::{
    AppState,
    conditions::{self, Tags},
    digest, incoming, range,
};

/// Objects on one page at most, and where nothing is said.
const PAGE: usize = 1_000;

/// storaged's own routes.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/storage/objects", get(list))
        // Not matched by the route below, whose key would be empty.
        .route("/storage/objects/", any(empty_key))
        .route("/storage/objects/{*key}", get(read).head(head).put(write).delete(delete))
        .with_state(state)
}

/// The key in the path, decoded once: an escaped slash is a slash, and `%252e` names a literal `%2e`.
struct Key(ObjectKey);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(key) = Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self(ObjectKey::new(key)?))
    }
}

async fn empty_key() -> ApiError {
    match ObjectKey::new("") {
        Err(error) => error.into(),
        Ok(_) => ApiError::new(ErrorKind::InvalidInput, "the key is empty"),
    }
}

async fn write(
    State(state): State<AppState>,
    Key(key): Key,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let outcome = put(&state, &key, &headers, body).await?;
    let status = if outcome.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [(header::ETAG, quoted(&outcome.etag)?)]).into_response())
}

async fn put(state: &AppState, key: &ObjectKey, headers: &HeaderMap, body: Body) -> Result<PutOutcome, ApiError> {
    refuse_what_would_be_lost(headers)?;
    let size = content_length(headers);
    let limit = state.max_object_bytes;
    if size.is_some_and(|size| size > limit) {
        return Ok(state.metrics.count("put", Err(Error::TooLarge { limit }))?);
    }
    let sha256 = digest::of(headers)?;
    let condition = conditions::of_write(headers, state.store.as_ref(), key).await?;
    let options = PutOptions { condition, sha256, size };
    let body = counted(incoming::up_to(limit, body), state.metrics.bytes_in.clone()).boxed();
    let written = state.store.put(key, body, options).await.map_err(incoming::explain);
    Ok(state.metrics.count("put", written)?)
}

/// Headers that change what a PUT means. To ignore them would store something else than was meant.
fn refuse_what_would_be_lost(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(ApiError::new(ErrorKind::InvalidInput, "an object is written whole: `Content-Range` is not taken"));
    }
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        let text = "an object is stored as it is sent, and nothing else about it: `Content-Encoding` is not taken";
        return Err(ApiError::new(ErrorKind::UnsupportedMediaType, text));
    }
    Ok(())
}

/// hyper has checked it already: a body with this header has this length.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(State(state): State<AppState>, Key(key): Key, headers: HeaderMap) -> Result<Response, ApiError> {
    let if_none_match = Tags::of(&headers, &header::IF_NONE_MATCH)?;
    let if_match = Tags::of(&headers, &header::IF_MATCH)?;
    if if_none_match == Some(Tags::Any) {
        let meta = state.metrics.count("head", state.store.head(&key).await)?;
        return not_modified(&meta.etag);
    }
    let if_none_match = if_none_match.map(|tags| tags.weak()).unwrap_or_default();
    let asked = range::of(&headers);
    let options = GetOptions { range: asked, if_none_match: if_none_match.clone() };
    let mut found = state.metrics.count("get", state.store.get(&key, options).await);
    // The tag is known only now. Where the caller's part is of another version it gets this one whole.
    let misfit = |found: &Result<Object, Error>| match found {
        Ok(object) => asked.is_some() && !range::may_be_served(&headers, &object.meta.etag),
        Err(Error::InvalidRange { .. }) => headers.contains_key(header::IF_RANGE),
        Err(_) => false,
    };
    let whole = misfit(&found);
    if whole {
        let options = GetOptions { range: None, if_none_match };
        found = state.metrics.count("get", state.store.get(&key, options).await);
    }
    let object = match found {
        Ok(object) => object,
        Err(Error::NotModified { etag, .. }) => return not_modified(&etag),
        Err(error @ Error::InvalidRange { size }) => return Ok(unsatisfiable(error, size)),
        Err(error) => return Err(error.into()),
    };
    if if_match.is_some_and(|tags| !tags.matches_strongly(&object.meta.etag)) {
        return Err(Error::PreconditionFailed { key: key.to_string() }.into());
    }
    answer(&state, object, asked.is_some() && !whole)
}

async fn head(State(state): State<AppState>, Key(key): Key, headers: HeaderMap) -> Result<Response, ApiError> {
    let if_none_match = Tags::of(&headers, &header::IF_NONE_MATCH)?;
    let if_match = Tags::of(&headers, &header::IF_MATCH)?;
    let meta = state.metrics.count("head", state.store.head(&key).await)?;
    if if_match.is_some_and(|tags| !tags.matches_strongly(&meta.etag)) {
        return Err(Error::PreconditionFailed { key: key.to_string() }.into());
    }
    if if_none_match.is_some_and(|tags| tags == Tags::Any || tags.weak().contains(&meta.etag)) {
        return not_modified(&meta.etag);
    }
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &meta, meta.size)?;
    Ok(response)
}

async fn delete(State(state): State<AppState>, Key(key): Key, headers: HeaderMap) -> Result<StatusCode, ApiError> {
    if headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH) {
        let text = "a delete takes no conditions: not every store could decide them";
        return Err(ApiError::new(ErrorKind::InvalidInput, text));
    }
    state.metrics.count("delete", state.store.delete(&key).await)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(state): State<AppState>,
    RawQuery(raw): RawQuery,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    // The extractor would put U+FFFD for such bytes, and list what was not asked for.
    if percent_decode_str(&raw.unwrap_or_default()).decode_utf8().is_err() {
        return Err(ApiError::new(ErrorKind::InvalidInput, "the query is not UTF-8"));
    }
    let limit = query.limit.unwrap_or(PAGE).min(PAGE);
    let page = state.store.list(&query.prefix, query.after.as_deref(), limit).await;
    Ok(Json(state.metrics.count("list", page)?).into_response())
}

fn answer(state: &AppState, object: Object, part: bool) -> Result<Response, ApiError> {
    let Object { meta, range, body } = object;
    let mut response = Response::new(Body::from_stream(outgoing(body, state.metrics.bytes_out.clone())));
    describe(response.headers_mut(), &meta, range.end - range.start)?;
    if part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        // The range is not empty: an empty one is no range.
        let content_range = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), meta.size);
        response.headers_mut().insert(header::CONTENT_RANGE, header_value(&content_range)?);
    }
    Ok(response)
}

/// Logs why an answer that has begun breaks off: the caller only sees that it does.
fn outgoing(body: ByteStream, sent: Counter) -> impl Stream<Item = io::Result<Bytes>> {
    counted(body, sent).inspect_err(|error| tracing::error!(%error, "read object"))
}

fn counted(body: impl Stream<Item = io::Result<Bytes>>, bytes: Counter) -> impl Stream<Item = io::Result<Bytes>> {
    body.inspect_ok(move |piece| {
        bytes.inc_by(piece.len() as u64);
    })
}

fn describe(headers: &mut HeaderMap, meta: &ObjectMeta, length: u64) -> Result<(), ApiError> {
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ETAG, quoted(&meta.etag)?);
    headers.insert(header::LAST_MODIFIED, header_value(&httpdate::fmt_http_date(meta.modified))?);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Nothing is known of the content, and a browser must not guess.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // It can be overwritten at any moment; asking whether it was costs little.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(())
}

fn not_modified(etag: &str) -> Result<Response, ApiError> {
    Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, quoted(etag)?)]).into_response())
}

fn unsatisfiable(error: Error, size: u64) -> Response {
    let mut response = ApiError::from(error).into_response();
    if let Ok(value) = header_value(&format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

fn quoted(etag: &str) -> Result<HeaderValue, ApiError> {
    header_value(&format!("\"{etag}\""))
}

fn header_value(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text).map_err(|error| Error::backend("write header", error).into())
}
