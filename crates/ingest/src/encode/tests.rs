use std::{fs::File, sync::Arc};

use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::{Date32Type, Decimal128Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType},
};
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::Encoding,
    data_type::ByteArray,
    file::{
        metadata::ParquetMetaData,
        reader::{FileReader as _, SerializedFileReader},
        statistics::Statistics,
    },
};
use proptest::prelude::*;

use super::{Codec, ColumnEncoder, FileWriter, PageLimits, file_schema};
use crate::{
    column::{Cells, Column, ColumnBuilder, Target},
    csv::{Block, Dialect, Spaces, Tokenizer},
    kind::KindSet,
    schema::ColumnType,
    value::Notation,
};

/// The cells of a Parquet file, column by column, as text; `None` is null.
pub(crate) fn read_columns(file: &File) -> Vec<Vec<Option<String>>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().unwrap()).unwrap();
    let mut columns = vec![Vec::new(); reader.schema().fields().len()];
    for batch in reader.with_batch_size(97).build().unwrap() {
        let batch = batch.unwrap();
        for (column, array) in columns.iter_mut().zip(batch.columns()) {
            column.extend((0..array.len()).map(|row| (!array.is_null(row)).then(|| shown(array, row))));
        }
    }
    columns
}

fn shown(array: &Arc<dyn arrow::array::Array>, row: usize) -> String {
    use arrow::datatypes::{DataType as D, TimeUnit};
    match array.data_type() {
        D::Boolean => array.as_boolean().value(row).to_string(),
        D::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        D::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        D::Date32 => format!("{}d", array.as_primitive::<Date32Type>().value(row)),
        D::Decimal128(_, _) => format!("{}n", array.as_primitive::<Decimal128Type>().value(row)),
        D::Time64(TimeUnit::Microsecond) => format!("{}us", array.as_primitive::<Time64MicrosecondType>().value(row)),
        D::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = array.as_primitive::<TimestampMicrosecondType>().value(row);
            format!("{micros}{}", zone.as_deref().unwrap_or("local"))
        }
        D::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        other => panic!("no column is {other}"),
    }
}

pub(crate) fn metadata(file: &File) -> ParquetMetaData {
    SerializedFileReader::new(file.try_clone().unwrap()).unwrap().metadata().clone()
}

/// A column from the lines of a text.
fn column(ty: ColumnType, lines: &[String]) -> Column {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let dialect = Dialect { delimiter: b',', quote: Some(b'"'), escape: None, spaces: Spaces::Kept, comment: None };
    let (quoting, notation) = (dialect.quoting(), &Notation::default());
    let mut builder = ColumnBuilder::new(Target { ty, declared: true, known: KindSet::EMPTY });
    let (mut block, mut at) = (Block::default(), 0);
    let mut tokenizer = Tokenizer::new(text.as_bytes(), dialect, 1, true, 1 << 20);
    while at < text.len() {
        let progress = tokenizer.fill(&mut block, at, text.len(), |_, _| panic!("a flaw"));
        builder.append(Cells { data: text.as_bytes(), spans: &block.spans, column: 0, columns: 1, quoting, notation });
        at = match progress {
            crate::csv::Progress::Full(next) | crate::csv::Progress::Done(next) => next,
            other => panic!("{other:?}"),
        };
    }
    builder.finish().0.unwrap()
}

/// Writes one column: a list of row groups, each a list of pieces.
fn write(ty: ColumnType, groups: &[Vec<Vec<String>>], limits: PageLimits) -> File {
    let file = tempfile::tempfile().unwrap();
    let schema = file_schema(&["c".to_owned()], &[ty]).unwrap();
    let mut writer = FileWriter::create(file.try_clone().unwrap(), schema).unwrap();
    let mut encoder = ColumnEncoder::new(ty, limits);
    let mut codec = Codec::new().unwrap();
    for group in groups {
        for piece in group {
            encoder.append(&column(ty, piece), &mut codec).unwrap();
        }
        writer.write_group(vec![encoder.finish_group(&mut codec).unwrap()]).unwrap();
    }
    writer.finish(&[]).unwrap();
    file
}

