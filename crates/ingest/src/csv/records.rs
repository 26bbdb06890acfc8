use memchr::{memchr, memchr2};

use super::{
    Block, Dialect, Span,
    lines::line_end,
    scan::{WINDOW, mask_of},
};
use crate::csv::Spaces;

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
    /// It is a comment, and the next line begins at `next`.
    Comment { next: usize },
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
    /// Delimiters and line ends not yet passed.
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
                Outcome::Comment { next } => {
                    at = next;
                    continue;
                }
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
        let dialect = self.dialect;
        let is_blank =
            |byte: &u8| matches!(byte, b'\r' | b'\n') || (dialect.spaces != Spaces::Kept && dialect.is_space(*byte));
        self.data[from..next].iter().all(is_blank)
    }

    /// Reads one record; the cursor must stand at its start, and afterwards stands behind it.
    #[inline]
    pub(crate) fn record(&mut self, start: usize, spans: &mut Vec<Span>) -> Outcome {
        let data = self.data;
        if self.dialect.comment.is_some() && data.get(start).copied() == self.dialect.comment {
            return self.comment();
        }
        let mut field = start;
        let mut fields = 0;
        let mut malformed = false;
        loop {
            if self.dialect.spaces != Spaces::Kept {
                field += self.spaces(field);
            }
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
                    Some(end) => (self.unquoted(field, end), end),
                    None if self.last => (self.unquoted(field, data.len()), data.len()),
                    None => return Outcome::Incomplete,
                }
            };
            fields += 1;
            if fields <= self.columns {
                spans.push(span);
            }
            if data.get(end) == Some(&self.dialect.delimiter) {
                field = end + 1;
                continue;
            }
            let Some(next) = self.pass_line_end(end) else { return Outcome::Incomplete };
            return Outcome::Record { next, fields, malformed };
        }
    }

    /// Passes the line end at `end`, or the end of the data, and tells what is behind it. `None` where
    /// more data must tell what belongs to it.
    #[inline]
    fn pass_line_end(&mut self, end: usize) -> Option<usize> {
        match self.data.get(end) {
            Some(b'\n') => Some(end + 1),
            Some(_) => {
                let next = line_end(self.data, end, self.last)?;
                self.skip_to(next);
                Some(next)
            }
            None => Some(self.data.len()),
        }
    }

    /// Passes a comment, up to the end of its line.
    fn comment(&mut self) -> Outcome {
        loop {
            match self.next_structural() {
                Some(end) if self.data.get(end) == Some(&self.dialect.delimiter) => {}
                Some(end) => match self.pass_line_end(end) {
                    Some(next) => return Outcome::Comment { next },
                    None => return Outcome::Incomplete,
                },
                None if self.last => return Outcome::Comment { next: self.data.len() },
                None => return Outcome::Incomplete,
            }
        }
    }

    /// White space from `at` on.
    fn spaces(&self, at: usize) -> usize {
        let rest = self.data.get(at..).unwrap_or_default();
        rest.iter().take_while(|byte| self.dialect.is_space(**byte)).count()
    }

    /// The field without quotes from `start` to `end`.
    #[inline]
    fn unquoted(&self, start: usize, end: usize) -> Span {
        if self.dialect.spaces != Spaces::Around {
            return Span::new(start, end, 0);
        }
        let behind = self.data[start..end].iter().rev().take_while(|byte| self.dialect.is_space(**byte)).count();
        Span::new(start, end - behind, 0)
    }

    /// Reads the quoted field whose quote stands at `open`.
    fn quoted(&mut self, open: usize) -> Quoted {
        let data = self.data;
        let quote = data[open];
        let mut flags = Span::QUOTED;
        let mut at = open + 1;
        let close = loop {
            let found = match self.dialect.escape {
                Some(escape) => memchr2(quote, escape, &data[at..]),
                None => memchr(quote, &data[at..]),
            };
            let Some(found) = found else { return Quoted::Open };
            let found = at + found;
            match data.get(found + 1) {
                Some(byte) if *byte == quote || (data[found] != quote && *byte == data[found]) => {
                    flags |= Span::ESCAPED;
                    at = found + 2;
                }
                // Whether it is doubled is not to be seen yet.
                None if !self.last => return Quoted::Open,
                _ if data[found] != quote => at = found + 1,
                _ => break found,
            }
        };
        let span = Span::new(open + 1, close, flags);
        // White space behind a closing quote is nobody's content.
        let end = close + 1 + self.spaces(close + 1);
        if end == data.len() && !self.last {
            return Quoted::Open;
        }
        let clean = match data.get(end) {
            None => true,
            Some(byte) => *byte == self.dialect.delimiter || matches!(byte, b'\n' | b'\r'),
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

    /// The next delimiter, CR or LF at or after the cursor, which moves behind it.
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
        let rest = self.data.get(self.window..).unwrap_or_default();
        match rest.first_chunk::<WINDOW>() {
            Some(window) => mask_of(window, self.dialect.delimiter),
            None => {
                let mut window = [0; WINDOW];
                window[..rest.len()].copy_from_slice(rest);
                // Bits past the data: were the delimiter a NUL, the padding would match.
                mask_of(&window, self.dialect.delimiter) & !(u64::MAX << rest.len())
            }
        }
    }
}

enum Quoted {
    Field { span: Span, end: usize, clean: bool },
    Open,
}

#[cfg(test)]
mod tests;
