//! One value, as JSON or as the text of a CSV field.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::{
    calendar::{self, Unit},
    number,
};
use crate::duck::{Type, Vector};

/// Writes the value at `row` as JSON.
pub(super) fn write_json(vector: &Vector<'_>, row: usize, out: &mut Vec<u8>) {
    if vector.is_null(row) || *vector.ty() == Type::Null {
        out.extend_from_slice(b"null");
        return;
    }
    match vector.ty() {
        Type::HugeInt => {
            let value = vector.get::<i128>(row);
            number::write_json_integer(value < 0, value.unsigned_abs(), out);
        }
        Type::UHugeInt => number::write_json_integer(false, vector.get::<u128>(row), out),
        Type::Decimal { scale, .. } => number::write_json_decimal(unscaled(vector, row), *scale, out),
        Type::BigNum => match number::bignum_digits(vector.bytes(row)) {
            digits if digits.len() <= 15 => out.extend_from_slice(digits.as_bytes()),
            digits => write_text(&digits, out),
        },
        Type::Float => write_float(f64::from(vector.get::<f32>(row)), &vector.get::<f32>(row), out),
        Type::Double => write_float(vector.get::<f64>(row), &vector.get::<f64>(row), out),
        Type::List(_) | Type::Array(..) => write_list(vector, row, out),
        Type::Map(..) => write_map(vector, row, out),
        Type::Struct(fields) => write_struct(vector, fields, row, out),
        Type::Union(members) => write_union(vector, members, row, out),
        Type::Varchar | Type::Json => write_text(&String::from_utf8_lossy(vector.bytes(row)), out),
        Type::Enum(values) => write_text(enum_value(vector, values, row), out),
        Type::Boolean
        | Type::TinyInt
        | Type::SmallInt
        | Type::Integer
        | Type::BigInt
        | Type::UTinyInt
        | Type::USmallInt
        | Type::UInteger
        | Type::UBigInt => write_plain(vector, row, out),
        _ => {
            // What is left has a text without anything to escape.
            out.push(b'"');
            write_plain(vector, row, out);
            out.push(b'"');
        }
    }
}

/// Writes the value at `row`, which is not null, as plain text; nested values as JSON.
pub(super) fn write_plain(vector: &Vector<'_>, row: usize, out: &mut Vec<u8>) {
    match vector.ty() {
        Type::Null => {}
        Type::Boolean => out.extend_from_slice(if vector.get::<u8>(row) == 0 { b"false" } else { b"true" }),
        Type::TinyInt => write_number(vector.get::<i8>(row), out),
        Type::SmallInt => write_number(vector.get::<i16>(row), out),
        Type::Integer => write_number(vector.get::<i32>(row), out),
        Type::BigInt => write_number(vector.get::<i64>(row), out),
        Type::UTinyInt => write_number(vector.get::<u8>(row), out),
        Type::USmallInt => write_number(vector.get::<u16>(row), out),
        Type::UInteger => write_number(vector.get::<u32>(row), out),
        Type::UBigInt => write_number(vector.get::<u64>(row), out),
        Type::HugeInt => {
            let value = vector.get::<i128>(row);
            number::write_integer(value < 0, value.unsigned_abs(), out);
        }
        Type::UHugeInt => number::write_integer(false, vector.get::<u128>(row), out),
        Type::BigNum => out.extend_from_slice(number::bignum_digits(vector.bytes(row)).as_bytes()),
        Type::Decimal { scale, .. } => number::write_decimal(unscaled(vector, row), *scale, out),
        Type::Float => write_plain_float(f64::from(vector.get::<f32>(row)), &vector.get::<f32>(row), out),
        Type::Double => write_plain_float(vector.get::<f64>(row), &vector.get::<f64>(row), out),
        Type::Varchar | Type::Json => out.extend_from_slice(vector.bytes(row)),
        Type::Enum(values) => out.extend_from_slice(enum_value(vector, values, row).as_bytes()),
        Type::Blob | Type::Geometry => out.extend_from_slice(BASE64_STANDARD.encode(vector.bytes(row)).as_bytes()),
        Type::Bit => write_bits(vector.bytes(row), out),
        Type::Uuid => write_uuid(vector.get::<u128>(row), out),
        Type::Date => calendar::write_date(vector.get(row), out),
        Type::Time => calendar::write_time(vector.get(row), Unit::Micros, out),
        Type::TimeNs => calendar::write_time(vector.get(row), Unit::Nanos, out),
        Type::TimeTz => calendar::write_time_tz(vector.get(row), out),
        Type::Timestamp => calendar::write_timestamp(vector.get(row), Unit::Micros, "", out),
        Type::TimestampS => calendar::write_timestamp(vector.get(row), Unit::Seconds, "", out),
        Type::TimestampMs => calendar::write_timestamp(vector.get(row), Unit::Millis, "", out),
        Type::TimestampNs => calendar::write_timestamp(vector.get(row), Unit::Nanos, "", out),
        Type::TimestampTz => calendar::write_timestamp(vector.get(row), Unit::Micros, "Z", out),
        Type::Interval => {
            let [head, micros] = vector.get::<[i64; 2]>(row);
            // Months and days are 32 bits each, in this order.
            calendar::write_interval(head as i32, (head >> 32) as i32, micros, out);
        }
        Type::List(_) | Type::Array(..) | Type::Struct(_) | Type::Map(..) | Type::Union(_) => {
            write_json(vector, row, out);
        }
    }
}

