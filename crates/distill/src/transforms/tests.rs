use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn context() -> Context {
    Context { line_offset: 5, part: 0, recorded_at: None }
}

#[expect(clippy::needless_pass_by_value, reason = "the callers write it in place")]
fn read(source: Source, row: Value) -> Result<EvidenceRecord, String> {
    transform_line(source, &row.to_string(), &context()).map_err(|skip| skip.to_string())
}

#[test]
fn a_run_keeps_its_id_and_a_row_without_one_is_named_by_its_hash() {
    let named = read(Source::Outcomes, json!({"run_id": "r-1", "ts": 1776762900, "elapsed_secs": 1})).unwrap();
    assert_eq!(named.run_id, "r-1");
    let row = json!({"ts": 1776762900, "elapsed_secs": 1});
    let unnamed = read(Source::Outcomes, row.clone()).unwrap();
    assert_eq!(unnamed.run_id, format!("outcomes:{}", &unnamed.provenance.sig_hash[..16]));
    // Not by its line: the same row further down has the same id.
    let further = Context { line_offset: 99, part: 0, recorded_at: None };
    let again = transform_line(Source::Outcomes, &row.to_string(), &further).unwrap();
    assert_eq!((again.run_id, again.provenance.line_offset), (unnamed.run_id, 99));
}

#[test]
fn recorded_at_is_the_rows_own_time_unless_it_is_given() {
    let row = json!({"created_at": "2026-04-21T09:15:00Z", "elapsed_secs": 1});
    let own = read(Source::Outcomes, row.clone()).unwrap();
    assert_eq!(own.provenance.recorded_at, own.timestamp);
    let given: Instant = "2026-05-01T00:00:00Z".parse().unwrap();
    let context = Context { line_offset: 0, part: 0, recorded_at: Some(given) };
    let record = transform_line(Source::Outcomes, &row.to_string(), &context).unwrap();
    assert_eq!((record.provenance.recorded_at, record.timestamp), (given, own.timestamp));
}

#[test]
fn the_first_time_that_can_be_read_wins() {
    let record =
        read(Source::ScrumReviews, json!({"reviewed_at": "soon", "ts": "2026-04-21", "suggestions_preview": "x"}));
    assert_eq!(record.unwrap().timestamp.to_string(), "2026-04-21T00:00:00Z");
    let none = read(Source::ScrumReviews, json!({"reviewed_at": "soon", "suggestions_preview": "x"}));
    assert_eq!(none.unwrap_err(), "reviewed_at is not a point in time: \"soon\"");
    let nothing = read(Source::ScrumReviews, json!({"reviewed_at": null, "suggestions_preview": "x"}));
    assert_eq!(nothing.unwrap_err(), "no timestamp");
}

#[test]
fn a_time_of_one_source_is_a_time_in_all() {
    for source in Source::ALL {
        for field in Source::ALL.into_iter().flat_map(|source| spec(source).time).chain(&ANY_TIME) {
            let row = json!({"text": "x", "action": "committed", "latency_ms": 1, *field: "2026-04-21T09:15:00Z"});
            let record = read(source, row).unwrap_or_else(|why| panic!("{field} of {}: {why}", source.name()));
            assert_eq!(record.timestamp.to_string(), "2026-04-21T09:15:00Z");
        }
    }
    // A source's own come first.
    let row = json!({"text": "x", "created_at": "2026-04-21", "audited_at": "2026-04-22", "overall": "approve"});
    assert_eq!(read(Source::Audits, row.clone()).unwrap().timestamp.to_string(), "2026-04-22T00:00:00Z");
    assert_eq!(read(Source::DistilledFacts, row).unwrap().timestamp.to_string(), "2026-04-21T00:00:00Z");
}

#[test]
fn a_row_with_nothing_in_it_is_not_evidence() {
    let skip = read(Source::ContractAnalyses, json!({"permit_id": null, "ts": "2026-04-21", "ok": "perhaps"}));
    assert_eq!(skip.unwrap_err(), "nothing in it: no text, verdict, marker, count or measurement");
    assert_eq!(read(Source::Outcomes, json!([1])).unwrap_err(), "not a JSON object");
}

#[test]
fn members_of_the_wrong_type_are_named_not_swallowed() {
    let row =
        json!({"ts": "2026-04-21", "response": "x", "latency_ms": "soon", "prompt_tokens": -1, "cost": {}, "mode": 7});
    let record = read(Source::ModeExperiments, row).unwrap();
    assert_eq!(record.metadata["unreadable_fields"], json!(["cost", "latency_ms", "prompt_tokens"]));
    assert_eq!(record.metadata["mode"], 7);
}

