use std::{sync::Arc, time::Duration};

use lakehouse_types::{ErrorKind, ServiceError};

use crate::{
    advice,
    duck::{Failure, FailureKind},
    options::Allowance,
};

/// Why a query has no answer, or none to its end.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The statement is not allowed, does not parse, or fails on its own account. The text is
    /// DuckDB's, or says what is not allowed.
    #[error("{0}")]
    Statement(String),
    /// It names something that is no dataset.
    #[error("there is no dataset `{name}`{}", hint(.similar))]
    UnknownDataset {
        /// As the statement spells it.
        name: String,
        /// Datasets with a name much like it.
        similar: Vec<String>,
    },
    /// It names a dataset whose newest version the catalog can't read.
    #[error("the catalog can't read dataset `{name}`; catalogd's /readyz says why")]
    DamagedDataset {
        /// As the statement spells it.
        name: String,
    },
    /// The answer is over its limit.
    #[error("the result is larger than {limit} bytes: select less, or aggregate")]
    ResultTooLarge {
        /// In bytes of the encoding asked for.
        limit: u64,
    },
    /// It needs more memory than one query may have.
    #[error(
        "the query needs more memory than the {limit} bytes that one query may have: read fewer columns or rows, or \
         aggregate less at once"
    )]
    Memory {
        /// In bytes.
        limit: u64,
    },
    /// Its working set needs more room on disk than one query may have.
    #[error(
        "the working set of the query needs more than the {limit} bytes on disk that one query may have: sort, join \
         or aggregate fewer rows"
    )]
    Spill {
        /// In bytes.
        limit: u64,
    },
    /// It did not end in time.
    #[error("the query was stopped after {} s", .limit.as_secs())]
    Timeout {
        /// The longest a query may take.
        limit: Duration,
    },
    /// Too many queries at once.
    #[error("too many queries at once: {running} run and {queued} wait")]
    Busy {
        /// Queries that run.
        running: usize,
        /// Queries that wait.
        queued: usize,
    },
    /// The caller went away.
    #[error("the caller went away")]
    Cancelled,
    /// The files that one query reads don't fit the cache together.
    #[error("dataset files of {needed} bytes do not fit the query cache of {limit} bytes")]
    CacheTooSmall {
        /// Bytes of the files.
        needed: u64,
        /// Bytes that the cache may hold.
        limit: u64,
    },
    /// The cache can't take a file right now.
    #[error("the query cache can't take a file: {reason}")]
    CacheFull {
        /// For the log.
        reason: String,
    },
    /// The store does not have a file that the catalog names, or its bytes are not those that
    /// were registered.
    #[error("dataset file {key}: {reason}")]
    BadFile {
        /// Its key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of a dataset can't be read.
    #[error("dataset `{name}`: {reason}")]
    DamagedFile {
        /// As the statement spells it; several, with commas, where one can't tell which.
        name: String,
        /// For the log.
        reason: String,
    },
    /// Another service failed.
    #[error("{source}")]
    Dependency {
        /// What that means to the caller.
        kind: ErrorKind,
        /// In words for the caller.
        detail: String,
        /// When to try again.
        retry_after: Option<Duration>,
        /// The failure itself.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Something outside killed the process that ran it, as the kernel does when the machine's
    /// memory runs out.
    #[error("the process that ran the query was killed")]
    Killed,
    /// A bug, or a process that is broken.
    #[error("{0}")]
    Internal(String),
}

fn hint(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        names => format!("; did you mean `{}`?", names.join("` or `")),
    }
}

impl Error {
    /// Wraps the failure of another service: its kind, words and advice are passed on.
    pub fn dependency(error: impl ServiceError) -> Self {
        let kind = match error.kind() {
            // What was asked of the other service was this one's idea, not the caller's.
            ErrorKind::Unavailable => ErrorKind::Unavailable,
            ErrorKind::Timeout => ErrorKind::Timeout,
            ErrorKind::Internal => ErrorKind::Internal,
            _ => ErrorKind::BadGateway,
        };
        Self::Dependency { kind, detail: error.detail(), retry_after: error.retry_after(), source: Arc::new(error) }
    }

    /// An error of the engine, whose limits are known here.
    pub(crate) fn of_failure(failure: Failure, limits: &Limits) -> Self {
        match failure.kind {
            FailureKind::Sql => Self::Statement(advice::without(&failure.message)),
            FailureKind::Memory => Self::Memory { limit: limits.allowance.memory_bytes },
            FailureKind::Spill => Self::Spill { limit: limits.allowance.spill_bytes },
            FailureKind::TooLarge => Self::ResultTooLarge { limit: limits.result },
            FailureKind::Interrupted => Self::Cancelled,
            FailureKind::File => Self::DamagedFile { name: failure.table.unwrap_or_default(), reason: failure.message },
            FailureKind::Io | FailureKind::Internal => Self::Internal(failure.message),
        }
    }
}

/// What one query may have, for the words of its error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of its answer.
    pub(crate) result: u64,
    /// What its worker may use.
    pub(crate) allowance: Allowance,
}

impl ServiceError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Statement(_) | Self::UnknownDataset { .. } => ErrorKind::InvalidInput,
            Self::ResultTooLarge { .. } | Self::Memory { .. } | Self::Spill { .. } | Self::CacheTooSmall { .. } => {
                ErrorKind::TooLarge
            }
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Busy { .. } | Self::Cancelled | Self::CacheFull { .. } | Self::Killed => ErrorKind::Unavailable,
            Self::BadFile { .. } | Self::DamagedFile { .. } | Self::DamagedDataset { .. } => ErrorKind::BadGateway,
            Self::Dependency { kind, .. } => *kind,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::CacheFull { .. } => "the query cache has no room right now".to_owned(),
            Self::BadFile { .. } => {
                "a file of the dataset can't be read; the log has it under this request id".to_owned()
            }
            Self::DamagedFile { name, .. } => format!(
                "a file of dataset `{name}` is missing or damaged; to ingest the same file again puts it back, and the \
                 log says more under this request id"
            ),
            Self::Dependency { detail, .. } => detail.clone(),
            Self::Internal(_) => "an internal error; the log has it under this request id".to_owned(),
            other => other.to_string(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Dependency { retry_after, .. } => *retry_after,
            Self::CacheFull { .. } => Some(Duration::from_secs(5)),
            _ => (self.kind() == ErrorKind::Unavailable).then_some(Duration::from_secs(1)),
        }
    }
}
