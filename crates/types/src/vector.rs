//! Bodies of vectord's calls, and the filter language of its searches.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    Name,
    member::{self, Words},
};

/// How far apart two vectors are; smaller is nearer for every kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distance {
    /// `1 - cos(a, b)`: 0 for the same direction, 2 for opposite ones. A zero vector has none.
    Cosine,
    /// Euclidean distance, not squared.
    L2,
    /// `-(a . b)`: the larger the product, the nearer.
    Dot,
}

impl Distance {
    /// The name in requests, answers and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::L2 => "l2",
            Self::Dot => "dot",
        }
    }
}

impl Words for Distance {
    const WORDS: &'static [(&'static str, Self)] = &[("cosine", Self::Cosine), ("l2", Self::L2), ("dot", Self::Dot)];
}

impl<'de> Deserialize<'de> for Distance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        member::word(deserializer)
    }
}

impl std::fmt::Display for Distance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `POST /vectors/index`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateIndexRequest {
    /// The index.
    pub name: Name,
    /// Numbers in every vector, 1..=16384.
    pub dimension: usize,
    /// How nearness is measured.
    pub distance: Distance,
    /// Links a node keeps on each upper level of the graph, twice as many on the lowest: 4..=64, default 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub m: Option<usize>,
    /// Candidates weighed for a new node's links: 8..=2000, default 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef_construction: Option<usize>,
    /// The fewest candidates that a search keeps when it names no `ef`: 1..=10000, default in the answer. It
    /// keeps more where the index has counted that it needs them to find .98 of the nearest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef_search: Option<usize>,
}

/// What is known of an index: `GET /vectors/index/{name}`, and the answer to its creation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// The index.
    pub name: Name,
    /// Numbers in every vector.
    pub dimension: usize,
    /// How nearness is measured.
    pub distance: Distance,
    /// See [`CreateIndexRequest::m`].
    pub m: usize,
    /// See [`CreateIndexRequest::ef_construction`].
    pub ef_construction: usize,
    /// See [`CreateIndexRequest::ef_search`].
    pub ef_search: usize,
    /// Items in it.
    pub count: u64,
    /// Items that the graph holds; the others are found by an exact scan until it has caught up.
    pub indexed: u64,
}

/// `GET /vectors/index`, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexList {
    /// One entry an index that serves.
    pub indexes: Vec<IndexInfo>,
    /// Indexes whose files could not be read, and why; their files are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<QuarantinedIndex>,
}

/// An index that does not serve because its file is bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedIndex {
    /// The index.
    pub name: String,
    /// What is wrong with its file.
    pub reason: String,
}

/// One item of `POST /vectors/index/{name}/add`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddItem {
    /// The item's name, 1..=512 bytes, unique in its index. One that is there already is replaced.
    pub id: String,
    /// As many finite numbers as the index has dimensions; not all zero under cosine.
    pub vector: Vec<f32>,
    /// Any JSON value. Absent or null leaves what the item has; `{}` clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}

/// `POST /vectors/index/{name}/add`: all of it or nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRequest {
    /// At least one item.
    pub items: Vec<AddItem>,
}

/// The answer to an add; what it names is durable and found by the next search.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddResponse {
    /// Items that were not there before.
    pub added: u64,
    /// Items that were there, and have a new vector now.
    pub updated: u64,
    /// Ids that the request named more than once, each listed once; the last item counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<String>,
}

/// `POST /vectors/index/{name}/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// Where to look. Either this or `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
    /// A text whose embedding says where to look, where vectord knows an embedding service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How many results at most, 1..=10000.
    pub k: usize,
    /// Candidates to keep: more is slower and finds more; never less than some more than `k` counts. Absent:
    /// as many as this index needs to find .98 of the `k` nearest, which it has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ef: Option<usize>,
    /// Only items whose metadata match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Answer with the vectors too.
    #[serde(default, deserialize_with = "crate::member::null_as_default")]
    pub with_vectors: bool,
    /// Look at every item, so that nothing nearer can be missed.
    #[serde(default, deserialize_with = "crate::member::null_as_default")]
    pub exact: bool,
}

/// One result.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SearchHit {
    /// The item.
    pub id: String,
    /// See [`Distance`].
    pub distance: f64,
    /// The item's metadata, as they were given; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
    /// The item's vector, as it was given; only where the request asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vec<f32>>,
}

