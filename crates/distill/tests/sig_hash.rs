//! `sig_hash` beside what `node` and `python` make of the same rows: tests/fixtures/sig_hash/README.md
//! says how.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use lakehouse_distill::{json::Json, sig_hash};
use serde_json::Value;

struct Vector {
    row: String,
    canonical: String,
    sig_hash: String,
    respelled: String,
}

fn vectors(file: &str) -> Vec<Vector> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sig_hash").join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let vector = |line: &str| {
        let vector: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| vector[name].as_str().unwrap().to_owned();
        Vector {
            row: text("row"),
            canonical: text("canonical"),
            sig_hash: text("sig_hash"),
            respelled: text("respelled"),
        }
    };
    text.lines().map(vector).collect()
}

fn hash(row: &str) -> String {
    hex::encode(sig_hash(&Json::parse(row).unwrap_or_else(|e| panic!("{row}: {e}"))))
}

#[test]
fn every_runtime_gives_a_row_the_same_hash() {
    let mut by_row: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in ["node.jsonl", "python.jsonl"] {
        let vectors = vectors(file);
        assert!(vectors.len() > 100, "{file}");
        for vector in vectors {
            assert_eq!(hash(&vector.row), vector.sig_hash, "{file}: {} is {}", vector.row, vector.canonical);
            assert_eq!(hash(&vector.respelled), vector.sig_hash, "{file}: {} as {}", vector.row, vector.respelled);
            by_row.entry(vector.row).or_default().push(vector.sig_hash);
        }
    }
    assert!(by_row.values().all(|hashes| hashes.len() == 2 && hashes[0] == hashes[1]));
}

#[test]
fn what_no_double_holds_keeps_its_digits() {
    let vectors = vectors("python_beyond.jsonl");
    for vector in &vectors {
        assert_eq!(hash(&vector.row), vector.sig_hash, "{} is {}", vector.row, vector.canonical);
    }
    // Ids that one double stands for stay apart.
    let ids = ["1152921504606846976", "1152921504606846977", "1152921504606847000"].map(|id| hash(&format!("[{id}]")));
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
}