#[test]
fn ids_of_hostile_length_or_content_are_replaced() {
    for id in ["x".repeat(300), "a\u{0}b".to_owned(), "a\nb".to_owned()] {
        let row = json!({"run_id": id, "ts": "2026-04-21", "elapsed_secs": 1});
        let record = read(Source::Outcomes, row).unwrap();
        assert!(record.run_id.starts_with("outcomes:"), "{}", record.run_id);
        assert_eq!(record.metadata["unreadable_fields"], json!(["run_id"]));
    }
}

#[test]
fn a_row_at_the_limits_is_refused_where_its_record_could_not_be_read_again() {
    let read = |row: &str| transform_line(Source::Outcomes, row, &context());
    let nested = |levels| format!("{{\"ts\":1776762900,\"gap_signals\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let long = |values| format!("{{\"ts\":1776762900,\"gap_signals\":[{}0]}}", "0,".repeat(values));
    for fits in [nested(126), long(248_000)] {
        let record = read(&fits).unwrap();
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(EvidenceRecord::from_line(&line), Ok(record));
    }
    for over in [nested(127), long(249_990)] {
        assert!(Json::parse(&over).is_ok());
        assert!(matches!(read(&over), Err(Skip::Invalid(_))));
    }
}

/// The members that any transform looks at, and values that none of them expects.
fn any_row() -> impl Strategy<Value = Value> {
    let keys = vec![
        "run_id",
        "task_id",
        "ts",
        "created_at",
        "reviewed_at",
        "timestamp",
        "text",
        "analysis",
        "response",
        "permit_id",
        "ok",
        "cost",
        "duration_ms",
        "latency_ms",
        "usage",
        "file",
        "accepted_on_attempt",
        "accepted_model",
        "suggestions_preview",
        "sig_hash",
        "pr_number",
        "head_sha",
        "facts",
        "entities",
        "relationships",
        "action",
        "verdict",
        "confidence",
        "notes",
        "source_task",
        "overall",
        "findings",
        "elapsed_secs",
        "events_ok",
        "events_total",
        "gap_signals",
        "extractor",
        "model",
        "human_override",
        "observer_verdict",
        "observer_conf",
        "observer_notes",
        "matrix_corpora",
        "model_role",
        "mode",
        "success_markers",
        "failure_markers",
        "validation_results",
        "metadata",
        "\u{e9}t\u{e9}",
    ];
    let text = prop_oneof![
        Just("2026-04-21T09:15:00+02:00".to_owned()),
        Just("accept".to_owned()),
        Just("committed".to_owned()),
        "[0-9]{1,20}",
        "\\PC{0,12}",
        "[\u{0}-\u{1f}]{1,3}",
    ];
    let leaf = prop_oneof![
        2 => text.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => (1_000_000_000_u64..2_000_000_000).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let keys_inside = keys.clone();
    let value = leaf.prop_recursive(2, 12, 4, move |inner| {
        let keys = prop::sample::select(keys_inside.clone()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    });
    let keys = prop::sample::select(keys).prop_map(str::to_owned);
    prop::collection::btree_map(keys, value, 0..14).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_row_becomes_a_valid_record_or_a_skip_with_a_reason(row in any_row(), source in prop::sample::select(Source::ALL.to_vec())) {
        match transform_line(source, &row.to_string(), &context()) {
            Err(skip) => prop_assert!(!skip.to_string().is_empty()),
            Ok(record) => {
                prop_assert_eq!(record.violations(), None);
                prop_assert_eq!(&record.provenance.source_file, &source.file());
                let line = serde_json::to_string(&record).unwrap();
                let no_null = !line.contains(":null") || line.contains("\"metadata\"") || line.contains("_context") || line.contains("_results") || line.contains("human_override");
                prop_assert!(no_null, "{}", line);
                prop_assert_eq!(EvidenceRecord::from_line(&line).unwrap(), record);
            }
        }
    }

    #[test]
    fn the_same_row_is_the_same_record_whatever_the_order_of_its_keys(row in any_row(), source in prop::sample::select(Source::ALL.to_vec())) {
        let members: Vec<String> = row.as_object().unwrap().iter().rev().map(|(k, v)| format!("{} : {v}", json!(k))).collect();
        let backwards = format!("{{ {} }}", members.join(" , "));
        let (one, other) = (transform_line(source, &row.to_string(), &context()), transform_line(source, &backwards, &context()));
        if let (Ok(one), Ok(other)) = (&one, &other) {
            prop_assert_eq!(one.timestamp.day(), other.timestamp.day());
        }
        prop_assert_eq!(one, other);
    }

    #[test]
    fn no_line_makes_it_panic(line in "\\PC{0,60}", source in prop::sample::select(Source::ALL.to_vec())) {
        let _ = transform_line(source, &line, &context());
    }
}
