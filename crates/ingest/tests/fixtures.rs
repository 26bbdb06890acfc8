//! Every `tests/fixtures/csv/NAME.csv` is read as `NAME.json` beside it says: with these options, these
//! columns and these rows, or this error.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

use std::{
    fs::File,
    num::NonZero,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef},
    compute::cast,
    datatypes::DataType,
    util::display::{ArrayFormatter, FormatOptions},
};
use lakehouse_ingest::{Cancel, Converted, Error, Limits, Options, convert};
use lakehouse_types::ServiceError as _;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/csv");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    files.sort();
    files
}

fn run(csv: &Path, wanted: &Value, output: &File) -> Result<Converted, Error> {
    let mut options = Options::default();
    for (name, value) in wanted["options"].as_object().into_iter().flatten() {
        options.set(name, value.as_str().unwrap()).unwrap();
    }
    let limits = Limits::with_threads(NonZero::new(2).unwrap());
    convert(File::open(csv).unwrap(), output, "", &options, &limits, &Cancel::new(false))
}

/// Arrow knows `UTC` as an offset only, without its table of zones.
fn without_zone_name(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => cast(column, &DataType::Timestamp(*unit, Some("+00:00".into()))).unwrap(),
        _ => Arc::clone(column),
    }
}

/// The cells as text, row by row; nulls as null.
fn rows(file: &File) -> Vec<Value> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.try_clone().unwrap()).unwrap().build().unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let columns: Vec<ArrayRef> = batch.columns().iter().map(without_zone_name).collect();
        let cell = |column: &ArrayRef, row: usize| {
            let shown = ArrayFormatter::try_new(column, &FormatOptions::default()).unwrap();
            if column.is_null(row) { Value::Null } else { shown.value(row).to_string().into() }
        };
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| cell(column, row)).collect()));
    }
    rows
}

/// What the file is, in the form of its description.
fn describe(converted: &Converted, rows: &[Value], wanted: &Value) -> Value {
    let columns: Vec<Value> = converted.columns.iter().map(|column| json!([column.name, column.sql_type])).collect();
    let mut found = json!({"columns": columns, "rows": rows});
    if let Some(options) = wanted.get("options") {
        found["options"] = options.clone();
    }
    let report = &converted.report;
    if !report.renamed_columns.is_empty() {
        let renamed = report.renamed_columns.iter().map(|column| json!([column.position, column.from, column.to]));
        found["renamed_columns"] = renamed.collect();
    }
    if let Some(skipped) = &report.skipped {
        found["skipped"] = skipped.count.into();
    }
    found
}

#[test]
fn every_fixture_is_read_as_described() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 15, "the fixtures are there");
    for csv in fixtures {
        let wanted: Value = serde_json::from_slice(&std::fs::read(csv.with_extension("json")).unwrap()).unwrap();
        let output = tempfile::tempfile().unwrap();
        let found = match run(&csv, &wanted, &output) {
            Ok(converted) => describe(&converted, &rows(&output), &wanted),
            Err(error) => json!({"error": error.detail()}),
        };
        assert_eq!(found, wanted, "{}", csv.display());
    }
}
