//! Indexes that survive: every change is in the log before it is answered.
//!
//! An index is a file (`_vectors/<name>.lhv1`, the name escaped, see [`crate::lhv1`]) and the log entries behind it
//! (`_vectors/<name>/log/<incarnation>/<sequence>`). The file names the last entry that it covers.
//! An entry is written only where nothing is yet (`IfAbsent`), and the next is not begun before the
//! fate of the one before is known; so the entries behind a file have no gaps, and loading the file
//! and replaying what follows gives exactly what was acknowledged. Two processes can't both believe
//! that they write the same index: where one wants to write, the other's entry is; or it was covered
//! by a file and removed, and then the file's tag, looked at after each entry, is another. The
//! incarnation keeps the entries of a dropped index from those of a later one of the same name.

mod collection;
mod committer;
mod keys;
mod lifecycle;
mod load;
mod log;
mod maintenance;
mod merge;
mod registry;
mod remove;
mod save;
mod takeover;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use collection::IndexMetrics;
pub use log::check_entry;
pub use registry::Registry;

use crate::Tuning;

/// How a [`Registry`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Sizes at which an index changes its ways.
    pub tuning: Tuning,
    /// Threads that link, mend and compact; searches run on the caller's.
    pub threads: usize,
    /// A log entry takes in waiting requests up to this size, in bytes.
    pub group_bytes: usize,
    /// Adds wait while so many items are not linked yet: every search scans those.
    pub max_backlog: u64,
    /// They wait at most this long, and are then refused until the graph has caught up.
    pub backlog_wait: Duration,
    /// One call to the store takes at most this long; then its outcome is looked up.
    pub store_timeout: Duration,
    /// Loading one index takes at most this long; then it is quarantined.
    pub load_timeout: Duration,
    /// Indexes loaded at once.
    pub load_parallel: usize,
    /// A log is folded into its file after so long without a change.
    pub save_idle: Duration,
    /// A log smaller than half of this, in bytes, is not folded before that.
    pub save_floor: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tuning: Tuning::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            group_bytes: 8 << 20,
            max_backlog: 16_384,
            backlog_wait: Duration::from_secs(30),
            store_timeout: Duration::from_secs(30),
            load_timeout: Duration::from_secs(120),
            load_parallel: 4,
            save_idle: Duration::from_secs(30),
            save_floor: 16 << 20,
        }
    }
}
