//! One rule for the members of every request body: null is as good as absent, and a wrong word is
//! answered with the allowed ones.
#![expect(clippy::expect_used, reason = "an expectation that fails is a test that fails")]

use std::fmt::Debug;

use lakehouse_types::{
    catalog::RegisterRequest,
    embed::{EmbedRequest, EmbeddingsRequest},
    query::SqlRequest,
    vector::{AddRequest, CreateIndexRequest, DeleteRequest, MergeRequest, SearchRequest},
};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A type of request, by an example that has every member.
struct Request {
    name: &'static str,
    example: Value,
    /// What a body reads as, in Rust's own words.
    read: fn(&Value) -> Result<String, String>,
}

fn request<T: DeserializeOwned + Debug>(name: &'static str, example: Value) -> Request {
    // From text, as services read it: some types are read from text alone.
    let read = |body: &Value| match serde_json::from_str::<T>(&body.to_string()) {
        Ok(request) => Ok(format!("{request:?}")),
        Err(error) => Err(error.to_string()),
    };
    Request { name, example, read }
}

fn requests() -> Vec<Request> {
    let object = json!({"key": "datasets/a/b.parquet", "size": 1, "rows": 1, "fingerprint": "ab", "sha256": "cd"});
    let range = json!({"gt": 1, "gte": 1, "lt": 2, "lte": 2});
    vec![
        request::<CreateIndexRequest>(
            "create an index",
            json!({"name": "a", "dimension": 2, "distance": "l2", "m": 8, "ef_construction": 90, "ef_search": 20}),
        ),
        request::<AddRequest>("add", json!({"items": [{"id": "a", "vector": [1.0], "metadata": {"b": 1}}]})),
        request::<SearchRequest>(
            "search",
            json!({
                "vector": [1.0], "text": "a", "k": 1, "ef": 20, "filter": {"range": {"a": range}},
                "with_vectors": true, "exact": true
            }),
        ),
        request::<DeleteRequest>("delete", json!({"ids": ["a"]})),
        request::<MergeRequest>("merge", json!({"dest": "a", "clear_source": true})),
        request::<EmbedRequest>("embed", json!({"texts": ["a"], "model": "hash"})),
        request::<EmbeddingsRequest>(
            "embeddings",
            json!({"input": ["a"], "model": "hash", "encoding_format": "base64", "dimensions": 3, "user": "u"}),
        ),
        request::<RegisterRequest>(
            "register",
            json!({
                "name": "a", "schema_fingerprint": "ab", "schema": [{"name": "c", "type": "BIGINT"}],
                "objects": [object], "mode": "append"
            }),
        ),
        request::<SqlRequest>("sql", json!({"sql": "SELECT 1"})),
    ]
}

/// Where each member of each object in `value` is, as JSON pointers.
fn members(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let at = format!("{at}/{name}");
                members(value, &at, found);
                found.push(at);
            }
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, value)| members(value, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

fn without(body: &Value, pointer: &str) -> Value {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').expect("a member");
    let parent = body.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    parent.remove(name);
    body
}

fn with_null(body: &Value, pointer: &str) -> Value {
    let mut body = body.clone();
    *body.pointer_mut(pointer).expect("a member") = Value::Null;
    body
}

#[test]
fn the_examples_have_every_member() {
    for request in requests() {
        let shown = (request.read)(&request.example).expect(request.name);
        assert!(!shown.contains("None"), "{}: {shown}", request.name);
        let words = shown.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        for name in words.filter_map(|word| word.strip_suffix(':')).filter(|name| !["", "sql_type"].contains(name)) {
            assert!(request.example.to_string().contains(&format!("\"{name}\":")), "{}: no `{name}`", request.name);
        }
    }
}

proptest! {
    #[test]
    fn null_is_the_same_as_absent(which in 0_usize..9, chosen in proptest::collection::vec(any::<bool>(), 24)) {
        let request = &requests()[which];
        let mut all = Vec::new();
        members(&request.example, "", &mut all);
        let (mut absent, mut null) = (request.example.clone(), request.example.clone());
        for (pointer, _) in all.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
            // Fields of metadata and filters are data, where null is a value of its own.
            let is_data = pointer.starts_with("/items/0/metadata/") || pointer.starts_with("/filter/");
            if !is_data && absent.pointer(pointer).is_some() {
                (absent, null) = (without(&absent, pointer), with_null(&null, pointer));
            }
        }
        let (absent_read, null_read) = ((request.read)(&absent), (request.read)(&null));
        prop_assert_eq!(absent_read.ok(), null_read.ok(), "{}: {} and {}", request.name, absent, null);
    }
}

#[test]
fn a_wrong_word_is_answered_with_the_allowed_ones() {
    let cases = [
        (0, "distance", &["cosine", "l2", "dot"][..]),
        (6, "encoding_format", &["float", "base64"]),
        (7, "mode", &["replace", "append"]),
    ];
    for (which, member, words) in cases {
        let request = &requests()[which];
        for wrong in [json!("Hamming"), json!(5), json!(true), json!(["l2"])] {
            let mut body = request.example.clone();
            body[member] = wrong.clone();
            let error = (request.read)(&body).expect_err("a wrong word");
            assert!(words.iter().all(|word| error.contains(&format!("`{word}`"))), "{member} = {wrong}: {error}");
        }
    }
}
