use super::{Dialect, Outcome, Tokenizer, line_end};

/// Line ends that [`align`] tries before it settles for the first.
const TRIED_LINES: usize = 64;

/// Guesses where, at or after `from`, a record begins, from the bytes alone: behind a line end whose
/// next two records have the right number of fields. `data[from - 1]` must be there to be looked at.
/// A guess is all it is: whoever uses it must check it against the end of the record before.
pub(crate) fn align(data: &[u8], from: usize, dialect: Dialect, columns: usize, last: bool) -> Option<usize> {
    let mut tokenizer = Tokenizer::new(data, dialect, columns, last, usize::MAX);
    let mut spans = Vec::new();
    let mut fits = |mut at: usize| {
        tokenizer.seek(at);
        for _ in 0..2 {
            if at >= data.len() {
                return true;
            }
            spans.clear();
            match tokenizer.record(at, &mut spans) {
                Outcome::Record { next, fields, malformed: false }
                    if fields == columns || tokenizer.is_blank(at, next) =>
                {
                    at = next;
                }
                Outcome::Comment { next } => at = next,
                // It says nothing against the guess that the data ends.
                Outcome::Incomplete => return true,
                _ => return false,
            }
        }
        true
    };
    // Each CR and each LF leads to the end of the line end that it belongs to.
    let mut starts = memchr::memchr2_iter(b'\r', b'\n', &data[from - 1..])
        .map(|found| line_end(data, from - 1 + found, last).unwrap_or(data.len()))
        .take(TRIED_LINES);
    let first = starts.next()?;
    if fits(first) {
        return Some(first);
    }
    Some(starts.find(|start| fits(*start)).unwrap_or(first))
}
