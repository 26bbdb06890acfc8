use super::{Reader, Skip};
use crate::evidence::EvidenceRecord;

/// `auto_apply`: a patch that was committed, taken back, or never tried.
pub(super) fn auto_apply(row: &mut Reader<'_, '_>, record: &mut EvidenceRecord) -> Result<(), Skip> {
    let Some(action) = row.name(&["action"]) else { return Err(Skip::Missing("action")) };
    let word = action.to_lowercase();
    if word == "committed" {
        record.success_markers.push(word);
    } else if word.ends_with("_reverted") || word.contains("build_red") {
        record.failure_markers.push(word);
    }
    record.text = row.text(&["text", "patch", "diff"]);
    record.metadata.insert("action".to_owned(), action.into());
    for name in ["commit_sha", "reason", "patches_applied"] {
        row.keep(name, &mut record.metadata);
    }
    Ok(())
}
