//! What a run of the materializer did, as it lies in `reports/distillation/<stamp>/receipt.json`.

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// The schema of a receipt.
pub const SCHEMA: &str = "distillation_receipt.v1";

/// A receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// [`SCHEMA`].
    pub schema: String,
    /// The command line, without the program's name.
    pub command: Vec<String>,
    /// The commit of the checkout, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_sha: Option<String>,
    /// When it began.
    pub started_at: Instant,
    /// When it ended.
    pub ended_at: Instant,
    /// True when nothing was written.
    pub dry_run: bool,
    /// One entry for every source that was asked for.
    pub sources: Vec<SourceCounts>,
    /// The files that were read, as far as they were read.
    pub inputs: Vec<FileDigest>,
    /// The files that were written (under `--dry-run`: that would be), whole.
    pub outputs: Vec<FileDigest>,
    /// What went wrong.
    pub errors: Vec<String>,
    /// No errors, every row accounted for, every record valid.
    pub validation_pass: bool,
}

/// What became of one source's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCounts {
    /// The source.
    pub source: String,
    /// False when its file is not there, which is no error.
    pub present: bool,
    /// Lines that are not blank.
    pub rows_read: u64,
    /// Rows that became new rows.
    pub written: u64,
    /// Rows that were there already, or twice in the source.
    pub deduped: u64,
    /// Rows that could not be read.
    pub skipped: u64,
    /// Rows from before `--since`.
    pub filtered: u64,
}

impl SourceCounts {
    /// Whether every row has become something.
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.rows_read == self.written + self.deduped + self.skipped + self.filtered
    }
}

/// A file's content, checkable with `sha256sum`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Relative to the root.
    pub path: String,
    /// SHA-256 in hex; absent for what a dry run did not write. Of an input: of its first `bytes`
    /// bytes, since others may append to it meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The number of bytes hashed.
    pub bytes: u64,
    /// Lines; of an output: new ones.
    pub rows: u64,
}
