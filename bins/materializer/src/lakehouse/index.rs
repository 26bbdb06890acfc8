use std::{
    collections::HashSet,
    io::{BufReader, Read as _, Seek as _, SeekFrom},
};

use lakehouse_distill::{
    evidence::EvidenceRecord,
    files::{self, At as _, DayFile, HashingReader, LineReader},
    layout,
    replay::Memory,
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    EVIDENCE, Synced,
    http::Lakehouse,
    notes::{Notes, Prefix, Target},
};
use crate::{
    dedup::Key,
    error::{Error, Result},
    job::Job,
    staging::key,
};

/// Texts in one call, and their characters: what an embedding service takes in one go.
const BATCH_TEXTS: usize = 64;
const BATCH_CHARS: usize = 100_000;
/// Models look at the beginning of a text only, and services refuse what is far beyond it.
const TEXT_CHARS: usize = 8_000;

/// Adds the texts that are not in the index yet.
pub(super) fn add(job: &Job, lakehouse: &Lakehouse, synced: &mut Synced) -> Result<()> {
    let mut notes = Notes::read(job)?;
    let (model, dimension) = probe(lakehouse)?;
    synced.model = Some(model.clone());
    let is_new = create(lakehouse, dimension)?;
    let target = notes.target(lakehouse.url());
    if is_new || target.model != model {
        *target = Target { model, ..Target::default() };
    }
    let mut seen = HashSet::new();
    let files = files::day_files(&job.root, layout::EVIDENCE)?;
    let mut starts = Vec::new();
    for file in &files {
        starts.push(start(job, file, target, &mut seen)?);
    }
    let mut run = Run { job, lakehouse, notes, seen, synced, batch: Vec::new(), chars: 0, done: Vec::new() };
    for (file, start) in files.iter().zip(starts) {
        run.file(file, start)?;
    }
    run.flush()
}

/// The model that embeds, and the length of its vectors.
fn probe(lakehouse: &Lakehouse) -> Result<(String, u64)> {
    let body = lakehouse.post("embed", &json!({"texts": ["evidence"]}))?.expect("embed", &[StatusCode::OK])?;
    let model = body.get("model").and_then(Value::as_str);
    let dimension = body.get("dimension").and_then(Value::as_u64);
    match (model, dimension) {
        (Some(model), Some(dimension)) => Ok((model.to_owned(), dimension)),
        _ => Err(Error::Lakehouse("/v1/embed does not name its model and dimension".to_owned())),
    }
}

/// Makes the index; false if it is there.
fn create(lakehouse: &Lakehouse, dimension: u64) -> Result<bool> {
    let body = json!({"name": EVIDENCE, "dimension": dimension, "distance": "cosine"});
    let answer = lakehouse.post("vectors/index", &body)?;
    if answer.status != StatusCode::CONFLICT {
        return answer.expect("vectors/index", &[StatusCode::CREATED, StatusCode::OK]).map(|_| true);
    }
    let path = format!("vectors/index/{EVIDENCE}");
    let index = lakehouse.get(&path)?.expect(&path, &[StatusCode::OK])?;
    match index.get("dimension").and_then(Value::as_u64) {
        Some(there) if there != dimension => Err(Error::Lakehouse(format!(
            "index {EVIDENCE} has {there} dimensions and the embedding model {dimension}: delete the index, and run again"
        ))),
        _ => Ok(false),
    }
}

/// The byte from which on `file` is not in the index yet. The runs before it are `seen`.
fn start(job: &Job, file: &DayFile, target: &mut Target, seen: &mut HashSet<Key>) -> Result<u64> {
    let Some(prefix) = target.files.get(&file.path) else { return Ok(0) };
    let path = job.path(&file.path);
    let Some(input) = files::open_if_there(&path)? else { return Ok(0) };
    let input = HashingReader::new(BufReader::with_capacity(1 << 18, input.take(prefix.bytes)));
    let mut lines = LineReader::new(input);
    let mut ids = Vec::new();
    while let Some(line) = lines.next_line().at("read", &path)? {
        let record = line.text().ok().and_then(|text| EvidenceRecord::from_line(text).ok());
        ids.extend(record.map(|record| key(record.run_id.as_bytes())));
    }
    let digest = lines.into_inner().digest();
    if digest.bytes == prefix.bytes && digest.sha256 == prefix.sha256 {
        seen.extend(ids);
        return Ok(prefix.bytes);
    }
    // Not the file that it was: made anew, or edited.
    target.files.remove(&file.path);
    Ok(0)
}

