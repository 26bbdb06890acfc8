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
    /// What a query has in one place, beside others.
    pub(crate) fn share(&self) -> Allowance {
        let places = self.max_concurrent.max(1) as u64;
        let memory_bytes = (self.memory_bytes / places).max(MIN_MEMORY);
        Allowance {
            memory_bytes,
            limit_bytes: memory_bytes + memory_bytes / 4 + HEADROOM,
            spill_bytes: self.spill_bytes / places,
            threads: self.all_threads(),
        }
    }

    /// What a query over so many columns has when it takes all places: what all others would have had.
    pub(crate) fn whole(&self, columns: u64) -> Allowance {
        let places = self.max_concurrent.max(1) as u64;
        let memory_bytes = self.memory_bytes.max(self.share().memory_bytes);
        // Each thread has vectors of its own; a quarter of the memory is for them.
        let fitting = memory_bytes / 4 / (columns.max(1) * COLUMN_BYTES);
        Allowance {
            memory_bytes,
            limit_bytes: memory_bytes + memory_bytes / 4 + HEADROOM * places,
            spill_bytes: self.spill_bytes,
            threads: usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, self.all_threads()),
        }
    }

    /// Do the vectors of a scan not fit the memory of one place? `parts` are what threads can work at
    /// beside each other.
    pub(crate) fn is_wide(&self, columns: u64, parts: u64) -> bool {
        let threads = (self.all_threads() as u64).min(parts.max(1));
        columns * COLUMN_BYTES * threads > self.share().memory_bytes
    }

    fn all_threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

/// What one query may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// DuckDB's memory limit, in bytes.
    pub(crate) memory_bytes: u64,
    /// The kernel's limit of its process, in bytes.
    pub(crate) limit_bytes: u64,
    /// Room for spilled data, in bytes.
    pub(crate) spill_bytes: u64,
    /// DuckDB's threads.
    pub(crate) threads: usize,
}

/// What a worker needs for each place beside a quarter more than DuckDB's memory limit: its own code's
/// data, thread stacks, the parsed tree, encoders' buffers, and what DuckDB allocates without counting it.
const HEADROOM: u64 = 256 << 20;

/// What one column costs a thread that scans: DuckDB makes vectors of 2,048 values, 16 to 32 KiB each
/// however few rows there are, for the reader, the scan, the operators and the answer. Measured with
/// 4,096 columns in 8 files, where 512 MiB is too little for one thread and 768 MiB is enough.
const COLUMN_BYTES: u64 = 160 << 10;

/// Below this DuckDB can't so much as scan a Parquet file of several columns.
const MIN_MEMORY: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use crate::testing::options;

    /// As shipped: 1 GiB for four.
    #[test]
    fn a_wide_statement_has_what_all_would_have_had() {
        let (_directory, mut options) = options();
        (options.memory_bytes, options.max_concurrent, options.threads) = (1 << 30, 4, 2);
        let (share, whole) = (options.share(), options.whole(4_096));
        assert_eq!((share.memory_bytes, whole.memory_bytes), (256 << 20, 1 << 30));
        // What the unit's MemoryMax is computed from stays what it was.
        assert_eq!(share.limit_bytes * 4, whole.limit_bytes);
        assert_eq!((share.threads, whole.threads, options.whole(20).threads), (2, 1, 2));
        assert!(options.is_wide(4_096, 1) && options.is_wide(1_000, 8));
        assert!(!options.is_wide(1_000, 1) && !options.is_wide(150, 8) && !options.is_wide(0, 0));
    }
}
