use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64},
    },
    time::{Duration, Instant},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

/// A service's metrics, in Prometheus' text format under `/metrics`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    http: Arc<Http>,
    started: Instant,
    resident: Gauge<i64, AtomicI64>,
    uptime: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug)]
struct Http {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    refused: Counter,
}

/// From a memory look-up to a long query; each step about two and a half times the last.
const SECONDS: [f64; 13] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

fn seconds_histogram() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    /// The metrics that every service has.
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        let mut registry = Registry::with_prefix("lakehouse");
        let http = Http {
            requests: Family::default(),
            seconds: Family::new_with_constructor(seconds_histogram),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            refused: Counter::default(),
        };
        let info = Info::new(vec![("service", service), ("version", env!("CARGO_PKG_VERSION"))]);
        let (resident, uptime) = (Gauge::<i64, AtomicI64>::default(), Gauge::<f64, AtomicU64>::default());
        registry.register("build", "What is running", info);
        registry.register("http_requests", "Requests answered", http.requests.clone());
        registry.register("http_request_seconds", "Until the head of the answer", http.seconds.clone());
        registry.register("http_requests_in_flight", "Requests under way", http.in_flight.clone());
        registry.register("http_connections", "Connections open", http.connections.clone());
        registry.register("http_connections_refused", "Connections closed at the cap", http.refused.clone());
        registry.register("process_resident_memory_bytes", "Memory in use", resident.clone());
        registry.register("process_uptime_seconds", "Since the start", uptime.clone());
        Self {
            registry: Arc::new(Mutex::new(registry)),
            http: Arc::new(http),
            started: Instant::now(),
            resident,
            uptime,
        }
    }

    /// Adds a service's own metrics.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The text that Prometheus scrapes.
    #[must_use]
    pub fn text(&self) -> String {
        self.uptime.set(self.started.elapsed().as_secs_f64());
        self.resident.set(resident_bytes());
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!(%error, "encode metrics");
        }
        text
    }

    pub(crate) fn request_started(&self) -> InFlight {
        self.http.in_flight.inc();
        InFlight(Arc::clone(&self.http))
    }

    /// `route` is the matched pattern, never the path: a path in a label would grow without bound.
    pub(crate) fn request_done(&self, route: &str, method: &http::Method, status: u16, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), method: method_label(method), status };
        self.http.requests.get_or_create(&labels).inc();
        let labels = RouteLabels { route: route.to_owned() };
        self.http.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn connection_opened(&self) -> OpenConnection {
        self.http.connections.inc();
        OpenConnection(Arc::clone(&self.http))
    }

    pub(crate) fn connection_refused(&self) {
        self.http.refused.inc();
    }
}

/// Counts a request as under way until it is dropped, also when its caller went away.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Http>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Http>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// A method can be any token a caller likes; the label can't.
fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// From `/proc/self/statm`; 0 where there is none.
fn resident_bytes() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()));
    pages.unwrap_or(0) * i64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_show_in_the_text() {
        let metrics = Metrics::new("test");
        let guard = metrics.request_started();
        metrics.request_done("/a/{b}", &http::Method::GET, 200, Duration::from_millis(3));
        let text = metrics.text();
        assert!(
            text.contains("lakehouse_http_requests_total{route=\"/a/{b}\",method=\"GET\",status=\"200\"} 1"),
            "{text}"
        );
        assert!(text.contains("lakehouse_http_requests_in_flight 1"), "{text}");
        drop(guard);
        assert!(metrics.text().contains("lakehouse_http_requests_in_flight 0"));
    }

    #[test]
    fn a_made_up_method_does_not_make_a_label() {
        assert_eq!(method_label(&http::Method::from_bytes(b"X1").unwrap()), "other");
    }
}
