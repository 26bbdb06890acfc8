use std::{fs::File, io::Write as _, num::NonZero};

use lakehouse_types::{ErrorKind, ServiceError as _};
use proptest::prelude::*;

use super::*;
use crate::{
    encode::{metadata, read_columns},
    kind::KindSet,
    options::Shape,
    value::{Notation, Value},
};

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn options(all: &[(&str, &str)]) -> Options {
    let mut options = Options::default();
    all.iter().for_each(|(name, value)| options.set(name, value).unwrap());
    options
}

fn limits(threads: usize, piece: u64) -> Limits {
    let shape = Shape { piece_bytes: piece, group_rows: 40, group_bytes: 4000, page_rows: 13, ..Shape::PRODUCTION };
    Limits { shape, ..Limits::with_threads(NonZero::new(threads).unwrap()) }
}

fn production() -> Limits {
    Limits::with_threads(NonZero::new(2).unwrap())
}

struct Table {
    converted: Converted,
    file: File,
}

impl Table {
    fn types(&self) -> Vec<&str> {
        self.converted.columns.iter().map(|column| column.sql_type.as_str()).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.converted.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// One column's cells as text.
    fn column(&self, name: &str) -> Vec<Option<String>> {
        let position = self.names().iter().position(|other| *other == name).unwrap();
        read_columns(&self.file).swap_remove(position)
    }
}

fn run(bytes: &[u8], options: &Options, limits: &Limits) -> Result<Table, Error> {
    let file = tempfile::tempfile().unwrap();
    let converted = convert(file_of(bytes), &file, "test", options, limits, &Cancel::new(false))?;
    Ok(Table { converted, file })
}

fn ok(text: &str, all: &[(&str, &str)]) -> Table {
    run(text.as_bytes(), &options(all), &production()).unwrap()
}

fn refused(text: impl AsRef<[u8]>, all: &[(&str, &str)]) -> String {
    let error = run(text.as_ref(), &options(all), &production()).map(|table| table.converted).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::TooLarge), "{error:?}");
    error.detail()
}

fn some(cells: &[&str]) -> Vec<Option<String>> {
    cells.iter().map(|cell| (*cell != "-").then(|| (*cell).to_owned())).collect()
}

#[test]
fn the_traps_of_real_files() {
    let table = ok(
        "zip,n,mixed,when,day,flag,note\r\n\
         00501,NA,1.0,2013-01-01T06:00:00Z,2013-01-01,true,\"a, \"\"b\"\"\r\nc\"\r\n\
         00544,7,x,2013-01-01T07:00:00Z,NA,FALSE,\r\n\
         10001,null,2,NULL,2013-01-02,N/A,\"NA\"",
        &[],
    );
    assert_eq!(
        table.types(),
        ["VARCHAR", "BIGINT", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "DATE", "BOOLEAN", "VARCHAR"]
    );
    assert_eq!(table.column("zip"), some(&["00501", "00544", "10001"]));
    assert_eq!(table.column("n"), some(&["-", "7", "-"]));
    assert_eq!(table.column("mixed"), some(&["1.0", "x", "2"]));
    assert_eq!(table.column("when"), some(&["1357020000000000UTC", "1357023600000000UTC", "-"]));
    assert_eq!(table.column("day"), some(&["15706d", "-", "15707d"]));
    assert_eq!(table.column("flag"), some(&["true", "false", "-"]));
    assert_eq!(table.column("note"), some(&["a, \"b\"\r\nc", "-", "NA"]));
}

#[test]
fn a_late_word_makes_a_column_text_and_keeps_what_came_before() {
    let mut text = "id,v\n".to_owned();
    for i in 0..400_000 {
        text.push_str(&format!("{i},{}.0\n", i % 7));
    }
    text.push_str("400000,unknown\n");
    let table = ok(&text, &[]);
    assert_eq!(table.types(), ["BIGINT", "VARCHAR"]);
    let values = table.column("v");
    assert_eq!((values[0].as_deref(), values[1].as_deref()), (Some("0.0"), Some("1.0")));
    assert_eq!((values.len(), values[400_000].as_deref()), (400_001, Some("unknown")));
    assert_eq!(metadata(&table.file).file_metadata().num_rows(), 400_001);
}

