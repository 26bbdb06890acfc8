//! Any text as the name of a dataset or index: the rules are the documented ones, names that differ in
//! case only are one name, and each fits an object's key.
//! `scripts/soak/fuzz 60 types`.

#![no_main]

use lakehouse_types::{Name, ObjectKey, escape_segment};
use libfuzzer_sys::fuzz_target;

/// The documented rules, word by word.
fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.contains('/')
        && !text.chars().any(char::is_control)
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && text != "."
        && text != ".."
}

fuzz_target!(|text: &str| {
    let name = Name::new(text);
    assert_eq!(name.is_ok(), is_name(text), "{text:?}");
    let Ok(name) = name else { return };
    assert_eq!(name.as_str(), text);
    let json = serde_json::to_string(&name).expect("a string");
    assert_eq!(serde_json::from_str::<Name>(&json).expect("the same name"), name);

    let folded = name.folded();
    for variant in [text.to_lowercase(), text.to_uppercase(), folded.clone()] {
        // In another case it may be too long to be a name.
        let Ok(variant) = Name::new(variant) else { continue };
        assert_eq!(variant.folded(), folded, "{variant:?} and {text:?}");
    }

    // As ingestd and vectord put it into keys.
    let escaped = escape_segment(text);
    for key in [format!("datasets/{escaped}/{}.parquet", "f".repeat(64)), format!("_vectors/{escaped}.lhv1")] {
        assert!(ObjectKey::new(key).is_ok(), "{text:?}");
    }
});
