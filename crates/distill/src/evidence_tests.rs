use super::*;
use crate::{Context, source::Source, transform_line};

fn record() -> EvidenceRecord {
    let line = r#"{"run_id":"r","created_at":"2026-04-21T09:15:00Z","text":"t"}"#;
    transform_line(Source::DistilledFacts, line, &Context { line_offset: 3, part: 0, recorded_at: None }).unwrap()
}

#[test]
fn absent_members_are_left_out() {
    let json = serde_json::to_string(&record()).unwrap();
    assert!(!json.contains("null") && !json.contains("[]") && !json.contains("{}"), "{json}");
    let expected = concat!(
        r#"{"run_id":"r","task_id":"distilled_facts:SIG","timestamp":"2026-04-21T09:15:00Z","schema_version":1,"#,
        r#""provenance":{"source_file":"data/_kb/distilled_facts.jsonl","line_offset":3,"sig_hash":"HASH","#,
        r#""recorded_at":"2026-04-21T09:15:00Z"},"model_role":"extractor","text":"t"}"#
    );
    let hash = record().provenance.sig_hash;
    assert_eq!(json, expected.replace("SIG", &hash[..16]).replace("HASH", &hash));
}

#[test]
fn what_was_written_reads_back_and_strangers_are_borne() {
    let mut full = record();
    full.observer_confidence = Some(87.5);
    full.cost_usd = Some(2.0);
    full.latency_ms = Some(12);
    full.human_override = Some(serde_json::json!({"verdict": "reject"}));
    let line = serde_json::to_string(&full).unwrap();
    assert!(line.contains(r#""cost_usd":2,"#), "whole numbers are written as such: {line}");
    assert_eq!(EvidenceRecord::from_line(&line).unwrap(), full);
    let stranger = line.replacen('{', r#"{"new_member":[1],"#, 1);
    let stranger = stranger.replace(r#""latency_ms":12"#, r#""latency_ms":12.4"#).replace("extractor", "oracle");
    let read = EvidenceRecord::from_line(&stranger).unwrap();
    assert_eq!((read.latency_ms, read.model_role), (Some(12), Some(Role::Other)));
}

#[test]
fn a_record_that_breaks_its_schema_is_refused_by_name() {
    type Spoil = fn(&mut EvidenceRecord);
    let cases: [(&str, Spoil); 7] = [
        ("run_id", |r| r.run_id = " ".into()),
        ("task_id", |r| r.task_id = "x".repeat(MAX_ID_BYTES + 1)),
        ("schema_version", |r| r.schema_version = 2),
        ("sig_hash", |r| r.provenance.sig_hash = "F".repeat(64)),
        ("source_file", |r| r.provenance.source_file = "data/../../etc/passwd".into()),
        ("observer_confidence", |r| r.observer_confidence = Some(101.0)),
        ("cost_usd", |r| r.cost_usd = Some(-1.0)),
    ];
    for (name, spoil) in cases {
        let mut bad = record();
        spoil(&mut bad);
        assert!(bad.violations().is_some_and(|why| why.contains(name)), "{name}");
    }
    assert_eq!(record().violations(), None);
    assert!(EvidenceRecord::from_line(r#"{"run_id":"r"}"#).unwrap_err().contains("task_id"));
}
