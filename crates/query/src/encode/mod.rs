//! Results on their way out: JSON, newline-delimited JSON, CSV, Arrow.
//!
//! Every form is written as the rows come, and handed on in pieces of about [`PIECE`] bytes.
//! docs/sql-types.md says how each type looks.

mod arrow;
mod calendar;
mod csv;
mod json;
mod number;
mod value;

use serde::{Deserialize, Serialize};

use crate::duck::{Failure, FailureKind, Keywords, Prepared, Stream};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One object: `columns`, `rows`, `row_count`.
    Json,
    /// One object a row, one row a line.
    NdJson,
    /// RFC 4180, with a header.
    Csv,
    /// Arrow's IPC stream.
    Arrow,
}

impl Format {
    /// Every format; the default one first.
    pub const ALL: [Self; 4] = [Self::Json, Self::NdJson, Self::Csv, Self::Arrow];

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::NdJson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// Bytes that are gathered before they are handed on: large enough that a piece costs nothing
/// to pass along, small enough that the first row does not wait long.
pub(crate) const PIECE: usize = 128 << 10;

/// The longest piece.
const MAX_PIECE: usize = 2 * PIECE;

/// Takes the pieces of an answer, counts them, and stops at the limit.
pub(crate) struct Sink<'a> {
    buffer: Vec<u8>,
    sent: u64,
    limit: u64,
    write: &'a mut dyn FnMut(&[u8]) -> Result<(), Failure>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(limit: u64, write: &'a mut dyn FnMut(&[u8]) -> Result<(), Failure>) -> Self {
        Self { buffer: Vec::with_capacity(MAX_PIECE), sent: 0, limit, write }
    }

    /// Where the next bytes go.
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Says that a row, or another whole part, is in the buffer.
    fn part_done(&mut self) -> Result<(), Failure> {
        if self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.sent += self.buffer.len() as u64;
        if self.sent > self.limit {
            return Err(Failure::new(FailureKind::TooLarge, format!("the result is larger than {} bytes", self.limit)));
        }
        // One long value can make a part many times larger than a piece, and whoever passes
        // pieces on has room for a few.
        self.buffer.chunks(MAX_PIECE).try_for_each(&mut *self.write)?;
        self.buffer.clear();
        // The room that a long value took is not kept for all that come after it.
        self.buffer.shrink_to(MAX_PIECE);
        Ok(())
    }
}

/// Runs `statement` and writes its result. Gives the number of rows.
///
/// `cancelled` is asked between chunks: an interrupt that comes while no chunk is being made
/// reaches nobody else.
pub(crate) fn write_result(
    statement: Prepared<'_>,
    format: Format,
    keywords: &Keywords,
    sink: &mut Sink<'_>,
    cancelled: &dyn Fn() -> bool,
) -> Result<u64, Failure> {
    let mut stream = statement.stream(keywords)?;
    let rows = match format {
        Format::Json => json::write(&mut stream, sink, cancelled)?,
        Format::NdJson => json::write_lines(&mut stream, sink, cancelled)?,
        Format::Csv => csv::write(&mut stream, sink, cancelled)?,
        Format::Arrow => arrow::write(&mut stream, sink, cancelled)?,
    };
    sink.flush()?;
    Ok(rows)
}

/// Goes through all chunks; `each` writes one. Gives the number of rows.
fn for_each_chunk(
    stream: &mut Stream<'_>,
    cancelled: &dyn Fn() -> bool,
    mut each: impl FnMut(&Stream<'_>, &crate::duck::Chunk) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let mut rows = 0;
    while let Some(chunk) = stream.next_chunk()? {
        if cancelled() {
            return Err(Failure::new(FailureKind::Interrupted, "cancelled"));
        }
        each(stream, &chunk)?;
        rows += chunk.len() as u64;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
