//! The service's end of a worker.

use std::{io, os::fd::OwnedFd, process::Stdio, sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes, BytesMut};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, Command},
};

use super::{
    ARGUMENT,
    protocol::{self, Confinement, HEADER, Request, Response, Setup},
};
use crate::{Error, Isolation, Options, duck::Failure, gate::Inspection, options::Allowance};

/// The longest a worker may take to get ready: loading DuckDB and opening an empty instance
/// takes some 50 ms on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A worker that has kept so much more than a fresh one is not used again: the next statement would
/// have less than its allowance. What DuckDB knows of some files stays below this.
const MAX_KEPT: u64 = 32 << 20;

/// How a worker's allocators are to behave. The kernel's limit counts what they keep as well as what is
/// in use. DuckDB's jemalloc by itself gives no address space back, and pages only after ten seconds;
/// to give pages back at once costs half of the speed, half a second nothing (both measured). glibc's
/// many arenas each keep their own.
const ALLOCATORS: [(&str, &str); 2] =
    [("DUCKDB_JE_MALLOC_CONF", "retain:false,dirty_decay_ms:500,muzzy_decay_ms:0"), ("MALLOC_ARENA_MAX", "1")];

/// How the spill directories of workers begin.
pub(crate) const SPILL_PREFIX: &str = "worker-";

/// Read at once where the length of a frame is not known yet.
const READ: usize = 64 << 10;

/// What comes from a worker.
#[derive(Debug)]
pub(crate) enum Event {
    /// Bytes of a result.
    Data(Bytes),
    /// A message.
    Response(Response),
}

/// A worker, and the only handle to it: dropping it kills the worker.
#[derive(Debug)]
pub(crate) struct Worker {
    socket: UnixStream,
    received: BytesMut,
    /// `None` where it is a thread.
    process: Option<Child>,
    last_run: u64,
    /// Requests that are not answered yet.
    pending: bool,
    confinement: Confinement,
    allowance: Allowance,
    /// What the kernel's limit counted when it was fresh.
    fresh_bytes: u64,
    _spill: Arc<TempDir>,
}

impl Worker {
    /// Starts a worker and waits until it is ready.
    pub(crate) async fn start(options: &Options, allowance: Allowance) -> Result<Self, Error> {
        let started = tokio::time::timeout(START_LIMIT, Self::start_unlimited(options, allowance)).await;
        started.unwrap_or_else(|_| Err(Error::Internal(format!("start worker: not ready in {START_LIMIT:?}"))))
    }

    async fn start_unlimited(options: &Options, allowance: Allowance) -> Result<Self, Error> {
        let failed = |what: &str, error: io::Error| Error::Internal(format!("start worker: {what}: {error}"));
        let spill = tempfile::Builder::new().prefix(SPILL_PREFIX).tempdir_in(&options.spill_dir);
        let spill = Arc::new(spill.map_err(|error| failed("make spill directory", error))?);
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(|error| failed("open socket", error))?;
        let process = match &options.isolation {
            Isolation::Process { program } => {
                Some(spawn(program, theirs.into()).map_err(|error| failed("run program", error))?)
            }
            Isolation::Threads => {
                // Its files must outlive it, so it shares the directory.
                let spill = Arc::clone(&spill);
                let work = move || {
                    if let Err(error) = super::serve(theirs) {
                        tracing::warn!(%error, "worker thread ended");
                    }
                    drop(spill);
                };
                super::spawn_small("worker", work).map_err(|error| failed("spawn thread", error))?;
                None
            }
        };
        ours.set_nonblocking(true).map_err(|error| failed("set up socket", error))?;
        let socket = UnixStream::from_std(ours).map_err(|error| failed("set up socket", error))?;
        let mut worker = Self {
            socket,
            received: BytesMut::new(),
            last_run: 0,
            pending: false,
            confinement: Confinement::None,
            allowance,
            fresh_bytes: 0,
            _spill: Arc::clone(&spill),
            process,
        };
        worker.set_up(options, spill.path()).await?;
        Ok(worker)
    }

    async fn set_up(&mut self, options: &Options, spill: &std::path::Path) -> Result<(), Error> {
        let setup = Setup {
            cache_dir: options.cache_dir.clone(),
            spill_dir: spill.to_owned(),
            memory_bytes: self.allowance.memory_bytes,
            limit_bytes: self.allowance.limit_bytes,
            spill_bytes: self.allowance.spill_bytes,
            threads: self.allowance.threads,
            confine: self.process.is_some(),
        };
        self.send(&Request::Setup(setup)).await?;
        match self.next().await? {
            Event::Response(Response::Ready { confinement }) => {
                self.confinement = confinement;
                self.pending = false;
                self.fresh_bytes = self.data_bytes();
                Ok(())
            }
            Event::Response(Response::Failed(failure)) => Err(Error::Internal(format!("start worker: {failure}"))),
            other => Err(Error::Internal(format!("start worker: it says {other:?}"))),
        }
    }

