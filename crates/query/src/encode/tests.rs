use ::arrow::{array::RecordBatch, ipc::reader::StreamReader};
use serde_json::{Value, json};

use super::*;
use crate::duck::Database;

pub(super) fn encode(sql: &str, format: Format) -> Result<(Vec<u8>, u64), Failure> {
    encode_limited(sql, format, u64::MAX)
}

fn encode_limited(sql: &str, format: Format, limit: u64) -> Result<(Vec<u8>, u64), Failure> {
    let connection = Database::open()?.connect()?;
    connection.execute("SET TimeZone = 'UTC'")?;
    let mut written = Vec::new();
    let mut write = |piece: &[u8]| {
        written.extend_from_slice(piece);
        Ok(())
    };
    let mut sink = Sink::new(limit, &mut write);
    let rows = write_result(connection.prepare(sql)?, format, &Keywords::default(), &mut sink, &|| false)?;
    Ok((written, rows))
}

fn json(sql: &str) -> Value {
    serde_json::from_slice(&encode(sql, Format::Json).unwrap().0).unwrap()
}

/// One value, as it stands in the text.
fn raw(expression: &str) -> String {
    let (bytes, _) = encode(&format!("SELECT {expression} AS x"), Format::NdJson).unwrap();
    let line = String::from_utf8(bytes).unwrap();
    line.strip_prefix("{\"x\":").and_then(|line| line.strip_suffix("}\n")).unwrap().to_owned()
}

#[test]
fn the_default_shape() {
    assert_eq!(
        json("SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, NULL ORDER BY a"),
        json!({
            "columns": [{"name": "a", "type": "INTEGER"}, {"name": "b", "type": "VARCHAR"}],
            "rows": [[1, "x"], [2, null]],
            "row_count": 2,
        })
    );
    assert_eq!(
        json("SELECT 1 AS a WHERE false"),
        json!({"columns": [{"name": "a", "type": "INTEGER"}], "rows": [], "row_count": 0})
    );
}

/// The table of docs/sql-types.md, row by row.
#[test]
fn every_type_has_its_json_form() {
    for (expression, form) in [
        ("NULL", "null"),
        ("true", "true"),
        ("(-128)::TINYINT", "-128"),
        ("255::UTINYINT", "255"),
        ("9223372036854775807::BIGINT", "9223372036854775807"),
        ("(-9223372036854775808)::BIGINT", "-9223372036854775808"),
        ("18446744073709551615::UBIGINT", "18446744073709551615"),
        ("42::HUGEINT", "42"),
        ("9007199254740992::HUGEINT", "9007199254740992"),
        ("9007199254740993::HUGEINT", "\"9007199254740993\""),
        ("(-170141183460469231731687303715884105728)::HUGEINT", "\"-170141183460469231731687303715884105728\""),
        ("340282366920938463463374607431768211455::UHUGEINT", "\"340282366920938463463374607431768211455\""),
        (
            "'-12345678901234567890123456789012345678901234567890'::BIGNUM",
            "\"-12345678901234567890123456789012345678901234567890\"",
        ),
        ("'7'::BIGNUM", "7"),
        ("1.50", "1.50"),
        ("(-0.05)::DECIMAL(4, 3)", "-0.050"),
        ("123456789.5::DECIMAL(10, 1)", "123456789.5"),
        ("12345678901234.5::DECIMAL(18, 1)", "12345678901234.5"),
        ("12345678901234567.5::DECIMAL(18, 1)", "\"12345678901234567.5\""),
        ("99999999999999999999999999999999999999::DECIMAL(38, 0)", "\"99999999999999999999999999999999999999\""),
        ("0.1::FLOAT", "0.1"),
        ("0.1::DOUBLE", "0.1"),
        ("1e300::DOUBLE", "1e+300"),
        ("'NaN'::DOUBLE", "\"NaN\""),
        ("'Infinity'::FLOAT", "\"Infinity\""),
        ("'-Infinity'::DOUBLE", "\"-Infinity\""),
        ("'é\"\n'", "\"é\\\"\\n\""),
        ("chr(0) || 'x'", "\"\\u0000x\""),
        ("'{\"a\":  1}'::JSON", "\"{\\\"a\\\":  1}\""),
        ("'\\xAA\\x00'::BLOB", "\"qgA=\""),
        ("'0101'::BIT", "\"0101\""),
        ("'010101010'::BIT", "\"010101010\""),
        ("'b3d4cd6e-1b4a-4b8a-9c3e-0a1b2c3d4e5f'::UUID", "\"b3d4cd6e-1b4a-4b8a-9c3e-0a1b2c3d4e5f\""),
        ("'x'::ENUM('y', 'x')", "\"x\""),
        ("DATE '2024-02-29'", "\"2024-02-29\""),
        ("DATE '0044-03-15 (BC)'", "\"-0043-03-15\""),
        ("'infinity'::DATE", "\"infinity\""),
        ("TIME '12:34:56.5'", "\"12:34:56.5\""),
        ("'12:34:56.123456789'::TIME_NS", "\"12:34:56.123456789\""),
        ("'12:34:56+02:30'::TIMETZ", "\"12:34:56+02:30\""),
        ("'12:34:56-00:00:07'::TIMETZ", "\"12:34:56-00:00:07\""),
        ("TIMESTAMP '2024-01-31 12:34:56.789'", "\"2024-01-31T12:34:56.789\""),
        ("'1960-01-01 00:00:00.000001'::TIMESTAMP", "\"1960-01-01T00:00:00.000001\""),
        ("'2024-01-31 12:34:56'::TIMESTAMP_S", "\"2024-01-31T12:34:56\""),
        ("'2024-01-31 12:34:56.5'::TIMESTAMP_MS", "\"2024-01-31T12:34:56.5\""),
        ("'2024-01-31 12:34:56.123456789'::TIMESTAMP_NS", "\"2024-01-31T12:34:56.123456789\""),
        ("'2024-01-31 12:34:56+02'::TIMESTAMPTZ", "\"2024-01-31T10:34:56Z\""),
        ("'-infinity'::TIMESTAMP", "\"-infinity\""),
        ("INTERVAL '1 year 2 months 3 days 4 hours 5.5 seconds'", "\"P1Y2M3DT4H5.5S\""),
        ("INTERVAL '-1 day'", "\"P-1D\""),
        ("[1, NULL, 3]", "[1,null,3]"),
        ("[]::INTEGER[]", "[]"),
        ("[[1], [], NULL]", "[[1],[],null]"),
        ("['a', 'b']::VARCHAR[2]", "[\"a\",\"b\"]"),
        ("[[1, 2], [3, 4]]::INTEGER[2][2]", "[[1,2],[3,4]]"),
        ("{'a': 1, 'b': {'c': [1.5]}}", "{\"a\":1,\"b\":{\"c\":[1.5]}}"),
        ("row(1, 'x')", "[1,\"x\"]"),
        ("map {'k': 1, 'l': NULL}", "{\"k\":1,\"l\":null}"),
        ("map {1: 'a', 2: 'b'}", "[[1,\"a\"],[2,\"b\"]]"),
        ("union_value(n := 5)", "{\"n\":5}"),
        ("[union_value(n := 5)::UNION(s VARCHAR, n INTEGER)]", "[{\"n\":5}]"),
        ("[DATE '2024-01-01', NULL]", "[\"2024-01-01\",null]"),
        ("[170141183460469231731687303715884105727, 1]", "[\"170141183460469231731687303715884105727\",1]"),
        ("NULL::STRUCT(a INTEGER)", "null"),
    ] {
        assert_eq!(raw(expression), form, "{expression}");
    }
}

