//! Places to run statements in: how many at once, who waits, which worker is used again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{Worker, protocol::Confinement};
use crate::{Error, Options};

/// How long a worker beyond the first is kept without work.
const KEEP_IDLE: Duration = Duration::from_secs(60);

/// The most memory that the one worker kept for ever may hold without work; over it, a fresh
/// one takes its place.
const MAX_IDLE_RESIDENT: u64 = 128 << 20;

/// The workers.
#[derive(Debug)]
pub(crate) struct Pool {
    options: Arc<Options>,
    places: Arc<Semaphore>,
    queued: AtomicUsize,
    /// The one used last is used next, so that the others get idle and go.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    worker: Worker,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(options: Arc<Options>) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(options.max_concurrent.max(1)));
        Arc::new(Self { options, places, queued: AtomicUsize::new(0), idle: Mutex::new(Vec::new()) })
    }

    /// Starts the first worker, to see that one can be started.
    pub(crate) async fn warm_up(&self) -> Result<Confinement, Error> {
        let worker = Worker::start(&self.options).await?;
        let confinement = worker.confinement();
        self.idle.lock().push(Idle { worker, since: Instant::now() });
        Ok(confinement)
    }

    /// Statements that run.
    pub(crate) fn running(&self) -> usize {
        self.options.max_concurrent.max(1).saturating_sub(self.places.available_permits())
    }

    /// Statements that wait for a place.
    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// A place to run one statement in; waits for it until `deadline`.
    pub(crate) async fn lease(self: &Arc<Self>, deadline: Instant) -> Result<Lease, Error> {
        let place = self.place(deadline).await?;
        let worker = match self.idle_worker() {
            Some(worker) => worker,
            None => Worker::start(&self.options).await?,
        };
        Ok(Lease { worker: Some(worker), pool: Arc::clone(self), _place: place })
    }

    /// One that waits for work. A worker can die without any: the kernel takes it first when
    /// memory runs out.
    fn idle_worker(&self) -> Option<Worker> {
        let mut idle = self.idle.lock();
        std::iter::from_fn(|| idle.pop())
            .map(|idle| idle.worker)
            .find_map(|mut worker| worker.is_alive().then_some(worker))
    }

    async fn place(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
        let places = Arc::clone(&self.places);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Ok(place);
        }
        let waiting = Waiting::enter(&self.queued, self.options.max_queued).ok_or_else(|| self.busy())?;
        let place = tokio::time::timeout_at(deadline, places.acquire_owned()).await;
        drop(waiting);
        match place {
            Ok(Ok(place)) => Ok(place),
            _ => Err(self.busy()),
        }
    }

    fn busy(&self) -> Error {
        Error::Busy { running: self.running(), queued: self.queued() }
    }

    /// Lets go of workers that have nothing to do; to be called now and then.
    pub(crate) async fn tidy(&self) {
        let mut too_large = false;
        let surplus: Vec<Idle> = {
            let mut idle = self.idle.lock();
            let stale = |idle: &Idle| idle.since.elapsed() >= KEEP_IDLE;
            // The first is at the bottom of the stack: the one that was idle longest.
            let mut surplus: Vec<Idle> = Vec::new();
            while idle.len() > 1 && idle.first().is_some_and(stale) {
                surplus.push(idle.remove(0));
            }
            too_large |=
                idle.first().is_some_and(|idle| stale(idle) && idle.worker.resident_bytes() > MAX_IDLE_RESIDENT);
            if too_large {
                surplus.push(idle.remove(0));
            }
            surplus
        };
        drop(surplus);
        if too_large
            && self.idle.lock().is_empty()
            && let Err(error) = self.warm_up().await
        {
            tracing::warn!(%error, "replace idle worker");
        }
    }
}

/// Counts one that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(queued: &'a AtomicUsize, limit: usize) -> Option<Self> {
        queued
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| (queued < limit).then_some(queued + 1))
            .ok()
            .map(|_| Self(queued))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place and a worker. Dropping it gives the place back, and the worker if it is idle; one
/// that is in the middle of something is killed.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Taken when the lease ends.
    worker: Option<Worker>,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Lease {
    /// The worker.
    ///
    /// # Errors
    /// [`Error::Internal`] after [`Self::retire`].
    pub(crate) fn worker(&mut self) -> Result<&mut Worker, Error> {
        self.worker.as_mut().ok_or_else(|| Error::Internal("the worker is gone".to_owned()))
    }

    /// Ends the worker: it is not to be trusted with another statement.
    pub(crate) fn retire(&mut self) {
        self.worker = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take().filter(Worker::is_idle) {
            self.pool.idle.lock().push(Idle { worker, since: Instant::now() });
        }
    }
}
