//! Any key as a path of files: short plain names that lead back to that key and to no other.
//! `scripts/soak/fuzz 60 objstore`.

#![no_main]

use std::path::Component;

use lakehouse_objstore::{Local, check_name};
use lakehouse_types::ObjectKey;
use libfuzzer_sys::fuzz_target;

/// eCryptfs allows no longer ones.
const MAX_NAME: usize = 143;

/// The bytes that a name's `%xx` stand for; it is known to be well-formed.
fn decode(name: &str) -> Vec<u8> {
    let mut rest = name.as_bytes();
    let mut raw = Vec::new();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (digits, after) = after.split_at(2);
            let digits = std::str::from_utf8(digits).expect("two digits");
            raw.push(u8::from_str_radix(digits, 16).expect("two digits"));
            rest = after;
        } else {
            raw.push(*first);
        }
    }
    raw
}

fuzz_target!(|text: &str| {
    let Ok(key) = ObjectKey::new(text) else { return };
    let path = Local::relative_path(&key);
    let mut names: Vec<&str> = path
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str().expect("plain letters"),
            other => panic!("{other:?} in {path:?}"),
        })
        .collect();
    assert_eq!(names.remove(0), "objects");

    // By the description in the module's text, and name by name as a listing reads it.
    let (mut plain, mut listed, mut in_full) = (Vec::new(), Vec::new(), false);
    for (place, name) in names.iter().enumerate() {
        let is_directory = place + 1 < names.len();
        assert!((1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.'), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.%+=".contains(&b)), "{name}");
        assert_eq!(name.ends_with('+'), is_directory, "{name}");
        let body = name.trim_end_matches('+');
        if place > 0 && !body.starts_with('=') {
            plain.push(b'/');
        }
        plain.extend(decode(body.trim_start_matches('=')));

        let (adds, again) = check_name(name.as_bytes(), is_directory, in_full).expect("a name of its own");
        assert_eq!(again, *name);
        in_full = is_directory && !adds.ends_with(b"/");
        listed.extend(adds);
    }
    assert_eq!(plain, text.as_bytes(), "{path:?}");
    assert_eq!(listed, text.as_bytes(), "{path:?}");
});
