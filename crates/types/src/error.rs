use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What went wrong, in the terms a caller can act on.
///
/// The domain crates speak this; `lakehouse-common` has the one table that turns it into an HTTP
/// status, and `lakehouse-client` the one that turns a status back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request itself is wrong; sending it again unchanged can't help.
    InvalidInput,
    /// No credentials, or wrong ones.
    Unauthorized,
    /// Known or not, this caller may not.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path exists, the method on it does not.
    MethodNotAllowed,
    /// The caller took too long to send its request.
    RequestTimeout,
    /// The request contradicts what is there already.
    Conflict,
    /// A condition that the caller attached (`If-Match`, `If-None-Match`) does not hold.
    PreconditionFailed,
    /// The body, or the answer it asks for, is over a cap.
    TooLarge,
    /// The `Content-Type` is not one this call takes.
    UnsupportedMediaType,
    /// The `Range` lies outside of the object.
    RangeNotSatisfiable,
    /// The header section is over its cap.
    HeadersTooLarge,
    /// A bug or a broken invariant here; the details are in the log, not in the answer.
    Internal,
    /// A service or provider that this one depends on answered with nonsense or an error.
    BadGateway,
    /// Not now: overloaded, starting, or a dependency is down. Safe to retry.
    Unavailable,
    /// The work, or a dependency, took longer than its limit.
    Timeout,
}

impl ErrorKind {
    /// Every kind, for tables that must be exhaustive.
    pub const ALL: [Self; 16] = [
        Self::InvalidInput,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::RangeNotSatisfiable,
        Self::HeadersTooLarge,
        Self::Internal,
        Self::BadGateway,
        Self::Unavailable,
        Self::Timeout,
    ];

    /// The short name that stands in a problem's `type` (`urn:lakehouse:<slug>`).
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid-input",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition-failed",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::RangeNotSatisfiable => "range-not-satisfiable",
            Self::HeadersTooLarge => "headers-too-large",
            Self::Internal => "internal",
            Self::BadGateway => "bad-gateway",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
        }
    }

    /// One line for people, the same for every occurrence of this kind.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidInput => "The request is not valid",
            Self::Unauthorized => "Authentication is required",
            Self::Forbidden => "This caller is not allowed",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::RequestTimeout => "The request was not sent in time",
            Self::Conflict => "The request conflicts with what is stored",
            Self::PreconditionFailed => "A precondition does not hold",
            Self::TooLarge => "Over a size limit",
            Self::UnsupportedMediaType => "Unsupported media type",
            Self::RangeNotSatisfiable => "Range not satisfiable",
            Self::HeadersTooLarge => "The request headers are too large",
            Self::Internal => "Internal error",
            Self::BadGateway => "A service behind this one failed",
            Self::Unavailable => "Not available right now",
            Self::Timeout => "The time limit was reached",
        }
    }
}

/// An error of a domain crate, seen from the outside.
///
/// `Display` is the message for the log. What the caller may read is [`ServiceError::detail`]:
/// for kinds that are the service's own fault the default says nothing about its inside.
pub trait ServiceError: std::error::Error + Send + Sync + 'static {
    /// The kind that decides the status.
    fn kind(&self) -> ErrorKind;

    /// The message for the caller. Paths, tokens and the keys of other tenants stay out of it.
    fn detail(&self) -> String {
        match self.kind() {
            ErrorKind::Internal => "an internal error; the log has it under this request id".to_owned(),
            _ => self.to_string(),
        }
    }

    /// How long the caller should wait before it tries again; set where a retry is safe.
    fn retry_after(&self) -> Option<Duration> {
        match self.kind() {
            ErrorKind::Unavailable => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Further members of the problem body, such as the columns that drifted.
    fn extensions(&self) -> Map<String, Value> {
        Map::new()
    }
}

/// The body of every error answer: `application/problem+json`, RFC 9457.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:lakehouse:<slug of the kind>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// [`ErrorKind::title`].
    pub title: String,
    /// The HTTP status, again, for readers that see the body alone.
    pub status: u16,
    /// What happened this time, for the caller.
    #[serde(default)]
    pub detail: String,
    /// The id under which the log has this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Members that only some kinds have.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}
