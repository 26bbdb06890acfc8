//! What is counted of the requests to each service.

use http::StatusCode;
use lakehouse_common::Metrics;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use crate::error::Error;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Service {
    service: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    service: &'static str,
    outcome: &'static str,
}

/// The counters of all services.
#[derive(Debug, Default)]
pub(crate) struct GatewayMetrics {
    outcomes: Family<Outcome, Counter>,
    retries: Family<Service, Counter>,
    connections: Family<Service, Counter>,
}

/// How a request to a service can end: a class of status, or none at all.
const OUTCOMES: [&str; 9] = ["2xx", "3xx", "4xx", "5xx", "unreachable", "broken", "slow", "upload_failed", "other"];

/// The counters of one service, looked up once.
#[derive(Debug, Clone)]
pub(crate) struct UpstreamMetrics {
    outcomes: [Counter; OUTCOMES.len()],
    retries: Counter,
    connections: Counter,
}

impl GatewayMetrics {
    /// Makes them part of what `/metrics` shows.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let this = Self::default();
        metrics.register(|registry| {
            registry.register("upstream_requests", "Requests to services, by outcome", this.outcomes.clone());
            registry.register("upstream_retries", "Requests sent a second time", this.retries.clone());
            registry.register("upstream_connections", "Connections to services opened", this.connections.clone());
        });
        this
    }

    /// The counters of `service`.
    pub(crate) fn of(&self, service: &'static str) -> UpstreamMetrics {
        UpstreamMetrics {
            outcomes: OUTCOMES.map(|outcome| self.outcomes.get_or_create(&Outcome { service, outcome }).clone()),
            retries: self.retries.get_or_create(&Service { service }).clone(),
            connections: self.connections.get_or_create(&Service { service }).clone(),
        }
    }
}

impl UpstreamMetrics {
    /// A request has ended, as far as the head of its answer.
    pub(crate) fn done(&self, result: Result<StatusCode, &Error>) {
        let outcome = match result {
            Ok(status) if status.is_success() => 0,
            Ok(status) if status.is_redirection() => 1,
            Ok(status) if status.is_client_error() => 2,
            Ok(status) if status.is_server_error() => 3,
            Err(Error::Connect { .. }) => 4,
            Err(Error::Exchange { .. }) => 5,
            Err(Error::Slow { .. }) => 6,
            Err(Error::Upload { .. }) => 7,
            Ok(_) | Err(_) => 8,
        };
        if let Some(counter) = self.outcomes.get(outcome) {
            counter.inc();
        }
    }

    pub(crate) fn retried(&self) {
        self.retries.inc();
    }

    pub(crate) fn connecting(&self) {
        self.connections.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_counts_under_its_name() {
        let all = GatewayMetrics::default();
        let storaged = all.of("storaged");
        storaged.done(Ok(StatusCode::NO_CONTENT));
        storaged.done(Ok(StatusCode::NOT_FOUND));
        storaged.done(Err(&Error::Slow { service: "storaged", after: std::time::Duration::ZERO }));
        let count = |outcome| all.outcomes.get_or_create(&Outcome { service: "storaged", outcome }).get();
        assert_eq!(["2xx", "4xx", "slow", "5xx"].map(count), [1, 1, 1, 0]);
    }
}
