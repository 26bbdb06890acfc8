use std::{
    fs::File,
    io::{BufReader, BufWriter, Seek as _, SeekFrom, Write as _},
};

use lakehouse_distill::{
    evidence::{EvidenceRecord, Members},
    files::{self, At as _, LineReader},
    layout,
    score::score,
    time::Instant,
};
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    job::Job,
};

/// The columns, each with its type in ingestd's words. Lists and objects are JSON in text.
const COLUMNS: [(&str, &str); 33] = [
    ("run_id", "varchar"),
    ("task_id", "varchar"),
    // Without a zone, in UTC: time zone arithmetic in SQL needs an extension that queryd does not load.
    ("timestamp", "timestamp"),
    ("source", "varchar"),
    ("source_file", "varchar"),
    ("line_offset", "bigint"),
    ("part", "bigint"),
    ("sig_hash", "varchar"),
    ("recorded_at", "timestamp"),
    ("model_name", "varchar"),
    ("model_provider", "varchar"),
    ("model_role", "varchar"),
    ("category", "varchar"),
    ("quality_score", "double"),
    ("observer_verdict", "varchar"),
    ("observer_confidence", "double"),
    ("cost_usd", "double"),
    ("latency_ms", "bigint"),
    ("prompt_tokens", "bigint"),
    ("completion_tokens", "bigint"),
    ("text", "varchar"),
    ("source_files", "varchar"),
    ("success_markers", "varchar"),
    ("failure_markers", "varchar"),
    ("observer_notes", "varchar"),
    ("command_run", "varchar"),
    ("scratchpad_summary", "varchar"),
    ("input_hash", "varchar"),
    ("output_hash", "varchar"),
    ("human_override", "varchar"),
    ("validation_results", "varchar"),
    ("retrieved_context", "varchar"),
    ("metadata", "varchar"),
];

/// For `?types=`.
pub(super) fn types() -> String {
    COLUMNS.map(|(name, ty)| format!("{name}:{ty}")).join(",")
}

/// All evidence as one CSV, in a temporary file that is at its beginning.
pub(super) struct Table {
    pub(super) file: File,
    pub(super) rows: u64,
}

/// Writes every record, by day, source and line: the same evidence gives the same bytes. The
/// dataset is the whole of it, so `--source` and `--since` leave nothing out here.
pub(super) fn write(job: &Job) -> Result<Table> {
    let mut out = BufWriter::with_capacity(1 << 18, tempfile::tempfile().map_err(Error::Spill)?);
    out.write_all(COLUMNS.map(|(name, _)| name).join(",").as_bytes()).map_err(Error::Spill)?;
    out.write_all(b"\n").map_err(Error::Spill)?;
    let (mut rows, mut line_out) = (0, String::new());
    for file in files::day_files(&job.root, layout::EVIDENCE)? {
        let path = job.path(&file.path);
        let Some(input) = files::open_if_there(&path)? else { continue };
        let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, input));
        while let Some(line) = lines.next_line().at("read", &path)? {
            let record = line.text().map_err(|e| e.to_string()).and_then(EvidenceRecord::from_line);
            // Others write into these files too; what is no evidence is no row.
            let Ok(record) = record else { continue };
            write_row(&record, &file.source, &mut line_out);
            out.write_all(line_out.as_bytes()).map_err(Error::Spill)?;
            rows += 1;
        }
    }
    let mut file = out.into_inner().map_err(|e| Error::Spill(e.into_error()))?;
    file.seek(SeekFrom::Start(0)).map_err(Error::Spill)?;
    Ok(Table { file, rows })
}

fn write_row(record: &EvidenceRecord, source: &str, out: &mut String) {
    let score = score(record);
    let cells: [Option<String>; COLUMNS.len()] = [
        Some(record.run_id.clone()),
        Some(record.task_id.clone()),
        Some(utc(record.timestamp)),
        Some(source.to_owned()),
        Some(record.provenance.source_file.clone()),
        Some(record.provenance.line_offset.to_string()),
        Some(record.provenance.part.to_string()),
        Some(record.provenance.sig_hash.clone()),
        Some(utc(record.provenance.recorded_at)),
        record.model_name.clone(),
        record.model_provider.clone(),
        record.model_role.map(|role| role.name().to_owned()),
        Some(score.category.name().to_owned()),
        Some(score.quality.to_string()),
        record.observer_verdict.map(|verdict| verdict.name().to_owned()),
        record.observer_confidence.map(|x| x.to_string()),
        record.cost_usd.map(|x| x.to_string()),
        record.latency_ms.map(|n| n.to_string()),
        record.prompt_tokens.map(|n| n.to_string()),
        record.completion_tokens.map(|n| n.to_string()),
        record.text.clone(),
        list(&record.source_files),
        list(&record.success_markers),
        list(&record.failure_markers),
        list(&record.observer_notes),
        record.command_run.clone(),
        record.scratchpad_summary.clone(),
        record.input_hash.clone(),
        record.output_hash.clone(),
        record.human_override.as_ref().map(Value::to_string),
        members(&record.validation_results),
        members(&record.retrieved_context),
        members(&record.metadata),
    ];
    out.clear();
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if let Some(cell) = cell {
            write_cell(cell, out);
        }
    }
    out.push('\n');
}

/// Quoted always: then a text of commas, quotes and new lines needs no second thought.
fn write_cell(cell: &str, out: &mut String) {
    out.push('"');
    for c in cell.chars() {
        match c {
            '"' => out.push_str("\"\""),
            // No text column takes it.
            '\0' => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn utc(time: Instant) -> String {
    time.timestamp().strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

fn list(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| json!(items).to_string())
}

fn members(members: &Members) -> Option<String> {
    (!members.is_empty()).then(|| json!(members).to_string())
}

#[cfg(test)]
mod tests {
    use lakehouse_distill::{Context, source::Source, transform_line};

    use super::*;

    #[test]
    fn a_row_has_a_cell_for_every_column_and_quotes_what_it_holds() {
        let line = r#"{"created_at":"2026-04-21T09:15:00.1234567+02:00","text":"a \"quote\", a\nline, \u0000","extractor":"q"}"#;
        let context = Context { line_offset: 7, part: 0, recorded_at: None };
        let record = transform_line(Source::DistilledFacts, line, &context).unwrap();
        let mut row = String::new();
        write_row(&record, "distilled_facts", &mut row);
        assert!(row.contains("\"2026-04-21 07:15:00.123456\""), "{row}");
        assert!(row.contains("\"a \"\"quote\"\", a\nline, \u{fffd}\""), "{row}");
        // Outside of quotes there are only the separators.
        let mut quoted = false;
        let separators = row
            .chars()
            .filter(|&c| {
                quoted ^= c == '"';
                c == ',' && !quoted
            })
            .count();
        assert_eq!(separators, COLUMNS.len() - 1);
        assert_eq!(types().split(',').count(), COLUMNS.len());
    }
}
