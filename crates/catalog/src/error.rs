use std::time::Duration;

use lakehouse_objstore as objstore;
use lakehouse_types::{ErrorKind, Name, ObjectKey, ServiceError};
use serde_json::{Map, Value, json};

use crate::Drift;

/// Why the catalog did not do as it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registration itself makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The dataset is there with another schema.
    #[error("schema drift: {0}")]
    Drift(Box<Drift>),
    /// There is a dataset whose name differs only by case; to SQL they are the same.
    #[error("`{name}` differs from the existing `{existing}` only by case")]
    CaseConflict {
        /// The name that was given.
        name: Name,
        /// The name that is there.
        existing: Name,
    },
    /// An object's key is registered already, with another content. Objects are immutable.
    #[error("the object `{key}` is registered with another fingerprint")]
    ObjectConflict {
        /// The object.
        key: ObjectKey,
    },
    /// There is no such dataset.
    #[error("there is no dataset `{0}`")]
    NotFound(Name),
    /// The dataset's newest manifest can't be read.
    #[error("the manifest of `{name}` is damaged: {reason}")]
    Damaged {
        /// The dataset.
        name: Name,
        /// What is wrong with the manifest.
        reason: String,
    },
    /// The dataset has so many files that its manifest would not fit into an object.
    #[error("the manifest would have {size} bytes; the limit is {limit}")]
    TooLarge {
        /// Of the encoded manifest.
        size: usize,
        /// Of any manifest.
        limit: usize,
    },
    /// The manifests are not loaded yet.
    #[error("the catalog is still loading")]
    Loading,
    /// Other catalogs changed this dataset again and again while this one tried to.
    #[error("`{0}` is being changed from elsewhere all the time")]
    Contended(Name),
    /// The store took the change or not; it could not be asked.
    #[error("write manifest: the outcome is unknown: {0}")]
    Unconfirmed(#[source] objstore::Error),
    /// The store failed.
    #[error("{action}: {source}")]
    Store {
        /// Verb and noun.
        action: &'static str,
        /// The store's own error.
        source: objstore::Error,
    },
    /// A bug here.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    pub(crate) const fn store(action: &'static str) -> impl FnOnce(objstore::Error) -> Self {
        move |source| Self::Store { action, source }
    }
}

impl ServiceError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(_) => ErrorKind::InvalidInput,
            Self::Drift(_) | Self::CaseConflict { .. } | Self::ObjectConflict { .. } => ErrorKind::Conflict,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Loading | Self::Contended(_) | Self::Unconfirmed(_) => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::Internal(_) => ErrorKind::Internal,
            Self::Store { source, .. } => match source.kind() {
                kind @ (ErrorKind::Unavailable | ErrorKind::Timeout) => kind,
                // Not the caller's: the catalog chose the key, the condition and the body.
                _ => ErrorKind::BadGateway,
            },
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Damaged { name, .. } => format!(
                "the manifest of `{name}` is damaged; an operator must restore it, or delete the dataset to register it anew"
            ),
            Self::Unconfirmed(_) => {
                "the object store did not confirm the change; sending the same request again is safe".to_owned()
            }
            Self::Store { .. } if self.kind() == ErrorKind::BadGateway => {
                "the object store failed; the log has it under this request id".to_owned()
            }
            Self::Store { source, .. } => source.detail(),
            Self::Internal(_) => "an internal error; the log has it under this request id".to_owned(),
            other => other.to_string(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Store { source, .. } => source.retry_after(),
            _ if self.kind() == ErrorKind::Unavailable => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    fn extensions(&self) -> Map<String, Value> {
        let members = match self {
            Self::Drift(drift) => json!({
                "columns": drift.columns,
                "registered_fingerprint": drift.registered_fingerprint,
                "offered_fingerprint": drift.offered_fingerprint,
            }),
            Self::CaseConflict { existing, .. } => json!({ "existing_name": existing }),
            _ => Value::Null,
        };
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}
