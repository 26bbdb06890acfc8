//! What counts as a row, and as the same row: whatever runtime wrote it, and however it ended a line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

#[allow(dead_code, reason = "not every test that includes this needs the fixtures")]
mod support;

use std::{fs, path::Path};

use serde_json::{Value, json};
use support::{Root, total};

const LOG: &str = "data/_kb/outcomes.jsonl";
const SKIPS: &str = "data/_kb/distillation_skips.jsonl";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.as_ref().unwrap().file_name());
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Logs, and the evidence that an earlier release made of them.
fn with_old_evidence() -> Root {
    let root = Root::empty();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/old-hash"), &root.path(""));
    root
}

fn outcome(run: &str) -> String {
    format!("{{\"run_id\":\"{run}\",\"created_at\":\"2026-04-20T08:00:00Z\",\"elapsed_secs\":1}}")
}

fn log(root: &Root, text: &str) -> Value {
    root.write(LOG, text);
    root.json(&["--source", "outcomes"])
}

#[test]
fn evidence_of_an_earlier_release_is_known() {
    let root = with_old_evidence();
    let before = root.tree("data/evidence");
    let receipt = root.json(&[]);
    assert_eq!((total(&receipt, "written"), total(&receipt, "deduped")), (0, 8));
    assert_eq!(root.tree("data/evidence"), before);
    // A program that wrote 301.0 as 301 from then on writes no new row; one that is new is found.
    let respelled = root.read(LOG).replace("301.0", "301").replace("1e2", "100").replace("2.50", "2.5");
    let receipt = log(&root, &format!("{respelled}{}", root.read(LOG)));
    assert_eq!((total(&receipt, "written"), total(&receipt, "deduped")), (0, 12));
    let text = format!("{}\n{}", outcome("late"), root.read(LOG));
    assert_eq!(total(&log(&root, &text), "written"), 1);
}

#[test]
fn evidence_of_an_earlier_release_can_be_traced_and_exported() {
    let root = with_old_evidence();
    root.json(&["score"]);
    let report = root.json(&["export-sft"]);
    assert_eq!(report["exported"], 2, "{report}");
    for row in root.all_rows("data/evidence") {
        let trace = root.json(&["trace", row["run_id"].as_str().unwrap()]);
        assert!(trace["records"].as_array().unwrap().iter().all(|r| r["source"]["status"] == "verified"), "{trace}");
    }
}

#[test]
fn one_row_in_the_spellings_of_two_runtimes_is_one_row() {
    let root = Root::empty();
    let python =
        r#"{"created_at": "2026-04-20T08:00:00Z", "elapsed_secs": 301.0, "events_ok": 100.0, "events_total": 1e2}"#;
    let node = r#"{"created_at":"2026-04-20T08:00:00Z","elapsed_secs":301,"events_ok":100,"events_total":100}"#;
    let receipt = log(&root, &format!("{python}\n{node}\n"));
    assert_eq!((total(&receipt, "written"), total(&receipt, "deduped")), (1, 1));
    // Ids too long for a double are two rows.
    let id = |last: u8| node.replace('}', &format!(",\"ticket\":123456789012345678{last}}}\n"));
    assert_eq!(total(&log(&root, &(id(1) + &id(2))), "written"), 2);
}

#[test]
fn a_member_that_is_no_number_is_left_out_and_named() {
    let root = Root::empty();
    let row = r#"{"permit_id":"K-7","analysis":"no result","cost":NaN,"duration_ms":Infinity,"ok":true,"ts":"2026-05-02T08:00:00Z","matrix_hits":[{"id":"a","score":-Infinity},NaN],"error":NaN}"#;
    root.write("data/_kb/contract_analyses.jsonl", &format!("{row}\n"));
    let receipt = root.json(&[]);
    assert_eq!((total(&receipt, "written"), total(&receipt, "skipped")), (1, 0));
    let record = &root.all_rows("data/evidence")[0];
    let unreadable = json!(["cost", "duration_ms", "error", "matrix_hits[0].score", "matrix_hits[1]"]);
    assert_eq!(record["metadata"]["unreadable_fields"], unreadable);
    assert_eq!(record["retrieved_context"]["matrix_hits"], json!([{"id": "a"}, null]));
    assert_eq!((record.get("cost_usd"), record["metadata"].get("error")), (None, None));
    // Once, and traced like any other row.
    assert_eq!(total(&root.json(&[]), "deduped"), 1);
    let trace = root.json(&["trace", record["run_id"].as_str().unwrap()]);
    assert_eq!(
        (&trace["records"][0]["source"]["status"], &trace["records"][0]["source"]["row"]),
        (&json!("verified"), &json!(row))
    );
    // A decision that is no number may have been a rejection.
    root.json(&["score"]);
    root.write("data/_kb/contract_analyses.jsonl", &row.replace("true", "NaN"));
    root.json(&[]);
    root.json(&["score"]);
    let categories: Vec<Value> =
        root.all_rows("data/scored-runs").into_iter().map(|run| run["category"].clone()).collect();
    assert_eq!(categories, ["accepted", "needs_human_review"]);
}

