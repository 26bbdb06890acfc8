use std::{error::Error as StdError, io, time::Duration};

use lakehouse_types::{ErrorKind, ServiceError};
use serde_json::{Map, Value};

/// Why the gateway could not get an answer, or did not ask for one.
///
/// `Display` is for the log; the caller reads [`ServiceError::detail`], which names the service
/// but neither its address nor what the operating system said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A shape that no well-meant request has.
    #[error("request refused: {0}")]
    Refused(&'static str),
    /// No connection; nothing was sent.
    #[error("connect to {service}")]
    Connect {
        /// Whose connection.
        service: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke, or what came back is no HTTP.
    #[error("exchange with {service}")]
    Exchange {
        /// With whom.
        service: &'static str,
        /// What happened.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No answer began in time.
    #[error("{service} gave no answer for {after:?}")]
    Slow {
        /// Who.
        service: &'static str,
        /// The limit.
        after: Duration,
    },
    /// The caller's body ended early, stood still, or was no HTTP.
    #[error("read the caller's body")]
    Upload {
        /// Was it silence?
        stalled: bool,
        /// What happened.
        source: axum::Error,
    },
    /// There is no `gateway.chat_url`.
    #[error("gateway.chat_url is not set")]
    NoChat,
    /// The chat endpoint's answer is about the gateway, not about the caller.
    #[error("the chat endpoint answered {0}")]
    ChatEndpoint(http::StatusCode),
    /// `gateway.chat_url` leads back to this gateway.
    #[error("gateway.chat_url leads back to this gateway")]
    ChatLoop,
}

impl Error {
    /// The caller's body could not be read.
    pub(crate) fn upload(source: axum::Error) -> Self {
        Self::Upload { stalled: is_timeout(&source), source }
    }

    fn service(&self) -> Option<&'static str> {
        match self {
            Self::Connect { service, .. } | Self::Exchange { service, .. } | Self::Slow { service, .. } => {
                Some(service)
            }
            Self::NoChat | Self::ChatEndpoint(_) | Self::ChatLoop => Some(crate::chat::NAME),
            Self::Refused(_) | Self::Upload { .. } => None,
        }
    }
}

/// The layer that bounds a body's silence says so by this type, somewhere below.
fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(cause) = error {
        if cause.is::<tower_http::timeout::TimeoutError>() {
            return true;
        }
        error = cause.source();
    }
    false
}

impl ServiceError for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(_) | Self::Upload { stalled: false, .. } => ErrorKind::InvalidInput,
            Self::Upload { stalled: true, .. } => ErrorKind::RequestTimeout,
            Self::Connect { .. } | Self::Exchange { .. } | Self::ChatEndpoint(_) | Self::ChatLoop => {
                ErrorKind::BadGateway
            }
            Self::Slow { .. } => ErrorKind::Timeout,
            Self::NoChat => ErrorKind::Unavailable,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Refused(why) => (*why).to_owned(),
            Self::Connect { service, .. } => format!("{service} can't be reached; nothing was sent to it"),
            Self::Exchange { service, .. } => {
                format!("the connection to {service} broke before it answered; it may have done the work or not")
            }
            Self::Slow { service, after } => {
                format!("{service} gave no answer for {} s; it may still be working", after.as_secs_f64())
            }
            Self::Upload { stalled: true, .. } => "the request's body stood still for too long".to_owned(),
            Self::Upload { stalled: false, .. } => "the request's body is incomplete or malformed".to_owned(),
            Self::NoChat => "no chat endpoint is configured (gateway.chat_url)".to_owned(),
            Self::ChatEndpoint(status) if status.is_redirection() => {
                "the chat endpoint redirects; gateway.chat_url must be its final URL".to_owned()
            }
            Self::ChatEndpoint(_) => {
                "the chat endpoint does not accept the gateway's credentials (gateway.chat_token)".to_owned()
            }
            Self::ChatLoop => "gateway.chat_url leads back to this gateway".to_owned(),
        }
    }

    /// Where nothing was sent, trying again is safe whatever the method.
    fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Connect { .. }).then_some(Duration::from_secs(1))
    }

    fn extensions(&self) -> Map<String, Value> {
        self.service().map(|name| ("service".to_owned(), name.into())).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_reads_names_the_service_and_nothing_inside() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "127.0.0.1:3211 refused");
        let error = Error::Connect { service: "storaged", source: refused };
        assert_eq!(error.kind(), ErrorKind::BadGateway);
        assert_eq!(error.extensions()["service"], "storaged");
        assert!(error.detail().contains("storaged") && !error.detail().contains("3211"));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        let slow = Error::Slow { service: "queryd", after: Duration::from_millis(1500) };
        assert!(slow.detail().contains("queryd gave no answer for 1.5 s"), "{}", slow.detail());
        assert_eq!(slow.retry_after(), None);
    }
}