#[test]
fn a_dialect_is_found_or_told() {
    for (text, all) in [
        ("\u{feff}a;b\n1;x\n", [].as_slice()),
        ("a\tb\r1\tx\r", &[]),
        ("\n\na|b\n1|x\n\n", &[]),
        ("a,b\n'1','x'\n", &[]),
        ("a b\n1 x\n", &[("delimiter", "space")]),
    ] {
        let table = ok(text, all);
        assert_eq!((table.names(), table.types()), (vec!["a", "b"], vec!["BIGINT", "VARCHAR"]), "{text:?}");
        assert_eq!(table.column("b"), some(&["x"]));
    }
    assert_eq!(ok("a,b\n1,it's\n2,'tis\n", &[]).column("b"), some(&["it's", "'tis"]));
    assert_eq!(ok("a,\"b\n1,\"2\n", &[("quote", "none")]).names(), ["a", "\"b"]);
}

#[test]
fn headers_are_told_guessed_and_mended() {
    let table = ok("\"3\",\"Fears\"\n\"4\",\"The race\"\n", &[("header", "false")]);
    assert_eq!((table.names(), table.converted.rows), (vec!["column1", "column2"], 2));
    let table = ok("a,A,, a_2 \n1,2,3,4\n", &[]);
    assert_eq!(table.names(), ["a", "A_3", "column3", "a_2"]);
    assert_eq!(table.converted.report.renamed_columns.len(), 3);
    let table = ok("only,a,header\n", &[]);
    assert_eq!((table.converted.rows, table.types()), (0, vec!["VARCHAR"; 3]));
    assert_eq!(metadata(&table.file).num_row_groups(), 0);
}

#[test]
fn declared_types_are_kept_or_the_row_is_bad() {
    let types = [("types", "id:varchar,\"price\":decimal(6,2),AT:timestamptz")];
    let text = "id,price,at\n00501,1.5,2020-01-01\n7,NA,2020-01-01T00:00:00+01:00\n";
    let table = ok(text, &types);
    assert_eq!(table.types(), ["VARCHAR", "DECIMAL(6,2)", "TIMESTAMP WITH TIME ZONE"]);
    assert_eq!(table.column("price"), some(&["150n", "-"]));
    let bad = format!("{text}8,1.234,2020-01-01\n9,x,2020-01-01\n");
    let error = refused(&bad, &types);
    assert_eq!(error, "line 4: `price` is \"1.234\" and no DECIMAL(6,2); line 5: `price` is \"x\" and no DECIMAL(6,2)");
    let table = ok(&bad, &[types[0], ("on_error", "skip")]);
    assert_eq!((table.converted.rows, table.converted.report.skipped.map(|skipped| skipped.count)), (2, Some(2)));
    assert!(refused(text, &[("types", "nope:int")]).contains("`nope`"));
}

#[test]
fn ragged_rows_are_refused_with_their_lines_or_skipped() {
    let text = "a,b\n1,\"x\ny\"\n1\n\n2,3,4\n5,\"6\"7\n8,9\n";
    assert_eq!(
        refused(text, &[]),
        "line 4: it has 1 fields instead of 2; line 6: it has 3 fields instead of 2; \
         line 7: there is text after a closing quote"
    );
    let table = ok(text, &[("on_error", "skip")]);
    let skipped = table.converted.report.skipped.clone().unwrap();
    assert_eq!((table.converted.rows, skipped.count, skipped.first.len()), (2, 3, 3));
    assert_eq!(table.column("b"), some(&["x\ny", "9"]));
    assert!(ok("a\n1\n", &[]).converted.report.skipped.is_none());
    // Of very many only the first are told.
    let many = format!("a,b\n{}", "1\n".repeat(100_000));
    assert_eq!(refused(&many, &[]).matches("line").count(), piece::TOLD_ROWS);
    let table = ok(&format!("{many}1,2\n"), &[("on_error", "skip"), ("delimiter", ",")]);
    assert_eq!(
        table.converted.report.skipped.map(|skipped| (skipped.count, skipped.first[9].line)),
        Some((100_000, 11))
    );
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    assert_eq!(refused(b"a,b\n1,x\n2,\"y\n\xff\"\n", &[]), "line 4: invalid UTF-8 (byte 0xff)");
    assert!(refused(b"a,b\xc3\n1,x\n", &[]).contains("line 1"));
    let table = run(b"a,b\n1,x\n2,\xff\n3,y\n", &options(&[("on_error", "skip")]), &production()).unwrap();
    assert_eq!(table.column("a"), some(&["1", "3"]));
    assert!(refused(b"\xff\xfea\0,\0b\0", &[]).contains("UTF-16"));
    assert!(refused(b"PK\x03\x04...", &[]).contains("ZIP"));
}

