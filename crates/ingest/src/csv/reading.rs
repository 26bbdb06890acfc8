//! The head of a file, read in one way, and what that costs.

use std::ops::Range;

use super::{Dialect, Outcome, Tokenizer};

/// Records that a reading looks at.
const RECORDS: usize = 1000;

/// A quote that is still open so many bytes later, at the end of the sample, counts as never closed.
const LONGEST_QUOTED: usize = 64 << 10;

/// What a file's head looks like in one dialect.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) dialect: Dialect,
    records: Vec<Record>,
    /// The most frequent number of fields.
    pub(super) fields: usize,
    /// Records with that number.
    even: usize,
    /// Records with something behind a closing quote.
    malformed: usize,
    /// Does a quote stay open to the end?
    open: bool,
    /// Does the first record, a header most often, have the usual number of fields?
    first_agrees: bool,
    /// Fields such as `1,5`.
    decimal_commas: usize,
    /// Fields of which white space and a quote are the first characters.
    pub(super) spaced_quotes: usize,
    /// Fields without quotes that are just `"`.
    lone_marks: usize,
    /// Fields without quotes that begin with `"` and go on.
    stray_marks: usize,
    /// Is there a column that stands in quotes from top to bottom, its header aside?
    has_quoted_column: bool,
}

#[derive(Debug)]
struct Record {
    bytes: Range<usize>,
    fields: usize,
    /// Has a quoted field with a line break?
    has_line_break: bool,
}

impl Reading {
    pub(super) fn of(sample: &[u8], whole: bool, dialect: Dialect) -> Self {
        let mut reading = Self {
            dialect,
            records: Vec::new(),
            fields: 0,
            even: 0,
            malformed: 0,
            open: false,
            first_agrees: false,
            decimal_commas: 0,
            spaced_quotes: 0,
            lone_marks: 0,
            stray_marks: 0,
            has_quoted_column: false,
        };
        let mut columns = Columns::default();
        let mut tokenizer = Tokenizer::new(sample, dialect, usize::MAX, whole, usize::MAX);
        tokenizer.seek(0);
        let (mut spans, mut at) = (Vec::new(), 0);
        while at < sample.len() && reading.records.len() < RECORDS {
            spans.clear();
            let next = match tokenizer.record(at, &mut spans) {
                Outcome::Record { next, fields, malformed } => {
                    if !tokenizer.is_blank(at, next) {
                        reading.malformed += usize::from(malformed);
                        reading.note(sample, at..next, fields, &spans);
                        columns.note(&spans, sample, reading.records.len() == 1);
                    }
                    next
                }
                Outcome::Comment { next } => next,
                Outcome::Unterminated(_) => {
                    reading.open = true;
                    break;
                }
                Outcome::Incomplete => {
                    // Where quotes mean nothing a long line is just that.
                    reading.open = dialect.quote.is_some() && sample.len() - at > LONGEST_QUOTED;
                    break;
                }
            };
            at = next;
        }
        reading.fields = usual(reading.records.iter().map(|record| record.fields));
        reading.even = reading.records.iter().filter(|record| record.fields == reading.fields).count();
        reading.first_agrees = reading.records.first().is_some_and(|first| first.fields == reading.fields);
        reading.has_quoted_column = columns.any_quoted();
        reading
    }

    fn note(&mut self, sample: &[u8], bytes: Range<usize>, fields: usize, spans: &[super::Span]) {
        let mut has_line_break = false;
        for span in spans {
            let content = span.bytes(sample);
            if span.is_quoted() {
                has_line_break |= memchr::memchr2(b'\n', b'\r', content).is_some();
                continue;
            }
            self.decimal_commas += usize::from(is_decimal_comma(content));
            match content {
                [b'"'] => self.lone_marks += 1,
                [b'"', ..] => self.stray_marks += 1,
                [b' ' | b'\t', ..] => {
                    let inner = content.trim_ascii_start();
                    self.spaced_quotes += usize::from(inner.len() > 1 && inner.first().copied() == self.dialect.quote);
                }
                _ => {}
            }
        }
        self.records.push(Record { bytes, fields, has_line_break });
    }

    /// Does the delimiter cut at all, and at least half of the records into equally many fields?
    pub(super) fn is_candidate(&self) -> bool {
        self.fields > 1 && 2 * self.even >= self.records.len()
    }

