use std::sync::{Arc, OnceLock};

use lakehouse_client::EmbedClient;
use lakehouse_common::ApiError;
use lakehouse_types::ErrorKind;
use lakehouse_vector::Registry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::Searches;

/// What the handlers share. Cheap to clone; the clones are one.
#[derive(Clone)]
pub struct AppState {
    registry: Arc<OnceLock<Arc<Registry>>>,
    pub(crate) embed: Option<EmbedClient>,
    pub(crate) searches: Searches,
    pub(crate) max_body_bytes: usize,
    /// Kilobytes that the bodies of adds under way may have together.
    room: Arc<Semaphore>,
}

const KIB: usize = 1 << 10;

/// Adds under way may have bodies of so many times the cap of one.
const BODIES: usize = 4;

impl AppState {
    /// A state without indexes yet.
    pub(crate) fn new(embed: Option<EmbedClient>, max_body_bytes: usize) -> Self {
        let room = Arc::new(Semaphore::new((max_body_bytes.div_ceil(KIB) * BODIES).min(Semaphore::MAX_PERMITS)));
        Self { registry: Arc::default(), embed, searches: Searches::default(), max_body_bytes, room }
    }

    /// Room for one more body of `size` bytes, or of any size.
    ///
    /// # Errors
    /// 503 where adds under way need it all: a body is in memory until its items are committed.
    pub(crate) fn room_for(&self, size: Option<usize>) -> Result<OwnedSemaphorePermit, ApiError> {
        let kilobytes = size.unwrap_or(usize::MAX).min(self.max_body_bytes).div_ceil(KIB);
        let room = Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(kilobytes).unwrap_or(u32::MAX));
        room.map_err(|_| ApiError::new(ErrorKind::Unavailable, "too many large adds at once"))
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
