//! One version of one dataset, as it lies in the store.

use lakehouse_types::{InvalidKey, Name, ObjectKey, catalog::Manifest, escape_segment};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The place of all records.
pub(crate) const PREFIX: &str = "_catalog/";
/// The version of the record's own shape. A change that an older program would misread needs a
/// higher one, and a fixture of each stays in the tests.
const SCHEMA_VERSION: u32 = 1;
/// u64::MAX has 20 digits; padded, the keys sort like the numbers.
const VERSION_DIGITS: usize = 20;
/// Folding can lengthen a name threefold and escaping again threefold. What comes out longer than
/// this stands under its hash, so that every name fits a key of 1024 bytes.
const MAX_SEGMENT: usize = 400;

/// One version of one dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) schema_version: u32,
    pub(crate) write_id: WriteId,
    /// The write ids of the versions right before this one, latest first, up to [`LINEAGE`] of
    /// them; fewer where a version was damaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lineage: Vec<WriteId>,
    pub(crate) name: Name,
    pub(crate) version: u64,
    /// Milliseconds since the Unix epoch.
    pub(crate) written_ms: i64,
    /// Absent where this version says that the dataset was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<Manifest>,
}

/// How many predecessors a record names. A writer can tell what became of its record as long as
/// no more versions than these came after it while it looked.
const LINEAGE: usize = 32;

/// Unique to one write: by it a writer whose answer got lost knows its own record again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct WriteId(u64);

impl WriteId {
    fn new() -> Self {
        // The halves of a random UUID have 60 random bits and more, and two ids are compared only
        // where two writers wanted the same version of the same dataset.
        Self(uuid::Uuid::new_v4().as_u64_pair().1)
    }
}

impl From<WriteId> for String {
    fn from(id: WriteId) -> Self {
        format!("{:016x}", id.0)
    }
}

impl TryFrom<String> for WriteId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| "a write id has up to 16 hex digits")
    }
}

/// Whether a write is among the versions that a later one was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Descent {
    Ancestor,
    Stranger,
    /// It is too long ago to tell.
    Unknown,
}

/// Only what decides how to read the rest.
#[derive(Deserialize)]
struct Shape {
    schema_version: u32,
}

impl Record {
    /// A record of this program's shape under a write id of its own.
    pub(crate) fn new(
        name: Name,
        version: u64,
        lineage: Vec<WriteId>,
        written_ms: i64,
        manifest: Option<Manifest>,
    ) -> Self {
        let write_id = WriteId::new();
        Self { schema_version: SCHEMA_VERSION, write_id, lineage, name, version, written_ms, manifest }
    }

    /// The lineage of the version after this one.
    pub(crate) fn heritage(&self) -> Vec<WriteId> {
        std::iter::once(self.write_id).chain(self.lineage.iter().copied()).take(LINEAGE).collect()
    }

    /// Was this version, directly or not, made from `version` as `write` wrote it?
    pub(crate) fn descends_from(&self, version: u64, write: WriteId) -> Descent {
        let distance = self.version.checked_sub(version).and_then(|distance| distance.checked_sub(1));
        let ancestor = distance.and_then(|distance| usize::try_from(distance).ok()).and_then(|i| self.lineage.get(i));
        match ancestor {
            Some(ancestor) if *ancestor == write => Descent::Ancestor,
            Some(_) => Descent::Stranger,
            None => Descent::Unknown,
        }
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads what lies at `place` and checks that it belongs there and agrees with itself.
    /// The error is for the log and for readiness.
    pub(crate) fn decode(bytes: &[u8], place: &Place) -> Result<Self, String> {
        let shape: Shape = serde_json::from_slice(bytes).map_err(|error| format!("it is not a manifest: {error}"))?;
        if shape.schema_version != SCHEMA_VERSION {
            let found = shape.schema_version;
            return Err(format!("its schema version is {found}; this program reads {SCHEMA_VERSION}"));
        }
        let record: Self = serde_json::from_slice(bytes).map_err(|error| format!("it is not a manifest: {error}"))?;
        record.check(place)?;
        Ok(record)
    }

    fn check(&self, place: &Place) -> Result<(), String> {
        let demand = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(rule.to_owned()) };
        demand(self.version == place.version, "its version is not the one in its key")?;
        demand(segment(&self.name) == place.segment, "its name is not the one in its key")?;
        let Some(manifest) = &self.manifest else { return Ok(()) };
        demand(manifest.name == self.name && manifest.version == self.version, "its manifest is another's")?;
        let total = |of: fn(&lakehouse_types::catalog::DataObject) -> u64| {
            manifest.objects.iter().try_fold(0_u64, |sum, object| sum.checked_add(of(object)))
        };
        demand(total(|object| object.rows) == Some(manifest.rows), "its rows don't add up")?;
        demand(total(|object| object.size) == Some(manifest.bytes), "its bytes don't add up")
    }
}

