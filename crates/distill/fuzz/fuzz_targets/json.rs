//! Any text as JSON: taken where `serde_json` takes it, or where it would with null for what is no number, read as the same, and one canonical form however
//! it is written.
//! `scripts/soak/fuzz 60 distill`.

#![no_main]

use lakehouse_distill::{json::Json, sig_hash};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The same with every string spelled in escapes and white space between all parts.
fn spell(json: &Json<'_>, out: &mut String) {
    let string = |text: &str, out: &mut String| {
        let escapes = text.encode_utf16().map(|unit| format!("\\u{unit:04X}"));
        out.push_str(&format!("\"{}\"", escapes.collect::<String>()));
    };
    match json {
        Json::String(text) => string(text, out),
        Json::Array(items) => {
            out.push_str("[ ");
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "\t," } else { "" });
                spell(item, out);
            }
            out.push_str("\r\n]");
        }
        Json::Object(object) => {
            out.push_str("{ ");
            for (i, (key, value)) in object.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                string(key, out);
                out.push_str(" : ");
                spell(value, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
    out.push(' ');
}

/// Whether it holds one of the words that Python has for no number: that is no JSON.
fn has_not_finite(json: &Json<'_>) -> bool {
    match json {
        Json::NotFinite(_) => true,
        Json::Array(items) => items.iter().any(has_not_finite),
        Json::Object(object) => object.iter().any(|(_, value)| has_not_finite(value)),
        _ => false,
    }
}

/// Without doubles, whose last bits `serde_json` may miss.
fn has_double(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_double),
        Value::Object(members) => members.values().any(has_double),
        _ => false,
    }
}

fuzz_target!(|text: &str| {
    let json = match Json::parse(text) {
        Ok(json) => json,
        Err(error) => {
            assert!(error.at <= text.len(), "{error}");
            let is_limit = error.why.contains("too deep") || error.why.contains("too many");
            // Ignored: that takes numbers of any size and half surrogate pairs, as this does.
            assert!(is_limit || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(), "{error}: {text:?}");
            return;
        }
    };
    let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text);
    assert_eq!(theirs.is_ok(), !has_not_finite(&json), "{text:?}");
    if let Some(theirs) = serde_json::from_str::<Value>(text).ok().filter(|value| !has_double(value)) {
        assert_eq!(json.to_value(), theirs);
    }

    let written = json.to_string();
    let again = Json::parse(&written).expect("its own form");
    assert_eq!((&again, again.to_string().as_str()), (&json, written.as_str()));
    let mut canonical = Vec::new();
    let differs = json.write_canonical(&mut canonical);
    assert_eq!(differs, canonical != written.as_bytes());
    let canonical = String::from_utf8(canonical).expect("text");
    let again = Json::parse(&canonical).expect("its own form");
    assert_eq!(sig_hash(&again), sig_hash(&json), "{canonical}");
    let mut spelled = String::new();
    spell(&json, &mut spelled);
    let other = Json::parse(&spelled).expect("the same in other words");
    assert_eq!(sig_hash(&other), sig_hash(&json), "{spelled}");
});
