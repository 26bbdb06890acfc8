use memchr::memchr;

use super::{
    Dialect,
    scan::{WINDOW, mask_of},
};

/// Where a field's content lies, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    /// The length, with two flags in the highest bits.
    len: u32,
}

impl Span {
    const QUOTED: u32 = 1 << 31;
    const ESCAPED: u32 = 1 << 30;

    fn new(start: usize, end: usize, flags: u32) -> Self {
        // A buffer holds a piece and at most one capped record more: far below 2^30 bytes.
        Self { start: start as u32, len: (end - start) as u32 | flags }
    }

    #[inline]
    pub(crate) const fn start(self) -> usize {
        self.start as usize
    }

    #[inline]
    const fn end(self) -> usize {
        self.start as usize + (self.len & !(Self::QUOTED | Self::ESCAPED)) as usize
    }

    /// The content; doubled quotes still stand twice.
    #[inline]
    pub(crate) fn bytes(self, data: &[u8]) -> &[u8] {
        &data[self.start()..self.end()]
    }

    #[inline]
    pub(crate) const fn is_quoted(self) -> bool {
        self.len & Self::QUOTED != 0
    }

    /// Does the content have doubled quotes?
    #[inline]
    pub(crate) const fn is_escaped(self) -> bool {
        self.len & Self::ESCAPED != 0
    }
}

/// Some records' fields, row by row.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// `rows * columns` of them.
    pub(crate) spans: Vec<Span>,
    pub(crate) rows: usize,
}

impl Block {
    /// Fields that a block holds: its spans and the bytes under them stay in the second-level cache.
    const FIELDS: usize = 16 * 1024;

    /// Rows that it holds however many columns there are: with fewer, beginning a column would cost
    /// more than reading its cells.
    const LEAST_ROWS: usize = 64;

    fn clear(&mut self) {
        self.spans.clear();
        self.rows = 0;
    }

    /// Drops the rows at `bad` (ascending, no duplicates).
    pub(crate) fn remove_rows(&mut self, bad: &[usize], columns: usize) {
        let mut bad = bad.iter().copied().peekable();
        let mut kept = 0;
        for row in 0..self.rows {
            if bad.next_if_eq(&row).is_none() {
                self.spans.copy_within(row * columns..(row + 1) * columns, kept * columns);
                kept += 1;
            }
        }
        self.spans.truncate(kept * columns);
        self.rows = kept;
    }
}

/// Why a record is not a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It has so many fields instead of as many as there are columns.
    Ragged(usize),
    /// Something stands between a closing quote and the next delimiter.
    AfterQuote,
}

/// How far a block got. Offsets are the start of the first record that is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The block is full.
    Full(usize),
    /// No further record begins before `stop`.
    Done(usize),
    /// The record that begins here ends outside of the data.
    NeedMore(usize),
    /// The record that begins here is longer than the cap.
    TooLong(usize),
    /// A quote opens here and never closes, up to the end of the file.
    Unterminated(usize),
}

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has `fields` fields, and the next one begins at `next`.
    Record { next: usize, fields: usize, malformed: bool },
    /// It ends outside of the data.
    Incomplete,
    /// Like `Incomplete`, but there is nothing outside: the quote at this offset stays open.
    Unterminated(usize),
}

/// Cuts `data` into records.
pub(crate) struct Tokenizer<'a> {
    data: &'a [u8],
    dialect: Dialect,
    /// Fields that a row has. Further ones are counted, not kept.
    columns: usize,
    /// Does the data reach to the end of the file?
    last: bool,
    /// The longest record, in bytes.
    max_record: usize,
    /// Start of the window that `mask` speaks of.
    window: usize,
    /// Delimiters and newlines not yet passed.
    mask: u64,
}

impl<'a> Tokenizer<'a> {
    pub(crate) const fn new(data: &'a [u8], dialect: Dialect, columns: usize, last: bool, max_record: usize) -> Self {
        Self { data, dialect, columns, last, max_record, window: 0, mask: 0 }
    }