/// Where a record lies: `_catalog/<segment>/<version>.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: String,
    pub(crate) version: u64,
}

impl Place {
    pub(crate) fn key(&self) -> Result<ObjectKey, InvalidKey> {
        let Self { segment, version } = self;
        ObjectKey::new(format!("{PREFIX}{segment}/{version:0VERSION_DIGITS$}.json"))
    }

    /// `None` where the key is not one that this program would write.
    pub(crate) fn parse(key: &ObjectKey) -> Option<Self> {
        let (segment, file) = key.as_str().strip_prefix(PREFIX)?.split_once('/')?;
        let digits = file.strip_suffix(".json")?;
        let well_formed = digits.len() == VERSION_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        let version = well_formed.then(|| digits.parse().ok()).flatten()?;
        (version > 0).then(|| Self { segment: segment.to_owned(), version })
    }
}

/// The part of the key that stands for a name. It is made of the folded name, so that two names
/// which differ only by case contend for the same keys, whichever catalog writes them.
pub(crate) fn segment(name: &Name) -> String {
    let folded = name.folded();
    let escaped = escape_segment(&folded);
    if escaped.len() <= MAX_SEGMENT {
        return escaped;
    }
    // No escaped name has a `+`.
    format!("+{}", hex::encode(Sha256::digest(folded.as_bytes())))
}

