//! What the fuzz targets need of the inside.

use crate::{
    duck::{Connection, Database, StatementKind},
    gate::{self, Statement},
};

/// The gate, with a DuckDB to ask for a second opinion.
#[derive(Debug)]
pub struct Gate {
    gate: gate::Gate,
    connection: Connection,
}

/// What DuckDB says of a statement that passed.
#[derive(Debug)]
pub struct Verdict {
    /// Is it a statement that reads?
    pub reads_only: bool,
    /// A table that binding it looked for and the gate did not report.
    pub missing: Option<String>,
}

impl Gate {
    /// A gate of its own.
    ///
    /// # Panics
    /// Where DuckDB can't be opened.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a fuzzer without its subject has nothing to do")]
    pub fn open() -> Self {
        let database = Database::open().expect("an instance");
        let connection = database.connect().expect("a connection");
        connection.execute("SET enable_external_access = false").expect("a setting");
        let gate = gate::Gate::new(database.connect().expect("a connection")).expect("a gate");
        Self { gate, connection }
    }

    /// `None` where the statement does not pass.
    #[must_use]
    pub fn inspect(&self, sql: &str) -> Option<Verdict> {
        let inspection = self.gate.inspect(sql).ok()?;
        let Statement::Sql(text) = inspection.statement else {
            return Some(Verdict { reads_only: true, missing: None });
        };
        Some(match self.connection.prepare(&text) {
            Ok(prepared) => Verdict {
                reads_only: prepared.kind() != StatementKind::Other && prepared.parameters() == 0,
                missing: None,
            },
            Err(failure) => {
                let missing = missing_table(&failure.message).map(str::to_owned);
                let known =
                    |name: &String| inspection.datasets.iter().any(|dataset| dataset.eq_ignore_ascii_case(name));
                Verdict { reads_only: true, missing: missing.filter(|name| !known(name)) }
            }
        })
    }

    /// Walks a tree, or what looks like one.
    pub fn walk(&self, tree: &str) {
        self.gate.walk(tree);
    }
}

/// The table that DuckDB did not find.
fn missing_table(message: &str) -> Option<&str> {
    message.strip_prefix("Catalog Error: Table with name ")?.split_once(" does not exist!").map(|(name, _)| name)
}
