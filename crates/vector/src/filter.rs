//! Filters over metadata, evaluated on their JSON text.

use std::{cmp::Ordering, fmt};

use lakehouse_types::vector::{Bounds, Filter};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Conditions in one filter, at most: what bounds the work that one request can ask for.
const MAX_CONDITIONS: usize = 1_000;
/// `and`, `or` and `not` within each other, at most.
const MAX_DEPTH: usize = 32;

/// A filter that was checked, ready for many items.
#[derive(Debug, Clone)]
pub(crate) struct Matcher<'a> {
    filter: &'a Filter,
    /// The keys of the metadata object that the filter can need, sorted.
    keys: Vec<&'a str>,
}

impl<'a> Matcher<'a> {
    /// # Errors
    /// [`Error::Invalid`] where the filter makes no sense or is too large.
    pub(crate) fn new(filter: &'a Filter) -> Result<Self> {
        let mut matcher = Self { filter, keys: Vec::new() };
        let mut conditions = 0;
        matcher.check(filter, 0, &mut conditions)?;
        matcher.keys.sort_unstable();
        matcher.keys.dedup();
        Ok(matcher)
    }

    fn check(&mut self, filter: &'a Filter, depth: usize, conditions: &mut usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::invalid(format!("the filter is nested deeper than {MAX_DEPTH} levels")));
        }
        match filter {
            Filter::Eq(fields) => fields.keys().for_each(|field| self.need(field, conditions)),
            Filter::In(fields) => {
                for (field, values) in fields {
                    self.need(field, conditions);
                    *conditions += values.len();
                }
            }
            Filter::Range(fields) => {
                for (field, bounds) in fields {
                    self.need(field, conditions);
                    check_bounds(field, bounds)?;
                }
            }
            Filter::Exists(field) => self.need(field, conditions),
            Filter::And(all) | Filter::Or(all) => {
                *conditions += 1;
                for filter in all {
                    self.check(filter, depth + 1, conditions)?;
                }
            }
            Filter::Not(filter) => {
                *conditions += 1;
                self.check(filter, depth + 1, conditions)?;
            }
        }
        if *conditions > MAX_CONDITIONS {
            return Err(Error::invalid(format!("the filter has more than {MAX_CONDITIONS} conditions")));
        }
        Ok(())
    }

    fn need(&mut self, field: &'a str, conditions: &mut usize) {
        *conditions += 1;
        self.keys.push(field);
        self.keys.extend(field.split_once('.').map(|(first, _)| first));
    }

    /// Does an item with these metadata match?
    pub(crate) fn matches(&self, metadata: Option<&str>) -> bool {
        let read = |text| Some(serde_json::Deserializer::from_str(text).deserialize_map(Wanted(&self.keys)));
        // Metadata were valid JSON when they were taken in; what is no object has no fields.
        let object = metadata.and_then(read).and_then(std::result::Result::ok).unwrap_or_default();
        holds(self.filter, &object)
    }
}

/// Does an item with these metadata match? `None` for a filter that is refused. For the fuzz target.
#[doc(hidden)]
#[must_use]
pub fn check_filter(filter: &Filter, metadata: Option<&str>) -> Option<bool> {
    Some(Matcher::new(filter).ok()?.matches(metadata))
}

fn check_bounds(field: &str, bounds: &Bounds) -> Result<()> {
    let given: Vec<&Value> = [&bounds.gt, &bounds.gte, &bounds.lt, &bounds.lte].into_iter().flatten().collect();
    let numbers = given.iter().all(|bound| bound.is_number());
    let strings = given.iter().all(|bound| bound.is_string());
    if given.is_empty() || !(numbers || strings) {
        return Err(Error::invalid(format!("the range of `{field}` needs bounds that are all numbers or all strings")));
    }
    Ok(())
}

fn holds(filter: &Filter, object: &Map<String, Value>) -> bool {
    match filter {
        Filter::Eq(fields) => fields.iter().all(|(field, value)| any(object, field, |found| equal(found, value))),
        Filter::In(fields) => fields
            .iter()
            .all(|(field, values)| any(object, field, |found| values.iter().any(|value| equal(found, value)))),
        Filter::Range(fields) => fields.iter().all(|(field, bounds)| any(object, field, |found| within(found, bounds))),
        Filter::Exists(field) => find(object, field).is_some_and(|found| !found.is_null()),
        Filter::And(all) => all.iter().all(|filter| holds(filter, object)),
        Filter::Or(all) => all.iter().any(|filter| holds(filter, object)),
        Filter::Not(filter) => !holds(filter, object),
    }
}

/// The value of a field: a key of that name, or else a key of its first part whose value has the rest.
fn find<'v>(object: &'v Map<String, Value>, field: &str) -> Option<&'v Value> {
    object.get(field).or_else(|| {
        let (first, rest) = field.split_once('.')?;
        find(object.get(first)?.as_object()?, rest)
    })
}

/// Does the test hold for the field's value, or for one of its elements?
fn any(object: &Map<String, Value>, field: &str, test: impl Fn(&Value) -> bool) -> bool {
    find(object, field)
        .is_some_and(|found| test(found) || found.as_array().is_some_and(|elements| elements.iter().any(&test)))
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => compare(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// The order of two numbers or two strings.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i128(), b.as_i128()) {
            // Beyond 2^53 a float would take neighbours for equals.
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        _ => None,
    }
}

fn within(value: &Value, bounds: &Bounds) -> bool {
    let holds = |bound: &Option<Value>, test: fn(Ordering) -> bool| {
        bound.as_ref().is_none_or(|bound| compare(value, bound).is_some_and(test))
    };
    holds(&bounds.gt, Ordering::is_gt)
        && holds(&bounds.gte, Ordering::is_ge)
        && holds(&bounds.lt, Ordering::is_lt)
        && holds(&bounds.lte, Ordering::is_le)
}

