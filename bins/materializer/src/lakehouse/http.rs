use std::{fs::File, path::Path, sync::Once, time::Duration};

use reqwest::{Method, RequestBuilder, StatusCode, header, multipart};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_util::io::ReaderStream;
use url::Url;

use crate::error::{Error, Result};

/// The gateway of a lakehouse.
pub(crate) struct Lakehouse {
    base: Url,
    client: reqwest::Client,
    runtime: Runtime,
}

/// An answer: its status, and its body as far as that is JSON.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

const CONNECT: Duration = Duration::from_secs(5);
/// For calls with small bodies; an embedding model may take its time over a batch.
const CALL: Duration = Duration::from_secs(300);
/// For all evidence of a long life, over a slow line.
const INGEST: Duration = Duration::from_secs(6 * 3600);
/// Every call here may be repeated; services that restart are back within these pauses.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(3)];

impl Lakehouse {
    /// Prepares calls to the gateway at `url`, with the token of `token_file`, of `LAKEHOUSE_TOKEN`, or `own`.
    pub(crate) fn connect(url: &str, token_file: Option<&Path>, own: &str) -> Result<Self> {
        let bad = |why: String| Error::Unusable(format!("--to-lakehouse {url}: {why}"));
        let mut base: Url = url.parse().map_err(|e| bad(format!("{e}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad("an address like http://127.0.0.1:3110 is needed".to_owned()));
        }
        let path = base.path().trim_end_matches('/').trim_end_matches("/v1").to_owned();
        base.set_path(&path);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Error::Unusable(format!("start the runtime: {e}")))?;
        let client = client(&base, token(token_file, own)?.as_deref())?;
        Ok(Self { base, client, runtime })
    }

    pub(crate) fn url(&self) -> &str {
        self.base.as_str()
    }

    /// `POST /v1/<path>` with a JSON body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.call(&Method::POST, path, |request| request.json(body).timeout(CALL))
    }

    /// `GET /v1/<path>`.
    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.call(&Method::GET, path, |request| request.timeout(CALL))
    }

    /// Replaces the dataset `name` by the CSV in `file`, which has a header.
    pub(crate) fn ingest(&self, name: &str, types: &str, file: File) -> Result<Value> {
        let length = file.metadata().map_err(Error::Spill)?.len();
        let file = tokio::fs::File::from_std(file);
        let stream = reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, 1 << 18));
        let part = multipart::Part::stream_with_length(stream, length).file_name(format!("{name}.csv"));
        let query = [("name", name), ("mode", "replace"), ("header", "true"), ("types", types)];
        let request = self.client.request(Method::POST, self.address("ingest")).query(&query);
        let request = request.multipart(multipart::Form::new().part("file", part)).timeout(INGEST);
        let answer = self.runtime.block_on(send(request)).map_err(|e| unreachable("ingest", &e))?;
        answer.expect("ingest", &[StatusCode::OK, StatusCode::CREATED])
    }

    fn address(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn call(&self, method: &Method, path: &str, with: impl Fn(RequestBuilder) -> RequestBuilder) -> Result<Answer> {
        let mut pauses = PAUSES.iter();
        loop {
            let request = with(self.client.request(method.clone(), self.address(path)));
            let outcome = self.runtime.block_on(send(request));
            let is_passing = match &outcome {
                Ok(answer) => matches!(answer.status.as_u16(), 429 | 502 | 503 | 504),
                Err(error) => error.is_connect() || error.is_request(),
            };
            match pauses.next() {
                Some(pause) if is_passing => self.runtime.block_on(async { tokio::time::sleep(*pause).await }),
                _ => return outcome.map_err(|e| unreachable(path, &e)),
            }
        }
    }
}

impl Answer {
    /// The body, if the status is one of `fine`.
    pub(crate) fn expect(self, path: &str, fine: &[StatusCode]) -> Result<Value> {
        if fine.contains(&self.status) {
            return Ok(self.body);
        }
        let detail = self.body.get("detail").and_then(Value::as_str).unwrap_or("no reason given");
        Err(Error::Lakehouse(format!("/v1/{path} answered {}: {detail}", self.status.as_u16())))
    }
}

async fn send(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status();
    let bytes = response.bytes().await?;
    Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
}

fn unreachable(path: &str, error: &reqwest::Error) -> Error {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        why = error.to_string();
        source = error.source();
    }
    Error::Lakehouse(format!("/v1/{path} can't be reached: {why}"))
}

fn token(file: Option<&Path>, own: &str) -> Result<Option<String>> {
    let token = match file {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| Error::Unusable(format!("read the token in {}: {e}", file.display())))?,
        None => std::env::var("LAKEHOUSE_TOKEN")
            .ok()
            .filter(|token| !token.trim().is_empty())
            .unwrap_or_else(|| own.to_owned()),
    };
    Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty()))
}

fn client(base: &Url, token: Option<&str>) -> Result<reqwest::Client> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error says that there is a provider already, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let mut headers = header::HeaderMap::new();
    if let Some(token) = token {
        let value = header::HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value =
            value.map_err(|_| Error::Unusable("the token has characters no header can carry".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    let mut builder = reqwest::Client::builder().connect_timeout(CONNECT).default_headers(headers).no_proxy();
    if base.scheme() == "http" {
        // No certificates are needed, and a machine without any must not fail over that.
        builder = builder.tls_certs_only([]);
    }
    builder.redirect(reqwest::redirect::Policy::none()).build().map_err(|e| unreachable("", &e))
}
