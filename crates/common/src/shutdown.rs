use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Tells every part of a service to stop. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// One that nothing has told to stop yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everyone to stop.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Waits until someone says stop.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Has someone said stop?
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits for `duration`; true when it passed, false when the service is to stop before.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.token.cancelled() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }

    /// One that SIGTERM and SIGINT trigger.
    ///
    /// # Errors
    /// When the process can't listen for signals.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let mut term = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let trigger = shutdown.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "stopping");
            trigger.trigger();
        });
        Ok(shutdown)
    }
}
