use super::{Reader, Skip};
use crate::evidence::{EvidenceRecord, round};

/// `contract_analyses`: an analysis of a permit, what it was based on, and what its observer said.
pub(super) fn contract_analysis(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    record.text = row.text(&["analysis"]);
    for name in ["matrix_corpora", "matrix_hits"] {
        row.keep(name, &mut record.retrieved_context);
    }
    match row.flag(&["ok"]) {
        Some(true) => record.success_markers.push("analysis_ok".to_owned()),
        Some(false) => record.failure_markers.push("analysis_failed".to_owned()),
        None => {}
    }
    for name in ["permit_id", "contractor", "error"] {
        row.keep(name, &mut record.metadata);
    }
    Ok(())
}

/// `mode_experiments`: one task class answered in one mode.
pub(super) fn mode_experiment(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    record.text = row.text(&["response"]);
    for name in ["sources", "matrix_corpus"] {
        row.keep(name, &mut record.retrieved_context);
    }
    if row.get("error").is_some() {
        record.failure_markers.push("error".to_owned());
    }
    for name in ["mode", "task_class", "error"] {
        row.keep(name, &mut record.metadata);
    }
    Ok(())
}

/// `outcomes`: how a whole run ended.
pub(super) fn outcome(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    if let Some(seconds) = row.amount(&["elapsed_secs"]) {
        record.latency_ms = round(seconds * 1000.0);
    }
    let ok = row.count(&["events_ok", "ok_events"]);
    let total = row.count(&["events_total", "total_events"]);
    match (ok, total) {
        // A run without events neither went well nor badly: nobody should learn from it unseen.
        (_, Some(0) | None) | (None, _) => {}
        (Some(ok), Some(total)) if ok == total => record.success_markers.push("all_events_ok".to_owned()),
        _ => record.failure_markers.push("events_failed".to_owned()),
    }
    for (name, value) in [("events_ok", ok), ("events_total", total)] {
        if let Some(value) = value {
            record.validation_results.insert(name.to_owned(), value.into());
        }
    }
    row.keep("gap_signals", &mut record.validation_results);
    record.text = row.text(&["text", "summary"]);
    for name in ["sig_hash", "error"] {
        row.keep(name, &mut record.metadata);
    }
    Ok(())
}