    /// Per cent of even records, less the malformed ones; a first record that agrees counts as a
    /// quarter of all, for a header holds names and no prose.
    pub(super) fn quality(&self) -> i64 {
        let share = |count: usize| (count * 100 / self.records.len().max(1)) as i64;
        share(self.even) - share(self.malformed) + if self.first_agrees { 25 } else { 0 }
    }

    /// Records that are not as they should be.
    pub(super) fn faults(&self) -> usize {
        self.records.len() - self.even + self.malformed + if self.open { self.records.len().max(1) } else { 0 }
    }

    /// Are decimal commas in every second record at least?
    pub(super) fn has_decimal_commas(&self) -> bool {
        2 * self.decimal_commas >= self.records.len()
    }

    /// Is something wrong that quotes may be to blame for?
    pub(super) fn doubts_quotes(&self) -> bool {
        self.open || self.malformed > 0 || self.has_line_breaks()
    }

    pub(super) fn has_line_breaks(&self) -> bool {
        self.records.iter().any(|record| record.has_line_break)
    }

    /// Do the quotes of this reading close, with nothing behind them?
    pub(super) fn closes_quotes(&self) -> bool {
        !self.open && self.malformed == 0
    }

    /// Are apostrophes quotes in this reading, rather than marks? They must close, leave no field
    /// that begins with a real quote, swallow no lines of `other`, the reading without them, and
    /// either make the table more regular or stand around every cell of some column.
    pub(super) fn is_better_with_apostrophes(&self, other: &Self) -> bool {
        self.closes_quotes()
            && self.lone_marks + self.stray_marks == 0
            && !self.swallows(other)
            && (self.faults() < other.faults() || (self.faults() == other.faults() && self.has_quoted_column))
    }

    /// Is this reading, in which quotes mean nothing, to be preferred to `other`, in which they do?
    /// Only where every field that begins with one is nothing else (`"` for inches), and the table
    /// is even so.
    pub(super) fn is_better_without_quotes(&self, other: &Self) -> bool {
        self.lone_marks > 0
            && self.stray_marks == 0
            && self.faults() == 0
            && (!other.closes_quotes() || other.swallows(self))
    }

    /// Do cells of this reading hold lines that fit the table in `other`, more than such as don't?
    fn swallows(&self, other: &Self) -> bool {
        self.records.iter().filter(|record| record.has_line_break).any(|record| {
            let inside = |line: &&Record| line.bytes.start >= record.bytes.start && line.bytes.end <= record.bytes.end;
            let lines: Vec<&Record> = other.records.iter().filter(inside).collect();
            let fit = lines.iter().filter(|line| line.fields == self.fields).count();
            fit > 1 && 2 * fit > lines.len()
        })
    }
}

/// For each column: cells in quotes, and cells that are neither quoted nor empty.
#[derive(Default)]
struct Columns(Vec<(usize, usize)>);

impl Columns {
    fn note(&mut self, spans: &[super::Span], sample: &[u8], is_first: bool) {
        if self.0.len() < spans.len() {
            self.0.resize(spans.len(), (0, 0));
        }
        for (counts, span) in self.0.iter_mut().zip(spans).filter(|(_, span)| !span.bytes(sample).is_empty()) {
            counts.0 += usize::from(span.is_quoted());
            counts.1 += usize::from(!span.is_quoted() && !is_first);
        }
    }

    fn any_quoted(&self) -> bool {
        self.0.iter().any(|(quoted, plain)| *quoted > 0 && *plain == 0)
    }
}

/// The most frequent of some numbers; the largest of them where there are several.
pub(crate) fn usual(numbers: impl Iterator<Item = usize>) -> usize {
    let mut counts = std::collections::BTreeMap::new();
    for number in numbers {
        *counts.entry(number).or_insert(0) += 1;
    }
    counts.into_iter().max_by_key(|(number, count)| (*count, *number)).map_or(0, |(number, _)| number)
}

fn is_decimal_comma(field: &[u8]) -> bool {
    let field = field.strip_prefix(b"-").unwrap_or(field);
    let mut parts = field.split(|byte| *byte == b',');
    let digits = |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    digits(parts.next()) && digits(parts.next()) && parts.next().is_none()
}
