//! A request's body on its way into the store.

use std::{error::Error as StdError, io};

use axum::body::Body;
use futures::StreamExt as _;
use lakehouse_objstore::{ByteStream, Error};
use tower_http::timeout::TimeoutError;

/// The body is longer than it may be.
#[derive(Debug, thiserror::Error)]
#[error("the body is larger than {0} bytes")]
struct OverLimit(u64);

/// The body for the store; it fails past `limit` bytes.
pub(crate) fn up_to(limit: u64, body: Body) -> ByteStream {
    let mut received = 0_u64;
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(failure)?;
        received += piece.len() as u64;
        if received > limit { Err(io::Error::other(OverLimit(limit))) } else { Ok(piece) }
    });
    pieces.boxed()
}

/// The store's error, with what only this side knows about the body's.
pub(crate) fn explain(error: Error) -> Error {
    match error {
        Error::Body(cause) => match cause.get_ref().and_then(|inner| inner.downcast_ref::<OverLimit>()) {
            Some(OverLimit(limit)) => Error::TooLarge { limit: *limit },
            None => Error::Body(cause),
        },
        other => other,
    }
}

fn failure(error: axum::Error) -> io::Error {
    let kind = if stood_still(&error) { io::ErrorKind::TimedOut } else { io::ErrorKind::ConnectionAborted };
    io::Error::new(kind, error)
}

/// Then the caller is slow; else it is gone.
fn stood_still(error: &axum::Error) -> bool {
    let mut at: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = at {
        if cause.is::<TimeoutError>() {
            return true;
        }
        at = cause.source();
    }
    false
}
