//! One piece of the input: the records that begin in a range of bytes.
//!
//! Whoever reads a piece from the middle of a file can't know whether it begins inside of a quoted
//! field. So the reader guesses ([`align`]), and says where it began and where its last record
//! ended; the piece stands only if the piece before ended exactly where this one began. Otherwise it
//! is read again from there. The guess costs time at most, never a row.

use std::ops::Range;

use super::{plan::Plan, source::Source};
use crate::{
    Error, Limits,
    column::{Cells, Column, ColumnBuilder, Target},
    csv::{Block, Flaw, Progress, Tokenizer, align},
    kind::KindSet,
};

/// Bad rows that are told; of the others only the number.
pub(crate) const TOLD_ROWS: usize = 10;

/// Bytes read past a piece's end at first: most last records end within them.
const SLACK: usize = 16 << 10;

/// A row that is left out.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    /// A byte on the line to tell.
    pub(crate) offset: u64,
    pub(crate) reason: String,
}

/// Bad rows: how many, and the first of them.
#[derive(Debug, Default)]
pub(crate) struct Issues {
    pub(crate) count: u64,
    pub(crate) first: Vec<Issue>,
}

impl Issues {
    fn push(&mut self, offset: u64, reason: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < TOLD_ROWS {
            self.first.push(Issue { offset, reason: reason() });
        }
    }

    /// Adds those of a later part of the file.
    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.sort_by_key(|issue| issue.offset);
        self.first.truncate(TOLD_ROWS);
    }
}

/// What ends the whole file, at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fatal {
    TooLong(u64),
    Unterminated(u64),
}

/// A piece, read.
pub(crate) struct Piece {
    /// Where its first record begins; `None` where no beginning was found.
    pub(crate) start: Option<u64>,
    /// Where the first record after it begins.
    pub(crate) end: u64,
    pub(crate) rows: usize,
    /// The columns; `None` where one did not fit its type, or only its kinds were wanted.
    pub(crate) columns: Vec<Option<Column>>,
    pub(crate) seen: Vec<KindSet>,
    pub(crate) issues: Issues,
    pub(crate) fatal: Option<Fatal>,
}

/// Reads pieces; keeps its buffers from one to the next.
pub(crate) struct PieceReader<'a> {
    source: &'a Source,
    plan: &'a Plan,
    targets: &'a [Target],
    limits: &'a Limits,
    /// The input from `origin` on.
    buffer: Vec<u8>,
    origin: u64,
    block: Block,
}

/// Why the records of a buffer came to an end.
enum Halt {
    /// All that begin before the piece's end are read; the next one begins here.
    Done(usize),
    /// The record that begins here goes on behind the buffer.
    NeedMore(usize),
    Fatal(Fatal),
}

impl<'a> PieceReader<'a> {
    pub(crate) fn new(source: &'a Source, plan: &'a Plan, targets: &'a [Target], limits: &'a Limits) -> Self {
        Self { source, plan, targets, limits, buffer: Vec::new(), origin: 0, block: Block::default() }
    }

    /// Reads the records that begin in `range`. `known` is where the first of them begins, as far
    /// as that is certain. With `observe`, only the kinds of the cells are wanted.
    pub(crate) fn read(&mut self, range: Range<u64>, known: Option<u64>, observe: bool) -> Result<Piece, Error> {
        let mut state = State::new(self.plan, self.targets, observe);
        if let Some(start) = known.filter(|start| *start >= range.end) {
            return Ok(state.finish(Some(start), start, None));
        }
        // Without a known start: the byte before the range tells whether a line begins with it.
        self.origin = known.unwrap_or_else(|| range.start - 1);
        let stop = usize_of(range.end - self.origin)?;
        self.buffer.clear();
        self.source.read(self.origin, stop + SLACK, &mut self.buffer)?;
        let start = match known {
            Some(_) => Some(0),
            None => align(&self.buffer, 1, self.plan.dialect, self.plan.columns(), self.is_last()),
        };
        let Some(start) = start else { return Ok(state.finish(None, range.end, None)) };
        let mut at = start;
        let (end, fatal) = loop {
            match self.records(&mut state, at, stop) {
                Halt::Done(end) => break (end, None),
                Halt::Fatal(fatal) => break (at, Some(fatal)),
                Halt::NeedMore(next) => at = next,
            }
            // Twice as much of the open record each time, so that a long one is not read over and over.
            let more = (self.buffer.len() - at).max(SLACK);
            self.source.read(self.absolute(self.buffer.len()), more, &mut self.buffer)?;
        };
        Ok(state.finish(Some(self.absolute(start)), self.absolute(end), fatal))
    }

    /// Reads the buffer's records from `at` on, as far as they begin before `stop`.
    fn records(&mut self, state: &mut State<'_>, mut at: usize, stop: usize) -> Halt {
        let (plan, origin, last) = (self.plan, self.origin, self.is_last());
        let mut tokenizer =
            Tokenizer::new(&self.buffer, plan.dialect, plan.columns(), last, self.limits.max_record_bytes);
        loop {
            let issues = &mut state.issues;
            let progress = tokenizer.fill(&mut self.block, at, stop, |at, flaw| {
                issues.push(origin + at as u64, || describe(flaw, plan));
            });
            let next = match progress {
                Progress::Full(next) | Progress::Done(next) | Progress::NeedMore(next) => next,
                Progress::TooLong(at) => return Halt::Fatal(Fatal::TooLong(origin + at as u64)),
                Progress::Unterminated(at) => return Halt::Fatal(Fatal::Unterminated(origin + at as u64)),
            };
            state.take(&self.buffer, at..next, origin, &mut self.block);
            at = next;
            match progress {
                Progress::Full(_) => {}
                Progress::Done(_) => return Halt::Done(at),
                _ => return Halt::NeedMore(at),
            }
        }
    }