/// What JSON and CSV say reads back as the value that it was.
#[test]
fn forms_lose_nothing() {
    let columns = [
        "hugeint",
        "uhugeint",
        "bignum",
        "date",
        "time",
        "timestamp",
        "timestamp_s",
        "timestamp_ms",
        "timestamp_ns",
        "timestamp_tz",
        "float",
        "double",
        "dec_4_1",
        "dec_9_4",
        "dec_18_6",
        "dec38_10",
        "uuid",
        "varchar",
        "bit",
        "time_ns",
        "time_tz",
        "small_enum",
        "medium_enum",
        "large_enum",
        "bigint",
        "ubigint",
        "int_array",
        "struct",
    ];
    let connection = Database::open().unwrap().connect().unwrap();
    connection.execute("SET TimeZone = 'UTC'").unwrap();
    let mut compared = 0;
    for column in columns {
        let sql = format!("SELECT \"{column}\" AS x FROM test_all_types() WHERE \"{column}\" IS NOT NULL");
        let ty =
            connection.texts(&format!("SELECT column_type FROM (DESCRIBE {sql})"), &[]).unwrap()[0][0].clone().unwrap();
        let (lines, _) = encode(&sql, Format::NdJson).unwrap();
        let originals = connection.texts(&format!("SELECT x::VARCHAR FROM ({sql})"), &[]).unwrap();
        for (line, original) in String::from_utf8(lines).unwrap().lines().zip(originals) {
            let value = line.strip_prefix("{\"x\":").and_then(|line| line.strip_suffix('}')).unwrap();
            let text = serde_json::from_str::<Value>(value).unwrap().as_str().map_or(value.to_owned(), str::to_owned);
            let back = connection.texts(&format!("SELECT ((?::VARCHAR)::{ty})::VARCHAR"), &[&text]).unwrap();
            assert_eq!(back[0][0], original[0], "{column}: {value}");
            compared += 1;
        }
    }
    assert!(compared >= 2 * columns.len() - 2, "{compared} values");
}

