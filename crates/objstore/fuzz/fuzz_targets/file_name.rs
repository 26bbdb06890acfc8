//! Any bytes as the name of a file in the store's directory, where anyone may have put it: foreign, or
//! the one spelling that a key has.
//! `scripts/soak/fuzz 60 objstore`.

#![no_main]

use lakehouse_objstore::check_name;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, name)) = data.split_first() else { return };
    let (is_directory, in_full) = (choice & 1 != 0, choice & 2 != 0);
    let Some((adds, again)) = check_name(name, is_directory, in_full) else { return };
    assert_eq!(again.as_bytes(), name);
    // What it adds is a part of one segment, with the slash before or behind it that is due.
    let segment = if in_full { adds.strip_prefix(b"/").unwrap_or(&adds) } else { &adds };
    let segment = if is_directory { segment.strip_suffix(b"/").unwrap_or(segment) } else { segment };
    assert!(!segment.is_empty() && !segment.contains(&b'/'), "{adds:?}");
    // Whether it goes on from a full chunk is said by the name, so no two names add the same.
    let goes_on = name.starts_with(b"=");
    assert_eq!(adds.starts_with(b"/"), in_full && !goes_on, "{adds:?}");
    assert!(in_full || !goes_on);
});
