//! The gate in front of DuckDB: decides from the parsed tree whether a statement may run.
//!
//! DuckDB parses the text with `json_serialize_sql`, which takes SELECT-like statements only and
//! runs nothing. [`tree`] then walks every node of the answer and refuses what it does not know:
//! a node, a field or a table function that a later DuckDB adds is an error here, not a hole.
//!
//! What passes: one statement that reads catalog datasets, its own CTEs, and table functions
//! that compute (`range`, `unnest`, ..). What it reads is reported, so that nothing else need be
//! there when it runs.

mod explain;
mod functions;
mod json;
mod shapes;
mod tree;

use serde::{Deserialize, Serialize};

use self::functions::Functions;
use crate::duck::{Connection, Failure, FailureKind};

/// A statement that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inspection {
    pub(crate) statement: Statement,
    /// Names that must be datasets, as the statement spells them.
    pub(crate) datasets: Vec<String>,
}

/// What to run for a statement that passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Statement {
    /// This text: the caller's own, or EXPLAIN of it in a form put together here.
    Sql(String),
    /// The list of datasets, which only the catalog knows.
    ShowTables {
        /// With columns and types, as `SHOW ALL TABLES` and a bare `DESCRIBE` have it.
        expanded: bool,
    },
}

/// Why a statement may not run, in words for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(pub(crate) String);

/// Parses and judges statements on a connection of its own, which never runs any of them.
#[derive(Debug)]
pub(crate) struct Gate {
    connection: Connection,
    functions: Functions,
}

impl Gate {
    /// Reads what functions this DuckDB has.
    pub(crate) fn new(connection: Connection) -> Result<Self, Failure> {
        let functions = Functions::load(&connection)?;
        Ok(Self { connection, functions })
    }

    /// Judges `sql`.
    ///
    /// # Errors
    /// A refusal, or DuckDB's own message where the text does not parse.
    pub(crate) fn inspect(&self, sql: &str) -> Result<Inspection, Failure> {
        if sql.contains('\0') {
            return Err(refused("the statement contains a NUL character"));
        }
        if let Some(explain) = explain::split(sql)? {
            let inner = self.inspect_select(explain.inner)?;
            let Statement::Sql(inner_sql) = inner.statement else {
                return Err(refused("SHOW TABLES can't be explained"));
            };
            return Ok(Inspection { statement: Statement::Sql(explain.around(&inner_sql)), ..inner });
        }
        self.inspect_select(sql)
    }

    /// Walks a tree that nobody parsed.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn walk(&self, tree: &str) {
        if let Ok(tree) = json::parse(tree) {
            let _ = tree::show_tables(&tree);
            let _ = tree::datasets(&tree, &self.functions);
        }
    }

    fn inspect_select(&self, sql: &str) -> Result<Inspection, Failure> {
        let tree = self.parse(sql)?;
        let mut statements = match tree.get("statements") {
            Some(serde_json::Value::Array(statements)) => statements.iter(),
            _ => return Err(Failure::new(FailureKind::Internal, "json_serialize_sql gave no statements")),
        };
        let (Some(statement), rest) = (statements.next(), statements.len()) else {
            return Err(refused("the statement is empty"));
        };
        if rest > 0 {
            return Err(refused(format!("one statement at a time; this text has {}", rest + 1)));
        }
        if let Some(expanded) = tree::show_tables(statement) {
            return Ok(Inspection { statement: Statement::ShowTables { expanded }, datasets: Vec::new() });
        }
        let datasets = tree::datasets(statement, &self.functions).map_err(|Refusal(why)| refused(why))?;
        Ok(Inspection { statement: Statement::Sql(sql.to_owned()), datasets })
    }

    /// The tree of `sql`, or the error that running it would give.
    fn parse(&self, sql: &str) -> Result<serde_json::Value, Failure> {
        let rows = self.connection.texts("SELECT json_serialize_sql(CAST(? AS VARCHAR))", &[sql])?;
        let text = rows.into_iter().flatten().next().flatten();
        let text = text.ok_or_else(|| Failure::new(FailureKind::Internal, "json_serialize_sql gave nothing"))?;
        let tree = json::parse(&text).map_err(|error| match error {
            json::Error::TooDeep => refused("the statement is nested too deeply"),
            json::Error::Invalid(error) => Failure::new(FailureKind::Internal, format!("read parsed tree: {error}")),
        })?;
        if tree.get("error").and_then(serde_json::Value::as_bool) == Some(false) {
            return Ok(tree);
        }
        Err(self.parse_failure(sql, &tree))
    }

    fn parse_failure(&self, sql: &str, tree: &serde_json::Value) -> Failure {
        let message = tree.get("error_message").and_then(serde_json::Value::as_str).unwrap_or_default();
        if message.starts_with("Only SELECT statements") {
            return refused(explain::only_select(sql));
        }
        // Preparing gives the same complaint with the place it points at. It runs nothing, and
        // whatever it says, the statement does not pass.
        match self.connection.prepare(sql) {
            Err(failure) => failure,
            Ok(_) => refused(message),
        }
    }
}

fn refused(why: impl Into<String>) -> Failure {
    Failure::sql(why)
}

#[cfg(test)]
mod tests;
