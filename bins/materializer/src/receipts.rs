use lakehouse_distill::{
    files::Writer,
    layout,
    receipt::{FileDigest, Receipt, SCHEMA, SourceCounts},
    time::Instant,
};
use serde_json::json;

use crate::{
    error::Result,
    job::{Job, now},
    report::Report,
    tables::table,
};

/// What a command that writes files by source did.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) sources: Vec<SourceCounts>,
    pub(crate) inputs: Vec<FileDigest>,
    pub(crate) outputs: Vec<FileDigest>,
    pub(crate) errors: Vec<String>,
}

impl Work {
    /// Writes the receipt, and turns it into what the command says.
    pub(crate) fn finish(self, job: &Job) -> Result<Report> {
        let add_up = self.sources.iter().all(SourceCounts::add_up);
        let receipt = Receipt {
            schema: SCHEMA.to_owned(),
            command: job.command.clone(),
            git_sha: job.git_sha(),
            started_at: job.started,
            ended_at: now()?,
            dry_run: job.dry_run,
            validation_pass: self.errors.is_empty() && add_up,
            sources: self.sources,
            inputs: self.inputs,
            outputs: self.outputs,
            errors: self.errors,
        };
        let place = if job.dry_run { None } else { Some(write(job, &receipt)?) };
        let mut json = json!(receipt);
        if let (Some(place), Some(members)) = (&place, json.as_object_mut()) {
            members.insert("receipt".to_owned(), json!(place));
        }
        let skipped = receipt.sources.iter().map(|source| source.skipped).sum();
        Ok(Report { text: text(&receipt, place.as_deref()), json, skipped, errors: receipt.errors })
    }
}

/// Writes `reports/distillation/<stamp>/receipt.json`; two runs in one millisecond get two folders.
fn write(job: &Job, receipt: &Receipt) -> Result<String> {
    let stamp = stamp(receipt.started_at);
    let mut name = stamp.clone();
    for n in 2.. {
        if !job.path(&format!("{}/{name}", layout::REPORTS)).exists() {
            break;
        }
        name = format!("{stamp}-{n}");
    }
    let path = format!("{}/{name}/receipt.json", layout::REPORTS);
    let place = job.path(&path);
    let mut writer = Writer::create(place.with_extension("json.new"))?;
    writer.write(format!("{:#}\n", json!(receipt)).as_bytes())?;
    writer.publish(&place)?;
    Ok(path)
}

/// A time as a folder's name that sorts: `20260427T101500.123Z`.
fn stamp(time: Instant) -> String {
    time.timestamp().strftime("%Y%m%dT%H%M%S%.3fZ").to_string()
}

fn text(receipt: &Receipt, place: Option<&str>) -> String {
    let rows: Vec<Vec<String>> = receipt
        .sources
        .iter()
        .map(|s| {
            let counts = [s.rows_read, s.written, s.deduped, s.skipped, s.filtered];
            let name = if s.present { s.source.clone() } else { format!("{} (not there)", s.source) };
            std::iter::once(name).chain(counts.iter().map(u64::to_string)).collect()
        })
        .collect();
    let mut text = table(&["source", "read", "written", "deduped", "skipped", "filtered"], &rows);
    let written: u64 = receipt.sources.iter().map(|s| s.written).sum();
    let deduped: u64 = receipt.sources.iter().map(|s| s.deduped).sum();
    let verb = if receipt.dry_run { "would be written" } else { "written" };
    text.push_str(&format!("{written} rows {verb} to {} files, {deduped} deduped", receipt.outputs.len()));
    if written == 0 && receipt.errors.is_empty() {
        text.push_str(": nothing new");
    }
    text.push('\n');
    if receipt.dry_run {
        for output in &receipt.outputs {
            text.push_str(&format!("  {} +{} rows\n", output.path, output.rows));
        }
    }
    if let Some(place) = place {
        text.push_str(&format!("receipt: {place}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn stamps_sort_as_the_times_do() {
        let stamp = |text: &str| super::stamp(text.parse().unwrap());
        assert_eq!(stamp("2026-04-27T12:15:00.1239+02:00"), "20260427T101500.123Z");
        assert!(stamp("2026-04-27T10:15:00Z") < stamp("2026-04-27T10:15:00.001Z"));
    }
}
