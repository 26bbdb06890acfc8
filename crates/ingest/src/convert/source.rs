use std::{fs::File, os::unix::fs::FileExt as _};

use crate::{Error, csv::LineCounter, csv::line_end};

/// The spooled input. It is read with `pread` and not mapped: pages of a mapping count as the
/// process's own memory, and a file that shrinks under a mapping kills the process.
pub(crate) struct Source {
    file: File,
    size: u64,
}

/// What one step of counting lines reads at a time, in bytes.
const COUNT_STEP: usize = 1 << 20;

impl Source {
    pub(crate) fn new(file: File) -> Result<Self, Error> {
        let size = file.metadata().map_err(Error::during("read size of spool file"))?.len();
        Ok(Self { file, size })
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Appends up to `len` bytes from `offset` on, fewer only at the end of the file.
    pub(crate) fn read(&self, offset: u64, len: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        let rest = self.size.saturating_sub(offset);
        let len = usize::try_from(rest).map_or(len, |rest| rest.min(len));
        let before = into.len();
        into.resize(before + len, 0);
        self.file.read_exact_at(&mut into[before..], offset).map_err(Error::during("read spool file"))
    }

    /// The 1-based line on which `offset` lies.
    pub(crate) fn line_of(&self, offset: u64) -> Result<u64, Error> {
        Ok(self.lines_of(&[offset])?.first().copied().unwrap_or(1))
    }

    /// The 1-based lines on which `offsets` (ascending) lie. Reads the file up to the last of them;
    /// only a file that leaves something to be told pays for it.
    pub(crate) fn lines_of(&self, offsets: &[u64]) -> Result<Vec<u64>, Error> {
        let mut lines = Vec::with_capacity(offsets.len());
        let (mut at, mut counter, mut buffer) = (0, LineCounter::default(), Vec::new());
        for &offset in offsets {
            while at < offset {
                let step = usize::try_from(offset - at).map_or(COUNT_STEP, |rest| rest.min(COUNT_STEP));
                buffer.clear();
                self.read(at, step, &mut buffer)?;
                counter.add(&buffer);
                at += step as u64;
            }
            lines.push(1 + counter.count());
        }
        Ok(lines)
    }

    /// The offset behind the first `lines` lines, or the size of the file where it has fewer.
    pub(crate) fn behind_lines(&self, lines: u64) -> Result<u64, Error> {
        let (mut at, mut passed, mut buffer) = (0, 0, Vec::new());
        while passed < lines && at < self.size {
            buffer.clear();
            self.read(at, COUNT_STEP, &mut buffer)?;
            let last = at + buffer.len() as u64 == self.size;
            let mut next = 0;
            while passed < lines {
                let Some(end) = memchr::memchr2(b'\r', b'\n', &buffer[next..]) else {
                    next = buffer.len();
                    break;
                };
                match line_end(&buffer, next + end, last) {
                    Some(behind) => {
                        passed += 1;
                        next = behind;
                    }
                    // The buffer ends inside of a line end: the next one begins with it.
                    None => {
                        next += end;
                        break;
                    }
                }
            }
            at += next as u64;
        }
        Ok(at)
    }
}
