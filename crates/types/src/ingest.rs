//! Bodies of ingestd's calls.

use serde::{Deserialize, Serialize};

use crate::{Name, ObjectKey, catalog::Column};

/// The answer to `POST /ingest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestResponse {
    /// The dataset.
    pub name: Name,
    /// SHA-256 (hex) of the input's bytes and the options.
    pub fingerprint: String,
    /// The Parquet object that holds the rows.
    pub key: ObjectKey,
    /// Rows in this file.
    pub rows: u64,
    /// The columns as they were typed.
    pub columns: Vec<Column>,
    /// Size of the Parquet object.
    pub bytes: u64,
    /// True when the same bytes with the same options were there already.
    pub existing: bool,
    /// The dataset's version in the catalog after this call.
    pub version: u64,
    /// Header names that were empty or taken, and what they became.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed_columns: Vec<RenamedColumn>,
    /// Rows left out under `on_error=skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkippedRows>,
    /// What was guessed against doubt, or changed on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// Something about a file that its sender should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// For programs: one of the codes in `docs/csv.md`.
    pub code: String,
    /// For people.
    pub message: String,
    /// The 1-based line that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

/// A header name that had to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenamedColumn {
    /// 0-based position of the column.
    pub position: usize,
    /// What the header said.
    pub from: String,
    /// What the column is called now.
    pub to: String,
}

/// Rows that did not fit, under `on_error=skip`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRows {
    /// How many.
    pub count: u64,
    /// The first of them: 1-based line in the file, and why.
    pub first: Vec<BadRow>,
}

/// One row that did not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// 1-based line on which the row begins.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}
