//! CSV as bytes: where records and fields begin and end. What the fields mean is none of its business.
//!
//! RFC 4180, with what real files do beyond it: any delimiter; LF, CRLF, CR, or LF behind some CRs at the
//! end of a line; a quote in the middle of an unquoted field taken for the character that it is; white
//! space behind a closing quote; and a missing newline at the end of the file. `docs/csv.md` has the rules.

mod align;
mod detect;
mod directive;
mod header;
mod lines;
mod reading;
mod records;
mod scan;
mod span;

pub(crate) use align::align;
pub(crate) use detect::{Detected, Doubt, Wish, detect};
pub(crate) use directive::sep_directive;
pub(crate) use header::{Ground, HeaderGuess, Names, fold, guess_header, unique_names};
pub(crate) use lines::{LineCounter, line_end};
pub(crate) use reading::usual;
pub(crate) use records::{Flaw, Outcome, Progress, Tokenizer};
pub(crate) use span::{Block, Span};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Between the fields of a record.
    pub(crate) delimiter: u8,
    /// Around a field; `None` where quotes mean nothing.
    pub(crate) quote: Option<u8>,
    /// Before a quote in a quoted field, beside doubling it.
    pub(crate) escape: Option<u8>,
    pub(crate) spaces: Spaces,
    /// At the beginning of a line that is none of the table's.
    pub(crate) comment: Option<u8>,
}

/// White space (spaces and tabs) around fields. Behind a closing quote it never counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Spaces {
    /// It belongs to the fields, and a quote behind it is a character.
    #[default]
    Kept,
    /// Before a field it is syntax, so that a quote behind it opens.
    Leading,
    /// Before and behind a field it is syntax.
    Around,
}

impl Dialect {
    /// Is this byte white space that may lie around a field?
    #[inline]
    pub(crate) const fn is_space(self, byte: u8) -> bool {
        matches!(byte, b' ' | b'\t') && byte != self.delimiter
    }

    pub(crate) fn quoting(self) -> Quoting {
        Quoting { quote: self.quote.unwrap_or(b'"'), escape: self.escape }
    }
}

/// How a quote stands inside of a quoted field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoting {
    pub(crate) quote: u8,
    pub(crate) escape: Option<u8>,
}

impl Quoting {
    /// Appends a quoted field's content as it was meant: of two quotes one, and what the escape
    /// stands before. An escape before anything but a quote or another escape is a character.
    pub(crate) fn unescape(self, mut content: &[u8], into: &mut Vec<u8>) {
        let escape = self.escape.unwrap_or(self.quote);
        while let Some(at) = memchr::memchr2(self.quote, escape, content) {
            let (before, rest) = content.split_at(at);
            into.extend_from_slice(before);
            let taken = match *rest {
                [first, next, ..] if next == self.quote || (next == escape && first == escape) => {
                    into.push(next);
                    2
                }
                [first, ..] => {
                    into.push(first);
                    1
                }
                [] => return,
            };
            content = rest.get(taken..).unwrap_or_default();
        }
        into.extend_from_slice(content);
    }
}
