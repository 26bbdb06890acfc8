use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use lakehouse_objstore::{
    ByteRange, ByteStream, Condition, Error as StoreError, GetOptions, Object, ObjectMeta, ObjectStore, PutOptions,
    PutOutcome,
};
use lakehouse_types::{ErrorKind, ObjectKey, store::ListPage};
use reqwest::{RequestBuilder, Response};
use url::Url;

use crate::{
    ClientOptions, Error,
    body::{Upload, download},
    retry::{Failure, Fate, Repeat},
    transport::Http,
};

const SERVICE: &str = "storaged";
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-content-sha256");

/// A body up to this size is read into memory first, so that it can be sent again.
const REPLAYABLE: usize = 256 << 10;

/// storaged, as an [`ObjectStore`]. Cheap to clone; the clones share one pool of connections.
///
/// Reads, deletes and listings are repeated when a connection breaks or the service is busy. A
/// write is repeated freely only if its body is small and it has no condition: a conditional one
/// that was carried out without the answer coming through would meet itself. What its caller
/// makes of an unknown outcome, the caller must decide.
#[derive(Debug, Clone)]
pub struct StoreClient {
    http: Http,
}

impl StoreClient {
    /// A client of the storaged under `base`, which may have a path (a gateway's `/v1`).
    ///
    /// # Errors
    /// [`Error::Options`] where `base` is no http or https URL, or the token no header value.
    pub fn new(base: impl AsRef<str>, options: ClientOptions) -> Result<Self, Error> {
        Ok(Self { http: Http::new(SERVICE, base.as_ref(), options)? })
    }

    /// The same, as what the domain crates take.
    #[must_use]
    pub fn into_store(self) -> Arc<dyn ObjectStore> {
        Arc::new(self)
    }

    fn object_url(&self, key: &ObjectKey) -> Url {
        self.http.url(&format!("/storage/objects/{}", key.to_url_path()), &[])
    }

    fn put_request(&self, url: &Url, options: &PutOptions) -> RequestBuilder {
        let request = self.http.request(Method::PUT, url);
        let request = match &options.condition {
            Condition::None => request,
            Condition::IfAbsent => request.header(header::IF_NONE_MATCH, "*"),
            Condition::IfMatch(etag) => request.header(header::IF_MATCH, quoted(etag)),
        };
        match &options.sha256 {
            Some(sha256) => request.header(CONTENT_SHA256, sha256),
            None => request,
        }
    }

    /// A body in memory: repeated as far as its condition allows.
    async fn put_bytes(&self, url: &Url, body: Bytes, options: &PutOptions) -> Result<PutOutcome, Error> {
        if let Some(size) = options.size.filter(|size| *size != body.len() as u64) {
            let text = format!("it has {} bytes, not {size}", body.len());
            return Err(Error::Body(std::io::Error::new(std::io::ErrorKind::InvalidData, text)));
        }
        let size = body.len() as u64;
        let repeat = if options.condition == Condition::None { Repeat::Always } else { Repeat::IfUnsent };
        let attempt = async |_doubtful| {
            let response = self.http.send(self.put_request(url, options).body(body.clone())).await?;
            self.outcome(response, size).await
        };
        self.http.call(repeat, attempt).await
    }

    /// A body of any length: repeated only while not a byte of it was taken.
    async fn put_stream(&self, url: &Url, source: ByteStream, options: &PutOptions) -> Result<PutOutcome, Error> {
        let upload = Upload::new(source, options.size);
        let attempt = async |_doubtful| {
            let mut request = self.put_request(url, options).body(upload.body());
            if let Some(size) = options.size {
                request = request.header(header::CONTENT_LENGTH, size);
            }
            let response = self.http.send_upload(request, &upload, self.http.options().commit_timeout).await?;
            self.outcome(response, upload.sent()).await
        };
        self.http.call(Repeat::IfUnsent, attempt).await
    }

    async fn outcome(&self, response: Response, size: u64) -> Result<PutOutcome, Failure> {
        let created = response.status() == StatusCode::CREATED;
        let etag = etag(response.headers()).ok_or_else(|| nonsense("the answer to a PUT has no ETag"))?;
        // Read to its end, or the connection could not be used again.
        self.http.read_body(response, REPLAYABLE).await?;
        Ok(PutOutcome { etag, created, size })
    }

    async fn open(&self, key: &ObjectKey, options: &GetOptions) -> Result<Response, Error> {
        let url = self.object_url(key);
        let range = options.range.map(range_header);
        let known: Vec<String> = options.if_none_match.iter().map(|etag| quoted(etag)).collect();
        let attempt = async |_doubtful| {
            let mut request = self.http.request(Method::GET, &url);
            if let Some(range) = &range {
                request = request.header(header::RANGE, range);
            }
            if !known.is_empty() {
                request = request.header(header::IF_NONE_MATCH, known.join(", "));
            }
            self.http.send(request).await
        };
        self.http.call(Repeat::Always, attempt).await
    }
}

