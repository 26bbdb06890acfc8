use std::io::BufReader;

use lakehouse_distill::{
    evidence::EvidenceRecord,
    files::{self, At as _, DayFile, HashingReader, LineReader, Writer},
    layout,
    receipt::{FileDigest, SourceCounts},
    score::ScoredRun,
};

use crate::{
    error::Result,
    job::{Job, require_dir},
    receipts::Work,
    report::Report,
    staging::Staging,
};

/// Scores every record of evidence. A scored file is a function of its evidence file, so it is made
/// anew, and replaced only where it comes out different.
pub(crate) fn run(job: &Job) -> Result<Report> {
    require_dir(&job.path(layout::EVIDENCE))?;
    let _lock = job.lock()?;
    let staging = Staging::begin(job, layout::SCORED_RUNS)?;
    let mut work = Work::default();
    for file in job.day_files(layout::EVIDENCE)? {
        let mut counts = SourceCounts { source: file.source.clone(), present: true, ..SourceCounts::default() };
        if let Err(error) = score_file(job, &staging, &file, &mut counts, &mut work) {
            work.errors.push(error.to_string());
            counts = SourceCounts { source: file.source, present: true, ..SourceCounts::default() };
        }
        match work.sources.iter_mut().find(|sum| sum.source == counts.source) {
            None => work.sources.push(counts),
            Some(sum) => {
                sum.rows_read += counts.rows_read;
                sum.written += counts.written;
                sum.deduped += counts.deduped;
                sum.skipped += counts.skipped;
            }
        }
    }
    work.finish(job)
}

fn score_file(job: &Job, staging: &Staging, file: &DayFile, counts: &mut SourceCounts, work: &mut Work) -> Result<()> {
    let path = job.path(&file.path);
    let Some(input) = files::open_if_there(&path)? else { return Ok(()) };
    let place = layout::day_file(layout::SCORED_RUNS, file.day, &file.source);
    let mut writer = Writer::create(staging.file("scored.new"))?;
    let mut lines = LineReader::new(HashingReader::new(BufReader::with_capacity(1 << 18, input)));
    let mut scored = 0;
    while let Some(line) = lines.next_line().at("read", &path)? {
        if line.is_blank() {
            continue;
        }
        counts.rows_read += 1;
        match line.text().map_err(|e| e.to_string()).and_then(EvidenceRecord::from_line) {
            Ok(record) => {
                let run = ScoredRun::of(&record, &file.path, line.number);
                writer.write_line(&serde_json::to_vec(&run).unwrap_or_default())?;
                scored += 1;
            }
            Err(_) => counts.skipped += 1,
        }
    }
    let digest = lines.into_inner().digest();
    let rows = counts.rows_read;
    // A file that scores to nothing would only be an empty one.
    if scored == 0 && !job.path(&place).exists() {
        return Ok(());
    }
    work.inputs.push(FileDigest { path: file.path.clone(), sha256: Some(digest.sha256), bytes: digest.bytes, rows });
    match staging.publish_if_new(job, writer, &place, scored)? {
        Some(output) => {
            counts.written += scored;
            work.outputs.push(output);
        }
        None => counts.deduped += scored,
    }
    Ok(())
}
