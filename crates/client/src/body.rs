//! Streamed bodies, with a limit on how long they may stand still.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use lakehouse_objstore::ByteStream;
use tokio::time::Instant;

use crate::transport::reason;

/// A body on its way out. It can be sent once; until its first piece was asked for it can be
/// given to another attempt.
#[derive(Clone)]
pub(crate) struct Upload(Arc<Mutex<State>>);

struct State {
    source: ByteStream,
    /// What the caller announced.
    size: Option<u64>,
    sent: u64,
    /// The piece that completes the announced size, until the source has shown that nothing follows:
    /// the connection asks for no more once it has sent so much.
    last: Option<Bytes>,
    begun: bool,
    ended: bool,
    /// True while the caller has no further piece: that is no fault of the service.
    starved: bool,
    moved: Instant,
    /// Why the source failed. It goes to the caller; the request only learns that it is over.
    failure: Option<io::Error>,
}

impl Upload {
    pub(crate) fn new(source: ByteStream, size: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(State {
            source,
            size,
            sent: 0,
            last: None,
            begun: false,
            ended: false,
            starved: false,
            moved: Instant::now(),
            failure: None,
        })))
    }

    /// The body for one attempt.
    pub(crate) fn body(&self) -> reqwest::Body {
        reqwest::Body::wrap_stream(Pieces(Arc::clone(&self.0)))
    }

    pub(crate) fn begun(&self) -> bool {
        self.lock().begun
    }

    /// Bytes that were handed to the connection.
    pub(crate) fn sent(&self) -> u64 {
        self.lock().sent
    }

    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.lock().failure.take()
    }

    /// Runs `work`, which sends this body, until it is done or the service takes no further piece
    /// for `idle`, or gives no answer for `commit` after the last piece. The error is the limit.
    pub(crate) async fn watch<T>(
        &self,
        idle: Duration,
        commit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let mut work = std::pin::pin!(work);
        self.lock().moved = Instant::now();
        loop {
            let (limit, since) = {
                let state = self.lock();
                let limit = if state.ended { commit } else { idle };
                (limit, if state.starved { Instant::now() } else { state.moved })
            };
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep_until(since + limit) => {
                    let state = self.lock();
                    let limit = if state.ended { commit } else { idle };
                    if !state.starved && state.moved.elapsed() >= limit {
                        return Err(limit);
                    }
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Pieces(Arc<Mutex<State>>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.begun = true;
        while !state.ended {
            state.starved = true;
            let piece = ready!(state.source.poll_next_unpin(cx));
            state.starved = false;
            state.moved = Instant::now();
            if let Some(Ok(empty)) = &piece
                && empty.is_empty()
            {
                continue;
            }
            match state.account(piece) {
                Some(Ok(piece)) if !state.ended && state.size == Some(state.sent) => state.last = Some(piece),
                other => return Poll::Ready(other),
            }
        }
        Poll::Ready(None)
    }
}

impl State {
    /// Holds the body to its announced size: the connection would cut a longer one silently.
    fn account(&mut self, piece: Option<io::Result<Bytes>>) -> Option<io::Result<Bytes>> {
        let size = self.size.unwrap_or(u64::MAX);
        let wrong =
            |found: &str| io::Error::new(io::ErrorKind::InvalidData, format!("it has {found} than {size} bytes"));
        let failure = match piece {
            Some(Ok(bytes)) if self.sent + bytes.len() as u64 <= size => {
                self.sent += bytes.len() as u64;
                return Some(Ok(bytes));
            }
            None if self.size.is_none() || self.sent == size => {
                self.ended = true;
                return self.last.take().map(Ok);
            }
            Some(Ok(_)) => wrong("more"),
            None => wrong("fewer"),
            Some(Err(error)) => error,
        };
        self.failure = Some(failure);
        Some(Err(io::Error::other("the source of the body failed")))
    }
}

/// The body of an answer, in pieces, none of which may take longer than `idle`.
pub(crate) fn download(response: reqwest::Response, idle: Duration) -> ByteStream {
    futures::stream::try_unfold(response, move |mut response| async move {
        let piece = tokio::time::timeout(idle, response.chunk()).await.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, format!("no piece of the body for {} ms", idle.as_millis()))
        })?;
        let piece = piece.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, reason(error)))?;
        Ok(piece.map(|bytes| (bytes, response)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures::{TryStreamExt as _, stream};

    use super::*;

    fn source(pieces: Vec<io::Result<&'static str>>) -> ByteStream {
        stream::iter(pieces.into_iter().map(|piece| piece.map(|text| Bytes::from_static(text.as_bytes())))).boxed()
    }

    async fn run(pieces: Vec<io::Result<&'static str>>, size: Option<u64>) -> (Option<Vec<u8>>, Upload) {
        let upload = Upload::new(source(pieces), size);
        let bytes: Result<Vec<Bytes>, _> = Pieces(Arc::clone(&upload.0)).try_collect().await;
        (bytes.ok().map(|pieces| pieces.concat()), upload)
    }

    #[tokio::test]
    async fn a_body_is_held_to_its_size() {
        for (size, whole) in [(None, true), (Some(4), true), (Some(3), false), (Some(5), false)] {
            let (bytes, upload) = run(vec![Ok("ab"), Ok("cd")], size).await;
            assert_eq!(bytes.is_some(), whole, "{size:?}");
            assert_eq!(upload.take_failure().is_none(), whole, "{size:?}");
            assert!(upload.begun());
        }
    }

    #[tokio::test]
    async fn the_piece_that_completes_the_size_ends_the_body() {
        let upload = Upload::new(source(vec![Ok("ab"), Ok(""), Ok("cd"), Ok("")]), Some(4));
        let mut pieces = Pieces(Arc::clone(&upload.0));
        for piece in ["ab", "cd"] {
            assert!(!upload.lock().ended);
            assert_eq!(pieces.next().await.unwrap().unwrap(), piece);
        }
        // A connection that has sent what was announced does not come back for the end.
        assert!(upload.lock().ended);
        assert!(pieces.next().await.is_none());
        // Nor for a surplus: it must show before the last piece is handed out.
        let upload = Upload::new(source(vec![Ok("ab"), Ok("cd"), Ok("e")]), Some(4));
        let mut pieces = Pieces(Arc::clone(&upload.0));
        assert_eq!(pieces.next().await.unwrap().unwrap(), "ab");
        assert!(pieces.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_caller_s_own_error_is_kept_for_the_caller() {
        let (bytes, upload) = run(vec![Ok("ab"), Err(io::Error::other("tape torn"))], None).await;
        assert_eq!(bytes, None);
        assert_eq!(upload.sent(), 2);
        assert_eq!(upload.take_failure().unwrap().to_string(), "tape torn");
    }

    #[tokio::test]
    async fn standing_still_is_the_service_s_fault_unless_the_caller_is_slow() {
        let short = Duration::from_millis(100);
        // Nobody polls the body: the service takes nothing.
        let upload = Upload::new(source(vec![Ok("ab")]), None);
        assert_eq!(upload.watch(short, short, std::future::pending::<()>()).await, Err(short));

        // The caller has no piece for five times the limit, and then all is well.
        let slow = stream::once(async move {
            tokio::time::sleep(short * 5).await;
            Ok(Bytes::from_static(b"late"))
        });
        let upload = Upload::new(slow.boxed(), None);
        let pieces = Pieces(Arc::clone(&upload.0));
        let all = upload.watch(short, short, pieces.try_collect::<Vec<_>>()).await;
        assert_eq!(all.unwrap().unwrap().concat(), b"late");
    }
}
