use std::fmt;

use lakehouse_catalog::Catalog;
use lakehouse_common::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

/// Adds the catalog's own counts, read when they are scraped.
pub(crate) fn register(metrics: &Metrics, catalog: &Catalog) {
    let collector = Box::new(CatalogCollector(catalog.clone()));
    metrics.register(|registry| registry.register_collector(collector));
}

struct CatalogCollector(Catalog);

impl fmt::Debug for CatalogCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CatalogCollector")
    }
}

impl Collector for CatalogCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let mut put = |name: &str, help: &str, metric: &dyn Encode| metric.put(&mut encoder, name, help);
        put("catalog_datasets", "Datasets that can be read", &Gauge(stats.datasets))?;
        put("catalog_damaged_datasets", "Datasets whose manifest is damaged", &Gauge(stats.damaged))?;
        put("catalog_commits", "Changes written", &Counter(stats.commits))?;
        put("catalog_conflicts", "Attempts at a change that met another catalog's", &Counter(stats.conflicts))?;
        put("catalog_unconfirmed", "Changes whose outcome the store did not tell", &Counter(stats.unconfirmed))?;
        put("catalog_refreshes", "Looks at the store for changes by other catalogs", &Counter(stats.refreshes))
    }
}

struct Gauge(u64);
struct Counter(u64);

trait Encode {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result;
}

impl Encode for Gauge {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(self.0).unwrap_or(i64::MAX));
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
    }
}

impl Encode for Counter {
    fn put(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result {
        let counter = ConstCounter::new(self.0);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
    }
}
