//! Any text as the options of a file: what was read is written as options that mean the same, and options that
//! mean the same have one fingerprint.
//!
//! Each line is `name=value`.
//! `scripts/soak/fuzz 60 ingest`

#![no_main]

use lakehouse_ingest::{Error, Options, parse_types};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut options = Options::default();
    let (mut last_types, mut is_refused) = (None, false);
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        match options.set(name, value) {
            Ok(()) if name == "types" => last_types = Some(value),
            Ok(()) => assert!(Options::NAMES.contains(&name)),
            Err(Error::Invalid(why)) => {
                assert!(!why.is_empty());
                is_refused = true;
            }
            Err(other) => panic!("{other}"),
        }
    }
    let canonical = options.canonical();
    assert!(canonical.ends_with('\n') && canonical.lines().count() == 1, "{canonical:?}");
    let Some(types) = last_types else { return };
    let types = parse_types(types).expect("it was read just now");
    // In quotes a name may hold anything.
    let written: Vec<String> = types
        .iter()
        .map(|ty| format!("\"{}\" : {}", ty.column.replace('"', "\"\""), ty.column_type.to_string().to_lowercase()))
        .collect();
    let written = written.join(" , ");
    assert_eq!(parse_types(&written).expect("its own words"), types, "{written}");
    if !is_refused {
        let mut again = options.clone();
        again.set("types", &written).expect("its own words");
        assert_eq!(again.canonical(), canonical);
    }
});
