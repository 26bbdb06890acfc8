use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::exchange::Connection;

/// Idle connections; the one used last is the first to be used again, so that a burst's surplus
/// grows old and is closed.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
    size: usize,
    keep: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    pub(super) const fn new(size: usize, keep: Duration) -> Self {
        Self { idle: Mutex::new(Vec::new()), size, keep }
    }

    /// The connection that was used last, unless even that is too old.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        let idle = self.lock().pop()?;
        // The rest are older still, and `close_idle` is about to see to them.
        (idle.since.elapsed() < self.keep).then_some(idle.connection)
    }

    /// Keeps a connection, unless there are enough.
    pub(super) fn put(&self, connection: Box<Connection>) {
        let idle = Idle { connection, since: Instant::now() };
        let mut all = self.lock();
        if all.len() < self.size {
            all.push(idle);
        }
    }

    /// Closes what is too old.
    pub(super) fn close_idle(&self) {
        let mut all = self.lock();
        let old = all.partition_point(|idle| idle.since.elapsed() >= self.keep);
        let closing: Vec<Idle> = all.drain(..old).collect();
        drop(all);
        // Closing a socket is a system call; nobody should wait for the lock meanwhile.
        drop(closing);
    }

    /// A panic of another holder leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
