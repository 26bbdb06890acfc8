//! Guesses how a file is written, from its beginning.

use super::{Dialect, Outcome, Tokenizer};

/// What the caller said about the dialect; the rest is guessed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    pub(crate) delimiter: Option<u8>,
    /// `Some(None)`: quotes mean nothing.
    pub(crate) quote: Option<Option<u8>>,
}

/// Delimiters that are looked for. Among equals the earlier wins.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// Records that a guess looks at.
const RECORDS: usize = 1000;

/// A delimiter must cut at least this share of the records into equally many fields.
const LEAST_SHARE: f64 = 0.5;

/// Guesses the dialect from `sample`, the first bytes of a file. `whole` tells that it is all of it.
pub(crate) fn detect(sample: &[u8], whole: bool, wish: Wish) -> Dialect {
    let has = |byte| memchr::memchr(byte, sample).is_some();
    let newline = if !has(b'\n') && has(b'\r') { b'\r' } else { b'\n' };
    let quotes = match wish.quote {
        Some(quote) => vec![quote],
        None => vec![Some(b'"'), Some(b'\'')],
    };
    for quote in quotes.iter().rev() {
        let best = best_delimiter(sample, whole, wish.delimiter, *quote, newline);
        let dialect = Dialect { delimiter: best, quote: *quote, newline };
        if quotes.len() == 1 || *quote != Some(b'\'') || is_single_quoted_column(sample, whole, dialect) {
            return dialect;
        }
    }
    Dialect { delimiter: wish.delimiter.unwrap_or(b','), quote: Some(b'"'), newline }
}

fn best_delimiter(sample: &[u8], whole: bool, wish: Option<u8>, quote: Option<u8>, newline: u8) -> u8 {
    if let Some(delimiter) = wish {
        return delimiter;
    }
    let score = |delimiter| Score::of(sample, whole, Dialect { delimiter, quote, newline });
    let mut best: Option<(u8, Score)> = None;
    for delimiter in DELIMITERS {
        let score = score(delimiter);
        let is_better = |best: &Score| (score.quality(), score.fields) > (best.quality(), best.fields);
        if score.is_candidate() && best.as_ref().is_none_or(|(_, best)| is_better(best)) {
            best = Some((delimiter, score));
        }
    }
    let Some((delimiter, score_of_best)) = best else { return b',' };
    // `1,5;2,5`: where the comma is the decimal point, it cuts as evenly as the semicolon.
    if delimiter == b',' {
        let semicolon = score(b';');
        if semicolon.is_candidate()
            && semicolon.quality() >= score_of_best.quality()
            && semicolon.decimal_commas >= semicolon.records / 2
        {
            return b';';
        }
    }
    delimiter
}

/// How evenly a delimiter cuts.
#[derive(Debug, Default)]
struct Score {
    records: usize,
    /// The most frequent number of fields.
    fields: usize,
    /// Records with that number.
    even: usize,
    /// Records with something behind a closing quote.
    malformed: usize,
    /// Does the first record, a header most often, have that number?
    first_agrees: bool,
    /// Fields such as `1,5`.
    decimal_commas: usize,
}

impl Score {
    fn of(sample: &[u8], whole: bool, dialect: Dialect) -> Self {
        let mut counts: Vec<(usize, usize)> = Vec::new();
        let mut score = Self::default();
        let mut first = 0;
        for_each_record(sample, whole, dialect, |fields, malformed| {
            score.records += 1;
            score.malformed += usize::from(malformed);
            score.decimal_commas += fields.iter().filter(|field| is_decimal_comma(field.content)).count();
            if score.records == 1 {
                first = fields.len();
            }
            match counts.iter_mut().find(|(number, _)| *number == fields.len()) {
                Some((_, count)) => *count += 1,
                None => counts.push((fields.len(), 1)),
            }
        });
        if let Some((fields, even)) = counts.into_iter().max_by_key(|(fields, count)| (*count, *fields)) {
            score.fields = fields;
            score.even = even;
            score.first_agrees = first == fields;
        }
        score
    }

    fn is_candidate(&self) -> bool {
        self.fields > 1 && self.even as f64 >= LEAST_SHARE * self.records as f64
    }

    /// Per cent of even records, less the malformed ones; a first record that agrees counts as a
    /// quarter of all, for a header holds names and no prose.
    fn quality(&self) -> i64 {
        let share = |count: usize| (count * 100 / self.records.max(1)) as i64;
        share(self.even) - share(self.malformed) + if self.first_agrees { 25 } else { 0 }
    }
}

fn is_decimal_comma(field: &[u8]) -> bool {
    let field = field.strip_prefix(b"-").unwrap_or(field);
    let mut parts = field.split(|byte| *byte == b',');
    let digits = |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit));
    digits(parts.next()) && digits(parts.next()) && parts.next().is_none()
}

