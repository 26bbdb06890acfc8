//! The direction of dependencies, read from `cargo metadata`: what docs/architecture.md says under
//! "Direction" holds, or this fails and names the edge.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Direct dependencies (normal and build, not dev) of each package of the workspace.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut all = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let direct = package["dependencies"].as_array().unwrap().iter();
        let direct = direct.filter(|d| d["kind"] != "dev").map(|d| d["name"].as_str().unwrap().to_owned()).collect();
        all.insert(package["name"].as_str().unwrap().to_owned(), direct);
    }
    all
}

/// What each library may use of this workspace. A new crate needs a line here, and a reason.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("lakehouse-types", &[]),
    ("lakehouse-objstore", &["lakehouse-types"]),
    ("lakehouse-common", &["lakehouse-types"]),
    ("lakehouse-client", &["lakehouse-types", "lakehouse-objstore"]),
    ("lakehouse-catalog", &["lakehouse-types", "lakehouse-objstore"]),
    ("lakehouse-ingest", &["lakehouse-types", "lakehouse-objstore"]),
    ("lakehouse-query", &["lakehouse-types", "lakehouse-objstore"]),
    ("lakehouse-vector", &["lakehouse-types", "lakehouse-objstore"]),
    ("lakehouse-embed", &["lakehouse-types"]),
    ("lakehouse-distill", &["lakehouse-types"]),
    (
        "lakehouse-testkit",
        &["lakehouse-types", "lakehouse-common", "lakehouse-client", "lakehouse-objstore", "storaged", "catalogd"],
    ),
];

/// Heavy dependencies, each with the only packages that may link it directly.
const FENCED: [(&str, &[&str]); 6] = [
    ("axum", &["lakehouse-common", "gateway", "storaged", "catalogd", "ingestd", "queryd", "vectord", "embedd"]),
    ("duckdb", &["lakehouse-query"]),
    ("aws-sdk-s3", &["lakehouse-objstore"]),
    ("candle-core", &["lakehouse-embed"]),
    ("parquet", &["lakehouse-ingest"]),
    ("bm25", &["lakehouse-distill"]),
];

const BINARIES: [&str; 9] =
    ["gateway", "storaged", "catalogd", "ingestd", "queryd", "embedd", "vectord", "materializer", "replay"];

#[test]
fn libraries_depend_only_downwards() {
    let all = dependencies();
    let ours: Vec<&String> = all.keys().collect();
    for (package, direct) in &all {
        if BINARIES.contains(&package.as_str()) {
            continue;
        }
        let allowed = ALLOWED.iter().find(|(name, _)| name == package);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{package} has no line in ALLOWED"));
        for dependency in direct.iter().filter(|d| ours.contains(d)) {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not depend on {dependency}");
        }
    }
}

#[test]
fn binaries_do_not_depend_on_each_other_nor_on_the_testkit() {
    let all = dependencies();
    for binary in BINARIES {
        let Some(direct) = all.get(binary) else { panic!("{binary} is missing") };
        for dependency in direct {
            assert!(!BINARIES.contains(&dependency.as_str()), "{binary} must not depend on {dependency}");
            assert_ne!(dependency, "lakehouse-testkit", "{binary} must not link the testkit");
        }
    }
}

#[test]
fn heavy_dependencies_stay_behind_their_fence() {
    let all = dependencies();
    for (heavy, may) in FENCED {
        let users: Vec<&str> =
            all.iter().filter(|(_, d)| d.iter().any(|d| d == heavy)).map(|(p, _)| p.as_str()).collect();
        assert!(!users.is_empty(), "nobody uses {heavy}: is the list out of date?");
        for user in users {
            assert!(may.contains(&user), "{user} must not depend on {heavy}");
        }
    }
}

#[test]
fn one_arrow_in_the_whole_tree() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock")).unwrap();
    let lock: toml::Table = lock.parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let versions: Vec<&str> = packages
        .iter()
        .filter(|p| p["name"].as_str() == Some("arrow-schema"))
        .filter_map(|p| p["version"].as_str())
        .collect();
    assert_eq!(versions.len(), 1, "several versions of arrow: {versions:?}");
}
