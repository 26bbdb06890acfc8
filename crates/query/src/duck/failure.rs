use std::ffi::{CStr, c_char};

use duckdb::ffi;
use serde::{Deserialize, Serialize};

/// What kind of thing went wrong inside DuckDB, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    /// The statement's own fault: it does not parse or bind, or a value does not convert.
    Sql,
    /// It needs more memory than it may have.
    Memory,
    /// It needs more room for spilled data than it may have.
    Spill,
    /// It was interrupted.
    Interrupted,
    /// A file could not be read.
    Io,
    /// A file of a dataset could not be read; found out by the worker, who knows which there are.
    File,
    /// The result is over the limit; not DuckDB's but the worker's own.
    TooLarge,
    /// A bug, or an instance that is broken from here on.
    Internal,
}

/// An error of DuckDB, with its own message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
    /// The dataset whose file could not be read.
    #[serde(default)]
    pub(crate) table: Option<String>,
}

/// How DuckDB says that spilled data has no room: by its own limit, or by the disk's.
const SPILLED: [&str; 3] = ["max_temp_directory_size", "duckdb_temp_storage", "No space left on device"];

/// How a standard library or DuckDB itself says that an allocation failed, or was never possible. DuckDB
/// passes such words on as bugs of its own where it had not expected them: `reservoir_quantile` with a
/// large sample says the sixth, an ARRAY of ARRAYs the seventh.
const ALLOCATION: [&str; 10] = [
    "bad_alloc",
    "bad allocation",
    "length_error",
    "vector::",
    "basic_string::",
    "llocation failure",
    "llocation size of",
    "ailed to allocate",
    "out of memory",
    "not enough memory",
];

/// Most bytes of a message that are kept. DuckDB quotes values whole, and a statement of a few words can
/// make one of gigabytes, which would neither fit a frame nor be of use to anybody.
const MAX_MESSAGE: usize = 8 << 10;

/// What follows is names of functions, of which many speak of allocators and vectors.
const TRACE: &str = "\n\nStack Trace:";

/// DuckDB puts the class of an error before its message. That text is the one place where it is
/// the same for statements that fail to prepare, to run, and to go on.
const CLASSES: [(&str, FailureKind); 6] = [
    ("Out of Memory Error", FailureKind::Memory),
    ("INTERRUPT Error", FailureKind::Interrupted),
    ("IO Error", FailureKind::Io),
    ("INTERNAL Error", FailureKind::Internal),
    ("FATAL Error", FailureKind::Internal),
    ("Permission Error", FailureKind::Internal),
];

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), table: None }
    }

    pub(crate) fn sql(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Sql, message)
    }

    pub(super) fn from_message(message: Option<String>) -> Self {
        let message = message.unwrap_or_else(|| "DuckDB failed without a message".to_owned());
        let class = CLASSES.iter().find(|(prefix, _)| message.starts_with(prefix));
        let said = message.split(TRACE).next().unwrap_or_default();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let kind = match class.map_or(FailureKind::Sql, |(_, kind)| *kind) {
            FailureKind::Memory | FailureKind::Io if says(&SPILLED) => FailureKind::Spill,
            FailureKind::Internal if says(&ALLOCATION) => FailureKind::Memory,
            kind => kind,
        };
        Self::new(kind, shortened(message))
    }
}

/// The message without the middle of what is too long: it begins with what is wrong, and may end with the
/// place in the statement, which DuckDB keeps short by itself.
fn shortened(message: String) -> String {
    if message.len() <= MAX_MESSAGE {
        return message;
    }
    let place = message.rfind("\n\nLINE ").filter(|at| message.len() - at <= MAX_MESSAGE / 4).unwrap_or(message.len());
    let (said, place) = message.split_at(place);
    let kept = &said[..said.floor_char_boundary(MAX_MESSAGE - place.len())];
    format!("{kept} .. ({} more bytes){place}", said.len() - kept.len())
}

/// Copies a message that DuckDB owns.
///
/// # Safety
/// `text` is null or a C string that lives through the call.
pub(super) unsafe fn text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// # Safety
/// `result` is a result that DuckDB has filled and that is not destroyed yet.
pub(super) unsafe fn of_result(result: *mut ffi::duckdb_result) -> Failure {
    // SAFETY: the caller's promise; the text lives as long as the result.
    Failure::from_message(unsafe { text(ffi::duckdb_result_error(result)) })
}