#[async_trait]
impl ObjectStore for StoreClient {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: PutOptions) -> Result<PutOutcome, StoreError> {
        let url = self.object_url(key);
        let put = match gather(body, options.size).await? {
            Gathered::Whole(bytes) => self.put_bytes(&url, bytes, &options).await,
            Gathered::Stream(stream) => self.put_stream(&url, stream, &options).await,
        };
        put.map_err(|error| put_error(error, key, &options))
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, StoreError> {
        let response = self.open(key, &options).await.map_err(|error| read_error(error, key, "read object"))?;
        if response.status() == StatusCode::NOT_MODIFIED {
            let etag = etag(response.headers()).unwrap_or_default();
            return Err(StoreError::NotModified { key: key.to_string(), etag });
        }
        let (range, size) = extent(&response, options.range.is_some()).map_err(|error| other(error, "read object"))?;
        let meta = meta(key, response.headers(), size).map_err(|error| other(error, "read object"))?;
        Ok(Object { meta, range, body: download(response, self.http.options().idle_timeout) })
    }

    async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, StoreError> {
        let url = self.object_url(key);
        let attempt = async |_doubtful| self.http.send(self.http.request(Method::HEAD, &url)).await;
        let head = self.http.call(Repeat::Always, attempt).await;
        let head = head.map_err(|error| read_error(error, key, "look up object"))?;
        let size = content_length(head.headers()).ok_or_else(|| no_length("HEAD"));
        let meta = size.and_then(|size| meta(key, head.headers(), size));
        meta.map_err(|error| other(error, "look up object"))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        let url = self.object_url(key);
        let attempt = async |_doubtful| {
            let response = self.http.send(self.http.request(Method::DELETE, &url)).await?;
            self.http.read_body(response, REPLAYABLE).await
        };
        match self.http.call(Repeat::Always, attempt).await {
            Ok(_) => Ok(()),
            // The contract is 204 in either case; where it was absent, it is absent.
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(other(error, "delete object")),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        let limit = limit.to_string();
        let mut query = vec![("prefix", prefix), ("limit", limit.as_str())];
        query.extend(after.map(|after| ("after", after)));
        let url = self.http.url("/storage/objects", &query);
        let attempt = async |_doubtful| {
            let response = self.http.send(self.http.request(Method::GET, &url)).await?;
            self.http.read_json(response).await
        };
        self.http.call(Repeat::Always, attempt).await.map_err(|error| other(error, "list objects"))
    }

    /// Lists at most one object: that takes the token and the right base URL, unlike /livez.
    async fn check(&self) -> Result<(), StoreError> {
        self.list("", None, 1).await.map(|_| ())
    }
}

enum Gathered {
    Whole(Bytes),
    Stream(ByteStream),
}

/// Reads the body's beginning; what ends within [`REPLAYABLE`] bytes can be sent again.
async fn gather(mut body: ByteStream, size: Option<u64>) -> Result<Gathered, StoreError> {
    if size.is_some_and(|size| size > REPLAYABLE as u64) {
        return Ok(Gathered::Stream(body));
    }
    let (mut pieces, mut length) = (Vec::new(), 0);
    while let Some(piece) = body.try_next().await.map_err(StoreError::Body)? {
        length += piece.len();
        pieces.push(piece);
        if length > REPLAYABLE {
            let begin = futures::stream::iter(pieces.into_iter().map(Ok));
            return Ok(Gathered::Stream(begin.chain(body).boxed()));
        }
    }
    let whole = match pieces.as_slice() {
        [only] => only.clone(),
        several => several.iter().fold(BytesMut::with_capacity(length), joined).freeze(),
    };
    Ok(Gathered::Whole(whole))
}

fn joined(mut all: BytesMut, piece: &Bytes) -> BytesMut {
    all.extend_from_slice(piece);
    all
}

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::From(start) => format!("bytes={start}-"),
        ByteRange::Inclusive(start, end) => format!("bytes={start}-{end}"),
        ByteRange::Last(count) => format!("bytes=-{count}"),
    }
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

pub(crate) fn etag(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::ETAG)?.to_str().ok()?;
    let strong = text.strip_prefix("W/").unwrap_or(text);
    strong.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn no_length(method: &str) -> Error {
    Error::nonsense(SERVICE, format!("the answer to a {method} has no Content-Length"))
}

/// Which bytes the answer holds, and of how many.
fn extent(response: &Response, part: bool) -> Result<(std::ops::Range<u64>, u64), Error> {
    match (response.status(), part) {
        (StatusCode::OK, false) => {
            let size = content_length(response.headers()).ok_or_else(|| no_length("GET"))?;
            Ok((0..size, size))
        }
        (StatusCode::PARTIAL_CONTENT, true) => {
            let value = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let found = value.and_then(content_range);
            found.ok_or_else(|| Error::nonsense(SERVICE, format!("Content-Range is {value:?}")))
        }
        (status, part) => {
            let asked = if part { "a part of an object" } else { "a whole object" };
            Err(Error::nonsense(SERVICE, format!("it answered {status} when asked for {asked}")))
        }
    }
}

