//! axum's extractors with this project's errors: 415 for a wrong content type, 400 for bad JSON, an
//! unknown field or a bad query, 413 past the body's cap.

use axum::{
    RequestExt as _,
    body::{Bytes, HttpBody as _},
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt as _, Collected, LengthLimitError};
use lakehouse_types::ErrorKind;
use serde::{Serialize, de::DeserializeOwned};

use crate::ApiError;

/// A JSON body, in and out.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

/// To read more JSON than this takes so long that it is no work for a thread that serves connections:
/// half a millisecond and more, in which nobody else is served.
const QUICK_JSON: usize = 64 << 10;

impl<T: DeserializeOwned + Send + 'static, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let detail = "this call takes Content-Type: application/json";
            return Err(ApiError::new(ErrorKind::UnsupportedMediaType, detail));
        }
        let body = whole_body(request).await?;
        if body.len() <= QUICK_JSON {
            return parse(&body);
        }
        tokio::task::spawn_blocking(move || parse(&body)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "read JSON");
            Err(ApiError::new(ErrorKind::Internal, "the body could not be read"))
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Json<T>, ApiError> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(Json(value));
    }
    // Once more for serde's words with line, column and the field's path: to keep track of the path
    // takes as long as the reading.
    match axum::Json::from_bytes(body) {
        Ok(axum::Json(value)) => Ok(Json(value)),
        Err(rejection) => Err(ApiError::new(ErrorKind::InvalidInput, rejection.body_text())),
    }
}

/// The body, up to the cap that its route sets.
async fn whole_body(request: Request) -> Result<Bytes, ApiError> {
    let body = request.into_limited_body();
    // The cap, wherever the body can be over it: a limited body gives no more.
    let cap = body.size_hint().upper();
    body.collect().await.map(Collected::to_bytes).map_err(|error| match cap {
        Some(cap) if is_over_cap(&error) => {
            let detail = format!("the request body is over this call's cap of {cap} bytes");
            ApiError::new(ErrorKind::TooLarge, detail)
        }
        _ => ApiError::new(ErrorKind::InvalidInput, format!("read request body: {}", innermost(&error))),
    })
}

fn is_over_cap(error: &axum::Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.into_iter().any(<dyn std::error::Error>::is::<LengthLimitError>)
}

/// The cause, which says more than what is wrapped around it.
fn innermost(error: &axum::Error) -> &dyn std::error::Error {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => {
                tracing::error!(%error, "encode answer");
                ApiError::new(ErrorKind::Internal, "the answer could not be encoded").into_response()
            }
        }
    }
}

/// The query string.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::new(ErrorKind::InvalidInput, rejection.body_text())),
        }
    }
}

/// The path's parameters.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::new(ErrorKind::InvalidInput, rejection.body_text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, extract::DefaultBodyLimit, routing::post};
    use serde::Deserialize;
    use tower::ServiceExt as _;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        n: u32,
    }

    async fn answer(body: Body) -> (u16, String) {
        let app = Router::new()
            .route("/", post(|Json(input): Json<Input>| async move { input.n.to_string() }))
            .layer(DefaultBodyLimit::max(1_000));
        let request = Request::post("/").header("content-type", "application/json").body(body).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let text = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether its length is known before or not.
    #[tokio::test]
    async fn a_body_over_the_cap_is_told_the_cap() {
        let long = " ".repeat(1_001);
        let pieces = long.as_bytes().chunks(100).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)));
        let streamed = Body::new(http_body_util::StreamBody::new(futures::stream::iter(
            pieces.map(|piece| piece.map(http_body::Frame::data)).collect::<Vec<_>>(),
        )));
        for body in [Body::from(long.clone()), streamed] {
            let (status, text) = answer(body).await;
            assert!(status == 413 && text.contains("over this call's cap of 1000 bytes"), "{status} {text}");
        }
        assert_eq!(answer(Body::from("{\"n\": 7}")).await, (200, "7".to_owned()));
    }

    async fn status(content_type: &str, body: &str) -> u16 {
        let app = Router::new()
            .route("/", post(|Json(input): Json<Input>| async move { input.n.to_string() }))
            .layer(DefaultBodyLimit::max(1 << 20));
        let request =
            Request::post("/").header("content-type", content_type).body(Body::from(body.to_owned())).unwrap();
        app.oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn each_kind_of_bad_body_has_its_status() {
        assert_eq!(status("application/json", "{\"n\":1}").await, 200);
        assert_eq!(status("text/plain", "{\"n\":1}").await, 415);
        assert_eq!(status("application/json", "{\"n\":").await, 400);
        assert_eq!(status("application/json", "{\"n\":1,\"m\":2}").await, 400);
        assert_eq!(status("application/json", "{\"n\":\"x\"}").await, 400);
        assert_eq!(status("application/json", "{\"n\":1} x").await, 400);
        assert_eq!(status("application/problem+json; charset=utf-8", "{\"n\":1}").await, 200);
        assert_eq!(status("application/jsonx", "{\"n\":1}").await, 415);
        let long = |end: &str| format!("{{\"n\":1{}{end}", " ".repeat(QUICK_JSON));
        assert_eq!(status("application/json", &long("}")).await, 200);
        assert_eq!(status("application/json", &long("]")).await, 400);
        assert_eq!(status("application/json", &" ".repeat((1 << 20) + 1)).await, 413);
    }
}
