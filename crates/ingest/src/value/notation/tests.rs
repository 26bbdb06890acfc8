use proptest::prelude::*;

use super::*;

fn marks(decimal: char, thousands: &str) -> Notation {
    Notation::new(Some(Marks { decimal: decimal as u8, thousands: thousands.bytes().next() }), None)
}

fn words(words: &[&str]) -> Notation {
    Notation::new(None, Some(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()))
}

fn all(notation: &Notation, kind: KindSet, cells: &[&str]) {
    for cell in cells {
        assert_eq!(notation.classify(cell.as_bytes()), kind, "{cell:?} in {notation:?}");
    }
}

#[test]
fn a_decimal_comma_without_marks_between_thousands() {
    let comma = marks(',', "");
    all(&comma, KindSet::FLOAT, &["1,5", "-0,25", ",5", "5,", " 0,125 ", "1,5e-3", "1234567,0"]);
    all(&comma, KindSet::INTEGER, &["7", "-1", "1234567"]);
    all(&comma, KindSet::TEXT, &["1.200", "1.5", ".5", "1.234,5", "1,2,3", "00,5", "1,234,567", ",", "1,5,"]);
    all(&comma, KindSet::WORD, &["NaN", "-inf"]);
    all(&comma, KindSet::EXPONENT, &["7731e104"]);
    all(&comma, KindSet::DATE, &["2013-01-01"]);
    all(&comma, KindSet::TIMESTAMP, &["2013-01-01 06:00:00.5"]);
    all(&comma, KindSet::TIME, &["06:00:00.5"]);
}

#[test]
fn points_between_thousands() {
    let german = marks(',', ".");
    all(&german, KindSet::INTEGER, &["1.200", "-12.345", "1.234.567", "1200", "0"]);
    all(&german, KindSet::FLOAT, &["1.234,56", "1234,56", "0,5", "-1.000,0", "1,5E+3"]);
    all(&german, KindSet::INTEGER_WIDE, &["9.007.199.254.740.993"]);
    all(&german, KindSet::HUGE, &["10.000.000.000.000.000.000"]);
    all(
        &german,
        KindSet::TEXT,
        &[
            "0.123",
            "1.5",
            "1.20",
            "1.2345",
            "1234.567",
            "1..234",
            ".234",
            "1.234.",
            "1,234.5",
            "01.234",
            "1.234e5",
            "1.234,5e3",
        ],
    );
    assert_eq!(german.parse_declared(ColumnType::BigInt, b"-1.234.567"), Some(Value::Integer(-1_234_567)));
    assert_eq!(german.parse_declared(ColumnType::Double, b"+1.234,5"), Some(Value::Double(1234.5)));
    assert_eq!(german.parse_declared(ColumnType::Double, b"-Infinity"), Some(Value::Double(f64::NEG_INFINITY)));
    let money = ColumnType::Decimal { precision: 9, scale: 2 };
    assert_eq!(german.parse_declared(money, b" 1.234,50 "), Some(Value::Huge(123_450)));
    for ty in [ColumnType::BigInt, ColumnType::Double, money] {
        for none in ["1.5", "1,234.5", "0.123", "1.23,5", "+-1", "1 234", ""] {
            assert_eq!(german.parse_declared(ty, none.as_bytes()), None, "{none:?} as {ty}");
        }
    }
    assert_eq!(german.parse_declared(ColumnType::Boolean, b"1"), Some(Value::Boolean(true)));
    assert_eq!(german.parse_declared(ColumnType::Date, b"1970-01-02"), Some(Value::Days(1)));
}

#[test]
fn other_marks_between_thousands() {
    all(&marks('.', ","), KindSet::INTEGER, &["1,234", "-1,234,567", "1234"]);
    all(&marks('.', ","), KindSet::FLOAT, &["1,234.5", "0.5", "1234567.25"]);
    all(&marks('.', ","), KindSet::TEXT, &["1,5", "1,23,456", "1.234,5", "0,123"]);
    all(&marks(',', " "), KindSet::INTEGER, &["1 234", " 12 345 ", "12345"]);
    all(&marks(',', " "), KindSet::FLOAT, &["1 234,5"]);
    all(&marks(',', " "), KindSet::TEXT, &["1  234", "12 34", "- 1 234"]);
    all(&marks(',', " "), KindSet::TIMESTAMP, &["2013-01-01 06:00"]);
    all(&marks('.', "'"), KindSet::FLOAT, &["1'234.5"]);
    all(&marks('.', "_"), KindSet::INTEGER, &["1_000_000"]);
}

/// Said by the caller, a decimal point is one, and what else there is is text.
#[test]
fn only_a_guess_tells_decimal_commas_from_text() {
    all(&Notation::default(), KindSet::COMMA, &["1,5"]);
    all(&marks('.', ""), KindSet::TEXT, &["1,5", "1,234", "1.234.567"]);
    all(&marks('.', ""), KindSet::FLOAT.union(KindSet::GROUPED), &["1.200"]);
}

