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

    /// Its row.
    ///
    /// # Errors
    /// If it has no text, or that is no JSON.
    pub fn json(&self) -> Result<Json<'a>, Skip> {
        let not_json = |error: JsonError| if self.is_whole { Skip::NotJson(error) } else { Skip::HalfWritten(error) };
        Json::parse(self.text()?).map_err(not_json)
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
