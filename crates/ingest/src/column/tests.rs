use proptest::prelude::*;

use super::*;
use crate::{
    csv::{Block, Dialect, Tokenizer},
    value::classify,
};

const COMMA: Dialect = Dialect { delimiter: b',', quote: Some(b'"'), newline: b'\n' };

/// Builds one column from the lines of `text`.
fn build(target: Target, text: &str) -> (Option<Column>, KindSet) {
    let mut block = Block::default();
    let mut tokenizer = Tokenizer::new(text.as_bytes(), COMMA, 1, true, 1 << 20);
    tokenizer.fill(&mut block, 0, text.len(), |at, flaw| panic!("{flaw:?} at {at}"));
    let mut builder = ColumnBuilder::new(target);
    builder.append(Cells { data: text.as_bytes(), spans: &block.spans, column: 0, columns: 1, quote: b'"' });
    builder.finish()
}

fn inferred(ty: ColumnType) -> Target {
    Target { ty, declared: false, known: KindSet::EMPTY }
}

fn kinds(all: &[KindSet]) -> KindSet {
    all.iter().fold(KindSet::EMPTY, |set, kind| set.union(*kind))
}

#[test]
fn a_column_that_fits_is_built_and_its_kinds_are_told() {
    let (column, seen) = build(inferred(ColumnType::Double), "1\nNA\n2.5\n\"\"\nNaN\n");
    let Some(Column { nulls, values: Values::Double(values) }) = column else { panic!("it fits") };
    assert_eq!((nulls.rows, nulls.nulls), (5, 2));
    assert_eq!(nulls.valid_word(0) & 0b11111, 0b10101);
    assert_eq!(values[..2], [1.0, 2.5]);
    assert!(values[2].is_nan());
    assert_eq!(seen, kinds(&[KindSet::INTEGER, KindSet::FLOAT, KindSet::WORD]));
}

#[test]
fn a_column_that_does_not_fit_is_only_looked_at() {
    let (column, seen) = build(inferred(ColumnType::BigInt), "1\n2\n3.5\n2020-01-01\n");
    assert!(column.is_none());
    assert!(seen.contains(kinds(&[KindSet::INTEGER, KindSet::FLOAT])), "what decides is seen: {seen:?}");
    assert_eq!(seen.resolve(), ColumnType::Varchar);
}

#[test]
fn wide_integers_are_told_from_those_a_double_holds() {
    let seen = |text| build(inferred(ColumnType::BigInt), text).1;
    assert!(!seen("1\n9007199254740992\n").contains(KindSet::INTEGER_WIDE));
    assert!(seen("1\n9007199254740993\n").contains(KindSet::INTEGER_WIDE));
}

#[test]
fn text_keeps_what_stands_in_quotes() {
    let (column, seen) = build(inferred(ColumnType::Varchar), "x\n\"NA\"\nNA\n\"\"\n \n\"a\"\"b\"\n\"\"\"\"\n");
    let Some(Column { nulls, values: Values::Text(texts) }) = column else { panic!("text always fits") };
    let texts: Vec<&[u8]> = (0..texts.len()).map(|i| texts.get(i)).collect();
    assert_eq!(texts, [&b"x"[..], b"NA", b"", b" ", b"a\"b", b"\""]);
    assert_eq!((nulls.rows, nulls.nulls), (7, 1));
    assert!(seen.is_decided_text());
}

#[test]
fn numbers_in_a_text_column_do_not_pass_for_text() {
    // The guess was wrong: the column is one of integers, and that must come to light.
    let (column, seen) = build(inferred(ColumnType::Varchar), "1\n2\n");
    assert!(column.is_some());
    assert_eq!(seen.resolve(), ColumnType::BigInt);
}

#[test]
fn a_date_among_timestamps_is_its_midnight() {
    let (column, seen) = build(inferred(ColumnType::Timestamp), "1970-01-02\n1970-01-01T00:00:01\n");
    let Some(Column { values: Values::Int64(values), .. }) = column else { panic!("it fits") };
    assert_eq!(values, [86_400_000_000, 1_000_000]);
    assert_eq!(seen, kinds(&[KindSet::DATE, KindSet::TIMESTAMP]));
}

proptest! {
    #[test]
    fn validity_is_what_was_pushed(valid in proptest::collection::vec(any::<bool>(), 0..300), from in 0_usize..300, len in 0_usize..300) {
        let mut nulls = Nulls::default();
        for valid in &valid {
            if *valid { nulls.push_valid() } else { nulls.push_null() }
        }
        let from = from.min(valid.len());
        let to = (from + len).min(valid.len());
        prop_assert_eq!(nulls.valid_between(from, to), valid[from..to].iter().filter(|valid| **valid).count());
        for (row, valid) in valid.iter().enumerate().take(to).skip(from) {
            prop_assert_eq!(nulls.valid_word(row) & 1 == 1, *valid);
        }
    }

    /// Whatever type a column was begun with, the kinds that come out resolve to the same type.
    #[test]
    fn kinds_do_not_depend_on_the_guess(cells in proptest::collection::vec(
        prop_oneof!["[0-9]{1,20}", "-?[0-9]{0,3}\\.[0-9]{0,3}", Just("NA".to_owned()), Just("2020-01-01".to_owned()),
            Just("2020-01-01T00:00:00".to_owned()), Just("12:30".to_owned()), Just("true".to_owned()), "[a-z]{1,3}"], 1..6)) {
        let text: String = cells.iter().map(|cell| format!("{cell}\n")).collect();
        let expected = kinds(&cells.iter().map(|cell| classify(cell.as_bytes())).collect::<Vec<_>>()).resolve();
        for ty in [ColumnType::Boolean, ColumnType::BigInt, ColumnType::HUGE_INTEGER, ColumnType::Double, ColumnType::Date,
            ColumnType::Time, ColumnType::Timestamp, ColumnType::TimestampTz, ColumnType::Varchar] {
            let (column, seen) = build(inferred(ty), &text);
            prop_assert_eq!(seen.resolve(), expected, "begun as {}", ty);
            prop_assert!(column.is_some() || ty != expected, "{} fits", ty);
        }
    }
}
