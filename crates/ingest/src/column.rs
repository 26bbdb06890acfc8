//! Columns in memory, on their way from CSV cells to Parquet pages.

use std::cell::Cell as Flag;

use crate::{
    csv::Span,
    kind::KindSet,
    schema::ColumnType,
    value::{
        Temporal, Value, classify, is_lossless_double, is_null, is_null_token, parse_declared, parse_double_fast,
        parse_i64_fast, parse_temporal,
    },
};

/// Which rows are null; costs nothing as long as none is.
#[derive(Debug, Default)]
pub(crate) struct Nulls {
    /// A set bit is a null. Rows past the end are not null.
    words: Vec<u64>,
    pub(crate) rows: usize,
    pub(crate) nulls: usize,
}

impl Nulls {
    #[inline]
    const fn push_valid(&mut self) {
        self.rows += 1;
    }

    fn push_null(&mut self) {
        let word = self.rows / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (self.rows % 64);
        self.rows += 1;
        self.nulls += 1;
    }

    /// The validity of the 64 rows from `row` on, the first in the lowest bit; a set bit is a value.
    pub(crate) fn valid_word(&self, row: usize) -> u64 {
        let (word, shift) = (row / 64, row % 64);
        let at = |word: usize| self.words.get(word).copied().unwrap_or(0);
        let low = at(word) >> shift;
        let high = if shift == 0 { 0 } else { at(word + 1) << (64 - shift) };
        !(low | high)
    }

    /// Values among the rows `from..to`.
    pub(crate) fn valid_between(&self, from: usize, to: usize) -> usize {
        if self.nulls == 0 {
            return to - from;
        }
        (from..to)
            .step_by(64)
            .map(|row| {
                let word = self.valid_word(row);
                let width = (to - row).min(64);
                (word << (64 - width)).count_ones() as usize
            })
            .sum()
    }
}

/// Texts end to end.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    ends: Vec<u32>,
    bytes: Vec<u8>,
}

impl Texts {
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[start..self.ends[i] as usize]
    }

    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.end();
    }

    fn end(&mut self) {
        // A piece with its last record is far below 4 GiB.
        self.ends.push(self.bytes.len() as u32);
    }

    /// Pushes a quoted field's content, in which each quote stands twice.
    fn push_unescaped(&mut self, mut content: &[u8], quote: u8) {
        while let Some(at) = memchr::memchr(quote, content) {
            self.bytes.extend_from_slice(&content[..=at]);
            content = content.get(at + 2..).unwrap_or_default();
        }
        self.bytes.extend_from_slice(content);
        self.end();
    }
}

/// The values that are not null, in order.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int128(Vec<i128>),
    Double(Vec<f64>),
    Text(Texts),
}

impl Values {
    fn empty(ty: ColumnType) -> Self {
        match ty {
            ColumnType::Boolean => Self::Boolean(Vec::new()),
            ColumnType::BigInt | ColumnType::Time | ColumnType::Timestamp | ColumnType::TimestampTz => {
                Self::Int64(Vec::new())
            }
            ColumnType::Date => Self::Int32(Vec::new()),
            ColumnType::Decimal { .. } => Self::Int128(Vec::new()),
            ColumnType::Double => Self::Double(Vec::new()),
            ColumnType::Varchar => Self::Text(Texts::default()),
        }
    }
}

/// A column of one piece.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) nulls: Nulls,
    pub(crate) values: Values,
}

/// What a column is to become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) ty: ColumnType,
    /// Said by the caller: the type is not up for debate.
    pub(crate) declared: bool,
    /// Kinds that the column is known to have: what is decided needs no second look.
    pub(crate) known: KindSet,
}

/// The cells of one column in a block.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) spans: &'a [Span],
    pub(crate) column: usize,
    pub(crate) columns: usize,
    pub(crate) quote: u8,
}

impl<'a> Cells<'a> {
    #[inline]
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> + use<'a> {
        self.spans.iter().skip(self.column).step_by(self.columns).copied()
    }

    fn rows(&self) -> usize {
        self.spans.len() / self.columns
    }
}

/// Builds a column of one piece; or, where the cells turn out to be of another kind than was
/// guessed, only looks at them.
pub(crate) struct ColumnBuilder {
    target: Target,
    seen: KindSet,
    /// `None` once a cell did not fit, or where only the kinds are wanted.
    column: Option<Column>,
}

impl ColumnBuilder {
    pub(crate) fn new(target: Target) -> Self {
        let column = Column { nulls: Nulls::default(), values: Values::empty(target.ty) };
        Self { target, seen: target.known, column: Some(column) }
    }

    /// One that only finds out which kinds there are.
    pub(crate) const fn observer(target: Target) -> Self {
        Self { target, seen: target.known, column: None }
    }

    pub(crate) fn append(&mut self, cells: Cells<'_>) {
        if let Some(column) = &mut self.column {
            if fill(column, self.target, &mut self.seen, cells) {
                return;
            }
            self.column = None;
        }
        if !self.target.declared {
            observe(&mut self.seen, cells);
        }
    }

    /// The column, unless it did not fit, and the kinds that were seen.
    pub(crate) fn finish(self) -> (Option<Column>, KindSet) {
        (self.column, self.seen)
    }
}

/// Adds the kinds of all cells to `seen`.
fn observe(seen: &mut KindSet, cells: Cells<'_>) {
    for span in cells.spans() {
        if seen.is_decided_text() {
            return;
        }
        seen.insert(classify(span.bytes(cells.data)));
    }
}

/// Appends all cells; false where one of them is of a kind that the type doesn't hold.
fn fill(column: &mut Column, target: Target, seen: &mut KindSet, cells: Cells<'_>) -> bool {
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

#[cfg(test)]
mod tests;
