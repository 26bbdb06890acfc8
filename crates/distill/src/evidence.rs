//! The evidence record, as it lies on disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{json::Json, time::Instant};

/// The version of the record that this crate writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// A run's or task's id is at most this long, in bytes; indexes and file names further down rely on it.
pub const MAX_ID_BYTES: usize = 256;

/// Further members of a record, sorted by name whatever `serde_json`'s own map does.
pub type Members = BTreeMap<String, Value>;

/// One row of an agent's log in the form that scoring, export and replay work on.
///
/// Absent optional members are left out of the JSON, never null. Unknown members are ignored on
/// reading, since other runtimes write these files too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRecord {
    /// The run that left the row. Rows of one run may share it.
    pub run_id: String,
    /// What the run worked on.
    pub task_id: String,
    /// When it took place.
    pub timestamp: Instant,
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Where the row came from.
    pub provenance: Provenance,
    /// The model, as its provider calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_name: Option<String>,
    /// Who serves the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// What the model was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_role: Option<Role>,
    /// A hash of the run's input, made by the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_hash: Option<String>,
    /// A hash of the run's output, made by the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_hash: Option<String>,
    /// Files that the run read or changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_files: Vec<String>,
    /// The command that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_run: Option<String>,
    /// What was retrieved for it.
    #[serde(default, skip_serializing_if = "Members::is_empty")]
    pub retrieved_context: Members,
    /// What its observer wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observer_notes: Vec<String>,
    /// What its observer decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observer_verdict: Option<Verdict>,
    /// How sure the observer was, 0..=100.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    pub observer_confidence: Option<f64>,
    /// A summary of the working notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratchpad_summary: Option<String>,
    /// Signs that it went well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_markers: Vec<String>,
    /// Signs that it went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_markers: Vec<String>,
    /// What checks of the result gave.
    #[serde(default, skip_serializing_if = "Members::is_empty")]
    pub validation_results: Members,
    /// What a person decided: a verdict, or an object with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human_override: Option<Value>,
    /// What it cost, US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "plain_number")]
    pub cost_usd: Option<f64>,
    /// How long it took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub latency_ms: Option<u64>,
    /// Tokens of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole_number")]
    pub completion_tokens: Option<u64>,
    /// What was said, found or written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What only this source has.
    #[serde(default, skip_serializing_if = "Members::is_empty")]
    pub metadata: Members,
}

/// The way back from a record to its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The source, relative to the root, with `/`.
    pub source_file: String,
    /// The row's line when it was read, counted from 0, blank lines included.
    pub line_offset: u64,
    /// How many rows stood before it on that line: writers that die glue rows together. Left out for the
    /// first, which nearly every row is.
    #[serde(default, skip_serializing_if = "is_first")]
    pub part: u64,
    /// SHA-256 (hex) of the row's canonical JSON.
    pub sig_hash: String,
    /// When the row became evidence. By default the row's own time, so that the same rows give the
    /// same bytes whenever they are read.
    pub recorded_at: Instant,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_first(part: &u64) -> bool {
    *part == 0
}

/// What a model was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Did the work.
    Executor,
    /// Judged somebody's work.
    Reviewer,
    /// Drew facts out of a text.
    Extractor,
    /// Checked a claim.
    Verifier,
    /// Sorted things into classes.
    Categorizer,
    /// Decided between others.
    Tiebreaker,
    /// Applied a change.
    Applier,
    /// Turned text into vectors.
    Embedder,
    /// Anything else, including roles of a later version.
    #[serde(other)]
    Other,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 9] = [
        Self::Executor,
        Self::Reviewer,
        Self::Extractor,
        Self::Verifier,
        Self::Categorizer,
        Self::Tiebreaker,
        Self::Applier,
        Self::Embedder,
        Self::Other,
    ];

    /// Its name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::Reviewer => "reviewer",
            Self::Extractor => "extractor",
            Self::Verifier => "verifier",
            Self::Categorizer => "categorizer",
            Self::Tiebreaker => "tiebreaker",
            Self::Applier => "applier",
            Self::Embedder => "embedder",
            Self::Other => "other",
        }
    }

    /// The role of that name; none for a name that no role has.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim().to_lowercase();
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// An observer's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Good as it is.
    Accept,
    /// Not to be used.
    Reject,
    /// Another round is needed.
    Cycle,
    /// Undecided; also what a verdict of a later version reads as.
    #[serde(other)]
    NeedsReview,
}

