use std::time::Duration;

use lakehouse_types::{ErrorKind, ServiceError, ingest::BadRow};
use serde_json::{Map, Value};

/// Why an ingest failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option or the file as a whole is not something this service takes.
    #[error("{0}")]
    Invalid(String),
    /// Rows that don't fit, in a file that was not to be skipped over.
    #[error("{}", describe_rows(.0))]
    BadRows(Vec<BadRow>),
    /// The file is over a cap that keeps memory bounded.
    #[error("{0}")]
    TooLarge(String),
    /// Too much is going on already.
    #[error("{reason}")]
    Busy {
        /// What is at its limit.
        reason: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The caller went away, or the service is shutting down.
    #[error("the ingest was cancelled before it was committed; nothing has changed")]
    Cancelled,
    /// The object store.
    #[error("store: {0}")]
    Store(#[from] lakehouse_objstore::Error),
    /// The catalog.
    #[error("catalog: {0}")]
    Catalog(Box<dyn ServiceError>),
    /// The store or the catalog, after the catalog was asked to register the file: it may have.
    #[error("{0}")]
    Unconfirmed(Box<Error>),
    /// The catalog can't read these datasets, so nobody knows which files they name.
    #[error("the catalog can't read {}: nothing is removed while that is so", .0.join(", "))]
    Damaged(Vec<String>),
    /// The local disk, or a bug.
    #[error("{action}: {source}")]
    Internal {
        /// Verb and noun: "read spool file".
        action: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Wraps a cause with what was being done.
    pub fn internal(action: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal { action, source: source.into() }
    }

    /// What an error after the registration began means.
    pub(crate) fn unconfirmed(self) -> Self {
        Self::Unconfirmed(Box::new(self))
    }

    /// An error of the registration itself. A refusal is final; anything else may have been carried
    /// out all the same.
    pub(crate) fn of_registration(error: Box<dyn ServiceError>) -> Self {
        match error.kind() {
            ErrorKind::Conflict | ErrorKind::InvalidInput | ErrorKind::TooLarge => Self::Catalog(error),
            _ => Self::Catalog(error).unconfirmed(),
        }
    }

    /// Which of the services below failed, in words for the caller.
    fn outage(&self) -> Option<&'static str> {
        match (self, self.kind()) {
            (Self::Store(_), ErrorKind::Unavailable) => Some("the object store is not available"),
            (Self::Store(_), _) => Some("the object store failed"),
            (Self::Catalog(_), ErrorKind::Unavailable) => Some("the catalog is not available"),
            (Self::Catalog(_), ErrorKind::BadGateway) => Some("the catalog failed"),
            _ => None,
        }
    }

    /// For `map_err`: wraps a cause with what was being done.
    pub(crate) fn during<E>(action: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::internal(action, source)
    }
}

fn describe_rows(rows: &[BadRow]) -> String {
    let listed: Vec<String> = rows.iter().map(|row| format!("line {}: {}", row.line, row.reason)).collect();
    listed.join("; ")
}

impl ServiceError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::BadRows(_) => ErrorKind::InvalidInput,
            Self::TooLarge(_) => ErrorKind::TooLarge,
            Self::Busy { .. } | Self::Cancelled => ErrorKind::Unavailable,
            Self::Store(error) => upstream(error.kind()),
            Self::Catalog(error) => match error.kind() {
                // What the catalog says about the caller's own request is the caller's to read.
                kind @ (ErrorKind::Conflict | ErrorKind::InvalidInput | ErrorKind::TooLarge) => kind,
                kind => upstream(kind),
            },
            Self::Unconfirmed(error) => error.kind(),
            Self::Damaged(_) | Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    fn detail(&self) -> String {
        if let Some(outage) = self.outage() {
            return format!("{outage}; nothing has changed");
        }
        match self {
            // Only drift names columns.
            Self::Catalog(error)
                if self.kind() == ErrorKind::Conflict && error.extensions().contains_key("columns") =>
            {
                format!("{}; `types=` declares what a column is, or use another name", error.detail())
            }
            Self::Catalog(error) => error.detail(),
            Self::Unconfirmed(error) => {
                let cause = error.outage().map_or_else(|| error.detail(), str::to_owned);
                format!("{cause}; the file may have been taken all the same: sending it again is safe")
            }
            Self::Internal { .. } => "an internal error; the log has it under this request id".to_owned(),
            other => other.to_string(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => Some(*retry_after),
            Self::Store(error) if self.kind() == ErrorKind::Unavailable => Some(wait(error.retry_after())),
            Self::Catalog(error) if self.kind() == ErrorKind::Unavailable => Some(wait(error.retry_after())),
            Self::Cancelled => Some(DEFAULT_WAIT),
            Self::Unconfirmed(error) => error.retry_after(),
            _ => None,
        }
    }

    fn extensions(&self) -> Map<String, Value> {
        let mut members = Map::new();
        match self {
            Self::BadRows(rows) => {
                members.insert("rows".to_owned(), serde_json::to_value(rows).unwrap_or_default());
            }
            Self::Catalog(error) => return error.extensions(),
            _ => {}
        }
        members
    }
}

/// How long a caller waits where an upstream doesn't say.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

fn wait(hint: Option<Duration>) -> Duration {
    hint.unwrap_or(DEFAULT_WAIT)
}

/// An upstream that can't be reached, or is too slow, is worth a retry by the caller. Anything
/// else that it says is not the caller's doing.
const fn upstream(kind: ErrorKind) -> ErrorKind {
    match kind {
        ErrorKind::Unavailable | ErrorKind::Timeout => ErrorKind::Unavailable,
        _ => ErrorKind::BadGateway,
    }
}
