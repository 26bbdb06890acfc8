use serde::{Deserialize, Serialize};

use crate::{
    evidence::EvidenceRecord,
    score::{Category, score},
};

/// What replay remembers of a run; also the metadata of its item in the index `evidence`, so that a
/// replay elsewhere needs no file of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The run.
    pub run_id: String,
    /// What it worked on.
    pub task_id: String,
    /// Its source.
    pub source: String,
    /// How it went.
    pub category: Category,
    /// Why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// The files it was about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_files: Vec<String>,
    /// The beginning of its text.
    pub text: String,
}

impl Memory {
    /// Text beyond this many characters is of no use in a prompt that has room for several runs.
    const TEXT_CHARS: usize = 2_000;
    /// A run may touch thousands of files; a prompt names a few.
    const FILES: usize = 20;

    /// What is worth remembering of `record`; none if it has no text.
    #[must_use]
    pub fn of(record: &EvidenceRecord) -> Option<Self> {
        let text = record.text.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
        let score = score(record);
        Some(Self {
            run_id: record.run_id.clone(),
            task_id: record.task_id.clone(),
            source: record.source_name().to_owned(),
            category: score.category,
            reasons: score.reasons,
            source_files: record.source_files.iter().take(Self::FILES).cloned().collect(),
            text: text.chars().take(Self::TEXT_CHARS).collect(),
        })
    }

    /// What a search for this run should find.
    #[must_use]
    pub fn searchable(&self) -> String {
        format!("{} {} {}", self.task_id, self.source_files.join(" "), self.text)
    }
}
