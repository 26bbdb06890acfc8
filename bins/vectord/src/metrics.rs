use std::{fmt, time::Duration};

use lakehouse_common::Metrics;
use lakehouse_vector::IndexMetrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::ConstCounter,
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
};

use crate::AppState;

/// Latencies of searches by index.
#[derive(Debug, Clone)]
pub(crate) struct Searches {
    seconds: Family<Label, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    index: String,
}

/// From a walk through a small graph to a scan of a large index.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 16))
}

impl Default for Searches {
    fn default() -> Self {
        Self { seconds: Family::new_with_constructor(buckets) }
    }
}

impl Searches {
    pub(crate) fn took(&self, index: &str, time: Duration) {
        self.seconds.get_or_create(&Label { index: index.to_owned() }).observe(time.as_secs_f64());
    }

    /// An index that is gone must not stay in the answer for ever.
    pub(crate) fn forget(&self, index: &str) {
        self.seconds.remove(&Label { index: index.to_owned() });
    }
}

/// Adds the indexes' own sizes, read when they are scraped, and the latencies.
pub(crate) fn register(metrics: &Metrics, state: &AppState) {
    let searches = state.searches.seconds.clone();
    let collector = Box::new(Indexes(state.clone()));
    metrics.register(|registry| {
        registry.register("vector_search_seconds", "Searches by index", searches);
        registry.register_collector(collector);
    });
}

struct Indexes(AppState);

impl fmt::Debug for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Indexes")
    }
}

type Figure = (&'static str, &'static str, fn(&IndexMetrics) -> f64);

#[expect(clippy::cast_precision_loss, reason = "a metric is a double, and these sizes fit its 53 bits")]
const FIGURES: [Figure; 8] = [
    ("vector_items", "Items", |m| m.stats.items as f64),
    ("vector_backlog", "Items that the graph does not hold yet", |m| m.stats.backlog as f64),
    ("vector_dead_fraction", "Deleted and replaced items, as a share of all slots", |m| m.stats.dead_fraction),
    ("vector_memory_bytes", "Memory of the index", |m| m.stats.bytes as f64),
    ("vector_log_entries", "Log entries that the file does not cover", |m| m.log_entries as f64),
    ("vector_log_bytes", "Their size", |m| m.log_bytes as f64),
    ("vector_save_seconds", "How long the last save took", |m| m.save_duration.as_secs_f64()),
    ("vector_maintenance_stalled", "1 where the last step of linking panicked, and searches scan what it left", |m| {
        f64::from(u8::from(m.maintenance_stalled))
    }),
];

type Count = (&'static str, &'static str, fn(&IndexMetrics) -> u64);

const COUNTS: [Count; 2] = [
    ("vector_maintenance_panics", "Steps of linking that panicked", |m| m.maintenance_panics),
    ("vector_refused_adds", "Adds answered 503 because the graph had not kept up", |m| m.refused_adds),
];

impl Collector for Indexes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(registry) = self.0.registry() else { return Ok(()) };
        let indexes = registry.metrics();
        for (name, help, figure) in FIGURES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for index in &indexes {
                let label = Label { index: index.name.clone() };
                ConstGauge::new(figure(index)).encode(family.encode_family(&label)?)?;
            }
        }
        for (name, help, count) in COUNTS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for index in &indexes {
                let label = Label { index: index.name.clone() };
                ConstCounter::new(count(index)).encode(family.encode_family(&label)?)?;
            }
        }
        let quarantined = i64::try_from(registry.quarantined().len()).unwrap_or(i64::MAX);
        let gauge = ConstGauge::new(quarantined);
        let help = "Indexes whose files are bad";
        gauge.encode(encoder.encode_descriptor("vector_quarantined_indexes", help, None, MetricType::Gauge)?)
    }
}