#[test]
fn all_types_can_be_written_in_all_formats() {
    for format in Format::ALL {
        // Arrow has no form for some of the extremes; its own tests say which.
        let extremes = if format == Format::Arrow { "WHERE \"bool\" IS NULL" } else { "" };
        let (bytes, rows) = encode(&format!("FROM test_all_types() {extremes}"), format).unwrap();
        assert_eq!(rows, if format == Format::Arrow { 1 } else { 3 }, "{format:?}");
        assert!(bytes.len() > 1_000, "{format:?}");
        if format == Format::Json {
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(value["rows"][2].as_array().unwrap().iter().all(Value::is_null));
        }
    }
}

#[test]
fn a_type_without_a_form_is_the_statement_s_fault() {
    for format in Format::ALL {
        let failure = encode("SELECT 1::VARIANT", format).unwrap_err();
        assert!(failure.kind == FailureKind::Sql && failure.message.contains("cast it"), "{failure}");
    }
}

#[test]
fn lines_have_one_object_each_and_names_are_unique() {
    let (bytes, rows) = encode("SELECT range AS a, 'x' AS a FROM range(3)", Format::NdJson).unwrap();
    assert_eq!(rows, 3);
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "{\"a\":0,\"a_1\":\"x\"}\n{\"a\":1,\"a_1\":\"x\"}\n{\"a\":2,\"a_1\":\"x\"}\n"
    );
}

#[test]
fn csv_keeps_null_and_empty_apart() {
    let sql = "SELECT * FROM (VALUES (1, 'a,b', [1, 2], 1.5), (NULL, '', NULL, NULL), (3, 'q\"\n', ['x'::VARCHAR]::VARCHAR[]::INTEGER[], 99999999999999999999.5)) t(\"n\", \"a b\", l, d)";
    let sql = sql.replace("['x'::VARCHAR]::VARCHAR[]::INTEGER[]", "[NULL, 3]");
    let (bytes, _) = encode(&sql, Format::Csv).unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "n,a b,l,d\r\n1,\"a,b\",\"[1,2]\",1.5\r\n,\"\",,\r\n3,\"q\"\"\n\",\"[null,3]\",99999999999999999999.5\r\n"
    );
}

fn batches(bytes: &[u8]) -> Vec<RecordBatch> {
    StreamReader::try_new(bytes, None).unwrap().map(Result::unwrap).collect()
}

#[test]
fn arrow_has_all_rows_in_large_batches_and_a_schema_without_any() {
    let (bytes, rows) = encode("SELECT range AS a, range::VARCHAR AS b FROM range(100000)", Format::Arrow).unwrap();
    assert_eq!(rows, 100_000);
    let read = batches(&bytes);
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
    assert!(read.len() <= 8, "{} batches", read.len());
    let (bytes, rows) = encode("SELECT 1 AS a WHERE false", Format::Arrow).unwrap();
    assert_eq!(rows, 0);
    assert_eq!(StreamReader::try_new(bytes.as_slice(), None).unwrap().schema().field(0).name(), "a");
    assert!(batches(&bytes).is_empty());
}

#[test]
fn the_limit_stops_every_format() {
    for format in Format::ALL {
        let sql = "SELECT range, repeat('x', 100) FROM range(1000000)";
        let failure = encode_limited(sql, format, 1_000_000).unwrap_err();
        assert_eq!(failure.kind, FailureKind::TooLarge, "{format:?}: {failure}");
        assert!(encode_limited("SELECT 1", format, 1_000).is_ok());
    }
}

#[test]
fn pieces_are_short_however_long_a_value_is() {
    let connection = Database::open().unwrap().connect().unwrap();
    for format in Format::ALL {
        let (mut longest, mut written) = (0, 0);
        let mut write = |piece: &[u8]| {
            longest = longest.max(piece.len());
            written += piece.len();
            Ok(())
        };
        let mut sink = Sink::new(u64::MAX, &mut write);
        let statement = connection.prepare("SELECT repeat('x', 3000000), 'short' FROM range(3)").unwrap();
        write_result(statement, format, &Keywords::default(), &mut sink, &|| false).unwrap();
        assert!(longest <= MAX_PIECE && written > 9_000_000, "{format:?}: {longest} of {written}");
    }
}

#[test]
fn a_failure_in_the_middle_is_no_end() {
    for format in Format::ALL {
        let failure =
            encode("SELECT 1 / (range - 99999)::DECIMAL(18, 0), error('late') FROM range(1) WHERE range < 2", format);
        assert_eq!(failure.unwrap_err().kind, FailureKind::Sql);
        let sql = "SELECT CASE WHEN range = 150000 THEN error('late') ELSE 'x' END FROM range(200000)";
        // DuckDB now and then tells of the end of the other threads and not of its cause.
        let mut failures = (0..20).map(|_| encode(sql, format).unwrap_err());
        let failure = failures.find(|failure| failure.kind != FailureKind::Interrupted).unwrap();
        assert!(failure.message.contains("late"), "{format:?}: {failure:?}");
    }
}
