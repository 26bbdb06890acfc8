use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    Error, Options,
    cache::Pin,
    duck::{Failure, FailureKind},
    error::Limits,
    worker::{Event, Lease, Worker, protocol::Response},
};

/// How long a worker has to stop after it was told to; then it is killed. Long enough for any
/// statement that listens: DuckDB looks for interrupts after each 2,048 rows.
const GRACE: Duration = Duration::from_millis(500);

/// How many times as long as a query may last its reader may take, and how many bytes it must take in
/// each second beyond that.
const PATIENCE: u32 = 10;
const SLOWEST_BYTES_PER_SECOND: u64 = 64 << 10;

/// Why there is no answer, and whether another try may give one.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) error: Error,
    pub(super) retry: Retry,
}

/// Whether another try may give an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    No,
    /// The same once more.
    Again,
    /// With the memory of all places.
    WithAllMemory,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        // A worker may be killed for what others did, and even between two statements, without
        // anybody knowing before it is spoken to.
        let retry = match error {
            Error::Killed => Retry::Again,
            Error::Memory { .. } => Retry::WithAllMemory,
            _ => Retry::No,
        };
        Self { error, retry }
    }
}

/// What comes out of a relay: pieces, then one end.
#[derive(Debug)]
pub(super) enum Item {
    Piece(Bytes),
    End,
}

/// Takes a result from a worker to whoever reads the answer, and stops the worker when time is
/// up or nobody reads. It runs as a task of its own: an answer that nobody polls must not keep a
/// worker for ever.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) lease: Lease,
    pub(super) pins: Vec<Pin>,
    pub(super) deadline: Instant,
    pub(super) options: Arc<Options>,
    /// How long the reader has been waited for in all.
    pub(super) waited: Duration,
    /// Bytes that it has taken.
    pub(super) taken: u64,
}

impl Relay {
    pub(super) async fn run(mut self, to: mpsc::Sender<Result<Item, Stop>>) {
        let end = self.pump(&to).await.map(|()| Item::End);
        // The place is free before the caller learns of the end: its next query may need it.
        drop(self);
        let _ = to.send(end).await;
    }

    async fn pump(&mut self, to: &mpsc::Sender<Result<Item, Stop>>) -> Result<(), Stop> {
        loop {
            let worker = self.lease.worker()?;
            let event = tokio::select! {
                event = worker.next() => event,
                () = tokio::time::sleep_until(self.deadline) => {
                    self.stop().await;
                    return Err(Error::Timeout { limit: self.options.timeout }.into());
                }
                () = to.closed() => {
                    self.stop().await;
                    return Err(Error::Cancelled.into());
                }
            };
            match event {
                Ok(Event::Data(piece)) => self.pass_on(piece, to).await?,
                Ok(Event::Response(Response::Done { .. })) => return Ok(()),
                Ok(Event::Response(Response::Failed(failure))) => return Err(self.failed(failure)),
                Ok(Event::Response(other)) => {
                    self.lease.retire();
                    return Err(Error::Internal(format!("worker answered a run with {other:?}")).into());
                }
                Err(error) => {
                    self.lease.retire();
                    return Err(self.stopped_by(error));
                }
            }
        }
    }

    /// Hands a piece on. The time that the reader takes is not the query's; but one that takes
    /// nothing for as long as a whole query may last, or next to nothing for ten times as long, holds a
    /// place that others wait for. Who holds all places is waited for once as long, not ten times.
    async fn pass_on(&mut self, piece: Bytes, to: &mpsc::Sender<Result<Item, Stop>>) -> Result<(), Stop> {
        let began = Instant::now();
        let size = piece.len() as u64;
        let times = if self.lease.has_all() { 1 } else { PATIENCE };
        let patience = times * self.options.timeout + Duration::from_secs(self.taken / SLOWEST_BYTES_PER_SECOND);
        let patience = patience.saturating_sub(self.waited).min(self.options.timeout);
        let sent = tokio::time::timeout(patience, to.send(Ok(Item::Piece(piece)))).await;
        let waited = began.elapsed();
        self.waited += waited;
        self.deadline += waited;
        self.taken += size;
        if matches!(sent, Ok(Ok(()))) {
            return Ok(());
        }
        self.stop().await;
        Err(Error::Cancelled.into())
    }

    fn failed(&mut self, failure: Failure) -> Stop {
        let limits = Limits { result: self.options.max_result_bytes, allowance: self.lease.allowance() };
        // After these, DuckDB's instance is in a state that nobody has tested.
        if matches!(failure.kind, FailureKind::Memory | FailureKind::Internal) {
            self.lease.retire();
        }
        if failure.kind == FailureKind::Interrupted {
            // By nobody here. One thread of the statement has failed and stopped the others, and DuckDB
            // now and then tells of their end and not of its cause.
            let error = Error::Internal(format!("a statement ended without a reason: {failure}"));
            return Stop { error, retry: Retry::Again };
        }
        if failure.kind == FailureKind::File {
            self.pins.iter().for_each(Pin::doubt);
            return Stop { error: Error::of_failure(failure, &limits), retry: Retry::Again };
        }
        self.stopped_by(Error::of_failure(failure, &limits))
    }

    /// Who had the memory of all has nothing more to hope for.
    fn stopped_by(&self, error: Error) -> Stop {
        let stop = Stop::from(error);
        match stop.retry {
            Retry::WithAllMemory if self.lease.has_all() => Stop { retry: Retry::No, ..stop },
            _ => stop,
        }
    }

    /// Stops the worker's run, or else the worker.
    async fn stop(&mut self) {
        let stopped = match self.lease.worker() {
            Ok(worker) => tokio::time::timeout(GRACE, wind_down(worker)).await,
            Err(_) => return,
        };
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("killing a worker that did not stop");
            self.lease.retire();
        }
    }
}

async fn wind_down(worker: &mut Worker) -> Result<(), Error> {
    worker.cancel().await?;
    while !matches!(worker.next().await?, Event::Response(_)) {}
    Ok(())
}
