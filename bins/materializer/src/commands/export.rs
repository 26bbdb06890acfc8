use std::{
    collections::{BTreeMap, HashSet},
    io::BufReader,
};

use lakehouse_distill::{
    files::{self, At as _, LineReader, Writer},
    layout,
    receipt::SourceCounts,
    sft::{Quarantined, SftRow, Stop, examine},
    sig_hashes,
};
use serde_json::json;

use crate::{
    dedup::Key,
    error::Result,
    job::{Job, require_dir},
    pairs::{self, Pair},
    receipts::Work,
    report::Report,
    staging::{Staging, key},
    tables::table,
};

/// Exports the runs that may be learned from; every other scored run goes to the quarantine with
/// its reason, so the two files together account for all of them.
pub(crate) fn run(job: &Job, include_partial: bool) -> Result<Report> {
    require_dir(&job.path(layout::SCORED_RUNS))?;
    let _lock = job.lock()?;
    let staging = Staging::begin(job, layout::SCORED_RUNS)?;
    let unsourced = unsourced_rows(job, include_partial)?;
    let mut export = Writer::create(staging.file("export.new"))?;
    let mut quarantine = Writer::create(staging.file("quarantine.new"))?;
    let mut seen: HashSet<Key> = HashSet::new();
    let mut counts: BTreeMap<String, SourceCounts> = BTreeMap::new();
    let mut reasons: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut exported = 0;
    let unreadable = pairs::for_each(job, |pair| {
        let outcome = judge(&pair, include_partial, &unsourced).and_then(|row| {
            if seen.insert(key(row.content_hash().as_bytes())) { Ok(row) } else { Err(Stop::Duplicate) }
        });
        let source = pair.run.provenance.evidence_file.rsplit('/').next().unwrap_or_default();
        let source = source.trim_end_matches(".jsonl").to_owned();
        let counts = counts.entry(source.clone()).or_insert_with(|| SourceCounts {
            source,
            present: true,
            ..SourceCounts::default()
        });
        counts.rows_read += 1;
        match outcome {
            Ok(row) => {
                exported += 1;
                counts.written += 1;
                export.write_line(&serde_json::to_vec(&row).unwrap_or_default())?;
            }
            Err(stop) => {
                counts.filtered += 1;
                *reasons.entry(stop.name()).or_default() += 1;
                let row = Quarantined::of(&pair.run, &stop);
                quarantine.write_line(&serde_json::to_vec(&row).unwrap_or_default())?;
            }
        }
        Ok(())
    })?;
    let mut work = Work { sources: counts.into_values().collect(), ..Work::default() };
    let quarantined = reasons.values().sum();
    work.outputs.extend(staging.publish_if_new(job, export, layout::SFT_EXPORT, exported)?);
    work.outputs.extend(staging.publish_if_new(job, quarantine, layout::SFT_QUARANTINE, quarantined)?);
    let mut report = work.finish(job)?;
    report.skipped += unreadable;
    say(&mut report, exported, unreadable, &reasons);
    Ok(report)
}

fn say(report: &mut Report, exported: u64, unreadable: u64, reasons: &BTreeMap<&'static str, u64>) {
    let rows: Vec<Vec<String>> = reasons.iter().map(|(name, n)| vec![(*name).to_owned(), n.to_string()]).collect();
    report.text.push_str(&format!("exported {exported} rows to {}\n", layout::SFT_EXPORT));
    if !rows.is_empty() {
        report.text.push_str(&table(&["kept out because", "rows"], &rows));
    }
    if unreadable > 0 {
        report.text.push_str(&format!("{unreadable} scored runs could not be read: run `materializer score`\n"));
    }
    if let Some(members) = report.json.as_object_mut() {
        members.insert("exported".to_owned(), json!(exported));
        members.insert("quarantined".to_owned(), json!(reasons));
        members.insert("unreadable".to_owned(), json!(unreadable));
    }
}

/// What `pair` alone says, and whether its source row is there.
fn judge(pair: &Pair, include_partial: bool, unsourced: &HashSet<Key>) -> std::result::Result<SftRow, Stop> {
    let record = match &pair.record {
        Ok(record) => record,
        Err(why) => return Err(Stop::Unsourced(why.clone())),
    };
    let row = examine(&pair.run, record, include_partial)?;
    if unsourced.contains(&origin(&record.provenance.source_file, &record.provenance.sig_hash)) {
        return Err(Stop::Unsourced(format!("no row of {} has its hash", record.provenance.source_file)));
    }
    Ok(row)
}

/// Of the rows that would be exported, those that their source file does not have.
fn unsourced_rows(job: &Job, include_partial: bool) -> Result<HashSet<Key>> {
    let mut wanted: BTreeMap<String, HashSet<Key>> = BTreeMap::new();
    pairs::for_each(job, |pair| {
        if let Ok(record) = &pair.record
            && examine(&pair.run, record, include_partial).is_ok()
        {
            let origin = origin(&record.provenance.source_file, &record.provenance.sig_hash);
            wanted.entry(record.provenance.source_file.clone()).or_default().insert(origin);
        }
        Ok(())
    })?;
    let mut missing = HashSet::new();
    for (source_file, mut wanted) in wanted {
        let path = job.path(&source_file);
        if let Some(file) = files::open_if_there(&path)? {
            let mut lines = LineReader::new(BufReader::with_capacity(1 << 18, file));
            while let Some(line) = lines.next_line().at("read", &path)? {
                if wanted.is_empty() {
                    break;
                }
                for row in line.rows().filter_map(|row| row.json.ok()) {
                    let (hash, former) = sig_hashes(&row);
                    for hash in std::iter::once(hash).chain(former) {
                        wanted.remove(&origin(&source_file, &hex::encode(hash)));
                    }
                }
            }
        }
        missing.extend(wanted);
    }
    Ok(missing)
}

fn origin(source_file: &str, sig_hash: &str) -> Key {
    key(format!("{source_file}\n{sig_hash}").as_bytes())
}
