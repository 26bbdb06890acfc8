use std::time::Duration;

use lakehouse_common::{Readiness, Shutdown};
use lakehouse_ingest::Error;
use lakehouse_types::ServiceError as _;

use crate::AppState;

/// What readiness calls the services that an ingest needs.
const UPSTREAMS: &str = "storaged and catalogd";
/// What readiness calls the removal of orphans.
const SWEEP: &str = "sweep";
/// Pauses until the first sweep has succeeded: the other services usually come up within moments.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Sweeps at start and then `every` so often. The first sweep that succeeds has also shown that
/// both upstreams answer, so readiness hangs on it.
pub(crate) async fn run(state: AppState, readiness: Readiness, every: Duration, shutdown: Shutdown) {
    readiness.waiting(UPSTREAMS, "asking them for the first time");
    let mut pause = FIRST_PAUSE;
    loop {
        let swept = tokio::select! {
            () = shutdown.cancelled() => return,
            swept = state.ingestor.sweep() => swept,
        };
        match swept {
            Ok(report) => {
                state.metrics.swept(&report);
                if report.removed > 0 {
                    tracing::info!(removed = report.removed, bytes = report.bytes, "removed orphaned objects");
                }
                readiness.ready(UPSTREAMS);
                readiness.clear_degraded(SWEEP);
                pause = every;
            }
            // Both answer. Uploads go on, and no file goes until somebody has mended the catalog.
            Err(error @ Error::Damaged(_)) => {
                tracing::warn!(%error, "sweep orphaned objects");
                readiness.degraded(SWEEP, &error.to_string());
                readiness.ready(UPSTREAMS);
                pause = every;
            }
            // Somebody else does the work; and it got as far as asking both.
            Err(Error::Busy { .. }) => {
                readiness.ready(UPSTREAMS);
                pause = every;
            }
            Err(error) => {
                tracing::warn!(%error, "sweep orphaned objects");
                // Once it has served, a failed sweep alone is no reason to stop: each call tells.
                if !readiness.is_ready() {
                    readiness.waiting(UPSTREAMS, &error.detail());
                    pause = (pause * 2).min(MAX_PAUSE);
                }
            }
        }
        if !shutdown.sleep(pause).await {
            return;
        }
    }
}
