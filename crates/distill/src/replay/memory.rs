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
    /// A run may touch thousands of files; a prompt names a few. So it is with reasons.
    const ITEMS: usize = 20;
    /// A path or a reason that goes on is a text that a log has put in the wrong member.
    const ITEM_CHARS: usize = 300;

    /// What is worth remembering of `record`; none if it has no text.
    #[must_use]
    pub fn of(record: &EvidenceRecord) -> Option<Self> {
        let text = record.text.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
        let score = score(record);
        Some(Self {
            run_id: record.run_id.clone(),
            task_id: record.task_id.clone(),
            source: beginning(record.source_name(), Self::ITEM_CHARS),
            category: score.category,
            reasons: items(&score.reasons),
            source_files: items(&record.source_files),
            text: beginning(text, Self::TEXT_CHARS),
        })
    }

    /// What a search for this run should find.
    #[must_use]
    pub fn searchable(&self) -> String {
        format!("{} {} {}", self.task_id, self.source_files.join(" "), self.text)
    }
}

fn items(all: &[String]) -> Vec<String> {
    all.iter().take(Memory::ITEMS).map(|item| beginning(item, Memory::ITEM_CHARS)).collect()
}

/// The first `chars` characters. An index takes 64 KiB with an item, and JSON has six bytes for most
/// control characters, which tell a model nothing: without them four is the most that any has.
fn beginning(text: &str, chars: usize) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')).take(chars).collect()
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
