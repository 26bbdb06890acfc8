//! How well a run went, as far as its evidence says. The same record always gets the same score.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    evidence::{EvidenceRecord, Role, Verdict},
    time::Instant,
};

/// The rules below, as one name. Whoever changes a rule, a weight or a reason changes this too:
/// `materializer drift` compares what was stored under one version with what another one says.
pub const SCORER: &str = "lakehouse-scorer/1";

/// The schema of a scored run.
pub const SCHEMA: &str = "scored_run.v1";

/// What may be done with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Something to learn from.
    Accepted,
    /// Good in the end, not at once.
    PartiallyAccepted,
    /// Something to avoid.
    Rejected,
    /// Nobody can tell from the evidence alone.
    NeedsHumanReview,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::PartiallyAccepted, Self::Rejected, Self::NeedsHumanReview];

    /// Its name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::PartiallyAccepted => "partially_accepted",
            Self::Rejected => "rejected",
            Self::NeedsHumanReview => "needs_human_review",
        }
    }
}

/// A category, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// What may be done with the run.
    pub category: Category,
    /// The facts that decided, the decisive one first.
    pub reasons: Vec<String>,
    /// 0..=1 each; only what the evidence has something to say about.
    pub sub_scores: BTreeMap<String, f64>,
    /// The sub-scores' mean, weighted by role: 0..=1.
    pub quality: f64,
}

/// One row of `data/scored-runs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredRun {
    /// [`SCHEMA`].
    pub schema: String,
    /// [`SCORER`] of the program that scored it.
    pub scorer: String,
    /// The run.
    pub run_id: String,
    /// Its task.
    pub task_id: String,
    /// When it took place.
    pub timestamp: Instant,
    /// What its model was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_role: Option<Role>,
    /// What may be done with it.
    pub category: Category,
    /// Why.
    pub reasons: Vec<String>,
    /// See [`Score::sub_scores`].
    pub sub_scores: BTreeMap<String, f64>,
    /// See [`Score::quality`].
    pub quality_score: f64,
    /// The way back.
    pub provenance: ScoredProvenance,
}

/// The way back from a scored run to its evidence and its source row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoredProvenance {
    /// The evidence file, relative to the root.
    pub evidence_file: String,
    /// The record's line in it, counted from 0.
    pub evidence_line: u64,
    /// The source file, relative to the root.
    pub source_file: String,
    /// The row's line in it, counted from 0.
    pub line_offset: u64,
    /// SHA-256 (hex) of the row's canonical JSON.
    pub sig_hash: String,
}

impl ScoredRun {
    /// Scores the record that lies at line `evidence_line` of `evidence_file`.
    #[must_use]
    pub fn of(record: &EvidenceRecord, evidence_file: &str, evidence_line: u64) -> Self {
        let score = score(record);
        Self {
            schema: SCHEMA.to_owned(),
            scorer: SCORER.to_owned(),
            run_id: record.run_id.clone(),
            task_id: record.task_id.clone(),
            timestamp: record.timestamp,
            model_role: record.model_role,
            category: score.category,
            reasons: score.reasons,
            sub_scores: score.sub_scores,
            quality_score: score.quality,
            provenance: ScoredProvenance {
                evidence_file: evidence_file.to_owned(),
                evidence_line,
                source_file: record.provenance.source_file.clone(),
                line_offset: record.provenance.line_offset,
                sig_hash: record.provenance.sig_hash.clone(),
            },
        }
    }
}

/// Scores one record.
#[must_use]
pub fn score(record: &EvidenceRecord) -> Score {
    let (category, reasons) = categorize(record);
    let sub_scores = sub_scores(record);
    let quality = quality(record.model_role.unwrap_or(Role::Other), &sub_scores);
    Score { category, reasons, sub_scores, quality }
}

/// The first rule that has something to say decides. What stops a run comes before what lets it
/// pass, so that contradicting evidence is never learned from.
fn categorize(record: &EvidenceRecord) -> (Category, Vec<String>) {
    if let Some(human) = &record.human_override {
        return human_decision(human);
    }
    let mut against: Vec<String> = record.failure_markers.iter().map(|m| format!("failure_marker:{m}")).collect();
    if record.observer_verdict == Some(Verdict::Reject) {
        against.push("observer_verdict:reject".to_owned());
    }
    if !against.is_empty() {
        return (Category::Rejected, against);
    }
    if let Some(field) = unreadable_decision(record) {
        return (Category::NeedsHumanReview, vec![format!("unreadable:{field}")]);
    }
    if record.observer_verdict == Some(Verdict::NeedsReview) {
        return (Category::NeedsHumanReview, vec!["observer_verdict:needs_review".to_owned()]);
    }
    let mut partly = Vec::new();
    if record.observer_verdict == Some(Verdict::Cycle) {
        partly.push("observer_verdict:cycle".to_owned());
    }
    if let Some(attempt) = accepted_on_attempt(record).filter(|&attempt| attempt > 1) {
        partly.push(format!("accepted_late:attempt_{attempt}"));
    }
    if !partly.is_empty() {
        return (Category::PartiallyAccepted, partly);
    }
    let mut for_it: Vec<String> = record.success_markers.iter().map(|m| format!("success_marker:{m}")).collect();
    if record.observer_verdict == Some(Verdict::Accept) {
        for_it.insert(0, "observer_verdict:accept".to_owned());
    }
    if !for_it.is_empty() {
        return (Category::Accepted, for_it);
    }
    let why = match record.model_role {
        Some(Role::Extractor | Role::Embedder) => "nothing_decisive:extractions_are_not_judged_by_their_log",
        _ => "nothing_decisive:no_marker_and_no_verdict",
    };
    (Category::NeedsHumanReview, vec![why.to_owned()])
}

