//! Loading the indexes beside the requests, and telling readiness about it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use lakehouse_common::{Readiness, Shutdown};
use lakehouse_objstore::ObjectStore;
use lakehouse_types::ServiceError as _;
use lakehouse_vector::{Options, Registry};

use crate::AppState;

/// What readiness calls the thing that is waited for.
const INDEXES: &str = "indexes";
/// Pauses between attempts: storaged usually comes up within moments.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often the list of bad indexes is brought up to date: a removal shortens it.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) struct Loader {
    store: Option<Arc<dyn ObjectStore>>,
    options: Options,
    state: AppState,
    readiness: Readiness,
    named: BTreeSet<String>,
}

impl Loader {
    /// From here on, the service is not ready until the indexes are loaded.
    pub(crate) fn new(
        store: Option<Arc<dyn ObjectStore>>,
        options: Options,
        state: AppState,
        readiness: Readiness,
    ) -> Self {
        readiness.waiting(INDEXES, "loading the indexes from storaged");
        Self { store, options, state, readiness, named: BTreeSet::new() }
    }

    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        let mut pause = FIRST_PAUSE;
        loop {
            let opened = tokio::select! {
                () = shutdown.cancelled() => return,
                opened = Registry::open(self.store.clone(), self.options.clone()) => opened,
            };
            match opened {
                Ok(registry) => {
                    self.state.loaded(registry);
                    self.name_quarantined();
                    self.readiness.ready(INDEXES);
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "load indexes");
                    self.readiness.waiting(INDEXES, &error.detail());
                }
            }
            if !shutdown.sleep(pause).await {
                return;
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
        while shutdown.sleep(LOOK).await {
            self.name_quarantined();
        }
    }

    fn name_quarantined(&mut self) {
        let Ok(registry) = self.state.registry() else { return };
        let mut now = BTreeSet::new();
        for bad in registry.quarantined() {
            let what = format!("index {}", bad.name);
            self.readiness.degraded(&what, &bad.reason);
            now.insert(what);
        }
        for gone in self.named.difference(&now) {
            self.readiness.clear_degraded(gone);
        }
        self.named = now;
    }
}
