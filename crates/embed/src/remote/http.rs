use std::sync::Arc;

use bytes::Bytes;
use reqwest::{Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::{RemoteOptions, message};
use crate::{OptionsError, ProviderError};

/// The cap on an answer: a batch of long vectors, in JSON, fits many times over.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The cap on an error's text.
const MAX_ERROR_BYTES: usize = 16 << 10;
/// What a caller is told of a provider that refuses this side's credentials: nothing of its own words.
const BAD_CREDENTIALS: &str = "it does not accept this service's credentials";

/// One endpoint of one provider.
#[derive(Debug)]
pub(super) struct Endpoint {
    provider: &'static str,
    url: Url,
    client: reqwest::Client,
    /// What must not be passed on.
    secrets: Vec<String>,
}

/// Why one attempt failed, and whether a second one may be made.
struct Failure {
    error: ProviderError,
    /// The connection failed before any of an answer came.
    again: bool,
}

impl Endpoint {
    /// The endpoint `path` (which begins with `/`) under the options' URL.
    pub(super) fn new(provider: &'static str, path: &str, options: &RemoteOptions) -> Result<Self, OptionsError> {
        let mut url = options.url.clone();
        if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
            return Err(OptionsError("url: it is no http or https URL".to_owned()));
        }
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        let secrets = [&options.api_key, url.password().unwrap_or_default()];
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty()).map(str::to_owned).collect();
        let client = client(options)?;
        Ok(Self { provider, url, client, secrets })
    }

    /// Posts `body` and reads the answer. A connection that can't be made, or that breaks before
    /// the answer begins, is tried once more: embedding changes nothing, so a second call is safe.
    pub(super) async fn call<T: DeserializeOwned>(&self, body: &impl Serialize) -> Result<T, ProviderError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| ProviderError::failed(self.provider, format!("its request can't be written: {error}")))?;
        let body = Bytes::from(body);
        let response = match self.attempt(body.clone()).await {
            Err(failure) if failure.again => {
                tracing::debug!(error = %failure.error, "call the provider again");
                self.attempt(body).await
            }
            other => other,
        };
        let answer = self.read(response.map_err(|failure| failure.error)?, MAX_ANSWER_BYTES).await?;
        serde_json::from_slice(&answer).map_err(|error| self.nonsense(format!("it is not the JSON expected: {error}")))
    }

    async fn attempt(&self, body: Bytes) -> Result<Response, Failure> {
        let request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(|error| Failure {
            again: !error.is_timeout() && (error.is_connect() || error.is_request()),
            error: self.transport(error),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Failure { error: self.refusal(response).await, again: false })
    }

    async fn refusal(&self, response: Response) -> ProviderError {
        let status = response.status();
        // A text over the cap, or one that does not come, is no text.
        let body = self.read(response, MAX_ERROR_BYTES).await.unwrap_or_default();
        let said = message::of(&body);
        let public = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => BAD_CREDENTIALS.to_owned(),
            _ => match said.as_deref().filter(|said| !message::tells_secrets(said, &self.secrets)) {
                Some(said) => format!("it answered {}: {said}", status.as_u16()),
                None => format!("it answered {}", status.as_u16()),
            },
        };
        let said = said.map_or_else(|| "no message".to_owned(), |said| message::masked(&said, &self.secrets));
        ProviderError::Failed { provider: self.provider, reason: format!("{status}: {said}"), public }
    }

    async fn read(&self, mut response: Response, max: usize) -> Result<Vec<u8>, ProviderError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(error))? {
            if body.len() + chunk.len() > max {
                return Err(self.nonsense(format!("it is longer than {max} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn transport(&self, error: reqwest::Error) -> ProviderError {
        if error.is_timeout() {
            return ProviderError::Silent { provider: self.provider };
        }
        let public = if error.is_connect() { "it can't be reached" } else { "the connection to it broke" };
        // Without the URL, which may hold a password; the causes name the address at most.
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            reason = format!("{reason}: {inner}");
            cause = inner.source();
        }
        ProviderError::Failed { provider: self.provider, reason, public: public.to_owned() }
    }

    fn nonsense(&self, reason: String) -> ProviderError {
        ProviderError::nonsense(self.provider, reason)
    }
}

fn client(options: &RemoteOptions) -> Result<reqwest::Client, OptionsError> {
    let mut headers = header::HeaderMap::new();
    if !options.api_key.is_empty() {
        let mut value = header::HeaderValue::from_str(&format!("Bearer {}", options.api_key))
            .map_err(|_| OptionsError("api_key: it holds a character that a header can't carry".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    let builder = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(concat!("lakehouse-embedd/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        // A redirect would carry the texts, and the key, to where nobody configured them to go.
        .redirect(reqwest::redirect::Policy::none())
        // What is repeated is decided in `call`.
        .retry(reqwest::retry::never())
        .tls_backend_preconfigured(tls(&options.url)?);
    // A proxy stands between here and elsewhere, never between here and here.
    let builder = if is_loopback(&options.url) { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| OptionsError(format!("url: set up its client: {}", error.without_url())))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// TLS with ring, given to this client alone; the system's certificates are read for https only.
fn tls(url: &Url) -> Result<rustls::ClientConfig, OptionsError> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let failed = |error: rustls::Error| OptionsError(format!("url: set up TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(failed)?;
    let builder = if url.scheme() == "https" {
        builder.with_platform_verifier().map_err(failed)?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