#[test]
fn what_can_not_be_a_table_is_refused() {
    for empty in ["", "\u{feff}", "\n\r\n\n"] {
        assert_eq!(refused(empty, &[]), "the file is empty", "{empty:?}");
    }
    assert_eq!(refused("a,b\n1,2\n3,\"x\ny,z\n", &[]), "line 3: the quote that opens here is never closed");
    assert_eq!(refused("\n\"a,b\n1,2\n", &[]), "line 2: the quote that opens here is never closed");
    let small = Limits { max_columns: 3, max_record_bytes: 64, ..production() };
    let refuse = |text: &str| run(text.as_bytes(), &options(&[]), &small).map(|table| table.converted).unwrap_err();
    let wide = refuse("a,b,c,d\n1,2,3,4\n");
    assert_eq!((wide.kind(), wide.detail().contains("more than 3 columns")), (ErrorKind::TooLarge, true));
    let long = refuse(&format!("a,b\n1,{}\n", "x".repeat(100)));
    assert_eq!((long.kind(), long.detail().contains("line 2")), (ErrorKind::TooLarge, true));
    assert!(refused(format!("{},b\n1,2\n", "x".repeat(2000)), &[("header", "true")]).contains("name of column 1"));
}

#[test]
fn integers_never_lose_a_digit() {
    let column = |cells: &[&str]| {
        let table = ok(&format!("c\n{}\n", cells.join("\n")), &[("header", "true")]);
        (table.types()[0].to_owned(), table.column("c"))
    };
    let (ty, cells) = column(&["9223372036854775807", "9223372036854775808"]);
    assert_eq!((ty.as_str(), cells), ("DECIMAL(38,0)", some(&["9223372036854775807n", "9223372036854775808n"])));
    let (ty, cells) = column(&["1.5", "9007199254740993"]);
    assert_eq!((ty.as_str(), cells), ("VARCHAR", some(&["1.5", "9007199254740993"])));
    let (ty, cells) = column(&["1.5", "9007199254740992"]);
    assert_eq!((ty.as_str(), cells), ("DOUBLE", some(&["1.5", "9007199254740992.0"])));
    assert_eq!(column(&[&"9".repeat(40)]).0, "VARCHAR");
}

#[test]
fn the_footer_repeats_what_the_answer_says() {
    let table = ok("a,A\n1,2\n3\n", &[("on_error", "skip")]);
    let size = usize::try_from(table.converted.size).unwrap();
    let mut bytes = vec![0; size];
    std::os::unix::fs::FileExt::read_exact_at(&table.file, &mut bytes, 0).unwrap();
    assert_eq!(Report::from_end(&bytes).unwrap(), table.converted.report);
    let footer = Report::footer_len(&bytes).unwrap();
    assert_eq!(Report::from_end(&bytes[size - footer..]).unwrap(), table.converted.report);
    assert_eq!(Report::from_end(&bytes[size - footer + 1..]), None, "a part of a footer is none");
    assert_eq!(Report::from_end(b"PAR1"), None);
    // A footer of seven bytes that announces more elements than there is memory for.
    assert_eq!(Report::from_end(b"\x26\xf6\xff\xff\xff\x16\x26\x07\0\0\0PAR1"), None);
}

#[test]
fn an_empty_line_is_a_null_only_where_there_is_one_column() {
    assert_eq!(ok("a\n1\n\n2\n", &[]).column("a"), some(&["1", "-", "2"]));
    assert_eq!(ok("a,b\n1,2\n\n3,4\n", &[]).converted.rows, 2);
}

