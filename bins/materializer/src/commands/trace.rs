use std::io::BufReader;

use lakehouse_distill::{
    evidence::EvidenceRecord,
    files::{self, At as _, LineReader},
    layout,
    score::ScoredRun,
    sft::SftRow,
    sig_hashes,
};
use serde_json::{Value, json};

use crate::{
    error::{Error, Result},
    job::Job,
    pairs,
    report::Report,
};

/// One record of the run, with everything before and behind it.
struct Found {
    evidence_file: String,
    evidence_line: u64,
    record: EvidenceRecord,
    origin: Origin,
    scored: Option<ScoredRun>,
    exported_line: Option<u64>,
}

/// What became of the source row.
enum Origin {
    /// At the place that the record names, with the same hash.
    InPlace(String),
    /// The log was rotated or edited: the row is at another line now, or at another place of it.
    Moved { line: u64, part: u64, row: String },
    /// No line of the source has the hash.
    Gone,
}

/// Walks from a run's records back to their source lines, and forward to score and export.
pub(crate) fn run(job: &Job, run_id: &str) -> Result<Report> {
    let mut found = evidence(job, run_id)?;
    if found.is_empty() {
        return Err(Error::Unusable(format!("no evidence of the run {run_id:?}: is it materialized?")));
    }
    for found in &mut found {
        found.origin = origin(job, &found.record)?;
    }
    pairs::for_each(job, |pair| {
        if pair.run.run_id == run_id {
            let origin = &pair.run.provenance;
            let same =
                |f: &&mut Found| f.evidence_file == origin.evidence_file && f.evidence_line == origin.evidence_line;
            if let Some(found) = found.iter_mut().find(same) {
                found.scored = Some(pair.run);
            }
        }
        Ok(())
    })?;
    exports(job, run_id, &mut found)?;
    let errors = found
        .iter()
        .filter(|found| matches!(found.origin, Origin::Gone))
        .map(|found| format!("no row of {} has the hash that its evidence names", found.record.provenance.source_file))
        .collect();
    let json = json!({"run_id": run_id, "records": found.iter().map(Found::json).collect::<Vec<_>>()});
    let text = found.iter().map(Found::text).collect::<Vec<_>>().join("\n");
    Ok(Report { json, text, skipped: 0, errors })
}

fn evidence(job: &Job, run_id: &str) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for file in job.day_files(layout::EVIDENCE)? {
        let path = job.path(&file.path);
        let Some(input) = files::open_if_there(&path)? else { continue };
        let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, input));
        while let Some(line) = lines.next_line().at("read", &path)? {
            let Ok(row) = line.json() else { continue };
            let is_it = row.as_object().and_then(|row| row.get("run_id")?.as_str()) == Some(run_id);
            let record = line.text().map_err(|e| e.to_string()).and_then(EvidenceRecord::from_line);
            if let (true, Ok(record)) = (is_it, record) {
                found.push(Found {
                    evidence_file: file.path.clone(),
                    evidence_line: line.number,
                    record,
                    origin: Origin::Gone,
                    scored: None,
                    exported_line: None,
                });
            }
        }
    }
    Ok(found)
}

/// Looks for the row by its hash; the place it was read from wins over an equal row elsewhere.
fn origin(job: &Job, record: &EvidenceRecord) -> Result<Origin> {
    let place = &record.provenance;
    let path = job.path(&place.source_file);
    let Some(file) = files::open_if_there(&path)? else { return Ok(Origin::Gone) };
    let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, file));
    let mut moved = None;
    while let Some(line) = lines.next_line().at("read", &path)? {
        if moved.is_some() && line.number != place.line_offset {
            continue;
        }
        for row in line.rows() {
            let Ok(value) = &row.json else { continue };
            let (hash, former) = sig_hashes(value);
            // Evidence of an earlier release has the hash of that time.
            if !std::iter::once(hash).chain(former).any(|hash| hex::encode(hash) == place.sig_hash) {
                continue;
            }
            let text = String::from_utf8_lossy(row.bytes).into_owned();
            if (line.number, row.part) == (place.line_offset, place.part) {
                return Ok(Origin::InPlace(text));
            }
            moved.get_or_insert(Origin::Moved { line: line.number, part: row.part, row: text });
        }
    }
    Ok(moved.unwrap_or(Origin::Gone))
}