impl Verdict {
    /// Its name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Cycle => "cycle",
            Self::NeedsReview => "needs_review",
        }
    }

    /// Reads the words that logs use for the four.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.trim().to_lowercase().replace([' ', '-'], "_");
        Some(match word.as_str() {
            "accept" | "accepted" | "approve" | "approved" | "pass" | "passed" => Self::Accept,
            "reject" | "rejected" | "block" | "blocked" | "fail" | "failed" => Self::Reject,
            "cycle" | "request_changes" | "changes_requested" | "revise" | "partially_accepted" => Self::Cycle,
            "needs_review" | "needs_human_review" | "review" | "unsure" => Self::NeedsReview,
            _ => return None,
        })
    }
}

impl EvidenceRecord {
    /// Reads one line of an evidence file.
    ///
    /// # Errors
    /// Names what is missing, of the wrong type, or wrong under [`Self::violations`].
    pub fn from_line(line: &str) -> Result<Self, String> {
        // Through this crate's own reader: serde_json's may miss a double by its last bits, and a
        // record must read back as what was written.
        let row = Json::parse(line).map_err(|e| e.to_string())?.to_value();
        let record: Self = serde_json::from_value(row).map_err(|e| e.to_string())?;
        record.violations().map_or(Ok(record), Err)
    }

    /// What a reader of version 1 could not accept, if anything.
    #[must_use]
    pub fn violations(&self) -> Option<String> {
        if self.schema_version != SCHEMA_VERSION {
            return Some(format!("schema_version {} is not {SCHEMA_VERSION}", self.schema_version));
        }
        for (name, id) in [("run_id", &self.run_id), ("task_id", &self.task_id)] {
            if !is_id(id) {
                return Some(format!("{name} is empty, too long, or holds control characters"));
            }
        }
        let sig = &self.provenance.sig_hash;
        if sig.len() != 64 || !sig.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Some("provenance.sig_hash is not a SHA-256 in hex".to_owned());
        }
        let file = &self.provenance.source_file;
        if file.is_empty() || file.starts_with('/') || file.split('/').any(|part| part == "..") {
            return Some("provenance.source_file is not a relative path".to_owned());
        }
        if self.observer_confidence.is_some_and(|c| !(0.0..=100.0).contains(&c)) {
            return Some("observer_confidence is not within 0..=100".to_owned());
        }
        if self.cost_usd.is_some_and(|c| !c.is_finite() || c < 0.0) {
            return Some("cost_usd is negative or not finite".to_owned());
        }
        None
    }

    /// The name of its source, `outcomes` for `data/_kb/outcomes.jsonl`.
    #[must_use]
    pub fn source_name(&self) -> &str {
        let file = self.provenance.source_file.rsplit('/').next().unwrap_or_default();
        file.strip_suffix(".jsonl").unwrap_or(file)
    }
}

/// Whether `id` can name a run or a task.
#[must_use]
pub fn is_id(id: &str) -> bool {
    !id.trim().is_empty() && id.len() <= MAX_ID_BYTES && !id.chars().any(char::is_control)
}

/// Writes 87.0 as `87`, as every other runtime does.
pub(crate) fn plain_number<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    /// Integers up to here are exact in a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number {
        Some(x) if x.fract() == 0.0 && x.abs() <= EXACT => serializer.serialize_i64(*x as i64),
        Some(x) => serializer.serialize_f64(*x),
        None => serializer.serialize_none(),
    }
}

/// Reads 1200.4 of another runtime as 1200, and refuses what is negative.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    let Some(number) = number else { return Ok(None) };
    let whole = number.as_u64().or_else(|| number.as_f64().and_then(round));
    whole.map(Some).ok_or_else(|| serde::de::Error::custom(format!("{number} is not a count")))
}

/// `x` as a count; none if it is negative or beyond what a double counts exactly.
#[must_use]
pub(crate) fn round(x: f64) -> Option<u64> {
    (0.0..9.0e15).contains(&x).then(|| x.round() as u64)
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
