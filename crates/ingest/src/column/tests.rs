use proptest::prelude::*;

use super::*;
use crate::{
    csv::{Block, Dialect, Spaces, Tokenizer},
    value::Marks,
};

/// No comma, so that one may stand in a number.
const DIALECT: Dialect =
    Dialect { delimiter: b';', quote: Some(b'"'), escape: None, spaces: Spaces::Kept, comment: None };

/// Builds one column from the lines of `text`.
fn build(target: Target, text: &str) -> (Option<Column>, KindSet) {
    build_in(&Notation::default(), target, text)
}

fn build_in(notation: &Notation, target: Target, text: &str) -> (Option<Column>, KindSet) {
    let mut block = Block::default();
    let mut tokenizer = Tokenizer::new(text.as_bytes(), DIALECT, 1, true, 1 << 20);
    tokenizer.fill(&mut block, 0, text.len(), |at, flaw| panic!("{flaw:?} at {at}"));
    let mut builder = ColumnBuilder::new(target);
    let (data, quoting) = (text.as_bytes(), DIALECT.quoting());
    builder.append(Cells { data, spans: &block.spans, column: 0, columns: 1, quoting, notation });
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

#[test]
fn numbers_with_other_marks_fill_the_same_columns() {
    let german = Notation::new(Some(Marks { decimal: b',', thousands: Some(b'.') }), None);
    let (column, seen) =
        build_in(&german, inferred(ColumnType::BigInt), "1.200\n7\nNA\n -1.234.567\n9.007.199.254.740.993\n");
    let Some(Column { values: Values::Int64(values), .. }) = column else { panic!("it fits") };
    assert_eq!(values, [1200, 7, -1_234_567, 9_007_199_254_740_993]);
    assert_eq!(seen, kinds(&[KindSet::INTEGER, KindSet::INTEGER_WIDE]));
    let (column, seen) = build_in(&german, inferred(ColumnType::Double), "1.200\n1.234,5\n 0,25\nNaN\n");
    let Some(Column { values: Values::Double(values), .. }) = column else { panic!("it fits") };
    assert_eq!(values[..3], [1200.0, 1234.5, 0.25]);
    assert!(values[3].is_nan());
    assert_eq!(seen, kinds(&[KindSet::INTEGER, KindSet::FLOAT, KindSet::WORD]));
    assert!(build_in(&german, inferred(ColumnType::Double), "1,5\n1.5\n").0.is_none(), "a point is no decimal mark");
    let money = Target { ty: ColumnType::Decimal { precision: 9, scale: 2 }, declared: true, known: KindSet::EMPTY };
    let (column, _) = build_in(&german, money, "1.234,5\n-0,05\n");
    let Some(Column { values: Values::Int128(values), .. }) = column else { panic!("it fits") };
    assert_eq!(values, [123_450, -5]);
}

#[test]
fn words_for_null_are_null_even_where_they_are_values() {
    let words = Notation::new(None, Some(&["-".to_owned(), "-999".to_owned(), "1900-01-01".to_owned()]));
    for (ty, text) in [
        (ColumnType::BigInt, "1\n-999\n-\n\"-999\"\n"),
        (ColumnType::Double, "1.5\n -999 \n-\n-999\n"),
        (ColumnType::HUGE_INTEGER, "9223372036854775809\n-999\n\"\"\n-\n"),
        (ColumnType::Date, "2020-01-01\n1900-01-01\n-\n \n"),
    ] {
        let (column, seen) = build_in(&words, inferred(ty), text);
        let Some(Column { nulls, .. }) = column else { panic!("{text:?} fits {ty}") };
        assert_eq!((nulls.rows, nulls.nulls), (4, 3), "{text:?}");
        assert_eq!(seen.resolve(), ty);
    }
    // In a text column only where they stand alone and unquoted; the usual words are none.
    let (column, _) = build_in(&words, inferred(ColumnType::Varchar), "x\n-\n\"-\"\n -\nNA\n");
    let Some(Column { nulls, values: Values::Text(texts) }) = column else { panic!("text always fits") };
    let texts: Vec<&[u8]> = (0..texts.len()).map(|i| texts.get(i)).collect();
    assert_eq!((texts, nulls.nulls), (vec![&b"x"[..], b"-", b" -", b"NA"], 1));
}

#[test]
fn a_double_that_may_be_grouped_is_told() {
    let seen = |text| build(inferred(ColumnType::Double), text).1;
    assert_eq!(seen("1.5\n1.25\n0.125\n1234.567\n"), KindSet::FLOAT);
    assert_eq!(seen("1.5\n1.200\n"), KindSet::FLOAT.union(KindSet::GROUPED), "the fast way");
    assert_eq!(seen("1.5\n 1.200\n"), KindSet::FLOAT.union(KindSet::GROUPED), "the slow way");
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

    /// Whatever type a column was begun with, the kinds that come out resolve to the same type, and
    /// say the same about the file's other columns.
    #[test]
    fn kinds_do_not_depend_on_the_guess(notation in notations(), cells in proptest::collection::vec(
        prop_oneof!["[0-9]{1,20}", "-?[0-9]{0,3}[.,][0-9]{0,3}", "-?[0-9]{1,3}[.,][0-9]{3}([.,][0-9]{1,3})?",
            Just("NA".to_owned()), Just("-".to_owned()), Just("7".to_owned()), Just("1e5".to_owned()), Just("nan".to_owned()),
            Just("2020-01-01".to_owned()), Just("2020-01-01T00:00:00".to_owned()), Just("12:30".to_owned()),
            Just("true".to_owned()), "[a-z]{1,3}"], 1..6)) {
        let text: String = cells.iter().map(|cell| format!("{cell}\n")).collect();
        let expected = kinds(&cells.iter().map(|cell| notation.classify(cell.as_bytes())).collect::<Vec<_>>());
        for ty in [ColumnType::Boolean, ColumnType::BigInt, ColumnType::HUGE_INTEGER, ColumnType::Double, ColumnType::Date,
            ColumnType::Time, ColumnType::Timestamp, ColumnType::TimestampTz, ColumnType::Varchar] {
            let (column, seen) = build_in(&notation, inferred(ty), &text);
            prop_assert_eq!(seen.resolve(), expected.resolve(), "begun as {}", ty);
            prop_assert_eq!(seen.is_decided_text(), expected.is_decided_text(), "begun as {}", ty);
            if !expected.is_decided_text() {
                for kind in [KindSet::COMMA, KindSet::GROUPED] {
                    prop_assert_eq!(seen.contains(kind), expected.contains(kind), "begun as {}", ty);
                }
                prop_assert_eq!(seen.is_number_like(), expected.is_number_like(), "begun as {}", ty);
            }
            prop_assert!(column.is_some() || ty != expected.resolve(), "{} fits", ty);
        }
    }
}

fn notations() -> impl Strategy<Value = Notation> {
    let marks = |decimal, thousands| Notation::new(Some(Marks { decimal, thousands }), None);
    proptest::sample::select(vec![
        Notation::default(),
        Notation::new(None, Some(&["-".to_owned(), "7".to_owned()])),
        marks(b'.', None),
        marks(b',', None),
        marks(b',', Some(b'.')),
        marks(b'.', Some(b',')),
    ])
}
