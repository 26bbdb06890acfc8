use std::collections::BTreeMap;

use super::{Reader, Skip, extractors::pull_request};
use crate::{
    evidence::{EvidenceRecord, Verdict},
    json::Json,
};

/// What an observer's review was about.
pub(super) const REVIEWED_TASK: &[&str] =
    &["task_id", "source_task", "source_task.task_id", "source_task.id", "source_run_id"];

/// `scrum_reviews`: a file's review, and on which attempt it was accepted.
pub(super) fn scrum_review(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    record.model_name = row.name(&["accepted_model"]).or(record.model_name.take());
    match row.count(&["accepted_on_attempt"]) {
        // 0 is what the log says when no attempt was.
        Some(0) | None => {}
        Some(attempt) => record.success_markers.push(format!("accepted_on_attempt_{attempt}")),
    }
    record.text = row.text(&["suggestions_preview"]);
    for name in ["attempts_made", "accepted_on_attempt", "suggestions_total"] {
        row.keep(name, &mut record.metadata);
    }
    Ok(())
}

/// `observer_escalations`: an analysis of failures that have one signature.
pub(super) fn observer_escalation(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    record.text = row.text(&["analysis"]);
    // The signature is what the escalation was given to look at.
    record.input_hash = row.id(&["sig_hash"]).or(record.input_hash.take());
    for name in ["sig_hash", "cluster_endpoint", "cluster_size", "mode"] {
        row.keep(name, &mut record.metadata);
    }
    Ok(())
}

/// `observer_reviews`: a verdict on one run; what it does not say itself, the reviewed task says.
pub(super) fn observer_review(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    record.observer_verdict =
        row.verdict(&["verdict"]).or(record.observer_verdict).or_else(|| row.verdict(&["source_task.verdict"]));
    record.observer_confidence = row.percentage(&["confidence"]).or(record.observer_confidence);
    let notes = row.list(&["notes"]);
    if !notes.is_empty() {
        record.observer_notes = notes;
    }
    record.text = if record.observer_notes.is_empty() {
        row.text(&["source_task.text", "source_task.description"])
    } else {
        Some(record.observer_notes.join("\n"))
    };
    if record.source_files.is_empty() {
        record.source_files = row.list(&["source_task.file", "source_task.source_files"]);
    }
    for name in ["source", "source_run_id", "mode"] {
        row.keep(name, &mut record.metadata);
    }
    Ok(())
}

/// `audits`: an audit's decision on a pull request, and how bad what it found is.
pub(super) fn audit(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    pull_request(row, record);
    record.observer_verdict = row.verdict(&["overall", "verdict"]).or(record.observer_verdict);
    record.text = row.text(&["summary", "text"]);
    let findings = match row.get("findings") {
        Some(Json::Array(items)) => count_by_severity(items),
        Some(Json::Object(object)) => object
            .iter()
            .filter_map(|(severity, n)| match n {
                Json::Array(items) => Some((severity.to_lowercase(), u64::try_from(items.len()).ok()?)),
                n => Some((severity.to_lowercase(), n.as_f64().and_then(crate::evidence::round)?)),
            })
            .collect(),
        _ => BTreeMap::new(),
    };
    // An audit that looked and found nothing says so; one without findings at all says nothing.
    if row.size(&["findings"]).is_some() {
        let findings: serde_json::Map<_, _> = findings.into_iter().map(|(k, n)| (k, n.into())).collect();
        record.metadata.insert("findings_by_severity".to_owned(), findings.into());
    }
    if record.observer_verdict == Some(Verdict::Reject) {
        record.failure_markers.push("audit_blocked".to_owned());
    }
    Ok(())
}

fn count_by_severity(items: &[Json<'_>]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for item in items {
        let severity = item.as_object().and_then(|finding| finding.get("severity")).and_then(Json::as_str);
        let severity = severity.map_or_else(|| "unknown".to_owned(), |s| s.trim().to_lowercase());
        *counts.entry(severity).or_insert(0) += 1;
    }
    counts
}
