use std::{collections::BTreeMap, io::BufReader};

use lakehouse_distill::{
    baseline::{Baseline, Change, SCHEMA, compare},
    evidence::EvidenceRecord,
    files::{self, At as _, LineReader},
    layout,
    score::Category,
};
use serde_json::json;

use crate::{
    error::Result,
    job::{Job, require_dir},
    pairs,
    report::Report,
    tables::{number, table},
};

/// Counts what there is, compares it with the last baseline, and appends it as the new one.
pub(crate) fn run(job: &Job) -> Result<Report> {
    require_dir(&job.path(layout::KB))?;
    let _lock = job.lock()?;
    let (metrics, unreadable) = measure(job)?;
    let last = last_baseline(job)?;
    let changes = last.as_ref().map(|last| compare(&last.metrics, &metrics)).unwrap_or_default();
    let now = Baseline { schema: SCHEMA.to_owned(), recorded_at: job.started, git_sha: job.git_sha(), metrics };
    if !job.dry_run {
        let line = json!(now).to_string();
        files::append_line(&job.path(layout::BASELINES), &line)?;
    }
    Ok(Report {
        text: text(&now, last.as_ref(), &changes),
        json: json!({"baseline": last, "now": now, "changes": changes, "dry_run": job.dry_run}),
        skipped: unreadable,
        errors: Vec::new(),
    })
}

/// The numbers that an audit looks at, and how many lines could not be read for them.
fn measure(job: &Job) -> Result<(BTreeMap<String, f64>, u64)> {
    let mut metrics: BTreeMap<String, f64> = BTreeMap::new();
    let mut unreadable = 0;
    let (mut rows, mut cost, mut latency, mut timed) = (0_u64, 0.0, 0_u64, 0_u64);
    for file in job.day_files(layout::EVIDENCE)? {
        let path = job.path(&file.path);
        each_line(&path, |text| match EvidenceRecord::from_line(text) {
            Ok(record) => {
                rows += 1;
                cost += record.cost_usd.unwrap_or(0.0);
                latency += record.latency_ms.unwrap_or(0);
                timed += u64::from(record.latency_ms.is_some());
            }
            Err(_) => unreadable += 1,
        })?;
    }
    metrics.insert("evidence_rows".to_owned(), rows as f64);
    metrics.insert("evidence_cost_usd".to_owned(), (cost * 1e6).round() / 1e6);
    if timed > 0 {
        metrics.insert("evidence_mean_latency_ms".to_owned(), (latency as f64 / timed as f64).round());
    }
    let mut categories: BTreeMap<Category, u64> = Category::ALL.map(|category| (category, 0)).into();
    unreadable += pairs::for_each(job, |pair| {
        *categories.entry(pair.run.category).or_default() += 1;
        Ok(())
    })?;
    metrics.extend(categories.into_iter().map(|(category, n)| (format!("scored_{}", category.name()), n as f64)));
    for (name, path) in
        [("skips", layout::SKIPS), ("sft_rows", layout::SFT_EXPORT), ("sft_quarantined", layout::SFT_QUARANTINE)]
    {
        let mut lines = 0_u64;
        each_line(&job.path(path), |_| lines += 1)?;
        metrics.insert(name.to_owned(), lines as f64);
    }
    Ok((metrics, unreadable))
}

/// Calls `each` for every line that is neither blank nor unreadable; for none if there is no file.
fn each_line(path: &std::path::Path, mut each: impl FnMut(&str)) -> Result<()> {
    let Some(file) = files::open_if_there(path)? else { return Ok(()) };
    let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, file));
    while let Some(line) = lines.next_line().at("read", path)? {
        if let (false, Ok(text)) = (line.is_blank(), line.text()) {
            each(text);
        }
    }
    Ok(())
}

/// The last one that can be read: a half-written line must not hide those before it.
fn last_baseline(job: &Job) -> Result<Option<Baseline>> {
    let mut last = None;
    each_line(&job.path(layout::BASELINES), |text| {
        let baseline = serde_json::from_str::<Baseline>(text).ok();
        last = baseline.filter(|baseline| baseline.schema == SCHEMA).or(last.take());
    })?;
    Ok(last)
}

fn text(now: &Baseline, last: Option<&Baseline>, changes: &[Change]) -> String {
    let Some(last) = last else {
        let rows: Vec<_> = now.metrics.iter().map(|(name, x)| vec![name.clone(), number(*x)]).collect();
        return format!("{}no earlier baseline to compare with\n", table(&["metric", "now"], &rows));
    };
    let dash = || "-".to_owned();
    let rows: Vec<_> = changes
        .iter()
        .map(|change| {
            vec![
                change.metric.clone(),
                change.baseline.map_or_else(dash, number),
                change.now.map_or_else(dash, number),
                change.change_percent.map_or_else(dash, |percent| format!("{percent:+.1}%")),
                if change.flagged { "FLAG".to_owned() } else { String::new() },
            ]
        })
        .collect();
    let flagged = changes.iter().filter(|change| change.flagged).count();
    let table = table(&["metric", "baseline", "now", "change", "past 20 %"], &rows);
    format!("{table}{flagged} of {} metrics flagged; baseline of {}\n", changes.len(), last.recorded_at)
}
