//! The default command: rows become evidence, once, wherever the work was interrupted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

mod support;

use std::{
    fs,
    process::{Command, Stdio},
};

use lakehouse_distill::sha256_hex;
use serde_json::{Value, json};
use support::{Root, fixtures, total};

const ROWS: u64 = 81;

#[test]
fn the_fixtures_become_the_golden_records_in_their_days() {
    let root = Root::with_fixtures();
    let receipt = root.json(&[]);
    let mut written = 0;
    for source in receipt["sources"].as_array().unwrap() {
        let name = source["source"].as_str().unwrap();
        let golden = fs::read_to_string(fixtures().join(format!("golden/{name}.json"))).unwrap();
        let golden: Vec<Value> = serde_json::from_str(&golden).unwrap();
        let rows: Vec<Value> = root
            .tree("data/evidence")
            .keys()
            .filter(|path| path.ends_with(&format!("/{name}.jsonl")))
            .flat_map(|path| {
                let rows = root.rows(path);
                for row in &rows {
                    let day = row["timestamp"].as_str().unwrap()[..10].replace('-', "/");
                    assert_eq!(path, &format!("data/evidence/{day}/{name}.jsonl"));
                }
                let lines: Vec<u64> =
                    rows.iter().map(|row| row["provenance"]["line_offset"].as_u64().unwrap()).collect();
                assert!(lines.is_sorted(), "{path} is not in the order of its source");
                rows
            })
            .collect();
        for row in &rows {
            let same_row = |entry: &&Value| entry["record"]["provenance"] == row["provenance"];
            let golden = golden.iter().find(same_row).unwrap_or_else(|| panic!("{name}: {row}"));
            assert_eq!(golden["record"]["metadata"], row["metadata"]);
            assert_eq!(golden["record"]["run_id"], row["run_id"]);
        }
        let golden_records = golden.iter().filter(|entry| entry.get("record").is_some()).count() as u64;
        let deduped = source["deduped"].as_u64().unwrap();
        assert_eq!(rows.len() as u64 + deduped, golden_records, "{name}");
        assert_eq!(source["written"].as_u64().unwrap(), rows.len() as u64);
        written += rows.len() as u64;
    }
    assert_eq!(total(&receipt, "written"), written);
    assert_eq!(receipt["schema"], "distillation_receipt.v1");
    assert_eq!(receipt["validation_pass"], true);
}

#[test]
fn a_second_run_writes_nothing_and_says_so() {
    let root = Root::with_fixtures();
    let first = root.json(&[]);
    let (evidence, kb) = (root.tree("data/evidence"), root.tree("data/_kb"));
    let second = root.json(&["materialize"]);
    assert_eq!(total(&second, "written"), 0);
    assert_eq!(total(&second, "deduped"), total(&first, "written") + total(&first, "deduped"));
    assert_eq!(total(&second, "skipped"), total(&first, "skipped"));
    assert!(second["outputs"].as_array().unwrap().is_empty());
    assert_eq!(root.tree("data/evidence"), evidence);
    assert_eq!(root.tree("data/_kb"), kb, "skips are told once");
    let text = String::from_utf8(root.run(&[]).stdout).unwrap();
    assert!(text.contains("0 rows written") && text.contains("nothing new"), "{text}");
    assert_eq!(root.tree("reports").len(), 3, "every run has its receipt");
}

#[test]
fn the_receipt_can_be_checked() {
    let root = Root::with_fixtures();
    let receipt = root.json(&["--source", "outcomes", "--source", "audits"]);
    let mut on_disk: Value = serde_json::from_str(&root.read(receipt["receipt"].as_str().unwrap())).unwrap();
    on_disk["receipt"] = receipt["receipt"].clone();
    assert_eq!(on_disk, receipt, "what is printed is what is kept");
    assert_eq!(receipt["sources"].as_array().unwrap().len(), 2);
    let files: Vec<&Value> =
        receipt["inputs"].as_array().unwrap().iter().chain(receipt["outputs"].as_array().unwrap()).collect();
    assert!(files.len() > 3);
    for file in files {
        let bytes = fs::read(root.path(file["path"].as_str().unwrap())).unwrap();
        assert_eq!(file["bytes"].as_u64().unwrap(), bytes.len() as u64, "{file}");
        assert_eq!(file["sha256"], sha256_hex(&bytes), "{file}");
    }
    assert!(receipt["started_at"].as_str() <= receipt["ended_at"].as_str());
    assert_eq!(receipt["command"][0], "--root");
}

