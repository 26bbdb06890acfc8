use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// What the service counts. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Metrics {
    pub(crate) texts: Counter,
    pub(crate) repeated: Counter,
    pub(crate) tokens: Counter,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) cache_bytes: Gauge,
    pub(crate) cache_entries: Gauge,
    pub(crate) calls: Counter,
    pub(crate) calls_in_flight: Gauge,
    pub(crate) call_seconds: Histogram,
    pub(crate) call_errors: Family<ErrorLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ErrorLabels {
    pub(crate) reason: &'static str,
}

/// From a batch that is hashed here to one that a large model far away works on.
const SECONDS: [f64; 10] = [0.000_25, 0.001, 0.005, 0.02, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            texts: Counter::default(),
            repeated: Counter::default(),
            tokens: Counter::default(),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
            cache_bytes: Gauge::default(),
            cache_entries: Gauge::default(),
            calls: Counter::default(),
            calls_in_flight: Gauge::default(),
            call_seconds: Histogram::new(SECONDS),
            call_errors: Family::default(),
        }
    }
}

impl Metrics {
    /// Shows them in `registry`. The hit rate is `hits / (hits + misses)`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("embed_texts", "Texts asked for", self.texts.clone());
        registry.register(
            "embed_texts_repeated",
            "Texts equal to an earlier one of their request",
            self.repeated.clone(),
        );
        registry.register("embed_tokens", "Tokens of the texts asked for", self.tokens.clone());
        registry.register("embed_cache_hits", "Texts whose vector was in the cache", self.cache_hits.clone());
        registry.register("embed_cache_misses", "Texts whose vector was not", self.cache_misses.clone());
        registry.register("embed_cache_bytes", "Memory of the cached vectors", self.cache_bytes.clone());
        registry.register("embed_cache_entries", "Vectors in the cache", self.cache_entries.clone());
        registry.register("embed_provider_calls", "Batches given to the provider", self.calls.clone());
        registry.register("embed_provider_calls_in_flight", "Batches at the provider", self.calls_in_flight.clone());
        registry.register("embed_provider_call_seconds", "Time of one batch", self.call_seconds.clone());
        registry.register("embed_provider_errors", "Batches that failed", self.call_errors.clone());
    }
}
