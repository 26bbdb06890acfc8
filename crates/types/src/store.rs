//! Bodies of storaged's calls.

use serde::{Deserialize, Serialize};

use crate::ObjectKey;

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEntry {
    /// The object's key.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was last written, milliseconds since the Unix epoch.
    pub modified_ms: i64,
}

/// `GET /storage/objects?prefix=&after=&limit=`: one page, sorted by the bytes of the key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPage {
    /// The objects of this page.
    pub objects: Vec<ObjectEntry>,
    /// Pass as `after` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
