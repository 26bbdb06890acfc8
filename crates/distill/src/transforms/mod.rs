//! Source rows become evidence: one pure function a source, behind one table.
//!
//! Logs are written by many programs in many moods, so reading is tolerant: a member that is
//! missing is left out, one of the wrong type, or one that is no number, is left out and named in
//! `metadata.unreadable_fields`, and only a row without a time, or with nothing in it to learn from, is refused.

mod appliers;
mod executors;
mod extractors;
mod reader;
mod reviewers;

use reader::Reader;

use crate::{
    evidence::{EvidenceRecord, Provenance, Role, SCHEMA_VERSION},
    json::{Json, JsonError},
    source::Source,
    time::{Instant, InvalidInstant},
};

/// What a transform is told about the row beside the row itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The row's line, counted from 0.
    pub line_offset: u64,
    /// How many rows stand before it on its line.
    pub part: u64,
    /// What `provenance.recorded_at` says; the row's own time if none.
    pub recorded_at: Option<Instant>,
}

/// Why a row does not become evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// Over the reader's limit.
    #[error("the line is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// Bytes that are no text.
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 {
        /// 0-based byte in the line.
        at: usize,
    },
    /// Text that is no JSON, with its new line.
    #[error("{0}")]
    NotJson(#[from] JsonError),
    /// The last line of a file, without a new line: somebody was, or is, in the middle of writing it.
    #[error("half-written last line ({0})")]
    HalfWritten(JsonError),
    /// A number, a string, an array, ...
    #[error("not a JSON object")]
    NotAnObject,
    /// None of the members that could say when.
    #[error("no timestamp")]
    NoTimestamp,
    /// Members that should say when, and don't.
    #[error("{field} is {source}")]
    BadTimestamp {
        /// The first such member.
        field: &'static str,
        /// Why not.
        source: InvalidInstant,
    },
    /// A member without which a row of this source means nothing.
    #[error("no {0}")]
    Missing(&'static str),
    /// Nothing to learn from.
    #[error("nothing in it: no text, verdict, marker, count or measurement")]
    Empty,
    /// The record would break its own schema.
    #[error("not a valid record: {0}")]
    Invalid(String),
}

/// How to read one source.
struct Spec {
    /// Members that say when, before the ones that any source may have.
    time: &'static [&'static str],
    /// Members that say what the task was.
    task: &'static [&'static str],
    /// Reads the rest.
    fill: fn(&mut Reader<'_, '_>, &mut EvidenceRecord) -> Result<(), Skip>,
}

/// Members that say when a row was written, in any source: whoever adds one for a source adds it here
/// too, as logs change their programs more often than their words.
const ANY_TIME: [&str; 11] = [
    "timestamp",
    "ts",
    "created_at",
    "recorded_at",
    "time",
    "ended_at",
    "finished_at",
    "started_at",
    "reviewed_at",
    "audited_at",
    "extracted_at",
];

const fn spec(source: Source) -> Spec {
    match source {
        Source::DistilledFacts | Source::DistilledProcedures | Source::DistilledConfigHints => {
            Spec { time: &["created_at"], task: extractors::TASK, fill: extractors::distilled }
        }
        Source::ContractAnalyses => {
            Spec { time: &["ts"], task: &["permit_id", "task_id"], fill: executors::contract_analysis }
        }
        Source::ModeExperiments => {
            Spec { time: &["ts"], task: &["task_class", "task_id"], fill: executors::mode_experiment }
        }
        Source::ScrumReviews => {
            Spec { time: &["reviewed_at"], task: &["task_id", "file"], fill: reviewers::scrum_review }
        }
        Source::ObserverEscalations => {
            Spec { time: &["ts"], task: &["task_id", "sig_hash"], fill: reviewers::observer_escalation }
        }
        Source::AuditFacts => Spec { time: &["extracted_at"], task: &["task_id"], fill: extractors::audit_facts },
        Source::AutoApply => Spec { time: &["ts"], task: &["task_id", "file"], fill: appliers::auto_apply },
        Source::ObserverReviews => {
            Spec { time: &["ts", "reviewed_at"], task: reviewers::REVIEWED_TASK, fill: reviewers::observer_review }
        }
        Source::Audits => Spec { time: &["audited_at", "ts"], task: &["task_id"], fill: reviewers::audit },
        Source::Outcomes => Spec { time: &["created_at"], task: &["task_id", "sig_hash"], fill: executors::outcome },
    }
}

/// One line of a source becomes a record.
///
/// # Errors
/// Why it does not.
pub fn transform_line(source: Source, line: &str, context: &Context) -> Result<EvidenceRecord, Skip> {
    let row = Json::parse(line)?;
    transform(source, &row, &crate::sig_hash(&row), context)
}

