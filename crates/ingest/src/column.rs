//! Columns in memory, on their way from CSV cells to Parquet pages.

mod fill;

use self::fill::{fill, observe};
use crate::{
    csv::{Quoting, Span},
    kind::KindSet,
    schema::ColumnType,
    value::Notation,
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

    /// Pushes a quoted field's content without what escapes its characters.
    fn push_unescaped(&mut self, content: &[u8], quoting: Quoting) {
        quoting.unescape(content, &mut self.bytes);
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
    pub(crate) quoting: Quoting,
    pub(crate) notation: &'a Notation,
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

#[cfg(test)]
mod tests;
