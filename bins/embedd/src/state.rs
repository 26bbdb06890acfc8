use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use lakehouse_common::Readiness;
use lakehouse_embed::{Embedding, Error, Service};

/// What the handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    service: Service,
    readiness: Readiness,
    dimension_shown: AtomicBool,
    max_body_bytes: usize,
}

impl AppState {
    pub(crate) fn new(service: Service, readiness: Readiness, max_body_bytes: usize) -> Self {
        let dimension_shown = AtomicBool::new(service.dimension().is_some());
        Self { inner: Arc::new(Inner { service, readiness, dimension_shown, max_body_bytes }) }
    }

    /// The service.
    pub(crate) fn service(&self) -> &Service {
        &self.inner.service
    }

    /// The cap on a request's body.
    pub(crate) fn max_body_bytes(&self) -> usize {
        self.inner.max_body_bytes
    }

    /// Embeds, and tells /health the dimension once the provider has told it.
    pub(crate) async fn embed(&self, texts: Vec<String>) -> Result<Vec<Arc<Embedding>>, Error> {
        let made = self.service().embed(texts).await?;
        if !self.inner.dimension_shown.swap(true, Ordering::Relaxed) {
            self.inner.readiness.detail("dimension", self.service().dimension());
        }
        Ok(made)
    }
}