/// `bytes 2-5/10` means 2..6 of 10.
pub(crate) fn content_range(value: &str) -> Option<(std::ops::Range<u64>, u64)> {
    let (range, size) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end, size) = (start.parse::<u64>().ok()?, end.parse::<u64>().ok()?, size.parse::<u64>().ok()?);
    (start <= end && end < size).then(|| (start..end + 1, size))
}

/// An object without a date is refused: a sweep that took it for ancient would remove it.
fn meta(key: &ObjectKey, headers: &HeaderMap, size: u64) -> Result<ObjectMeta, Error> {
    let etag = etag(headers).ok_or_else(|| Error::nonsense(SERVICE, "the object has no ETag"))?;
    let date = headers.get(header::LAST_MODIFIED).and_then(|value| value.to_str().ok());
    let modified: Option<SystemTime> = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let modified = modified.ok_or_else(|| Error::nonsense(SERVICE, "the object has no Last-Modified"))?;
    Ok(ObjectMeta { key: key.clone(), size, etag, modified })
}

fn nonsense(reason: &str) -> Failure {
    Failure { error: Error::nonsense(SERVICE, reason), fate: Fate::Final }
}

fn put_error(error: Error, key: &ObjectKey, options: &PutOptions) -> StoreError {
    let Error::Refused { kind, problem, .. } = &error else { return other(error, "write object") };
    let member = |name: &str| problem.extensions.get(name);
    match kind {
        ErrorKind::PreconditionFailed => StoreError::PreconditionFailed { key: key.to_string() },
        ErrorKind::TooLarge => {
            StoreError::TooLarge { limit: member("limit").and_then(serde_json::Value::as_u64).unwrap_or_default() }
        }
        ErrorKind::InvalidInput => {
            match (&options.sha256, member("actual_sha256").and_then(serde_json::Value::as_str)) {
                (Some(expected), Some(actual)) => {
                    StoreError::ChecksumMismatch { expected: expected.clone(), actual: actual.to_owned() }
                }
                _ => other(error, "write object"),
            }
        }
        _ => other(error, "write object"),
    }
}

fn read_error(error: Error, key: &ObjectKey, action: &'static str) -> StoreError {
    match &error {
        Error::Refused { kind: ErrorKind::NotFound, .. } => StoreError::NotFound { key: key.to_string() },
        Error::Refused { kind: ErrorKind::RangeNotSatisfiable, problem, .. } => {
            let size = problem.extensions.get("size").and_then(serde_json::Value::as_u64);
            StoreError::InvalidRange { size: size.unwrap_or_default() }
        }
        _ => other(error, action),
    }
}

/// Everything that is not about the object.
fn other(error: Error, action: &'static str) -> StoreError {
    match error {
        Error::Unreachable { .. } => StoreError::Unavailable { reason: error.to_string(), retry_after: None },
        Error::Refused { kind: ErrorKind::Unavailable, retry_after, .. } => {
            StoreError::Unavailable { reason: error.to_string(), retry_after }
        }
        Error::Timeout { .. } | Error::Refused { kind: ErrorKind::Timeout | ErrorKind::RequestTimeout, .. } => {
            StoreError::Timeout
        }
        Error::Body(cause) => StoreError::Body(cause),
        error => StoreError::backend(action, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_is_read_strictly() {
        assert_eq!(content_range("bytes 2-5/10"), Some((2..6, 10)));
        for bad in ["bytes 5-2/10", "bytes 2-10/10", "bytes */10", "2-5/10", "bytes 2-5/*", "bytes 2-5"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_etag_loses_its_quotes_only() {
        let read =
            |text: &'static str| etag(&HeaderMap::from_iter([(header::ETAG, http::HeaderValue::from_static(text))]));
        assert_eq!(read("\"a-1\"").as_deref(), Some("a-1"));
        assert_eq!(read("W/\"a\"").as_deref(), Some("a"));
        assert_eq!(read("a"), None);
    }

    #[tokio::test]
    async fn a_small_body_is_gathered_and_a_large_one_keeps_its_beginning() {
        let pieces = |count: usize| {
            futures::stream::iter((0..count).map(|i| Ok(Bytes::from(vec![u8::try_from(i).unwrap(); 1 << 10])))).boxed()
        };
        assert!(matches!(gather(pieces(3), None).await, Ok(Gathered::Whole(bytes)) if bytes.len() == 3 << 10));
        assert!(matches!(gather(pieces(0), None).await, Ok(Gathered::Whole(bytes)) if bytes.is_empty()));
        assert!(matches!(gather(pieces(1), Some(u64::MAX)).await, Ok(Gathered::Stream(_))));
        let large = pieces(250).chain(pieces(250)).boxed();
        let Ok(Gathered::Stream(stream)) = gather(large, None).await else { panic!("it is not small") };
        let bytes = lakehouse_objstore::collect(stream, 1 << 20).await.unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[(249 << 10) + 5], bytes[250 << 10]), (500 << 10, 0, 249, 0));
    }
}
