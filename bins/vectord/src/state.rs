use std::sync::{Arc, OnceLock};

use lakehouse_client::EmbedClient;
use lakehouse_common::ApiError;
use lakehouse_types::ErrorKind;
use lakehouse_vector::Registry;

use crate::metrics::Searches;

/// What the handlers share. Cheap to clone; the clones are one.
#[derive(Clone)]
pub struct AppState {
    registry: Arc<OnceLock<Arc<Registry>>>,
    pub(crate) embed: Option<EmbedClient>,
    pub(crate) searches: Searches,
    pub(crate) max_body_bytes: usize,
}

impl AppState {
    /// A state without indexes yet.
    pub(crate) fn new(embed: Option<EmbedClient>, max_body_bytes: usize) -> Self {
        Self { registry: Arc::default(), embed, searches: Searches::default(), max_body_bytes }
    }

    /// From here on, calls are served.
    pub(crate) fn loaded(&self, registry: Registry) {
        if self.registry.set(Arc::new(registry)).is_err() {
            tracing::error!("the indexes were loaded twice");
        }
    }

    /// The indexes, once they are loaded.
    ///
    /// # Errors
    /// 503 before that.
    pub(crate) fn registry(&self) -> Result<&Arc<Registry>, ApiError> {
        self.registry.get().ok_or_else(|| ApiError::new(ErrorKind::Unavailable, "the indexes are being loaded"))
    }
}