/// One row becomes a record. `sig` is [`crate::sig_hash`] of the row.
///
/// # Errors
/// Why it does not.
pub fn transform(source: Source, row: &Json<'_>, sig: &[u8; 32], context: &Context) -> Result<EvidenceRecord, Skip> {
    let mut reader = Reader::new(row.as_object().ok_or(Skip::NotAnObject)?);
    if !row.leaves_room() {
        return Err(Skip::Invalid("it would be nested too deep, or hold too many values".to_owned()));
    }
    let spec = spec(source);
    let timestamp = timestamp(&reader, spec.time)?;
    let sig_hash = hex::encode(sig);
    // Not the line: a row keeps its id when the log is rotated and its line changes.
    let id_of_row = format!("{}:{}", source.name(), &sig_hash[..16]);
    let provenance = Provenance {
        source_file: source.file(),
        line_offset: context.line_offset,
        part: context.part,
        sig_hash,
        recorded_at: context.recorded_at.unwrap_or(timestamp),
    };
    let mut record = EvidenceRecord {
        run_id: reader.id(&["run_id"]).unwrap_or_else(|| id_of_row.clone()),
        task_id: reader.id(spec.task).unwrap_or(id_of_row),
        ..blank(timestamp, provenance, source.role())
    };
    what_any_row_may_have(&mut reader, &mut record);
    (spec.fill)(&mut reader, &mut record)?;
    if !has_substance(&record) {
        return Err(Skip::Empty);
    }
    reader.name_the_unreadable(&mut record);
    match record.violations() {
        None => Ok(record),
        Some(why) => Err(Skip::Invalid(why)),
    }
}

fn timestamp(reader: &Reader<'_, '_>, first: &'static [&'static str]) -> Result<Instant, Skip> {
    let mut bad = None;
    for field in first.iter().chain(&ANY_TIME) {
        let Some(value) = reader.get_even_if_not_finite(field) else { continue };
        match Instant::from_json(value) {
            Ok(instant) => return Ok(instant),
            Err(source) => bad = bad.or(Some(Skip::BadTimestamp { field, source })),
        }
    }
    Err(bad.unwrap_or(Skip::NoTimestamp))
}

fn blank(timestamp: Instant, provenance: Provenance, role: Role) -> EvidenceRecord {
    EvidenceRecord {
        run_id: String::new(),
        task_id: String::new(),
        timestamp,
        schema_version: SCHEMA_VERSION,
        provenance,
        model_name: None,
        model_provider: None,
        model_role: Some(role),
        input_hash: None,
        output_hash: None,
        source_files: Vec::new(),
        command_run: None,
        retrieved_context: Default::default(),
        observer_notes: Vec::new(),
        observer_verdict: None,
        observer_confidence: None,
        scratchpad_summary: None,
        success_markers: Vec::new(),
        failure_markers: Vec::new(),
        validation_results: Default::default(),
        human_override: None,
        cost_usd: None,
        latency_ms: None,
        prompt_tokens: None,
        completion_tokens: None,
        text: None,
        metadata: Default::default(),
    }
}

/// Members that mean the same in whatever source they turn up.
fn what_any_row_may_have(reader: &mut Reader<'_, '_>, record: &mut EvidenceRecord) {
    record.model_name = reader.name(&["model_name", "model", "model.name"]);
    record.model_provider = reader.name(&["model_provider", "provider", "model.provider"]);
    if let Some(role) = reader.word(&["model_role"], Role::from_name) {
        record.model_role = Some(role);
    }
    record.input_hash = reader.name(&["input_hash"]);
    record.output_hash = reader.name(&["output_hash"]);
    record.source_files = reader.list(&["source_files", "source_file", "file", "file_path"]);
    record.command_run = reader.text(&["command_run", "command"]);
    record.retrieved_context = reader.members(&["retrieved_context"]);
    record.observer_notes = reader.list(&["observer_notes"]);
    record.observer_verdict = reader.verdict(&["observer_verdict"]);
    record.observer_confidence = reader.percentage(&["observer_confidence", "observer_conf"]);
    record.scratchpad_summary = reader.text(&["scratchpad_summary"]);
    record.success_markers = reader.list(&["success_markers"]);
    record.failure_markers = reader.list(&["failure_markers"]);
    record.validation_results = reader.members(&["validation_results"]);
    record.human_override = reader.word_or_members("human_override");
    record.cost_usd = reader.amount(&["cost_usd", "cost"]);
    record.latency_ms = reader.count(&["latency_ms", "duration_ms"]);
    record.prompt_tokens = reader.count(&["prompt_tokens", "usage.prompt_tokens"]);
    record.completion_tokens = reader.count(&["completion_tokens", "usage.completion_tokens"]);
}

/// Metadata that are a result; the rest only says which task or file a result would be about.
const SAYS_SOMETHING: [&str; 5] = ["facts", "entities", "relationships", "findings_by_severity", "action"];

fn has_substance(record: &EvidenceRecord) -> bool {
    record.text.is_some()
        || record.observer_verdict.is_some()
        || !record.observer_notes.is_empty()
        || !record.success_markers.is_empty()
        || !record.failure_markers.is_empty()
        || !record.validation_results.is_empty()
        || SAYS_SOMETHING.iter().any(|name| record.metadata.contains_key(*name))
        || record.human_override.is_some()
        || record.latency_ms.is_some()
        || record.prompt_tokens.is_some()
        || record.completion_tokens.is_some()
        || record.cost_usd.is_some()
}

#[cfg(test)]
mod tests;
