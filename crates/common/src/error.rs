use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use lakehouse_types::{ErrorKind, Problem, ServiceError, context};
use serde_json::{Map, Value};

/// The one table from kind to status.
#[must_use]
pub const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorKind::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::BadGateway => StatusCode::BAD_GATEWAY,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// An error on its way to the caller: problem+json (RFC 9457).
#[derive(Debug, Clone)]
pub struct ApiError {
    kind: ErrorKind,
    detail: String,
    retry_after: Option<Duration>,
    extensions: Map<String, Value>,
}

impl ApiError {
    /// An error with a message for the caller.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        let retry_after = (kind == ErrorKind::Unavailable).then_some(Duration::from_secs(1));
        Self { kind, detail: detail.into(), retry_after, extensions: Map::new() }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Its message for the caller.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(member.to_owned(), value.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

/// The one way from a domain error to an answer. What is this side's fault is logged here, once;
/// the caller reads only [`ServiceError::detail`].
impl<E: ServiceError> From<E> for ApiError {
    fn from(error: E) -> Self {
        let kind = error.kind();
        match kind {
            ErrorKind::Internal => tracing::error!(error = %chain(&error), "request failed"),
            ErrorKind::BadGateway | ErrorKind::Unavailable | ErrorKind::Timeout => {
                tracing::warn!(error = %chain(&error), "request failed");
            }
            _ => tracing::debug!(error = %chain(&error), "request refused"),
        }
        Self { kind, detail: error.detail(), retry_after: error.retry_after(), extensions: error.extensions() }
    }
}

/// An error with all its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many libraries repeat the cause in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = status_of(self.kind);
        let problem = Problem {
            kind: format!("urn:lakehouse:{}", self.kind.slug()),
            title: self.kind.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            request_id: context::current().map(|context| context.request_id.clone()),
            extensions: self.extensions,
        };
        // A Problem holds only strings, numbers and JSON values, which always serialise.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == ErrorKind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"lakehouse\""));
        }
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_status_of_its_own() {
        let statuses: std::collections::BTreeSet<u16> =
            ErrorKind::ALL.iter().map(|kind| status_of(*kind).as_u16()).collect();
        assert_eq!(statuses.len(), ErrorKind::ALL.len());
        assert!(statuses.iter().all(|status| (400..600).contains(status)));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("open /secret/path: denied")]
    struct Broken;
    impl ServiceError for Broken {
        fn kind(&self) -> ErrorKind {
            ErrorKind::Internal
        }
    }

    #[tokio::test]
    async fn an_internal_error_keeps_its_inside_to_itself() {
        let response = ApiError::from(Broken).into_response();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.kind, "urn:lakehouse:internal");
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }

    #[test]
    fn unavailable_says_when_to_retry() {
        let response = ApiError::new(ErrorKind::Unavailable, "busy").into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
