//! The catalog: which datasets there are, with what schema, made of which files.
//!
//! Every change of a dataset is a new, immutable object in the store, created only where there is
//! none of that version yet. Creation is the compare-and-swap, so any number of catalogs may work
//! over one store, and none of them loses another's change. `journal` says how, and why pruning old
//! versions does not break it; docs/adr/003-catalog-cas.md has the reasons for this shape.
//!
//! [`Catalog`] answers reads from memory. What another catalog wrote is seen at the next
//! [`Catalog::refresh`], or at once when a change of one's own meets it.

mod catalog;
mod drift;
mod error;
mod journal;
mod plan;
mod record;
mod state;

pub use catalog::{Catalog, Options, Stats};
pub use drift::{ColumnChange, Drift};
pub use error::Error;
pub use state::{Damage, Snapshot};