/// The answer to a search, nearest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SearchResponse {
    /// As many as there are, up to `k`.
    pub results: Vec<SearchHit>,
    /// True where every item was looked at: nothing nearer can be missing. False where the graph led
    /// the way, which finds .98 of the nearest and more.
    #[serde(default)]
    pub exact: bool,
}

/// `POST /vectors/index/{name}/delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRequest {
    /// The items to remove; one that is not there is no error.
    pub ids: Vec<String>,
}

/// The answer to a delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteResponse {
    /// Items that were there and are gone now.
    pub deleted: u64,
    /// Ids that were not there.
    pub missing: u64,
}

/// `GET /vectors/index/{name}/items/{id}`, and `GET /vectors/index/{name}/items?id=` for ids that no path can carry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    /// The item.
    pub id: String,
    /// Its vector, bit for bit as it was given.
    pub vector: Vec<f32>,
    /// Its metadata, as they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
}

/// `POST /vectors/index/{src}/merge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeRequest {
    /// The index that takes the items.
    pub dest: Name,
    /// Take the items out of the source that the destination durably has: those that this merge added,
    /// and those that are the same there, vector and metadata. An item whose id stands for something
    /// else in the destination stays in the source.
    #[serde(default, deserialize_with = "crate::member::null_as_default")]
    pub clear_source: bool,
}

/// The answer to a merge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeResponse {
    /// Items that the destination has now and did not have before.
    pub merged: u64,
    /// Items whose id the destination had already; it keeps its own.
    pub skipped: u64,
    /// Items taken out of the source: with `clear_source`, the merged ones and those skipped ones that
    /// are the same in the destination, bit for bit the vector and as JSON the metadata (white space and
    /// the order of members don't count; numbers are the same where they are written alike).
    pub cleared: u64,
    /// With `clear_source`, items that stay in the source because the destination has something else
    /// under their ids.
    #[serde(default)]
    pub kept: u64,
}

/// Which items a search may return, by their metadata.
///
/// ```json
/// {"eq": {"lang": "en", "topic": "sport"}}
/// {"in": {"lang": ["en", "de"]}}
/// {"range": {"year": {"gte": 1990, "lt": 2000}}}
/// {"exists": "author.name"}
/// {"and": [{"eq": {"lang": "en"}}, {"not": {"exists": "draft"}}]}
/// ```
///
/// A field is a key of the metadata object; where there is no such key, a dotted field walks into
/// nested objects. A value that is an array matches where one of its elements does. Numbers are
/// compared as numbers (`1` is `1.0`), strings in a `range` by their bytes; values of different
/// types are never equal and never in range. Several fields in one `eq`, `in` or `range` must all match.
/// Metadata that are no object have no fields: of the conditions on a field only a `not` holds for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The field has this value.
    Eq(BTreeMap<String, Value>),
    /// The field has one of these values.
    In(BTreeMap<String, Vec<Value>>),
    /// The field lies within these bounds.
    Range(BTreeMap<String, Bounds>),
    /// The field is there and not null.
    Exists(String),
    /// All of these hold; of none, true.
    And(Vec<Filter>),
    /// One of these holds; of none, false.
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
}

/// The bounds of a range: numbers or strings, at least one of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Greater than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gt: Option<Value>,
    /// Greater than or equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gte: Option<Value>,
    /// Less than.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lt: Option<Value>,
    /// Less than or equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lte: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_reads_as_documented() {
        let text =
            r#"{"and":[{"eq":{"lang":"en"}},{"range":{"year":{"gte":1990,"lt":2000}}},{"not":{"exists":"a.b"}}]}"#;
        let filter: Filter = serde_json::from_str(text).expect("the documented shape");
        assert_eq!(serde_json::to_string(&filter).expect("serialises"), text);
        for bad in [r#"{"eq":{"a":1},"in":{"a":[1]}}"#, r#"{"like":{"a":"b"}}"#, r#"{"range":{"a":{"above":1}}}"#] {
            assert!(serde_json::from_str::<Filter>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn metadata_null_is_absent_and_text_is_kept() {
        let item: AddItem =
            serde_json::from_str(r#"{"id":"a","vector":[1,2.5],"metadata":{"b" : 1e2}}"#).expect("item");
        assert_eq!(item.metadata.expect("there").get(), r#"{"b" : 1e2}"#);
        let item: AddItem = serde_json::from_str(r#"{"id":"a","vector":[1],"metadata":null}"#).expect("item");
        assert!(item.metadata.is_none());
    }
}
