use super::*;
use crate::{Context, source::Source, transform_line};

fn memory(row: &serde_json::Value) -> Memory {
    let context = Context { line_offset: 0, part: 0, recorded_at: None };
    let record = transform_line(Source::ModeExperiments, &row.to_string(), &context).unwrap();
    Memory::of(&record).unwrap()
}

/// A row whose every part is `part`, many times over.
fn huge(part: &str) -> serde_json::Value {
    let long = part.repeat(5_000);
    serde_json::json!({
        "ts": "2026-04-24T10:00:00Z",
        "run_id": "\"".repeat(256),
        "task_id": "\\".repeat(256),
        "response": format!("a{long}"),
        "failure_markers": vec![format!("m{long}"); 50],
        "source_files": vec![format!("src/{long}"); 50],
    })
}

#[test]
fn whatever_a_row_holds_fits_into_an_index() {
    /// What vectord takes as an item's metadata.
    const MOST: usize = 64 << 10;
    for part in ["a", "\"", "\n", "\u{1}x", "\u{1b}\u{1f600}", "\u{e9}", "\u{7f}\u{b}\u{85}y"] {
        let json = serde_json::to_string(&memory(&huge(part))).unwrap();
        assert!(json.len() <= MOST, "{part:?}: {} bytes", json.len());
    }
}

#[test]
fn long_items_are_cut_at_characters_and_short_ones_left_alone() {
    let cut = memory(&huge("\u{1f600}"));
    assert_eq!((cut.reasons.len(), cut.source_files.len()), (20, 20));
    assert_eq!(cut.reasons[0], format!("failure_marker:m{}", "\u{1f600}".repeat(284)));
    assert_eq!(cut.source_files[19], format!("src/{}", "\u{1f600}".repeat(296)));
    assert_eq!(cut.text.chars().count(), 2_000);
    let whole = memory(&serde_json::json!({
        "ts": "2026-04-24T10:00:00Z",
        "response": "One.\n\tTwo.\u{0}",
        "success_markers": ["ok"],
        "source_files": ["src/a.rs"],
    }));
    assert_eq!((&whole.text[..], &whole.reasons[..]), ("One.\n\tTwo.", &["success_marker:ok".to_owned()][..]));
    assert_eq!(whole.source_files, ["src/a.rs"]);
}
