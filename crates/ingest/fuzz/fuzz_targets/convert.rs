//! Any bytes, with any options: a table or a refusal, never a panic and never an internal error.
//! `scripts/soak/fuzz 60 ingest`

#![no_main]

use std::{io::Write as _, num::NonZero};

use lakehouse_ingest::{Cancel, Error, Limits, Options, convert};
use libfuzzer_sys::fuzz_target;

/// The first two bytes choose the options, the rest is the file.
fn options(choice: u16) -> Options {
    let mut options = Options::default();
    let mut set = |bit: u16, name: &str, value: &str| {
        if choice & (1 << bit) != 0 {
            options.set(name, value).expect("a valid option");
        }
    };
    set(0, "header", "false");
    set(1, "header", "true");
    set(2, "on_error", "skip");
    set(3, "delimiter", ";");
    set(4, "quote", "none");
    set(5, "quote", "'");
    set(6, "escape", "\\");
    set(7, "comment", "#");
    set(8, "skip_lines", "1");
    set(9, "trim", "true");
    set(10, "trim", "false");
    set(11, "decimal", ",");
    set(12, "thousands", "'");
    set(13, "null", "-,NA");
    options
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first_chunk() else { return };
    let mut input = tempfile::tempfile().expect("a temporary file");
    input.write_all(bytes).expect("a written file");
    let output = tempfile::tempfile().expect("a temporary file");
    let limits = Limits::with_threads(NonZero::new(2).expect("two"));
    if let Err(Error::Internal { action, source }) =
        convert(input, &output, "", &options(u16::from_le_bytes(*choice)), &limits, &Cancel::new(false))
    {
        panic!("{action}: {source}");
    }
});
