//! Any text as an object's key, and as one segment of a URL: the rules are the documented ones, and
//! what was escaped comes back, also after a library for URLs has had it.
//! `scripts/soak/fuzz 60 types`.

#![no_main]

use lakehouse_types::{ObjectKey, escape_segment, unescape_segment};
use libfuzzer_sys::fuzz_target;
use url::Url;

/// The documented rules, word by word.
fn is_key(text: &str) -> bool {
    (1..=1024).contains(&text.len())
        && text.split('/').all(|segment| !segment.is_empty() && segment != "." && segment != "..")
        && !text.chars().any(char::is_control)
}

fuzz_target!(|text: &str| {
    let escaped = escape_segment(text);
    assert!(escaped.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte)), "{escaped}");
    assert_eq!(unescape_segment(&escaped).as_deref(), Some(text));
    let _ = unescape_segment(text);

    let key = ObjectKey::new(text);
    assert_eq!(key.is_ok(), is_key(text), "{text:?}");
    let Ok(key) = key else { return };
    let path = key.to_url_path();
    let segments: Option<Vec<String>> = path.split('/').map(unescape_segment).collect();
    assert_eq!(segments.expect("UTF-8").join("/"), text);
    // No library may find anything in it to tidy up: it would ask for another object.
    let url = Url::parse(&format!("http://store/objects/{path}")).expect("a URL");
    assert_eq!(url.path(), format!("/objects/{path}"));
    let json = serde_json::to_string(&key).expect("a string");
    assert_eq!(serde_json::from_str::<ObjectKey>(&json).expect("the same key"), key);
});
