use std::time::Duration;

use lakehouse_types::{ErrorKind, InvalidName, ServiceError};

/// What can go wrong with an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request breaks a rule; the text says which, and where.
    #[error("{0}")]
    Invalid(String),
    /// The index's name breaks a rule.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no such index.
    #[error("there is no index `{0}`")]
    NoIndex(String),
    /// There is no such item.
    #[error("index `{index}` has no item `{id}`")]
    NoItem {
        /// The index.
        index: String,
        /// The item.
        id: String,
    },
    /// The index is being created or removed at this moment.
    #[error("index `{0}` is being created or removed")]
    Busy(String),
    /// There is such an index already.
    #[error("there is an index `{0}` already")]
    Exists(String),
    /// The index's file is bad; it is kept, and the index does not serve.
    #[error("index `{name}` is quarantined: {reason}")]
    Quarantined {
        /// The index.
        name: String,
        /// What is wrong with its file.
        reason: String,
    },
    /// A file can't be read: torn, damaged, or not of this kind.
    #[error("read `{object}`: {reason}")]
    BadFrame {
        /// The object's key.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The index can't take more.
    #[error("the index is full: {0}")]
    Full(&'static str),
    /// The graph has not kept up with what was added, and takes no more for now. Nothing changed.
    #[error("index `{0}` takes no items until its graph has caught up with those that it has; nothing was changed")]
    Behind(String),
    /// Somebody else writes to this index; this process stopped doing so.
    #[error("index `{0}` is written by another process")]
    Fenced(String),
    /// The store can't be reached, or is overloaded, or did not answer. Nothing changed here.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The store failed in a way that trying again does not cure.
    #[error("{action}: {source}")]
    Store {
        /// Verb and noun.
        action: &'static str,
        /// The cause.
        source: lakehouse_objstore::Error,
    },
    /// A task died; a bug.
    #[error("{0}")]
    Internal(&'static str),
}

impl Error {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// Sorts a failure of the store into those worth a retry and the others.
    pub(crate) fn store(action: &'static str, source: lakehouse_objstore::Error) -> Self {
        match source.kind() {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::BadGateway => Self::Unavailable {
                retry_after: source.retry_after().unwrap_or(Duration::from_secs(1)),
                reason: format!("{action}: {source}"),
            },
            _ => Self::Store { action, source },
        }
    }
}

impl ServiceError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) | Self::Name(_) => ErrorKind::InvalidInput,
            Self::NoIndex(_) | Self::NoItem { .. } => ErrorKind::NotFound,
            Self::Exists(_) => ErrorKind::Conflict,
            Self::Full(_) => ErrorKind::TooLarge,
            Self::Busy(_) | Self::Quarantined { .. } | Self::Behind(_) | Self::Fenced(_) | Self::Unavailable { .. } => {
                ErrorKind::Unavailable
            }
            Self::BadFrame { .. } | Self::Store { .. } | Self::Internal(_) => ErrorKind::Internal,
        }
    }

    fn detail(&self) -> String {
        match self {
            // Whether a call got through whose answer was lost nobody knows; done twice, it does no more.
            Self::Unavailable { .. } => "the object store is not available; trying again is safe".to_owned(),
            Self::Quarantined { name, .. } => format!("index `{name}` is quarantined: its file can't be read"),
            _ if self.kind() == ErrorKind::Internal => {
                "an internal error; the log has it under this request id".to_owned()
            }
            other => other.to_string(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
            Self::Busy(_) => Some(Duration::from_secs(1)),
            // Linking as much as may wait takes about this long.
            Self::Behind(_) => Some(Duration::from_secs(5)),
            // A quarantined or fenced index needs a person first.
            Self::Quarantined { .. } | Self::Fenced(_) => Some(Duration::from_secs(60)),
            _ => None,
        }
    }
}

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;
