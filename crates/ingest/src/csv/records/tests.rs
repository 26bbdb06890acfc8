use proptest::prelude::*;

use super::*;
use crate::csv::align;

const COMMA: Dialect =
    Dialect { delimiter: b',', quote: Some(b'"'), escape: None, spaces: Spaces::Kept, comment: None };

const LEADING: Dialect = Dialect { spaces: Spaces::Leading, ..COMMA };
const AROUND: Dialect = Dialect { spaces: Spaces::Around, ..COMMA };
const BACKSLASH: Dialect = Dialect { escape: Some(b'\\'), ..COMMA };
const ODD: Dialect =
    Dialect { delimiter: b';', quote: None, escape: None, spaces: Spaces::Around, comment: Some(b'#') };

/// Where the line end at `at` ends: LF, CR, or an LF behind up to four CRs.
fn plain_line_end(data: &[u8], at: usize) -> usize {
    let crs = data[at..].iter().take_while(|byte| **byte == b'\r').count();
    if crs <= 4 && data.get(at + crs) == Some(&b'\n') { at + crs + 1 } else { at + 1 }
}

/// A record by the letter of the rules, one byte at a time: its fields, the start of the next one,
/// and whether something follows a closing quote. `None` where a quote stays open.
fn plain_record(data: &[u8], start: usize, dialect: Dialect) -> Option<(Vec<Vec<u8>>, usize, bool)> {
    let (mut fields, mut malformed, mut at) = (Vec::new(), false, start);
    let is_end = |at: usize| data[at] == dialect.delimiter || b"\r\n".contains(&data[at]);
    let is_space = |at: usize| at < data.len() && dialect.is_space(data[at]);
    loop {
        let mut field = Vec::new();
        while dialect.spaces != Spaces::Kept && is_space(at) {
            at += 1;
        }
        let quoted = dialect.quote.is_some() && data.get(at).copied() == dialect.quote;
        if quoted {
            at += 1;
            loop {
                let byte = *data.get(at)?;
                let next = data.get(at + 1).copied();
                at += 1;
                let escapes = Some(byte) == dialect.escape && (next == dialect.escape || next == dialect.quote);
                if escapes || (Some(byte) == dialect.quote && next == dialect.quote) {
                    field.extend(next);
                    at += 1;
                } else if Some(byte) == dialect.quote {
                    break;
                } else {
                    field.push(byte);
                }
            }
            while is_space(at) {
                at += 1;
            }
        }
        let rest = at;
        while at < data.len() && !is_end(at) {
            at += 1;
        }
        let mut tail = &data[rest..at];
        if quoted {
            malformed |= !tail.is_empty();
        } else {
            while dialect.spaces == Spaces::Around && tail.last().is_some_and(|byte| dialect.is_space(*byte)) {
                tail = &tail[..tail.len() - 1];
            }
            field.extend_from_slice(tail);
        }
        fields.push(field);
        if at < data.len() && data[at] == dialect.delimiter {
            at += 1;
        } else {
            let next = if at < data.len() { plain_line_end(data, at) } else { at };
            return Some((fields, next, malformed));
        }
    }
}

fn content(span: Span, data: &[u8], dialect: Dialect) -> Vec<u8> {
    span.plain(data, dialect.quoting())
}

/// Everything that can go wrong has a character here.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(b'a'), 3 => Just(b','), 3 => Just(b'"'), 3 => Just(b'\n'), 2 => Just(b'\r'), 1 => Just(b';'),
        2 => Just(b' '), 1 => Just(b'\\'), 1 => Just(b'#'),
    ];
    proptest::collection::vec(byte, 0..200)
}