/// Reads an object's wanted keys and skips the others without building them.
struct Wanted<'a>(&'a [&'a str]);

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Map::new();
        while let Some(wanted) = map.next_key_seed(Key(self.0))? {
            match wanted {
                Some(key) => drop(found.insert(key.to_owned(), map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// Recognises a wanted key without copying it.
struct Key<'a>(&'a [&'a str]);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        // As bytes: half a surrogate pair is no text, and would hide all members of its object.
        deserializer.deserialize_bytes(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        let place = self.0.binary_search_by(|wanted| wanted.as_bytes().cmp(key));
        Ok(place.ok().and_then(|place| self.0.get(place).copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str = r#"{"lang":"en","year":1995,"big":9007199254740993,"tags":["a","b"],"author":{"name":"Ann","x.y":1},
        "a.b":true,"none":null,"half":0.5,"date":"2024-03-01"}"#;

    fn check(filter: &str, metadata: Option<&str>) -> bool {
        let filter: Filter = serde_json::from_str(filter).expect(filter);
        Matcher::new(&filter).expect("a sane filter").matches(metadata)
    }

    #[test]
    fn each_condition_holds_where_it_should_and_only_there() {
        let yes = [
            r#"{"eq":{"lang":"en"}}"#,
            r#"{"eq":{"lang":"en","year":1995.0}}"#,
            r#"{"eq":{"tags":"b"}}"#,
            r#"{"eq":{"tags":["a","b"]}}"#,
            r#"{"eq":{"author.name":"Ann"}}"#,
            r#"{"eq":{"author.x.y":1}}"#,
            r#"{"eq":{"a.b":true}}"#,
            r#"{"eq":{"big":9007199254740993}}"#,
            r#"{"in":{"lang":["de","en"],"half":[0.5]}}"#,
            r#"{"range":{"year":{"gte":1995,"lt":1996.5}}}"#,
            r#"{"range":{"date":{"gt":"2024-02-29","lte":"2024-03-01"}}}"#,
            r#"{"exists":"tags"}"#,
            r#"{"not":{"exists":"none"}}"#,
            r#"{"not":{"exists":"author.age"}}"#,
            r#"{"and":[]}"#,
            r#"{"or":[{"eq":{"lang":"de"}},{"and":[{"eq":{"lang":"en"}},{"exists":"year"}]}]}"#,
        ];
        let no = [
            r#"{"eq":{"lang":"EN"}}"#,
            r#"{"eq":{"lang":"en","year":1996}}"#,
            r#"{"eq":{"year":"1995"}}"#,
            r#"{"eq":{"big":9007199254740992}}"#,
            r#"{"eq":{"missing":null}}"#,
            r#"{"in":{"lang":[]}}"#,
            r#"{"range":{"year":{"gt":1995}}}"#,
            r#"{"range":{"lang":{"gt":1}}}"#,
            r#"{"range":{"tags":{"gt":"b"}}}"#,
            r#"{"exists":"none"}"#,
            r#"{"or":[]}"#,
            r#"{"not":{"eq":{"lang":"en"}}}"#,
        ];
        for filter in yes {
            assert!(check(filter, Some(ITEM)), "{filter} should hold");
        }
        for filter in no {
            assert!(!check(filter, Some(ITEM)), "{filter} should not hold");
        }
        assert!(check(r#"{"eq":{"none":null}}"#, Some(ITEM)));
        assert!(check(r#"{"eq":{"author":{"x.y":1.0,"name":"Ann"}}}"#, Some(ITEM)));
        assert!(!check(r#"{"eq":{"author":{"x.y":1}}}"#, Some(ITEM)));
        // Half a surrogate pair: JSON, but no text.
        assert!(check(r#"{"eq":{"lang":"en"}}"#, Some(r#"{"\ud83d":"\ud83d","lang":"en"}"#)));
        assert!(!check(r#"{"exists":"lang"}"#, None));
        assert!(check(r#"{"not":{"eq":{"lang":"en"}}}"#, None));
        for metadata in ["[]", r#"["lang",{"lang":"en"}]"#, r#""lang""#, "0", "-1.5e3", "true", "false", "null", "{}"] {
            for condition in [
                r#"{"eq":{"lang":"en"}}"#,
                r#"{"eq":{"lang":null}}"#,
                r#"{"eq":{"":0}}"#,
                r#"{"in":{"0":["lang"],"lang":["en"]}}"#,
                r#"{"range":{"lang":{"gte":""}}}"#,
                r#"{"exists":"lang"}"#,
                r#"{"exists":"0"}"#,
            ] {
                assert!(!check(condition, Some(metadata)), "{condition} of {metadata}");
                assert!(check(&format!(r#"{{"not":{condition}}}"#), Some(metadata)), "not {condition} of {metadata}");
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let deep =
            format!("{}{}{}", r#"{"not":"#.repeat(MAX_DEPTH + 2), r#"{"exists":"a"}"#, "}".repeat(MAX_DEPTH + 2));
        let wide = format!(r#"{{"in":{{"a":[{}0]}}}}"#, "0,".repeat(MAX_CONDITIONS));
        for bad in [
            r#"{"range":{"a":{}}}"#,
            r#"{"range":{"a":{"gt":1,"lt":"b"}}}"#,
            r#"{"range":{"a":{"gt":null}}}"#,
            &deep,
            &wide,
        ] {
            let filter: Filter = serde_json::from_str(bad).expect(bad);
            assert!(Matcher::new(&filter).is_err(), "{bad}");
        }
    }
}
