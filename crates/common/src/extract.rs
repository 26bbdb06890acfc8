//! axum's extractors with this project's errors: 415 for a wrong content type, 400 for bad JSON, an
//! unknown field or a bad query, 413 past the body's cap.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
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

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let detail = "this call takes Content-Type: application/json";
            return Err(ApiError::new(ErrorKind::UnsupportedMediaType, detail));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| body_error(rejection.status(), &rejection.body_text()))?;
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

/// What to say of a body that could not be read.
fn body_error(status: StatusCode, text: &str) -> ApiError {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::new(ErrorKind::TooLarge, "the request body is over this call's cap")
    } else {
        ApiError::new(ErrorKind::InvalidInput, format!("read request body: {text}"))
    }
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
