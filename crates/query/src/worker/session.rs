use std::{collections::HashMap, path::Path};

use super::{
    damage,
    protocol::{Run, Setup, Table},
};
use crate::{
    duck::{Connection, Database, Failure, FailureKind, Interrupter, Keywords, StatementKind},
    encode::{self, Sink},
    gate::{Gate, Inspection},
};

/// Views kept from one statement to the next. A view costs a few kilobytes, making one about a
/// millisecond.
const MAX_VIEWS: usize = 256;

/// One DuckDB, locked down, that runs one statement at a time.
pub(super) struct Session {
    gate: Gate,
    connection: Connection,
    keywords: Keywords,
    /// The files behind each view, by its name as DuckDB compares names.
    views: HashMap<String, Vec<String>>,
    /// Put before the names of files.
    files_root: String,
    scrub: Scrub,
}

impl Session {
    pub(super) fn open(setup: &Setup) -> Result<Self, Failure> {
        let database = Database::open()?;
        let connection = database.connect()?;
        lock_down(&connection, setup)?;
        let keywords = connection.texts("SELECT lower(keyword_name) FROM duckdb_keywords()", &[])?;
        let gate = Gate::new(database.connect()?)?;
        // A process of its own stands in the cache's directory; a thread does not.
        let files_root = if setup.confine { String::new() } else { format!("{}/", setup.cache_dir.display()) };
        Ok(Self {
            gate,
            connection,
            keywords: keywords.into_iter().flatten().flatten().collect(),
            views: HashMap::new(),
            files_root,
            scrub: Scrub::new(setup),
        })
    }

    pub(super) fn interrupter(&self) -> Interrupter {
        self.connection.interrupter()
    }

    pub(super) fn inspect(&self, sql: &str) -> Result<Inspection, Failure> {
        self.gate.inspect(sql).map_err(|failure| self.scrub.failure(failure))
    }

    /// Runs a statement; `write` takes the pieces of its result.
    pub(super) fn run(
        &mut self,
        run: &Run,
        cancelled: &dyn Fn() -> bool,
        write: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let outcome = self.run_unscrubbed(run, cancelled, write);
        outcome.map_err(|failure| self.scrub.failure(damage::found(failure, &run.tables)))
    }

    fn run_unscrubbed(
        &mut self,
        run: &Run,
        cancelled: &dyn Fn() -> bool,
        write: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        self.bring_up(&run.tables)?;
        let statement = self.connection.prepare(&run.sql)?;
        // The gate has judged the text; this is DuckDB's own word on it, before it runs.
        if statement.kind() == StatementKind::Other || statement.parameters() > 0 {
            return Err(Failure::sql("only one statement that reads is allowed"));
        }
        if cancelled() {
            return Err(Failure::new(FailureKind::Interrupted, "cancelled"));
        }
        let mut sink = Sink::new(run.max_bytes, write);
        encode::write_result(statement, run.format, &self.keywords, &mut sink, cancelled)
    }

    /// Makes the views that a statement names, where they are not there from an earlier one.
    fn bring_up(&mut self, tables: &[Table]) -> Result<(), Failure> {
        if self.views.len() + tables.len() > MAX_VIEWS {
            for name in std::mem::take(&mut self.views).into_keys() {
                self.connection.execute(&format!("DROP VIEW IF EXISTS {}", identifier(&name)))?;
            }
        }
        for table in tables {
            let key = table.name.to_ascii_lowercase();
            if self.views.get(&key) == Some(&table.files) {
                continue;
            }
            // Gone before it is made anew: were making it to fail, the old one must not stay.
            self.views.remove(&key);
            let files: Vec<String> =
                table.files.iter().map(|file| literal(&format!("{}{file}", self.files_root))).collect();
            let made = self.connection.execute(&format!(
                "CREATE OR REPLACE VIEW {} AS SELECT * FROM read_parquet([{}], hive_partitioning = false, \
                 union_by_name = false, filename = false)",
                identifier(&table.name),
                files.join(", "),
            ));
            made.map_err(|failure| damage::of_view(failure, &table.name))?;
            self.views.insert(key, table.files.clone());
        }
        Ok(())
    }
}

/// The order matters: the spill directory can't be set once outside access is off, and nothing
/// can be set once the configuration is locked.
fn lock_down(connection: &Connection, setup: &Setup) -> Result<(), Failure> {
    let path = |path: &Path| literal(&path.display().to_string());
    let settings = [
        ("temp_directory", path(&setup.spill_dir)),
        ("max_temp_directory_size", literal(&format!("{}B", setup.spill_bytes))),
        ("memory_limit", literal(&format!("{}B", setup.memory_bytes))),
        ("threads", setup.threads.max(1).to_string()),
        ("TimeZone", literal("UTC")),
        ("allow_persistent_secrets", "false".to_owned()),
        ("autoinstall_known_extensions", "false".to_owned()),
        ("autoload_known_extensions", "false".to_owned()),
        ("allow_community_extensions", "false".to_owned()),
        // The kernel keeps the files' pages; a second copy would only fill the memory limit.
        ("enable_external_file_cache", "false".to_owned()),
        // A file under one name never changes, so its footer is read once.
        ("parquet_metadata_cache", "true".to_owned()),
        ("allowed_directories", format!("[{}]", path(&setup.cache_dir))),
        ("enable_external_access", "false".to_owned()),
        ("lock_configuration", "true".to_owned()),
    ];
    for (name, value) in settings {
        connection.execute(&format!("SET {name} = {value}"))?;
    }
    Ok(())
}

/// A name, quoted.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Takes paths of this machine out of messages.
struct Scrub(Vec<String>);

impl Scrub {
    fn new(setup: &Setup) -> Self {
        let directories = [&setup.cache_dir, &setup.spill_dir].map(|directory| directory.display().to_string());
        // The longer first: one may lie in the other.
        let mut directories: Vec<String> = directories.into_iter().filter(|text| text.len() > 1).collect();
        directories.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(directories)
    }

    fn failure(&self, mut failure: Failure) -> Failure {
        for directory in &self.0 {
            if failure.message.contains(directory) {
                failure.message = failure.message.replace(directory, "..");
            }
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(identifier("O'Brien's \"data\""), "\"O'Brien's \"\"data\"\"\"");
        assert_eq!(literal("it's"), "'it''s'");
    }

    #[test]
    fn paths_are_taken_out_of_messages() {
        let setup = Setup {
            cache_dir: "/srv/x/cache".into(),
            spill_dir: "/srv/x/cache/spill".into(),
            memory_bytes: 0,
            limit_bytes: 0,
            spill_bytes: 0,
            threads: 1,
            confine: false,
        };
        let failure = Failure::sql("open /srv/x/cache/spill/a and /srv/x/cache/b");
        assert_eq!(Scrub::new(&setup).failure(failure).message, "open ../a and ../b");
    }
}
