//! Tells a file that can't be read from a statement that is wrong: DuckDB has one kind of error for
//! both, whose words show names of files and views that are none of the caller's business.

use super::protocol::Table;
use crate::duck::{Failure, FailureKind};

/// Classes of error in which DuckDB speaks of a statement and the values in it, never of a file.
const OF_STATEMENTS: [&str; 6] =
    ["Binder Error", "Parser Error", "Catalog Error", "Conversion Error", "Out of Range Error", "Syntax Error"];

/// What its Parquet reader, and the decoders under it, say of bytes that they can't read.
const DAMAGE: [&str; 14] = [
    "arquet",
    "Thrift",
    "TProtocol",
    "magic bytes",
    "ecompress",
    "Snappy",
    "ZSTD",
    "Brotli",
    "LZ4",
    "orrupt",
    "Out of buffer",
    "out of buffer",
    "page header",
    "dictionary",
];

/// A failure to make a view: its text is ours, and so all it can be about is a file.
pub(super) fn of_view(failure: Failure, name: &str) -> Failure {
    match failure.kind {
        FailureKind::Sql | FailureKind::Io | FailureKind::Internal => of_file(failure, name.to_owned()),
        _ => failure,
    }
}

/// The failure of a statement over `tables`, as one of a file where it is.
pub(super) fn found(failure: Failure, tables: &[Table]) -> Failure {
    if tables.is_empty() || !matches!(failure.kind, FailureKind::Sql | FailureKind::Io | FailureKind::Internal) {
        return failure;
    }
    // What follows is quoted from the statement.
    let said = failure.message.split("\nLINE ").next().unwrap_or_default();
    let named = tables.iter().find(|table| table.files.iter().any(|file| said.contains(file.as_str())));
    let of_statement = OF_STATEMENTS.iter().any(|class| said.starts_with(class));
    let damaged = failure.kind == FailureKind::Io || DAMAGE.iter().any(|words| said.contains(words));
    match named {
        Some(table) => {
            let name = table.name.clone();
            of_file(failure, name)
        }
        None if damaged && !of_statement => {
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            of_file(failure, names.join("`, `"))
        }
        None => failure,
    }
}

fn of_file(failure: Failure, table: String) -> Failure {
    Failure { kind: FailureKind::File, table: Some(table), ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(failure: Failure) -> (FailureKind, Option<String>) {
        let table = |name: &str, file: &str| Table { name: name.to_owned(), files: vec![file.to_owned()] };
        let found = found(failure, &[table("a", "files/1.parquet"), table("b", "files/2.parquet")]);
        (found.kind, found.table)
    }

    #[test]
    fn files_are_told_from_statements() {
        let of = |table: &str| (FailureKind::File, Some(table.to_owned()));
        let sql = (FailureKind::Sql, None);
        assert_eq!(
            kind(Failure::sql("Invalid Input Error: No magic bytes found at end of file 'files/2.parquet'")),
            of("b")
        );
        assert_eq!(kind(Failure::sql("Invalid Error: ZSTD Decompression failure")), of("a`, `b"));
        assert_eq!(kind(Failure::new(FailureKind::Io, "IO Error: read failed")), of("a`, `b"));
        assert_eq!(kind(Failure::sql("Conversion Error: Could not convert string 'Parquet' to INT32")), sql);
        assert_eq!(kind(Failure::sql("Binder Error: no x\n\nLINE 1: SELECT x FROM 'files/1.parquet'")), sql);
        assert_eq!(kind(Failure::sql("Invalid Input Error: no such thing")), sql);
        assert_eq!(of_view(Failure::sql("Binder Error: x"), "v").kind, FailureKind::File);
        assert_eq!(of_view(Failure::new(FailureKind::Memory, "x"), "v").kind, FailureKind::Memory);
    }
}
