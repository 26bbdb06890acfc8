use std::{sync::Once, time::Duration};

use reqwest::{Response, StatusCode, header};
use serde_json::Value;
use url::Url;

use crate::Error;

/// The door to models, embeddings and the index.
pub(crate) struct Gateway {
    base: Url,
    client: reqwest::Client,
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody there, or gone in the middle.
    #[error("can't be reached: {0}")]
    Unreachable(String),
    /// Silence.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// Not what was asked for.
    #[error("answered {status}: {detail}")]
    Refused { status: u16, detail: String },
    /// An answer that can't be used.
    #[error("{0}")]
    Nonsense(String),
    /// The user, or the system, wants this program to end.
    #[error("interrupted")]
    Interrupted,
}

/// An answer longer than this is not held in memory.
const MOST_BYTES: usize = 16 << 20;

impl Gateway {
    pub(crate) fn new(url: &str, token: Option<&str>) -> Result<Self, Error> {
        let bad = |why: String| Error::Usage(format!("the gateway {url}: {why}"));
        let mut base: Url = url.parse().map_err(|e| bad(format!("{e}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad("an address like http://127.0.0.1:3110 is needed".to_owned()));
        }
        let path = base.path().trim_end_matches('/').trim_end_matches("/v1").to_owned();
        base.set_path(&path);
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // An error says that there is a provider already, which will do.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let mut headers = header::HeaderMap::new();
        if let Some(token) = token {
            let value = header::HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| bad("the token has characters no header can carry".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).default_headers(headers);
        if base.scheme() == "http" {
            // No certificates are needed, and a machine without any must not fail over that.
            builder = builder.tls_certs_only([]);
        }
        let builder = builder.redirect(reqwest::redirect::Policy::none()).no_proxy();
        let client = builder.build().map_err(|e| bad(deepest(&e)))?;
        Ok(Self { base, client })
    }

    /// `POST /v1/<path>` with a JSON body; the whole exchange takes `limit` at most.
    pub(crate) async fn post(&self, path: &str, body: &Value, limit: Duration) -> Result<Body, CallError> {
        let exchange = async {
            let mut url = self.base.clone();
            url.set_path(&format!("{}/v1/{path}", self.base.path().trim_end_matches('/')));
            let sent = self.client.post(url).json(body).send().await;
            read(sent.map_err(|e| CallError::Unreachable(deepest(&e)))?).await
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(CallError::Timeout(limit)))
    }
}

/// The bytes of a good answer.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Whether they are a stream of events.
    pub(crate) is_events: bool,
}

impl Body {
    pub(crate) fn json(&self) -> Result<Value, CallError> {
        serde_json::from_slice(&self.bytes).map_err(|e| CallError::Nonsense(format!("the answer is no JSON: {e}")))
    }
}

async fn read(mut response: Response) -> Result<Body, CallError> {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_events = content_type.is_some_and(|ty| ty.starts_with("text/event-stream"));
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= MOST_BYTES => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(CallError::Nonsense(format!("the answer is longer than {MOST_BYTES} bytes"))),
            Ok(None) => break,
            Err(e) => return Err(CallError::Unreachable(format!("the answer broke off: {}", deepest(&e)))),
        }
    }
    if status == StatusCode::OK || status == StatusCode::CREATED {
        return Ok(Body { bytes, is_events });
    }
    Err(CallError::Refused { status: status.as_u16(), detail: detail(&bytes) })
}

/// What a problem body, or an error body of OpenAI's shape, says.
fn detail(bytes: &[u8]) -> String {
    const SHOWN: usize = 300;
    let body: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let openai = body.pointer("/error/message").or_else(|| body.get("error")).and_then(Value::as_str);
    let detail = body.get("detail").and_then(Value::as_str).or(openai);
    let detail = detail.map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), str::to_owned);
    let detail: String = detail.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
    if detail.is_empty() { "no reason given".to_owned() } else { detail }
}

/// The innermost cause says what happened; those around it only say where.
fn deepest(error: &reqwest::Error) -> String {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        why = error.to_string();
        source = error.source();
    }
    why
}
