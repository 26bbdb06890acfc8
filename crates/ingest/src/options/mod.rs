//! What a caller may say about a file, and the caps that no caller can lift.

mod limits;
mod list;
mod nulls;
mod parse;
mod types;

pub use limits::Limits;
pub(crate) use limits::Shape;
pub use types::{TypeOverride, parse_types};

use self::nulls::parse_nulls;
use crate::{
    Error,
    csv::{Spaces, Wish},
    value::{Marks, Notation},
};

/// What to do with rows that don't fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// Refuse the file, and tell the first of them.
    #[default]
    Fail,
    /// Leave them out, and tell how many and the first of them.
    Skip,
}

/// How to read a file. What is not said is found out from the file, or is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Between fields: one punctuation character, a tab or a space. Default: found out.
    delimiter: Option<u8>,
    /// Around fields: `"`, `'` or none (the inner `None`). Default: found out.
    quote: Option<Option<u8>>,
    /// Is the first row one of names? Default: found out.
    header: Option<bool>,
    /// Types of columns, by name. Default: found out.
    types: Vec<TypeOverride>,
    /// What to do with rows that don't fit. Default: refuse the file.
    on_error: OnError,
    /// The decimal mark of numbers, `.` or `,`. Default: `.`; but in a file that shows decimal commas
    /// a point that may stand between thousands makes a column text.
    decimal: Option<u8>,
    /// The mark between thousands: `,`, `.`, `'`, `_` or a space. Default: none.
    thousands: Option<u8>,
    /// Words for null beside the empty field, sorted. Default: [`Notation::USUAL_NULLS`].
    nulls: Option<Vec<String>>,
    /// Before a quote in a quoted field, beside a second quote: one punctuation character, or none (the
    /// inner `None`). Default: found out.
    escape: Option<Option<u8>>,
    /// At the beginning of lines that are no rows: one punctuation character. Default: none.
    comment: Option<u8>,
    /// Lines at the beginning that are passed over. Default: found out.
    skip_lines: Option<u64>,
    /// Are spaces and tabs around fields no part of them? Default: found out.
    trim: Option<bool>,
}

/// Part of every fingerprint. It changes whenever the same bytes and options would give another
/// Parquet file: a key must never stand for two contents.
const FORMAT: &str = "lakehouse csv 3";

impl Options {
    /// The names that [`Self::set`] knows.
    pub const NAMES: [&str; 12] = [
        "delimiter",
        "quote",
        "header",
        "types",
        "on_error",
        "decimal",
        "thousands",
        "null",
        "escape",
        "comment",
        "skip_lines",
        "trim",
    ];

    /// Sets one option from its text, as it stands in a query string.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what the option takes, or which other one it contradicts.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "delimiter" => self.delimiter = Some(parse::delimiter(value)?),
            "quote" => self.quote = Some(parse::quote(value)?),
            "header" => self.header = Some(parse::boolean(name, value)?),
            "types" => self.types = parse_types(value)?,
            "on_error" => {
                self.on_error = match value {
                    "fail" => OnError::Fail,
                    "skip" => OnError::Skip,
                    _ => return Err(Error::Invalid(format!("`on_error` is `fail` or `skip`, not {value:?}"))),
                };
            }
            "decimal" => self.decimal = Some(parse::decimal(value)?),
            "thousands" => self.thousands = parse::thousands(value)?,
            "null" => self.nulls = parse_nulls(value)?,
            "escape" => self.escape = Some(parse::escape(value)?),
            "comment" => self.comment = parse::comment(value)?,
            "skip_lines" => self.skip_lines = Some(parse::skip_lines(value)?),
            "trim" => self.trim = Some(parse::boolean(name, value)?),
            _ => return Err(Error::Invalid(format!("there is no option `{name}`"))),
        }
        self.check()
    }

    /// No character may have two meanings in one place.
    fn check(&self) -> Result<(), Error> {
        let (quote, escape) = (self.quote.flatten(), self.escape.flatten());
        let pairs = [
            ("delimiter", self.delimiter, "quote", quote),
            ("delimiter", self.delimiter, "escape", escape),
            ("delimiter", self.delimiter, "comment", self.comment),
            ("escape", escape, "comment", self.comment),
            ("decimal", Some(self.decimal.unwrap_or(b'.')), "thousands", self.thousands),
        ];
        for (name, value, other, other_value) in pairs {
            if value.is_some() && value == other_value {
                return Err(Error::Invalid(format!("`{name}` and `{other}` can't be the same character")));
            }
        }
        match (quote, escape) {
            (Some(quote), Some(escape)) if parse::is_quote(escape) && escape != quote => {
                Err(Error::Invalid("`escape` can't be another quote than `quote`".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// The first line of what a fingerprint is taken over: equal for options that mean the same.
    #[must_use]
    pub fn canonical(&self) -> String {
        let types: Vec<(&str, String)> =
            self.types.iter().map(|ty| (ty.column.as_str(), ty.column_type.to_string())).collect();
        let values = serde_json::json!([
            FORMAT,
            self.delimiter,
            self.quote.map(|quote| quote.map_or(0, u32::from)),
            self.header,
            types,
            self.on_error == OnError::Skip,
            self.marks().map(|marks| marks.decimal),
            self.thousands,
            self.nulls,
            self.escape().map(|escape| escape.map_or(0, u32::from)),
            self.comment,
            self.skip_lines,
            self.trim,
        ]);
        // Without line breaks, so that no file can begin with another set of options.
        format!("{values}\n")
    }

    pub(crate) fn wish(&self) -> Wish {
        let spaces = self.trim.map(|trim| if trim { Spaces::Around } else { Spaces::Kept });
        Wish { delimiter: self.delimiter, quote: self.quote, escape: self.escape(), spaces, comment: self.comment }
    }

    /// How numbers and nulls are written.
    pub(crate) fn notation(&self) -> Notation {
        Notation::new(self.marks(), self.nulls.as_deref())
    }

    /// `None` where nobody said how numbers are written.
    fn marks(&self) -> Option<Marks> {
        let is_said = self.decimal.is_some() || self.thousands.is_some();
        is_said.then(|| Marks { decimal: self.decimal.unwrap_or(b'.'), thousands: self.thousands })
    }

    /// `Some(None)`: quotes are escaped by doubling alone, as they are where the escape is a quote.
    pub(crate) fn escape(&self) -> Option<Option<u8>> {
        self.escape.map(|escape| escape.filter(|byte| !parse::is_quote(*byte)))
    }

    pub(crate) const fn skip_lines(&self) -> Option<u64> {
        self.skip_lines
    }

    pub(crate) const fn header(&self) -> Option<bool> {
        self.header
    }

    pub(crate) fn types(&self) -> &[TypeOverride] {
        &self.types
    }

    pub(crate) fn skips_bad_rows(&self) -> bool {
        self.on_error == OnError::Skip
    }
}

#[cfg(test)]
mod tests;
