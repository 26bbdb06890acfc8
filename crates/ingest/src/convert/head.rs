//! The beginning of a file: how it is written, where its rows begin, and whether names stand above them.

use super::source::Source;
use crate::{
    Error, Limits, Options,
    csv::{
        Detected, Dialect, Doubt, Ground, HeaderGuess, Outcome, Span, Tokenizer, detect, guess_header, sep_directive,
        usual,
    },
    foreign,
    value::Notation,
};

/// Bytes at the beginning that are looked at before anything else is decided.
pub(super) const HEAD_BYTES: usize = 256 << 10;

/// Records that are held against the first one to tell whether that is a header.
const HEADER_RECORDS: usize = 200;

/// Titles that may stand above a header.
const MAX_TITLES: usize = 10;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What the beginning of a file tells.
pub(super) struct Head {
    pub(super) dialect: Dialect,
    pub(super) doubts: Vec<Doubt>,
    /// Did a line `sep=;` tell the delimiter?
    pub(super) has_directive: bool,
    /// The cells of the header, and its offset.
    pub(super) header: Option<(Vec<Vec<u8>>, u64)>,
    /// What the header was guessed from; `None` where the caller told.
    pub(super) ground: Option<Ground>,
    /// The most frequent number of fields.
    pub(super) usual_fields: usize,
    /// Where the rows begin.
    pub(super) data_start: u64,
    /// The last of the lines above the header that were taken for titles: its offset.
    pub(super) last_title: Option<u64>,
    /// A row that says the same as the header: its offset.
    pub(super) repeated_header: Option<u64>,
}

impl Head {
    pub(super) fn read(source: &Source, options: &Options, limits: &Limits) -> Result<Self, Error> {
        let origin = source.behind_lines(options.skip_lines().unwrap_or(0))?;
        let mut sample = Vec::new();
        let mut want = HEAD_BYTES;
        loop {
            let missing = want - sample.len();
            source.read(origin + sample.len() as u64, missing, &mut sample)?;
            let whole = origin + sample.len() as u64 == source.size();
            foreign::refuse(&sample, whole)?;
            let bom = if sample.starts_with(BOM) { BOM.len() } else { 0 };
            let directive = sep_directive(&sample[bom..], whole);
            let text = bom + directive.map_or(0, |(_, next)| next);
            let blank = sample[text..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let start = text + blank;
            let mut wish = options.wish();
            wish.delimiter = wish.delimiter.or(directive.map(|(delimiter, _)| delimiter));
            let detected = detect(&sample[start..], whole, wish);
            let place = Place { source, origin: origin + start as u64 };
            let records = place.records(&sample[start..], whole, detected.dialect, limits)?;
            if !records.is_empty() {
                return Ok(place.head(records, detected, directive.is_some(), options));
            }
            if whole {
                return Err(Error::Invalid("the file is empty".to_owned()));
            }
            if sample.len() > limits.max_record_bytes {
                return Err(too_long(source.line_of(place.origin)?, limits));
            }
            // The first record is longer than the sample, or comments are.
            want = (want * 4).min(limits.max_record_bytes + HEAD_BYTES);
        }
    }
}

/// Where the records of a sample stand in the file.
struct Place<'a> {
    source: &'a Source,
    origin: u64,
}

struct Record {
    start: usize,
    next: usize,
    cells: Vec<Vec<u8>>,
}

impl Record {
    /// Nothing but a first cell: a heading above a table, most likely.
    fn is_title(&self) -> bool {
        self.cells.iter().skip(1).all(Vec::is_empty)
    }
}

