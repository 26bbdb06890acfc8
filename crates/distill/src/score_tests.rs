use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Context, source::Source, transform_line};

#[expect(clippy::needless_pass_by_value, reason = "the callers write it in place")]
fn record(members: Value) -> EvidenceRecord {
    let mut row = json!({"ts": "2026-04-21T09:15:00Z", "response": "text"});
    row.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    transform_line(Source::ModeExperiments, &row.to_string(), &Context { line_offset: 0, part: 0, recorded_at: None })
        .unwrap()
}

fn category(members: Value) -> (Category, String) {
    let score = score(&record(members));
    (score.category, score.reasons.join(", "))
}

#[test]
fn what_decides_and_what_wins_over_what() {
    use Category::{Accepted, NeedsHumanReview, PartiallyAccepted, Rejected};
    for (members, expected, reason) in [
        (json!({}), NeedsHumanReview, "nothing_decisive:no_marker_and_no_verdict"),
        (json!({"observer_verdict": "accept"}), Accepted, "observer_verdict:accept"),
        (json!({"success_markers": ["ok"]}), Accepted, "success_marker:ok"),
        (json!({"observer_verdict": "reject"}), Rejected, "observer_verdict:reject"),
        (json!({"failure_markers": ["red"]}), Rejected, "failure_marker:red"),
        (json!({"observer_verdict": "cycle"}), PartiallyAccepted, "observer_verdict:cycle"),
        (json!({"observer_verdict": "needs_review"}), NeedsHumanReview, "observer_verdict:needs_review"),
        (json!({"success_markers": ["accepted_on_attempt_1"]}), Accepted, "success_marker:accepted_on_attempt_1"),
        (json!({"success_markers": ["accepted_on_attempt_2"]}), PartiallyAccepted, "accepted_late:attempt_2"),
        // What stops a run wins over what lets it pass.
        (
            json!({"failure_markers": ["red"], "success_markers": ["ok"], "observer_verdict": "accept"}),
            Rejected,
            "failure_marker:red",
        ),
        (
            json!({"observer_verdict": "needs_review", "success_markers": ["ok"]}),
            NeedsHumanReview,
            "observer_verdict:needs_review",
        ),
        (
            json!({"observer_verdict": "accept", "success_markers": ["accepted_on_attempt_3"]}),
            PartiallyAccepted,
            "accepted_late:attempt_3",
        ),
        // A decision in unknown words may have been a rejection.
        (
            json!({"observer_verdict": "meh", "success_markers": ["ok"]}),
            NeedsHumanReview,
            "unreadable:observer_verdict",
        ),
        (json!({"human_override": 1, "success_markers": ["ok"]}), NeedsHumanReview, "unreadable:human_override"),
        // A person wins over all of it; one who can't be understood is asked again.
        (json!({"human_override": "accept", "failure_markers": ["red"]}), Accepted, "human_override:accept"),
        (
            json!({"human_override": {"decision": "reject"}, "observer_verdict": "accept"}),
            Rejected,
            "human_override:reject",
        ),
        (json!({"human_override": "later", "observer_verdict": "accept"}), NeedsHumanReview, "human_override:later"),
        (
            json!({"human_override": {"by": "me"}, "observer_verdict": "accept"}),
            NeedsHumanReview,
            "human_override:unclear",
        ),
    ] {
        assert_eq!(category(members.clone()), (expected, reason.to_owned()), "{members}");
    }
}

#[test]
fn quality_is_a_mean_weighted_by_role() {
    let members = json!({"observer_verdict": "accept", "observer_confidence": 60, "success_markers": ["ok"]});
    let executor = record(members);
    let mut applier = executor.clone();
    applier.model_role = Some(Role::Applier);
    // verdict 1, confidence .6, markers 1, text 1, grounding 0
    assert_eq!(score(&executor).quality, to_four_digits((3.0 + 0.6 + 3.0 + 1.0) / 9.0));
    assert_eq!(score(&applier).quality, to_four_digits((2.0 + 0.6 + 5.0) / 9.0));
    assert_eq!(score(&executor).sub_scores["confidence"], 0.6);
}

#[test]
fn a_scored_run_is_pinned() {
    let run = ScoredRun::of(
        &record(json!({"run_id": "r1", "task_class": "t", "observer_verdict": "accept"})),
        "data/evidence/2026/04/21/mode_experiments.jsonl",
        4,
    );
    let hash = &run.provenance.sig_hash;
    let expected = format!(
        r#"{{"schema":"scored_run.v1","scorer":"lakehouse-scorer/1","run_id":"r1","task_id":"t","timestamp":"2026-04-21T09:15:00Z","model_role":"executor","category":"accepted","reasons":["observer_verdict:accept"],"sub_scores":{{"grounding":0.0,"text":1.0,"verdict":1.0}},"quality_score":0.8,"provenance":{{"evidence_file":"data/evidence/2026/04/21/mode_experiments.jsonl","evidence_line":4,"source_file":"data/_kb/mode_experiments.jsonl","line_offset":0,"sig_hash":"{hash}"}}}}"#
    );
    assert_eq!(serde_json::to_string(&run).unwrap(), expected);
}

proptest! {
    #[test]
    fn every_score_is_within_its_bounds_and_repeatable(
        verdict in prop::option::of(prop::sample::select(vec!["accept", "reject", "cycle", "needs_review"])),
        confidence in prop::option::of(0.0..=100.0_f64),
        good in prop::collection::vec("[a-z]{1,4}|accepted_on_attempt_[0-9]", 0..3),
        bad in prop::collection::vec("[a-z]{1,4}", 0..3),
        role in prop::sample::select(Role::ALL.to_vec()),
    ) {
        let mut record = record(json!({}));
        record.observer_verdict = verdict.and_then(Verdict::from_word);
        record.observer_confidence = confidence;
        record.success_markers = good;
        record.failure_markers = bad;
        record.model_role = Some(role);
        let first = score(&record);
        prop_assert!((0.0..=1.0).contains(&first.quality));
        prop_assert!(first.sub_scores.values().all(|s| (0.0..=1.0).contains(s)));
        prop_assert!(!first.reasons.is_empty());
        prop_assert_eq!(&score(&record), &first);
        if !record.failure_markers.is_empty() {
            prop_assert_eq!(first.category, Category::Rejected);
        }
    }
}