#[test]
fn rows_glued_on_one_line_are_rows_each_with_its_place() {
    let root = Root::empty();
    let (a, b, c) = (outcome("a"), outcome("b"), outcome("c"));
    let receipt = log(&root, &format!("{}\n{a}{b} {c}\n", outcome("before")));
    assert_eq!((total(&receipt, "rows_read"), total(&receipt, "written")), (4, 4));
    let places: Vec<(Value, Value, Option<Value>)> = root
        .all_rows("data/evidence")
        .into_iter()
        .map(|row| {
            let place = &row["provenance"];
            (row["run_id"].clone(), place["line_offset"].clone(), place.get("part").cloned())
        })
        .collect();
    let expected = [("before", 0, None), ("a", 1, None), ("b", 1, Some(json!(1))), ("c", 1, Some(json!(2)))];
    assert_eq!(places, expected.map(|(run, line, part)| (json!(run), json!(line), part)));
    assert_eq!(total(&root.json(&[]), "deduped"), 4);
    for (run, text) in [("a", &a), ("b", &b), ("c", &c)] {
        let trace = root.json(&["trace", run]);
        let source = &trace["records"][0]["source"];
        assert_eq!((&source["status"], &source["row"], &source["line"]), (&json!("verified"), &json!(text), &json!(1)));
    }
    // The log is mended: the rows are where they are now, and the same.
    let receipt = log(&root, &format!("{a}\n{b}\n{c}\n"));
    assert_eq!((total(&receipt, "written"), total(&receipt, "deduped")), (0, 3));
    let trace = root.json(&["trace", "b"]);
    let source = &trace["records"][0]["source"];
    assert_eq!((&source["status"], &source["line"], &source["recorded_part"]), (&json!("moved"), &json!(1), &json!(1)));
}

#[test]
fn of_a_whole_row_and_a_torn_one_the_whole_is_kept() {
    let root = Root::empty();
    let (a, b) = (outcome("a"), outcome("b"));
    let torn = &b[..b.len() / 2];
    let receipt = log(&root, &format!("{a}{b}{torn}\n{a},\n{a}{torn}"));
    assert_eq!((total(&receipt, "written"), total(&receipt, "deduped"), total(&receipt, "skipped")), (2, 2, 3));
    let skips = root.rows(SKIPS);
    let places: Vec<(&Value, Option<&Value>)> = skips.iter().map(|s| (&s["line_offset"], s.get("part"))).collect();
    assert_eq!(places, [(&json!(0), Some(&json!(2))), (&json!(1), Some(&json!(1))), (&json!(2), Some(&json!(1)))]);
    let end = a.len() + b.len() + torn.len();
    assert!(skips[0]["reason"].as_str().unwrap().contains(&format!("at byte {end}")), "{}", skips[0]);
    assert!(skips[2]["reason"].as_str().unwrap().starts_with("half-written"), "{}", skips[2]);
    // Its writer goes on.
    let whole = format!("{a}{b}{torn}\n{a},\n{a}{b}\n");
    let receipt = log(&root, &whole);
    assert_eq!((total(&receipt, "written"), total(&receipt, "deduped"), total(&receipt, "skipped")), (0, 5, 2));
    // A row that begins torn can't be told from what is inside of it.
    let receipt = log(&root, &format!("{torn}{a}\n"));
    assert_eq!((total(&receipt, "written"), total(&receipt, "skipped")), (0, 1));
}
