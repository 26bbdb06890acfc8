//! What goes on beside the requests: loading the catalog, then keeping it up to date, and telling
//! readiness about both.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use lakehouse_catalog::{Catalog, Damage, Error};
use lakehouse_common::{Readiness, Shutdown};
use lakehouse_types::ServiceError as _;

/// What readiness calls the things that can be wrong.
const CATALOG: &str = "catalog";
const STORE: &str = "storaged";

/// Pauses between attempts to load: storaged usually comes up within moments.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// A refresh lists all manifests. However many there are, that takes at most one part in this many
/// of the time.
const IDLE_SHARE: u32 = 20;
/// Readiness names this many damaged datasets; it is read by people and load balancers.
const MAX_NAMED: usize = 100;

pub(crate) struct Keeper {
    catalog: Catalog,
    readiness: Readiness,
    refresh: Duration,
    named: BTreeSet<String>,
}

impl Keeper {
    /// From here on, the service is not ready until the catalog is loaded.
    pub(crate) fn new(catalog: Catalog, readiness: Readiness, refresh: Duration) -> Self {
        readiness.waiting(CATALOG, "loading the manifests from storaged");
        // A refresh without any pause would be nothing but load.
        let refresh = refresh.max(Duration::from_millis(100));
        Self { catalog, readiness, refresh, named: BTreeSet::new() }
    }

    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        if !self.load(&shutdown).await {
            return;
        }
        let mut pause = self.refresh;
        while shutdown.sleep(pause).await {
            let started = Instant::now();
            tokio::select! {
                () = shutdown.cancelled() => return,
                refreshed = self.catalog.refresh() => self.report(refreshed.map(drop)),
            }
            pause = self.refresh.max(started.elapsed().saturating_mul(IDLE_SHARE));
        }
    }

    /// False where the service is to stop before it is loaded.
    async fn load(&mut self, shutdown: &Shutdown) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            let loaded = tokio::select! {
                () = shutdown.cancelled() => return false,
                loaded = self.catalog.load() => loaded,
            };
            let Err(error) = loaded else { break };
            tracing::warn!(error = %chain(&error), "load catalog; trying again");
            self.readiness.waiting(CATALOG, &format!("storaged: {}", error.detail()));
            if !shutdown.sleep(pause).await {
                return false;
            }
            pause = pause.saturating_mul(2).min(MAX_PAUSE);
        }
        let stats = self.catalog.stats();
        tracing::info!(datasets = stats.datasets, damaged = stats.damaged, "catalog loaded");
        self.report(Ok(()));
        self.readiness.ready(CATALOG);
        true
    }

    fn report(&mut self, refreshed: Result<(), Error>) {
        match refreshed {
            Ok(()) => self.readiness.clear_degraded(STORE),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "refresh catalog");
                self.readiness.degraded(STORE, &format!("what other catalogs write is not seen: {}", error.detail()));
            }
        }
        self.name(&self.catalog.damaged());
    }

    /// Brings the damaged datasets that readiness names up to date.
    fn name(&mut self, damaged: &[Damage]) {
        let mut now = BTreeSet::new();
        for damage in damaged.iter().take(MAX_NAMED) {
            let what = format!("dataset {}", damage.dataset);
            if !self.named.contains(&what) {
                tracing::error!(dataset = damage.dataset, reason = damage.reason, "manifest is damaged");
            }
            self.readiness.degraded(&what, &damage.reason);
            now.insert(what);
        }
        if let Some(more) = damaged.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
            self.readiness.degraded("datasets", &format!("{more} more are damaged"));
            now.insert("datasets".to_owned());
        }
        for well in self.named.difference(&now) {
            self.readiness.clear_degraded(well);
        }
        self.named = now;
    }
}

/// An error and its causes in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors repeat their cause.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
