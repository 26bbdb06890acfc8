use std::{sync::Arc, time::Duration};

use lakehouse_common::{Readiness, Shutdown};
use lakehouse_query::Catalog;
use lakehouse_types::ServiceError as _;

use crate::RemoteCatalog;

/// What readiness calls catalogd.
const CATALOG: &str = "catalogd";

/// Pauses between looks while catalogd can't be asked: it usually comes up within moments.
const WAITING: Duration = Duration::from_millis(200);

/// And while it can. A query notices by itself; this is for whoever watches /readyz.
const READY: Duration = Duration::from_secs(5);

/// Keeps readiness up to date on whether catalogd can be asked. From the call on, before the work
/// that it gives is begun, the service is not ready.
pub(crate) fn watch(catalog: Arc<RemoteCatalog>, readiness: Readiness, shutdown: Shutdown) -> impl Future<Output = ()> {
    readiness.waiting(CATALOG, "not asked yet");
    keep_looking(catalog, readiness, shutdown)
}

async fn keep_looking(catalog: Arc<RemoteCatalog>, readiness: Readiness, shutdown: Shutdown) {
    let mut ready = false;
    loop {
        let looked = tokio::select! {
            () = shutdown.cancelled() => return,
            looked = catalog.snapshot() => looked,
        };
        match looked {
            Ok(_) => readiness.ready(CATALOG),
            Err(error) => {
                readiness.waiting(CATALOG, &error.detail());
                // Once for each time that it goes away.
                if ready {
                    tracing::warn!(%error, "ask catalogd for changes");
                }
            }
        }
        ready = readiness.is_ready();
        if !shutdown.sleep(if ready { READY } else { WAITING }).await {
            return;
        }
    }
}
