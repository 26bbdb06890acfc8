use std::borrow::Cow;

use serde::Deserialize as _;
use serde_json::Value;

/// The deepest nesting of arrays and objects that is read. DuckDB's own limit of 1,000 levels of
/// expression makes about two each; the walk needs some hundred bytes of stack for a level.
const MAX_NESTING: usize = 4_096;

/// Numbers that are no JSON.
const BARE: [&str; 2] = ["Infinity", "NaN"];

#[derive(Debug)]
pub(super) enum Error {
    TooDeep,
    Invalid(serde_json::Error),
}

/// Reads what `json_serialize_sql` writes, which is JSON but for one thing: a constant such as
/// `1e400` stands there as a bare `Infinity`. The value of a constant decides nothing, so it is
/// read as null.
pub(super) fn parse(text: &str) -> Result<Value, Error> {
    let text = clean(text)?;
    let mut reader = serde_json::Deserializer::from_str(&text);
    // `clean` has counted the levels.
    reader.disable_recursion_limit();
    let value = Value::deserialize(&mut reader).map_err(Error::Invalid)?;
    reader.end().map_err(Error::Invalid)?;
    Ok(value)
}

fn clean(text: &str) -> Result<Cow<'_, str>, Error> {
    let mut nesting = 0_usize;
    let mut bare: Vec<std::ops::Range<usize>> = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            b'[' | b'{' => {
                nesting += 1;
                if nesting > MAX_NESTING {
                    return Err(Error::TooDeep);
                }
            }
            b']' | b'}' => nesting = nesting.saturating_sub(1),
            b'I' | b'N' => {
                if let Some(word) = BARE.iter().find(|word| bytes[at..].starts_with(word.as_bytes())) {
                    let from = if at > 0 && bytes[at - 1] == b'-' { at - 1 } else { at };
                    bare.push(from..at + word.len());
                    at += word.len();
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if bare.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut done = 0;
    for range in bare {
        // Every boundary is that of an ASCII character outside of a string.
        cleaned.push_str(text.get(done..range.start).unwrap_or_default());
        cleaned.push_str("null");
        done = range.end;
    }
    cleaned.push_str(text.get(done..).unwrap_or_default());
    Ok(Cow::Owned(cleaned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_infinity_and_nan_are_null_outside_of_strings_only() {
        let value = parse(r#"[Infinity,-Infinity,NaN,-NaN,1,"Infinity \" NaN\\",{"I":Infinity}]"#).unwrap();
        assert_eq!(value.to_string(), r#"[null,null,null,null,1,"Infinity \" NaN\\",{"I":null}]"#);
    }

    #[test]
    fn nesting_is_bounded_and_broken_text_is_an_error() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&deep(MAX_NESTING)).is_ok());
        assert!(matches!(parse(&deep(MAX_NESTING + 1)), Err(Error::TooDeep)));
        for broken in ["", "[", "\"", "\"\\", "{\"a\":}", "[1] 2", "N", "-I", "é"] {
            assert!(matches!(parse(broken), Err(Error::Invalid(_))), "{broken:?}");
        }
    }
}