/// A JSON string.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    write_serialised(text, out);
}

/// Digits.
pub(super) fn write_number(number: impl Serialize, out: &mut Vec<u8>) {
    write_serialised(&number, out);
}

fn write_serialised<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Neither a string nor a number can fail to serialise, nor a vector to be written to.
    let _ = serde_json::to_writer(out, value);
}

/// The shortest digits that read back as `value` in its own width; a word where JSON has none.
fn write_float(wide: f64, value: &impl Serialize, out: &mut Vec<u8>) {
    if wide.is_finite() {
        write_serialised(value, out);
    } else {
        out.push(b'"');
        write_plain_float(wide, value, out);
        out.push(b'"');
    }
}

fn write_plain_float(wide: f64, value: &impl Serialize, out: &mut Vec<u8>) {
    if wide.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if wide.is_infinite() {
        out.extend_from_slice(if wide > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else {
        write_serialised(value, out);
    }
}

fn write_list(vector: &Vector<'_>, row: usize, out: &mut Vec<u8>) {
    out.push(b'[');
    for (count, index) in vector.range(row).enumerate() {
        if count > 0 {
            out.push(b',');
        }
        write_json(vector.child(0), index, out);
    }
    out.push(b']');
}

/// An object where the keys are text, else a list of `[key, value]`: an object's keys can be
/// nothing but text.
fn write_map(vector: &Vector<'_>, row: usize, out: &mut Vec<u8>) {
    let (keys, values) = (vector.child(0), vector.child(1));
    let by_text = matches!(keys.ty(), Type::Varchar | Type::Enum(_));
    out.push(if by_text { b'{' } else { b'[' });
    for (count, index) in vector.range(row).enumerate() {
        if count > 0 {
            out.push(b',');
        }
        if !by_text {
            out.push(b'[');
        }
        write_json(keys, index, out);
        out.push(if by_text { b':' } else { b',' });
        write_json(values, index, out);
        if !by_text {
            out.push(b']');
        }
    }
    out.push(if by_text { b'}' } else { b']' });
}

/// An object; a list where the fields have no names.
fn write_struct(vector: &Vector<'_>, fields: &[(String, Type)], row: usize, out: &mut Vec<u8>) {
    let named = fields.iter().any(|(name, _)| !name.is_empty());
    out.push(if named { b'{' } else { b'[' });
    for (index, (name, _)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if named {
            write_text(name, out);
            out.push(b':');
        }
        write_json(vector.child(index), row, out);
    }
    out.push(if named { b'}' } else { b']' });
}

/// `{"member": value}`: which member it is would be lost otherwise.
fn write_union(vector: &Vector<'_>, members: &[(String, Type)], row: usize, out: &mut Vec<u8>) {
    let tag = usize::from(vector.child(0).get::<u8>(row));
    let Some((name, _)) = members.get(tag) else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'{');
    write_text(name, out);
    out.push(b':');
    write_json(vector.child(1 + tag), row, out);
    out.push(b'}');
}

pub(super) fn unscaled(vector: &Vector<'_>, row: usize) -> i128 {
    match vector.ty() {
        Type::Decimal { width: 0..=4, .. } => vector.get::<i16>(row).into(),
        Type::Decimal { width: 5..=9, .. } => vector.get::<i32>(row).into(),
        Type::Decimal { width: 10..=18, .. } => vector.get::<i64>(row).into(),
        _ => vector.get::<i128>(row),
    }
}

fn enum_value<'v>(vector: &Vector<'_>, values: &'v [String], row: usize) -> &'v str {
    values.get(enum_index(vector, values.len(), row)).map_or("", String::as_str)
}

/// Which of an enum's values it is; how many there are decides how wide the index is.
pub(super) fn enum_index(vector: &Vector<'_>, values: usize, row: usize) -> usize {
    match values {
        0..=0xff => vector.get::<u8>(row).into(),
        0x100..=0xffff => vector.get::<u16>(row).into(),
        _ => vector.get::<u32>(row) as usize,
    }
}

/// The first byte says how many bits at the front of the second are padding.
fn write_bits(raw: &[u8], out: &mut Vec<u8>) {
    let Some((padding, bytes)) = raw.split_first() else { return };
    let bits =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| if byte >> bit & 1 == 1 { b'1' } else { b'0' }));
    out.extend(bits.skip(usize::from(*padding)));
}

/// DuckDB turns the top bit over, so that UUIDs sort as signed integers.
fn write_uuid(raw: u128, out: &mut Vec<u8>) {
    let digits = format!("{:032x}", raw ^ (1 << 127));
    for (index, digit) in digits.bytes().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push(b'-');
        }
        out.push(digit);
    }
}
