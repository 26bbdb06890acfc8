//! Everything about a file that must be known before its rows are read.

use lakehouse_types::ingest::{RenamedColumn, Warning};

use super::{piece::PieceReader, source::Source};
use crate::{
    Error, Limits, Options,
    column::Target,
    csv::{Dialect, Names, Outcome, Tokenizer, detect, fold, looks_like_header, sep_directive, unique_names},
    foreign,
    kind::KindSet,
    schema::ColumnType,
};

/// How a file is to be read.
pub(crate) struct Plan {
    pub(crate) dialect: Dialect,
    pub(crate) names: Vec<String>,
    pub(crate) renamed: Vec<RenamedColumn>,
    pub(crate) warnings: Vec<Warning>,
    /// The first byte after the header.
    pub(crate) data_start: u64,
    pub(crate) declared: Vec<Option<ColumnType>>,
    /// Kinds found in rows at the beginning of the file: the columns have at least these.
    known: Vec<KindSet>,
    /// Types to begin with, from a sample over the whole file.
    pub(crate) guess: Vec<ColumnType>,
}

/// Bytes at the beginning that are looked at before anything else is decided.
const HEAD_BYTES: usize = 256 << 10;

/// Records that are held against the first one to tell whether that is a header.
const HEADER_RECORDS: usize = 200;

/// Samples along the rest of the file, and bytes of each: a type that only shows further down is
/// found before the first conversion and not by its failure.
const SPOTS: u64 = 15;
const SPOT_BYTES: u64 = 32 << 10;

/// The longest column name in bytes.
const MAX_NAME_BYTES: usize = 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

impl Plan {
    pub(crate) fn columns(&self) -> usize {
        self.names.len()
    }

    /// The targets of a pass that builds columns of `types`.
    pub(crate) fn targets(&self, types: &[ColumnType]) -> Vec<Target> {
        let known = self.known.iter();
        let columns = types.iter().zip(&self.declared).zip(known);
        columns.map(|((ty, declared), known)| Target { ty: *ty, declared: declared.is_some(), known: *known }).collect()
    }

    pub(crate) fn make(source: &Source, options: &Options, limits: &Limits) -> Result<Self, Error> {
        let head = Head::read(source, options, limits)?;
        let names = head.names(options, limits)?;
        let declared = declared_types(options, &names.names)?;
        let data_start = head.start as u64 + if head.has_header { head.header_len as u64 } else { 0 };
        let columns = names.names.len();
        let mut plan = Self {
            dialect: head.dialect,
            names: names.names,
            warnings: warnings(&head, &names.renamed),
            renamed: names.renamed,
            data_start,
            known: vec![KindSet::EMPTY; columns],
            guess: declared.iter().map(|ty| ty.unwrap_or(ColumnType::Varchar)).collect(),
            declared,
        };
        plan.sample(source, limits)?;
        Ok(plan)
    }

    /// Finds kinds at the beginning (which are certain) and along the file (which may be misread, for
    /// nobody knows where its records begin; they only make a guess).
    fn sample(&mut self, source: &Source, limits: &Limits) -> Result<(), Error> {
        let head_end = source.size().min(self.data_start + HEAD_BYTES as u64);
        let targets = self.targets(&self.guess);
        let mut reader = PieceReader::new(source, self, &targets, limits);
        let mut observe = |range, known| reader.read(range, known, true);
        let known = observe(self.data_start..head_end, Some(self.data_start))?.seen;
        let mut guess = known.clone();
        let step = (source.size() - head_end) / SPOTS;
        if step > 2 * SPOT_BYTES {
            for spot in 1..=SPOTS {
                let end = head_end + step * spot;
                let piece = observe(end - SPOT_BYTES..end, None)?;
                for (guess, seen) in guess.iter_mut().zip(piece.seen) {
                    guess.insert(seen);
                }
            }
        }
        let guessed = guess.iter().map(|kinds| kinds.resolve());
        self.guess = guessed.zip(&self.declared).map(|(guess, declared)| declared.unwrap_or(guess)).collect();
        self.known = known;
        Ok(())
    }
}