#[test]
fn a_cancelled_conversion_ends() {
    let file = tempfile::tempfile().unwrap();
    let result = convert(file_of(b"a\n1\n"), &file, "x", &Options::default(), &production(), &Cancel::new(true));
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
}

/// A key stands for one content for ever. Whoever breaks this test, by a change here or by an upgrade
/// of the Parquet or zstd libraries, must raise the format's number in `options`.
#[test]
fn the_output_is_pinned() {
    let mut text = "id,name,price,day,at,ok\n".to_owned();
    for i in 0..5000 {
        text.push_str(&format!(
            "{i},n{},{}.25,2020-01-{:02},2020-01-01T00:00:{:02}Z,{}\n",
            i % 13,
            i % 99,
            i % 28 + 1,
            i % 60,
            i % 2 == 0
        ));
    }
    let table = ok(&text, &[]);
    assert_eq!(table.converted.sha256, "4d2b58e8df32e5f28b3a275707a75608270f94a91bf651917916a2c278098426");
}

/// A cell, as a writer that knows nothing of types would have it; `None` is written as nothing.
fn cell() -> BoxedStrategy<Option<String>> {
    let text = prop_oneof![
        "[a-z,;\"'\n\r é日]{0,8}",
        Just(String::new()),
        Just("NA".to_owned()),
        "-?[0-9]{1,3}",
        "[0-9]{1,3}\\.[0-9]{1,2}",
        "20[0-9]{2}-0[1-9]-[012][0-9]",
    ];
    proptest::option::weighted(0.9, text).boxed()
}

/// Columns of which most have one kind of cells, so that all types come up.
fn tables() -> impl Strategy<Value = Vec<Vec<Option<String>>>> {
    (1_usize..5, 0_usize..60).prop_flat_map(|(columns, rows)| {
        let column = prop_oneof![
            3 => proptest::collection::vec(cell(), rows),
            2 => proptest::collection::vec(proptest::option::weighted(0.9, "-?[0-9]{1,3}"), rows),
            1 => proptest::collection::vec(proptest::option::weighted(0.9, "[0-9]{1,2}\\.[0-9]"), rows),
            1 => proptest::collection::vec(proptest::option::weighted(0.9, "2020-0[1-9]-0[1-9]"), rows),
        ];
        proptest::collection::vec(column, columns)
    })
}

/// How a table is written down.
#[derive(Debug, Clone)]
struct Style {
    delimiter: u8,
    crlf: bool,
    last_newline: bool,
    /// For each cell in turn: quote it though it need not be.
    quote: Vec<bool>,
}

fn styles() -> impl Strategy<Value = Style> {
    let delimiter = proptest::sample::select(b",;\t|".as_slice());
    (delimiter, any::<bool>(), any::<bool>(), proptest::collection::vec(any::<bool>(), 1..9))
        .prop_map(|(delimiter, crlf, last_newline, quote)| Style { delimiter, crlf, last_newline, quote })
}

fn write_csv(columns: &[Vec<Option<String>>], style: &Style) -> Vec<u8> {
    let newline = if style.crlf { "\r\n" } else { "\n" };
    let mut quotes = style.quote.iter().cycle();
    let mut out = Vec::new();
    let header: Vec<String> = (0..columns.len()).map(|i| format!("c{i}")).collect();
    out.extend_from_slice(header.join(&char::from(style.delimiter).to_string()).as_bytes());
    for row in 0..columns[0].len() {
        out.extend_from_slice(newline.as_bytes());
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                out.push(style.delimiter);
            }
            let Some(cell) = &column[row] else { continue };
            let must =
                cell.is_empty() || cell == "NA" || cell.bytes().any(|b| b == style.delimiter || b"\"\r\n".contains(&b));
            if *quotes.next().unwrap() || must {
                out.extend_from_slice(format!("\"{}\"", cell.replace('"', "\"\"")).as_bytes());
            } else {
                out.extend_from_slice(cell.as_bytes());
            }
        }
    }
    // A last line without its end is no line if it is empty.
    let ends_in_nothing = columns.len() == 1 && columns[0].last().is_some_and(Option::is_none);
    if style.last_newline || ends_in_nothing {
        out.extend_from_slice(newline.as_bytes());
    }
    out
}

