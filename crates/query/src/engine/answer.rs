use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

use super::{
    Outcome, Tally,
    relay::{Item, Relay, Stop},
};
use crate::{Error, Format};

/// Bytes of an answer that are held back until they, or its end, are there. What goes wrong
/// before that is a proper error; later it can only break the answer off.
const HELD_BACK: usize = 512 << 10;

/// Pieces on their way from the relay.
const PIECES: usize = 4;

/// A result that has begun.
pub(super) struct Rows {
    head: VecDeque<Bytes>,
    /// `None` where the head is all.
    rest: Option<mpsc::Receiver<Result<Item, Stop>>>,
}

impl Rows {
    pub(super) async fn begin(relay: Relay) -> Result<Self, Stop> {
        let (to, mut rest) = mpsc::channel(PIECES);
        tokio::spawn(relay.run(to));
        let (mut head, mut held) = (VecDeque::new(), 0);
        while held < HELD_BACK {
            match rest.recv().await {
                Some(Ok(Item::Piece(piece))) => {
                    held += piece.len();
                    head.push_back(piece);
                }
                Some(Ok(Item::End)) => return Ok(Self { head, rest: None }),
                Some(Err(stop)) => return Err(stop),
                None => return Err(vanished().into()),
            }
        }
        Ok(Self { head, rest: Some(rest) })
    }
}

fn vanished() -> Error {
    Error::Internal("a result ended without an end".to_owned())
}

/// The answer to a query: a stream of bytes in the format asked for. An error in it means that
/// the result is incomplete; whoever passes it on must not make it look whole. Dropping it stops
/// the query.
pub struct Answer {
    format: Format,
    rows: Rows,
    tally: Tally,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Answer {
    pub(super) fn new(format: Format, rows: Rows, tally: Tally) -> Self {
        Self { format, rows, tally }
    }

    /// The format asked for.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The length in bytes, where all of it is there already.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        let whole = self.rows.rest.is_none();
        whole.then(|| self.rows.head.iter().map(|piece| piece.len() as u64).sum())
    }
}

impl Stream for Answer {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(piece) = self.rows.head.pop_front() {
            return Poll::Ready(Some(Ok(piece)));
        }
        let Some(rest) = &mut self.rows.rest else {
            self.tally.end(Outcome::Complete);
            return Poll::Ready(None);
        };
        let error = match ready!(rest.poll_recv(context)) {
            Some(Ok(Item::Piece(piece))) => return Poll::Ready(Some(Ok(piece))),
            Some(Ok(Item::End)) => {
                self.rows.rest = None;
                self.tally.end(Outcome::Complete);
                return Poll::Ready(None);
            }
            Some(Err(stop)) => stop.error,
            None => vanished(),
        };
        self.rows.rest = None;
        self.tally.end(Outcome::of(&error));
        Poll::Ready(Some(Err(error)))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // One that is whole was complete whether it was read to its end or not.
        if self.rows.rest.is_none() {
            self.tally.end(Outcome::Complete);
        }
    }
}