#[test]
fn words_for_null_take_the_place_of_the_usual_ones() {
    let words = words(&["-", "none", "-999", "n / a", " x"]);
    for null in ["", "  ", "-", " - ", "none", "-999", "n / a", " x"] {
        assert!(words.is_null(null.as_bytes()), "{null:?}");
        assert_eq!(words.classify(null.as_bytes()), KindSet::NULL, "{null:?}");
    }
    for other in ["NA", "null", "None", "-99", "x", "--"] {
        assert!(!words.is_null(other.as_bytes()), "{other:?}");
    }
    assert!(words.is_null_token(b"") && words.is_null_token(b"-") && !words.is_null_token(b" - "));
    let long = "w".repeat(200);
    let notation = Notation::new(None, Some(std::slice::from_ref(&long)));
    assert!(notation.is_null(long.as_bytes()) && !notation.is_null("w".repeat(150).as_bytes()));
    let none = Notation::new(None, Some(&[]));
    assert!(none.is_null(b" ") && !none.is_null(b"NA"));
}

#[test]
fn the_usual_words_are_the_default_ones() {
    let named = words(&Notation::USUAL_NULLS);
    for cell in ["", " ", "NA", "N/A", "null", "NULL", "Null", "na", "n/a", "NAN", "None", "nullx"] {
        assert_eq!(Notation::default().is_null(cell.as_bytes()), named.is_null(cell.as_bytes()), "{cell:?}");
    }
    assert!(Notation::USUAL_NULLS.is_sorted(), "as the words of the option are");
}

fn notations() -> impl Strategy<Value = Marks> {
    let thousands = proptest::sample::select(vec![None, Some(b','), Some(b'.'), Some(b'\''), Some(b'_'), Some(b' ')]);
    (proptest::sample::select(vec![b'.', b',']), thousands)
        .prop_map(|(decimal, thousands)| Marks { decimal, thousands })
        .prop_filter("two marks", |marks| Some(marks.decimal) != marks.thousands)
}

/// The model: how a number in its plain form is written with `marks`, without groups and with them.
fn written(plain: &str, marks: Marks) -> (String, Option<String>) {
    let decimal = char::from(marks.decimal).to_string();
    let (sign, unsigned) = plain.split_at(usize::from(plain.starts_with('-')));
    let (whole, places) = unsigned.split_once('.').map_or((unsigned, None), |(whole, places)| (whole, Some(places)));
    let places = places.map_or_else(String::new, |places| format!("{decimal}{places}"));
    let may_group = whole.len() > 3 && !whole.starts_with('0') && !plain.contains(['e', 'E']);
    let grouped = marks.thousands.filter(|_| may_group).map(|mark| {
        let mut grouped = String::new();
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i) % 3 == 0 {
                grouped.push(char::from(mark));
            }
            grouped.push(digit);
        }
        format!("{sign}{grouped}{places}")
    });
    (format!("{sign}{whole}{places}"), grouped)
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,25}",
        "-?[0-9]{1,12}\\.[0-9]{0,6}",
        "-?[0-9]{1,3}\\.[0-9]{3}",
        "-?[1-9][0-9]{30,80}(\\.[0-9]{0,40})?",
        "-?[0-9]{1,5}(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,2}",
    ]
}

proptest! {
    /// However a number is written, it is the same number.
    #[test]
    fn a_number_in_any_notation_is_the_plain_one(plain in numbers(), marks in notations(), padding in " {0,2}") {
        let (usual, said) = (Notation::default(), Notation::new(Some(marks), None));
        let (bare, grouped) = written(&plain, marks);
        for text in [Some(bare), grouped].into_iter().flatten() {
            let text = format!("{padding}{text}{padding}");
            let text = text.as_bytes();
            prop_assert_eq!(said.classify(text), usual.classify(plain.as_bytes()));
            let types = [ColumnType::BigInt, ColumnType::Double, ColumnType::HUGE_INTEGER,
                ColumnType::Decimal { precision: 20, scale: 4 }];
            for ty in types {
                prop_assert_eq!(said.parse_declared(ty, text), usual.parse_declared(ty, plain.as_bytes()), "as {}", ty);
            }
        }
    }

    /// Nothing else is a number: what passes for one is one of the two ways to write it.
    #[test]
    fn what_is_a_number_is_written_as_one(text in "-?[0-9]{1,4}([.,' _][0-9]{2,4}){0,3}([.,][0-9]{0,3})?(e[0-9])?", marks in notations()) {
        let kind = Notation::new(Some(marks), None).classify(text.as_bytes());
        let ungrouped: String = text.chars().filter(|c| Some(*c as u8) != marks.thousands).collect();
        if kind == KindSet::TEXT || (marks.decimal != b'.' && ungrouped.contains('.')) {
            prop_assert_eq!(kind, KindSet::TEXT);
            return Ok(());
        }
        let plain = ungrouped.replace(char::from(marks.decimal), ".");
        let (bare, grouped) = written(&plain, marks);
        prop_assert!(text == bare || Some(&text) == grouped.as_ref(), "{:?} is {:?} or {:?}", text, bare, grouped);
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100), marks in notations()) {
        let notation = Notation::new(Some(marks), None);
        let _ = notation.classify(&bytes);
        for ty in [ColumnType::BigInt, ColumnType::Double, ColumnType::HUGE_INTEGER] {
            let _ = notation.parse_declared(ty, &bytes);
        }
    }
}
