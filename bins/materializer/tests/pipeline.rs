//! Score, export, trace, baseline, drift: from evidence to what may be learned from, and back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

mod support;

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use support::{Root, total};

const EXPORT: &str = "exports/sft/instruction_response.jsonl";
const QUARANTINE: &str = "exports/quarantine/sft.jsonl";

fn scored() -> Root {
    let root = Root::with_fixtures();
    root.json(&[]);
    root.json(&["score"]);
    root
}

#[test]
fn every_record_is_scored_once_beside_its_evidence() {
    let root = scored();
    let (evidence, scored) = (root.tree("data/evidence"), root.tree("data/scored-runs"));
    let paths = |tree: &BTreeMap<String, Vec<u8>>| {
        tree.keys().map(|path| path.split_once("/20").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&evidence), paths(&scored));
    for (path, bytes) in &scored {
        let rows = root.rows(path);
        let origin = path.replace("scored-runs", "evidence");
        let records = root.rows(&origin);
        assert_eq!(rows.len(), records.len());
        assert!(bytes.ends_with(b"\n"));
        for (line, (row, record)) in rows.iter().zip(&records).enumerate() {
            assert_eq!((row["schema"].as_str(), &row["run_id"]), (Some("scored_run.v1"), &record["run_id"]));
            assert_eq!(row["provenance"]["evidence_file"], origin.as_str());
            assert_eq!(row["provenance"]["evidence_line"], line);
            assert!(!row["reasons"].as_array().unwrap().is_empty());
        }
    }
    let again = root.json(&["score"]);
    assert_eq!(total(&again, "written"), 0);
    assert_eq!(root.tree("data/scored-runs"), scored);
    // A spoiled file is made anew, the others are left alone.
    let path = scored.keys().next().unwrap();
    root.write(path, "spoiled\n");
    let repaired = root.json(&["score"]);
    assert_eq!(repaired["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(root.tree("data/scored-runs"), scored);
}

#[test]
fn export_and_quarantine_account_for_every_scored_run() {
    let root = scored();
    let runs = root.all_rows("data/scored-runs");
    let report = root.json(&["export-sft"]);
    let (rows, kept_out) = (root.rows(EXPORT), root.rows(QUARANTINE));
    assert_eq!(rows.len() + kept_out.len(), runs.len());
    assert_eq!(report["exported"], rows.len());
    assert!(rows.len() >= 4, "{rows:?}");
    for row in &rows {
        assert_eq!(row["category"], "accepted");
        assert!(!row["output"].as_str().unwrap().trim().is_empty() && !row["instruction"].as_str().unwrap().is_empty());
    }
    assert!(kept_out.iter().all(|row| row.get("output").is_none()));
    for reason in ["firewall_rejected", "firewall_needs_human_review", "partial_not_asked_for", "empty"] {
        assert!(kept_out.iter().any(|row| row["reason"] == reason), "none is {reason}");
    }
    let with_partial = root.json(&["export-sft", "--include-partial"]);
    assert!(with_partial["exported"].as_u64() > report["exported"].as_u64());
    let categories: Vec<Value> = root.rows(EXPORT).iter().map(|row| row["category"].clone()).collect();
    assert!(categories.contains(&json!("partially_accepted")));
    assert!(categories.iter().all(|category| category == "accepted" || category == "partially_accepted"));
}

#[test]
fn every_exported_row_walks_back_to_its_source_line() {
    let root = scored();
    root.json(&["export-sft", "--include-partial"]);
    for (line, row) in root.rows(EXPORT).iter().enumerate() {
        let run_id = row["provenance"]["run_id"].as_str().unwrap();
        let trace = root.json(&["trace", run_id]);
        let hash = &row["provenance"]["sig_hash"];
        let record = trace["records"].as_array().unwrap().iter().find(|r| &r["source"]["sig_hash"] == hash).unwrap();
        assert_eq!(record["source"]["status"], "verified");
        assert_eq!(record["exported"]["line"], line);
        assert_eq!(record["scored"]["category"], row["category"]);
        // The row that trace shows is the line itself.
        let file = fs::read(root.path(row["provenance"]["source_file"].as_str().unwrap())).unwrap();
        let file = String::from_utf8_lossy(&file);
        let offset = row["provenance"]["line_offset"].as_u64().unwrap() as usize;
        assert_eq!(record["source"]["row"], file.lines().nth(offset).unwrap().trim_start_matches('\u{feff}'));
        let text = String::from_utf8(root.run(&["trace", run_id]).stdout).unwrap();
        assert!(text.contains("verified") && text.contains("exported exports/sft"), "{text}");
    }
}

#[test]
fn no_edit_and_no_flag_lets_a_rejected_run_out() {
    let root = scored();
    // Somebody improves the scores by hand.
    for (path, bytes) in root.tree("data/scored-runs") {
        let text = String::from_utf8(bytes).unwrap();
        root.write(
            &path,
            &text
                .replace(r#""category":"rejected""#, r#""category":"accepted""#)
                .replace("needs_human_review", "accepted"),
        );
    }
    for flags in [
        &["export-sft"][..],
        &["export-sft", "--include-partial"],
        &["export-sft", "--include-partial", "--since", "2026-01-01"],
    ] {
        root.json(flags);
        for row in root.rows(EXPORT) {
            let trace = root.json(&["trace", row["provenance"]["run_id"].as_str().unwrap()]);
            let record = &trace["records"][0]["evidence"]["record"];
            assert!(record.get("failure_markers").is_none() && record["observer_verdict"] != "reject", "{record}");
        }
        assert!(root.rows(QUARANTINE).iter().any(|row| row["reason"] == "firewall_rejected"));
    }
    // Or says that the score is of other evidence.
    let path =
        root.tree("data/scored-runs").into_keys().find(|path| path.ends_with("/contract_analyses.jsonl")).unwrap();
    let text = root.read(&path).replace("data/evidence/2026/", "data/_kb/../evidence/2026/");
    root.write(&path, &text);
    root.json(&["export-sft"]);
    assert!(root.rows(QUARANTINE).iter().any(|row| row["reason"] == "unsourced"));
}

#[test]
fn duplicates_and_rows_without_a_source_go_to_quarantine() {
    let root = Root::empty();
    let row =
        |run: &str, ts: &str| json!({"run_id": run, "ts": ts, "permit_id": "P-1", "analysis": "The same.", "ok": true});
    let rows = [row("r1", "2026-04-21"), row("r2", "2026-04-22"), row("r3", "2026-04-23")];
    let mut log: Vec<String> = rows.iter().map(Value::to_string).collect();
    log.push(
        json!({"run_id": "r4", "ts": "2026-04-24", "permit_id": "P-2", "analysis": "Another.", "ok": true}).to_string(),
    );
    root.write("data/_kb/contract_analyses.jsonl", &(log.join("\n") + "\n"));
    root.json(&[]);
    root.json(&["score"]);
    let report = root.json(&["export-sft"]);
    assert_eq!((&report["exported"], &report["quarantined"]), (&json!(2), &json!({"duplicate": 2})));
    // The log is rotated: two rows are at other lines, two are gone.
    root.write("data/_kb/contract_analyses.jsonl", &format!("\n{}\n{}\n", log[3], log[0]));
    let report = root.json(&["export-sft"]);
    assert_eq!((&report["exported"], &report["quarantined"]), (&json!(2), &json!({"unsourced": 2})));
    let moved = root.json(&["trace", "r1"]);
    assert_eq!(
        (&moved["records"][0]["source"]["status"], &moved["records"][0]["source"]["line"]),
        (&json!("moved"), &json!(2))
    );
    let gone = root.run(&["trace", "r2"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&gone.stdout).contains("GONE"));
    assert_eq!(root.run(&["trace", "r5"]).status.code(), Some(2));
}

#[test]
fn a_dry_run_of_score_and_export_writes_nothing() {
    let root = Root::with_fixtures();
    root.json(&[]);
    let before = root.tree("");
    let shown = root.json(&["score", "--dry-run"]);
    assert!(total(&shown, "written") > 0);
    assert_eq!(root.tree(""), before);
    root.json(&["score"]);
    let before = root.tree("");
    assert!(root.json(&["export-sft", "--dry-run"])["exported"].as_u64().unwrap() > 0);
    assert_eq!(root.tree(""), before);
}

#[test]
fn a_baseline_is_compared_with_the_one_before() {
    let root = scored();
    root.json(&["export-sft"]);
    let first = root.json(&["audit-baseline"]);
    assert_eq!(first["baseline"], Value::Null);
    assert_eq!(first["now"]["metrics"]["evidence_rows"], root.all_rows("data/evidence").len() as f64);
    // A half-written row of somebody else must not hide the baseline.
    let half = root.read("data/_kb/audit_baselines.jsonl") + "{\"schema\":\"audit_base";
    root.write("data/_kb/audit_baselines.jsonl", &half);
    let more: String = (0..200)
        .map(|n| {
            json!({"run_id": format!("more{n}"), "ts": 1_776_800_000 + n, "events_ok": 1, "events_total": 2})
                .to_string()
                + "\n"
        })
        .collect();
    let log = root.read("data/_kb/outcomes.jsonl");
    root.write("data/_kb/outcomes.jsonl", &(log + "\n" + &more));
    root.json(&[]);
    root.json(&["score"]);
    let before = root.read("data/_kb/audit_baselines.jsonl");
    let second = root.json(&["audit-baseline", "--dry-run"]);
    assert_eq!(root.read("data/_kb/audit_baselines.jsonl"), before);
    let change = |name: &str| {
        let changes = second["changes"].as_array().unwrap();
        changes.iter().find(|change| change["metric"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    assert_eq!(change("scored_rejected")["flagged"], true);
    assert_eq!(change("scored_accepted")["change_percent"], 0.0);
    let text = String::from_utf8(root.run(&["audit-baseline"]).stdout).unwrap();
    assert!(text.contains("FLAG") && text.contains("scored_rejected"), "{text}");
    assert_eq!(root.read("data/_kb/audit_baselines.jsonl").lines().count(), 3);
}

#[test]
fn drift_is_told_of_the_scorer_and_of_the_measurements() {
    let root = Root::empty();
    let log: String = (0..400_u64)
        .map(|n| {
            let slow = if n < 200 { 0 } else { 5000 };
            json!({"run_id": format!("r{n}"), "ts": 1_776_700_000 + n * 3600, "permit_id": "P", "analysis": "x".repeat(20 + n as usize % 7),
                "duration_ms": 1000 + n * 37 % 900 + slow, "ok": n % 3 != 0}).to_string() + "\n"
        })
        .collect();
    root.write("data/_kb/contract_analyses.jsonl", &log);
    root.json(&[]);
    root.json(&["score"]);
    let drift = root.json(&["drift"]);
    assert_eq!(drift["scorer"]["changed"], 0);
    assert_eq!(drift["scorer"]["compared"], 400);
    let measures = &drift["distributions"]["measures"];
    assert_eq!(measures["latency_ms"]["level"], "major");
    assert_eq!(measures["latency_ms"]["buckets"].as_array().unwrap().len(), 10);
    assert_eq!(measures["text_chars"]["level"], "stable");
    assert_eq!(measures["cost_usd"]["level"], "stable", "nothing to compare");
    // Stored categories that today's rules would not give.
    let path = root.tree("data/scored-runs").into_keys().next().unwrap();
    let text = root.read(&path).replacen(r#""category":"accepted""#, r#""category":"rejected""#, 1);
    root.write(&path, &text);
    let drift = root.json(&["drift", "--buckets", "5", "--since", "2026-04-24"]);
    assert_eq!(drift["distributions"]["measures"]["latency_ms"]["buckets"].as_array().unwrap().len(), 5);
    let text = String::from_utf8(root.run(&["drift"]).stdout).unwrap();
    assert!(text.contains("1 of 400 runs changed") && text.contains("MAJOR"), "{text}");
}

#[test]
fn evidence_of_others_that_can_t_be_read_is_counted() {
    let root = Root::with_fixtures();
    root.json(&["--source", "outcomes"]);
    let path = "data/evidence/2026/04/24/outcomes.jsonl";
    let text = root.read(path);
    fs::write(root.path(path), format!("{text}not evidence\n{{\"run_id\":\"x\"}}")).unwrap();
    let report = root.json(&["score"]);
    assert_eq!(total(&report, "skipped"), 2);
    assert_eq!(root.run(&["score", "--strict"]).status.code(), Some(1));
    // And materialize still knows its own rows, and ends the half line before it adds another one.
    let log = root.read("data/_kb/outcomes.jsonl")
        + &json!({"run_id": "late", "created_at": "2026-04-24T20:00:00Z", "elapsed_secs": 1}).to_string();
    root.write("data/_kb/outcomes.jsonl", &log);
    assert_eq!(total(&root.json(&["--source", "outcomes"]), "written"), 1);
    assert!(root.read(path).contains("{\"run_id\":\"x\"}\n{\"run_id\":\"late\""));
}
