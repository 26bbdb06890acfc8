//! Arrow arrays from DuckDB's vectors.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array,
        DictionaryArray, FixedSizeListArray, IntervalMonthDayNanoArray, ListArray, MapArray, NullArray, PrimitiveArray,
        StringArray, StructArray, UnionArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{
        ArrowDictionaryKeyType, DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, IntervalMonthDayNano, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
        UInt64Type, i256,
    },
    error::ArrowError,
};

use super::{
    super::value::{self, enum_index, unscaled},
    form::{HUGE_DIGITS, UHUGE_DIGITS, refused},
};
use crate::duck::{Failure, FailureKind, Fixed, Type, Vector};

/// Where the values of an array lie in a vector; `None` where it is null.
pub(super) type Rows = [Option<usize>];

/// A day has so many nanoseconds; Arrow's times of day end before the next begins.
const DAY_NANOS: i64 = 86_400_000_000_000;

/// Makes the arrays of one column.
pub(super) struct Builder<'a> {
    pub(super) column: &'a str,
}

impl Builder<'_> {
    /// The values at `rows` as an array of the type `form`, which is that of the vector's own type.
    pub(super) fn array(&self, vector: &Vector<'_>, rows: &Rows, form: &DataType) -> Result<ArrayRef, Failure> {
        let rows: Vec<Option<usize>> = rows.iter().map(|row| row.filter(|row| !vector.is_null(*row))).collect();
        Ok(match vector.ty() {
            Type::Null => Arc::new(NullArray::new(rows.len())),
            Type::Boolean => {
                let bits = rows.iter().map(|row| row.map(|row| vector.get::<u8>(row) != 0));
                Arc::new(BooleanArray::from(bits.collect::<Vec<_>>()))
            }
            Type::TinyInt => numbers::<Int8Type>(vector, &rows),
            Type::SmallInt => numbers::<Int16Type>(vector, &rows),
            Type::Integer => numbers::<Int32Type>(vector, &rows),
            Type::BigInt => numbers::<Int64Type>(vector, &rows),
            Type::UTinyInt => numbers::<UInt8Type>(vector, &rows),
            Type::USmallInt => numbers::<UInt16Type>(vector, &rows),
            Type::UInteger => numbers::<UInt32Type>(vector, &rows),
            Type::UBigInt => numbers::<UInt64Type>(vector, &rows),
            Type::Float => numbers::<Float32Type>(vector, &rows),
            Type::Double => numbers::<Float64Type>(vector, &rows),
            Type::HugeInt | Type::UHugeInt | Type::Decimal { .. } => self.decimals(vector, &rows)?,
            Type::Varchar | Type::Json | Type::BigNum | Type::Bit | Type::Uuid | Type::TimeTz => texts(vector, &rows),
            Type::Blob | Type::Geometry => {
                Arc::new(rows.iter().map(|row| row.map(|row| vector.bytes(row))).collect::<BinaryArray>())
            }
            Type::Date
            | Type::Time
            | Type::TimeNs
            | Type::Timestamp
            | Type::TimestampS
            | Type::TimestampMs
            | Type::TimestampNs
            | Type::TimestampTz => self.moments(vector, &rows)?,
            Type::Interval => self.intervals(vector, &rows)?,
            Type::Enum(values) => {
                let words: ArrayRef = Arc::new(StringArray::from_iter_values(values));
                match values.len() {
                    0..=0xff => words_at::<UInt8Type>(vector, &rows, &words)?,
                    0x100..=0xffff => words_at::<UInt16Type>(vector, &rows, &words)?,
                    _ => words_at::<UInt32Type>(vector, &rows, &words)?,
                }
            }
            Type::List(_) | Type::Map(..) | Type::Array(..) => self.lists(vector, &rows, form)?,
            Type::Struct(_) | Type::Union(_) => self.records(vector, &rows, form)?,
        })
    }

    fn decimals(&self, vector: &Vector<'_>, rows: &Rows) -> Result<ArrayRef, Failure> {
        if *vector.ty() == Type::UHugeInt {
            let value = |row: usize| {
                let value = vector.get::<u128>(row);
                i256::from_parts(value, 0)
            };
            let array: Decimal256Array = rows.iter().map(|row| row.map(value)).collect();
            return Ok(Arc::new(array.with_precision_and_scale(UHUGE_DIGITS, 0).map_err(internal)?));
        }
        let (width, scale) = match vector.ty() {
            Type::Decimal { width, scale } => (*width, scale.cast_signed()),
            _ => (HUGE_DIGITS, 0),
        };
        let most = 10_u128.pow(u32::from(HUGE_DIGITS));
        let array: Decimal128Array = self.collect(rows, |row| {
            let value = unscaled(vector, row);
            let fits = value.unsigned_abs() < most;
            fits.then_some(value).ok_or("has a HUGEINT of 39 digits, and Arrow's decimals of 128 bits have 38")
        })?;
        Ok(Arc::new(array.with_precision_and_scale(width, scale).map_err(internal)?))
    }

    fn moments(&self, vector: &Vector<'_>, rows: &Rows) -> Result<ArrayRef, Failure> {
        let finite = |row: usize| {
            let value = vector.get::<i64>(row);
            (value.unsigned_abs() < i64::MAX.unsigned_abs())
                .then_some(value)
                .ok_or("has an infinite timestamp, which Arrow does not know")
        };
        let in_day = |day: i64| {
            move |row: usize| {
                let value = vector.get::<i64>(row);
                (value < day).then_some(value).ok_or("has the time 24:00:00, which Arrow does not know")
            }
        };
        Ok(match vector.ty() {
            Type::Date => Arc::new(self.collect::<PrimitiveArray<Date32Type>, _>(rows, |row| {
                let days = vector.get::<i32>(row);
                (days.unsigned_abs() < i32::MAX.unsigned_abs())
                    .then_some(days)
                    .ok_or("has an infinite date, which Arrow does not know")
            })?),
            Type::Time => {
                Arc::new(self.collect::<PrimitiveArray<Time64MicrosecondType>, _>(rows, in_day(DAY_NANOS / 1_000))?)
            }
            Type::TimeNs => Arc::new(self.collect::<PrimitiveArray<Time64NanosecondType>, _>(rows, in_day(DAY_NANOS))?),
            Type::TimestampS => Arc::new(self.collect::<PrimitiveArray<TimestampSecondType>, _>(rows, finite)?),
            Type::TimestampMs => Arc::new(self.collect::<PrimitiveArray<TimestampMillisecondType>, _>(rows, finite)?),
            Type::TimestampNs => Arc::new(self.collect::<PrimitiveArray<TimestampNanosecondType>, _>(rows, finite)?),
            ty => {
                let array = self.collect::<PrimitiveArray<TimestampMicrosecondType>, _>(rows, finite)?;
                Arc::new(if *ty == Type::TimestampTz { array.with_timezone("UTC") } else { array })
            }
        })
    }

    fn intervals(&self, vector: &Vector<'_>, rows: &Rows) -> Result<ArrayRef, Failure> {
        let array: IntervalMonthDayNanoArray = self.collect(rows, |row| {
            let [head, micros] = vector.get::<[i64; 2]>(row);
            let nanos =
                micros.checked_mul(1_000).ok_or("has an INTERVAL of more hours than Arrow counts (292 years)")?;
            // Months and days are 32 bits each, in this order.
            Ok(IntervalMonthDayNano::new(head as i32, (head >> 32) as i32, nanos))
        })?;
        Ok(Arc::new(array))
    }

    /// Lists, maps (which are lists of pairs) and arrays.
    fn lists(&self, vector: &Vector<'_>, rows: &Rows, form: &DataType) -> Result<ArrayRef, Failure> {
        let nulls = nulls(rows);
        let lengths = rows.iter().map(|row| row.map_or(0, |row| vector.range(row).len()));
        let inside = || rows.iter().flatten().flat_map(|row| vector.range(*row)).map(Some);
        Ok(match form {
            DataType::List(item) => {
                let children: Vec<Option<usize>> = inside().collect();
                let child = self.array(vector.child(0), &children, item.data_type())?;
                let offsets = offsets(lengths)?;
                Arc::new(ListArray::try_new(Arc::clone(item), offsets, child, nulls).map_err(internal)?)
            }
            DataType::Map(entries, ordered) => {
                let DataType::Struct(fields) = entries.data_type() else { return Err(mismatch()) };
                let children: Vec<Option<usize>> = inside().collect();
                let parts: Result<Vec<ArrayRef>, Failure> = fields
                    .iter()
                    .enumerate()
                    .map(|(index, field)| self.array(vector.child(index), &children, field.data_type()))
                    .collect();
                let pairs = StructArray::try_new(fields.clone(), parts?, None).map_err(internal)?;
                let offsets = offsets(lengths)?;
                let map = MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *ordered);
                Arc::new(map.map_err(internal)?)
            }
            DataType::FixedSizeList(item, size) => {
                let width = usize::try_from(*size).unwrap_or_default();
                let children: Vec<Option<usize>> = rows
                    .iter()
                    .flat_map(|row| (0..width).map(move |index| row.map(|row| row * width + index)))
                    .collect();
                let child = self.array(vector.child(0), &children, item.data_type())?;
                let list = FixedSizeListArray::try_new(Arc::clone(item), *size, child, nulls);
                Arc::new(list.map_err(internal)?)
            }
            _ => return Err(mismatch()),
        })
    }

    fn records(&self, vector: &Vector<'_>, rows: &Rows, form: &DataType) -> Result<ArrayRef, Failure> {
        match form {
            DataType::Struct(fields) => {
                let part = |(index, field): (usize, &Arc<arrow::datatypes::Field>)| {
                    self.array(vector.child(index), rows, field.data_type())
                };
                let parts: Result<Vec<ArrayRef>, Failure> = fields.iter().enumerate().map(part).collect();
                let array = StructArray::try_new_with_length(fields.clone(), parts?, nulls(rows), rows.len());
                Ok(Arc::new(array.map_err(internal)?))
            }
            DataType::Union(fields, _) => {
                // The last member says that the union itself is null: Arrow's have no nulls of their own.
                let null = i8::try_from(fields.len().saturating_sub(1)).map_err(|_| mismatch())?;
                let tag = |row: &Option<usize>| row.map_or(null, |row| vector.child(0).get::<u8>(row).cast_signed());
                let tags: Vec<i8> = rows.iter().map(tag).collect();
                let member = |(id, field): (i8, &Arc<arrow::datatypes::Field>)| -> Result<ArrayRef, Failure> {
                    if id == null {
                        return Ok(Arc::new(NullArray::new(rows.len())));
                    }
                    let own: Vec<Option<usize>> =
                        rows.iter().zip(&tags).map(|(row, tag)| row.filter(|_| *tag == id)).collect();
                    self.array(vector.child(1 + usize::from(id.cast_unsigned())), &own, field.data_type())
                };
                let members: Result<Vec<ArrayRef>, Failure> = fields.iter().map(member).collect();
                let array = UnionArray::try_new(fields.clone(), tags.into(), None, members?);
                Ok(Arc::new(array.map_err(internal)?))
            }
            _ => Err(mismatch()),
        }
    }

    /// Values of which some may be none that Arrow has; the error says what one is.
    fn collect<A: FromIterator<Option<N>>, N>(
        &self,
        rows: &Rows,
        value: impl Fn(usize) -> Result<N, &'static str>,
    ) -> Result<A, Failure> {
        let values = rows.iter().map(|row| row.map(&value).transpose());
        values.collect::<Result<A, _>>().map_err(|what| refused(self.column, what))
    }
}

