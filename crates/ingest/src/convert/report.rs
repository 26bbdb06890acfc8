use lakehouse_types::ingest::{RenamedColumn, SkippedRows, Warning};
use memchr::memmem;
use parquet::file::metadata::FooterTail;
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
    /// What was guessed against doubt, or changed on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// Bytes at the end of a Parquet file that tell the length of its footer.
const TAIL: usize = 8;

/// How the note begins in a footer, up to the length of its value: Thrift's compact form of a struct
/// with the key (a binary of 16 bytes) in field 1 and the value (a binary) in field 2.
const NOTE_IN_FOOTER: &[u8] = b"\x18\x10lakehouse.report\x18";

/// Bytes of the longest length: seven bits in each.
const LENGTH_BYTES: u32 = 5;

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
    ///
    /// The note is looked for and the rest left alone: these bytes are whatever lies in the store, and
    /// parquet 58 reserves memory for as many elements as a footer says that it has.
    pub(crate) fn from_end(end: &[u8]) -> Option<Self> {
        let start = end.len().checked_sub(Self::footer_len(end)?)?;
        let footer = end.get(start..end.len() - TAIL)?;
        // The last one: the columns, whose names may be anything, stand before the notes.
        let note = memmem::rfind(footer, NOTE_IN_FOOTER)?;
        let mut rest = footer.get(note + NOTE_IN_FOOTER.len()..)?;
        let mut length = 0;
        for place in 0..LENGTH_BYTES {
            let (byte, after) = rest.split_first()?;
            rest = after;
            length |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return serde_json::from_slice(rest.get(..length)?).ok();
            }
        }
        None
    }

    /// The report at the end of any bytes: for the fuzz target.
    #[doc(hidden)]
    #[must_use]
    pub fn check_end(end: &[u8]) -> Option<Self> {
        Self::from_end(end)
    }
}
