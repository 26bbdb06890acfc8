use std::{path::PathBuf, time::Duration};

/// What an [`Engine`](crate::Engine) may use.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where Parquet files are kept. Losing it costs time only.
    pub cache_dir: PathBuf,
    /// Most bytes in it.
    pub cache_bytes: u64,
    /// Where working sets go that outgrow memory. Emptied at start.
    pub spill_dir: PathBuf,
    /// Most bytes in it, over all queries.
    pub spill_bytes: u64,
    /// Memory for DuckDB, over all queries.
    pub memory_bytes: u64,
    /// Threads of one query; 0: one a core.
    pub threads: usize,
    /// Queries that run at once.
    pub max_concurrent: usize,
    /// Queries that may wait for a place.
    pub max_queued: usize,
    /// The longest a query may work. Time that it waits for a slow caller does not count, but
    /// no single wait may be longer than this.
    pub timeout: Duration,
    /// Most bytes of an answer, in the encoding asked for.
    pub max_result_bytes: u64,
    /// Where statements run.
    pub isolation: Isolation,
}

/// Where statements run.
///
/// DuckDB's own limits leave gaps: a single function call can take gigabytes that its memory
/// limit does not count, and no interrupt reaches it. The operating system's limits hold, and a
/// process can be killed; so that is where statements belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// In processes of their own: `program`, called with [`WORKER_ARGUMENT`](crate::worker::ARGUMENT),
    /// must call [`worker::main`](crate::worker::main).
    Process {
        /// Usually the running program itself.
        program: PathBuf,
    },
    /// In threads of this process: for tests, and for trusted callers only.
    Threads,
}

impl Options {
    /// Memory of one query, in bytes.
    pub(crate) fn memory_share(&self) -> u64 {
        (self.memory_bytes / self.max_concurrent.max(1) as u64).max(MIN_MEMORY)
    }

    /// Spill room of one query, in bytes.
    pub(crate) fn spill_share(&self) -> u64 {
        self.spill_bytes / self.max_concurrent.max(1) as u64
    }
}

/// Below this DuckDB can't so much as scan a Parquet file of several columns.
const MIN_MEMORY: u64 = 32 << 20;
