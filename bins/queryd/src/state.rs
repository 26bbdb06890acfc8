use std::{sync::Arc, time::Duration};

use lakehouse_common::{StartError, config::Queryd};
use lakehouse_query::{Engine, Isolation, Options};

/// What the handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    pub(crate) engine: Arc<Engine>,
}

impl AppState {
    /// A state over `engine`.
    #[must_use]
    pub const fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

/// The engine's options for a configuration.
///
/// # Errors
/// When this program can't tell where it lies, which its workers are started from.
pub(crate) fn options(config: &Queryd) -> Result<Options, StartError> {
    let isolation = if config.worker_processes {
        let program = std::env::current_exe()
            .map_err(|error| StartError::new(format!("find this program, to start workers from: {error}")))?;
        Isolation::Process { program }
    } else {
        Isolation::Threads
    };
    Ok(Options {
        cache_dir: config.cache_dir.clone(),
        cache_bytes: config.cache_bytes,
        spill_dir: config.spill_dir.clone(),
        spill_bytes: config.spill_bytes,
        memory_bytes: config.memory_bytes,
        threads: config.threads,
        max_concurrent: config.max_concurrent,
        max_queued: config.max_queued,
        timeout: Duration::from_secs(config.timeout_seconds),
        max_result_bytes: config.max_result_bytes,
        isolation,
    })
}
