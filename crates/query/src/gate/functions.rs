use std::collections::HashSet;

use super::Refusal;
use crate::duck::{Connection, Failure};

/// Table functions that compute and read nothing. A list of what is allowed: whatever reads
/// files, settings or DuckDB's catalog, and whatever a later version adds, is not on it.
const TABLE_FUNCTIONS: [&str; 11] = [
    "generate_series",
    "icu_calendar_names",
    "json_each",
    "json_tree",
    "pg_timezone_names",
    "range",
    "repeat",
    "repeat_row",
    "test_all_types",
    "unnest",
    "unlist",
];

/// Scalar functions and macros that do more than compute from their arguments.
const DENIED: [&str; 32] = [
    // Settings and the session's state.
    "current_setting",
    "getvariable",
    "setseed",
    "currval",
    "nextval",
    "write_log",
    "getenv",
    // They hold a place without working.
    "pg_sleep",
    "sleep_ms",
    // They read or plan SQL that this walk never saw.
    "json_deserialize_sql",
    "json_execute_serialized_sql",
    "json_serialize_plan",
    "json_serialize_sql",
    "query",
    "query_table",
    // Macros over DuckDB's own catalog.
    "col_description",
    "format_pg_type",
    "format_type",
    "get_block_size",
    "obj_description",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_viewdef",
    "shobj_description",
    // They take raw bytes for a state of their own.
    "combine",
    "finalize",
    "create_sort_key",
    "parse_duckdb_log_message",
    "variant_bytes_to_variant",
    "variant_normalize",
    "variant_to_parquet_variant",
    "stats",
];

/// DuckDB's own helpers: they trust their arguments.
const INTERNAL_PREFIX: &str = "__internal_";

/// The functions of this DuckDB, and which of them a statement may call.
#[derive(Debug)]
pub(super) struct Functions {
    /// Functions that stand in FROM; some have a scalar one of the same name.
    table: HashSet<String>,
    scalar: HashSet<String>,
}

impl Functions {
    pub(super) fn load(connection: &Connection) -> Result<Self, Failure> {
        let sql = "SELECT DISTINCT lower(function_name), function_type FROM duckdb_functions()";
        let mut functions = Self { table: HashSet::new(), scalar: HashSet::new() };
        for row in connection.texts(sql, &[])? {
            if let [Some(name), Some(kind)] = row.as_slice() {
                match kind.as_str() {
                    "scalar" | "aggregate" | "macro" => functions.scalar.insert(name.clone()),
                    _ => functions.table.insert(name.clone()),
                };
            }
        }
        Ok(functions)
    }

    /// May `name` be called in an expression?
    ///
    /// A name that this DuckDB does not have passes: it can't be called either, and DuckDB's own
    /// message says what was probably meant.
    ///
    /// What stands before the name decides nothing: there is no function outside of DuckDB's own
    /// schemas, and in `a.upper()` it is the first argument.
    pub(super) fn check_scalar(&self, name: &str) -> Result<(), Refusal> {
        let folded = name.to_ascii_lowercase();
        let table_only = self.table.contains(&folded) && !self.scalar.contains(&folded);
        // `unnest` and its like are table functions that the binder also takes in a SELECT list.
        let denied = DENIED.contains(&folded.as_str())
            || folded.starts_with(INTERNAL_PREFIX)
            || (table_only && !TABLE_FUNCTIONS.contains(&folded.as_str()));
        if denied { Err(refusal(name)) } else { Ok(()) }
    }

    /// May `name` stand in FROM?
    pub(super) fn check_table(&self, name: &str) -> Result<(), Refusal> {
        let folded = name.to_ascii_lowercase();
        if TABLE_FUNCTIONS.contains(&folded.as_str()) {
            return Ok(());
        }
        if self.table.contains(&folded) || DENIED.contains(&folded.as_str()) || self.scalar.contains(&folded) {
            return Err(refusal(name));
        }
        Err(Refusal(format!(
            "there is no table function `{name}`; in FROM stand datasets, subqueries, range, generate_series and unnest"
        )))
    }
}

fn refusal(name: &str) -> Refusal {
    Refusal(format!("the function `{name}` is not allowed here: a statement reads datasets and computes, nothing else"))
}
