//! Queries from beginning to end.

mod answer;
mod inspections;
mod relay;

use std::{fs, ops::Range, sync::Arc, time::Duration};

use lakehouse_objstore::ObjectStore;
use lakehouse_types::{
    ErrorKind, ServiceError as _,
    catalog::{DataObject, Manifest},
};
use tokio::time::Instant;

pub use self::answer::Answer;
use self::{
    answer::Rows,
    inspections::Inspections,
    relay::{Relay, Retry, Stop},
};
use crate::{
    CacheStats, Catalog, Confinement, Error, Format, Options, Snapshot,
    cache::{Cache, Pin},
    duck::FailureKind,
    error::Limits,
    gate::{Inspection, Statement},
    show,
    worker::{
        Lease, Pool, SPILL_PREFIX,
        protocol::{Run, Table},
    },
};

/// How often workers that have nothing to do are looked through.
const TIDY: Duration = Duration::from_secs(15);

/// How a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With its last row.
    Complete,
    /// The statement was at fault, or not allowed.
    Refused,
    /// It, or its answer, was over a limit of size.
    TooLarge,
    /// It took too long.
    Timeout,
    /// There was no place for it, or a service behind this one was not there.
    Unavailable,
    /// The caller went away.
    Cancelled,
    /// Something is broken.
    Failed,
}

impl Outcome {
    fn of(error: &Error) -> Self {
        match (error, error.kind()) {
            (Error::Cancelled, _) => Self::Cancelled,
            (_, ErrorKind::InvalidInput) => Self::Refused,
            (_, ErrorKind::TooLarge) => Self::TooLarge,
            (_, ErrorKind::Timeout) => Self::Timeout,
            (_, ErrorKind::Unavailable) => Self::Unavailable,
            _ => Self::Failed,
        }
    }
}

/// Is told of every query that ended.
pub trait Observer: Send + Sync + 'static {
    /// A query ended `after` this time from its start to its last byte.
    fn query_ended(&self, outcome: Outcome, after: Duration);
}

impl Observer for () {
    fn query_ended(&self, _: Outcome, _: Duration) {}
}

/// How the engine is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Queries that run.
    pub running: usize,
    /// Queries that wait for a place.
    pub queued: usize,
    /// The cache.
    pub cache: CacheStats,
}

/// Runs queries. Share it in an `Arc`.
pub struct Engine {
    options: Arc<Options>,
    catalog: Arc<dyn Catalog>,
    cache: Arc<Cache>,
    pool: Arc<Pool>,
    inspections: Inspections,
    observer: Arc<dyn Observer>,
    confinement: Confinement,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the cache, empties the spill directory, and starts the first worker.
    ///
    /// # Errors
    /// "verb noun: cause" of what can't be used.
    pub async fn start(
        mut options: Options,
        store: Arc<dyn ObjectStore>,
        catalog: Arc<dyn Catalog>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, String> {
        let (cache_dir, limit) = (options.cache_dir.clone(), options.cache_bytes);
        // Made first: the sweep of the spill directory must not run beside another process.
        let cache = Cache::open(&cache_dir, limit, store)
            .map_err(|error| format!("open cache directory {}: {error}", cache_dir.display()))?;
        options.cache_dir = cache.directory().to_owned();
        options.spill_dir = empty_spill(&options.spill_dir)
            .map_err(|error| format!("empty spill directory {}: {error}", options.spill_dir.display()))?;
        let options = Arc::new(options);
        let pool = Pool::new(Arc::clone(&options));
        let confinement = pool.warm_up().await.map_err(|error| error.to_string())?;
        Ok(Self { options, catalog, cache, pool, inspections: Inspections::default(), observer, confinement })
    }

    /// How far the operating system locks statements in.
    #[must_use]
    pub const fn confinement(&self) -> Confinement {
        self.confinement
    }

    /// How it is doing.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { running: self.pool.running(), queued: self.pool.queued(), cache: self.cache.stats() }
    }