/// The prefix of one dataset's records.
pub(crate) fn directory(segment: &str) -> String {
    format!("{PREFIX}{segment}/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record as version 1 of the shape was written; it must stay readable for ever.
    const V1: &[u8] = include_bytes!("../tests/fixtures/record-v1.json");
    const V1_DELETED: &[u8] = include_bytes!("../tests/fixtures/record-v1-deleted.json");

    fn place(segment: &str, version: u64) -> Place {
        Place { segment: segment.to_owned(), version }
    }

    #[test]
    fn the_fixtures_of_version_1_are_read() {
        let record = Record::decode(V1, &place("o%27brien%27s%20data", 3)).unwrap();
        let manifest = record.manifest.unwrap();
        assert_eq!(manifest.name.as_str(), "O'Brien's data");
        assert_eq!((manifest.rows, manifest.bytes, manifest.schema.len()), (5, 300, 2));
        assert_eq!(record.write_id, WriteId(0x5a0c_5d8e_6f3c_4f0a));
        assert_eq!(record.lineage, [WriteId(0x0f7f_8a52_8f0e_4c57), WriteId(1)]);
        let record = Record::decode(V1_DELETED, &place("weather", 4)).unwrap();
        assert_eq!(record.manifest, None);
    }

    #[test]
    fn a_record_out_of_place_or_at_odds_with_itself_is_refused() {
        let wrong = |bytes: &[u8], at: Place| Record::decode(bytes, &at).unwrap_err();
        assert!(wrong(V1, place("o%27brien%27s%20data", 4)).contains("version"));
        assert!(wrong(V1, place("other", 3)).contains("name"));
        let at = || place("o%27brien%27s%20data", 3);
        let edited = |from: &str, to: &str| {
            let text = std::str::from_utf8(V1).unwrap();
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1).into_bytes()
        };
        assert!(wrong(&edited("\"rows\": 2", "\"rows\": 3"), at()).contains("rows"));
        assert!(wrong(&edited("\"size\": 100", "\"size\": 18446744073709551615"), at()).contains("bytes"));
        assert!(wrong(&edited("\"schema_version\": 1", "\"schema_version\": 2"), at()).contains("reads 1"));
        assert!(wrong(&V1[..V1.len() / 2], at()).contains("not a manifest"));
        assert!(wrong(b"", at()).contains("not a manifest"));
    }

    #[test]
    fn descent_is_told_as_far_back_as_it_is_known() {
        let name = Name::new("d").unwrap();
        let mut record = Record::new(name.clone(), 1, Vec::new(), 0, None);
        let mut ids = vec![record.write_id];
        for version in 2..=40 {
            record = Record::new(name.clone(), version, record.heritage(), 0, None);
            ids.push(record.write_id);
        }
        let descent = |version: u64, id: WriteId| record.descends_from(version, id);
        assert_eq!(descent(39, ids[38]), Descent::Ancestor);
        assert_eq!(descent(39, ids[37]), Descent::Stranger);
        assert_eq!(descent(8, ids[7]), Descent::Ancestor);
        assert_eq!(descent(7, ids[6]), Descent::Unknown);
        assert_eq!(descent(40, ids[39]), Descent::Unknown, "itself is no ancestor");
        assert_eq!(descent(u64::MAX, ids[0]), Descent::Unknown);
    }

    #[test]
    fn a_write_id_is_written_in_hex() {
        assert_eq!(serde_json::to_string(&WriteId(0xab)).unwrap(), "\"00000000000000ab\"");
        assert!(serde_json::from_str::<WriteId>("\"x\"").is_err());
        assert_ne!(WriteId::new(), WriteId::new());
    }

    #[test]
    fn only_own_keys_are_parsed() {
        let own = place("a%20b", 7);
        assert_eq!(own.key().unwrap().as_str(), "_catalog/a%20b/00000000000000000007.json");
        for foreign in [
            "_catalog/a/7.json",
            "_catalog/a/00000000000000000000.json",
            "_catalog/a/99999999999999999999.json",
            "_catalog/a/+0000000000000000007.json",
            "_catalog/a/00000000000000000007.jsonx",
            "_catalog/a/b/00000000000000000007.json",
            "_catalog/00000000000000000007.json",
            "x/a/00000000000000000007.json",
        ] {
            assert_eq!(Place::parse(&ObjectKey::new(foreign).unwrap()), None, "{foreign}");
        }
    }

    #[test]
    fn the_longest_name_still_fits_a_key() {
        // Each of these two bytes becomes six when folded, eighteen when escaped.
        let name = Name::new("\u{390}".repeat(64)).unwrap();
        assert!(name.folded().len() > Name::MAX_BYTES);
        let place = place(&segment(&name), u64::MAX);
        assert!(place.segment.starts_with('+'));
        assert_eq!(Place::parse(&place.key().unwrap()), Some(place));
    }

    proptest! {
        #[test]
        fn any_name_leads_to_its_key_and_back(text in "[^/\\p{Cc}]{1,40}", version in 1..=u64::MAX) {
            let Ok(name) = Name::new(text.trim()) else { return Ok(()) };
            let place = place(&segment(&name), version);
            prop_assert_eq!(Place::parse(&place.key().unwrap()), Some(place));
        }

        #[test]
        fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..V1.len(), bit in 0..8u8) {
            let _ = Record::decode(&bytes, &place("a", 1));
            let mut flipped = V1.to_vec();
            flipped[at] ^= 1 << bit;
            let _ = Record::decode(&flipped, &place("o%27brien%27s%20data", 3));
        }
    }
}
