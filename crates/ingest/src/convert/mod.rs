//! From a spooled CSV file to a Parquet file, on several threads and in bounded memory.
//!
//! A first look (`plan`) finds the dialect, the header and the types to begin with. One pass then
//! reads pieces of the file, builds columns and encodes them (`piece`, `board`). Every pass notes the
//! kinds of all cells; the types that follow from them are what the file must have. Where a pass used
//! others, because a late row disagreed with the sample, a second one over the spool uses the right
//! ones: so a column that becomes text keeps the text of its early rows as it was written.

mod board;
mod head;
mod piece;
mod plan;
mod report;
mod source;
mod warnings;

use std::{fs::File, ops::Range, sync::atomic::AtomicBool};

use lakehouse_types::{
    catalog::Column as CatalogColumn,
    ingest::{BadRow, SkippedRows, Warning},
};

use self::{
    board::{Board, Job, Outcome, Setup, Stop, Task},
    head::{too_long, unterminated},
    piece::{Fatal, Issues, PieceReader},
    plan::Plan,
    source::Source,
};
use crate::{
    Error, Limits, Options,
    column::Target,
    encode::PageLimits,
    encode::{Codec, ColumnEncoder, EncodedColumn, FileWriter, file_schema},
    kind::{KindSet, resolve_columns},
    schema::{ColumnType, catalog_columns, schema_fingerprint},
};

pub use report::Report;

/// A flag that ends a conversion from outside.
pub type Cancel = AtomicBool;

/// What came out of a conversion.
#[derive(Debug, Clone)]
pub struct Converted {
    /// The columns, in order.
    pub columns: Vec<CatalogColumn>,
    /// See [`schema_fingerprint`].
    pub schema_fingerprint: String,
    /// Rows in the file.
    pub rows: u64,
    /// Size of the Parquet file in bytes.
    pub size: u64,
    /// SHA-256 (hex) of the Parquet file.
    pub sha256: String,
    /// What the caller should know besides.
    pub report: Report,
}

/// Pieces on their way for each thread: enough that a thread that waits for its turn at the file's
/// order doesn't hold up the others.
const PIECES_PER_THREAD: usize = 3;

/// Lanes are groups of columns: as many as keep several threads busy, and few enough that handing
/// them around costs nothing.
const MAX_LANES: usize = 32;

/// Passes that are enough: the second knows the types for certain.
const PASSES: usize = 2;

/// Converts the CSV in `input` to Parquet in `output`, which must be empty. Blocks; runs on
/// `limits.threads` threads, of which the caller's is one. `fingerprint` goes into the footer.
///
/// Equal bytes and options give equal output, whatever the threads.
///
/// # Errors
/// [`Error::Invalid`], [`Error::BadRows`] or [`Error::TooLarge`] tell what is wrong with the input;
/// [`Error::Cancelled`] after `cancel` was set; [`Error::Internal`] for the disk.
pub fn convert(
    input: File,
    output: &File,
    fingerprint: &str,
    options: &Options,
    limits: &Limits,
    cancel: &Cancel,
) -> Result<Converted, Error> {
    let source = Source::new(input)?;
    let plan = Plan::make(&source, options, limits)?;
    let job = Conversion { source: &source, plan: &plan, options, limits, fingerprint, cancel };
    let mut types = plan.guess.clone();
    for _ in 0..PASSES {
        let outcome = job.pass(&types, output)?;
        let seen = resolve_columns(&outcome.seen).into_iter();
        let right: Vec<ColumnType> =
            seen.zip(&plan.declared).map(|(seen, declared)| declared.unwrap_or(seen)).collect();
        match outcome.writer {
            Some(writer) if types == right => {
                return job.finish(writer, &types, outcome.rows, &outcome.issues, &outcome.seen);
            }
            _ => {
                tracing::debug!(guessed = ?types, found = ?right, "types differ from the sample's: reading again");
                types = right;
            }
        }
    }
    Err(Error::internal("convert file", "the types of two passes differ"))
}

