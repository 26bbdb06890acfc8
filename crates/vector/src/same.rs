//! When two items are the same: what a merge may take out of its source.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Values within each other that are looked into; deeper ones are the same only where their texts are.
const MAX_DEPTH: usize = 128;
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

pub(crate) fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()))
}

/// Are both absent, or the same as JSON? White space, escapes and the order of members don't count.
/// Numbers are the same only where they are written alike: whoever wrote `1.0`, or more digits than a
/// double holds, gets them back, and a merge must not lose that.
pub(crate) fn same_metadata(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b, 0),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn same(a: &str, b: &str, depth: usize) -> bool {
    let (a, b) = (a.trim_matches(WHITE_SPACE), b.trim_matches(WHITE_SPACE));
    a == b || (depth < MAX_DEPTH && same_parts(a, b, depth + 1).unwrap_or(false))
}

/// `None` where one of the two can't be taken apart, such as half a surrogate pair.
fn same_parts(a: &str, b: &str, depth: usize) -> Option<bool> {
    let both = |first| a.starts_with(first) && b.starts_with(first);
    if both('{') {
        let (a, b) = (members(a)?, members(b)?);
        Some(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && same(a.1.get(), b.1.get(), depth)))
    } else if both('[') {
        let elements = |text| serde_json::from_str::<Vec<&RawValue>>(text).ok();
        let (a, b) = (elements(a)?, elements(b)?);
        Some(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a.get(), b.get(), depth)))
    } else if both('"') {
        let text = |text| serde_json::from_str::<String>(text).ok();
        Some(text(a)? == text(b)?)
    } else {
        Some(false)
    }
}

type Member<'a> = (String, &'a RawValue);

/// An object's members, sorted; those of one name stay in their order.
fn members(text: &str) -> Option<Vec<Member<'_>>> {
    let mut members = serde_json::Deserializer::from_str(text).deserialize_map(Members).ok()?;
    members.sort_by(|a, b| a.0.cmp(&b.0));
    Some(members)
}

/// Reads an object without losing members that have one name.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_json_is_recognised_however_it_is_written() {
        let yes = [
            (r#"{"a":1,"b":[true,null]}"#, " { \"b\": [true, null], \"a\": 1 }\n"),
            (r#""é""#, r#""\u00e9""#),
            (r#"{"é":{}}"#, r#"{"\u00e9":{ }}"#),
            ("[ ]", "[]"),
            (r#""\ud800""#, r#""\ud800""#),
            ("null", "null "),
        ];
        let no = [
            ("1", "1.0"),
            ("0.1", "0.10"),
            ("9007199254740993", "9007199254740992"),
            ("[1,2]", "[2,1]"),
            ("[1]", "[1,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#""1""#, "1"),
            ("{}", "[]"),
            ("null", "false"),
            (r#""\ud800""#, r#""\uD800""#),
        ];
        for (a, b) in yes {
            assert!(same_metadata(Some(a), Some(b)), "{a} {b}");
        }
        for (a, b) in no {
            assert!(!same_metadata(Some(a), Some(b)), "{a} {b}");
        }
        assert!(same_metadata(None, None) && !same_metadata(None, Some("null")) && !same_metadata(Some("{}"), None));
        let deep = |white: &str| format!("{}{white}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!same_metadata(Some(&deep("")), Some(&deep(" "))), "and it ends");
    }
}
