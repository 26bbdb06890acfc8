//! Any bytes as a file of lines, however they arrive: the lines that a plain split gives.
//! `scripts/soak/fuzz 60 distill`.

#![no_main]

use std::io::BufReader;

use lakehouse_distill::{
    Skip,
    files::{Line, LineReader, Row},
    json::Json,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((capacity, file)) = data.split_first() else { return };
    let mut lines = LineReader::new(BufReader::with_capacity(usize::from(*capacity).max(1), file));
    for (number, plain) in (0..).zip(file.split_inclusive(|byte| *byte == b'\n')) {
        let is_whole = plain.ends_with(b"\n");
        let bytes = plain.strip_suffix(b"\n").unwrap_or(plain);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let line = lines.next_line().expect("memory").expect("one more line");
        assert_eq!(line, Line { number, bytes, is_whole, is_too_long: false });
        assert_eq!(line.is_blank(), bytes.iter().all(u8::is_ascii_whitespace));
        match line.json() {
            Ok(_) => assert!(!line.is_blank()),
            Err(Skip::NotUtf8 { at }) => assert!(std::str::from_utf8(&bytes[..at]).is_ok()),
            Err(Skip::NotJson(_)) => assert!(is_whole),
            Err(Skip::HalfWritten(_)) => assert!(!is_whole),
            Err(other) => panic!("{other}"),
        }
        // The rows on it stand in their order, and the only one is the line.
        let rows: Vec<Row<'_>> = line.rows().collect();
        assert!(rows.iter().zip(0..).all(|(row, part)| row.part == part));
        assert!(rows.iter().map(|row| row.bytes.len()).sum::<usize>() <= bytes.len());
        let (last, before) = rows.split_last().expect("one at least");
        assert!(before.iter().all(|row| matches!(row.json, Ok(Json::Object(_)))));
        if before.is_empty() {
            assert_eq!((&last.json, last.bytes), (&line.json(), bytes));
        }
    }
    assert_eq!(lines.next_line().expect("memory"), None);
    assert!(lines.into_inner().into_inner().is_empty());
});
