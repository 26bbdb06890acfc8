use std::{io, time::Duration};

use lakehouse_types::{ErrorKind, InvalidKey, ServiceError};
use serde_json::{Map, Value};

/// What can go wrong with an object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no object under this key.
    #[error("no object under key `{key}`")]
    NotFound {
        /// The key that was asked for.
        key: String,
    },
    /// `If-Match` or `If-None-Match` does not hold.
    #[error("a precondition on object `{key}` does not hold")]
    PreconditionFailed {
        /// The key that was written to.
        key: String,
    },
    /// The object is as the caller knows it (`If-None-Match` on a read).
    #[error("object `{key}` is unchanged")]
    NotModified {
        /// The key that was asked for.
        key: String,
        /// The entity tag it still has.
        etag: String,
    },
    /// The key breaks a rule.
    #[error(transparent)]
    InvalidKey(#[from] InvalidKey),
    /// The range lies outside of the object.
    #[error("the range is outside of the object, which has {size} bytes")]
    InvalidRange {
        /// The object's size in bytes.
        size: u64,
    },
    /// The bytes that arrived are not the ones announced.
    #[error("the body has SHA-256 {actual}, not {expected}")]
    ChecksumMismatch {
        /// Hex, from the caller.
        expected: String,
        /// Hex, of what arrived.
        actual: String,
    },
    /// The body is over the caller's or the backend's limit.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The caller's body ended with an error (it hung up, or sent too slowly), or has another size
    /// than announced.
    #[error("read body: {0}")]
    Body(#[source] std::io::Error),
    /// The backend can't be reached, or says that it is overloaded. Safe to retry.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
        /// When to try again, where the backend says so.
        retry_after: Option<Duration>,
    },
    /// No answer within the time limit.
    #[error("the store did not answer in time")]
    Timeout,
    /// The disk or a quota is full. Nothing of the object was written.
    #[error("{action}: no space is left")]
    NoSpace {
        /// Verb and noun.
        action: &'static str,
    },
    /// The backend can't do this, ever; see what it says at start.
    #[error("the object store can't do this: {0}")]
    Unsupported(&'static str),
    /// Anything else: permission denied, an answer that makes no sense.
    #[error("{action}: {source}")]
    Backend {
        /// Verb and noun: "rename object".
        action: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Wraps a backend's own error with what was being done.
    pub fn backend(action: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Backend { action, source: source.into() }
    }

    /// Is it [`Error::NotFound`]?
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Is it [`Error::PreconditionFailed`]?
    #[must_use]
    pub const fn is_precondition_failed(&self) -> bool {
        matches!(self, Self::PreconditionFailed { .. })
    }
}

impl ServiceError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::PreconditionFailed { .. } | Self::NotModified { .. } => ErrorKind::PreconditionFailed,
            Self::Body(error) if error.kind() == io::ErrorKind::TimedOut => ErrorKind::RequestTimeout,
            Self::InvalidKey(_) | Self::ChecksumMismatch { .. } | Self::Body(_) | Self::Unsupported(_) => {
                ErrorKind::InvalidInput
            }
            Self::InvalidRange { .. } => ErrorKind::RangeNotSatisfiable,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Unavailable { .. } | Self::NoSpace { .. } => ErrorKind::Unavailable,
            Self::Timeout => ErrorKind::Timeout,
            Self::Backend { .. } => ErrorKind::Internal,
        }
    }

    fn extensions(&self) -> Map<String, Value> {
        let members: &[(&str, Value)] = match self {
            Self::ChecksumMismatch { expected, actual } => {
                &[("expected_sha256", expected.as_str().into()), ("actual_sha256", actual.as_str().into())]
            }
            Self::TooLarge { limit } => &[("limit", (*limit).into())],
            Self::InvalidRange { size } => &[("size", (*size).into())],
            _ => &[],
        };
        members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn detail(&self) -> String {
        match self {
            Self::Unavailable { .. } => "the object store is not available".to_owned(),
            Self::NoSpace { .. } => "the object store is full; nothing was written".to_owned(),
            // Our own words, such as sizes; a transport's would tell the caller nothing.
            Self::Body(error) if error.kind() == io::ErrorKind::InvalidData => error.to_string(),
            Self::Body(error) if error.kind() == io::ErrorKind::TimedOut => "the request body stood still".to_owned(),
            Self::Body(_) => "the request body ended early".to_owned(),
            Self::Backend { .. } => "the object store failed; the log has it under this request id".to_owned(),
            other => other.to_string(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(retry_after.unwrap_or(Duration::from_secs(1))),
            // Somebody has to make room first.
            Self::NoSpace { .. } => Some(Duration::from_secs(60)),
            _ => None,
        }
    }
}