#[test]
fn what_can_t_be_read_is_listed_with_file_line_and_reason() {
    let root = Root::with_fixtures();
    let receipt = root.json(&[]);
    let skips = root.rows("data/_kb/distillation_skips.jsonl");
    assert_eq!(skips.len() as u64, total(&receipt, "skipped"));
    assert_eq!(total(&receipt, "rows_read"), ROWS);
    let half = skips.iter().find(|skip| skip["reason"].as_str().unwrap().starts_with("half-written")).unwrap();
    assert_eq!(half["source_file"], "data/_kb/distilled_facts.jsonl");
    assert_eq!(half["line_offset"], 7);
    assert_eq!(root.run(&["--strict"]).status.code(), Some(1));
    assert_eq!(root.run(&["--source", "outcomes", "--strict"]).status.code(), Some(1));
}

#[test]
fn a_row_whose_record_no_reader_would_take_is_skipped() {
    let root = Root::empty();
    // The notes are in the record twice: as they are, and as its text.
    let row = |ts: &str, notes: &str| json!({"ts": ts, "verdict": "accept", "notes": notes}).to_string();
    let large = row("2026-04-24T10:00:00Z", &"x".repeat(9 << 20));
    let small = row("2026-04-24T11:00:00Z", "fine");
    root.write("data/_kb/observer_reviews.jsonl", &format!("{large}\n{small}\n"));
    let first = root.json(&[]);
    assert_eq!((total(&first, "written"), total(&first, "skipped")), (1, 1));
    let skips = root.rows("data/_kb/distillation_skips.jsonl");
    assert_eq!((skips.len(), &skips[0]["line_offset"]), (1, &json!(0)));
    assert!(skips[0]["reason"].as_str().unwrap().contains("longer than 16777216 bytes"), "{}", skips[0]);
    let (evidence, kb) = (root.tree("data/evidence"), root.tree("data/_kb"));
    let second = root.json(&[]);
    assert_eq!((total(&second, "written"), total(&second, "skipped"), total(&second, "deduped")), (0, 1, 1));
    assert_eq!(root.tree("data/evidence"), evidence);
    assert_eq!(root.tree("data/_kb"), kb);
}

#[test]
fn a_log_that_grows_gives_the_files_of_one_clean_run() {
    let (grown, clean) = (Root::with_fixtures(), Root::with_fixtures());
    for source in ["outcomes", "distilled_facts", "observer_escalations"] {
        let path = format!("data/_kb/{source}.jsonl");
        let bytes = fs::read(clean.path(&path)).unwrap();
        // In the middle of a row, in the middle of a character, after a row: in four steps.
        for cut in [bytes.len() / 3, bytes.len() / 2, bytes.len() * 9 / 10, bytes.len()] {
            fs::write(grown.path(&path), &bytes[..cut]).unwrap();
            grown.json(&[]);
        }
    }
    clean.json(&[]);
    assert_eq!(grown.tree("data/evidence"), clean.tree("data/evidence"));
}

#[test]
fn a_dry_run_writes_nothing_and_shows_what_it_would() {
    let root = Root::with_fixtures();
    let before = root.tree("");
    let shown = root.json(&["--dry-run"]);
    assert_eq!(root.tree(""), before);
    assert!(shown.get("receipt").is_none());
    let wet = root.json(&[]);
    assert_eq!(shown["outputs"], wet["outputs"], "hashes included");
    assert_eq!(total(&shown, "written"), total(&wet, "written"));
}

#[test]
fn only_some_sources_and_only_from_then_on() {
    let root = Root::with_fixtures();
    let receipt = root.json(&["--source", "contract_analyses", "--since", "2026-04-25"]);
    assert_eq!((total(&receipt, "written"), total(&receipt, "filtered")), (3, 3));
    let files: Vec<String> = root.tree("data/evidence").into_keys().collect();
    assert_eq!(files, ["data/evidence/2026/04/25/contract_analyses.jsonl"]);
    let rest = root.json(&["--source", "contract_analyses"]);
    assert_eq!((total(&rest, "written"), total(&rest, "deduped")), (3, 3));
}