    /// Fills `block` with the records that begin in `from..stop`. Records that are no rows go to
    /// `flaw` with their offset.
    pub(crate) fn fill(
        &mut self,
        block: &mut Block,
        from: usize,
        stop: usize,
        mut flaw: impl FnMut(usize, Flaw),
    ) -> Progress {
        block.clear();
        let capacity = (Block::FIELDS / self.columns).max(Block::LEAST_ROWS);
        let mut at = from;
        self.seek(at);
        while block.rows < capacity {
            if at >= stop || (self.last && at >= self.data.len()) {
                return Progress::Done(at);
            }
            let kept = block.spans.len();
            let (next, fields, malformed) = match self.record(at, &mut block.spans) {
                Outcome::Record { next, fields, malformed } => (next, fields, malformed),
                Outcome::Incomplete => {
                    block.spans.truncate(kept);
                    return if self.data.len() - at > self.max_record {
                        Progress::TooLong(at)
                    } else {
                        Progress::NeedMore(at)
                    };
                }
                Outcome::Unterminated(quote) => {
                    block.spans.truncate(kept);
                    return if self.data.len() - at > self.max_record {
                        Progress::TooLong(at)
                    } else {
                        Progress::Unterminated(quote)
                    };
                }
            };
            if next - at > self.max_record {
                block.spans.truncate(kept);
                return Progress::TooLong(at);
            }
            if fields == self.columns && !malformed {
                block.rows += 1;
            } else {
                block.spans.truncate(kept);
                if malformed {
                    flaw(at, Flaw::AfterQuote);
                } else if !self.is_blank(at, next) {
                    flaw(at, Flaw::Ragged(fields));
                }
            }
            at = next;
        }
        Progress::Full(at)
    }

