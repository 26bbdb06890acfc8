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
use crate::{Error, Options, options::Allowance};

/// How long a worker beyond the first is kept without work.
const KEEP_IDLE: Duration = Duration::from_secs(60);

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
        let worker = Worker::start(&self.options, self.options.share()).await?;
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
        let place = self.places(1, deadline).await?;
        let worker = match self.idle_worker() {
            Some(worker) => worker,
            None => Worker::start(&self.options, self.options.share()).await?,
        };
        Ok(Lease { worker: Some(worker), has_all: false, pool: Arc::clone(self), _place: place })
    }

    /// All places, for one statement that needs the memory of all; waits for them until `deadline`. Its
    /// worker is fresh, and meanwhile there is no other, so that all together stay within their bound.
    pub(crate) async fn lease_all(self: &Arc<Self>, allowance: Allowance, deadline: Instant) -> Result<Lease, Error> {
        let place = self.places(self.options.max_concurrent.max(1), deadline).await?;
        self.idle.lock().clear();
        let worker = Worker::start(&self.options, allowance).await?;
        Ok(Lease { worker: Some(worker), has_all: true, pool: Arc::clone(self), _place: place })
    }

    /// One that waits for work. A worker can die without any: the kernel takes it first when
    /// memory runs out.
    fn idle_worker(&self) -> Option<Worker> {
        let mut idle = self.idle.lock();
        std::iter::from_fn(|| idle.pop())
            .map(|idle| idle.worker)
            .find_map(|mut worker| worker.is_alive().then_some(worker))
    }

    async fn places(&self, count: usize, deadline: Instant) -> Result<OwnedSemaphorePermit, Error> {
        let places = Arc::clone(&self.places);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if let Ok(place) = Arc::clone(&places).try_acquire_many_owned(count) {
            return Ok(place);
        }
        let waiting = Waiting::enter(&self.queued, self.options.max_queued).ok_or_else(|| self.busy())?;
        let place = tokio::time::timeout_at(deadline, places.acquire_many_owned(count)).await;
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
    pub(crate) fn tidy(&self) {
        let mut surplus: Vec<Idle> = Vec::new();
        let mut idle = self.idle.lock();
        // The first is at the bottom of the stack: the one that was idle longest.
        while idle.len() > 1 && idle.first().is_some_and(|idle| idle.since.elapsed() >= KEEP_IDLE) {
            surplus.push(idle.remove(0));
        }
        drop(idle);
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

/// A place, or all of them, and a worker. Dropping it gives the places back, and the worker if it is
/// idle and as good as a fresh one; one that is in the middle of something is killed.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Taken when the lease ends.
    worker: Option<Worker>,
    has_all: bool,
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

    /// Has it all the places, and so the memory of all?
    pub(crate) const fn has_all(&self) -> bool {
        self.has_all
    }

    /// What its statement may use.
    pub(crate) fn allowance(&self) -> Allowance {
        self.worker.as_ref().map_or_else(|| self.pool.options.share(), |worker| *worker.allowance())
    }

    /// Ends the worker: it is not to be trusted with another statement.
    pub(crate) fn retire(&mut self) {
        self.worker = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(worker) =
            self.worker.take().filter(|worker| worker.is_idle() && worker.is_as_fresh() && !self.has_all)
        {
            self.pool.idle.lock().push(Idle { worker, since: Instant::now() });
        }
    }
}
