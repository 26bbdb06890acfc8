//! Any bytes as the end of a stored file, and any damage to a real one: the report that stands in its footer, or
//! none.
//!
//! After an odd first byte each three are an edit of a real file: where, two bytes, and what.
//! `scripts/soak/fuzz 60 ingest`

#![no_main]

use std::{
    cell::OnceCell,
    io::{Read as _, Seek as _, Write as _},
    num::NonZero,
};

use lakehouse_ingest::{Cancel, Limits, Options, Report, convert};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static FILE: OnceCell<Vec<u8>> = const { OnceCell::new() };
}

/// With names that had to change, so that its report says something.
fn file() -> Vec<u8> {
    let mut input = tempfile::tempfile().expect("a temporary file");
    input.write_all(b"a,a,\n1,x,\n").expect("a written file");
    let mut output = tempfile::tempfile().expect("a temporary file");
    let limits = Limits::with_threads(NonZero::<usize>::MIN);
    convert(input, &output, "", &Options::default(), &limits, &Cancel::new(false)).expect("a table");
    let mut bytes = Vec::new();
    output.rewind().expect("its beginning");
    output.read_to_end(&mut bytes).expect("its bytes");
    assert!(Report::check_end(&bytes).is_some_and(|report| !report.renamed_columns.is_empty()));
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let mut bytes = data.to_vec();
    if choice & 1 != 0 {
        bytes = FILE.with(|kept| kept.get_or_init(file).clone());
        for [high, low, byte] in data.as_chunks::<3>().0 {
            let place = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
            bytes[place] = *byte;
        }
    } else if choice & 2 != 0 {
        // So that the fuzzer gets past the last eight bytes.
        bytes.extend_from_slice(&u32::try_from(data.len()).expect("a short input").to_le_bytes());
        bytes.extend_from_slice(b"PAR1");
    }
    let Some(report) = Report::check_end(&bytes) else { return };
    let written = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<Report>(&written).expect("its own words"), report);
});