const WIDE: PageLimits = PageLimits { rows: 1 << 16, bytes: 512 << 10, dictionary_bytes: 1 << 20 };

/// A type, a generator of its cells, and how the reader shows them.
fn cells(ty: ColumnType) -> BoxedStrategy<(String, String)> {
    let number = |n: i64, suffix: &str| (n.to_string(), format!("{n}{suffix}"));
    match ty {
        ColumnType::Boolean => any::<bool>().prop_map(|b| (b.to_string(), b.to_string())).boxed(),
        ColumnType::BigInt => prop_oneof![any::<i64>(), -3_i64..3].prop_map(move |n| number(n, "")).boxed(),
        ColumnType::Double => {
            let value = prop_oneof![any::<f64>(), Just(0.0), Just(-0.0), (-9_i32..9).prop_map(|n| f64::from(n) / 4.0)];
            value.prop_filter("finite", |v| v.is_finite()).prop_map(|v| (format!("{v:?}"), format!("{v:?}"))).boxed()
        }
        ColumnType::Decimal { .. } => any::<i64>().prop_map(move |n| (format!("{n}7"), format!("{n}7n"))).boxed(),
        ColumnType::Date => (0_i64..20_000).prop_map(|n| (date(n), format!("{n}d"))).boxed(),
        ColumnType::Time => (0_i64..86_400).prop_map(|n| (clock(n), format!("{n}000000us"))).boxed(),
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            let (zone, shown) = if ty == ColumnType::Timestamp { ("", "local") } else { ("Z", "UTC") };
            (0_i64..20_000, 0_i64..86_400)
                .prop_map(move |(day, second)| {
                    let text = format!("{}T{}{zone}", date(day), clock(second));
                    (text, format!("{}000000{shown}", day * 86_400 + second))
                })
                .boxed()
        }
        ColumnType::Varchar => "[a-cé]{1,9}".prop_filter("a null", |s| s != "NA").prop_map(|s| (s.clone(), s)).boxed(),
    }
}

/// Days since 1970, as a date, by counting.
fn date(mut days: i64) -> String {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let (mut year, mut month) = (1970, 0);
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, days + 1)
}