    /// Lets go of what is idle, for as long as it runs.
    pub async fn maintain(&self) {
        let mut interval = tokio::time::interval(TIDY);
        loop {
            interval.tick().await;
            self.pool.tidy();
        }
    }

    /// Runs one statement over the datasets as they are now. The answer begins when its first
    /// bytes are there, so that what fails early fails with an error and not in mid-air; to drop
    /// the call, or the answer, is to stop the query.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn query(&self, sql: &str, format: Format) -> Result<Answer, Error> {
        let mut tally = Tally::start(Arc::clone(&self.observer));
        match self.query_again(sql, format).await {
            Ok(rows) => Ok(Answer::new(format, rows, tally)),
            Err(error) => {
                tally.end(Outcome::of(&error));
                Err(error)
            }
        }
    }

    /// What fails through no fault of the statement (a file that is not what it was, or gone from
    /// the store since the catalog named it; a worker that was killed) is worth one more try from
    /// the beginning. So is what the memory of one place was too little for, with that of all: a
    /// statement near the limit would fail by chance, as its threads happen to run.
    async fn query_again(&self, sql: &str, format: Format) -> Result<Rows, Error> {
        if sql.trim().is_empty() {
            return Err(Error::Statement("the statement is empty".to_owned()));
        }
        let deadline = Instant::now() + self.options.timeout;
        let (mut tried_again, mut with_all) = (false, false);
        loop {
            match self.attempt(sql, format, deadline, with_all).await {
                Err(Stop { retry: Retry::Again, error }) if !tried_again => {
                    tracing::warn!(%error, "trying a query again");
                    tried_again = true;
                }
                Err(Stop { retry: Retry::WithAllMemory, error }) if !with_all => {
                    tracing::info!(%error, "trying a query again with the memory of all");
                    with_all = true;
                }
                other => return other.map_err(|stop| stop.error),
            }
        }
    }

    async fn attempt(&self, sql: &str, format: Format, deadline: Instant, with_all: bool) -> Result<Rows, Stop> {
        let mut lease = self.pool.lease(deadline).await?;
        let prepared = tokio::time::timeout_at(deadline, self.prepare(sql, &mut lease)).await;
        let Ready { sql, tables, pins, columns, parts } = prepared.unwrap_or(Err(Stop::from(self.timed_out())))?;
        if with_all || self.options.is_wide(columns, parts) {
            // Given back first: two that hold one place each and wait for all would wait for ever.
            drop(lease);
            lease = self.pool.lease_all(self.options.whole(columns), deadline).await?;
        }
        let max_bytes = self.options.max_result_bytes;
        lease.worker()?.run(|id| Run { id, sql, tables, format, max_bytes }).await?;
        Rows::begin(Relay {
            lease,
            pins,
            deadline,
            options: Arc::clone(&self.options),
            waited: Duration::ZERO,
            taken: 0,
        })
        .await
    }

    /// Judges the statement, and brings what it reads into the cache.
    async fn prepare(&self, sql: &str, lease: &mut Lease) -> Result<Ready, Stop> {
        let snapshot = async { self.catalog.snapshot().await.map_err(Stop::from) };
        let (inspection, snapshot) = tokio::try_join!(self.inspect(sql, lease), snapshot)?;
        let sql = match &inspection.statement {
            Statement::Sql(sql) => sql.clone(),
            Statement::ShowTables { expanded } => show::tables(&snapshot, *expanded),
        };
        let (tables, pins) = self.fetch(&inspection.datasets, &snapshot).await?;
        let (mut columns, mut parts) = (0, 0);
        for dataset in inspection.datasets.iter().filter_map(|name| snapshot.get(name)) {
            columns += dataset.schema.len() as u64;
            parts += dataset.objects.len() as u64 + dataset.rows / ROW_GROUP;
        }
        Ok(Ready { sql, tables, pins, columns, parts })
    }

    async fn inspect(&self, sql: &str, lease: &mut Lease) -> Result<Arc<Inspection>, Stop> {
        if let Some(known) = self.inspections.get(sql) {
            return Ok(known);
        }
        match lease.worker()?.inspect(sql).await? {
            Ok(inspection) => Ok(self.inspections.insert(sql, inspection)),
            Err(failure) => {
                let limits = Limits { result: self.options.max_result_bytes, allowance: lease.allowance() };
                if matches!(failure.kind, FailureKind::Memory | FailureKind::Internal) {
                    lease.retire();
                }
                Err(Stop { retry: Retry::No, error: Error::of_failure(failure, &limits) })
            }
        }
    }

    /// The files of the datasets that a statement names.
    async fn fetch(&self, names: &[String], snapshot: &Snapshot) -> Result<(Vec<Table>, Vec<Pin>), Stop> {
        let mut objects: Vec<DataObject> = Vec::new();
        let mut spans: Vec<(&String, &Arc<Manifest>, Range<usize>)> = Vec::with_capacity(names.len());
        for name in names {
            let dataset = snapshot.get(name).ok_or_else(|| match snapshot.is_damaged(name) {
                true => Error::DamagedDataset { name: name.clone() },
                false => Error::UnknownDataset { name: name.clone(), similar: snapshot.similar(name) },
            })?;
            // Two spellings of one name are two tables over the same files.
            let known = spans.iter().find(|(_, known, _)| Arc::ptr_eq(known, dataset));
            let span = known.map_or_else(
                || {
                    let from = objects.len();
                    objects.extend_from_slice(&dataset.objects);
                    from..objects.len()
                },
                |(.., span)| span.clone(),
            );
            spans.push((name, dataset, span));
        }
        let pins = self.cache.pin(&objects).await.map_err(|error| {
            // The dataset may have been replaced, and its old file swept, after the snapshot.
            let Error::BadFile { key, reason } = error else { return Stop::from(error) };
            let span =
                spans.iter().find(|(.., span)| objects[span.clone()].iter().any(|object| object.key.as_str() == key));
            let name = span.map_or_else(String::new, |(name, ..)| (*name).clone());
            Stop { error: Error::DamagedFile { name, reason: format!("{key}: {reason}") }, retry: Retry::Again }
        })?;
        let table = |(name, _, span): (&String, &Arc<Manifest>, Range<usize>)| Table {
            name: name.clone(),
            files: pins[span].iter().map(Pin::relative_path).collect(),
        };
        Ok((spans.into_iter().map(table).collect(), pins))
    }

    fn timed_out(&self) -> Error {
        Error::Timeout { limit: self.options.timeout }
    }
}

