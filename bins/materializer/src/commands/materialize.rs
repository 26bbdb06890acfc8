use std::{
    fs::File,
    io::{BufReader, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use lakehouse_common::config::Config;
use lakehouse_distill::{
    Context, Skip,
    evidence::EvidenceRecord,
    files::{self, At as _, HashingReader, LineReader, MAX_LINE_BYTES, Row, Written},
    json::Json,
    layout,
    receipt::{FileDigest, SourceCounts},
    sha256_hex, sig_hash, sig_hashes,
    source::Source,
    time::Instant,
    transform,
};
use serde_json::json;

use crate::{
    cli::MaterializeArgs,
    dedup::{Dedup, Fresh},
    error::{Error, Result},
    job::{Job, require_dir},
    lakehouse::{self, Lakehouse},
    progress::Bar,
    receipts::Work,
    report::Report,
    staging::{Days, NewLines, Staging, short},
};

/// Turns the rows that are new into evidence.
pub(crate) fn run(job: &Job, args: &MaterializeArgs, config: &Config) -> Result<Report> {
    require_dir(&job.path(layout::KB))?;
    // A wrong address or token should be told before an hour's work, not after it.
    let lakehouse = match &config.materializer.gateway_url {
        Some(url) => {
            // The lakehouse's own token goes to the gateway that its configuration names, and to no other.
            let own = if args.to_lakehouse.is_none() { config.auth.token.expose() } else { "" };
            Some(Lakehouse::connect(url.base(), args.token_file.as_deref(), own)?)
        }
        None => None,
    };
    let _lock = job.lock()?;
    let staging = Staging::begin(job, layout::EVIDENCE)?;
    let mut work = Work::default();
    let mut skips = NewLines::new(&staging);
    for source in job.sources() {
        let mut run = SourceRun {
            job,
            source,
            recorded_at: args.recorded_at,
            staging: &staging,
            counts: SourceCounts { source: source.name().to_owned(), ..SourceCounts::default() },
        };
        // One source that can't be read is no reason to leave the others alone.
        match run.materialize(&mut work, &mut skips) {
            Ok(()) => work.sources.push(run.counts),
            Err(error) => {
                work.errors.push(error.to_string());
                work.sources.push(SourceCounts { present: true, source: run.counts.source, ..SourceCounts::default() });
            }
        }
    }
    // After all evidence: what a crash in between leaves out is found again by the next run.
    match skips.commit(job, layout::SKIPS) {
        Ok(output) => work.outputs.extend(output),
        Err(error) => work.errors.push(error.to_string()),
    }
    drop(staging);
    let mut synced = None;
    if let (Some(lakehouse), false) = (lakehouse, job.dry_run) {
        match lakehouse::sync(job, &lakehouse) {
            Ok(done) => synced = Some(done),
            Err(error) => work.errors.push(error.to_string()),
        }
    }
    let mut report = work.finish(job)?;
    if let Some(synced) = synced {
        report.text.push_str(&synced.text());
        if let Some(members) = report.json.as_object_mut() {
            members.insert("lakehouse".to_owned(), json!(synced));
        }
    }
    Ok(report)
}

struct SourceRun<'a> {
    job: &'a Job,
    source: Source,
    recorded_at: Option<Instant>,
    staging: &'a Staging,
    counts: SourceCounts,
}

/// What the first reading of a source found.
struct FirstPass {
    fresh: Fresh,
    unreadable: u64,
    digest: Written,
    lines: u64,
}

impl SourceRun<'_> {
    /// Reads the source twice: once to learn which rows are new, once to turn these into evidence.
    /// Most runs find little new, and the second reading is of the new rows only.
    fn materialize(&mut self, work: &mut Work, skips: &mut NewLines<'_>) -> Result<()> {
        let path = self.job.path(&self.source.file());
        let Some(mut file) = files::open_if_there(&path)? else { return Ok(()) };
        self.counts.present = true;
        // What others append from here on is for the next run.
        let length = file.metadata().at("look at", &path)?.len();
        let mut bar = self.job.progress.bytes(self.source.name(), length * 2);
        let mut days = Days::new(self.staging, self.source.name());
        let first = self.first_pass(&mut file, &path, length, &mut days, &mut bar)?;
        work.inputs.push(FileDigest {
            path: self.source.file(),
            sha256: Some(first.digest.sha256.clone()),
            bytes: first.digest.bytes,
            rows: first.lines,
        });
        if first.fresh.count() > 0 || first.unreadable > 0 {
            file.seek(SeekFrom::Start(0)).at("read", &path)?;
            self.second_pass(&file, &path, &first, &mut days, skips, &mut bar)?;
        } else {
            self.counts.deduped = self.counts.rows_read;
        }
        work.outputs.extend(days.commit(self.job)?);
        Ok(())
    }

    fn first_pass(
        &mut self,
        file: &mut File,
        path: &Path,
        length: u64,
        days: &mut Days<'_>,
        bar: &mut Bar,
    ) -> Result<FirstPass> {
        let mut dedup = Dedup::new(Some(self.staging.folder()));
        self.remember_what_is_there(&mut dedup, days)?;
        let mut unreadable = 0;
        let input = HashingReader::new(BufReader::with_capacity(1 << 18, file.take(length)));
        let mut lines = LineReader::new(input);
        while let Some(line) = lines.next_line().at("read", path)? {
            bar.advance(line.bytes.len() as u64 + 1);
            if line.is_blank() {
                continue;
            }
            for row in line.rows() {
                self.counts.rows_read += 1;
                match &row.json {
                    Ok(row) => {
                        let (hash, former) = sig_hashes(row);
                        dedup.row(short(&hash), former.as_ref().map(short))?;
                    }
                    Err(_) => unreadable += 1,
                }
            }
        }
        let digest = lines.into_inner().digest();
        Ok(FirstPass { fresh: dedup.resolve()?, unreadable, digest, lines: self.counts.rows_read })
    }

    /// The hashes of the rows that are evidence already.
    fn remember_what_is_there(&self, dedup: &mut Dedup, days: &mut Days<'_>) -> Result<()> {
        for day in files::day_files(&self.job.root, layout::EVIDENCE)? {
            if day.source != self.source.name() {
                continue;
            }
            let path = self.job.path(&day.path);
            let Some(file) = files::open_if_there(&path)? else { continue };
            let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, file));
            while let Some(line) = lines.next_line().at("read", &path)? {
                if let Some(hash) = line.json().ok().and_then(|row| recorded_hash(&row)) {
                    dedup.known(short(&hash))?;
                    // All that a crash has cut off is the new line: no new row will add that.
                    if !line.is_whole {
                        days.end_line(day.day);
                    }
                }
            }
        }
        Ok(())
    }

    fn second_pass(
        &mut self,
        file: &File,
        path: &Path,
        first: &FirstPass,
        days: &mut Days<'_>,
        skips: &mut NewLines<'_>,
        bar: &mut Bar,
    ) -> Result<()> {
        let input = HashingReader::new(BufReader::with_capacity(1 << 18, file.take(first.digest.bytes)));
        let mut lines = LineReader::new(input);
        let mut json_row = 0;
        while let Some(line) = lines.next_line().at("read", path)? {
            bar.advance(line.bytes.len() as u64 + 1);
            if line.is_blank() {
                continue;
            }
            for row in line.rows() {
                let is_json = row.json.is_ok();
                json_row += u64::from(is_json);
                if is_json && !first.fresh.has(json_row - 1) {
                    self.counts.deduped += 1;
                    continue;
                }
                self.row(line.number, &row, days, skips)?;
            }
        }
        // Rows are known by their number: had one changed its place, a new row could pass for a known one.
        if lines.into_inner().digest() == first.digest { Ok(()) } else { Err(Error::Changed(self.source.file())) }
    }

    /// Turns a row that is new into evidence, or says why it is none.
    fn row(&mut self, line: u64, row: &Row<'_>, days: &mut Days<'_>, skips: &mut NewLines<'_>) -> Result<()> {
        let context = Context { line_offset: line, part: row.part, recorded_at: self.recorded_at };
        let record = match &row.json {
            Ok(value) => transform(self.source, value, &sig_hash(value), &context),
            Err(skip) => Err(skip.clone()),
        };
        let is_before = |record: &EvidenceRecord| self.job.since.is_some_and(|since| record.timestamp < since);
        let outcome = match record {
            Ok(record) if is_before(&record) => {
                self.counts.filtered += 1;
                return Ok(());
            }
            Ok(record) => to_line(&record).map(|text| (record.timestamp.day(), text)),
            Err(skip) => Err(skip),
        };
        match outcome {
            Ok((day, text)) => {
                days.push(day, &text)?;
                self.counts.written += 1;
            }
            Err(skip) => {
                skips.push(self.skip_row(line, row, &skip).as_bytes())?;
                self.counts.skipped += 1;
            }
        }
        Ok(())
    }

    /// Without a time: the same bad row gives the same line, and is told once.
    fn skip_row(&self, line: u64, row: &Row<'_>, skip: &Skip) -> String {
        let mut skip = json!({
            "schema": "distillation_skip.v1",
            "source_file": self.source.file(),
            "line_offset": line,
            "reason": skip.to_string(),
            "line_sha256": sha256_hex(row.bytes),
        });
        if let (1.., Some(members)) = (row.part, skip.as_object_mut()) {
            members.insert("part".to_owned(), row.part.into());
        }
        skip.to_string()
    }
}

/// A record may hold a text of its row twice. A line that no reader takes would not be found by the next
/// run, and would be written once more by each.
fn to_line(record: &EvidenceRecord) -> std::result::Result<Vec<u8>, Skip> {
    // Into memory, of a type whose keys are strings: there is nothing that could fail.
    let line = serde_json::to_vec(record).unwrap_or_default();
    if line.len() > MAX_LINE_BYTES {
        return Err(Skip::Invalid(format!("its line would be longer than {MAX_LINE_BYTES} bytes")));
    }
    Ok(line)
}

/// `provenance.sig_hash` of a line of evidence.
fn recorded_hash(row: &Json<'_>) -> Option<[u8; 32]> {
    let text = row.as_object()?.get("provenance")?.as_object()?.get("sig_hash")?.as_str()?;
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(hash)
}
