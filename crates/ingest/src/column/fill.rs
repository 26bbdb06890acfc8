//! The loops that turn a block's cells into values.

use std::cell::Cell as Flag;

use super::{Cells, Column, Nulls, Target, Texts, Values};
use crate::{
    kind::KindSet,
    schema::ColumnType,
    value::{Form, Notation, Temporal, Value, is_lossless_double, parse_double_fast, parse_i64_fast, parse_temporal},
};

/// Adds the kinds of all cells to `seen`.
pub(super) fn observe(seen: &mut KindSet, cells: Cells<'_>) {
    for span in cells.spans() {
        if seen.is_decided_text() {
            return;
        }
        seen.insert(cells.notation.classify(span.bytes(cells.data)));
    }
}

/// Appends all cells; false where one of them is of a kind that the type doesn't hold.
pub(super) fn fill(column: &mut Column, target: Target, seen: &mut KindSet, cells: Cells<'_>) -> bool {
    let Column { nulls, values } = column;
    let Target { ty, declared, .. } = target;
    let notation = cells.notation;
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
            |cell| match parse_slow(ty, declared, seen, notation, cell)? {
                Value::Huge(value) => Some(value),
                _ => None,
            },
        ),
        Values::Boolean(values) => fill_with(
            values,
            nulls,
            cells,
            |_| None,
            |cell| match parse_slow(ty, declared, seen, notation, cell)? {
                Value::Boolean(value) => Some(value),
                _ => None,
            },
        ),
        Values::Double(values) => fill_doubles(values, nulls, declared, seen, cells),
    }
}

/// The loop of every column but text: `fast` first, then null, then `slow`; a cell that is none of
/// them ends it with false. Null comes first where a word for it may be a value.
#[inline]
fn fill_with<T>(
    values: &mut Vec<T>,
    nulls: &mut Nulls,
    cells: Cells<'_>,
    mut fast: impl FnMut(&[u8]) -> Option<T>,
    mut slow: impl FnMut(&[u8]) -> Option<T>,
) -> bool {
    let notation = cells.notation;
    let null_first = notation.may_null_be_a_value();
    values.reserve(cells.rows());
    for span in cells.spans() {
        let cell = span.bytes(cells.data);
        if null_first && notation.is_null(cell) {
            nulls.push_null();
            continue;
        }
        let value = match fast(cell) {
            Some(value) => value,
            None if notation.is_null(cell) => {
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
fn parse_slow(ty: ColumnType, declared: bool, seen: &mut KindSet, notation: &Notation, cell: &[u8]) -> Option<Value> {
    if !declared {
        let kind = notation.classify(cell);
        // A cell that doesn't fit is looked at again by whoever observes the block.
        if !ty.holds(kind) {
            return None;
        }
        seen.insert(kind);
    }
    notation.parse_declared(ty, cell)
}

fn fill_integers(
    values: &mut Vec<i64>,
    nulls: &mut Nulls,
    declared: bool,
    seen: &mut KindSet,
    cells: Cells<'_>,
) -> bool {
    let before = values.len();
    let notation = cells.notation;
    let slow = |cell: &[u8]| match parse_slow(ColumnType::BigInt, declared, seen, notation, cell)? {
        Value::Integer(value) => Some(value),
        _ => None,
    };
    let fits = if notation.is_plain() {
        fill_with(values, nulls, cells, parse_i64_fast, slow)
    } else {
        fill_with(values, nulls, cells, |cell| notation.in_plain_form(cell, parse_i64_fast), slow)
    };
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
    let notation = cells.notation;
    // One flag for each form: to set one needs no look at it, and the cells don't wait for each other.
    let forms = Form::ALL.map(|_| Flag::new(false));
    let note = |(value, form): (f64, Form)| {
        forms[form as usize].set(true);
        value
    };
    let mut slow_seen = KindSet::EMPTY;
    let slow = |cell: &[u8]| match parse_slow(ColumnType::Double, declared, &mut slow_seen, notation, cell)? {
        Value::Double(value) => Some(value),
        _ => None,
    };
    let fits = if notation.is_plain() {
        fill_with(values, nulls, cells, |cell| parse_double_fast(cell).map(note), slow)
    } else {
        fill_with(values, nulls, cells, |cell| notation.in_plain_form(cell, parse_double_fast).map(note), slow)
    };
    if fits && !declared {
        let fast_seen = Form::ALL.iter().zip(&forms).filter(|(_, flag)| flag.get());
        seen.insert(fast_seen.fold(slow_seen, |seen, (form, _)| seen.union(form.kind())));
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
    let slow = |cell: &[u8]| unwrap(parse_slow(ty, declared, seen, cells.notation, cell)?);
    let fits = fill_with(values, nulls, cells, fast, slow);
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
            seen.insert(cells.notation.classify(cell));
            decided = seen.is_decided_text();
        }
        if cells.notation.is_null_token(cell) && !span.is_quoted() {
            nulls.push_null();
            continue;
        }
        if span.is_escaped() {
            texts.push_unescaped(cell, cells.quoting);
        } else {
            texts.push(cell);
        }
        nulls.push_valid();
    }
}
