//! The threads that link, mend and compact, for all indexes of a registry.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::collection::Core;

/// How much the threads give way to those that serve searches.
const NICE: i32 = 10;
/// Pauses after a panic: what made it may be gone a moment later, or there for good.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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

/// An index whose maintenance panicked, and when it is tried again.
struct Paused {
    until: Instant,
    core: Weak<Core>,
}

/// What a step came to.
enum Step {
    /// There may be more to do.
    More,
    Done,
    Panicked,
}

/// One step for each index in turn, so that a large one can't starve the others.
fn run(pool: &ThreadPool, work: &mpsc::Receiver<Weak<Core>>) {
    let mut waiting: VecDeque<Weak<Core>> = VecDeque::new();
    let mut paused: Vec<Paused> = Vec::new();
    loop {
        if waiting.is_empty() {
            match next(work, paused.iter().map(|paused| paused.until).min()) {
                Ok(core) => waiting.push_back(core),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        waiting.extend(work.try_iter());
        let now = Instant::now();
        waiting.extend(paused.extract_if(.., |paused| paused.until <= now).map(|paused| paused.core));
        let Some(core) = waiting.pop_front() else { continue };
        let Some(alive) = core.upgrade() else { continue };
        // Whoever announces it from here on will find it looked at again.
        alive.queued.store(false, Ordering::Release);
        // Its time will come, however often it is announced.
        if paused.iter().any(|paused| paused.core.ptr_eq(&core)) {
            continue;
        }
        match step(&alive, pool) {
            Step::More if !alive.queued.swap(true, Ordering::AcqRel) => waiting.push_back(core),
            Step::More | Step::Done => {}
            Step::Panicked => paused.push(Paused { until: now + pause(&alive), core }),
        }
        alive.progress.notify_waiters();
    }
}

/// The next index that has work; until the time comes, where there is one.
fn next(work: &mpsc::Receiver<Weak<Core>>, until: Option<Instant>) -> Result<Weak<Core>, RecvTimeoutError> {
    match until {
        None => work.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(until) => work.recv_timeout(until.saturating_duration_since(Instant::now())),
    }
}

/// A panic here is a bug, but must not end the maintenance of all other indexes, nor that of this one:
/// it may have met what another step does not meet.
fn step(core: &Arc<Core>, pool: &ThreadPool) -> Step {
    let work = std::panic::AssertUnwindSafe(|| core.index.maintain(pool));
    let Ok(more) = std::panic::catch_unwind(work) else {
        core.trouble.panics.fetch_add(1, Ordering::Relaxed);
        core.trouble.in_a_row.fetch_add(1, Ordering::Relaxed);
        tracing::error!(index = %core.name, "maintenance panicked; searches scan what is not linked until it succeeds");
        return Step::Panicked;
    };
    core.trouble.in_a_row.store(0, Ordering::Relaxed);
    if more { Step::More } else { Step::Done }
}

/// How long an index is left alone after a panic.
fn pause(core: &Core) -> Duration {
    let times = core.trouble.in_a_row.load(Ordering::Relaxed).saturating_sub(1);
    (FIRST_PAUSE * 2_u32.saturating_pow(times.min(8))).min(LONGEST_PAUSE)
}