    /// Does the buffer reach to the end of the file?
    fn is_last(&self) -> bool {
        self.absolute(self.buffer.len()) == self.source.size()
    }

    fn absolute(&self, at: usize) -> u64 {
        self.origin + at as u64
    }
}

fn usize_of(bytes: u64) -> Result<usize, Error> {
    usize::try_from(bytes).map_err(Error::during("size buffer"))
}

fn describe(flaw: Flaw, plan: &Plan) -> String {
    match flaw {
        Flaw::Ragged(fields) => format!("it has {fields} fields instead of {}", plan.columns()),
        Flaw::AfterQuote => "there is text after a closing quote".to_owned(),
    }
}

/// What a piece has grown to.
struct State<'a> {
    plan: &'a Plan,
    builders: Vec<ColumnBuilder>,
    has_declared: bool,
    rows: usize,
    issues: Issues,
}

impl<'a> State<'a> {
    fn new(plan: &'a Plan, targets: &[Target], observe: bool) -> Self {
        let build = if observe { ColumnBuilder::observer } else { ColumnBuilder::new };
        Self {
            plan,
            builders: targets.iter().copied().map(build).collect(),
            has_declared: targets.iter().any(|target| target.declared),
            rows: 0,
            issues: Issues::default(),
        }
    }

    /// Appends a block, which lies in `range` of `data`, less the rows that are not what they should be.
    fn take(&mut self, data: &[u8], range: Range<usize>, origin: u64, block: &mut Block) {
        let columns = self.plan.columns();
        let mut found = Issues::default();
        if simdutf8::basic::from_utf8(&data[range]).is_err() {
            let bad = invalid_rows(data, block, columns, origin, &mut found);
            block.remove_rows(&bad, columns);
        }
        if self.has_declared {
            let bad = self.misfits(data, block, origin, &mut found);
            block.remove_rows(&bad, columns);
        }
        if found.count > 0 {
            self.issues.merge(found);
        }
        self.rows += block.rows;
        if block.rows == 0 {
            return;
        }
        for (column, builder) in self.builders.iter_mut().enumerate() {
            let quoting = self.plan.dialect.quoting();
            let notation = &self.plan.notation;
            builder.append(Cells { data, spans: &block.spans, column, columns, quoting, notation });
        }
    }

    /// Rows with a cell that is not of its declared type.
    fn misfits(&self, data: &[u8], block: &Block, origin: u64, issues: &mut Issues) -> Vec<usize> {
        let columns = self.plan.columns();
        let notation = &self.plan.notation;
        let mut bad = Vec::new();
        let declared: Vec<_> =
            self.plan.declared.iter().enumerate().filter_map(|(i, ty)| ty.map(|ty| (i, ty))).collect();
        for (row, spans) in block.spans.chunks_exact(columns).enumerate() {
            let misfit = declared.iter().find(|(column, ty)| {
                let span = spans[*column];
                let cell = span.bytes(data);
                let is_text = *ty == crate::ColumnType::Varchar;
                !is_text && !notation.is_null(cell) && notation.parse_declared(*ty, cell).is_none()
            });
            if let Some((column, ty)) = misfit {
                bad.push(row);
                let name = &self.plan.names[*column];
                let cell = spans[*column].bytes(data);
                issues.push(origin + spans[0].start() as u64, || format!("`{name}` is {} and no {ty}", excerpt(cell)));
            }
        }
        bad
    }

    fn finish(self, start: Option<u64>, end: u64, fatal: Option<Fatal>) -> Piece {
        let (columns, seen) = self.builders.into_iter().map(ColumnBuilder::finish).unzip();
        Piece { start, end, rows: self.rows, columns, seen, issues: self.issues, fatal }
    }
}

/// Rows with bytes that are no UTF-8. The issue points at the first such byte.
fn invalid_rows(data: &[u8], block: &Block, columns: usize, origin: u64, issues: &mut Issues) -> Vec<usize> {
    let mut bad = Vec::new();
    for (row, spans) in block.spans.chunks_exact(columns).enumerate() {
        let broken = spans.iter().find_map(|span| {
            let error = std::str::from_utf8(span.bytes(data)).err()?;
            Some(span.start() + error.valid_up_to())
        });
        if let Some(at) = broken {
            bad.push(row);
            issues.push(origin + at as u64, || format!("invalid UTF-8 (byte {:#04x})", data[at]));
        }
    }
    bad
}

/// The beginning of a cell, for a message.
fn excerpt(cell: &[u8]) -> String {
    const SHOWN: usize = 40;
    let text = String::from_utf8_lossy(cell);
    let shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() { format!("{shown:?}...") } else { format!("{shown:?}") }
}
