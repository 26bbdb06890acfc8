//! The evidence in a lakehouse: as dataset `evidence`, for SQL, and its texts as index `evidence`,
//! for search.
//!
//! The dataset is replaced by what is on disk, in one version: it has the rows of `data/evidence`,
//! each once, whatever was interrupted before, and the same evidence again changes nothing. The index
//! is added to, by ids that follow from the records; a note of how far each file has been embedded
//! saves the work, and losing it costs time only.

mod csv;
mod http;
mod index;
mod notes;

use serde::Serialize;

use crate::{
    error::{Error, Result},
    job::Job,
};

pub(crate) use http::Lakehouse;

/// The name of the dataset and of the index.
const EVIDENCE: &str = "evidence";

/// What a sync did.
#[derive(Debug, Serialize)]
pub(crate) struct Synced {
    url: String,
    /// Rows of the dataset.
    rows: u64,
    /// Whether the dataset had just these rows already.
    existing: bool,
    /// The dataset's version.
    version: Option<u64>,
    /// Records whose text went into the index this time.
    embedded: u64,
    /// Records of no use to the index: without a text, or with one that the model makes nothing of.
    without_text: u64,
    /// The model that made the vectors.
    model: Option<String>,
}

impl Synced {
    pub(crate) fn text(&self) -> String {
        let what = if self.existing { "unchanged" } else { "replaced" };
        format!(
            "lakehouse: dataset {EVIDENCE} {what}, {} rows; {} texts added to index {EVIDENCE}\n",
            self.rows, self.embedded
        )
    }
}

/// Brings the evidence on disk into the lakehouse. The caller holds the lock.
pub(crate) fn sync(job: &Job, lakehouse: &Lakehouse) -> Result<Synced> {
    let table = csv::write(job)?;
    let mut synced = Synced {
        url: lakehouse.url().to_owned(),
        rows: table.rows,
        existing: true,
        version: None,
        embedded: 0,
        without_text: 0,
        model: None,
    };
    // A dataset can't be made of nothing; one that is there stays as it is.
    if table.rows == 0 {
        return Ok(synced);
    }
    let answer = lakehouse.ingest(EVIDENCE, &csv::types(), table.file)?;
    let rows = answer.get("rows").and_then(serde_json::Value::as_u64);
    if rows != Some(table.rows) {
        return Err(Error::Lakehouse(format!("{} rows were sent, and {rows:?} taken", table.rows)));
    }
    synced.existing = answer.get("existing").and_then(serde_json::Value::as_bool).unwrap_or(false);
    synced.version = answer.get("version").and_then(serde_json::Value::as_u64);
    index::add(job, lakehouse, &mut synced)?;
    Ok(synced)
}
