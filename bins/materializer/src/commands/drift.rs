use std::io::BufReader;

use lakehouse_distill::{
    drift::{Confusion, Level, Psi, psi},
    evidence::EvidenceRecord,
    files::{self, At as _, LineReader},
    layout,
    score::{Category, score},
    time::Instant,
};
use serde_json::json;

use crate::{
    error::Result,
    job::{Job, require_dir},
    pairs,
    report::Report,
    tables::table,
};

type Measure = fn(&EvidenceRecord) -> Option<f64>;

/// What is watched.
const MEASURES: [(&str, Measure); 6] = [
    ("latency_ms", |r| r.latency_ms.map(|x| x as f64)),
    ("prompt_tokens", |r| r.prompt_tokens.map(|x| x as f64)),
    ("completion_tokens", |r| r.completion_tokens.map(|x| x as f64)),
    ("cost_usd", |r| r.cost_usd),
    ("observer_confidence", |r| r.observer_confidence),
    ("text_chars", |r| r.text.as_ref().map(|text| text.chars().count() as f64)),
];

/// Where the scorer changed its mind, and which measurements have moved since `--since`.
pub(crate) fn run(job: &Job, buckets: usize) -> Result<Report> {
    require_dir(&job.path(layout::EVIDENCE))?;
    let mut confusion = Confusion::default();
    let mut skipped = pairs::for_each(job, |pair| {
        if let Ok(record) = &pair.record {
            confusion.add(pair.run.category, score(record).category);
        }
        Ok(())
    })?;
    let (timed, unreadable) = measurements(job)?;
    skipped += unreadable;
    let split = job.since.or_else(|| median_time(&timed));
    let distributions: Vec<(&str, Psi)> = MEASURES
        .iter()
        .enumerate()
        .map(|(i, (name, _))| {
            let values = |is_current: bool| -> Vec<f64> {
                let is_wanted = |at: &Instant| split.is_some_and(|split| *at >= split) == is_current;
                timed.iter().filter(|(at, _)| is_wanted(at)).filter_map(|(_, values)| values[i]).collect()
            };
            (*name, psi(&values(false), &values(true), buckets))
        })
        .collect();
    let by_name: serde_json::Map<_, _> = distributions.iter().map(|(n, psi)| ((*n).to_owned(), json!(psi))).collect();
    let json = json!({
        "scorer": {
            "compared": confusion.total(),
            "changed": confusion.changed(),
            "drift": confusion.drift(),
            "confusion": confusion,
        },
        "distributions": {"split_at": split, "buckets": buckets, "measures": by_name},
    });
    Ok(Report { text: text(&confusion, split, &distributions), json, skipped, errors: Vec::new() })
}

type Timed = Vec<(Instant, [Option<f64>; MEASURES.len()])>;

/// Every record's measurements; `--since` does not leave any out here, it divides them.
fn measurements(job: &Job) -> Result<(Timed, u64)> {
    let (mut timed, mut unreadable) = (Vec::new(), 0);
    for file in job.all_day_files(layout::EVIDENCE)? {
        let path = job.path(&file.path);
        let Some(input) = files::open_if_there(&path)? else { continue };
        let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, input));
        while let Some(line) = lines.next_line().at("read", &path)? {
            if line.is_blank() {
                continue;
            }
            match line.text().map_err(|e| e.to_string()).and_then(EvidenceRecord::from_line) {
                Ok(record) => timed.push((record.timestamp, MEASURES.map(|(_, measure)| measure(&record)))),
                Err(_) => unreadable += 1,
            }
        }
    }
    Ok((timed, unreadable))
}

/// Without `--since` the older half is compared with the newer one.
fn median_time(timed: &Timed) -> Option<Instant> {
    let mut times: Vec<Instant> = timed.iter().map(|(at, _)| *at).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn text(confusion: &Confusion, split: Option<Instant>, distributions: &[(&str, Psi)]) -> String {
    let header: Vec<&str> = std::iter::once("stored \\ rescored").chain(Category::ALL.map(Category::name)).collect();
    let rows: Vec<Vec<String>> = Category::ALL
        .map(|stored| {
            let counts = Category::ALL.map(|now| confusion.count(stored, now).to_string());
            std::iter::once(stored.name().to_owned()).chain(counts).collect()
        })
        .into();
    let mut text = table(&header, &rows);
    text.push_str(&format!("scorer drift: {} of {} runs changed\n\n", confusion.changed(), confusion.total()));
    let rows: Vec<Vec<String>> = distributions
        .iter()
        .map(|(name, psi)| {
            let level = match psi.level {
                Level::Stable => "stable",
                Level::Minor => "minor",
                Level::Major => "MAJOR",
            };
            let counts = [psi.baseline_count.to_string(), psi.current_count.to_string()];
            [vec![(*name).to_owned()], counts.into(), vec![format!("{:.4}", psi.psi), level.to_owned()]].concat()
        })
        .collect();
    text.push_str(&table(&["measure", "before", "since", "psi", "level"], &rows));
    if let Some(split) = split {
        text.push_str(&format!("before and since {split}\n"));
    }
    text
}