/// What a column must read back as: its type from the set of its cells' kinds, the cells from the model.
fn expected(column: &[Option<String>]) -> (ColumnType, Vec<Option<String>>) {
    let usual = Notation::default();
    let kinds = column.iter().map(|cell| cell.as_ref().map_or(KindSet::NULL, |cell| usual.classify(cell.as_bytes())));
    let ty = kinds.fold(KindSet::EMPTY, KindSet::union).resolve();
    let cells = column.iter().map(|cell| {
        let cell = cell.as_ref()?;
        if ty == ColumnType::Varchar {
            return Some(cell.clone());
        }
        (!usual.is_null(cell.as_bytes())).then(|| match usual.parse_declared(ty, cell.as_bytes()).unwrap() {
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Huge(value) => format!("{value}n"),
            Value::Double(value) => format!("{value:?}"),
            Value::Days(days) => format!("{days}d"),
            Value::Micros(micros) => format!("{micros}us"),
        })
    });
    (ty, cells.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Any table, written in any style, cut into pieces anywhere, read by any number of threads,
    /// comes back as it was.
    #[test]
    fn what_is_written_is_read(columns in tables(), style in styles(), piece in 1_u64..400, threads in 1_usize..4) {
        let bytes = write_csv(&columns, &style);
        let delimiter = char::from(style.delimiter).to_string();
        let options = options(&[("header", "true"), ("delimiter", &delimiter), ("quote", "double")]);
        let table = run(&bytes, &options, &limits(threads, piece)).unwrap();
        let read = read_columns(&table.file);
        prop_assert_eq!(table.converted.rows, columns[0].len() as u64);
        for (i, column) in columns.iter().enumerate() {
            let (ty, cells) = expected(column);
            prop_assert_eq!(&table.converted.columns[i].sql_type, &ty.to_string());
            prop_assert_eq!(&read[i], &cells);
        }
        // The threads leave no trace, and the size of the pieces none in the content.
        let again = run(&bytes, &options, &limits(4 - threads, piece)).unwrap();
        prop_assert_eq!(&again.converted.sha256, &table.converted.sha256);
        let whole = run(&bytes, &options, &limits(1, 1 << 20)).unwrap();
        prop_assert_eq!(read_columns(&whole.file), read);
    }

    /// Bytes that nobody meant to be CSV are a table or a refusal; never a panic or an internal error.
    /// Where they are cut makes no difference.
    #[test]
    fn any_bytes_are_a_table_or_refused(
        bytes in prop_oneof![
            proptest::collection::vec(proptest::sample::select(b"a,\"\n\r1;\t|'.- N\xc3\xa9\xff\0".as_slice()), 0..300),
            proptest::collection::vec(any::<u8>(), 0..300),
        ],
        skip: bool, header: bool, piece in 1_u64..100,
    ) {
        let mut options = options(&[("on_error", if skip { "skip" } else { "fail" })]);
        if header {
            options.set("header", "false").unwrap();
        }
        let cut = run(&bytes, &options, &limits(2, piece));
        let whole = run(&bytes, &options, &limits(1, 1 << 20));
        match (cut, whole) {
            (Ok(cut), Ok(whole)) => {
                prop_assert_eq!(cut.types(), whole.types());
                prop_assert_eq!(read_columns(&cut.file), read_columns(&whole.file));
                prop_assert_eq!(cut.converted.report.skipped, whole.converted.report.skipped);
            }
            (Err(cut), Err(whole)) => {
                prop_assert!(matches!(cut.kind(), ErrorKind::InvalidInput | ErrorKind::TooLarge), "{:?}", cut);
                prop_assert_eq!(cut.kind(), whole.kind());
            }
            (cut, whole) => prop_assert!(false, "{:?} but whole {:?}", cut.err(), whole.err()),
        }
    }

    #[test]
    fn lanes_cover_every_column_once(columns in 1_usize..500) {
        let all: Vec<usize> = lanes(columns).into_iter().flatten().collect();
        prop_assert_eq!(all, (0..columns).collect::<Vec<_>>());
        prop_assert!(lanes(columns).iter().all(|lane| !lane.is_empty()));
    }
}

mod guesses;
