use super::{Reader, Skip};
use crate::evidence::EvidenceRecord;

/// What a distilled text was drawn out of.
pub(super) const TASK: &[&str] = &["task_id", "source_task", "source_label"];

/// `distilled_facts`, `distilled_procedures` and `distilled_config_hints`: a text, and who drew it out.
pub(super) fn distilled(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    record.text = row.text(&["text", "fact", "procedure", "hint"]);
    if record.text.is_none() {
        return Err(Skip::Missing("text"));
    }
    extractor(row, record);
    for name in ["source_label", "source_service", "topic", "confidence"] {
        row.keep(name, &mut record.metadata);
    }
    Ok(())
}

/// `audit_facts`: how much was drawn out of a pull request.
pub(super) fn audit_facts(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    extractor(row, record);
    pull_request(row, record);
    for name in ["facts", "entities", "relationships"] {
        if let Some(size) = row.size(&[name]) {
            record.metadata.insert(name.to_owned(), size.into());
        }
    }
    Ok(())
}

fn extractor(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) {
    let model = row.name(&["extractor", "extractor_model", "extractor.model", "extractor.name"]);
    let provider = row.name(&["extractor_provider", "extractor.provider"]);
    record.model_name = model.or(record.model_name.take());
    record.model_provider = provider.or(record.model_provider.take());
}

/// `pr:<number>@<head>`: the state of a pull request that was looked at.
pub(super) fn pull_request(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) {
    let number = row.id(&["pr_number"]);
    let head = row.id(&["head_sha"]);
    let task = match (&number, &head) {
        (Some(number), Some(head)) => format!("pr:{number}@{head}"),
        (Some(number), None) => format!("pr:{number}"),
        (None, Some(head)) => format!("commit:{head}"),
        (None, None) => return,
    };
    if row.get("task_id").is_none() && crate::evidence::is_id(&task) {
        record.task_id = task;
    }
    row.keep("pr_number", &mut record.metadata);
    row.keep("head_sha", &mut record.metadata);
}
