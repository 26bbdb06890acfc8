use std::time::Duration;

use lakehouse_common::Metrics;
use lakehouse_ingest::SweepReport;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
};

/// What ingestd counts. Cheap to clone; the clones count together.
#[derive(Debug, Clone)]
pub(crate) struct IngestMetrics {
    ingests: Family<Outcome, Counter>,
    rows: Counter,
    received: Counter,
    seconds: Histogram,
    swept: Counter,
    swept_bytes: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Default for IngestMetrics {
    fn default() -> Self {
        Self {
            ingests: Family::default(),
            rows: Counter::default(),
            received: Counter::default(),
            // From a handful of rows to gigabytes.
            seconds: Histogram::new(exponential_buckets(0.005, 3.0, 11)),
            swept: Counter::default(),
            swept_bytes: Counter::default(),
        }
    }
}

impl IngestMetrics {
    /// Adds these metrics to a service's.
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            registry.register("ingests", "Uploads by outcome", self.ingests.clone());
            registry.register("ingest_rows", "Rows of datasets written", self.rows.clone());
            registry.register("ingest_received_bytes", "Bytes of uploads", self.received.clone());
            registry.register("ingest_seconds", "From the first byte to the answer", self.seconds.clone());
            registry.register("sweep_removed", "Orphaned objects removed", self.swept.clone());
            registry.register("sweep_removed_bytes", "Their size", self.swept_bytes.clone());
        });
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    pub(crate) fn done(&self, outcome: &'static str, rows: u64, took: Duration) {
        self.ingests.get_or_create(&Outcome { outcome }).inc();
        self.rows.inc_by(rows);
        self.seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn swept(&self, report: &SweepReport) {
        self.swept.inc_by(report.removed);
        self.swept_bytes.inc_by(report.bytes);
    }
}