    /// Is the record nothing but a line's end? Such lines between rows are passed over, except
    /// where a table has one column, in which an empty line is a null.
    pub(crate) fn is_blank(&self, from: usize, next: usize) -> bool {
        self.data[from..next].iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// Reads one record; the cursor must stand at its start, and afterwards stands behind it.
    #[inline]
    pub(crate) fn record(&mut self, start: usize, spans: &mut Vec<Span>) -> Outcome {
        let data = self.data;
        let mut field = start;
        let mut fields = 0;
        let mut malformed = false;
        loop {
            let (span, end) = if self.dialect.quote.is_some() && data.get(field).copied() == self.dialect.quote {
                match self.quoted(field) {
                    Quoted::Field { span, end, clean } => {
                        malformed |= !clean;
                        (span, end)
                    }
                    Quoted::Open if self.last => return Outcome::Unterminated(field),
                    Quoted::Open => return Outcome::Incomplete,
                }
            } else {
                match self.next_structural() {
                    Some(end) => (Span::new(field, end, 0), end),
                    None if self.last => (Span::new(field, data.len(), 0), data.len()),
                    None => return Outcome::Incomplete,
                }
            };
            fields += 1;
            if data.get(end) == Some(&self.dialect.delimiter) {
                if fields <= self.columns {
                    spans.push(span);
                }
                field = end + 1;
                continue;
            }
            if fields <= self.columns {
                spans.push(self.without_cr(span, end));
            }
            return Outcome::Record { next: (end + 1).min(data.len()), fields, malformed };
        }
    }

    /// Takes the CR of a CRLF off an unquoted last field, and both of CR CR LF.
    #[inline]
    fn without_cr(&self, span: Span, end: usize) -> Span {
        let has_cr = self.dialect.newline == b'\n'
            && end < self.data.len()
            && !span.is_quoted()
            && end > span.start()
            && self.data[end - 1] == b'\r';
        if !has_cr {
            return span;
        }
        let crs = self.data[span.start()..end].iter().rev().take_while(|byte| **byte == b'\r').count();
        Span::new(span.start(), end - crs, 0)
    }

    /// Reads the quoted field whose quote stands at `open`.
    fn quoted(&mut self, open: usize) -> Quoted {
        let data = self.data;
        let quote = data[open];
        let mut flags = Span::QUOTED;
        let mut at = open + 1;
        let close = loop {
            let Some(found) = memchr(quote, &data[at..]) else { return Quoted::Open };
            let found = at + found;
            match data.get(found + 1) {
                Some(byte) if *byte == quote => {
                    flags |= Span::ESCAPED;
                    at = found + 2;
                }
                // Whether it is doubled is not to be seen yet.
                None if !self.last => return Quoted::Open,
                _ => break found,
            }
        };
        let span = Span::new(open + 1, close, flags);
        // White space behind a closing quote is nobody's content.
        let is_space = |byte: &&u8| matches!(**byte, b' ' | b'\t') && **byte != self.dialect.delimiter;
        let mut end = close + 1 + data[close + 1..].iter().take_while(is_space).count();
        let crs = data[end..].iter().take_while(|byte| **byte == b'\r').count();
        if end + crs == data.len() && !self.last {
            return Quoted::Open;
        }
        if self.dialect.newline == b'\n' && data.get(end + crs) == Some(&b'\n') {
            end += crs;
        }
        let clean = match data.get(end) {
            None => true,
            Some(byte) => *byte == self.dialect.delimiter || *byte == self.dialect.newline,
        };
        self.skip_to(end);
        let end = match self.next_structural() {
            Some(found) => found,
            None if self.last => data.len(),
            None => return Quoted::Open,
        };
        Quoted::Field { span, end, clean }
    }

    /// Puts the cursor on `at`.
    pub(crate) fn seek(&mut self, at: usize) {
        self.window = at;
        self.mask = self.load();
    }

    /// Moves the cursor forward to `at`, where it may keep the mask that it has.
    #[inline]
    fn skip_to(&mut self, at: usize) {
        if at < self.window + WINDOW {
            self.mask &= u64::MAX << (at - self.window);
        } else {
            self.seek(at);
        }
    }

    /// The next delimiter or newline at or after the cursor, which moves behind it.
    #[inline]
    fn next_structural(&mut self) -> Option<usize> {
        while self.mask == 0 {
            self.window += WINDOW;
            if self.window >= self.data.len() {
                // So that a cursor at the end stays there.
                self.window = self.data.len();
                return None;
            }
            self.mask = self.load();
        }
        let found = self.window + self.mask.trailing_zeros() as usize;
        self.mask &= self.mask - 1;
        Some(found)
    }

    #[inline]
    fn load(&self) -> u64 {
        let (a, b) = (self.dialect.delimiter, self.dialect.newline);
        let rest = self.data.get(self.window..).unwrap_or_default();
        match rest.first_chunk::<WINDOW>() {
            Some(window) => mask_of(window, a, b),
            None => {
                let mut window = [0; WINDOW];
                window[..rest.len()].copy_from_slice(rest);
                // Bits past the data: were the delimiter a NUL, the padding would match.
                mask_of(&window, a, b) & !(u64::MAX << rest.len())
            }
        }
    }
}

enum Quoted {
    Field { span: Span, end: usize, clean: bool },
    Open,
}

/// Newlines that [`align`] tries before it settles for the first.
const TRIED_NEWLINES: usize = 64;

/// Guesses where, at or after `from`, a record begins, from the bytes alone: behind a newline whose
/// next two records have the right number of fields. `data[from - 1]` must be there to be looked at.
/// A guess is all it is: whoever uses it must check it against the end of the record before.
pub(crate) fn align(data: &[u8], from: usize, dialect: Dialect, columns: usize, last: bool) -> Option<usize> {
    let mut tokenizer = Tokenizer::new(data, dialect, columns, last, usize::MAX);
    let mut spans = Vec::new();
    let mut fits = |mut at: usize| {
        tokenizer.seek(at);
        for _ in 0..2 {
            if at >= data.len() {
                return true;
            }
            spans.clear();
            match tokenizer.record(at, &mut spans) {
                Outcome::Record { next, fields, malformed: false }
                    if fields == columns || tokenizer.is_blank(at, next) =>
                {
                    at = next;
                }
                // It says nothing against the guess that the data ends.
                Outcome::Incomplete => return true,
                _ => return false,
            }
        }
        true
    };
    let mut starts =
        memchr::memchr_iter(dialect.newline, &data[from - 1..]).map(|found| from + found).take(TRIED_NEWLINES);
    let first = starts.next()?;
    if fits(first) {
        return Some(first);
    }
    Some(starts.find(|start| fits(*start)).unwrap_or(first))
}

#[cfg(test)]
mod tests;
