use std::{io, time::Duration};

use http::StatusCode;
use lakehouse_types::{ErrorKind, Problem, ServiceError};
use serde_json::{Map, Value};

/// Why a call to another service failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service answered with an error.
    #[error("{service} answered {}: {}", .problem.status, .problem.detail)]
    Refused {
        /// Who answered.
        service: &'static str,
        /// What the problem's `type`, or else the status, stands for.
        kind: ErrorKind,
        /// The answer's body; made up from the status where the body is not a problem.
        problem: Box<Problem>,
        /// When to try again, where the answer says so.
        retry_after: Option<Duration>,
    },
    /// The service does not take this deployment's token, or not from this address. That is a
    /// mistake in the configuration, never the caller's.
    #[error("{service} refused this service's credentials ({status}): its [auth] section and this one's must agree")]
    Credentials {
        /// Who answered.
        service: &'static str,
        /// 401 or 403.
        status: u16,
    },
    /// No connection, or it broke before the answer was there.
    #[error("{service} can't be reached: {reason}")]
    Unreachable {
        /// Who was called.
        service: &'static str,
        /// For the log.
        reason: String,
    },
    /// No answer in time.
    #[error("{service} did not answer within {} ms", .limit.as_millis())]
    Timeout {
        /// Who was called.
        service: &'static str,
        /// The limit that was reached.
        limit: Duration,
    },
    /// An answer that this version does not understand.
    #[error("{service} gave an answer that makes no sense: {reason}")]
    Nonsense {
        /// Who answered.
        service: &'static str,
        /// For the log.
        reason: String,
    },
    /// The body that was to be sent could not be read.
    #[error("read request body: {0}")]
    Body(#[source] io::Error),
    /// The client's own options are wrong.
    #[error("set up client: {0}")]
    Options(String),
}

impl Error {
    /// What the service said is wrong, where it answered at all.
    #[must_use]
    pub const fn answered(&self) -> Option<ErrorKind> {
        match self {
            Self::Refused { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// Is it the service's plain "there is no such thing"?
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.answered() == Some(ErrorKind::NotFound)
    }

    pub(crate) fn nonsense(service: &'static str, reason: impl Into<String>) -> Self {
        Self::Nonsense { service, reason: reason.into() }
    }

    /// Reads an error answer: the kind comes from the problem's `type`, and where that is missing
    /// or unknown from the status.
    pub(crate) fn from_answer(
        service: &'static str,
        status: StatusCode,
        body: &[u8],
        retry_after: Option<Duration>,
    ) -> Self {
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Self::Credentials { service, status: status.as_u16() };
        }
        let problem = serde_json::from_slice::<Problem>(body).ok();
        let slug_kind = problem.as_ref().and_then(|problem| kind_of_slug(&problem.kind));
        let kind = slug_kind.unwrap_or_else(|| kind_of_status(status));
        let mut problem = problem.unwrap_or_else(|| Problem {
            kind: format!("urn:lakehouse:{}", kind.slug()),
            title: kind.title().to_owned(),
            status: status.as_u16(),
            detail: foreign_detail(body).unwrap_or_else(|| kind.title().to_owned()),
            request_id: None,
            extensions: Map::new(),
        });
        problem.status = status.as_u16();
        Self::Refused { service, kind, problem: Box::new(problem), retry_after }
    }
}

/// The message in an error of OpenAI's shape, `{"error": {"message": ".."}}` or `{"error": ".."}`.
fn foreign_detail(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let message = error.get("message").unwrap_or(error).as_str()?;
    // A provider may quote the whole prompt back.
    Some(message.chars().take(500).collect())
}

fn kind_of_slug(kind: &str) -> Option<ErrorKind> {
    let slug = kind.strip_prefix("urn:lakehouse:")?;
    ErrorKind::ALL.into_iter().find(|kind| kind.slug() == slug)
}

/// The inverse of the one table from kind to status, with the statuses that only foreign services
/// and proxies use.
pub(crate) fn kind_of_status(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        404 | 410 => ErrorKind::NotFound,
        405 => ErrorKind::MethodNotAllowed,
        408 => ErrorKind::RequestTimeout,
        409 => ErrorKind::Conflict,
        412 => ErrorKind::PreconditionFailed,
        413 => ErrorKind::TooLarge,
        415 => ErrorKind::UnsupportedMediaType,
        416 => ErrorKind::RangeNotSatisfiable,
        429 | 503 => ErrorKind::Unavailable,
        431 => ErrorKind::HeadersTooLarge,
        500 => ErrorKind::Internal,
        504 => ErrorKind::Timeout,
        400..=499 => ErrorKind::InvalidInput,
        // A proxy's 5xx, or a redirect: not an answer of ours.
        _ => ErrorKind::BadGateway,
    }
}

