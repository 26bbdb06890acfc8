use std::sync::Arc;

use lakehouse_common::Metrics;
use lakehouse_objstore::{Error, SyncObserver};
use lakehouse_types::ServiceError as _;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

/// From a device with a protected cache to a disk in trouble.
const SYNC_SECONDS: [f64; 12] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// storaged's own metrics. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    /// Bytes of bodies received, those of writes that failed included.
    pub(crate) bytes_in: Counter,
    /// Bytes of bodies handed out.
    pub(crate) bytes_out: Counter,
    operations: Family<Operation, Counter>,
    sync_seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
    outcome: &'static str,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self {
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            operations: Family::default(),
            sync_seconds: Histogram::new(SYNC_SECONDS),
        }
    }
}

impl StoreMetrics {
    /// Adds them to the service's.
    pub fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register("store_bytes_in", "Bytes of bodies received", self.bytes_in.clone());
            registry.register("store_bytes_out", "Bytes of bodies handed out", self.bytes_out.clone());
            registry.register("store_operations", "Operations on objects, by outcome", self.operations.clone());
            registry.register("store_sync_seconds", "Syncs of files and directories", self.sync_seconds.clone());
        });
    }

    /// Counts an operation of the store and passes its outcome on.
    pub(crate) fn count<T>(&self, operation: &'static str, outcome: Result<T, Error>) -> Result<T, Error> {
        let name = match &outcome {
            Ok(_) => "ok",
            Err(Error::NotModified { .. }) => "not-modified",
            Err(error) => error.kind().slug(),
        };
        self.operations.get_or_create(&Operation { operation, outcome: name }).inc();
        outcome
    }

    pub(crate) fn sync_observer(&self) -> SyncObserver {
        let histogram = self.sync_seconds.clone();
        Arc::new(move |took| histogram.observe(took.as_secs_f64()))
    }
}
