use std::time::Duration;

use lakehouse_types::{ErrorKind, ServiceError};

/// Why a provider did not embed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It did not answer in time.
    #[error("{provider} did not answer in time")]
    Silent {
        /// The provider.
        provider: &'static str,
    },
    /// It said no, or could not be reached.
    #[error("{provider} failed: {reason}")]
    Failed {
        /// The provider.
        provider: &'static str,
        /// For the log. It may name addresses; credentials are never in it.
        reason: String,
        /// For the caller.
        public: String,
    },
    /// Its answer can't be what was asked for. The reason is this side's own words.
    #[error("{provider} answered with nonsense: {reason}")]
    Nonsense {
        /// The provider.
        provider: &'static str,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl ProviderError {
    /// A failure whose reason the caller may read.
    pub(crate) fn failed(provider: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Failed { provider, public: reason.clone(), reason }
    }

    pub(crate) fn nonsense(provider: &'static str, reason: impl Into<String>) -> Self {
        Self::Nonsense { provider, reason: reason.into() }
    }

    /// The label in the metrics.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "silent",
            Self::Failed { .. } => "failed",
            Self::Nonsense { .. } => "nonsense",
        }
    }
}

/// Why texts were not embedded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is nothing to embed.
    #[error("there is no text to embed")]
    NoTexts,
    /// A text says nothing. Its vector would be noise that a search then finds.
    #[error("the text at position {position} is empty")]
    EmptyText {
        /// Its place in the request, from 0.
        position: usize,
    },
    /// More texts than one request may have.
    #[error("{count} texts are more than the {max} of one request")]
    TooManyTexts {
        /// How many there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// A text over the cap.
    #[error("the text at position {position} has {bytes} bytes, more than the {max} of one text")]
    TextTooLong {
        /// Its place in the request, from 0.
        position: usize,
        /// Its length in UTF-8.
        bytes: usize,
        /// The longest that is taken.
        max: usize,
    },
    /// The request names a model that is not served.
    #[error("there is no model `{asked}` here; `{served}` is served")]
    UnknownModel {
        /// What the request says.
        asked: String,
        /// What is there.
        served: String,
    },
    /// The request wants vectors of another length.
    #[error("this model's vectors have {served} dimensions, not {asked}")]
    OtherDimension {
        /// What the request says.
        asked: usize,
        /// What the model has.
        served: usize,
    },
    /// The request has token ids in place of text.
    #[error("token ids are not taken, since they mean something to one tokenizer only: send the text")]
    TokenIds,
    /// Too much is waiting for the provider already.
    #[error("the provider is busy: no call to it became free in time")]
    Busy,
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl ServiceError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoTexts | Self::EmptyText { .. } | Self::OtherDimension { .. } | Self::TokenIds => {
                ErrorKind::InvalidInput
            }
            Self::TooManyTexts { .. } | Self::TextTooLong { .. } => ErrorKind::TooLarge,
            Self::UnknownModel { .. } => ErrorKind::NotFound,
            Self::Busy => ErrorKind::Unavailable,
            Self::Provider(ProviderError::Silent { .. }) => ErrorKind::Timeout,
            Self::Provider(ProviderError::Failed { .. } | ProviderError::Nonsense { .. }) => ErrorKind::BadGateway,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Provider(ProviderError::Failed { provider, public, .. }) => format!("{provider} failed: {public}"),
            other => other.to_string(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Busy).then_some(Duration::from_secs(1))
    }
}

/// Options that can't be served. The text names the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OptionsError(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_reads_only_what_is_meant_for_it() {
        let error = Error::from(ProviderError::Failed {
            provider: "openai",
            reason: "connect to 10.0.0.7: refused".into(),
            public: "it can't be reached".into(),
        });
        assert_eq!(error.kind(), ErrorKind::BadGateway);
        assert_eq!(error.detail(), "openai failed: it can't be reached");
        assert!(error.to_string().contains("10.0.0.7"));
    }

    #[test]
    fn silence_is_a_timeout_and_nonsense_the_providers_fault() {
        assert_eq!(Error::from(ProviderError::Silent { provider: "ollama" }).kind(), ErrorKind::Timeout);
        assert_eq!(Error::from(ProviderError::nonsense("ollama", "NaN")).kind(), ErrorKind::BadGateway);
    }
}