/// Rows that DuckDB's threads take at a time from one file.
const ROW_GROUP: u64 = 122_880;

/// A statement that can run.
struct Ready {
    sql: String,
    tables: Vec<Table>,
    pins: Vec<Pin>,
    /// Of all datasets that it names.
    columns: u64,
    /// What threads can work at beside each other.
    parts: u64,
}

/// Takes the time of a query and reports its end, once: dropped without one, the query's caller
/// has gone away.
struct Tally {
    observer: Arc<dyn Observer>,
    started: Instant,
    ended: bool,
}

impl Tally {
    fn start(observer: Arc<dyn Observer>) -> Self {
        Self { observer, started: Instant::now(), ended: false }
    }

    fn end(&mut self, outcome: Outcome) {
        if !std::mem::replace(&mut self.ended, true) {
            self.observer.query_ended(outcome, self.started.elapsed());
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

/// What an earlier run left there is of no use to anyone.
fn empty_spill(directory: &std::path::Path) -> std::io::Result<std::path::PathBuf> {
    fs::create_dir_all(directory)?;
    let directory = directory.canonicalize()?;
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        // Only what a worker made: the directory may have been named by mistake.
        if entry.file_name().to_string_lossy().starts_with(SPILL_PREFIX) && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(directory)
}

#[cfg(test)]
mod tests;
