//! The options that are a word, a number or one character.

use crate::Error;

/// More lines than that above a table are a mistake; and each of them is read.
const MAX_SKIP_LINES: u64 = 1_000_000;

pub(super) fn delimiter(value: &str) -> Result<u8, Error> {
    let byte = match value {
        "comma" => Some(b','),
        "semicolon" => Some(b';'),
        "tab" | "\\t" | "\t" => Some(b'\t'),
        "pipe" => Some(b'|'),
        "space" | " " => Some(b' '),
        _ => punctuation(value),
    };
    byte.filter(|byte| !is_quote(*byte)).ok_or_else(|| {
        Error::Invalid(format!(
            "`delimiter` is one punctuation character but no quote, or `comma`, `semicolon`, `tab`, `pipe` or `space`; not {value:?}"
        ))
    })
}

pub(super) fn quote(value: &str) -> Result<Option<u8>, Error> {
    match value {
        "\"" | "double" => Ok(Some(b'"')),
        "'" | "single" => Ok(Some(b'\'')),
        "none" => Ok(None),
        _ => Err(Error::Invalid(format!("`quote` is `\"`, `'` or `none`, not {value:?}"))),
    }
}

/// `None`: nothing but a second quote stands before a quote.
pub(super) fn escape(value: &str) -> Result<Option<u8>, Error> {
    match value {
        "none" => Ok(None),
        "backslash" => Ok(Some(b'\\')),
        _ => punctuation(value).map(Some).ok_or_else(|| {
            Error::Invalid(format!("`escape` is one punctuation character, `backslash` or `none`, not {value:?}"))
        }),
    }
}

pub(super) fn comment(value: &str) -> Result<Option<u8>, Error> {
    match value {
        "none" => Ok(None),
        "hash" => Ok(Some(b'#')),
        _ => punctuation(value).filter(|byte| !is_quote(*byte)).map(Some).ok_or_else(|| {
            Error::Invalid(format!(
                "`comment` is one punctuation character but no quote, or `hash` or `none`; not {value:?}"
            ))
        }),
    }
}

pub(super) fn decimal(value: &str) -> Result<u8, Error> {
    match value {
        "." | "point" => Ok(b'.'),
        "," | "comma" => Ok(b','),
        _ => Err(Error::Invalid(format!("`decimal` is `.` (`point`) or `,` (`comma`), not {value:?}"))),
    }
}

pub(super) fn thousands(value: &str) -> Result<Option<u8>, Error> {
    match value {
        "none" => Ok(None),
        "," | "comma" => Ok(Some(b',')),
        "." | "point" => Ok(Some(b'.')),
        "'" | "apostrophe" => Ok(Some(b'\'')),
        "_" | "underscore" => Ok(Some(b'_')),
        " " | "space" => Ok(Some(b' ')),
        _ => Err(Error::Invalid(format!(
            "`thousands` is `none`, `,` (`comma`), `.` (`point`), `'` (`apostrophe`), `_` (`underscore`) or `space`, not {value:?}"
        ))),
    }
}

pub(super) fn skip_lines(value: &str) -> Result<u64, Error> {
    // `parse` takes a plus, too, which would be a space in a query string.
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|lines| is_number && *lines <= MAX_SKIP_LINES)
        .ok_or_else(|| Error::Invalid(format!("`skip_lines` is a number from 0 to {MAX_SKIP_LINES}, not {value:?}")))
}

pub(super) fn boolean(name: &str, value: &str) -> Result<bool, Error> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Error::Invalid(format!("`{name}` is `true` or `false`, not {value:?}"))),
    }
}

pub(super) const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

fn punctuation(value: &str) -> Option<u8> {
    match *value.as_bytes() {
        [byte] if byte.is_ascii_punctuation() => Some(byte),
        _ => None,
    }
}
