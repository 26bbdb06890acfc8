//! Bodies of queryd's calls.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /sql`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One read-only statement over the catalog's datasets.
    pub sql: String,
}

/// A result's column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultColumn {
    /// The column's name or alias.
    pub name: String,
    /// DuckDB's name of its type.
    #[serde(rename = "type")]
    pub sql_type: String,
}

/// The default answer to `POST /sql`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SqlResponse {
    /// The columns, in order.
    pub columns: Vec<ResultColumn>,
    /// The rows; each has one value a column.
    pub rows: Vec<Vec<Value>>,
    /// The number of rows.
    pub row_count: u64,
}
