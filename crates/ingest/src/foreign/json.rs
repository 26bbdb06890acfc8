use std::borrow::Cow;

use memchr::memmem;
use serde::de::IgnoredAny;

const JSON: &str = "JSON, which this call does not take";
const NDJSON: &str = "NDJSON, which this call does not take";

/// What Python and JavaScript write for numbers that JSON has not, and numbers of equal length.
const NO_NUMBERS: [(&[u8], &[u8]); 2] = [(b"NaN", b"0.0"), (b"Infinity", b"10000000")];

/// One value, or one on each line. Behind the first cell of a table stands a delimiter.
pub(super) fn what(text: &[u8], whole: bool) -> Option<&'static str> {
    if is_rows_of_numbers(text) {
        return None;
    }
    let text = with_numbers(text, whole);
    let line = text.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut values = serde_json::Deserializer::from_slice(&text).into_iter::<IgnoredAny>();
    let mut count = 0;
    loop {
        let rest = text.get(values.byte_offset()..).unwrap_or_default();
        if count > 0 && !is_next_value(rest) {
            return None;
        }
        match values.next() {
            Some(Ok(IgnoredAny)) => count += 1,
            // The sample ends inside of a value, and up to there it is one.
            Some(Err(error)) if error.is_eof() && !whole => break,
            // A bad line behind good ones. Cells may be numbers in brackets, but objects hardly.
            Some(Err(_)) if count > 1 && text.starts_with(b"{") => break,
            Some(Err(_)) => return None,
            None => break,
        }
        if count == 1 && values.byte_offset() > line.len() && !goes_on(line) {
            return None;
        }
    }
    if count == 0 && line.len() < text.len() && !goes_on(line) {
        return None;
    }
    Some(if count > 1 { NDJSON } else { JSON })
}

/// May a value that begins in this line end in another? A row of a table ends with a cell, or with the
/// delimiter before an empty one.
fn goes_on(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let first = line.iter().position(|byte| !matches!(byte, b'[' | b'{' | b' ')).unwrap_or(line.len());
    let (brackets, rest) = line.split_at(first);
    rest.is_empty() || brackets.contains(&b'{') && matches!(rest.last(), Some(b'[' | b'{' | b',' | b':'))
}

/// Nothing, or a value on a line of its own, or an object without a gap. Spaces and tabs alone may be delimiters.
fn is_next_value(rest: &[u8]) -> bool {
    let next = rest.trim_ascii_start();
    let gap = &rest[..rest.len() - next.len()];
    match next.first() {
        None => true,
        Some(b'{') if gap.is_empty() => true,
        Some(b'{' | b'[') => memchr::memchr2(b'\n', b'\r', gap).is_some(),
        Some(_) => false,
    }
}

/// Lines like `[1,2]` may be rows. JSON has strings, objects, arrays in arrays, a first line for the
/// bracket alone, or one line in all.
fn is_rows_of_numbers(text: &[u8]) -> bool {
    let lines = text.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::trim_ascii);
    let mut lines = lines.filter(|line| !line.is_empty()).peekable();
    let is_row = |line: &[u8]| memchr::memchr2(b'"', b'{', line).is_none() && !line[1..].contains(&b'[');
    lines.next().is_some_and(|first| first.len() > 1 && is_row(first)) && lines.peek().is_some() && lines.all(is_row)
}

/// The text with numbers that `serde_json` takes.
fn with_numbers(text: &[u8], whole: bool) -> Cow<'_, [u8]> {
    // The sample may end inside of a number or such a word, which is no value then.
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let end = text.iter().rposition(|byte| whole || !is_part(byte)).map_or(0, |last| last + 1);
    let mut text = Cow::Borrowed(&text[..end]);
    for (word, number) in NO_NUMBERS {
        let found: Vec<usize> = memmem::find_iter(&text, word).collect();
        for at in found {
            text.to_mut()[at..at + word.len()].copy_from_slice(number);
        }
    }
    text
}
