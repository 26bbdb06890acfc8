use std::{fmt, sync::Arc, time::Duration};

use lakehouse_common::Metrics;
use lakehouse_query::{Engine, Observer, Outcome};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::Histogram,
    },
};

/// Seconds from a query's start to its last byte; from a point query to the longest allowed.
const SECONDS: [f64; 14] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0];

/// Counts of queries.
#[derive(Debug)]
pub struct QueryMetrics {
    queries: Family<Labels, Counter>,
    seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: &'static str,
}

impl Default for QueryMetrics {
    fn default() -> Self {
        Self { queries: Family::default(), seconds: Histogram::new(SECONDS) }
    }
}

impl Observer for QueryMetrics {
    fn query_ended(&self, outcome: Outcome, after: Duration) {
        self.queries.get_or_create(&Labels { outcome: label(outcome) }).inc();
        self.seconds.observe(after.as_secs_f64());
    }
}

impl QueryMetrics {
    /// Adds these counts, and the engine's own, to a service's metrics.
    pub(crate) fn register(&self, metrics: &Metrics, engine: &Arc<Engine>) {
        let collector = Box::new(EngineCollector(Arc::clone(engine)));
        metrics.register(|registry| {
            registry.register("queries", "Queries that ended, by how", self.queries.clone());
            registry.register("query_seconds", "From a query's start to its last byte", self.seconds.clone());
            registry.register_collector(collector);
        });
    }
}

const fn label(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Refused => "refused",
        Outcome::TooLarge => "too_large",
        Outcome::Timeout => "timeout",
        Outcome::Unavailable => "unavailable",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "failed",
    }
}

/// What the engine counts itself, read when it is scraped.
#[derive(Debug)]
struct EngineCollector(Arc<Engine>);

impl Collector for EngineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let gauges = [
            ("queries_running", "Queries that run", stats.running as u64),
            ("queries_queued", "Queries that wait for a place", stats.queued as u64),
            ("query_cache_bytes", "Bytes of dataset files kept close", stats.cache.bytes),
            ("query_cache_files", "Dataset files kept close", stats.cache.files),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let counters = [
            ("query_cache_hits", "Dataset files that were there when they were wanted", stats.cache.hits),
            ("query_cache_misses", "Dataset files that had to be fetched", stats.cache.misses),
            ("query_cache_evictions", "Dataset files that made way for others", stats.cache.evictions),
            ("query_cache_corrupt", "Dataset files that were not what they had been", stats.cache.corrupt),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}
