//! Workers: DuckDB behind a socket, one statement at a time.
//!
//! A worker is a process with nothing to lose. It reads the cache, writes its own spill
//! directory, and has a memory limit that the kernel keeps; the service kills it when it does not
//! stop in time, and starts another. What it is told, and answers, is in [`protocol`].

mod confine;
mod damage;
mod pool;
pub(crate) mod protocol;
mod remote;
mod session;

use std::{
    io::{self, Write as _},
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use self::{
    protocol::{Confinement, Request, Response, Run, Setup},
    session::Session,
};
use crate::duck::{self, Failure, FailureKind, Interrupter};

pub(crate) use self::{
    pool::{Lease, Pool},
    remote::{Event, SPILL_PREFIX, Worker},
    session::{identifier, literal},
};

/// The one argument of a worker's process.
pub const ARGUMENT: &str = "sql-worker";

/// The stack that statements are parsed, bound and encoded on. DuckDB allows 1,000 levels of
/// expression, and each takes several frames.
pub(crate) const STACK: usize = 32 << 20;

/// The stack of the threads that only wait and signal.
const SMALL_STACK: usize = 256 << 10;

/// How often a statement that is to stop is told so again: DuckDB forgets an interrupt that
/// comes just before a statement starts.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(5);

/// Runs this process as a worker, if its arguments say that it is one; to be called first thing
/// in `main`, while there is one thread.
#[must_use]
pub fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT || arguments.next().is_some() {
        return None;
    }
    let served = io::stdin().as_fd().try_clone_to_owned().and_then(|socket| serve(UnixStream::from(socket)));
    Some(match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is no log here but the service's standard error.
            let _ = writeln!(io::stderr(), "sql worker: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Serves the socket until the other end closes it.
pub(crate) fn serve(mut socket: UnixStream) -> io::Result<()> {
    let Some(Request::Setup(setup)) = protocol::read_message(&mut socket)? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the first message is no set-up"));
    };
    let confinement = if setup.confine {
        match confine::apply(&setup) {
            Ok(confinement) => confinement,
            Err(why) => {
                return protocol::write_message(&mut socket, &failed(Failure::new(FailureKind::Internal, why)));
            }
        }
    } else {
        Confinement::None
    };
    let statements = thread::Builder::new()
        .name("sql".to_owned())
        .stack_size(STACK)
        .spawn(move || serve_session(socket, &setup, confinement))?;
    statements.join().unwrap_or_else(|_| Err(io::Error::other("the statement thread panicked")))
}

fn serve_session(mut socket: UnixStream, setup: &Setup, confinement: Confinement) -> io::Result<()> {
    let mut session = match Session::open(setup) {
        Ok(session) => session,
        Err(failure) => return protocol::write_message(&mut socket, &failed(failure)),
    };
    let switch = Arc::new(Switch::default());
    let (requests, incoming) = mpsc::channel();
    let reader = socket.try_clone()?;
    let is_process = setup.confine;
    let listening = Arc::clone(&switch);
    spawn_small("listener", move || listen(reader, &listening, &requests, is_process))?;
    let (stopping, interrupter) = (Arc::clone(&switch), session.interrupter());
    spawn_small("interrupter", move || stopping.keep_interrupting(&interrupter))?;
    protocol::write_message(&mut socket, &Response::Ready { confinement })?;
    let served = incoming.into_iter().try_for_each(|request| {
        let response = match request {
            Request::Inspect { sql } => session.inspect(&sql).map_or_else(failed, Response::Inspected),
            Request::Run(run) => {
                let response = run_one(&mut session, &run, &switch, &mut socket);
                if is_process {
                    // Before the answer: by what is left the service decides whether to use this one again.
                    duck::give_back();
                }
                response
            }
            Request::Setup(_) | Request::Cancel { .. } => return Ok(()),
        };
        protocol::write_message(&mut socket, &response)
    });
    switch.close();
    served
}

fn run_one(session: &mut Session, run: &Run, switch: &Switch, socket: &mut UnixStream) -> Response {
    switch.begin(run.id);
    let mut write = |piece: &[u8]| {
        protocol::write_frame(socket, protocol::DATA, piece)
            .map_err(|error| Failure::new(FailureKind::Interrupted, format!("send result: {error}")))
    };
    let outcome = session.run(run, &|| switch.is_cancelled(), &mut write);
    switch.end();
    outcome.map_or_else(failed, |rows| Response::Done { rows })
}

const fn failed(failure: Failure) -> Response {
    Response::Failed(failure)
}

fn spawn_small(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).stack_size(SMALL_STACK).spawn(work).map(drop)
}

/// Reads what the service sends, also while a statement runs.
fn listen(mut socket: UnixStream, switch: &Switch, requests: &mpsc::Sender<Request>, is_process: bool) {
    while let Ok(Some(request)) = protocol::read_message(&mut socket) {
        match request {
            Request::Cancel { id } => switch.cancel(id),
            other => {
                if requests.send(other).is_err() {
                    return;
                }
            }
        }
    }
    // The service is gone: nobody waits for what runs here, and nothing is lost.
    if is_process {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    switch.cancel_any();
}

/// Whether a statement runs, and whether it is to stop.
#[derive(Default)]
struct Switch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: Option<u64>,
    cancelled: bool,
    closed: bool,
}

impl Switch {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn begin(&self, id: u64) {
        self.change(|state| state.running = Some(id));
    }

    fn end(&self) {
        self.change(|state| (state.running, state.cancelled) = (None, false));
    }

    /// A cancel that comes late must not hit the next statement.
    fn cancel(&self, id: u64) {
        self.change(|state| state.cancelled |= state.running == Some(id));
    }

    fn cancel_any(&self) {
        self.change(|state| state.cancelled = true);
    }

    fn close(&self) {
        self.change(|state| state.closed = true);
    }

    fn is_cancelled(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).cancelled
    }

    /// Interrupts a cancelled statement again and again until it has ended.
    fn keep_interrupting(&self, interrupter: &Interrupter) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed {
            if state.cancelled && state.running.is_some() {
                interrupter.interrupt();
                (state, _) = self.changed.wait_timeout(state, INTERRUPT_AGAIN).unwrap_or_else(PoisonError::into_inner);
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