fn clock(second: i64) -> String {
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

const TYPES: [ColumnType; 9] = [
    ColumnType::Boolean,
    ColumnType::BigInt,
    ColumnType::Decimal { precision: 38, scale: 0 },
    ColumnType::Double,
    ColumnType::Date,
    ColumnType::Time,
    ColumnType::Timestamp,
    ColumnType::TimestampTz,
    ColumnType::Varchar,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Every type, with nulls, over pages, pieces, row groups and dictionaries that end anywhere.
    #[test]
    fn what_is_written_is_read(
        (ty, groups) in proptest::sample::select(TYPES.as_slice()).prop_flat_map(|ty| {
            let cell = proptest::option::weighted(0.8, cells(ty));
            let piece = proptest::collection::vec(cell, 0..90);
            (Just(ty), proptest::collection::vec(proptest::collection::vec(piece, 1..4), 1..3))
        }),
        rows in 1_usize..100, bytes in 16_usize..2000, dictionary_bytes in 8_usize..400,
    ) {
        let text = |cell: &Option<(String, String)>| cell.as_ref().map_or_else(|| "NA".to_owned(), |cell| cell.0.clone());
        let lines: Vec<Vec<Vec<String>>> = groups.iter()
            .map(|group| group.iter().map(|piece| piece.iter().map(text).collect()).collect())
            .filter(|group: &Vec<Vec<String>>| group.iter().any(|piece| !piece.is_empty()))
            .collect();
        let file = write(ty, &lines, PageLimits { rows, bytes, dictionary_bytes });
        let expected: Vec<Option<String>> =
            groups.iter().flatten().flatten().map(|cell| cell.as_ref().map(|cell| cell.1.clone())).collect();
        prop_assert_eq!(&read_columns(&file)[0], &expected);
        check_statistics(&metadata(&file), &expected)?;
    }
}

/// The counts are exact, and no value lies outside of the bounds.
fn check_statistics(metadata: &ParquetMetaData, all: &[Option<String>]) -> Result<(), TestCaseError> {
    let mut rows = all.iter();
    for group in metadata.row_groups() {
        let column = group.column(0);
        let cells: Vec<&Option<String>> = rows.by_ref().take(group.num_rows() as usize).collect();
        let stats = column.statistics().unwrap();
        let nulls = cells.iter().filter(|cell| cell.is_none()).count() as u64;
        prop_assert_eq!(stats.null_count_opt(), Some(nulls));
        prop_assert_eq!(column.num_values(), cells.len() as i64);
        let values = || cells.iter().filter_map(|cell| cell.as_deref());
        match stats {
            Statistics::Int64(stats) if column.column_descr().logical_type_ref().is_none() => {
                let parse = |value: &str| value.parse::<i64>().unwrap();
                prop_assert_eq!(stats.min_opt().copied(), values().map(parse).min());
                prop_assert_eq!(stats.max_opt().copied(), values().map(parse).max());
            }
            Statistics::ByteArray(stats) => {
                prop_assert_eq!(stats.min_opt().map(ByteArray::data), values().map(str::as_bytes).min());
                prop_assert_eq!(stats.max_opt().map(ByteArray::data), values().map(str::as_bytes).max());
            }
            Statistics::Double(stats) => {
                let (least, most) = (stats.min_opt().copied(), stats.max_opt().copied());
                let inside = |value: f64| Some(value) >= least && Some(value) <= most;
                prop_assert!(values().all(|value| inside(value.parse().unwrap())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn encodings(file: &File) -> Vec<Encoding> {
    metadata(file).row_group(0).column(0).encodings().collect()
}

#[test]
fn a_dictionary_stays_where_it_pays_and_goes_where_it_does_not() {
    let lines = |distinct: usize| -> Vec<String> { (0..20_000).map(|i| format!("v{}", i % distinct)).collect() };
    let few = write(ColumnType::Varchar, &[vec![lines(100)]], WIDE);
    assert!(encodings(&few).contains(&Encoding::RLE_DICTIONARY));
    assert_eq!(metadata(&few).row_group(0).column(0).statistics().unwrap().distinct_count_opt(), Some(100));
    let all = write(ColumnType::Varchar, &[vec![lines(20_000)]], WIDE);
    assert_eq!(encodings(&all), [Encoding::RLE, Encoding::DELTA_LENGTH_BYTE_ARRAY]);
    assert_eq!(read_columns(&all)[0][19_999].as_deref(), Some("v19999"));
    // One that only grows too large later keeps its first pages.
    let late: Vec<String> = (0..200_000).map(|i| format!("{}", if i < 9000 { i % 10 } else { i })).collect();
    let late = write(ColumnType::BigInt, &[vec![late]], PageLimits { dictionary_bytes: 64 << 10, ..WIDE });
    let both = encodings(&late);
    assert!(both.contains(&Encoding::RLE_DICTIONARY) && both.contains(&Encoding::DELTA_BINARY_PACKED), "{both:?}");
    assert_eq!(read_columns(&late)[0][199_999].as_deref(), Some("199999"));
}

#[test]
fn columns_have_field_ids_and_types_that_readers_know() {
    let names: Vec<String> = TYPES.iter().map(ToString::to_string).collect();
    let schema = file_schema(&names, &TYPES).unwrap();
    let ids: Vec<i32> = schema.get_fields().iter().map(|field| field.get_basic_info().id()).collect();
    assert_eq!(ids, (1..=9).collect::<Vec<_>>());
}