struct Run<'a> {
    job: &'a Job,
    lakehouse: &'a Lakehouse,
    notes: Notes,
    seen: HashSet<Key>,
    synced: &'a mut Synced,
    batch: Vec<(String, String, Memory)>,
    chars: usize,
    /// Files whose last record is in the batch, or in one before it.
    done: Vec<(String, Prefix)>,
}

impl Run<'_> {
    fn file(&mut self, file: &DayFile, start: u64) -> Result<()> {
        let path = self.job.path(&file.path);
        let Some(mut input) = files::open_if_there(&path)? else { return Ok(()) };
        // A line without an end waits for it: noted as read, its rest would be no line to the next run.
        let length = files::whole_lines(&mut input).at("read", &path)?;
        if length <= start {
            return Ok(());
        }
        input.seek(SeekFrom::Start(start)).at("read", &path)?;
        let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, input.take(length - start)));
        while let Some(line) = lines.next_line().at("read", &path)? {
            let record = line.text().ok().and_then(|text| EvidenceRecord::from_line(text).ok());
            if let Some(record) = record {
                self.record(&record)?;
            }
        }
        let whole = files::open_if_there(&path)?.ok_or_else(|| Error::Changed(file.path.clone()))?;
        let mut whole = HashingReader::new(BufReader::with_capacity(1 << 18, whole.take(length)));
        std::io::copy(&mut whole, &mut std::io::sink()).at("read", &path)?;
        let digest = whole.digest();
        self.done.push((file.path.clone(), Prefix { bytes: digest.bytes, sha256: digest.sha256 }));
        Ok(())
    }

    /// The first record of a run has the run's id; those after it, as some logs have many, their hash too.
    fn record(&mut self, record: &EvidenceRecord) -> Result<()> {
        let is_first = self.seen.insert(key(record.run_id.as_bytes()));
        let Some(memory) = Memory::of(record) else {
            self.synced.without_text += 1;
            return Ok(());
        };
        let id = match record.provenance.sig_hash.get(..12) {
            Some(hash) if !is_first => format!("{}#{hash}", record.run_id),
            _ => record.run_id.clone(),
        };
        let text: String = record.text.iter().flat_map(|text| text.trim().chars()).take(TEXT_CHARS).collect();
        let chars = text.len();
        if self.batch.len() >= BATCH_TEXTS || (self.chars + chars > BATCH_CHARS && !self.batch.is_empty()) {
            self.flush()?;
        }
        self.chars += chars;
        self.batch.push((id, text, memory));
        Ok(())
    }

    /// Sends the batch, and then notes the files that are in the index as a whole.
    fn flush(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.chars = 0;
        if !batch.is_empty() {
            self.send(batch)?;
        }
        if !self.done.is_empty() {
            let url = self.lakehouse.url();
            self.notes.target(url).files.extend(self.done.drain(..));
            self.notes.write(self.job)?;
        }
        Ok(())
    }

    fn send(&mut self, batch: Vec<(String, String, Memory)>) -> Result<()> {
        let texts: Vec<&str> = batch.iter().map(|(_, text, _)| text.as_str()).collect();
        let mut body = self.lakehouse.post("embed", &json!({"texts": texts}))?.expect("embed", &[StatusCode::OK])?;
        let vectors = body.get_mut("vectors").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        if vectors.len() != batch.len() {
            let why = format!("/v1/embed gave {} vectors for {} texts", vectors.len(), batch.len());
            return Err(Error::Lakehouse(why));
        }
        let mut items = Vec::new();
        for ((id, _, memory), vector) in batch.into_iter().zip(vectors) {
            // A text of signs only may have no direction, which cosine has no place for.
            let has_direction = vector.as_array().is_some_and(|v| v.iter().any(|x| x.as_f64() != Some(0.0)));
            if has_direction {
                items.push(json!({"id": id, "vector": vector, "metadata": memory}));
            } else {
                self.synced.without_text += 1;
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        self.synced.embedded += items.len() as u64;
        let path = format!("vectors/index/{EVIDENCE}/add");
        self.lakehouse.post(&path, &json!({"items": items}))?.expect(&path, &[StatusCode::OK])?;
        Ok(())
    }
}