impl Place<'_> {
    /// The first records of a sample; none where not even the first is complete.
    fn records(&self, sample: &[u8], whole: bool, dialect: Dialect, limits: &Limits) -> Result<Vec<Record>, Error> {
        let mut tokenizer = Tokenizer::new(sample, dialect, limits.max_columns + 1, whole, usize::MAX);
        tokenizer.seek(0);
        let (mut records, mut spans, mut at) = (Vec::<Record>::new(), Vec::new(), 0);
        while at < sample.len() && records.len() <= HEADER_RECORDS {
            spans.clear();
            let next = match tokenizer.record(at, &mut spans) {
                Outcome::Record { malformed: true, .. } if records.is_empty() => {
                    let line = self.line_of(at)?;
                    return Err(Error::Invalid(format!("line {line}: there is text after a closing quote")));
                }
                Outcome::Unterminated(quote) if records.is_empty() => return Err(unterminated(self.line_of(quote)?)),
                Outcome::Incomplete | Outcome::Unterminated(_) => break,
                Outcome::Record { next, .. } => {
                    if !tokenizer.is_blank(at, next) {
                        let plain = |span: &Span| span.plain(sample, dialect.quoting());
                        records.push(Record { start: at, next, cells: spans.iter().map(plain).collect() });
                    }
                    next
                }
                Outcome::Comment { next } => next,
            };
            at = next;
        }
        Ok(records)
    }

    fn line_of(&self, at: usize) -> Result<u64, Error> {
        self.source.line_of(self.origin + at as u64)
    }

    fn head(&self, records: Vec<Record>, detected: Detected, has_directive: bool, options: &Options) -> Head {
        let notation = options.notation();
        let titles = if options.skip_lines().is_none() && options.header() != Some(false) {
            titles(&records, &notation)
        } else {
            0
        };
        let usual_fields = usual(records.iter().skip(titles).map(|record| record.cells.len()));
        let absolute = |at: usize| self.origin + at as u64;
        let last_title = titles.checked_sub(1).and_then(|last| records.get(last)).map(|record| absolute(record.start));
        let mut records = records.into_iter().skip(titles);
        let first = records.next().unwrap_or(Record { start: 0, next: 0, cells: Vec::new() });
        let (starts, rest): (Vec<usize>, Vec<Vec<Vec<u8>>>) =
            records.map(|record| (record.start, record.cells)).unzip();
        let guess = match options.header() {
            Some(_) => None,
            None => Some(guess_header(&first.cells, &rest, |cell| notation.classify(cell))),
        };
        let has_header = options.header().or(guess.map(|guess| guess.is_header)).unwrap_or(false);
        let repeated = rest.iter().position(|cells| has_header && *cells == first.cells);
        // Only a table with a row of its own can show what its first record is.
        let ground = guess.filter(|_| !rest.is_empty()).map(|guess: HeaderGuess| guess.ground);
        Head {
            dialect: detected.dialect,
            doubts: detected.doubts,
            has_directive,
            ground,
            usual_fields,
            data_start: absolute(if has_header { first.next } else { first.start }),
            last_title,
            repeated_header: repeated.and_then(|row| starts.get(row)).map(|start| absolute(*start)),
            header: has_header.then(|| (first.cells, absolute(first.start))),
        }
    }
}

/// How many records at the beginning are titles above the header, and no part of the table: each has
/// nothing but a first cell, and behind them stands what is, by the types below, a header.
fn titles(records: &[Record], notation: &Notation) -> usize {
    let fields = usual(records.iter().map(|record| record.cells.len()));
    let count = records.iter().take_while(|record| record.is_title()).count();
    let Some((header, rest)) = records.get(count..).and_then(<[Record]>::split_first) else { return 0 };
    if fields < 2 || count > MAX_TITLES || header.cells.len() != fields {
        return 0;
    }
    let rest: Vec<Vec<Vec<u8>>> = rest.iter().map(|record| record.cells.clone()).collect();
    let guess = guess_header(&header.cells, &rest, |cell| notation.classify(cell));
    if guess.is_header && guess.ground != Ground::Looks { count } else { 0 }
}

pub(super) fn unterminated(line: u64) -> Error {
    Error::Invalid(format!("line {line}: the quote that opens here is never closed"))
}

pub(super) fn too_long(line: u64, limits: &Limits) -> Error {
    Error::TooLarge(format!(
        "line {line}: the record that begins here is longer than {} bytes (is a quote left open?)",
        limits.max_record_bytes
    ))
}