impl ServiceError for Error {
    /// What the failure means to whoever called the service that made this call: an answer about
    /// the data is passed on, one about how the call was made is this side's fault.
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { kind, .. } => match kind {
                ErrorKind::InvalidInput
                | ErrorKind::NotFound
                | ErrorKind::Conflict
                | ErrorKind::PreconditionFailed
                | ErrorKind::TooLarge
                | ErrorKind::RangeNotSatisfiable
                | ErrorKind::Unavailable
                | ErrorKind::Timeout => *kind,
                ErrorKind::RequestTimeout => ErrorKind::Timeout,
                ErrorKind::Unauthorized
                | ErrorKind::Forbidden
                | ErrorKind::MethodNotAllowed
                | ErrorKind::UnsupportedMediaType
                | ErrorKind::HeadersTooLarge
                | ErrorKind::Internal
                | ErrorKind::BadGateway => ErrorKind::BadGateway,
            },
            Self::Credentials { .. } | Self::Nonsense { .. } => ErrorKind::BadGateway,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Body(_) => ErrorKind::InvalidInput,
            Self::Options(_) => ErrorKind::Internal,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Refused { problem, service, .. } => match self.kind() {
                ErrorKind::BadGateway => format!("{service} failed; the log has it under this request id"),
                _ => problem.detail.clone(),
            },
            Self::Credentials { service, .. } | Self::Nonsense { service, .. } => {
                format!("{service} failed; the log has it under this request id")
            }
            Self::Unreachable { service, .. } => format!("{service} is not available"),
            Self::Timeout { service, .. } => format!("{service} did not answer in time"),
            Self::Body(_) => "the request body ended early".to_owned(),
            Self::Options(_) => "an internal error; the log has it under this request id".to_owned(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match (self.kind(), self) {
            (ErrorKind::Unavailable, Self::Refused { retry_after, .. }) => {
                Some(retry_after.unwrap_or(Duration::from_secs(1)))
            }
            (ErrorKind::Unavailable, _) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    fn extensions(&self) -> Map<String, Value> {
        match self {
            Self::Refused { problem, .. } if self.kind() != ErrorKind::BadGateway => problem.extensions.clone(),
            _ => Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Error {
        Error::from_answer("catalogd", StatusCode::from_u16(status).unwrap(), body.as_bytes(), None)
    }

    #[test]
    fn the_type_decides_before_the_status() {
        let error =
            answer(409, r#"{"type":"urn:lakehouse:precondition-failed","title":"t","status":412,"detail":"d"}"#);
        assert_eq!(error.answered(), Some(ErrorKind::PreconditionFailed));
        // Whatever words the detail has, an unknown type leaves it to the status.
        let error = answer(409, r#"{"type":"about:blank","title":"not found","status":404,"detail":"not found"}"#);
        assert_eq!(error.answered(), Some(ErrorKind::Conflict));
        assert!(!error.is_not_found());
        assert!(answer(404, "<html>gone</html>").is_not_found());
    }

    #[test]
    fn every_kind_survives_the_way_through_its_slug() {
        for kind in ErrorKind::ALL {
            assert_eq!(kind_of_slug(&format!("urn:lakehouse:{}", kind.slug())), Some(kind));
        }
        assert_eq!(kind_of_slug("not-found"), None);
    }

    #[test]
    fn extensions_pass_and_internals_do_not() {
        let body =
            r#"{"type":"urn:lakehouse:conflict","title":"t","status":409,"detail":"drift","columns":[{"name":"a"}]}"#;
        let error = answer(409, body);
        assert_eq!((error.kind(), error.detail().as_str()), (ErrorKind::Conflict, "drift"));
        assert_eq!(error.extensions()["columns"][0]["name"], "a");
        let error =
            answer(500, r#"{"type":"urn:lakehouse:internal","title":"t","status":500,"detail":"/srv/x","x":1}"#);
        assert_eq!(error.kind(), ErrorKind::BadGateway);
        assert!(!error.detail().contains("/srv") && error.extensions().is_empty());
    }

    #[test]
    fn refused_credentials_are_a_configuration_error() {
        for status in [401, 403] {
            let error = answer(status, r#"{"type":"urn:lakehouse:not-found","title":"","status":404}"#);
            assert!(matches!(error, Error::Credentials { .. }));
            assert_eq!(error.kind(), ErrorKind::BadGateway);
            assert!(error.to_string().contains("[auth]"), "{error}");
        }
    }

    #[test]
    fn a_provider_s_message_is_found() {
        let error = answer(400, r#"{"error":{"message":"model `x` does not exist","type":"invalid_request_error"}}"#);
        assert_eq!(error.detail(), "model `x` does not exist");
        assert_eq!(answer(400, r#"{"error":"no such model"}"#).detail(), "no such model");
    }
}
