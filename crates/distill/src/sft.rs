//! Training rows, behind a firewall.
//!
//! [`admit`] is the only way to a [`Pass`], and [`SftRow::new`] takes one: code that forgets the
//! firewall does not compile.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    evidence::{EvidenceRecord, Role},
    score::{Category, ScoredProvenance, ScoredRun, score},
};

/// What is never learned from, whatever anyone asks for.
pub const SFT_NEVER: [Category; 2] = [Category::Rejected, Category::NeedsHumanReview];

/// One row of the export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SftRow {
    /// What was asked.
    pub instruction: String,
    /// What it was asked about.
    pub input: String,
    /// What was answered.
    pub output: String,
    /// The way back.
    pub provenance: SftProvenance,
    /// Why it may be learned from.
    pub category: Category,
    /// See [`ScoredRun::quality_score`].
    pub quality_score: f64,
}

/// The way back from a training row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SftProvenance {
    /// The run, for `materializer trace`.
    pub run_id: String,
    /// Who scored it.
    pub scorer: String,
    /// Evidence and source.
    #[serde(flatten)]
    pub origin: ScoredProvenance,
}

/// One row of the quarantine: a scored run that did not become a training row. It carries no text,
/// so that nobody learns from it by mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// See [`Stop::name`].
    pub reason: String,
    /// Why exactly, for people.
    pub detail: String,
    /// The category that was stored.
    pub category: Category,
    /// The way back.
    pub provenance: SftProvenance,
}

/// Why a scored run does not become a training row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The firewall.
    #[error("{} runs are never exported", .0.name())]
    Never(Category),
    /// Only with `--include-partial`.
    #[error("partially accepted runs are exported with --include-partial only")]
    Partial,
    /// The stored category is not what the rules say today.
    #[error("stored as {}, but the evidence says {}", .stored.name(), .now.name())]
    Stale {
        /// In the scored run.
        stored: Category,
        /// Of the evidence.
        now: Category,
    },
    /// Extractors and embedders.
    #[error("{} output is not an answer to an instruction", .0.name())]
    RoleWithoutAnswers(Role),
    /// Nothing to learn.
    #[error("no text")]
    Empty,
    /// There is such a row already.
    #[error("the same instruction, input and output are there already")]
    Duplicate,
    /// No way back.
    #[error("{0}")]
    Unsourced(String),
}

impl Stop {
    /// The reason in the quarantine file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Never(Category::Rejected) => "firewall_rejected",
            Self::Never(_) => "firewall_needs_human_review",
            Self::Partial => "partial_not_asked_for",
            Self::Stale { .. } => "stale_score",
            Self::RoleWithoutAnswers(_) => "role_exports_nothing",
            Self::Empty => "empty",
            Self::Duplicate => "duplicate",
            Self::Unsourced(_) => "unsourced",
        }
    }
}

/// A category that got through the firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass(Category);

/// The firewall.
///
/// # Errors
/// For a category in [`SFT_NEVER`], and for partially accepted ones unless `include_partial`.
pub fn admit(category: Category, include_partial: bool) -> Result<Pass, Stop> {
    if SFT_NEVER.contains(&category) {
        return Err(Stop::Never(category));
    }
    if category == Category::PartiallyAccepted && !include_partial {
        return Err(Stop::Partial);
    }
    Ok(Pass(category))
}

/// Everything about a run that decides without looking at other runs: the firewall over what was
/// stored, the firewall over what the evidence says now, the role, the text, and that `run` and
/// `record` are of one source row.
///
/// # Errors
/// Why the run is not exported.
pub fn examine(run: &ScoredRun, record: &EvidenceRecord, include_partial: bool) -> Result<SftRow, Stop> {
    let pass = admit(run.category, include_partial)?;
    if record.provenance.sig_hash != run.provenance.sig_hash || record.run_id != run.run_id {
        return Err(Stop::Unsourced("the evidence at that line is of another run: score again".to_owned()));
    }
    // A stored category is a file that anyone may edit, or that an older scorer wrote.
    let now = score(record).category;
    admit(now, include_partial)?;
    if now != run.category {
        return Err(Stop::Stale { stored: run.category, now });
    }
    if let Some(role @ (Role::Extractor | Role::Embedder)) = record.model_role {
        return Err(Stop::RoleWithoutAnswers(role));
    }
    let Some(output) = record.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
        return Err(Stop::Empty);
    };
    Ok(SftRow::new(pass, run, record, output))
}

impl SftRow {
    fn new(pass: Pass, run: &ScoredRun, record: &EvidenceRecord, output: &str) -> Self {
        Self {
            instruction: instruction(record),
            input: input(record),
            output: output.to_owned(),
            provenance: SftProvenance::of(run),
            category: pass.0,
            quality_score: run.quality_score,
        }
    }

    /// Equal for rows that teach the same.
    #[must_use]
    pub fn content_hash(&self) -> String {
        // Lengths in between, so that no two different triples run together to the same bytes.
        let (a, b, c) = (&self.instruction, &self.input, &self.output);
        crate::sha256_hex(format!("{}:{a}{}:{b}{}:{c}", a.len(), b.len(), c.len()).as_bytes())
    }
}

impl SftProvenance {
    /// The way back from `run`.
    #[must_use]
    pub fn of(run: &ScoredRun) -> Self {
        Self { run_id: run.run_id.clone(), scorer: run.scorer.clone(), origin: run.provenance.clone() }
    }
}

impl Quarantined {
    /// `run`, stopped.
    #[must_use]
    pub fn of(run: &ScoredRun, stop: &Stop) -> Self {
        Self {
            reason: stop.name().to_owned(),
            detail: stop.to_string(),
            category: run.category,
            provenance: SftProvenance::of(run),
        }
    }
}

/// What the run was asked: its own words where the log has them, else what runs of its source are for.
fn instruction(record: &EvidenceRecord) -> String {
    for name in ["instruction", "prompt", "question"] {
        if let Some(own) = record.metadata.get(name).and_then(Value::as_str).filter(|own| !own.trim().is_empty()) {
            return own.trim().to_owned();
        }
    }
    let task = &record.task_id;
    let text_of = |name: &str| record.metadata.get(name).and_then(Value::as_str);
    match record.source_name() {
        "contract_analyses" => format!("Analyse permit {task}: the work, the parties, the risks, and what to check."),
        "mode_experiments" => match text_of("mode") {
            Some(mode) => format!("Do a task of the class {task}, in the mode {mode}."),
            None => format!("Do a task of the class {task}."),
        },
        "scrum_reviews" => format!("Review {task} and suggest improvements."),
        "observer_escalations" => format!("Find the common cause of the failures with the signature {task}."),
        "observer_reviews" => format!("Judge the result of {task}: say what is wrong or missing."),
        "audits" => format!("Audit {task} and sum up what you find."),
        "auto_apply" => format!("Write the change to {task}."),
        _ => format!("Do the task {task}."),
    }
}

/// What the run had before it, one thing a line.
fn input(record: &EvidenceRecord) -> String {
    let mut lines = Vec::new();
    if !record.source_files.is_empty() {
        lines.push(format!("files: {}", record.source_files.join(", ")));
    }
    if let Some(command) = &record.command_run {
        lines.push(format!("command: {command}"));
    }
    lines.extend(record.retrieved_context.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}: {text}"),
        other => format!("{name}: {other}"),
    }));
    lines.join("\n")
}

#[cfg(test)]
#[path = "sft_tests.rs"]
mod tests;
