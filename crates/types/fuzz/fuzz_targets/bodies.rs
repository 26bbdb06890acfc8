//! Any JSON as the body of a call: what is read from it is written as JSON that reads as the same.
//! `scripts/soak/fuzz 60 types`.

#![no_main]

use std::collections::BTreeMap;

use lakehouse_types::{
    Problem,
    catalog::{ListResponse, Manifest, RegisterRequest},
    embed::{EmbedRequest, EmbeddingsInput, EmbeddingsRequest},
    ingest::IngestResponse,
    query::{SqlRequest, SqlResponse},
    store::ListPage,
    vector::{
        AddRequest, CreateIndexRequest, DeleteRequest, Filter, IndexList, MergeRequest, SearchRequest, SearchResponse,
    },
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

fn round_trip<T: Serialize + DeserializeOwned>(text: &str) {
    let Ok(body) = serde_json::from_str::<T>(text) else { return };
    let written = serde_json::to_value(&body).expect("it came from JSON");
    let again: T = serde_json::from_str(&written.to_string()).expect("it was written just now");
    let rewritten = serde_json::to_value(&again).expect("it came from JSON");
    assert!(same(&written, &rewritten), "{written} and {rewritten}");
}

/// Equal but for the last bits of a double, which `serde_json` may miss.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let (a, b): (BTreeMap<_, _>, BTreeMap<_, _>) = (a.iter().collect(), b.iter().collect());
            a.len() == b.len() && a.iter().zip(&b).all(|((k, a), (l, b))| k == l && same(a, b))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= a.abs() * 1e-12 + f64::MIN_POSITIVE
        }
        (a, b) => a == b,
    }
}

/// The documented reading of OpenAI's `input`.
fn plain_input(value: &Value) -> Option<EmbeddingsInput> {
    let text = |item: &Value| item.as_str().map(str::to_owned);
    let is_tokens = |item: &Value| item.is_u64() || item.as_array().is_some_and(|list| list.iter().all(Value::is_u64));
    match value {
        Value::String(one) => Some(EmbeddingsInput::Texts(vec![one.clone()])),
        Value::Array(items) if !items.is_empty() && items.iter().all(is_tokens) => Some(EmbeddingsInput::Tokens),
        Value::Array(items) => items.iter().map(text).collect::<Option<_>>().map(EmbeddingsInput::Texts),
        _ => None,
    }
}

fuzz_target!(|text: &str| {
    round_trip::<CreateIndexRequest>(text);
    round_trip::<DeleteRequest>(text);
    round_trip::<EmbedRequest>(text);
    round_trip::<Filter>(text);
    round_trip::<IndexList>(text);
    round_trip::<IngestResponse>(text);
    round_trip::<ListPage>(text);
    round_trip::<ListResponse>(text);
    round_trip::<Manifest>(text);
    round_trip::<MergeRequest>(text);
    round_trip::<Problem>(text);
    round_trip::<RegisterRequest>(text);
    round_trip::<SqlRequest>(text);
    round_trip::<SqlResponse>(text);

    // Their numbers are single: 1e39 reads as one that JSON can't write. Vectors are checked where they are used.
    let _ = serde_json::from_str::<AddRequest>(text);
    let _ = serde_json::from_str::<SearchRequest>(text);
    let _ = serde_json::from_str::<SearchResponse>(text);

    if let Ok(request) = serde_json::from_str::<EmbeddingsRequest>(text) {
        let whole: Value = serde_json::from_str(text).expect("it was read just now");
        // A struct may be written as the list of its members too.
        let input = whole.get("input").or_else(|| whole.get(0)).expect("its input");
        assert_eq!(Some(request.input), plain_input(input), "{text}");
    }
});