/// A member that decided something in words nobody here knows: it may have been a rejection.
fn unreadable_decision(record: &EvidenceRecord) -> Option<&str> {
    const DECIDE: [&str; 7] =
        ["observer_verdict", "verdict", "source_task.verdict", "overall", "ok", "failure_markers", "human_override"];
    let unreadable = record.metadata.get("unreadable_fields")?.as_array()?;
    // All of it, or a part: `failure_markers[0]`.
    let is_of = |field: &str, name: &str| {
        field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let decides = |field: &&str| DECIDE.iter().any(|name| is_of(field, name));
    unreadable.iter().filter_map(Value::as_str).find(decides)
}

fn human_decision(human: &Value) -> (Category, Vec<String>) {
    let word = match human {
        Value::String(word) => Some(word.as_str()),
        Value::Object(members) => {
            ["verdict", "decision", "category", "action"].iter().find_map(|name| members.get(*name)?.as_str())
        }
        _ => None,
    };
    let category = match word.and_then(Verdict::from_word) {
        Some(Verdict::Accept) => Category::Accepted,
        Some(Verdict::Cycle) => Category::PartiallyAccepted,
        Some(Verdict::Reject) => Category::Rejected,
        Some(Verdict::NeedsReview) | None => Category::NeedsHumanReview,
    };
    (category, vec![format!("human_override:{}", word.unwrap_or("unclear"))])
}

/// The attempt on which the work was accepted, from the marker `accepted_on_attempt_N`.
fn accepted_on_attempt(record: &EvidenceRecord) -> Option<u64> {
    let attempts = record.success_markers.iter().filter_map(|m| m.strip_prefix("accepted_on_attempt_")?.parse().ok());
    attempts.max()
}

fn sub_scores(record: &EvidenceRecord) -> BTreeMap<String, f64> {
    let mut scores = BTreeMap::new();
    let mut put = |name: &str, score: f64| scores.insert(name.to_owned(), to_four_digits(score));
    if let Some(verdict) = record.observer_verdict {
        put(
            "verdict",
            match verdict {
                Verdict::Accept => 1.0,
                Verdict::Cycle => 0.5,
                Verdict::NeedsReview => 0.25,
                Verdict::Reject => 0.0,
            },
        );
    }
    if let Some(confidence) = record.observer_confidence {
        put("confidence", confidence / 100.0);
    }
    let (good, bad) = (record.success_markers.len(), record.failure_markers.len());
    if good + bad > 0 {
        put("markers", ratio(good, good + bad));
    }
    if let Some(attempt) = accepted_on_attempt(record).filter(|&attempt| attempt > 0) {
        put("attempts", 1.0 / exact(attempt));
    }
    let count = |name| record.validation_results.get(name).and_then(Value::as_u64);
    if let (Some(ok), Some(total @ 1..)) = (count("events_ok"), count("events_total")) {
        put("validation", (exact(ok) / exact(total)).min(1.0));
    }
    put("text", if record.text.as_deref().is_some_and(|text| !text.trim().is_empty()) { 1.0 } else { 0.0 });
    let is_grounded = !record.source_files.is_empty() || !record.retrieved_context.is_empty();
    put("grounding", if is_grounded { 1.0 } else { 0.0 });
    scores
}

/// What counts for how much. Work is judged by what came of it, a review by how sure its observer
/// was and whether it names files, an applied change by its markers alone.
const fn weight(role: Role, sub_score: &str) -> f64 {
    let weights: [f64; 7] = match role {
        //                verdict conf. markers att. valid. text ground.
        Role::Executor => [3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 1.0],
        Role::Reviewer | Role::Verifier | Role::Tiebreaker | Role::Categorizer => [3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0],
        Role::Applier => [2.0, 1.0, 5.0, 1.0, 2.0, 0.0, 1.0],
        Role::Extractor | Role::Embedder | Role::Other => [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    };
    match sub_score.as_bytes() {
        b"verdict" => weights[0],
        b"confidence" => weights[1],
        b"markers" => weights[2],
        b"attempts" => weights[3],
        b"validation" => weights[4],
        b"text" => weights[5],
        b"grounding" => weights[6],
        _ => 0.0,
    }
}

fn quality(role: Role, sub_scores: &BTreeMap<String, f64>) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (name, score) in sub_scores {
        let weight = weight(role, name);
        sum += weight * score;
        weights += weight;
    }
    if weights > 0.0 { to_four_digits(sum / weights) } else { 0.0 }
}

/// Rows are compared byte by byte, so the last digits of a quotient must not matter.
fn to_four_digits(score: f64) -> f64 {
    (score * 10_000.0).round() / 10_000.0
}

fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

fn exact(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
