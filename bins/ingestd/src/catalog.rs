use std::sync::Arc;

use async_trait::async_trait;
use lakehouse_client::{CatalogClient, Error};
use lakehouse_ingest::{Catalog, CatalogError};
use lakehouse_types::{
    ErrorKind, Name, ServiceError as _,
    catalog::{ListResponse, Manifest, RegisterRequest, RegisterResponse},
};

/// catalogd, as an ingest sees it.
#[must_use]
pub fn adapter(client: CatalogClient) -> Arc<dyn Catalog> {
    Arc::new(RemoteCatalog { client })
}

struct RemoteCatalog {
    client: CatalogClient,
}

fn boxed(error: Error) -> CatalogError {
    Box::new(error)
}

#[async_trait]
impl Catalog for RemoteCatalog {
    async fn manifest(&self, name: &Name) -> Result<Option<Manifest>, CatalogError> {
        match self.client.manifest(name).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(boxed(error)),
        }
    }

    async fn register(&self, request: RegisterRequest) -> Result<RegisterResponse, CatalogError> {
        self.client.register(&request).await.map_err(boxed)
    }

    async fn list(&self) -> Result<ListResponse, CatalogError> {
        let listed = self.client.list(None).await.map_err(boxed)?;
        // Without a known tag there is always a body.
        Ok(listed.map(|(list, _)| list).unwrap_or_default())
    }
}
