//! Bodies of catalogd's calls, and the manifest as it lies in the store.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Name, ObjectKey,
    member::{self, Words},
};

/// One column of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// The column's name, unique in its dataset when case is ignored.
    pub name: String,
    /// The SQL type, upper case: `BIGINT`, `DOUBLE`, `VARCHAR`, `BOOLEAN`, `DATE`, `TIMESTAMP`,
    /// `TIMESTAMP WITH TIME ZONE`, `TIME`, `DECIMAL(p,s)`, ...
    #[serde(rename = "type")]
    pub sql_type: String,
}

/// One immutable file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataObject {
    /// Where it lies in the store.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
    /// Its number of rows.
    pub rows: u64,
    /// SHA-256 (hex) over the ingested bytes and the options; the same content has the same one.
    pub fingerprint: String,
    /// SHA-256 (hex) of the object's own bytes, for whoever copies it; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// What a registration does with the files that the dataset has already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The new files take the place of all earlier ones.
    #[default]
    Replace,
    /// The new files are added to the earlier ones; one that is there already is not added twice.
    Append,
}

impl Words for Mode {
    const WORDS: &'static [(&'static str, Self)] = &[("replace", Self::Replace), ("append", Self::Append)];
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        member::word(deserializer)
    }
}

/// `POST /catalog/register`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// The dataset.
    pub name: Name,
    /// Equal for equal schemas: names, types and order of the columns. Given by whoever made the files.
    pub schema_fingerprint: String,
    /// The columns, in order; at least one.
    pub schema: Vec<Column>,
    /// The files; at least one.
    pub objects: Vec<DataObject>,
    /// Replace (default) or append.
    #[serde(default, deserialize_with = "crate::member::null_as_default")]
    pub mode: Mode,
}

/// A dataset at one version: the unit that readers see, whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The dataset.
    pub name: Name,
    /// 1 for the first registration, then one more with every change; never reused for a name
    /// as long as its history is in the store.
    pub version: u64,
    /// See [`RegisterRequest::schema_fingerprint`].
    pub schema_fingerprint: String,
    /// The columns, in order.
    pub schema: Vec<Column>,
    /// All files of this version.
    pub objects: Vec<DataObject>,
    /// Rows over all files.
    pub rows: u64,
    /// Bytes over all files.
    pub bytes: u64,
    /// When version 1 was written, milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When this version was written, milliseconds since the Unix epoch.
    pub updated_ms: i64,
}

/// The answer to a registration: 201 when it changed something, 200 when all was there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterResponse {
    /// True when the call changed nothing.
    pub existing: bool,
    /// The dataset after the call.
    pub manifest: Manifest,
}

/// `GET /catalog/list`, sorted by name. With `?full=true` the manifests are whole, without it
/// `schema` and `objects` are left empty. The `ETag` changes with every change of the catalog,
/// so `If-None-Match` is the cheap way to ask whether anything is new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListResponse {
    /// One entry a dataset.
    pub datasets: Vec<Manifest>,
    /// Datasets whose newest version can't be read, by their names in lower case. They have no entry
    /// above, and which files they name is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
}