#[test]
fn unusable_input_is_told_apart() {
    let root = Root::empty();
    let receipt = root.json(&[]);
    assert!(receipt["sources"].as_array().unwrap().iter().all(|source| source["present"] == false));
    let code = |args: &[&str]| root.run(args).status.code();
    assert_eq!(code(&["--source", "nope"]), Some(2));
    assert_eq!(code(&["--since", "soon"]), Some(2));
    assert_eq!(code(&["score", "--to-lakehouse", "http://127.0.0.1:1"]), Some(2));
    let nowhere =
        Command::new(env!("CARGO_BIN_EXE_materializer")).args(["--root", "/nowhere/at/all"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
    fs::remove_dir(root.path("data/_kb")).unwrap();
    assert_eq!(code(&[]), Some(2));
    // A source that is a folder is no source; the others are read all the same.
    let root = Root::with_fixtures();
    fs::remove_file(root.path("data/_kb/audits.jsonl")).unwrap();
    fs::create_dir(root.path("data/_kb/audits.jsonl")).unwrap();
    let output = root.run(&["--json"]);
    assert_eq!(output.status.code(), Some(2));
    let receipt: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(receipt["validation_pass"], false);
    assert!(receipt["errors"][0].as_str().unwrap().contains("audits.jsonl"));
    assert!(total(&receipt, "written") > 30);
}

#[test]
fn the_configuration_is_that_of_the_lakehouse() {
    let root = Root::with_fixtures();
    let config = root.path("lakehouse.toml");
    let text = format!("[materializer]\nroot = {:?}\nstrict = true\n[queryd]\nthreads = 2\n", root.path(""));
    fs::write(&config, text).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_materializer"));
        command.arg("--config").arg(&config).args(args).env("LAKEHOUSE_MATERIALIZER__DRIFT_BUCKETS", "20");
        command.output().unwrap()
    };
    let shown = String::from_utf8(run(&["--print-config", "--set", "materializer.drift_buckets=30"]).stdout).unwrap();
    assert!(
        shown.contains("strict = true") && shown.contains("drift_buckets = 30") && shown.contains("[replay]"),
        "{shown}"
    );
    assert_eq!(run(&["--check-config"]).status.code(), Some(0));
    assert!(!root.path("data/evidence").exists());
    assert_eq!(run(&[]).status.code(), Some(1), "strict, and rows were skipped");
    assert_eq!(run(&["score"]).status.code(), Some(0));
    let drift: Value = serde_json::from_slice(&run(&["drift", "--json"]).stdout).unwrap();
    assert_eq!(drift["distributions"]["buckets"], 20);
    let drift: Value = serde_json::from_slice(&run(&["drift", "--json", "--buckets", "5"]).stdout).unwrap();
    assert_eq!(drift["distributions"]["buckets"], 5);
    fs::write(&config, "[materializer]\nrot = 1\nstrict = 2\n[replay]\nk = 101\n[log]\nformat = \"x\"\n").unwrap();
    let output = run(&["--to-lakehouse", "localhost:1"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    for key in ["materializer.rot", "materializer.strict", "materializer.gateway_url", "replay.k", "log.format"] {
        assert!(told.lines().any(|line| line.starts_with(&format!("materializer: config: {key}: "))), "{key}: {told}");
    }
}

#[test]
fn recorded_at_can_be_given() {
    let root = Root::with_fixtures();
    root.json(&["--source", "outcomes", "--recorded-at", "2026-05-01T12:00:00+02:00"]);
    let rows = root.all_rows("data/evidence");
    assert!(!rows.is_empty() && rows.iter().all(|row| row["provenance"]["recorded_at"] == "2026-05-01T10:00:00Z"));
}

#[test]
fn leftovers_of_a_crash_are_cleared_away() {
    let (root, clean) = (Root::with_fixtures(), Root::with_fixtures());
    fs::create_dir_all(root.path("data/evidence/.staging/deep")).unwrap();
    root.write("data/evidence/.staging/outcomes.2026-04-24.new", "{\"half\":");
    root.write("data/evidence/.staging/outcomes.2026-04-24.part", "rubbish\n");
    root.json(&[]);
    clean.json(&[]);
    assert_eq!(root.tree("data/evidence"), clean.tree("data/evidence"));
    assert!(!root.path("data/evidence/.staging").exists());
}

#[test]
fn two_at_once_do_not_interleave() {
    let (root, clean) = (Root::with_fixtures(), Root::with_fixtures());
    let running: Vec<_> = (0..4).map(|_| root.command(&["--json"]).stdout(Stdio::piped()).spawn().unwrap()).collect();
    let written: Vec<u64> = running
        .into_iter()
        .map(|child| total(&serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap(), "written"))
        .collect();
    clean.json(&[]);
    assert_eq!(root.tree("data/evidence"), clean.tree("data/evidence"));
    assert_eq!(root.tree("data/_kb"), clean.tree("data/_kb"));
    assert_eq!(written.iter().filter(|&&n| n == 0).count(), 3, "{written:?}");
    assert_eq!(root.tree("reports").len(), 4);
}
