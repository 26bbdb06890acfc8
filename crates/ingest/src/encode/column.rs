//! The encoder of one column: rows in, a column chunk for each row group out.

use parquet::basic::Encoding;

use super::{
    bits::width_of,
    delta,
    dictionary::{Dictionary, Store as _, Strings, Words},
    hybrid::{self, Levels},
    page::{Codec, Pages},
    statistics::Bounds,
};
use crate::{
    Error,
    column::{Column, Texts, Values},
    schema::ColumnType,
};

/// Where pages and dictionaries end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageLimits {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) dictionary_bytes: usize,
}

/// A finished column chunk.
pub(crate) struct EncodedColumn {
    pub(super) ty: ColumnType,
    pub(super) pages: Pages,
    pub(super) rows: u64,
    pub(super) nulls: u64,
    pub(super) distinct: Option<u64>,
    pub(super) bounds: Bounds,
}

/// Encodes one column. A dictionary is tried in every row group until one turns out not to pay.
pub(crate) struct ColumnEncoder {
    ty: ColumnType,
    limits: PageLimits,
    dictionary: Distinct,
    /// False once most values were distinct.
    dictionary_pays: bool,
    /// Has the dictionary been held against the first values of the group?
    judged: bool,
    open: OpenPage,
    chunk: EncodedColumn,
}

enum Distinct {
    None,
    /// No longer added to, but pages of the group refer to it.
    Closed(Box<Distinct>),
    Words(Dictionary<Words>),
    Strings(Dictionary<Strings>),
}

/// Values after which a dictionary must have shown that it pays.
const JUDGED_AFTER: usize = 8192;

/// The page that is being filled: indices into the dictionary, or else the values.
#[derive(Default)]
struct OpenPage {
    levels: Levels,
    indices: Vec<u32>,
    /// Integers, and the lengths of texts.
    numbers: Vec<i64>,
    /// Everything else, as plain bytes.
    bytes: Vec<u8>,
}

impl OpenPage {
    fn size(&self) -> usize {
        self.indices.len() * 2 + self.numbers.len() * 4 + self.bytes.len()
    }

    fn clear(&mut self) {
        self.levels.clear();
        self.indices.clear();
        self.numbers.clear();
        self.bytes.clear();
    }
}

impl ColumnEncoder {
    pub(crate) fn new(ty: ColumnType, limits: PageLimits) -> Self {
        let dictionary_pays = ty != ColumnType::Boolean;
        Self {
            ty,
            limits,
            dictionary: Distinct::of(ty, dictionary_pays),
            dictionary_pays,
            judged: false,
            open: OpenPage::default(),
            chunk: EncodedColumn::empty(ty),
        }
    }

    /// Appends the rows of one piece.
    pub(crate) fn append(&mut self, column: &Column, codec: &mut Codec) -> Result<(), Error> {
        let nulls = &column.nulls;
        let (mut row, mut value) = (0, 0);
        while row < nulls.rows {
            let room = self.limits.rows - self.open.levels.rows;
            // Not far past the point where the dictionary is judged.
            let step = if self.judged { room } else { room.min(JUDGED_AFTER) };
            let end = (row + step).min(nulls.rows);
            let values = nulls.valid_between(row, end);
            self.open.levels.append(nulls, row..end, end - row - values);
            self.append_values(&column.values, value, values);
            let is_full = self.dictionary.bytes() > self.limits.dictionary_bytes;
            if !self.judged && (is_full || self.open.indices.len() >= JUDGED_AFTER) {
                self.dictionary_pays = self.judge();
            }
            row = end;
            value += values;
            if self.open.levels.rows >= self.limits.rows || self.open.size() >= self.limits.bytes {
                self.close_page(codec)?;
            }
            if is_full {
                self.close_dictionary(codec)?;
            }
        }
        Ok(())
    }

    /// Ends the row group.
    pub(crate) fn finish_group(&mut self, codec: &mut Codec) -> Result<EncodedColumn, Error> {
        if !self.judged {
            // Of so few values nothing follows for the next group.
            self.judge();
        }
        self.close_page(codec)?;
        let dictionary = std::mem::replace(&mut self.dictionary, Distinct::of(self.ty, self.dictionary_pays));
        self.judged = false;
        let mut chunk = std::mem::replace(&mut self.chunk, EncodedColumn::empty(self.ty));
        let all_in_dictionary = matches!(dictionary, Distinct::Words(_) | Distinct::Strings(_));
        if let Some(entries) = dictionary.entries().filter(|entries| *entries > 0) {
            if all_in_dictionary {
                dictionary.bound(self.ty, &mut chunk.bounds);
                chunk.distinct = Some(entries as u64);
            }
            codec.plain.clear();
            dictionary.write(self.ty, &mut codec.plain);
            chunk.pages.put_dictionary(entries, codec)?;
        }
        Ok(chunk)
    }

