use arrow::{
    array::{
        Array, AsArray as _, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, IntervalMonthDayNanoArray,
        StringArray, UnionArray,
    },
    datatypes::{
        DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
    ipc::reader::StreamReader,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::super::{Format, calendar, calendar::Unit};
use crate::duck::{Database, Failure, FailureKind};

fn encode(sql: &str, format: Format) -> Result<Vec<u8>, Failure> {
    super::super::tests::encode(sql, format).map(|(bytes, _)| bytes)
}

/// The column `x` of each row, as Arrow has it.
fn by_arrow(sql: &str) -> Result<Vec<Value>, Failure> {
    let bytes = encode(sql, Format::Arrow)?;
    let reader = StreamReader::try_new(bytes.as_slice(), None).unwrap();
    let mut values = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        batch.column(0).to_data().validate_full().unwrap();
        values.extend((0..batch.num_rows()).map(|row| shown(batch.column(0), row)));
    }
    Ok(values)
}

/// And as JSON has it.
fn by_json(sql: &str) -> Vec<Value> {
    let text = String::from_utf8(encode(sql, Format::NdJson).unwrap()).unwrap();
    text.lines().map(|line| plain(serde_json::from_str::<Value>(line).unwrap()["x"].take())).collect()
}

/// Numbers and words alike as text, so that forms can be compared.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => text(&number.to_string()),
        Value::String(word) => text(&word),
        Value::Bool(word) => text(&word.to_string()),
        Value::Array(values) => values.into_iter().map(plain).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        Value::Null => Value::Null,
    }
}

/// Without the zeros of a scale, which a JSON reader does not keep.
fn text(word: &str) -> Value {
    let number = word.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-')) && word.contains('.');
    Value::from(if number { word.trim_end_matches('0').trim_end_matches('.') } else { word })
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    text(&String::from_utf8(out).unwrap())
}

fn float(value: f64, shortest: &str) -> Value {
    match value {
        value if value.is_nan() => json!("NaN"),
        value if value.is_infinite() => json!(if value > 0.0 { "Infinity" } else { "-Infinity" }),
        _ => plain(serde_json::from_str(shortest).unwrap()),
    }
}

macro_rules! number {
    ($array:expr, $row:expr, $ty:ty) => {
        text(&$array.as_primitive::<$ty>().value($row).to_string())
    };
}

fn shown(array: &dyn Array, row: usize) -> Value {
    if array.is_null(row) && !matches!(array.data_type(), DataType::Union(..)) {
        return Value::Null;
    }
    let any = array.as_any();
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => text(&any.downcast_ref::<BooleanArray>().unwrap().value(row).to_string()),
        DataType::Int8 => number!(array, row, Int8Type),
        DataType::Int16 => number!(array, row, Int16Type),
        DataType::Int32 => number!(array, row, Int32Type),
        DataType::Int64 => number!(array, row, Int64Type),
        DataType::UInt8 => number!(array, row, UInt8Type),
        DataType::UInt16 => number!(array, row, UInt16Type),
        DataType::UInt32 => number!(array, row, UInt32Type),
        DataType::UInt64 => number!(array, row, UInt64Type),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            float(value.into(), &serde_json::to_string(&value).unwrap())
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            float(value, &serde_json::to_string(&value).unwrap())
        }
        DataType::Decimal128(..) => text(&any.downcast_ref::<Decimal128Array>().unwrap().value_as_string(row)),
        DataType::Decimal256(..) => text(&any.downcast_ref::<Decimal256Array>().unwrap().value_as_string(row)),
        DataType::Utf8 => text(any.downcast_ref::<StringArray>().unwrap().value(row)),
        DataType::Binary => Value::from(BASE64_STANDARD.encode(any.downcast_ref::<BinaryArray>().unwrap().value(row))),
        DataType::Date32 => written(|out| calendar::write_date(array.as_primitive::<Date32Type>().value(row), out)),
        DataType::Time64(TimeUnit::Microsecond) => written(|out| {
            calendar::write_time(array.as_primitive::<Time64MicrosecondType>().value(row), Unit::Micros, out);
        }),
        DataType::Time64(_) => written(|out| {
            calendar::write_time(array.as_primitive::<Time64NanosecondType>().value(row), Unit::Nanos, out);
        }),
        DataType::Timestamp(unit, zone) => {
            let zone = if zone.is_some() { "Z" } else { "" };
            let (value, unit) = match unit {
                TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().value(row), Unit::Seconds),
                TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().value(row), Unit::Millis),
                TimeUnit::Microsecond => (array.as_primitive::<TimestampMicrosecondType>().value(row), Unit::Micros),
                TimeUnit::Nanosecond => (array.as_primitive::<TimestampNanosecondType>().value(row), Unit::Nanos),
            };
            written(|out| calendar::write_timestamp(value, unit, zone, out))
        }
        DataType::Interval(_) => {
            let value = any.downcast_ref::<IntervalMonthDayNanoArray>().unwrap().value(row);
            assert_eq!(value.nanoseconds % 1_000, 0);
            written(|out| calendar::write_interval(value.months, value.days, value.nanoseconds / 1_000, out))
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            shown(dictionary.values(), dictionary.normalized_keys()[row])
        }
        DataType::List(_) => items(&array.as_list::<i32>().value(row)),
        DataType::FixedSizeList(..) => items(&array.as_fixed_size_list().value(row)),
        DataType::Map(..) => {
            let pairs = array.as_map().value(row);
            let by_text = matches!(pairs.column(0).data_type(), DataType::Utf8 | DataType::Dictionary(..));
            let pair = |index| (shown(pairs.column(0), index), shown(pairs.column(1), index));
            let pairs = (0..pairs.len()).map(pair);
            if by_text {
                pairs.map(|(key, value)| (key.as_str().unwrap().to_owned(), value)).collect::<Map<_, _>>().into()
            } else {
                pairs.map(|(key, value)| json!([key, value])).collect()
            }
        }
        DataType::Struct(fields) => {
            let values = array.as_struct().columns().iter().map(|column| shown(column, row));
            if fields.iter().enumerate().all(|(index, field)| *field.name() == (index + 1).to_string()) {
                return values.collect();
            }
            fields.iter().map(|field| field.name().clone()).zip(values).collect::<Map<_, _>>().into()
        }
        DataType::Union(fields, _) => {
            let union = any.downcast_ref::<UnionArray>().unwrap();
            let id = union.type_id(row);
            if usize::try_from(id).unwrap() + 1 == fields.len() {
                return Value::Null;
            }
            let name = fields.iter().find(|(of, _)| *of == id).unwrap().1.name().clone();
            json!({ name: shown(union.child(id), row) })
        }
        other => panic!("{other} is in no answer"),
    }
}

