//! A request's body, shared between the store and what drains the rest of it.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use lakehouse_objstore::{ByteStream, Error};
use tower_http::timeout::TimeoutError;

/// What is still read of a body that was refused. A connection closed with bytes unread is reset,
/// and the caller, still sending, may never see why it was refused.
const DRAIN_BYTES: usize = 16 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// A body of which what one reader leaves another can read. All clones are one.
#[derive(Clone)]
pub(crate) struct Incoming(Arc<Mutex<BodyDataStream>>);

impl Incoming {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body.into_data_stream())))
    }

    /// The body for the store; it fails past `limit` bytes.
    pub(crate) fn up_to(&self, limit: u64) -> ByteStream {
        let mut received = 0_u64;
        let pieces = self.clone().map(move |piece| {
            let piece = piece.map_err(failure)?;
            received += piece.len() as u64;
            if received > limit { Err(io::Error::other(OverLimit(limit))) } else { Ok(piece) }
        });
        pieces.boxed()
    }

    /// Reads on for a while, to nowhere.
    pub(crate) async fn drain(mut self) {
        let read = async {
            let mut bytes = 0;
            while let Some(Ok(piece)) = self.next().await {
                bytes += piece.len();
                if bytes > DRAIN_BYTES {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_TIME, read).await;
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.poll_next_unpin(cx)
    }
}

/// The body is longer than it may be.
#[derive(Debug, thiserror::Error)]
#[error("the body is larger than {0} bytes")]
struct OverLimit(u64);

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

/// A body that stood still tells of a slow caller, one that broke off of none.
fn failure(error: axum::Error) -> io::Error {
    let mut causes = std::iter::successors(Some(&error as &(dyn StdError + 'static)), |cause| (*cause).source());
    let kind = match causes.any(|cause| cause.is::<TimeoutError>()) {
        true => io::ErrorKind::TimedOut,
        false => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn draining_reads_what_was_left_and_no_more_than_its_share() {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let mut incoming = Incoming::new(Body::from_stream(receiver));
        let piece = Bytes::from(vec![0; 1 << 20]);
        for _ in 0..20 {
            sender.unbounded_send(io::Result::Ok(piece.clone())).unwrap();
        }
        drop(sender);
        assert!(incoming.next().await.is_some());
        incoming.clone().drain().await;
        let mut left = 0;
        while incoming.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, 20 - 1 - 17, "the piece that is over the share ends it");
    }

    #[tokio::test(start_paused = true)]
    async fn draining_does_not_wait_for_ever() {
        let still = Body::from_stream(futures::stream::pending::<io::Result<Bytes>>());
        let began = tokio::time::Instant::now();
        Incoming::new(still).drain().await;
        assert_eq!(began.elapsed(), DRAIN_TIME);
    }
}
