//! Any filter on any metadata: a plain reading of the whole object agrees, the opposite filter says the
//! opposite, and what one member holds is no matter for a filter on another.
//!
//! The filter stands on the first line, the metadata on the rest.
#![no_main]

use std::{cmp::Ordering, collections::BTreeMap};

use lakehouse_types::vector::{Bounds, Filter};
use lakehouse_vector::check_filter;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, value::RawValue};

/// As its documentation has it, on an object that was read as a whole.
fn plain(filter: &Filter, object: &Map<String, Value>) -> bool {
    match filter {
        Filter::Eq(fields) => fields.iter().all(|(field, value)| some(object, field, |found| equal(found, value))),
        Filter::In(fields) => fields
            .iter()
            .all(|(field, values)| some(object, field, |found| values.iter().any(|value| equal(found, value)))),
        Filter::Range(fields) => {
            fields.iter().all(|(field, bounds)| some(object, field, |found| within(found, bounds)))
        }
        Filter::Exists(field) => some(object, field, |_| true) && value_of(object, field) != Some(&Value::Null),
        Filter::And(all) => all.iter().all(|filter| plain(filter, object)),
        Filter::Or(all) => all.iter().any(|filter| plain(filter, object)),
        Filter::Not(filter) => !plain(filter, object),
    }
}

/// A key, or, where there is none, the way that its dots lead.
fn value_of<'v>(object: &'v Map<String, Value>, field: &str) -> Option<&'v Value> {
    match (object.get(field), field.split_once('.')) {
        (Some(value), _) => Some(value),
        (None, Some((first, rest))) => value_of(object.get(first)?.as_object()?, rest),
        (None, None) => None,
    }
}

fn some(object: &Map<String, Value>, field: &str, test: impl Fn(&Value) -> bool) -> bool {
    let Some(value) = value_of(object, field) else { return false };
    let mut candidates = vec![value];
    candidates.extend(value.as_array().into_iter().flatten());
    candidates.into_iter().any(test)
}

/// Whole numbers exactly, others as doubles.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |value: &Value| value.as_u64().map(i128::from).or(value.as_i64().map(i128::from));
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Number(_), Value::Number(_)) => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        _ => None,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => order(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

fn within(value: &Value, bounds: &Bounds) -> bool {
    let tests: [(&Option<Value>, fn(Ordering) -> bool); 4] = [
        (&bounds.gt, Ordering::is_gt),
        (&bounds.gte, Ordering::is_ge),
        (&bounds.lt, Ordering::is_lt),
        (&bounds.lte, Ordering::is_le),
    ];
    tests.into_iter().all(|(bound, test)| bound.as_ref().is_none_or(|bound| order(value, bound).is_some_and(test)))
}

fuzz_target!(|text: &str| {
    let (filter, metadata) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(filter) = serde_json::from_str::<Filter>(filter) else { return };
    let Some(without) = check_filter(&filter, None) else { return };
    assert_eq!(without, plain(&filter, &Map::new()), "{filter:?}");

    // What an add takes: any JSON object, also one with numbers and texts that Rust has no type for.
    let metadata = metadata.trim();
    let is_taken = metadata.starts_with('{') && serde_json::from_str::<&RawValue>(metadata).is_ok();
    let found = check_filter(&filter, Some(metadata)).expect("it is not refused");
    if let Some(opposite) = check_filter(&Filter::Not(Box::new(filter.clone())), Some(metadata)) {
        assert_eq!(opposite, !found, "{filter:?} {metadata}");
    }
    if !is_taken {
        return;
    }
    if let Ok(object) = serde_json::from_str::<Map<String, Value>>(metadata) {
        assert_eq!(found, plain(&filter, &object), "{filter:?} {metadata}");
    }
    // The last of equal keys counts, so this one is the field's value whatever else is there.
    let marked = format!("{},\"\\u0000mark\":1}}", metadata.strip_suffix('}').unwrap_or(metadata).trim_end());
    let marked = marked.replacen("{,", "{", 1);
    let mark = Filter::Eq(BTreeMap::from([("\0mark".to_owned(), Value::from(1))]));
    assert_eq!(check_filter(&mark, Some(&marked)), Some(true), "{marked}");
});
