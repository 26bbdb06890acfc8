//! Which Arrow type each of DuckDB's has. Where Arrow has none that holds every value, it is text.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit, UnionFields, UnionMode};

use crate::duck::{Failure, Stream, Type};

/// Digits of HUGEINT in Arrow: all sums have fewer, and readers know 128 bits better than 256.
pub(super) const HUGE_DIGITS: u8 = 38;

/// Digits of the largest UHUGEINT.
pub(super) const UHUGE_DIGITS: u8 = 39;

/// A union's members have numbers of 7 bits, and one stands for "the union itself is null".
const MOST_MEMBERS: usize = 126;

/// How a result looks in Arrow.
pub(super) fn schema(stream: &Stream<'_>) -> Result<SchemaRef, Failure> {
    let fields: Result<Vec<Field>, Failure> =
        stream.columns().iter().map(|column| field(&column.name, &column.ty, &column.name)).collect();
    Ok(Arc::new(Schema::new(fields?)))
}

fn field(name: &str, ty: &Type, column: &str) -> Result<Field, Failure> {
    let field = Field::new(name, data_type(ty, column)?, true);
    Ok(match ty {
        // A name that readers of geometries look for.
        Type::Geometry => field.with_metadata(
            [("ARROW:extension:name", "geoarrow.wkb"), ("ARROW:extension:metadata", "{}")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
        _ => field,
    })
}

fn data_type(ty: &Type, column: &str) -> Result<DataType, Failure> {
    let child = |name: &str, ty: &Type| field(name, ty, column).map(Arc::new);
    Ok(match ty {
        Type::Null => DataType::Null,
        Type::Boolean => DataType::Boolean,
        Type::TinyInt => DataType::Int8,
        Type::SmallInt => DataType::Int16,
        Type::Integer => DataType::Int32,
        Type::BigInt => DataType::Int64,
        Type::UTinyInt => DataType::UInt8,
        Type::USmallInt => DataType::UInt16,
        Type::UInteger => DataType::UInt32,
        Type::UBigInt => DataType::UInt64,
        Type::HugeInt => DataType::Decimal128(HUGE_DIGITS, 0),
        Type::UHugeInt => DataType::Decimal256(UHUGE_DIGITS, 0),
        Type::Float => DataType::Float32,
        Type::Double => DataType::Float64,
        Type::Decimal { width, scale } => DataType::Decimal128(*width, scale.cast_signed()),
        Type::Varchar | Type::Json | Type::BigNum | Type::Bit | Type::Uuid | Type::TimeTz => DataType::Utf8,
        Type::Blob | Type::Geometry => DataType::Binary,
        Type::Date => DataType::Date32,
        Type::Time => DataType::Time64(TimeUnit::Microsecond),
        Type::TimeNs => DataType::Time64(TimeUnit::Nanosecond),
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TimestampS => DataType::Timestamp(TimeUnit::Second, None),
        Type::TimestampMs => DataType::Timestamp(TimeUnit::Millisecond, None),
        Type::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        Type::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Type::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        Type::Enum(values) => {
            let index = match values.len() {
                0..=0xff => DataType::UInt8,
                0x100..=0xffff => DataType::UInt16,
                _ => DataType::UInt32,
            };
            DataType::Dictionary(Box::new(index), Box::new(DataType::Utf8))
        }
        Type::List(item) => DataType::List(child("l", item)?),
        Type::Array(item, size) => {
            let size = i32::try_from(*size).map_err(|_| refused(column, "has an ARRAY that is too long for Arrow"))?;
            DataType::FixedSizeList(child("l", item)?, size)
        }
        Type::Struct(fields) => DataType::Struct(struct_fields(fields, column)?),
        Type::Map(key, value) => {
            let key = field("key", key, column)?.with_nullable(false);
            let entries = Fields::from(vec![key, field("value", value, column)?]);
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
        }
        Type::Union(members) if members.len() > MOST_MEMBERS => {
            return Err(refused(column, "has a UNION of too many members for Arrow"));
        }
        Type::Union(members) => {
            let mut fields: Vec<Field> =
                members.iter().map(|(name, ty)| field(name, ty, column)).collect::<Result<_, _>>()?;
            fields.push(Field::new("null", DataType::Null, true));
            let fields = UnionFields::try_new((0_i8..).take(fields.len()), fields)
                .map_err(|error| refused(column, &format!("has no form in Arrow ({error})")))?;
            DataType::Union(fields, UnionMode::Sparse)
        }
    })
}

/// Fields without names are numbered from 1, as SQL does it: readers want names that differ.
fn struct_fields(fields: &[(String, Type)], column: &str) -> Result<Fields, Failure> {
    let named = |(index, (name, ty)): (usize, &(String, Type))| match name.as_str() {
        "" => field(&(index + 1).to_string(), ty, column),
        name => field(name, ty, column),
    };
    fields.iter().enumerate().map(named).collect()
}

/// A column, or a value in it, that Arrow can't hold: it is the caller's to choose what becomes of it.
pub(super) fn refused(column: &str, what: &str) -> Failure {
    Failure::sql(format!("column \"{column}\" {what}: cast it to VARCHAR, or ask for JSON or CSV"))
}
