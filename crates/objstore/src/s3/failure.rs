//! The SDK's errors as ours: by status and code, never by text.

use std::{fmt::Write as _, time::Duration};

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::RequestId as _,
};
use aws_smithy_types::error::display::DisplayErrorContext;
use lakehouse_types::ObjectKey;

use super::parts::LARGEST_OBJECT;
use crate::Error;

type Failure<E> = SdkError<E, HttpResponse>;

pub(super) fn status<E>(error: &Failure<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

pub(super) fn code<E: ProvideErrorMetadata>(error: &Failure<E>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// For a request that concerns the object under `key`.
pub(super) fn map<E>(action: &'static str, key: &ObjectKey, error: &Failure<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match (status(error), code(error)) {
        (Some(404), Some("NoSuchBucket" | "NoSuchUpload")) => map_without_key(action, error),
        (Some(404), _) => Error::NotFound { key: key.to_string() },
        (Some(412), _) => Error::PreconditionFailed { key: key.to_string() },
        _ => map_without_key(action, error),
    }
}

pub(super) fn map_without_key<E>(action: &'static str, error: &Failure<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::TimeoutError(_) => Error::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Error::Timeout,
        SdkError::DispatchFailure(failure) if !failure.is_user() => unavailable(action, error),
        SdkError::ResponseError(_) => unavailable(action, error),
        SdkError::ServiceError(_) => match (status(error).unwrap_or_default(), code(error)) {
            (507, _) | (_, Some("XMinioStorageFull" | "QuotaExceeded")) => Error::NoSpace { action },
            (_, Some("EntityTooLarge")) => Error::TooLarge { limit: LARGEST_OBJECT },
            (_, Some("RequestTimeout")) | (408, _) => Error::Timeout,
            (409 | 429 | 500 | 502..=504, _) => unavailable(action, error),
            _ => Error::backend(action, describe(error)),
        },
        _ => Error::backend(action, describe(error)),
    }
}

fn unavailable<E>(action: &'static str, error: &Failure<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let header = error.raw_response().and_then(|response| response.headers().get("retry-after"));
    let retry_after = header.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    Error::Unavailable { reason: format!("{action}: {}", describe(error)), retry_after }
}

/// For the log: what the endpoint said where it said something, else what went wrong on the way.
fn describe<E>(error: &Failure<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(service) = error.as_service_error() else {
        return match error {
            SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
                Some(connector) => chain(connector),
                None => "the request could not be sent".to_owned(),
            },
            other => DisplayErrorContext(other).to_string(),
        };
    };
    let mut text = format!("status {}", status(error).unwrap_or_default());
    for (name, value) in [("code", service.code()), ("message", service.message()), ("request", error.request_id())] {
        if let Some(value) = value {
            let _ = write!(text, ", {name} {value}");
        }
    }
    text
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
