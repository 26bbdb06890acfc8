//! The threads that link, mend and compact, for all indexes of a registry.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak, atomic::Ordering, mpsc},
};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::collection::Core;

/// How much the threads give way to those that serve searches.
const NICE: i32 = 10;

/// Where indexes that have work are announced. The threads end with the last clone of this.
#[derive(Debug, Clone)]
pub(super) struct Maintenance {
    queue: mpsc::Sender<Weak<Core>>,
}

impl Maintenance {
    /// Starts the threads.
    pub(super) fn start(threads: usize) -> std::io::Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|n| format!("vector-link-{n}"))
            .start_handler(|_| give_way())
            .build()
            .map_err(std::io::Error::other)?;
        let (queue, work) = mpsc::channel();
        std::thread::Builder::new().name("vector-maintain".to_owned()).spawn(move || {
            give_way();
            run(&pool, &work);
        })?;
        Ok(Self { queue })
    }

    pub(super) fn enqueue(&self, core: Weak<Core>) {
        // The receiver only ends after every sender: there is one here.
        let _ = self.queue.send(core);
    }
}

/// Searches come first: on Linux niceness belongs to the thread.
fn give_way() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "lower a thread's priority");
    }
}

/// One step for each index in turn, so that a large one can't starve the others.
fn run(pool: &ThreadPool, work: &mpsc::Receiver<Weak<Core>>) {
    let mut waiting: VecDeque<Weak<Core>> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Ok(core) = work.recv() else { return };
            waiting.push_back(core);
        }
        waiting.extend(work.try_iter());
        let Some(core) = waiting.pop_front() else { continue };
        let Some(alive) = core.upgrade() else { continue };
        // Whoever announces it from here on will find it looked at again.
        alive.queued.store(false, Ordering::Release);
        if step(&alive, pool) && !alive.queued.swap(true, Ordering::AcqRel) {
            waiting.push_back(core);
        }
        alive.progress.notify_waiters();
    }
}

/// A panic here is a bug, but must not end the maintenance of all other indexes.
fn step(core: &Arc<Core>, pool: &ThreadPool) -> bool {
    let work = std::panic::AssertUnwindSafe(|| core.index.maintain(pool));
    std::panic::catch_unwind(work).unwrap_or_else(|_| {
        tracing::error!(index = %core.name, "maintenance panicked; this index is left alone until it changes");
        false
    })
}
