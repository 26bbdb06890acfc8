use async_trait::async_trait;
use lakehouse_types::{
    Name, ServiceError,
    catalog::{ListResponse, Manifest, RegisterRequest, RegisterResponse},
};

/// An error of the catalog, as it speaks for itself.
pub type CatalogError = Box<dyn ServiceError>;

/// What an ingest needs of the catalog.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// The newest version of a dataset; `None` where there is none.
    ///
    /// # Errors
    /// The catalog's.
    async fn manifest(&self, name: &Name) -> Result<Option<Manifest>, CatalogError>;

    /// Registers files.
    ///
    /// # Errors
    /// The catalog's; a `Conflict` where schema or name don't go with what is there.
    async fn register(&self, request: RegisterRequest) -> Result<RegisterResponse, CatalogError>;

    /// Every dataset.
    ///
    /// # Errors
    /// The catalog's.
    async fn list(&self) -> Result<ListResponse, CatalogError>;
}
