//! The way of an upload into the store and the catalog, and the removal of what nobody names.

mod catalog;
mod ingestor;
mod marker;
mod sweep;
mod turns;

pub use catalog::{Catalog, CatalogError};
pub use ingestor::{IngestRequest, Ingestor, IngestorOptions};
pub use sweep::SweepReport;

#[cfg(test)]
mod tests;
