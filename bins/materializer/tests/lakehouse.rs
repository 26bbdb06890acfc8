//! `--to-lakehouse`, against a gateway that remembers what it was asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

#[path = "../../../tests/fake_http.rs"]
mod fake_http;
mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    sync::{Arc, Mutex},
};

use fake_http::{Asked, FakeHttp, Reply};
use serde_json::{Value, json};
use support::Root;

/// What a lakehouse would hold.
#[derive(Default)]
struct Store {
    dataset: Option<Vec<u8>>,
    index: Option<BTreeMap<String, Value>>,
    model: &'static str,
    /// Calls to `/v1/embed` that are still to fail.
    failing: u32,
}

fn gateway(store: &Arc<Mutex<Store>>) -> FakeHttp {
    let store = Arc::clone(store);
    FakeHttp::start(move |asked| answer(asked, &mut store.lock().unwrap()))
}

fn answer(asked: &Asked, store: &mut Store) -> Reply {
    let path = asked.path.split('?').next().unwrap();
    match (asked.method.as_str(), path) {
        ("POST", "/v1/ingest") => {
            let csv = file_part(&asked.body);
            let existing = store.dataset.as_deref() == Some(&csv[..]);
            let rows = count_rows(&csv);
            store.dataset = Some(csv);
            Reply::Json(200, json!({"name": "evidence", "rows": rows, "existing": existing, "version": 1}))
        }
        ("POST", "/v1/embed") => {
            if store.failing > 0 {
                store.failing -= 1;
                return Reply::Json(503, json!({"detail": "starting"}));
            }
            let texts = asked.json()["texts"].as_array().unwrap().clone();
            let vector = |text: &Value| {
                let letters = text.as_str().unwrap().chars().filter(|c| c.is_alphanumeric()).count();
                json!([letters, 0, 0])
            };
            let vectors: Vec<Value> = texts.iter().map(vector).collect();
            Reply::Json(200, json!({"model": store.model, "dimension": 3, "vectors": vectors}))
        }
        ("POST", "/v1/vectors/index") if store.index.is_some() => Reply::Json(409, json!({"detail": "exists"})),
        ("POST", "/v1/vectors/index") => {
            store.index = Some(BTreeMap::new());
            Reply::Json(201, json!({"name": "evidence"}))
        }
        ("GET", "/v1/vectors/index/evidence") => Reply::Json(200, json!({"name": "evidence", "dimension": 3})),
        ("POST", "/v1/vectors/index/evidence/add") => {
            let index = store.index.as_mut().unwrap();
            let items = asked.json()["items"].as_array().unwrap().clone();
            if items.iter().any(|item| item["metadata"].to_string().len() > 64 << 10) {
                return Reply::Json(400, json!({"detail": "the metadata are larger than 65536 bytes"}));
            }
            for item in &items {
                assert_eq!(item["vector"].as_array().unwrap().len(), 3);
                index.insert(item["id"].as_str().unwrap().to_owned(), item["metadata"].clone());
            }
            Reply::Json(200, json!({"added": 1, "updated": 0}))
        }
        _ => Reply::Json(404, json!({"detail": format!("no {path}")})),
    }
}

/// The bytes of the one part of a form.
fn file_part(body: &[u8]) -> Vec<u8> {
    let boundary = &body[..body.windows(2).position(|w| w == b"\r\n").unwrap()];
    let start = body.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let end = body.windows(boundary.len()).rposition(|w| w == boundary).unwrap() - 2;
    body[start..end].to_vec()
}

/// New lines outside of quotes, less the header's.
fn count_rows(csv: &[u8]) -> usize {
    let mut quoted = false;
    csv.iter()
        .filter(|&&b| {
            quoted ^= b == b'"';
            b == b'\n' && !quoted
        })
        .count()
        - 1
}

fn store(model: &'static str) -> Arc<Mutex<Store>> {
    Arc::new(Mutex::new(Store { model, ..Store::default() }))
}

#[test]
fn evidence_becomes_a_dataset_and_an_index_once() {
    let root = Root::with_fixtures();
    let store = store("m1");
    let gateway = gateway(&store);
    let first = root.json(&["--to-lakehouse", &gateway.url]);
    let records = root.all_rows("data/evidence");
    assert_eq!(first["lakehouse"]["rows"], records.len());
    let with_text = records.iter().filter(|r| r.get("text").is_some()).count();
    assert_eq!(first["lakehouse"]["embedded"], with_text);
    {
        let store = store.lock().unwrap();
        let csv = String::from_utf8(store.dataset.clone().unwrap()).unwrap();
        assert_eq!(count_rows(csv.as_bytes()), records.len());
        assert!(csv.starts_with("run_id,task_id,timestamp,"));
        let index = store.index.as_ref().unwrap();
        assert_eq!(index.len(), with_text, "no two records share an id");
        assert_eq!(index["dr-2026-04-21-a1"]["run_id"], "dr-2026-04-21-a1");
        let second = index.keys().find(|id| id.starts_with("dr-2026-04-21-a1#")).unwrap();
        assert_eq!(index[second]["run_id"], "dr-2026-04-21-a1");
    }
    let ingest = gateway.asked().into_iter().find(|asked| asked.path.starts_with("/v1/ingest")).unwrap();
    for part in ["name=evidence", "mode=replace", "header=true", "latency_ms%3Abigint"] {
        assert!(ingest.path.contains(part), "{}", ingest.path);
    }
    let second = root.json(&["--to-lakehouse", &format!("{}/v1/", gateway.url)]);
    assert_eq!((&second["lakehouse"]["existing"], &second["lakehouse"]["embedded"]), (&json!(true), &json!(0)));
}

