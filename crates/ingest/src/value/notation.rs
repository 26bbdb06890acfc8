//! How a file writes its numbers and its nulls.

use super::{
    declared::{self, Value},
    number::{is_grouped, parse_word},
    trim,
};
use crate::{kind::KindSet, schema::ColumnType};

/// Numbers of up to so many bytes are rewritten on the stack; longer ones are hardly ever numbers.
const SHORT: usize = 64;

/// How numbers and nulls are written. The default is a decimal point without marks between
/// thousands, and the words for null that everybody uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notation {
    /// The decimal mark and the one between thousands; `None` where nobody said how numbers are
    /// written. Then the decimal mark is a point, and cells that would be numbers with a decimal
    /// comma are told from other texts.
    marks: Option<Marks>,
    /// The words that mean null beside the empty cell; `None` for the default ones.
    nulls: Option<Words>,
}

/// What stands between the digits of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) decimal: u8,
    pub(crate) thousands: Option<u8>,
}

impl Marks {
    /// Numbers with these marks need no rewriting.
    const PLAIN: Self = Self { decimal: b'.', thousands: None };

    /// Writes `cell` to `plain`, which is no shorter, with a decimal point and without marks between
    /// thousands. `None` where its marks are not where they belong; whether the rest is a number
    /// is left to who reads it.
    fn rewrite<'b>(self, cell: &[u8], plain: &'b mut [u8]) -> Option<&'b [u8]> {
        let sign = usize::from(matches!(cell.first(), Some(b'-' | b'+')));
        let unsigned = cell.get(sign..)?;
        let is_whole = |byte: &u8| byte.is_ascii_digit() || Some(*byte) == self.thousands;
        let whole = unsigned.iter().take_while(|byte| is_whole(byte)).count();
        let (whole, rest) = unsigned.split_at(whole);
        let grouped_by = self.thousands.filter(|mark| whole.contains(mark));
        if grouped_by.is_some_and(|mark| !is_grouped(whole, mark)) {
            return None;
        }
        let (has_places, rest) = match rest.split_first() {
            Some((mark, places)) if *mark == self.decimal => (true, places),
            _ => (false, rest),
        };
        // A second mark has no place here, and nobody groups the digits of a number with an exponent.
        let may_end_in = |byte: &u8| match byte {
            b'0'..=b'9' => true,
            b'e' | b'E' | b'+' | b'-' => grouped_by.is_none(),
            _ => false,
        };
        if !rest.iter().all(may_end_in) {
            return None;
        }
        let sign = cell.get(..sign)?.iter();
        let point: &[u8] = if has_places { b"." } else { b"" };
        let bytes = sign.chain(whole.iter().filter(|byte| byte.is_ascii_digit())).chain(point).chain(rest);
        let mut len = 0;
        for (to, from) in plain.iter_mut().zip(bytes) {
            *to = *from;
            len += 1;
        }
        plain.get(..len)
    }
}

/// What `read` makes of `cell` without its marks. Not inlined: its buffer would burden the loops over
/// plain numbers.
#[inline(never)]
fn rewritten<T>(marks: Marks, cell: &[u8], read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    let (mut short, mut long) = ([0; SHORT], Vec::new());
    let room = if cell.len() <= SHORT {
        short.as_mut_slice()
    } else {
        long.resize(cell.len(), 0);
        long.as_mut_slice()
    };
    read(marks.rewrite(cell, room)?)
}

/// The caller's words for null.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Words {
    words: Vec<Vec<u8>>,
    /// Has the bit of each length that one of the words has: most cells are none by that alone.
    lengths: u128,
}

impl Words {
    fn new<'w>(words: impl IntoIterator<Item = &'w str>) -> Self {
        let words: Vec<Vec<u8>> = words.into_iter().map(|word| word.as_bytes().to_vec()).collect();
        let lengths = words.iter().fold(0, |lengths, word| lengths | length_bit(word));
        Self { words, lengths }
    }

    fn contains(&self, cell: &[u8]) -> bool {
        self.lengths & length_bit(cell) != 0 && self.words.iter().any(|word| word == cell)
    }
}

/// Long words share the highest bit.
fn length_bit(word: &[u8]) -> u128 {
    1 << word.len().min(127)
}

/// Exactly one of the spellings of null that count where the caller named none.
#[inline]
fn is_usual_null(cell: &[u8]) -> bool {
    match cell.len() {
        0 => true,
        2 => cell == b"NA",
        3 => cell == b"N/A",
        4 => cell == b"null" || cell == b"NULL",
        _ => false,
    }
}

impl Notation {
    /// The words that mean null where the caller names none.
    pub(crate) const USUAL_NULLS: [&str; 4] = ["N/A", "NA", "NULL", "null"];

    /// `marks`: how numbers are written, where the caller said it; `nulls`: the words that take the
    /// place of the usual ones.
    pub(crate) fn new(marks: Option<Marks>, nulls: Option<&[String]>) -> Self {
        Self { marks, nulls: nulls.map(|words| Words::new(words.iter().map(String::as_str))) }
    }

    /// Exactly one of the spellings of null.
    #[inline]
    pub(crate) fn is_null_token(&self, cell: &[u8]) -> bool {
        match &self.nulls {
            None => is_usual_null(cell),
            Some(words) => cell.is_empty() || words.contains(cell),
        }
    }

    /// Null in a column that is not text.
    #[inline]
    pub(crate) fn is_null(&self, cell: &[u8]) -> bool {
        self.is_null_token(cell) || self.is_null_token(trim(cell))
    }

    /// May a word for null look like a value, as `-999` does? Then the question whether a cell is null
    /// comes before any other.
    #[inline]
    pub(crate) const fn may_null_be_a_value(&self) -> bool {
        self.nulls.is_some()
    }

    /// The kind of one cell.
    pub(crate) fn classify(&self, cell: &[u8]) -> KindSet {
        if self.is_null(cell) { KindSet::NULL } else { self.kind_of_value(trim(cell)) }
    }

    /// Are numbers written as everything else here expects them?
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.marks.is_none_or(|marks| marks == Marks::PLAIN)
    }

    /// Did nobody say how numbers are written?
    pub(super) const fn is_guessed(&self) -> bool {
        self.marks.is_none()
    }

    /// What `read` makes of `cell`, a number in this notation, in its plain form.
    #[inline]
    pub(crate) fn in_plain_form<T>(&self, cell: &[u8], read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        match self.marks.filter(|marks| *marks != Marks::PLAIN) {
            None => read(cell),
            Some(marks) => rewritten(marks, cell, read),
        }
    }

    /// Reads a cell that is not null as `ty`, which the caller declared; `None` where it is no such
    /// value. Text is not read here.
    pub(crate) fn parse_declared(&self, ty: ColumnType, cell: &[u8]) -> Option<Value> {
        let cell = trim(cell);
        match ty {
            ColumnType::Double => match parse_word(cell) {
                Some(word) => Some(Value::Double(word)),
                None => self.in_plain_form(cell, |plain| declared::parse(ty, plain)),
            },
            ColumnType::BigInt | ColumnType::Decimal { .. } => {
                self.in_plain_form(cell, |plain| declared::parse(ty, plain))
            }
            _ => declared::parse(ty, cell),
        }
    }
}

#[cfg(test)]
mod tests;
