use std::io::{self, BufRead};

use memchr::memchr;

use crate::{
    json::{Json, JsonError},
    transforms::Skip,
};

/// Longer lines are not rows of a log but an accident; they are skipped without being held in memory.
pub const MAX_LINE_BYTES: usize = 16 << 20;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One line, without its line end and a byte order mark before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 0.
    pub number: u64,
    /// Its bytes; none of them when it is too long.
    pub bytes: &'a [u8],
    /// Whether it ends in a new line. Only a file's last one may not.
    pub is_whole: bool,
    /// Over [`MAX_LINE_BYTES`].
    pub is_too_long: bool,
}

impl<'a> Line<'a> {
    /// Whether there is nothing on it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        !self.is_too_long && self.bytes.trim_ascii().is_empty()
    }

    /// Its text.
    ///
    /// # Errors
    /// If it is too long, or not UTF-8.
    pub fn text(&self) -> Result<&'a str, Skip> {
        if self.is_too_long {
            return Err(Skip::TooLong { limit: MAX_LINE_BYTES });
        }
        std::str::from_utf8(self.bytes).map_err(|e| Skip::NotUtf8 { at: e.valid_up_to() })
    }

    /// What is on it, as one value.
    ///
    /// # Errors
    /// If it has no text, or that is no JSON.
    pub fn json(&self) -> Result<Json<'a>, Skip> {
        Json::parse(self.text()?).map_err(|error| self.not_json(error))
    }

    /// The rows on it: one, unless a writer that died, or never wrote new lines, has left several glued to
    /// each other. Whole ones before a torn one are rows; from the torn one on there is nothing to hold on to.
    pub fn rows(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        Rows { line: *self, text: self.text(), part: 0, rest: Some(0) }
    }

    fn not_json(&self, error: JsonError) -> Skip {
        if self.is_whole { Skip::NotJson(error) } else { Skip::HalfWritten(error) }
    }
}

/// One row of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// How many rows stand before it on its line.
    pub part: u64,
    /// Its bytes: those of the whole line if it is alone there, and all that is left of it if it is torn.
    pub bytes: &'a [u8],
    /// The row, or why it is none.
    pub json: Result<Json<'a>, Skip>,
}

struct Rows<'a> {
    line: Line<'a>,
    /// Looked at once, however many rows there are.
    text: Result<&'a str, Skip>,
    part: u64,
    /// Where the next row begins.
    rest: Option<usize>,
}

impl<'a> Rows<'a> {
    /// The row that begins at `from`, where it ends, and where the next one begins.
    fn read(&self, from: usize) -> Result<(Json<'a>, usize, Option<usize>), Skip> {
        let text = self.text.clone()?;
        let (value, end) = Json::parse_one(text, from).map_err(|error| self.line.not_json(error))?;
        let rest = text.get(end..).unwrap_or_default().trim_start_matches([' ', '\t', '\n', '\r']);
        let next = text.len() - rest.len();
        match value {
            _ if rest.is_empty() => Ok((value, text.len(), None)),
            // A byte order mark between two rows is that of the second of two files that were put together.
            Json::Object(_) => Ok((value, end, Some(text.len() - rest.trim_start_matches('\u{feff}').len()))),
            _ => Err(self.line.not_json(JsonError { at: next, why: "text after the value" })),
        }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let from = self.rest.take()?;
        let (json, end) = match self.read(from) {
            Ok((value, end, rest)) => {
                self.rest = rest;
                (Ok(value), end)
            }
            Err(skip) => (Err(skip), self.line.bytes.len()),
        };
        let bytes = self.line.bytes.get(from..end).unwrap_or_default();
        let row = Row { part: self.part, bytes, json };
        self.part += 1;
        Some(row)
    }
}

/// Reads lines of any length in bounded memory.
#[derive(Debug)]
pub struct LineReader<R> {
    input: R,
    buffer: Vec<u8>,
    next: u64,
}

impl<R: BufRead> LineReader<R> {
    /// Reads from the beginning of `input`.
    pub fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), next: 0 }
    }

    /// The input, behind everything that was read.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// What the input says.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        // A buffer that one huge row has blown up is not kept for the millions after it.
        self.buffer.shrink_to(1 << 20);
        let (mut is_whole, mut is_too_long, mut has_bytes) = (false, false, false);
        while !is_whole {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            has_bytes = true;
            let end = memchr(b'\n', chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.buffer.len() + part.len() > MAX_LINE_BYTES {
                is_too_long = true;
                self.buffer.clear();
            }
            if !is_too_long {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            is_whole = end.is_some();
            self.input.consume(used);
        }
        if !has_bytes {
            return Ok(None);
        }
        let number = self.next;
        self.next += 1;
        let bytes = self.buffer.strip_suffix(b"\r").unwrap_or(&self.buffer);
        let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        Ok(Some(Line { number, bytes, is_whole, is_too_long }))
    }
}
