//! What a caller should hear about a file besides its rows. `docs/csv.md` lists the codes.

use lakehouse_types::ingest::{RenamedColumn, SkippedRows, Warning};

use super::{head::Head, source::Source};
use crate::{
    Error,
    csv::{Doubt, Ground},
    kind::KindSet,
    schema::ColumnType,
};

/// Warnings of one answer: a footer with thousands of them would help nobody.
const MAX_WARNINGS: usize = 100;

fn warning(code: &str, message: impl Into<String>) -> Warning {
    Warning { code: code.to_owned(), message: message.into(), line: None, column: None }
}

/// What the head of a file leaves to be told.
pub(super) fn of_head(head: &Head, renamed: &[RenamedColumn], source: &Source) -> Result<Vec<Warning>, Error> {
    let line_of = |offset: Option<u64>| offset.map(|offset| source.line_of(offset)).transpose();
    let mut warnings = Vec::new();
    if head.has_directive {
        let delimiter = char::from(head.dialect.delimiter);
        let message = format!("the first line tells the delimiter and is no row: {delimiter:?} is read as such");
        warnings.push(Warning { line: Some(1), ..warning("sep_line", message) });
    }
    if let Some(line) = line_of(head.last_title)? {
        let message = "what stands above the header is taken for titles and left out; `skip_lines=0` reads it";
        warnings.push(Warning { line: Some(line), ..warning("titles_skipped", message) });
    }
    warnings.extend(head.doubts.iter().map(|doubt| of_doubt(*doubt, head.dialect.delimiter)));
    warnings.extend(of_header(head));
    if let Some(line) = line_of(head.repeated_header)? {
        let message = "this line says the same as the header; it is kept as a row";
        warnings.push(Warning { line: Some(line), ..warning("header_repeated", message) });
    }
    warnings.extend(renamed.iter().map(|column| {
        let message = format!("column {} is called {:?} in the file", column.position + 1, column.from);
        Warning { column: Some(column.to.clone()), ..warning("column_renamed", message) }
    }));
    Ok(warnings)
}

fn of_doubt(doubt: Doubt, delimiter: u8) -> Warning {
    match doubt {
        Doubt::Delimiter { rival } => {
            let (taken, rival) = (char::from(delimiter), char::from(rival));
            warning(
                "delimiter_guessed",
                format!(
                    "{taken:?} and {rival:?} both cut the lines evenly, and {taken:?} is taken; `delimiter` says otherwise"
                ),
            )
        }
        Doubt::Apostrophes => {
            warning("quote_guessed", "apostrophes are taken for quotes; `quote=double` or `quote=none` says otherwise")
        }
        Doubt::NoApostrophes => warning(
            "quote_guessed",
            "apostrophes are taken for characters, since as quotes they would swallow lines; `quote=single` says otherwise",
        ),
        Doubt::NoQuotes => warning(
            "quote_guessed",
            "quotes are taken for characters, since as quotes they would swallow lines; `quote=double` says otherwise",
        ),
        Doubt::Spaces => warning(
            "spaces_trimmed",
            "white space before fields is taken off, since quotes stand behind it; `trim=false` keeps it",
        ),
        Doubt::Escape => warning(
            "escape_guessed",
            "a backslash before a quote is taken for its escape; `escape=none` says otherwise",
        ),
    }
}

fn of_header(head: &Head) -> Option<Warning> {
    let taken =
        if head.header.is_some() { "the first line is taken for names" } else { "the first line is taken for a row" };
    let reason = match head.ground? {
        Ground::Types => return None,
        Ground::Contested => "though some cells speak against it",
        Ground::Looks => "by its looks alone, for no column below is of another type than text",
    };
    Some(warning("header_guessed", format!("{taken}, {reason}; `header` says otherwise")))
}

/// What the rows leave to be told. `types` are what the columns became.
pub(super) fn of_rows(
    names: &[String],
    seen: &[KindSet],
    types: &[ColumnType],
    declared: &[Option<ColumnType>],
) -> Vec<Warning> {
    let undeclared = names.iter().zip(seen).zip(types).zip(declared).filter(|(_, declared)| declared.is_none());
    let texts = undeclared.filter(|((_, ty), _)| **ty == ColumnType::Varchar);
    let told = texts.filter_map(|(((name, seen), _), _)| {
        let warning = if seen.is_decimal_comma() {
            warning("decimal_comma", format!("`{name}` holds numbers with a decimal comma and stays text; `decimal=,` reads them"))
        } else if seen.is_number_like() {
            warning("numbers_kept_as_text", format!(
                "`{name}` holds nothing that is surely a number (`7731e104` may be an id, `inf` a word, `1.200` a thousand): it stays text; `types` or `decimal` says otherwise"
            ))
        } else {
            return None;
        };
        Some(Warning { column: Some(name.clone()), ..warning })
    });
    told.collect()
}

pub(super) fn of_skipped(skipped: &SkippedRows, rows: u64) -> Option<Warning> {
    let message = format!("{} of {} rows did not fit and were left out", skipped.count, skipped.count + rows);
    let line = skipped.first.first().map(|row| row.line);
    (skipped.count > rows).then(|| Warning { line, ..warning("most_rows_skipped", message) })
}

/// As many as an answer has room for.
pub(super) fn some(mut warnings: Vec<Warning>) -> Vec<Warning> {
    warnings.truncate(MAX_WARNINGS);
    warnings
}