#[test]
fn only_what_is_new_is_embedded_and_a_lost_index_is_made_anew() {
    let root = Root::with_fixtures();
    let store = store("m1");
    let gateway = gateway(&store);
    let args = ["--to-lakehouse", gateway.url.as_str()];
    let all = root.json(&args)["lakehouse"]["embedded"].as_u64().unwrap();
    let log = root.read("data/_kb/scrum_reviews.jsonl");
    let new = json!({"file": "a.rs", "reviewed_at": "2026-04-19T23:00:00Z", "suggestions_preview": "One more."});
    let signs = json!({"file": "a.rs", "reviewed_at": "2026-04-19T23:01:00Z", "suggestions_preview": "?!"});
    root.write("data/_kb/scrum_reviews.jsonl", &format!("{log}{new}\n{signs}\n"));
    let more = root.json(&args);
    assert_eq!(more["lakehouse"]["embedded"], 1, "a text without a direction has no place in the index");
    assert_eq!(store.lock().unwrap().index.as_ref().unwrap().len() as u64, all + 1);
    store.lock().unwrap().index = None;
    assert_eq!(root.json(&args)["lakehouse"]["embedded"], all + 1);
    // Another model's vectors can't be compared with the old ones: all are made anew.
    store.lock().unwrap().model = "m2";
    assert_eq!(root.json(&args)["lakehouse"]["embedded"], all + 1);
    // So are they when the notes are lost.
    fs::remove_file(root.path("reports/distillation/lakehouse-sync.json")).unwrap();
    assert_eq!(root.json(&args)["lakehouse"]["embedded"], all + 1);
    assert_eq!(store.lock().unwrap().index.as_ref().unwrap().len() as u64, all + 1);
}

#[test]
fn one_large_row_does_not_keep_the_others_out() {
    let root = Root::with_fixtures();
    let store = store("m1");
    let gateway = gateway(&store);
    let log = root.read("data/_kb/mode_experiments.jsonl");
    let long = "a text in the wrong place ".repeat(4_000);
    let large = json!({
        "ts": "2026-04-20T00:00:00Z", "run_id": "large", "response": "Nothing worked.",
        "failure_markers": [long], "source_files": [format!("src/{long}")],
    });
    root.write("data/_kb/mode_experiments.jsonl", &format!("{large}\n{log}"));
    root.json(&["--to-lakehouse", &gateway.url]);
    let with_text = root.all_rows("data/evidence").iter().filter(|r| r.get("text").is_some()).count();
    let store = store.lock().unwrap();
    let index = store.index.as_ref().unwrap();
    assert_eq!(index.len(), with_text);
    assert_eq!(index["large"]["reasons"][0].as_str().unwrap().chars().count(), 300);
}

#[test]
fn a_line_that_is_being_written_is_embedded_when_it_is_whole() {
    let root = Root::with_fixtures();
    let store = store("m1");
    let gateway = gateway(&store);
    let args = ["--to-lakehouse", gateway.url.as_str()];
    root.json(&["--source", "scrum_reviews"]);
    let (path, bytes) = root.tree("data/evidence").pop_first().unwrap();
    let mut late: Value = serde_json::from_slice(bytes.split(|&b| b == b'\n').next().unwrap()).unwrap();
    late["run_id"] = json!("late");
    late["text"] = json!("One more.");
    late["provenance"]["sig_hash"] = json!("0".repeat(64));
    let line = format!("{late}\n");
    let (half, rest) = line.split_at(line.len() / 2);
    let mut file = fs::File::options().append(true).open(root.path(&path)).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    root.json(&args);
    assert!(!store.lock().unwrap().index.as_ref().unwrap().contains_key("late"));
    file.write_all(rest.as_bytes()).unwrap();
    assert_eq!(root.json(&args)["lakehouse"]["embedded"], 1);
    assert!(store.lock().unwrap().index.as_ref().unwrap().contains_key("late"));
}

#[test]
fn a_service_that_restarts_is_waited_for_and_one_that_is_gone_is_told() {
    let root = Root::with_fixtures();
    let store = store("m1");
    let gateway = gateway(&store);
    store.lock().unwrap().failing = 2;
    assert!(root.json(&["--to-lakehouse", &gateway.url])["lakehouse"]["embedded"].as_u64().unwrap() > 20);
    let root = Root::with_fixtures();
    let output = root.run(&["--source", "outcomes", "--to-lakehouse", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("can't be reached"));
    // The evidence is on disk all the same, and the next run brings it over.
    assert!(!root.tree("data/evidence").is_empty());
    assert_eq!(root.run(&["--to-lakehouse", "not a url"]).status.code(), Some(2));
}

#[test]
fn the_token_goes_along_and_nowhere_else() {
    let root = Root::with_fixtures();
    let store = store("m1");
    let gateway = gateway(&store);
    let file = root.path("token");
    fs::write(&file, "s3cret\n").unwrap();
    let receipt = root.json(&["--to-lakehouse", &gateway.url, "--token-file", file.to_str().unwrap()]);
    assert!(gateway.asked().iter().all(|asked| asked.authorization.as_deref() == Some("Bearer s3cret")));
    assert!(!receipt.to_string().contains("s3cret"));
    let output = root.command(&["--to-lakehouse", &gateway.url]).env("LAKEHOUSE_TOKEN", "other").output().unwrap();
    assert!(output.status.success());
    assert_eq!(gateway.asked().last().unwrap().authorization.as_deref(), Some("Bearer other"));
}