fn exports(job: &Job, run_id: &str, found: &mut [Found]) -> Result<()> {
    let path = job.path(layout::SFT_EXPORT);
    let Some(file) = files::open_if_there(&path)? else { return Ok(()) };
    let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, file));
    while let Some(line) = lines.next_line().at("read", &path)? {
        let row = line.text().ok().and_then(|text| serde_json::from_str::<SftRow>(text).ok());
        let Some(row) = row.filter(|row| row.provenance.run_id == run_id) else { continue };
        let sig_hash = &row.provenance.origin.sig_hash;
        for found in found.iter_mut().filter(|found| found.record.provenance.sig_hash == *sig_hash) {
            found.exported_line = Some(line.number);
        }
    }
    Ok(())
}

impl Found {
    fn json(&self) -> Value {
        let origin = &self.record.provenance;
        let (status, line, part, row) = match &self.origin {
            Origin::InPlace(row) => ("verified", Some(origin.line_offset), origin.part, Some(row)),
            Origin::Moved { line, part, row } => ("moved", Some(*line), *part, Some(row)),
            Origin::Gone => ("gone", None, 0, None),
        };
        let mut source = json!({
            "file": origin.source_file,
            "status": status,
            "line": line,
            "recorded_line": origin.line_offset,
            "sig_hash": origin.sig_hash,
            "row": row,
        });
        for (name, part) in [("part", part), ("recorded_part", origin.part)] {
            if let (1.., Some(members)) = (part, source.as_object_mut()) {
                members.insert(name.to_owned(), part.into());
            }
        }
        json!({
            "source": source,
            "evidence": {"file": self.evidence_file, "line": self.evidence_line, "record": self.record},
            "scored": self.scored,
            "exported": self.exported_line.map(|line| json!({"file": layout::SFT_EXPORT, "line": line})),
        })
    }

    fn text(&self) -> String {
        const SHOWN: usize = 1000;
        let origin = &self.record.provenance;
        let recorded = place(origin.line_offset, origin.part);
        let (status, row) = match &self.origin {
            Origin::InPlace(row) => (format!("{recorded} (verified)"), row.as_str()),
            Origin::Moved { line, part, row } => {
                (format!("{} (verified; was {recorded})", place(*line, *part)), row.as_str())
            }
            Origin::Gone => ("GONE".to_owned(), ""),
        };
        let mut text = format!("run      {}\ntask     {}\n", self.record.run_id, self.record.task_id);
        text.push_str(&format!("source   {}, {status}\n", origin.source_file));
        text.push_str(&format!("hash     {}\n", origin.sig_hash));
        text.push_str(&format!("evidence {}, line {}\n", self.evidence_file, self.evidence_line));
        text.push_str(&match &self.scored {
            Some(run) => {
                let why = run.reasons.join(", ");
                format!("scored   {} ({why}), quality {}\n", run.category.name(), run.quality_score)
            }
            None => "scored   not yet\n".to_owned(),
        });
        text.push_str(&match self.exported_line {
            Some(line) => format!("exported {}, line {line}\n", layout::SFT_EXPORT),
            None => "exported no\n".to_owned(),
        });
        if !row.is_empty() {
            let shown: String = row.chars().take(SHOWN).collect();
            let more = if shown.len() < row.len() { " ..." } else { "" };
            text.push_str(&format!("row      {shown}{more}\n"));
        }
        text
    }
}

fn place(line: u64, part: u64) -> String {
    if part == 0 { format!("line_offset {line}") } else { format!("line_offset {line}, part {part}") }
}
