//! One request to one service.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue, Uri, Version, header,
    uri::{InvalidUri, PathAndQuery},
};
use lakehouse_common::ApiError;

use crate::{
    error::Error,
    guard,
    headers::{self, Caller, Framing},
    mounts::Mount,
    state::AppState,
    upstream::{AnswerBody, UploadBody, Upstream},
};

/// Passes a request on to the service behind `mount`, and its answer back.
pub(crate) async fn forward(state: &AppState, mount: Mount, request: Request) -> Response {
    answer(to_service(state, mount, request).await)
}

/// The answer for the caller. What was refused for its shape may have left more on the connection
/// than was read of it, so that is closed.
pub(crate) fn answer(result: Result<Response, Error>) -> Response {
    let error = match result {
        Ok(response) => return response,
        Err(error) => error,
    };
    let close = matches!(error, Error::Refused(_) | Error::Upload { .. });
    let mut response = ApiError::from(error).into_response();
    if close {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn to_service(state: &AppState, mount: Mount, request: Request) -> Result<Response, Error> {
    guard::check(&request)?;
    let upstream = state.upstream(mount.service);
    let target = target(request.uri(), mount.strip, upstream.base_path())
        .map_err(|_| Error::Refused("the path can't be forwarded"))?;
    let request = outgoing(request, target, upstream, state.via(), |headers, caller| caller.tell(headers));
    let answer = upstream.send(request).await?;
    incoming(answer, upstream)
}

/// The caller's target without the mount's prefix and behind the service's own; every byte of the
/// rest as the caller wrote it.
fn target(uri: &Uri, strip: usize, base_path: &str) -> Result<PathAndQuery, InvalidUri> {
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let rest = whole.get(strip..).unwrap_or_default();
    if base_path.is_empty() {
        PathAndQuery::try_from(rest)
    } else {
        PathAndQuery::try_from(format!("{base_path}{rest}"))
    }
}

/// The request as it goes out. `tell` says what this upstream is told of the caller.
pub(crate) fn outgoing(
    request: Request,
    target: PathAndQuery,
    upstream: &Upstream,
    via: &HeaderValue,
    tell: impl FnOnce(&mut HeaderMap, Caller),
) -> http::Request<UploadBody> {
    let framing = Framing::of(request.headers());
    let waits = framing != Framing::None && headers::expects_continue(&request);
    let (mut parts, body) = request.into_parts();
    let caller = Caller::of(&parts);
    headers::strip_request(&mut parts.headers);
    parts.headers.insert(header::HOST, upstream.host());
    parts.headers.append(header::VIA, via.clone());
    headers::identify(&mut parts.headers);
    tell(&mut parts.headers, caller);
    if framing == Framing::Chunked {
        // hyper takes a GET for one without a body unless this is said.
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if !waits {
        parts.headers.remove(header::EXPECT);
    }

    let body = if framing == Framing::None { UploadBody::none() } else { UploadBody::of(body) };
    let mut outgoing = http::Request::new(body);
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = Uri::from(target);
    *outgoing.headers_mut() = parts.headers;
    if waits {
        UploadBody::hold_back(&mut outgoing);
    }
    outgoing
}

/// The answer as it goes back.
pub(crate) fn incoming(answer: http::Response<AnswerBody>, upstream: &Upstream) -> Result<Response, Error> {
    if answer.status().is_informational() {
        let source = format!("status {} to a request without Upgrade", answer.status()).into();
        return Err(Error::Exchange { service: upstream.name(), source });
    }
    let (mut parts, body) = answer.into_parts();
    headers::strip_answer(&mut parts.headers);
    parts.version = Version::HTTP_11;
    Ok(Response::from_parts(parts, Body::new(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_target_stays_as_it_was_written() {
        for (uri, strip, base, expected) in [
            ("/v1/storage/objects/a%2Fb?x=%20&y", 3, "", "/storage/objects/a%2Fb?x=%20&y"),
            ("http://gw/v1/storage//x", 3, "", "/storage//x"),
            ("/v1/sql?", 3, "", "/sql?"),
            ("/v1/embeddings", 0, "", "/v1/embeddings"),
            ("/v1/sql", 3, "/lake/q", "/lake/q/sql"),
        ] {
            assert_eq!(target(&uri.parse().unwrap(), strip, base).unwrap().as_str(), expected, "{uri}");
        }
    }
}