fn numbers<T: ArrowPrimitiveType>(vector: &Vector<'_>, rows: &Rows) -> ArrayRef
where
    T::Native: Fixed,
{
    Arc::new(rows.iter().map(|row| row.map(|row| vector.get::<T::Native>(row))).collect::<PrimitiveArray<T>>())
}

fn texts(vector: &Vector<'_>, rows: &Rows) -> ArrayRef {
    let text = |row: usize| {
        let mut text = Vec::new();
        value::write_plain(vector, row, &mut text);
        String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    };
    match vector.ty() {
        // DuckDB's text is UTF-8 already.
        Type::Varchar | Type::Json => {
            let text = |row: usize| String::from_utf8_lossy(vector.bytes(row));
            Arc::new(rows.iter().map(|row| row.map(text)).collect::<StringArray>())
        }
        _ => Arc::new(rows.iter().map(|row| row.map(text)).collect::<StringArray>()),
    }
}

fn words_at<K: ArrowDictionaryKeyType>(vector: &Vector<'_>, rows: &Rows, words: &ArrayRef) -> Result<ArrayRef, Failure>
where
    K::Native: Fixed + TryFrom<usize>,
{
    let key = |row: usize| K::Native::try_from(enum_index(vector, words.len(), row)).ok();
    let keys: PrimitiveArray<K> = rows.iter().map(|row| row.and_then(key)).collect();
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(words)).map_err(internal)?))
}

fn nulls(rows: &Rows) -> Option<NullBuffer> {
    rows.iter().any(Option::is_none).then(|| rows.iter().map(Option::is_some).collect())
}

fn offsets(lengths: impl Iterator<Item = usize> + Clone) -> Result<OffsetBuffer<i32>, Failure> {
    // More can't be counted, and would not fit the memory either.
    match i32::try_from(lengths.clone().sum::<usize>()) {
        Ok(_) => Ok(OffsetBuffer::from_lengths(lengths)),
        Err(_) => Err(Failure::new(FailureKind::Memory, "a list is too long for Arrow")),
    }
}

fn mismatch() -> Failure {
    Failure::new(FailureKind::Internal, "an Arrow type does not fit its vector")
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
pub(super) fn internal(error: ArrowError) -> Failure {
    Failure::new(FailureKind::Internal, format!("write Arrow stream: {error}"))
}
