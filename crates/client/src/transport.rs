//! What every client has in common: the pool, the headers, one attempt, and its repetition.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use lakehouse_types::context;
use reqwest::{RequestBuilder, Response};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{
    ClientOptions, Error,
    body::Upload,
    retry::{Attempts, Failure, Fate, Repeat},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Half of the time after which the services close an idle connection, so that this side gives
/// it up first: a request never meets a connection that is just being closed.
const POOL_IDLE: Duration = Duration::from_secs(15);
/// More idle connections to one service than this are closed; above it new ones cost little.
const POOL_SIZE: usize = 64;
/// An error answer is read up to here, so that its connection can be used again.
const MAX_ERROR_BODY: usize = 64 << 10;
/// The cap on an answer that is read into memory: a full list of a very large catalog.
const MAX_JSON_BODY: usize = 512 << 20;

/// The connection to one service.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    service: &'static str,
    base: Url,
    client: reqwest::Client,
    options: Arc<ClientOptions>,
}

impl Http {
    pub(crate) fn new(service: &'static str, base: &str, options: ClientOptions) -> Result<Self, Error> {
        let base = parse_base(service, base)?;
        let client = build_client(service, &base, &options)?;
        Ok(Self { service, base, client, options: Arc::new(options) })
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// The URL of `path` (which is escaped already and begins with `/`, or is empty) under the base.
    pub(crate) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// A request that carries the current request's id and trace.
    pub(crate) fn request(&self, method: Method, url: &Url) -> RequestBuilder {
        let request = self.client.request(method, url.clone());
        let Some(context) = context::current() else { return request };
        let mut headers = HeaderMap::new();
        if let Ok(id) = HeaderValue::from_str(&context.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(Ok(trace)) = context.traceparent.as_deref().map(HeaderValue::from_str) {
            headers.insert(TRACEPARENT, trace);
        }
        request.headers(headers)
    }

    /// Makes `attempt` until it succeeds, fails for good, or there may be no further one. It is
    /// told whether an earlier one may have been carried out.
    pub(crate) async fn call<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        repeat: Repeat,
        attempt: impl Fn(bool) -> F,
    ) -> Result<T, Error> {
        let mut attempts = Attempts::new(repeat, &self.options);
        loop {
            match attempt(attempts.doubtful()).await {
                Ok(value) => return Ok(value),
                Err(failure) => attempts.again(failure).await?,
            }
        }
    }

    /// Sends a request whose body, if any, is in memory; waits for the head of the answer. What is
    /// neither a success nor `304 Not Modified` is a failure.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let limit = self.options.timeout;
        match tokio::time::timeout(limit, request.send()).await {
            Ok(sent) => self.judge(sent).await,
            Err(_) => Err(self.timed_out(limit)),
        }
    }

    /// Sends a request whose body is `upload`; after its last piece the answer may take `commit`.
    pub(crate) async fn send_upload(
        &self,
        request: RequestBuilder,
        upload: &Upload,
        commit: Duration,
    ) -> Result<Response, Failure> {
        let sent = upload.watch(self.options.idle_timeout, commit, request.send()).await;
        if let Some(failure) = upload.take_failure() {
            return Err(Failure { error: Error::Body(failure), fate: Fate::Final });
        }
        let response = match sent {
            Ok(sent) => self.judge(sent).await,
            Err(limit) => Err(self.timed_out(limit)),
        };
        response.map_err(|mut failure| {
            if upload.begun() && failure.fate == Fate::Unsent {
                failure.fate = Fate::Unknown;
            }
            failure
        })
    }

    /// Sorts out what came of sending.
    async fn judge(&self, sent: Result<Response, reqwest::Error>) -> Result<Response, Failure> {
        let response = sent.map_err(|error| self.transport(error))?;
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(parse_retry_after);
        let size = response.headers().get(header::CONTENT_RANGE).and_then(unsatisfied_size);
        // The status stands even where the body can't be read.
        let body = self.read_body(response, MAX_ERROR_BODY).await.unwrap_or_default();
        let fate = match status.as_u16() {
            429 | 503 => Fate::Refused,
            408 | 502 | 504 => Fate::Unknown,
            _ => Fate::Final,
        };
        let mut error = Error::from_answer(self.service, status, &body, retry_after);
        if let (Error::Refused { problem, .. }, Some(size)) = (&mut error, size) {
            problem.extensions.insert("size".to_owned(), size.into());
        }
        Failure { error, fate }
    }

