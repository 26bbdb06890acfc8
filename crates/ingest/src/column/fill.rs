//! The loops that turn a block's cells into values.

use std::cell::Cell as Flag;

use super::{Cells, Column, Nulls, Target, Texts, Values};
use crate::{
    kind::KindSet,
    schema::ColumnType,
    value::{
        Temporal, Value, classify, is_lossless_double, is_null, is_null_token, parse_declared, parse_double_fast,
        parse_i64_fast, parse_temporal,
    },
};

/// Adds the kinds of all cells to `seen`.
pub(super) fn observe(seen: &mut KindSet, cells: Cells<'_>) {
    for span in cells.spans() {
        if seen.is_decided_text() {
            return;
        }
        seen.insert(classify(span.bytes(cells.data)));
    }
}

/// Appends all cells; false where one of them is of a kind that the type doesn't hold.
pub(super) fn fill(column: &mut Column, target: Target, seen: &mut KindSet, cells: Cells<'_>) -> bool {
    let Column { nulls, values } = column;
    let ty = target.ty;
    let declared = target.declared;
    match values {
        Values::Text(texts) => {
            fill_text(texts, nulls, target, seen, cells);
            true
        }
        Values::Int64(values) if ty == ColumnType::BigInt => fill_integers(values, nulls, declared, seen, cells),
        Values::Int64(values) => {
            let unwrap = |value| if let Value::Micros(micros) = value { Some(micros) } else { None };
            fill_temporal(values, nulls, target, seen, cells, unwrap)
        }
        Values::Int32(values) => {
            let unwrap = |value| if let Value::Days(days) = value { Some(days) } else { None };
            fill_temporal(values, nulls, target, seen, cells, unwrap)
        }
        Values::Int128(values) => fill_with(
            values,
            nulls,
            cells,
            |_| None,
            |cell| match parse_slow(ty, declared, seen, cell)? {
                Value::Huge(value) => Some(value),
                _ => None,
            },
        ),
        Values::Boolean(values) => fill_with(
            values,
            nulls,
            cells,
            |_| None,
            |cell| match parse_slow(ty, declared, seen, cell)? {
                Value::Boolean(value) => Some(value),
                _ => None,
            },
        ),
        Values::Double(values) => fill_doubles(values, nulls, declared, seen, cells),
    }
}

/// The loop of every column but text: `fast` first, then null, then `slow`; a cell that is none of
/// them ends it with false.
#[inline]
fn fill_with<T>(
    values: &mut Vec<T>,
    nulls: &mut Nulls,
    cells: Cells<'_>,
    mut fast: impl FnMut(&[u8]) -> Option<T>,
    mut slow: impl FnMut(&[u8]) -> Option<T>,
) -> bool {
    values.reserve(cells.rows());
    for span in cells.spans() {
        let cell = span.bytes(cells.data);
        let value = match fast(cell) {
            Some(value) => value,
            None if is_null(cell) => {
                nulls.push_null();
                continue;
            }
            None => match slow(cell) {
                Some(value) => value,
                None => return false,
            },
        };
        values.push(value);
        nulls.push_valid();
    }
    true
}

/// Reads a cell that is not null. An inferred type takes the kinds that resolve to it, and no other.
fn parse_slow(ty: ColumnType, declared: bool, seen: &mut KindSet, cell: &[u8]) -> Option<Value> {
    if !declared {
        let kind = classify(cell);
        // A cell that doesn't fit is looked at again by whoever observes the block.
        if !ty.holds(kind) {
            return None;
        }
        seen.insert(kind);
    }
    parse_declared(ty, cell)
}

fn fill_integers(
    values: &mut Vec<i64>,
    nulls: &mut Nulls,
    declared: bool,
    seen: &mut KindSet,
    cells: Cells<'_>,
) -> bool {
    let before = values.len();
    let fits = fill_with(values, nulls, cells, parse_i64_fast, |cell| {
        match parse_slow(ColumnType::BigInt, declared, seen, cell)? {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    });
    let new = &values[before..];
    if fits && !declared && !new.is_empty() {
        seen.insert(KindSet::INTEGER);
        if !seen.contains(KindSet::INTEGER_WIDE) && new.iter().any(|value| !is_lossless_double(i128::from(*value))) {
            seen.insert(KindSet::INTEGER_WIDE);
        }
    }
    fits
}

fn fill_doubles(
    values: &mut Vec<f64>,
    nulls: &mut Nulls,
    declared: bool,
    seen: &mut KindSet,
    cells: Cells<'_>,
) -> bool {
    let (integers, floats) = (Flag::new(false), Flag::new(false));
    let fast = |cell: &[u8]| {
        let (value, has_point) = parse_double_fast(cell)?;
        let flag = if has_point { &floats } else { &integers };
        flag.set(true);
        Some(value)
    };
    let mut slow_seen = KindSet::EMPTY;
    let fits = fill_with(values, nulls, cells, fast, |cell| {
        match parse_slow(ColumnType::Double, declared, &mut slow_seen, cell)? {
            Value::Double(value) => Some(value),
            _ => None,
        }
    });
    if fits && !declared {
        seen.insert(slow_seen);
        if integers.get() {
            seen.insert(KindSet::INTEGER);
        }
        if floats.get() {
            seen.insert(KindSet::FLOAT);
        }
    }
    fits
}

/// Dates, times and timestamps: the type's own form goes the fast way, others that it holds (a date
/// among timestamps) the slow one.
fn fill_temporal<T>(
    values: &mut Vec<T>,
    nulls: &mut Nulls,
    Target { ty, declared, .. }: Target,
    seen: &mut KindSet,
    cells: Cells<'_>,
    unwrap: impl Fn(Value) -> Option<T>,
) -> bool {
    let own = Flag::new(KindSet::EMPTY);
    let fast = |cell: &[u8]| {
        let (kind, value) = match (ty, parse_temporal(cell)?) {
            (ColumnType::Date, Temporal::Date(days)) => (KindSet::DATE, Value::Days(days)),
            (ColumnType::Time, Temporal::Time(micros)) => (KindSet::TIME, Value::Micros(micros)),
            (ColumnType::Timestamp, Temporal::Timestamp(micros)) => (KindSet::TIMESTAMP, Value::Micros(micros)),
            (ColumnType::TimestampTz, Temporal::TimestampTz(micros)) => (KindSet::TIMESTAMP_TZ, Value::Micros(micros)),
            _ => return None,
        };
        own.set(kind);
        unwrap(value)
    };
    let fits = fill_with(values, nulls, cells, fast, |cell| unwrap(parse_slow(ty, declared, seen, cell)?));
    if fits && !declared {
        seen.insert(own.get());
    }
    fits
}

fn fill_text(texts: &mut Texts, nulls: &mut Nulls, target: Target, seen: &mut KindSet, cells: Cells<'_>) {
    let mut decided = target.declared || seen.is_decided_text();
    texts.ends.reserve(cells.rows());
    for span in cells.spans() {
        let cell = span.bytes(cells.data);
        if !decided {
            seen.insert(classify(cell));
            decided = seen.is_decided_text();
        }
        if is_null_token(cell) && !span.is_quoted() {
            nulls.push_null();
            continue;
        }
        if span.is_escaped() {
            texts.push_unescaped(cell, cells.quote);
        } else {
            texts.push(cell);
        }
        nulls.push_valid();
    }
}
