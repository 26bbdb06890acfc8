//! Looks after the store and tells `/readyz`.

use std::{sync::Arc, time::Duration};

use lakehouse_common::{Readiness, Shutdown};
use lakehouse_objstore::{Error, ObjectStore};
use lakehouse_types::ServiceError as _;

const INTERVAL: Duration = Duration::from_secs(5);
/// A disk or endpoint that takes longer for a look-up is as good as gone.
const PATIENCE: Duration = Duration::from_secs(10);
const WHAT: &str = "store";

/// Checks the store until `shutdown`.
pub(crate) async fn run(store: Arc<dyn ObjectStore>, readiness: Readiness, shutdown: Shutdown) {
    let mut last = None;
    loop {
        let checked = tokio::time::timeout(PATIENCE, store.check()).await.unwrap_or(Err(Error::Timeout));
        let found = checked.as_ref().err().map(ToString::to_string);
        if found != last {
            match &found {
                Some(error) => tracing::error!(error, "the store is not well"),
                None => tracing::info!("the store is well again"),
            }
            last = found;
        }
        report(&readiness, &checked);
        if !shutdown.sleep(INTERVAL).await {
            return;
        }
    }
}

/// A full disk can still be read, so it takes the service out of no rotation. `/readyz` is public:
/// it says what a caller may know, and the log the rest.
fn report(readiness: &Readiness, checked: &Result<(), Error>) {
    match checked {
        Ok(()) => {
            readiness.ready(WHAT);
            readiness.clear_degraded(WHAT);
        }
        Err(error @ Error::NoSpace { .. }) => {
            readiness.ready(WHAT);
            readiness.degraded(WHAT, &error.detail());
        }
        Err(error) => readiness.waiting(WHAT, &error.detail()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_fails_is_waited_for_and_a_full_one_is_not() {
        let readiness = Readiness::default();
        let secret = "stat /srv/secret: denied";
        report(&readiness, &Err(Error::backend("check object store", secret)));
        assert!(!readiness.is_ready());
        assert!(!readiness.report().to_string().contains("secret"));
        report(&readiness, &Err(Error::NoSpace { action: "check object store" }));
        assert!(readiness.is_ready());
        assert_eq!(readiness.report()["status"], "degraded");
        report(&readiness, &Ok(()));
        assert_eq!(readiness.report()["status"], "ready");
    }
}