    fn append_values(&mut self, values: &Values, from: usize, count: usize) {
        let to = from + count;
        let open = &mut self.open;
        let bounds = &mut self.chunk.bounds;
        match (values, &mut self.dictionary) {
            (Values::Int32(values), Distinct::Words(words)) => {
                let bits = |value: &i32| u64::from(value.cast_unsigned());
                open.indices.extend(values[from..to].iter().map(|value| words.intern(bits(value))));
            }
            (Values::Int64(values), Distinct::Words(words)) => {
                open.indices.extend(values[from..to].iter().map(|value| words.intern(value.cast_unsigned())));
            }
            (Values::Double(values), Distinct::Words(words)) => {
                open.indices.extend(values[from..to].iter().map(|value| words.intern(value.to_bits())));
            }
            (Values::Int128(values), Distinct::Strings(strings)) => {
                open.indices.extend(values[from..to].iter().map(|value| strings.intern(&value.to_be_bytes())));
            }
            (Values::Text(texts), Distinct::Strings(strings)) => {
                open.indices.extend((from..to).map(|i| strings.intern(texts.get(i))));
            }
            (Values::Boolean(values), _) => {
                values[from..to].iter().for_each(|value| bounds.add_boolean(*value));
                open.bytes.extend(values[from..to].iter().map(|value| u8::from(*value)));
            }
            (Values::Int32(values), _) => {
                let numbers = || values[from..to].iter().map(|value| i64::from(*value));
                bounds.add_integers(numbers());
                open.numbers.extend(numbers());
            }
            (Values::Int64(values), _) => {
                bounds.add_integers(values[from..to].iter().copied());
                open.numbers.extend_from_slice(&values[from..to]);
            }
            (Values::Double(values), _) => {
                bounds.add_doubles(values[from..to].iter().copied());
                open.bytes.extend(values[from..to].iter().flat_map(|value| value.to_le_bytes()));
            }
            (Values::Int128(values), _) => {
                values[from..to].iter().for_each(|value| bounds.add_huge(*value));
                open.bytes.extend(values[from..to].iter().flat_map(|value| value.to_be_bytes()));
            }
            (Values::Text(texts), _) => append_texts(open, bounds, texts, from, to),
        }
    }

    /// Drops a dictionary that has shown that most values are distinct, and says whether it stays.
    /// Nothing refers to it yet but the open page, whose indices become values again.
    fn judge(&mut self) -> bool {
        self.judged = true;
        let entries = self.dictionary.entries().unwrap_or(0);
        if !self.chunk.pages.is_empty() || entries * 2 <= self.open.indices.len() {
            return true;
        }
        let dictionary = std::mem::replace(&mut self.dictionary, Distinct::None);
        let indices = std::mem::take(&mut self.open.indices);
        dictionary.bound(self.ty, &mut self.chunk.bounds);
        dictionary.resolve(self.ty, &indices, &mut self.open);
        false
    }

    /// Stops adding to a dictionary that is large enough.
    fn close_dictionary(&mut self, codec: &mut Codec) -> Result<(), Error> {
        if matches!(self.dictionary, Distinct::None | Distinct::Closed(_)) {
            return Ok(());
        }
        self.close_page(codec)?;
        self.dictionary.bound(self.ty, &mut self.chunk.bounds);
        let dictionary = std::mem::replace(&mut self.dictionary, Distinct::None);
        self.dictionary = Distinct::Closed(Box::new(dictionary));
        Ok(())
    }

    fn close_page(&mut self, codec: &mut Codec) -> Result<(), Error> {
        let open = &mut self.open;
        if open.levels.rows == 0 {
            return Ok(());
        }
        codec.plain.clear();
        open.levels.encode(&mut codec.plain);
        let entries = self.dictionary.entries().unwrap_or(0);
        let encoding = match (&self.dictionary, self.ty) {
            // As long as there are only nulls there is no dictionary to refer to.
            (Distinct::Words(_) | Distinct::Strings(_), _) if entries > 0 => {
                // Some readers don't take a width of zero.
                let width = width_of(entries.saturating_sub(1) as u64).max(1);
                codec.plain.push(width);
                hybrid::encode(&open.indices, width, &mut codec.plain);
                Encoding::RLE_DICTIONARY
            }
            (_, ColumnType::Varchar) => {
                delta::encode(&open.numbers, &mut codec.plain);
                codec.plain.extend_from_slice(&open.bytes);
                Encoding::DELTA_LENGTH_BYTE_ARRAY
            }
            (_, ColumnType::Boolean) => {
                codec.plain.extend(
                    open.bytes.chunks(8).map(|bits| bits.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << i)),
                );
                Encoding::PLAIN
            }
            (_, ColumnType::Double | ColumnType::Decimal { .. }) => {
                codec.plain.extend_from_slice(&open.bytes);
                Encoding::PLAIN
            }
            _ => {
                delta::encode(&open.numbers, &mut codec.plain);
                Encoding::DELTA_BINARY_PACKED
            }
        };
        self.chunk.pages.push_data(open.levels.rows, encoding, codec)?;
        self.chunk.rows += open.levels.rows as u64;
        self.chunk.nulls += open.levels.nulls as u64;
        open.clear();
        Ok(())
    }
}

