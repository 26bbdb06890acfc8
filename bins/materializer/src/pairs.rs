//! Scored runs beside their evidence.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use lakehouse_distill::{
    evidence::EvidenceRecord,
    files::{self, At as _, DayFile, LineReader},
    layout,
    score::ScoredRun,
};

use crate::{error::Result, job::Job};

/// A scored run, and the record at the place that it names; the reason where there is none.
pub(crate) struct Pair {
    pub(crate) run: ScoredRun,
    pub(crate) record: std::result::Result<EvidenceRecord, String>,
}

/// Calls `each` for every scored run, by day, source and line. Returns how many lines of scored
/// runs could not be read.
pub(crate) fn for_each(job: &Job, mut each: impl FnMut(Pair) -> Result<()>) -> Result<u64> {
    let mut unreadable = 0;
    for file in job.day_files(layout::SCORED_RUNS)? {
        let path = job.path(&file.path);
        let Some(input) = files::open_if_there(&path)? else { continue };
        let mut evidence = Evidence::of(job, &file);
        let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, input));
        while let Some(line) = lines.next_line().at("read", &path)? {
            if line.is_blank() {
                continue;
            }
            let run = line.text().ok().and_then(|text| serde_json::from_str::<ScoredRun>(text).ok());
            match run {
                Some(run) => {
                    let record = evidence.at(&run)?;
                    each(Pair { run, record })?;
                }
                None => unreadable += 1,
            }
        }
    }
    Ok(unreadable)
}

/// The evidence file beside a scored file, read along with it.
struct Evidence {
    relative: String,
    path: PathBuf,
    lines: Option<LineReader<BufReader<File>>>,
    next: u64,
}

impl Evidence {
    fn of(job: &Job, file: &DayFile) -> Self {
        let relative = layout::day_file(layout::EVIDENCE, file.day, &file.source);
        Self { path: job.path(&relative), relative, lines: None, next: 0 }
    }

    /// The record of `run`. A scored run of another day's or source's evidence would be a forgery.
    fn at(&mut self, run: &ScoredRun) -> Result<std::result::Result<EvidenceRecord, String>> {
        let origin = &run.provenance;
        if origin.evidence_file != self.relative {
            return Ok(Err(format!("its evidence is not {}", self.relative)));
        }
        if self.lines.is_none() || origin.evidence_line < self.next {
            self.lines = open(&self.path)?;
            self.next = 0;
        }
        let Some(lines) = &mut self.lines else { return Ok(Err(format!("{} is gone", self.relative))) };
        while let Some(line) = lines.next_line().at("read", &self.path)? {
            self.next = line.number + 1;
            if line.number == origin.evidence_line {
                let record = line.text().map_err(|e| e.to_string()).and_then(EvidenceRecord::from_line);
                return Ok(record.map_err(|why| format!("its evidence can't be read: {why}")));
            }
        }
        Ok(Err(format!("{} has no line {}", self.relative, origin.evidence_line)))
    }
}

fn open(path: &Path) -> Result<Option<LineReader<BufReader<File>>>> {
    let file = files::open_if_there(path)?;
    Ok(file.map(|file| LineReader::new(BufReader::with_capacity(1 << 18, file))))
}