fn dialects() -> impl Strategy<Value = Dialect> {
    proptest::sample::select(vec![COMMA, LEADING, AROUND, BACKSLASH, ODD])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn records_agree_with_a_plain_parser(data in soup(), dialect in dialects()) {
        let mut tokenizer = Tokenizer::new(&data, dialect, usize::MAX, true, usize::MAX);
        tokenizer.seek(0);
        let (mut at, mut spans) = (0, Vec::new());
        while at < data.len() {
            spans.clear();
            let got = tokenizer.record(at, &mut spans);
            if Some(data[at]) == dialect.comment {
                let end = (at..data.len()).find(|at| b"\r\n".contains(&data[*at]));
                let next = end.map_or(data.len(), |end| plain_line_end(&data, end));
                prop_assert_eq!(got, Outcome::Comment { next });
                at = next;
                continue;
            }
            let Some((fields, next, malformed)) = plain_record(&data, at, dialect) else {
                prop_assert!(matches!(got, Outcome::Unterminated(_)), "{:?} at {}", got, at);
                break;
            };
            prop_assert_eq!(got, Outcome::Record { next, fields: fields.len(), malformed });
            if !malformed {
                let got: Vec<Vec<u8>> = spans.iter().map(|span| content(*span, &data, dialect)).collect();
                prop_assert_eq!(got, fields);
            }
            at = next;
        }
    }

    /// A buffer that ends anywhere gives either the same record or "more, please": never another one.
    #[test]
    fn a_cut_never_changes_a_record(data in soup(), dialect in dialects(), cut in 0_usize..200) {
        let cut = cut.min(data.len());
        let whole = Tokenizer::new(&data, dialect, usize::MAX, true, usize::MAX).first();
        let part = Tokenizer::new(&data[..cut], dialect, usize::MAX, false, usize::MAX).first();
        prop_assert!(part == whole || part.0 == Outcome::Incomplete, "{:?} is neither {:?} nor incomplete", part, whole);
    }

    /// Blocks hold exactly the good rows, in order, and every other record is a flaw.
    #[test]
    fn blocks_hold_the_rows(data in soup(), columns in 1_usize..4, stop in 0_usize..220) {
        let mut tokenizer = Tokenizer::new(&data, COMMA, columns, true, usize::MAX);
        let mut block = Block::default();
        let mut flaws = Vec::new();
        let progress = tokenizer.fill(&mut block, 0, stop, |at, flaw| flaws.push((at, flaw)));
        let (mut at, mut rows, mut bad) = (0, 0, Vec::new());
        let end = loop {
            if at >= stop || at >= data.len() {
                break Progress::Done(at);
            }
            let Some((fields, next, malformed)) = plain_record(&data, at, COMMA) else {
                prop_assert!(matches!(progress, Progress::Unterminated(_)));
                break progress;
            };
            let blank = data[at..next].iter().all(|byte| b"\r\n".contains(byte));
            if malformed {
                bad.push((at, Flaw::AfterQuote));
            } else if fields.len() == columns {
                let got = &block.spans[rows * columns..(rows + 1) * columns];
                let got: Vec<Vec<u8>> = got.iter().map(|span| content(*span, &data, COMMA)).collect();
                prop_assert_eq!(got, fields);
                rows += 1;
            } else if !blank {
                bad.push((at, Flaw::Ragged(fields.len())));
            }
            at = next;
        };
        prop_assert_eq!(progress, end);
        prop_assert_eq!((block.rows, block.spans.len()), (rows, rows * columns));
        prop_assert_eq!(flaws, bad);
    }

    #[test]
    fn an_alignment_is_the_start_of_a_line(data in soup(), from in 1_usize..200) {
        let from = from.min(data.len().max(1));
        if let Some(start) = align(&data, from, COMMA, 2, true) {
            prop_assert!(start >= from && b"\r\n".contains(&data[start - 1]));
        }
    }
}

impl Tokenizer<'_> {
    /// The first record, with its fields.
    fn first(mut self) -> (Outcome, Vec<Span>) {
        let mut spans = Vec::new();
        self.seek(0);
        let outcome = self.record(0, &mut spans);
        let complete = matches!(outcome, Outcome::Record { .. });
        (outcome, if complete { spans } else { Vec::new() })
    }
}

#[test]
fn removing_rows_keeps_the_others() {
    let data = b"a,b\nc,d\ne,f\ng,h\n";
    let mut block = Block::default();
    Tokenizer::new(data, COMMA, 2, true, 100).fill(&mut block, 0, data.len(), |_, _| {});
    block.remove_rows(&[0, 2], 2);
    let left: Vec<&[u8]> = block.spans.iter().map(|span| span.bytes(data)).collect();
    assert_eq!((block.rows, left), (2, vec![&b"c"[..], b"d", b"g", b"h"]));
}

#[test]
fn a_record_over_the_cap_is_told_before_its_end_is_seen() {
    let mut block = Block::default();
    let mut fill =
        |data: &[u8], last| Tokenizer::new(data, COMMA, 2, last, 8).fill(&mut block, 0, data.len(), |_, _| {});
    assert_eq!(fill(b"a,b\nlong,long\n", true), Progress::TooLong(4));
    assert_eq!(fill(b"a,b\nlong,long", false), Progress::TooLong(4));
    assert_eq!(fill(b"a,b\nlong,lo", false), Progress::NeedMore(4));
    assert_eq!(fill(b"a,b\n\"long,long\n", true), Progress::TooLong(4));
    assert_eq!(fill(b"a,b\n\"lo\n", true), Progress::Unterminated(4));
}

#[test]
fn an_alignment_passes_over_lines_inside_of_quotes() {
    let data = b"1,\"x\ny\nz\"\n2,b\n3,c\n";
    assert_eq!(align(data, 4, COMMA, 2, true), Some(10));
}
