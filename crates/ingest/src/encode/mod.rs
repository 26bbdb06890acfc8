//! Parquet: columns to pages, pages to a file.
//!
//! The `parquet` crate writes headers and the footer. The pages are encoded here, because three
//! things decide what an ingest costs, and its own encoders have none of them: columns arrive dense
//! and with their validity as bits, so that levels are copied and not counted; a column of a
//! thousand-column file may not carry a compression context of its own; and the output must depend
//! on the input alone, for its key is made from the input.

mod bits;
mod column;
mod delta;
mod dictionary;
mod file;
mod hybrid;
mod page;
mod statistics;

pub(crate) use column::{ColumnEncoder, EncodedColumn, PageLimits};
pub(crate) use file::{FileWriter, file_schema};
pub(crate) use page::Codec;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{metadata, read_columns};