/// Apostrophes are quotes only where some column stands in them from top to bottom (its header
/// aside), and nothing contradicts it. A stray `'tis` is no quote.
fn is_single_quoted_column(sample: &[u8], whole: bool, dialect: Dialect) -> bool {
    // For each column: cells in quotes, and cells that are neither quoted nor empty.
    let mut columns: Vec<(usize, usize)> = Vec::new();
    let (mut records, mut contradictions) = (0, 0);
    for_each_record(sample, whole, dialect, |fields, malformed| {
        contradictions += usize::from(malformed);
        // A cell with a line break most likely swallows lines that fit without the quotes.
        let swallows = |field: &&Field<'_>| field.quoted && memchr::memchr2(b'\n', b'\r', field.content).is_some();
        contradictions += fields.iter().filter(swallows).count();
        contradictions += fields.iter().filter(|field| !field.quoted && field.content.first() == Some(&b'"')).count();
        for (column, field) in fields.iter().enumerate() {
            if columns.len() == column {
                columns.push((0, 0));
            }
            columns[column].0 += usize::from(field.quoted && !field.content.is_empty());
            columns[column].1 += usize::from(!field.quoted && !field.content.is_empty() && records > 0);
        }
        records += 1;
    });
    contradictions == 0 && columns.iter().any(|(quoted, plain)| *quoted > 0 && *plain == 0)
}

struct Field<'a> {
    content: &'a [u8],
    quoted: bool,
}

/// Calls `each` for the complete records of `sample` that are not blank.
fn for_each_record(sample: &[u8], whole: bool, dialect: Dialect, mut each: impl FnMut(&[Field<'_>], bool)) {
    let mut tokenizer = Tokenizer::new(sample, dialect, usize::MAX, whole, usize::MAX);
    tokenizer.seek(0);
    let (mut spans, mut fields, mut at) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RECORDS {
        spans.clear();
        if at >= sample.len() {
            return;
        }
        let Outcome::Record { next, malformed, .. } = tokenizer.record(at, &mut spans) else { return };
        if !tokenizer.is_blank(at, next) {
            fields.clear();
            fields.extend(spans.iter().map(|span| Field { content: span.bytes(sample), quoted: span.is_quoted() }));
            each(&fields, malformed);
        }
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(text: &str) -> (char, Option<char>, u8) {
        let dialect = detect(text.as_bytes(), true, Wish::default());
        (dialect.delimiter.into(), dialect.quote.map(char::from), dialect.newline)
    }

    #[test]
    fn delimiters_are_found() {
        for delimiter in [',', ';', '\t', '|'] {
            let text = "a,b,c\n1,x y,2\n3,\"p,q\",4\n".replace(',', &delimiter.to_string());
            assert_eq!(guess(&text), (delimiter, Some('"'), b'\n'), "{text:?}");
        }
        assert_eq!(guess("id|text\n1|a, b\n2|c, d\n3|e\n").0, '|', "commas in the text");
        assert_eq!(guess("id,tags\n1,a|b\n2,c\n3,d|e\n").0, ',');
        assert_eq!(guess("name;price\na;1,5\nb;2,25\n").0, ';');
        assert_eq!(guess("1,5;2,5\n3,5;4,5\n").0, ';', "decimal commas");
        assert_eq!(guess("alone\n1\n2\n").0, ',');
        assert_eq!(guess("").0, ',');
    }

    #[test]
    fn prose_in_quotes_does_not_count() {
        assert_eq!(guess("a;b\n\"x, y, z\";\"p, q, r\"\n\"x, y, z\";\"p, q, r\"\n").0, ';');
    }

    #[test]
    fn apostrophes_quote_only_where_a_whole_column_has_them() {
        assert_eq!(guess("a,b\n'x, y',1\n'p',2\n").1, Some('\''));
        assert_eq!(guess("a,b\n'tis,1\nit's,2\n").1, Some('"'));
        assert_eq!(guess("a,b\n'tis,1\nplain,2\n").1, Some('"'));
        assert_eq!(guess("a,b\n'x',\"y\"\n").1, Some('"'));
        assert_eq!(guess("item,unit\nrope,'\nwire,'\ncord,'\npipe,'\n").1, Some('"'), "feet");
        assert_eq!(guess("item,unit\nrope,'\nwire,'\ncord,'\n").1, Some('"'), "an odd number of feet");
        assert_eq!(guess("item,unit\nrope,''\nwire,''\n").1, Some('"'), "inches");
        assert_eq!(guess("a,b\n'90s rock',1\npop,2\n").1, Some('"'));
    }

    #[test]
    fn old_mac_files_end_their_lines_with_cr() {
        assert_eq!(guess("a,b\r1,2\r3,4\r"), (',', Some('"'), b'\r'));
        assert_eq!(guess("a,b\r\n1,2\r\n"), (',', Some('"'), b'\n'));
    }

    #[test]
    fn the_caller_is_believed() {
        let wish = Wish { delimiter: Some(b' '), quote: Some(None) };
        let dialect = detect(b"a,b\n1,2\n", true, wish);
        assert_eq!(dialect, Dialect { delimiter: b' ', quote: None, newline: b'\n' });
    }
}
