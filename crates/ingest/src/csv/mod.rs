//! CSV as bytes: where records and fields begin and end. What the fields mean is none of its business.
//!
//! RFC 4180, with what real files do beyond it: any delimiter, CR or LF or both at the end of a
//! line, a quote in the middle of an unquoted field taken for the character that it is, and a missing
//! newline at the end of the file.

mod detect;
mod directive;
mod header;
mod records;
mod scan;

pub(crate) use detect::{Wish, detect};
pub(crate) use directive::sep_directive;
pub(crate) use header::{Names, fold, looks_like_header, unique_names};
pub(crate) use records::{Block, Flaw, Outcome, Progress, Span, Tokenizer, align};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Between the fields of a record.
    pub(crate) delimiter: u8,
    /// Around a field; `None` where quotes mean nothing.
    pub(crate) quote: Option<u8>,
    /// At the end of a line: LF (a CR before it belongs to it), or CR where the file has no LF.
    pub(crate) newline: u8,
}
