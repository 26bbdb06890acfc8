//! What a caller may say about a file, and the caps that no caller can lift.

mod limits;
mod types;

pub use limits::Limits;
pub(crate) use limits::Shape;
pub use types::{TypeOverride, parse_types};

use crate::{Error, csv::Wish};

/// What to do with rows that don't fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// Refuse the file, and tell the first of them.
    #[default]
    Fail,
    /// Leave them out, and tell how many and the first of them.
    Skip,
}

/// How to read a file. All that is not said is found out from the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    delimiter: Option<u8>,
    quote: Option<Option<u8>>,
    header: Option<bool>,
    types: Vec<TypeOverride>,
    on_error: OnError,
}

/// Part of every fingerprint. It changes whenever the same bytes and options would give another
/// Parquet file: a key must never stand for two contents.
const FORMAT: &str = "lakehouse csv 3";

impl Options {
    /// The names that [`Self::set`] knows.
    pub const NAMES: [&str; 5] = ["delimiter", "quote", "header", "types", "on_error"];

    /// Sets one option from its text, as it stands in a query string.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what the option takes.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "delimiter" => self.delimiter = Some(parse_delimiter(value)?),
            "quote" => self.quote = Some(parse_quote(value)?),
            "header" => {
                self.header = Some(match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(Error::Invalid(format!("`header` is `true` or `false`, not {value:?}"))),
                });
            }
            "types" => self.types = parse_types(value)?,
            "on_error" => {
                self.on_error = match value {
                    "fail" => OnError::Fail,
                    "skip" => OnError::Skip,
                    _ => return Err(Error::Invalid(format!("`on_error` is `fail` or `skip`, not {value:?}"))),
                };
            }
            _ => return Err(Error::Invalid(format!("there is no option `{name}`"))),
        }
        if let (Some(delimiter), Some(Some(quote))) = (self.delimiter, self.quote)
            && delimiter == quote
        {
            return Err(Error::Invalid("`delimiter` and `quote` can't be the same character".to_owned()));
        }
        Ok(())
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
        ]);
        // Without line breaks, so that no file can begin with another set of options.
        format!("{values}\n")
    }

    pub(crate) const fn wish(&self) -> Wish {
        Wish { delimiter: self.delimiter, quote: self.quote }
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

fn parse_delimiter(value: &str) -> Result<u8, Error> {
    let byte = match value {
        "comma" => b',',
        "semicolon" => b';',
        "tab" | "\\t" => b'\t',
        "pipe" => b'|',
        "space" => b' ',
        _ => match *value.as_bytes() {
            [byte] => byte,
            _ => 0,
        },
    };
    let is_possible = byte == b'\t' || byte == b' ' || byte.is_ascii_punctuation();
    if !is_possible || matches!(byte, b'"' | b'\'') {
        return Err(Error::Invalid(format!(
            "`delimiter` is one punctuation character but no quote, or `comma`, `semicolon`, `tab`, `pipe` or `space`; not {value:?}"
        )));
    }
    Ok(byte)
}

fn parse_quote(value: &str) -> Result<Option<u8>, Error> {
    match value {
        "\"" | "double" => Ok(Some(b'"')),
        "'" | "single" => Ok(Some(b'\'')),
        "none" => Ok(None),
        _ => Err(Error::Invalid(format!("`quote` is `\"`, `'` or `none`, not {value:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(all: &[(&str, &str)]) -> Result<Options, Error> {
        let mut options = Options::default();
        for (name, value) in all {
            options.set(name, value)?;
        }
        Ok(options)
    }

    #[test]
    fn every_name_is_known_and_no_other() {
        for (name, value) in Options::NAMES.iter().zip([";", "none", "true", "a:bigint", "skip"]) {
            assert!(options(&[(name, value)]).is_ok(), "{name}");
        }
        for (name, value) in [
            ("delim", ","),
            ("delimiter", ""),
            ("delimiter", "a"),
            ("delimiter", "\""),
            ("delimiter", "\n"),
            ("delimiter", "é"),
            ("quote", "x"),
            ("header", "yes"),
            ("on_error", "ignore"),
        ] {
            let error = options(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn spellings_of_the_same_option_have_one_canonical_form() {
        let same =
            |a: &[(&str, &str)], b: &[(&str, &str)]| options(a).unwrap().canonical() == options(b).unwrap().canonical();
        assert!(same(&[("delimiter", "tab")], &[("delimiter", "\\t")]));
        assert!(same(&[("types", "a:int, b:text")], &[("types", "a:BIGINT,b:varchar")]));
        assert!(same(&[("on_error", "fail")], &[]));
        assert!(!same(&[("header", "true")], &[]), "said is not the same as guessed");
        assert!(!same(&[("quote", "none")], &[]));
    }

    #[test]
    fn the_canonical_form_is_pinned() {
        // Whoever changes this changes every fingerprint: files would be stored anew.
        assert_eq!(Options::default().canonical(), "[\"lakehouse csv 3\",null,null,null,[],false]\n");
    }
}