fn items(values: &dyn Array) -> Value {
    (0..values.len()).map(|index| shown(values, index)).collect()
}

/// Every type's smallest and largest value and NULL, and the same nested: what Arrow has is what JSON
/// has, or the statement is refused and the column named.
#[test]
fn arrow_says_what_json_says_or_refuses() {
    let connection = Database::open().unwrap().connect().unwrap();
    let columns = connection.texts("SELECT column_name FROM (DESCRIBE FROM test_all_types())", &[]).unwrap();
    let mut refused = Vec::new();
    let mut equal = 0;
    for column in columns.iter().map(|row| row[0].as_ref().unwrap()) {
        for row in 0..3 {
            let all = format!("(SELECT \"{column}\" AS v FROM test_all_types() LIMIT 1 OFFSET {row})");
            for wrapped in ["v", "[v, NULL, v]", "{'a': v, 'b': [v]}", "map {1: v}", "union_value(m := v)"] {
                let sql = format!("SELECT {wrapped} AS x FROM {all}");
                match by_arrow(&sql) {
                    Ok(values) => {
                        assert_eq!(values, by_json(&sql), "{sql}");
                        equal += 1;
                    }
                    Err(failure) => {
                        assert_eq!(failure.kind, FailureKind::Sql, "{sql}: {failure}");
                        assert!(failure.message.starts_with("column \"x\" has "), "{sql}: {failure}");
                        refused.push(column.clone());
                    }
                }
            }
        }
    }
    refused.dedup();
    let [hugeint, time, infinite] = [&["hugeint"][..], &["time", "time_ns"], &["date_array", "timestamp_array"]];
    println!("{equal} equal, refused in: {refused:?}");
    assert!(equal > 600 && refused.len() < 20, "{equal} equal, refused: {refused:?}");
    for column in [hugeint, time, infinite].concat() {
        assert!(refused.iter().any(|refused| refused == column), "{column}: {refused:?}");
    }
}

#[test]
fn what_duckdb_bends_comes_through() {
    for (expression, value) in [
        ("340282366920938463463374607431768211455::UHUGEINT", json!("340282366920938463463374607431768211455")),
        ("0::UHUGEINT", json!("0")),
        ("99999999999999999999999999999999999999::HUGEINT", json!("99999999999999999999999999999999999999")),
        ("INTERVAL '-3 months 2 days 1 hour'", json!("P-3M2DT1H")),
        ("'12:00:00+02'::TIMETZ", json!("12:00:00+02:00")),
        ("'12:00:00-15:59:59'::TIMETZ", json!("12:00:00-15:59:59")),
        ("'0001101'::BIT", json!("0001101")),
        (
            "'-123456789012345678901234567890123456789012345678901234567890'::BIGNUM",
            json!("-123456789012345678901234567890123456789012345678901234567890"),
        ),
        ("NULL::UNION(a INTEGER, b VARCHAR)", Value::Null),
        ("union_value(a := NULL::INTEGER)", json!({"a": null})),
        ("[{'u': 18446744073709551616::UHUGEINT}]", json!([{"u": "18446744073709551616"}])),
    ] {
        let sql = format!("SELECT {expression} AS x");
        assert_eq!(by_arrow(&sql).unwrap(), std::slice::from_ref(&value), "{sql}");
        assert_eq!(by_json(&sql), std::slice::from_ref(&value), "{sql}");
    }
    for (expression, what) in [
        ("INTERVAL '2562048 hours'", "INTERVAL"),
        ("170141183460469231731687303715884105727::HUGEINT", "39 digits"),
        ("'24:00:00'::TIME", "24:00:00"),
        ("'infinity'::TIMESTAMPTZ", "infinite"),
        ("['-infinity'::DATE]", "infinite"),
        ("1::VARIANT", "VARIANT"),
    ] {
        let failure = by_arrow(&format!("SELECT 1 AS y, {expression} AS \"the column\"")).unwrap_err();
        assert!(failure.message.contains("column \"the column\"") && failure.message.contains(what), "{failure}");
    }
}

/// One text that stands in many rows is as long as all of them together when it is written.
#[test]
fn long_texts_make_small_batches() {
    let bytes = encode("SELECT repeat('x', 300000) AS x FROM range(100)", Format::Arrow).unwrap();
    let rows: Vec<usize> =
        StreamReader::try_new(bytes.as_slice(), None).unwrap().map(|batch| batch.unwrap().num_rows()).collect();
    assert!(rows.iter().sum::<usize>() == 100 && rows.iter().all(|rows| *rows <= 8), "{rows:?}");
}
