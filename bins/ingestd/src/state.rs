use std::{num::NonZero, sync::Arc, time::Duration};

use lakehouse_common::{StartError, config::Ingestd};
use lakehouse_ingest::{Catalog, Ingestor, IngestorOptions, Limits, SpoolDir};
use lakehouse_objstore::ObjectStore;

use crate::metrics::IngestMetrics;

/// What the handlers share. Cheap to clone; the clones are one.
#[derive(Clone)]
pub struct AppState {
    pub(crate) ingestor: Arc<Ingestor>,
    pub(crate) metrics: IngestMetrics,
    /// Bytes of the largest upload that is taken.
    pub(crate) max_body_bytes: u64,
}

impl AppState {
    /// A state over a store and a catalog, with its uploads in the configured spool.
    ///
    /// # Errors
    /// What is wrong with the spool directory.
    pub fn new(section: &Ingestd, store: Arc<dyn ObjectStore>, catalog: Arc<dyn Catalog>) -> Result<Self, StartError> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let options = IngestorOptions {
            limits: Limits::with_threads(NonZero::new(section.threads).unwrap_or(cores)),
            max_concurrent: section.max_concurrent,
            max_queued: section.max_queued,
            sweep_grace: Duration::from_secs(section.sweep_grace_seconds),
        };
        let place = section.spool_dir.display();
        let failed = |error| StartError::new(format!("ingestd.spool_dir: {place}: {error}"));
        let spool = SpoolDir::open(&section.spool_dir).map_err(failed)?;
        let ingestor = Ingestor::new(store, catalog, spool, options).map_err(failed)?;
        Ok(Self { ingestor, metrics: IngestMetrics::default(), max_body_bytes: section.max_body_bytes })
    }
}