    /// How far the operating system locks it in.
    pub(crate) const fn confinement(&self) -> Confinement {
        self.confinement
    }

    /// Is nothing under way, so that it can take the next statement?
    pub(crate) const fn is_idle(&self) -> bool {
        !self.pending
    }

    /// Is its process still there? A thread always is.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// What a statement of its may use.
    pub(crate) const fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Has it given back what earlier statements took, so that the next has its whole allowance?
    pub(crate) fn is_as_fresh(&self) -> bool {
        self.data_bytes() <= self.fresh_bytes + MAX_KEPT
    }

    /// What the kernel counts against its limit, in bytes; 0 where that is not known.
    fn data_bytes(&self) -> u64 {
        let pid = self.process.as_ref().and_then(Child::id);
        let statm = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/statm")).ok());
        let pages = statm.and_then(|statm| statm.split_ascii_whitespace().nth(5)?.parse::<u64>().ok());
        pages.unwrap_or(0) * rustix::param::page_size() as u64
    }

    /// Has a statement judged.
    pub(crate) async fn inspect(&mut self, sql: &str) -> Result<Result<Inspection, Failure>, Error> {
        self.send(&Request::Inspect { sql: sql.to_owned() }).await?;
        match self.next().await? {
            Event::Response(Response::Inspected(inspection)) => Ok(Ok(inspection)),
            Event::Response(Response::Failed(failure)) => Ok(Err(failure)),
            other => Err(Error::Internal(format!("worker answered a statement with {other:?}"))),
        }
    }

    /// Begins a run, which gets a number of its own. Its data and its end come from [`Self::next`].
    pub(crate) async fn run(&mut self, make: impl FnOnce(u64) -> protocol::Run) -> Result<(), Error> {
        self.last_run += 1;
        self.send(&Request::Run(make(self.last_run))).await
    }

    /// Tells it to stop the run that was begun last.
    pub(crate) async fn cancel(&mut self) -> Result<(), Error> {
        self.send(&Request::Cancel { id: self.last_run }).await
    }

    /// The next thing it says. A call that is dropped before it ends loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.take_event().map_err(|error| lost(&error))? {
                if matches!(event, Event::Response(_)) {
                    self.pending = false;
                }
                return Ok(event);
            }
            if self.received.capacity() - self.received.len() < READ {
                self.received.reserve(READ);
            }
            // One that dies with a request unread resets the connection; else it just ends.
            if !matches!(self.socket.read_buf(&mut self.received).await, Ok(1..)) {
                return Err(self.post_mortem().await);
            }
        }
    }

    /// The first whole frame of what was received.
    fn take_event(&mut self) -> io::Result<Option<Event>> {
        let Some(header) = self.received.first_chunk::<HEADER>() else { return Ok(None) };
        let (length, kind) = protocol::parse_header(*header)?;
        if self.received.len() < HEADER + length {
            self.received.reserve(HEADER + length - self.received.len());
            return Ok(None);
        }
        self.received.advance(HEADER);
        let payload = self.received.split_to(length).freeze();
        Ok(Some(match kind {
            protocol::DATA => Event::Data(payload),
            _ => Event::Response(serde_json::from_slice(&payload)?),
        }))
    }

    async fn send(&mut self, request: &Request) -> Result<(), Error> {
        self.pending = true;
        let payload = serde_json::to_vec(request).map_err(|error| lost(&error.into()))?;
        let header = protocol::header(protocol::MESSAGE, payload.len()).map_err(|error| lost(&error))?;
        let frame = [&header[..], &payload].concat();
        match self.socket.write_all(&frame).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.post_mortem().await),
        }
    }

    /// Why it is gone.
    async fn post_mortem(&mut self) -> Error {
        use std::os::unix::process::ExitStatusExt as _;
        let Some(process) = &mut self.process else { return Error::Internal("the worker thread ended".to_owned()) };
        match process.wait().await {
            // What Rust and C++ do when an allocation fails where nobody can be told.
            Ok(status) if status.signal() == Some(libc::SIGABRT) => {
                Error::Memory { limit: self.allowance.memory_bytes }
            }
            Ok(status) if status.signal() == Some(libc::SIGKILL) => Error::Killed,
            Ok(status) => Error::Internal(format!("the worker process ended: {status}")),
            Err(error) => lost(&error),
        }
    }
}

fn lost(error: &io::Error) -> Error {
    Error::Internal(format!("talk to worker: {error}"))
}

/// Runs `program` as a worker whose standard input is `socket`.
fn spawn(program: &std::path::Path, socket: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.arg(ARGUMENT).stdin(socket).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    // The service's environment holds its secrets; a worker needs at most to find its library.
    command.env_clear();
    for name in ["LD_LIBRARY_PATH", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(ALLOCATORS);
    command.spawn()
}