    /// Reads an answer of at most `limit` bytes.
    pub(crate) async fn read_body(&self, mut response: Response, limit: usize) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        let idle = self.options.idle_timeout;
        loop {
            let piece = tokio::time::timeout(idle, response.chunk()).await.map_err(|_| self.timed_out(idle))?;
            let Some(piece) = piece.map_err(|error| self.transport(error))? else { return Ok(body.freeze()) };
            if body.len() + piece.len() > limit {
                let error = Error::nonsense(self.service, format!("the answer has more than {limit} bytes"));
                return Err(Failure { error, fate: Fate::Final });
            }
            body.extend_from_slice(&piece);
        }
    }

    /// Reads a JSON answer.
    pub(crate) async fn read_json<T: DeserializeOwned>(&self, response: Response) -> Result<T, Failure> {
        let body = self.read_body(response, MAX_JSON_BODY).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let error = Error::nonsense(self.service, format!("decode answer: {error}"));
            Failure { error, fate: Fate::Final }
        })
    }

    const fn timed_out(&self, limit: Duration) -> Failure {
        Failure { error: Error::Timeout { service: self.service, limit }, fate: Fate::Unknown }
    }

    fn transport(&self, error: reqwest::Error) -> Failure {
        let service = self.service;
        if error.is_builder() {
            let error = Error::nonsense(service, format!("build request: {}", reason(error)));
            return Failure { error, fate: Fate::Final };
        }
        let fate = if error.is_connect() { Fate::Unsent } else { Fate::Unknown };
        Failure { error: Error::Unreachable { service, reason: reason(error) }, fate }
    }
}

/// All causes in one line. The URL is left out: it holds keys, and the service's name is there.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub(crate) fn parse_retry_after(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let when = httpdate::parse_http_date(value).ok()?;
    // A moment that has passed means "now".
    Some(when.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

/// The size of the object in `Content-Range: bytes */10`, which comes with a 416.
fn unsatisfied_size(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.strip_prefix("bytes */")?.parse().ok()
}

fn parse_base(service: &str, base: &str) -> Result<Url, Error> {
    let wrong = |what: &str| Error::Options(format!("the URL of {service}, `{base}`, {what}"));
    let url = Url::parse(base.trim()).map_err(|error| wrong(&format!("is not one: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("does not begin with http:// or https:// and a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Options(format!("the URL of {service} holds a user name or password; use a token")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    Ok(url)
}

fn build_client(service: &str, base: &Url, options: &ClientOptions) -> Result<reqwest::Client, Error> {
    let mut headers = HeaderMap::new();
    if let Some(token) = options.token.as_deref().filter(|token| !token.is_empty()) {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Error::Options("the token holds a character that a header can't carry".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(concat!("lakehouse/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_SIZE)
        // A redirect would carry a body, and the token, to where nobody configured them to go.
        .redirect(reqwest::redirect::Policy::none())
        // The services are on loopback or a private network, never behind the system's proxy.
        .no_proxy()
        // Repetition is decided in `retry`, in one place.
        .retry(reqwest::retry::never())
        .tls_backend_preconfigured(tls(base)?)
        .build()
        .map_err(|error| Error::Options(format!("set up the client of {service}: {}", reason(error))))
}

/// TLS with ring, given to the client and not installed for the whole process: that can be done
/// once only, by nobody or by everybody. The system's certificates are read for https alone.
fn tls(base: &Url) -> Result<rustls::ClientConfig, Error> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let failed = |error: rustls::Error| Error::Options(format!("set up TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(failed)?;
    let builder = if base.scheme() == "https" {
        builder.with_platform_verifier().map_err(failed)?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(base: &str) -> Result<Http, Error> {
        Http::new("storaged", base, ClientOptions::default())
    }

    #[test]
    fn a_prefix_in_the_base_stays_and_escapes_are_kept() {
        for base in ["http://gw:3110/v1", "http://gw:3110/v1/"] {
            let url =
                http(base).unwrap().url("/storage/objects/a%20b/%25%27..", &[("prefix", "a&b=c"), ("limit", "7")]);
            assert_eq!(url.as_str(), "http://gw:3110/v1/storage/objects/a%20b/%25%27..?prefix=a%26b%3Dc&limit=7");
        }
        assert_eq!(http("http://h:1").unwrap().url("/a", &[]).as_str(), "http://h:1/a");
        assert_eq!(http("http://h:1/v1/chat").unwrap().url("", &[]).as_str(), "http://h:1/v1/chat");
    }

    #[test]
    fn a_bad_base_is_refused_and_a_password_not_repeated() {
        for bad in ["", "127.0.0.1:3211", "localhost:3211", "ftp://h/", "http://h/?a=b", "http://h/#x", "unix:/a"] {
            assert!(matches!(http(bad), Err(Error::Options(_))), "{bad}");
        }
        let error = http("http://user:hunter2@h/").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn https_needs_no_provider_installed_for_the_process() {
        // Without certificates on the machine this is a clear error, never a panic.
        match http("https://example.org") {
            Ok(_) => {}
            Err(error) => assert!(error.to_string().contains("TLS"), "{error}"),
        }
    }

    #[test]
    fn retry_after_comes_in_seconds_or_as_a_date() {
        let parse = |text: &str| parse_retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
        let later = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(100));
        assert!(parse(&later).is_some_and(|wait| wait > Duration::from_secs(90)));
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_told_without_being_shown() {
        let options = ClientOptions::with_token("sec\nret");
        let error = Http::new("storaged", "http://h", options).unwrap_err().to_string();
        assert!(error.contains("token") && !error.contains("ret"), "{error}");
    }
}
