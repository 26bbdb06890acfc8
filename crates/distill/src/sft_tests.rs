use serde_json::json;

use super::*;
use crate::{Context, source::Source, transform_line};

/// If this fails, somebody wants models to learn from runs that went wrong. That is not a change to
/// make in passing: it needs a decision record of its own, and every export made since taken back.
#[test]
fn the_firewall_is_pinned() {
    assert_eq!(SFT_NEVER, [Category::Rejected, Category::NeedsHumanReview]);
}

#[test]
fn no_flag_lets_anything_through_the_firewall() {
    for include_partial in [false, true] {
        for category in Category::ALL {
            let admitted = admit(category, include_partial).is_ok();
            let expected = match category {
                Category::Accepted => true,
                Category::PartiallyAccepted => include_partial,
                Category::Rejected | Category::NeedsHumanReview => false,
            };
            assert_eq!(admitted, expected, "{category:?}, --include-partial {include_partial}");
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the callers write it in place")]
fn record(source: Source, row: Value) -> EvidenceRecord {
    transform_line(source, &row.to_string(), &Context { line_offset: 0, part: 0, recorded_at: None }).unwrap()
}

fn analysis(verdict: &str) -> EvidenceRecord {
    let row = json!({"run_id": "r", "permit_id": "P-1", "ts": "2026-04-21T09:15:00Z", "analysis": " Two risks. ",
        "observer_verdict": verdict, "matrix_corpora": ["permits"], "source_files": ["a.md"]});
    record(Source::ContractAnalyses, row)
}

fn run(record: &EvidenceRecord) -> ScoredRun {
    ScoredRun::of(record, "data/evidence/2026/04/21/contract_analyses.jsonl", 0)
}

#[test]
fn an_accepted_run_becomes_a_row_that_leads_back() {
    let record = analysis("accept");
    let row = examine(&run(&record), &record, false).unwrap();
    assert_eq!(row.instruction, "Analyse permit P-1: the work, the parties, the risks, and what to check.");
    assert_eq!(row.input, "files: a.md\nmatrix_corpora: [\"permits\"]");
    assert_eq!(row.output, "Two risks.");
    assert_eq!(row.provenance.run_id, "r");
    let json = json!(row);
    let mut members: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["category", "input", "instruction", "output", "provenance", "quality_score"]);
    assert_eq!(json["provenance"]["source_file"], "data/_kb/contract_analyses.jsonl");
    assert_eq!(json["provenance"]["line_offset"], 0);
}

#[test]
fn a_rejected_run_that_is_stored_as_accepted_stays_out() {
    for verdict in ["reject", "needs_review"] {
        let record = analysis(verdict);
        let mut forged = run(&record);
        forged.category = Category::Accepted;
        for include_partial in [false, true] {
            let stop = examine(&forged, &record, include_partial).unwrap_err();
            assert!(matches!(stop, Stop::Never(_)), "{stop:?}");
        }
    }
    let record = analysis("accept");
    let mut forged = run(&record);
    forged.category = Category::Rejected;
    assert_eq!(examine(&forged, &record, true), Err(Stop::Never(Category::Rejected)));
    let record = analysis("cycle");
    let mut forged = run(&record);
    forged.category = Category::Accepted;
    assert_eq!(examine(&forged, &record, false), Err(Stop::Partial));
    assert!(matches!(examine(&forged, &record, true), Err(Stop::Stale { .. })));
}

#[test]
fn what_teaches_nothing_stays_out() {
    let fact = json!({"text": "a fact", "created_at": "2026-04-21T09:15:00Z", "human_override": "accept"});
    let fact = record(Source::DistilledFacts, fact);
    assert_eq!(examine(&run(&fact), &fact, true), Err(Stop::RoleWithoutAnswers(Role::Extractor)));
    let silent =
        record(Source::Outcomes, json!({"created_at": "2026-04-21T09:15:00Z", "events_ok": 1, "events_total": 1}));
    assert_eq!(examine(&run(&silent), &silent, true), Err(Stop::Empty));
    let record = analysis("accept");
    let mut other = run(&record);
    other.provenance.sig_hash = "0".repeat(64);
    assert!(matches!(examine(&other, &record, true), Err(Stop::Unsourced(_))));
}

#[test]
fn the_quarantine_carries_reasons_and_no_text() {
    let record = analysis("reject");
    let stop = examine(&run(&record), &record, false).unwrap_err();
    let row = json!(Quarantined::of(&run(&record), &stop));
    assert_eq!(row["reason"], "firewall_rejected");
    assert_eq!(row["provenance"]["run_id"], "r");
    assert!(!row.to_string().contains("Two risks"), "{row}");
}

#[test]
fn equal_lessons_are_told_by_all_three_parts() {
    let record = analysis("accept");
    let row = examine(&run(&record), &record, false).unwrap();
    let mut other = row.clone();
    assert_eq!(row.content_hash(), other.content_hash());
    other.instruction.push_str(&other.input);
    other.input.clear();
    assert_ne!(row.content_hash(), other.content_hash());
}
