//! CSV to Parquet, and the way of an ingest: spool, convert, store, register, sweep.
//!
//! No HTTP. Bytes come from a spool file and go to an [`ObjectStore`](lakehouse_objstore::ObjectStore);
//! facts go to a [`Catalog`].

mod column;
mod convert;
mod csv;
mod encode;
mod error;
mod foreign;
mod kind;
mod options;
mod publish;
mod schema;
mod spool;
mod value;

pub use convert::{Cancel, Converted, Report, convert};
pub use error::Error;
pub use options::{Limits, OnError, Options, TypeOverride, parse_types};
pub use publish::{Catalog, CatalogError, IngestRequest, Ingestor, IngestorOptions, SweepReport};
pub use schema::{ColumnType, schema_fingerprint};
pub use spool::{SpoolDir, Spooled, Upload};