/// The beginning of a file.
struct Head {
    dialect: Dialect,
    /// Where the first record begins: behind a byte order mark and blank lines.
    start: usize,
    /// Bytes of the first record.
    header_len: usize,
    first: Vec<Vec<u8>>,
    /// The most frequent number of fields.
    usual_fields: usize,
    has_header: bool,
    /// Did a line `sep=;` tell the delimiter?
    has_directive: bool,
}

impl Head {
    fn read(source: &Source, options: &Options, limits: &Limits) -> Result<Self, Error> {
        let mut sample = Vec::new();
        let mut want = HEAD_BYTES;
        loop {
            let missing = want - sample.len();
            source.read(sample.len() as u64, missing, &mut sample)?;
            let whole = sample.len() as u64 == source.size();
            foreign::refuse(&sample, whole)?;
            let bom = if sample.starts_with(BOM) { BOM.len() } else { 0 };
            let directive = sep_directive(&sample[bom..], whole);
            let text = bom + directive.map_or(0, |(_, next)| next);
            let blank = sample[text..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            let start = text + blank;
            if start == sample.len() && whole {
                return Err(Error::Invalid("the file is empty".to_owned()));
            }
            let mut wish = options.wish();
            wish.delimiter = wish.delimiter.or(directive.map(|(delimiter, _)| delimiter));
            let dialect = detect(&sample[start..], whole, wish);
            let before = memchr::memchr_iter(dialect.newline, &sample[..start]).count();
            let records = Records::of(&sample[start..], whole, dialect, limits, before)?;
            if let Some(records) = records {
                let mut head = records.head(start, dialect, options);
                head.has_directive = directive.is_some();
                return Ok(head);
            }
            if whole || sample.len() > limits.max_record_bytes {
                return Err(too_long(1, limits));
            }
            // The first record is longer than the sample.
            want = (want * 4).min(limits.max_record_bytes + HEAD_BYTES);
        }
    }

    fn names(&self, options: &Options, limits: &Limits) -> Result<Names, Error> {
        let columns = if self.has_header { self.first.len() } else { self.usual_fields };
        if columns > limits.max_columns {
            let max = limits.max_columns;
            return Err(Error::TooLarge(format!("the file has more than {max} columns")));
        }
        if !self.has_header {
            let names = (1..=columns).map(|position| format!("column{position}")).collect();
            return Ok(Names { names, renamed: Vec::new() });
        }
        let mut header = Vec::with_capacity(columns);
        for (position, cell) in self.first.iter().enumerate() {
            if cell.len() > MAX_NAME_BYTES {
                let hint =
                    if options.header().is_none() { "; if the file has no header, say `header=false`" } else { "" };
                return Err(Error::Invalid(format!(
                    "the name of column {} is longer than {MAX_NAME_BYTES} bytes{hint}",
                    position + 1
                )));
            }
            let invalid = |_| Error::Invalid(format!("line 1: the name of column {} is not UTF-8", position + 1));
            let name = std::str::from_utf8(cell).map_err(invalid)?;
            header.push(name.to_owned());
        }
        Ok(unique_names(&header))
    }
}

/// The first records of a sample.
struct Records {
    all: Vec<Vec<Vec<u8>>>,
    first_len: usize,
}

impl Records {
    /// `None` where not even the first record is complete.
    fn of(sample: &[u8], whole: bool, dialect: Dialect, limits: &Limits, blank: usize) -> Result<Option<Self>, Error> {
        let line_of = |at: usize| 1 + blank + memchr::memchr_iter(dialect.newline, &sample[..at]).count();
        let mut tokenizer = Tokenizer::new(sample, dialect, limits.max_columns + 1, whole, usize::MAX);
        tokenizer.seek(0);
        let (mut all, mut spans, mut at, mut first_len) = (Vec::new(), Vec::new(), 0, 0);
        while at < sample.len() && all.len() <= HEADER_RECORDS {
            spans.clear();
            let next = match tokenizer.record(at, &mut spans) {
                Outcome::Record { next, malformed, .. } => {
                    if malformed && all.is_empty() {
                        let line = line_of(at);
                        return Err(Error::Invalid(format!("line {line}: there is text after a closing quote")));
                    }
                    next
                }
                Outcome::Unterminated(quote) if all.is_empty() => return Err(unterminated(line_of(quote) as u64)),
                Outcome::Incomplete | Outcome::Unterminated(_) => break,
            };
            if !tokenizer.is_blank(at, next) {
                let field = |span: &crate::csv::Span| {
                    let cell = span.bytes(sample);
                    if span.is_escaped() { unescape(cell, dialect.quote) } else { cell.to_vec() }
                };
                if all.is_empty() {
                    first_len = next - at;
                }
                all.push(spans.iter().map(field).collect::<Vec<_>>());
            }
            at = next;
        }
        Ok((!all.is_empty()).then_some(Self { all, first_len }))
    }

