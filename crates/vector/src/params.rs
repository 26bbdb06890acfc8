//! What an index is created with, and the checks on everything that goes into it.

use std::collections::HashMap;

use lakehouse_types::vector::{AddItem, CreateIndexRequest, Distance};

use crate::{Error, Result};

/// The most numbers in a vector.
pub const MAX_DIMENSION: usize = 16_384;
/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 512;
/// The largest metadata of one item, in bytes of JSON.
pub const MAX_METADATA_BYTES: usize = 64 << 10;
/// The most results of one search, and the largest `ef`.
pub const MAX_RESULTS: usize = 10_000;

/// The most numbers in the vectors of one search's results: about 60 MB of JSON.
pub(crate) const MAX_RESULT_NUMBERS: usize = 4 << 20;

/// The most bytes of metadata in one search's results.
pub(crate) const MAX_RESULT_METADATA: usize = 64 << 20;
/// The longest vector under `l2` and `dot`: squares of it, and sums of them, still fit an `f32`.
const MAX_LENGTH: f64 = 1e18;
/// The shortest vector under `cosine`, for the same reason seen from the other end.
const MIN_LENGTH: f64 = 1e-30;

const DEFAULT_M: usize = 16;
const DEFAULT_EF_CONSTRUCTION: usize = 200;
/// Finds .98 and more of the ten nearest among 30,000 sentence embeddings (`examples/recall.rs`).
const DEFAULT_EF_SEARCH: usize = 64;

/// What an index is created with; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Numbers in every vector.
    pub dimension: usize,
    /// How nearness is measured.
    pub distance: Distance,
    /// Links of a node on an upper level; twice as many on the lowest.
    pub m: usize,
    /// Candidates weighed for a new node's links.
    pub ef_construction: usize,
    /// The fewest candidates that a search keeps when it names no `ef`; see [`crate::effort`].
    pub ef_search: usize,
}

impl Params {
    /// Parameters with the defaults for all that a request may leave out.
    #[must_use]
    pub const fn new(dimension: usize, distance: Distance) -> Self {
        Self {
            dimension,
            distance,
            m: DEFAULT_M,
            ef_construction: DEFAULT_EF_CONSTRUCTION,
            ef_search: DEFAULT_EF_SEARCH,
        }
    }

    /// The parameters that a request asks for.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the one that is out of its range.
    pub fn from_request(request: &CreateIndexRequest) -> Result<Self> {
        let mut params = Self::new(request.dimension, request.distance);
        params.m = request.m.unwrap_or(params.m);
        params.ef_construction = request.ef_construction.unwrap_or(params.ef_construction);
        params.ef_search = request.ef_search.unwrap_or(params.ef_search);
        params.checked()
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the one that is out of its range.
    pub fn checked(self) -> Result<Self> {
        let ranges = [
            ("dimension", self.dimension, 1, MAX_DIMENSION),
            ("m", self.m, 4, 64),
            ("ef_construction", self.ef_construction, 8, 2_000),
            ("ef_search", self.ef_search, 1, MAX_RESULTS),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(Error::invalid(format!("`{name}` is {value}; it must be in {least}..={most}")));
            }
        }
        Ok(self)
    }

    /// Checks a vector; the error does not say whose it is.
    pub(crate) fn check_vector(&self, vector: &[f32]) -> Result<(), String> {
        if vector.len() != self.dimension {
            return Err(format!(
                "the vector has {} numbers, the index's dimension is {}",
                vector.len(),
                self.dimension
            ));
        }
        if let Some(place) = vector.iter().position(|x| !x.is_finite()) {
            return Err(format!("the number at position {place} of the vector is not finite"));
        }
        let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        match self.distance {
            Distance::Cosine if length < MIN_LENGTH => {
                Err("the vector is zero, or too short to have a direction, which cosine needs".to_owned())
            }
            Distance::L2 | Distance::Dot if length > MAX_LENGTH => {
                Err(format!("the vector is longer than {MAX_LENGTH:e}"))
            }
            _ => Ok(()),
        }
    }

    fn check_item(&self, item: &AddItem) -> Result<(), String> {
        check_id(&item.id)?;
        self.check_vector(&item.vector)?;
        let Some(metadata) = &item.metadata else { return Ok(()) };
        if metadata.get().len() > MAX_METADATA_BYTES {
            return Err(format!("the metadata are larger than {MAX_METADATA_BYTES} bytes"));
        }
        // JSON can say what no value holds, `1e999` or half a surrogate pair: a filter could not read it.
        serde_json::from_str::<serde_json::Value>(metadata.get())
            .map(drop)
            .map_err(|error| format!("the metadata can't be read: {error}"))
    }