fn append_texts(open: &mut OpenPage, bounds: &mut Bounds, texts: &Texts, from: usize, to: usize) {
    for i in from..to {
        let text = texts.get(i);
        bounds.add_text(text);
        open.numbers.push(text.len() as i64);
        open.bytes.extend_from_slice(text);
    }
}

impl EncodedColumn {
    fn empty(ty: ColumnType) -> Self {
        Self { ty, pages: Pages::default(), rows: 0, nulls: 0, distinct: None, bounds: Bounds::new(ty) }
    }
}

impl Distinct {
    fn of(ty: ColumnType, wanted: bool) -> Self {
        match ty {
            _ if !wanted => Self::None,
            ColumnType::Varchar | ColumnType::Decimal { .. } => Self::Strings(Dictionary::new()),
            _ => Self::Words(Dictionary::new()),
        }
    }

    /// Bytes of the values, as long as more are added.
    fn bytes(&self) -> usize {
        match self {
            Self::Words(words) => words.values.bytes(),
            Self::Strings(strings) => strings.values.bytes(),
            Self::None | Self::Closed(_) => 0,
        }
    }

    fn entries(&self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Closed(inner) => inner.entries(),
            Self::Words(words) => Some(words.values.len()),
            Self::Strings(strings) => Some(strings.values.len()),
        }
    }

    /// Widens `bounds` by all values.
    fn bound(&self, ty: ColumnType, bounds: &mut Bounds) {
        match self {
            Self::Words(words) if ty == ColumnType::Double => {
                bounds.add_doubles(words.values.0.iter().map(|bits| f64::from_bits(*bits)));
            }
            Self::Words(words) => bounds.add_integers(words.values.0.iter().map(|bits| integer(ty, *bits))),
            Self::Strings(strings) => {
                for number in 0..strings.values.len() {
                    let value = strings.values.get(number);
                    match value.first_chunk::<16>() {
                        Some(bytes) if ty != ColumnType::Varchar => bounds.add_huge(i128::from_be_bytes(*bytes)),
                        _ => bounds.add_text(value),
                    }
                }
            }
            Self::None | Self::Closed(_) => {}
        }
    }

    /// Appends the values as a dictionary page has them.
    fn write(&self, ty: ColumnType, out: &mut Vec<u8>) {
        match self {
            Self::Words(words) if ty == ColumnType::Date => {
                out.extend(words.values.0.iter().flat_map(|bits| (*bits as u32).to_le_bytes()));
            }
            Self::Words(words) => out.extend(words.values.0.iter().flat_map(|bits| bits.to_le_bytes())),
            Self::Strings(strings) => {
                for number in 0..strings.values.len() {
                    let value = strings.values.get(number);
                    if ty == ColumnType::Varchar {
                        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                    }
                    out.extend_from_slice(value);
                }
            }
            Self::Closed(inner) => inner.write(ty, out),
            Self::None => {}
        }
    }

    /// Puts the values of `indices` into the open page.
    fn resolve(&self, ty: ColumnType, indices: &[u32], open: &mut OpenPage) {
        match self {
            Self::Words(words) => {
                let bits = indices.iter().map(|index| words.values.0[*index as usize]);
                if ty == ColumnType::Double {
                    open.bytes.extend(bits.flat_map(u64::to_le_bytes));
                } else {
                    open.numbers.extend(bits.map(|bits| integer(ty, bits)));
                }
            }
            Self::Strings(strings) => {
                for index in indices {
                    let value = strings.values.get(*index as usize);
                    if ty == ColumnType::Varchar {
                        open.numbers.push(value.len() as i64);
                    }
                    open.bytes.extend_from_slice(value);
                }
            }
            Self::None | Self::Closed(_) => {}
        }
    }
}

/// The number behind the bits of a dictionary entry: 32-bit values lie in the lower half.
fn integer(ty: ColumnType, bits: u64) -> i64 {
    if ty == ColumnType::Date { i64::from((bits as u32).cast_signed()) } else { bits.cast_signed() }
}