struct Conversion<'a> {
    source: &'a Source,
    plan: &'a Plan,
    options: &'a Options,
    limits: &'a Limits,
    fingerprint: &'a str,
    cancel: &'a Cancel,
}

impl Conversion<'_> {
    /// Reads the whole file, building columns of `types`.
    fn pass(&self, types: &[ColumnType], output: &File) -> Result<Outcome, Error> {
        let shape = self.limits.shape;
        let rest = self.source.size() - self.plan.data_start;
        let threads = self.limits.threads.get();
        let lanes = lanes(types.len());
        let setup = Setup {
            pieces: usize::try_from(rest.div_ceil(shape.piece_bytes)).map_err(Error::during("cut input"))?,
            data_start: self.plan.data_start,
            window: threads * PIECES_PER_THREAD,
            skips_bad_rows: self.options.skips_bad_rows(),
            shape,
            lanes: lanes.clone(),
            columns: types.len(),
            cancelled: self.cancel,
        };
        let pages = page_limits(self.limits, types.len());
        let encoders = |lane: Range<usize>| types[lane].iter().map(|ty| ColumnEncoder::new(*ty, pages)).collect();
        let board = Board::new(setup, lanes.into_iter().map(encoders).collect(), self.writer(types, output)?);
        let targets = self.plan.targets(types);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| self.work(&board, &targets));
            }
            self.work(&board, &targets);
        });
        board.finish().map_err(|stop| self.explain(stop))
    }

    fn writer(&self, types: &[ColumnType], output: &File) -> Result<FileWriter, Error> {
        // A second pass begins anew.
        output.set_len(0).map_err(Error::during("empty Parquet file"))?;
        let mut file = output.try_clone().map_err(Error::during("open Parquet file"))?;
        std::io::Seek::rewind(&mut file).map_err(Error::during("rewind Parquet file"))?;
        FileWriter::create(file, file_schema(&self.plan.names, types)?)
    }

    /// Ends the file. Its footer tells where it comes from, and what is worth knowing about its making.
    fn finish(
        &self,
        writer: FileWriter,
        types: &[ColumnType],
        rows: u64,
        issues: &Issues,
        seen: &[KindSet],
    ) -> Result<Converted, Error> {
        let columns = catalog_columns(&self.plan.names, types);
        let schema_fingerprint = schema_fingerprint(&columns);
        let skipped = if self.options.skips_bad_rows() { Some(self.skipped(issues)?) } else { None };
        // A table without rows would take the place of the old ones, for a file that has none to give.
        if let Some(skipped) = skipped.as_ref().filter(|skipped| rows == 0 && skipped.count > 0) {
            return Err(Error::BadRows(skipped.first.clone()));
        }
        let warnings = self.warnings(rows, skipped.as_ref(), seen, types);
        let report = Report { renamed_columns: self.plan.renamed.clone(), skipped, warnings };
        let written = writer.finish(&[
            ("lakehouse.fingerprint", self.fingerprint.to_owned()),
            ("lakehouse.schema_fingerprint", schema_fingerprint.clone()),
            (Report::NOTE, report.to_json()?),
        ])?;
        Ok(Converted { columns, schema_fingerprint, rows, size: written.size, sha256: written.sha256, report })
    }

    fn warnings(
        &self,
        rows: u64,
        skipped: Option<&SkippedRows>,
        seen: &[KindSet],
        types: &[ColumnType],
    ) -> Vec<Warning> {
        let plan = self.plan;
        let mut all = plan.warnings.clone();
        // First what concerns rows: of a thousand renamed columns some are enough.
        all.splice(..0, skipped.and_then(|skipped| warnings::of_skipped(skipped, rows)));
        all.extend(warnings::of_rows(&plan.names, seen, types, &plan.declared));
        warnings::some(all)
    }

    /// One thread's work.
    fn work(&self, board: &Board<'_>, targets: &[Target]) {
        // A panic here must not leave the others waiting. It ends up as this pass's error: `scope`
        // would pass it on, and take the whole request's task with it.
        let work = std::panic::AssertUnwindSafe(|| self.work_until_done(board, targets));
        match std::panic::catch_unwind(work) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => board.stop(error),
            Err(_) => board.stop(Error::internal("convert file", "a worker panicked")),
        }
    }

    fn work_until_done(&self, board: &Board<'_>, targets: &[Target]) -> Result<(), Error> {
        let mut reader = PieceReader::new(self.source, self.plan, targets, self.limits);
        let mut codec = Codec::new()?;
        while let Some(task) = board.next() {
            match task {
                Task::Read { piece, known, observe } => {
                    let range = self.range(piece);
                    let read = reader.read(range, known, observe)?;
                    board.admit(piece, read);
                }
                Task::Encode { lane, mut encoders, job } => {
                    let group = encode(&mut encoders, &job, &mut codec)?;
                    board.encoded(lane, encoders, group);
                }
                Task::Write { mut writer, columns } => {
                    writer.write_group(columns)?;
                    board.written(writer);
                }
            }
        }
        Ok(())
    }

    fn range(&self, piece: usize) -> Range<u64> {
        let bytes = self.limits.shape.piece_bytes;
        let start = self.plan.data_start + piece as u64 * bytes;
        start..(start + bytes).min(self.source.size())
    }

    fn explain(&self, stop: Stop) -> Error {
        let line = |offset| self.source.line_of(offset);
        match stop {
            Stop::Error(error) => error,
            Stop::BadRows(issues) => self.bad_rows(&issues).map_or_else(|error| error, Error::BadRows),
            Stop::Fatal(Fatal::TooLong(at)) => line(at).map_or_else(|error| error, |line| too_long(line, self.limits)),
            Stop::Fatal(Fatal::Unterminated(at)) => line(at).map_or_else(|error| error, unterminated),
        }
    }

    fn bad_rows(&self, issues: &Issues) -> Result<Vec<BadRow>, Error> {
        let offsets: Vec<u64> = issues.first.iter().map(|issue| issue.offset).collect();
        let lines = self.source.lines_of(&offsets)?;
        let rows = issues.first.iter().zip(lines);
        Ok(rows.map(|(issue, line)| BadRow { line, reason: issue.reason.clone() }).collect())
    }

    fn skipped(&self, issues: &Issues) -> Result<SkippedRows, Error> {
        Ok(SkippedRows { count: issues.count, first: self.bad_rows(issues)? })
    }
}

fn encode(encoders: &mut [ColumnEncoder], job: &Job, codec: &mut Codec) -> Result<Option<Vec<EncodedColumn>>, Error> {
    for (encoder, column) in encoders.iter_mut().zip(&job.columns) {
        encoder.append(column, codec)?;
    }
    if !job.ends_group {
        return Ok(None);
    }
    encoders.iter_mut().map(|encoder| encoder.finish_group(codec)).collect::<Result<_, _>>().map(Some)
}

/// Cuts the columns into lanes of nearly equal width.
fn lanes(columns: usize) -> Vec<Range<usize>> {
    let lanes = columns.min(MAX_LANES);
    (0..lanes).map(|lane| lane * columns / lanes..(lane + 1) * columns / lanes).collect()
}

/// The more columns, the smaller the pages: together they fill at most what the shape allows.
fn page_limits(limits: &Limits, columns: usize) -> PageLimits {
    let shape = limits.shape;
    PageLimits {
        rows: shape.page_rows,
        bytes: (shape.open_page_bytes / columns).clamp(4 << 10, 512 << 10),
        dictionary_bytes: (shape.dictionary_bytes / columns).clamp(4 << 10, 1 << 20),
    }
}

#[cfg(test)]
mod tests;
