use std::sync::Arc;

use lakehouse_objstore::ObjectStore;

use crate::StoreMetrics;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Bytes of the largest object that is taken.
    pub(crate) max_object_bytes: u64,
    pub(crate) metrics: StoreMetrics,
}

impl AppState {
    /// A state over `store`, which takes objects of up to `max_object_bytes`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, max_object_bytes: u64, metrics: StoreMetrics) -> Self {
        Self { store, max_object_bytes, metrics }
    }
}