    /// Checks a batch as a whole: what comes back can be committed without any further error.
    /// An id that is named more than once keeps its last item (and, where that has no metadata,
    /// the last ones named); such ids come back too, each once.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the first bad item's position and what is wrong with it.
    pub fn check_batch(&self, items: Vec<AddItem>) -> Result<(Vec<AddItem>, Vec<String>)> {
        if items.is_empty() {
            return Err(Error::invalid("`items` is empty"));
        }
        for (position, item) in items.iter().enumerate() {
            self.check_item(item).map_err(|reason| Error::Invalid(format!("item {position}: {reason}")))?;
        }
        // Where it is kept, and whether it was told of.
        let mut places: HashMap<String, (usize, bool)> = HashMap::with_capacity(items.len());
        let mut kept: Vec<AddItem> = Vec::with_capacity(items.len());
        let mut duplicates = Vec::new();
        for mut item in items {
            // Null is as good as absent.
            item.metadata.take_if(|text| text.get() == "null");
            let Some((place, told)) = places.get_mut(&item.id) else {
                places.insert(item.id.clone(), (kept.len(), false));
                kept.push(item);
                continue;
            };
            let place = *place;
            // As if the items had come in two requests: absent metadata leave the earlier ones.
            item.metadata = item.metadata.take().or_else(|| kept[place].metadata.take());
            if !std::mem::replace(told, true) {
                duplicates.push(item.id.clone());
            }
            kept[place] = item;
        }
        Ok((kept, duplicates))
    }
}

/// Writes numbers as files and log entries have them: `f32`, little-endian.
pub(crate) fn put_numbers(out: &mut Vec<u8>, numbers: &[f32]) {
    let start = out.len();
    out.resize(start + size_of_val(numbers), 0);
    for (to, number) in out[start..].as_chunks_mut().0.iter_mut().zip(numbers) {
        *to = number.to_le_bytes();
    }
}

/// Checks an id.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("the id is empty".to_owned());
    }
    if id.len() > MAX_ID_BYTES {
        return Err(format!("the id is longer than {MAX_ID_BYTES} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, vector: &[f32], metadata: &str) -> AddItem {
        let metadata = serde_json::from_str(metadata).expect("JSON");
        AddItem { id: id.to_owned(), vector: vector.to_vec(), metadata }
    }

    #[test]
    fn every_bad_item_is_named_by_its_position() {
        let params = Params::new(2, Distance::Cosine);
        let good = || item("a", &[1.0, 2.0], "null");
        let long = "x".repeat(MAX_ID_BYTES + 1);
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_METADATA_BYTES));
        let cases = [
            (item("", &[1.0, 2.0], "null"), "id is empty"),
            (item(&long, &[1.0, 2.0], "null"), "longer than 512 bytes"),
            (item("b", &[1.0], "null"), "dimension is 2"),
            (item("b", &[1.0, f32::NAN], "null"), "position 1 of the vector is not finite"),
            (item("b", &[f32::INFINITY, 1.0], "null"), "position 0 of the vector is not finite"),
            (item("b", &[0.0, 0.0], "null"), "zero"),
            (item("b", &[1.0, 2.0], &large), "metadata are larger"),
            (item("b", &[1.0, 2.0], r#"{"a":1e999}"#), "metadata can't be read"),
            (item("b", &[1.0, 2.0], r#"{"a":"\ud800"}"#), "metadata can't be read"),
        ];
        for (bad, expected) in cases {
            let error = params.check_batch(vec![good(), bad]).expect_err(expected).to_string();
            assert!(error.starts_with("item 1: ") && error.contains(expected), "{error}");
        }
        for metadata in ["[1]", "\"text\"", "-1.50", "true", "false", r#"{"a":null}"#, "[]", "{}", "\"\""] {
            let (kept, _) = params.check_batch(vec![item("b", &[1.0, 2.0], metadata)]).expect(metadata);
            assert_eq!(kept[0].metadata.as_ref().map(|text| text.get()), Some(metadata));
        }
        let null = serde_json::value::RawValue::from_string("null".to_owned()).expect("JSON");
        let null = AddItem { metadata: Some(null), ..good() };
        assert!(params.check_batch(vec![null]).expect("as good as absent").0[0].metadata.is_none());
        assert!(params.check_batch(Vec::new()).is_err());
        assert!(Params::new(2, Distance::L2).check_batch(vec![item("b", &[0.0, 0.0], "{}")]).is_ok());
        assert!(Params::new(2, Distance::L2).check_batch(vec![item("b", &[2e18, 0.0], "{}")]).is_err());
    }

    #[test]
    fn the_last_of_a_duplicate_wins_and_is_told_once() {
        let params = Params::new(1, Distance::L2);
        let items = vec![
            item("a", &[1.0], r#"{"n":1}"#),
            item("b", &[2.0], "null"),
            item("a", &[3.0], "null"),
            item("a", &[4.0], "null"),
        ];
        let (kept, duplicates) = params.check_batch(items).expect("all good");
        assert_eq!(duplicates, ["a"]);
        assert_eq!(
            kept.iter().map(|item| (item.id.as_str(), item.vector[0])).collect::<Vec<_>>(),
            [("a", 4.0), ("b", 2.0)]
        );
        assert_eq!(kept[0].metadata.as_ref().expect("kept").get(), r#"{"n":1}"#);
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        for (params, name) in [
            (Params { dimension: 0, ..Params::new(1, Distance::L2) }, "dimension"),
            (Params { dimension: MAX_DIMENSION + 1, ..Params::new(1, Distance::L2) }, "dimension"),
            (Params { m: 3, ..Params::new(1, Distance::L2) }, "`m`"),
            (Params { ef_construction: 2_001, ..Params::new(1, Distance::L2) }, "ef_construction"),
            (Params { ef_search: 0, ..Params::new(1, Distance::L2) }, "ef_search"),
        ] {
            assert!(params.checked().expect_err(name).to_string().contains(name));
        }
    }
}
