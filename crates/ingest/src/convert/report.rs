use lakehouse_types::ingest::{RenamedColumn, SkippedRows};
use parquet::file::metadata::{FooterTail, ParquetMetaDataReader};
use serde::{Deserialize, Serialize};

use crate::Error;

/// What a caller should know about a conversion besides its result. It stands in the file's footer
/// too, so that an upload of the same bytes can be answered in the same words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Header names that were empty or taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed_columns: Vec<RenamedColumn>,
    /// Rows that were left out; `None` unless the options ask to skip them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkippedRows>,
}

/// Bytes at the end of a Parquet file that tell the length of its footer.
const TAIL: usize = 8;

impl Report {
    /// The key in the footer.
    pub(crate) const NOTE: &'static str = "lakehouse.report";

    pub(super) fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::during("encode report"))
    }

    /// Bytes at the end of a file that hold its footer, told from its last bytes.
    pub(crate) fn footer_len(end: &[u8]) -> Option<usize> {
        let tail = FooterTail::try_new(end.last_chunk::<TAIL>()?).ok()?;
        Some(tail.metadata_length() + TAIL)
    }

    /// The report in the footer of a file of which `end` is the last part; `None` where there is none.
    pub(crate) fn from_end(end: &[u8]) -> Option<Self> {
        let start = end.len().checked_sub(Self::footer_len(end)?)?;
        let footer = end.get(start..end.len() - TAIL)?;
        let metadata = ParquetMetaDataReader::decode_metadata(footer).ok()?;
        let notes = metadata.file_metadata().key_value_metadata()?;
        let note = notes.iter().find(|note| note.key == Self::NOTE)?;
        serde_json::from_str(note.value.as_deref()?).ok()
    }

    /// The report at the end of any bytes: for the fuzz target.
    #[doc(hidden)]
    #[must_use]
    pub fn check_end(end: &[u8]) -> Option<Self> {
        Self::from_end(end)
    }
}
