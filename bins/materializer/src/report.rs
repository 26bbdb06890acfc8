use serde_json::Value;

/// What a command has to say in the end.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// For `--json`.
    pub(crate) json: Value,
    /// For people.
    pub(crate) text: String,
    /// Rows that could not be read.
    pub(crate) skipped: u64,
    /// What went wrong; any of them makes the command fail.
    pub(crate) errors: Vec<String>,
}