    fn head(mut self, start: usize, dialect: Dialect, options: &Options) -> Head {
        let usual_fields = usual(self.all.iter().map(Vec::len));
        let rest = self.all.split_off(1);
        let first = self.all.pop().unwrap_or_default();
        let has_header = options.header().unwrap_or_else(|| looks_like_header(&first, &rest));
        Head { dialect, start, header_len: self.first_len, first, usual_fields, has_header, has_directive: false }
    }
}

/// The most frequent of some numbers; the largest of them where there are several.
fn usual(numbers: impl Iterator<Item = usize>) -> usize {
    let mut counts = std::collections::BTreeMap::new();
    for number in numbers {
        *counts.entry(number).or_insert(0) += 1;
    }
    counts.into_iter().max_by_key(|(number, count)| (*count, *number)).map_or(0, |(number, _)| number)
}

fn unescape(content: &[u8], quote: Option<u8>) -> Vec<u8> {
    let mut skip = false;
    let mut plain = content.to_vec();
    plain.retain(|byte| {
        skip = Some(*byte) == quote && !skip;
        // Of each pair the second stays.
        !skip
    });
    plain
}

/// What the head of a file leaves to be told.
fn warnings(head: &Head, renamed: &[RenamedColumn]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if head.has_directive {
        let delimiter = char::from(head.dialect.delimiter);
        warnings.push(Warning {
            code: "sep_line".to_owned(),
            message: format!("the first line tells the delimiter and is no row: {delimiter:?} is read as such"),
            line: Some(1),
            column: None,
        });
    }
    warnings.extend(renamed.iter().map(|column| Warning {
        code: "column_renamed".to_owned(),
        message: format!("column {} is called {:?} in the file", column.position + 1, column.from),
        line: None,
        column: Some(column.to.clone()),
    }));
    warnings
}

fn declared_types(options: &Options, names: &[String]) -> Result<Vec<Option<ColumnType>>, Error> {
    let mut declared = vec![None; names.len()];
    for over in options.types() {
        let exact = names.iter().position(|name| *name == over.column);
        let folded = || names.iter().position(|name| fold(name) == fold(&over.column));
        let column = exact.or_else(folded).ok_or_else(|| {
            let some: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
            Error::Invalid(format!("`types` names column `{}`; the file has {}", over.column, some.join(", ")))
        })?;
        declared[column] = Some(over.column_type);
    }
    Ok(declared)
}

pub(crate) fn unterminated(line: u64) -> Error {
    Error::Invalid(format!("line {line}: the quote that opens here is never closed"))
}

pub(crate) fn too_long(line: u64, limits: &Limits) -> Error {
    Error::TooLarge(format!(
        "line {line}: the record that begins here is longer than {} bytes (is a quote left open?)",
        limits.max_record_bytes
    ))
}
