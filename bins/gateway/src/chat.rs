//! `/v1/chat` and `/v1/chat/completions`, to whatever endpoint `gateway.chat_url` names.
//!
//! That endpoint belongs to somebody else: it gets the gateway's own token and the caller's body,
//! and nothing that tells of the lakehouse or of who called.

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, StatusCode, header, uri::PathAndQuery};
use lakehouse_common::{StartError, config};

use crate::{
    error::Error,
    forward::{self, answer},
    guard,
    metrics::UpstreamMetrics,
    state::AppState,
    upstream::{Options, Upstream},
};

/// What the endpoint is called in errors, metrics and logs.
pub(crate) const NAME: &str = "chat";

/// The endpoint.
#[derive(Debug)]
pub(crate) struct Chat {
    upstream: Upstream,
    target: PathAndQuery,
    authorization: Option<HeaderValue>,
}

impl Chat {
    /// The endpoint of `config`, if there is one.
    ///
    /// # Errors
    /// A token that can't stand in a header; a URL that can't be used.
    pub(crate) fn new(
        config: &config::Gateway,
        options: Options,
        metrics: UpstreamMetrics,
    ) -> Result<Option<Self>, StartError> {
        let Some(url) = &config.chat_url else { return Ok(None) };
        let upstream = Upstream::new(NAME, url, options, metrics)?;
        let target = PathAndQuery::try_from(url.url().path())
            .map_err(|error| StartError::new(format!("read gateway.chat_url: {error}")))?;
        let authorization = if config.chat_token.is_empty() {
            None
        } else {
            let mut value = HeaderValue::try_from(format!("Bearer {}", config.chat_token.expose()))
                .map_err(|_| StartError::new("read gateway.chat_token: it can't stand in a header"))?;
            value.set_sensitive(true);
            Some(value)
        };
        Ok(Some(Self { upstream, target, authorization }))
    }

    /// The endpoint as an upstream.
    pub(crate) const fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    fn introduce(&self, headers: &mut HeaderMap) {
        for name in [header::AUTHORIZATION, header::COOKIE, header::REFERER, header::ORIGIN] {
            headers.remove(name);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
    }
}

/// `POST /v1/chat`, `POST /v1/chat/completions`.
pub(crate) async fn chat(State(state): State<AppState>, request: Request) -> Response {
    answer(to_endpoint(&state, request).await)
}

async fn to_endpoint(state: &AppState, request: Request) -> Result<Response, Error> {
    guard::check(&request)?;
    let chat = state.chat().ok_or(Error::NoChat)?;
    if request.headers().get_all(header::VIA).iter().any(|via| via == state.via()) {
        return Err(Error::ChatLoop);
    }
    let request = forward::outgoing(request, chat.target.clone(), &chat.upstream, state.via(), |headers, _caller| {
        chat.introduce(headers);
    });
    let answer = chat.upstream.send(request).await?;
    let status = answer.status();
    // These would be read as the lakehouse's own word on the caller's token, or send the caller to
    // a place that is not for it.
    let about_us = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::PROXY_AUTHENTICATION_REQUIRED];
    if status.is_redirection() || about_us.contains(&status) {
        return Err(Error::ChatEndpoint(status));
    }
    let mut answer = forward::incoming(answer, &chat.upstream)?;
    answer.headers_mut().remove(header::SET_COOKIE);
    Ok(answer)
}
