//! The twelve transforms over the fixture logs, beside what a reviewer has read and found right.
//!
//! After a change that is meant: `UPDATE_GOLDEN=1 cargo test -p lakehouse-distill --test golden`, then
//! read the difference before committing it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

use std::{fs, path::PathBuf};

use lakehouse_distill::{Context, Skip, files::LineReader, score::score, sig_hash, source::Source, transform};
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// One entry a line: the record and its score, or the reason why there is none.
fn outcome(source: Source) -> Value {
    let log = fs::read(fixtures().join("kb").join(format!("{}.jsonl", source.name()))).unwrap();
    let mut lines = LineReader::new(log.as_slice());
    let mut entries = Vec::new();
    while let Some(line) = lines.next_line().unwrap() {
        if line.is_blank() {
            continue;
        }
        let context = Context { line_offset: line.number, part: 0, recorded_at: None };
        let record = line.json().and_then(|row| transform(source, &row, &sig_hash(&row), &context));
        entries.push(match record {
            Err(skip) => json!({"line": line.number, "skip": skip.to_string()}),
            Ok(record) => {
                let score = score(&record);
                json!({
                    "line": line.number,
                    "record": shorten(json!(record)),
                    "score": {"category": score.category, "reasons": score.reasons, "quality": score.quality},
                })
            }
        });
    }
    entries.into()
}

/// Huge texts by their length and hash, so that the golden file can be read.
fn shorten(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > 400 => {
            let start: String = text.chars().take(60).collect();
            let hash = lakehouse_distill::sha256_hex(text.as_bytes());
            json!(format!("{start}... ({} characters, sha256 {hash})", text.chars().count()))
        }
        Value::Object(members) => members.into_iter().map(|(k, v)| (k, shorten(v))).collect(),
        Value::Array(items) => items.into_iter().map(shorten).collect(),
        other => other,
    }
}

#[test]
fn the_fixture_logs_give_the_golden_records() {
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for source in Source::ALL {
        let path = fixtures().join("golden").join(format!("{}.json", source.name()));
        let got = outcome(source);
        if is_update {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{got:#}\n")).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let golden: Value = serde_json::from_str(&golden).unwrap();
        for (got, golden) in got.as_array().unwrap().iter().zip(golden.as_array().unwrap()) {
            assert_eq!(got, golden, "{}", source.name());
        }
        assert_eq!(got, golden, "{}", source.name());
    }
}

#[test]
fn every_source_has_rows_that_work_and_rows_that_do_not() {
    let mut skips = String::new();
    for source in Source::ALL {
        let entries = outcome(source);
        let entries = entries.as_array().unwrap();
        assert!(entries.len() >= 5, "{}", source.name());
        let skipped: Vec<&Value> = entries.iter().filter_map(|entry| entry.get("skip")).collect();
        assert!(!skipped.is_empty() && skipped.len() < entries.len(), "{}: {skipped:?}", source.name());
        skips.extend(skipped.iter().map(|skip| format!("{skip}\n")));
    }
    for reason in [
        "not JSON",
        "half-written",
        "not UTF-8",
        "not a JSON object",
        "no timestamp",
        "not a point in time",
        "no text",
        "nothing in it",
        "no action",
    ] {
        assert!(skips.contains(reason), "no fixture for {reason:?}");
    }
    assert!(!skips.contains(&Skip::TooLong { limit: 1 }.to_string()));
}
