//! Files of every version, whole and damaged.
//!
//! `tests/fixtures/go` has files of versions 1 and 2 that the real Go library wrote, with what is in them;
//! `tests/durable/old_files.rs` reads them back whole. `v3.lhv1` was written by this crate when the version
//! was new, and must stay readable for ever.

use std::sync::Arc;

use lakehouse_types::vector::{AddItem, Distance};
use proptest::prelude::*;
use serde_json::{json, value::RawValue};

use super::*;
use crate::{Change, Index, Tuning};

const DIMENSION: usize = 4;
const ITEMS: usize = 40;

fn vector(n: usize) -> Vec<f32> {
    (0..DIMENSION).map(|place| ((n * 7 + place * 13 * (n % 5 + 1)) % 41) as f32 - 20.5).collect()
}

fn id(n: usize) -> String {
    format!("item-{n:02}")
}

/// Every third item has no metadata.
fn metadata(n: usize) -> Option<String> {
    (!n.is_multiple_of(3)).then(|| format!("{{\"n\":{n}}}"))
}

const GO_V1: &[u8] = include_bytes!("../../tests/fixtures/go/v1-24.lhv1");
const GO_V2: &[u8] = include_bytes!("../../tests/fixtures/go/v2-24.lhv1");
const GO_ONE: &[u8] = include_bytes!("../../tests/fixtures/go/v2-one.lhv1");
const V3: &[u8] = include_bytes!("../../tests/fixtures/v3.lhv1");

/// The frame with another envelope, as text.
fn with_envelope(bytes: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let (envelope, body) = split(bytes).expect("splits");
    let mut envelope = serde_json::from_slice(envelope).expect("JSON");
    change(&mut envelope);
    frame(&serde_json::to_vec(&envelope).expect("serialises"), body)
}

fn live(bytes: &[u8]) -> usize {
    read(bytes).expect("reads").generation.live()
}

fn frame(envelope: &[u8], body: &[u8]) -> Vec<u8> {
    [MAGIC, &(envelope.len() as u32).to_be_bytes()[..], envelope, body].concat()
}

/// An index with the items above: most in a graph, the last one behind it, one slot dead.
fn small_index() -> Index {
    let params = Params { m: 4, ef_construction: 8, ..Params::new(DIMENSION, Distance::Cosine) };
    let index = Index::new(params, Tuning { graph_from: 4, ..Tuning::default() });
    let item = |n: usize, shift: f32| AddItem {
        id: id(n),
        vector: vector(n).iter().map(|x| x + shift).collect(),
        metadata: metadata(n).map(|text| RawValue::from_string(text).expect("JSON")),
    };
    index.apply(&Change::Add((0..ITEMS).map(|n| item(n, if n + 1 == ITEMS { 0.25 } else { 0.0 })).collect()));
    link(&index);
    index.apply(&Change::Add(vec![item(ITEMS - 1, 0.0)]));
    index
}

fn link(index: &Index) {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    while index.maintain(&threads) {}
}

fn written(index: &Index) -> Vec<u8> {
    let generation = index.generation();
    let moment = (generation.values.moment(), generation.linked());
    let plan = Plan::new("small", index.params(), (0xabcd_ef01_2345_6789, 42), generation, moment).expect("fits");
    let mut out = Vec::new();
    plan.write(&mut |piece| {
        out.extend_from_slice(&piece);
        true
    });
    assert_eq!(out.len() as u64, plan.size(), "the size that was announced");
    out
}

fn assert_items(loaded: Loaded) {
    assert_eq!(loaded.generation.live(), ITEMS);
    let index = Index::from_generation(loaded.params, Tuning::default(), loaded.generation);
    for n in 0..ITEMS {
        let item = index.get(&id(n)).expect("each item is there");
        assert_eq!(item.vector, vector(n));
        assert_eq!(item.metadata.map(|text| text.get().to_owned()), metadata(n));
    }
}

#[test]
fn the_same_bytes_are_the_same_index() {
    for (bytes, version) in [(GO_V1, 1), (GO_V2, 2)] {
        let (loaded, again) = (read(bytes).expect("reads"), read(bytes).expect("reads"));
        assert_eq!((loaded.version, loaded.params.m, loaded.sequence), (version, 16, 0));
        assert_eq!(loaded.incarnation, again.incarnation);
        let origin = origin(bytes).expect("it is of the first system");
        assert_eq!((origin.name.as_deref(), origin.incarnation), (Some("go-small"), loaded.incarnation));
    }
    assert_eq!(origin(V3), None);
}

#[test]
fn the_ids_of_version_2_are_those_of_its_list() {
    assert_eq!((live(GO_V1), live(GO_V2)), (23, 23));
    // The list decides, not the graph.
    let shorter = with_envelope(GO_V2, |envelope| drop(envelope["ids"].as_array_mut().expect("a list").pop()));
    assert_eq!(live(&shorter), 22);
    let longer = with_envelope(GO_V2, |envelope| envelope["ids"].as_array_mut().expect("a list").push("w-05".into()));
    // A deleted one: neighbours still name it, and it has no vector.
    let error = read(&longer).expect_err("no vector");
    assert!(error.contains("w-05"), "{error}");
}

#[test]
fn what_an_envelope_leaves_out_or_says_with_null_is_made_up_for() {
    let without = |member: &'static str| {
        with_envelope(GO_V2, move |envelope| drop(envelope.as_object_mut().expect("an object").remove(member)))
    };
    for member in ["ids", "metadata"] {
        let null = with_envelope(GO_V2, |envelope| envelope[member] = serde_json::Value::Null);
        for bytes in [null, without(member)] {
            let loaded = read(&bytes).expect(member);
            assert_eq!(loaded.generation.live(), 23, "{member}");
            let index = Index::from_generation(loaded.params, Tuning::default(), loaded.generation);
            let metadata = index.get("w-02").expect("there").metadata;
            assert_eq!(metadata.is_some(), member == "ids", "{member}");
        }
    }
    for member in ["name", "m", "ef_search"] {
        let null = with_envelope(GO_V1, |envelope| envelope["params"][member] = serde_json::Value::Null);
        assert_eq!(live(&null), 23, "{member}");
    }
}

#[test]
fn version_3_brings_everything_back() {
    assert_eq!(identity(V3), Some((0xabcd_ef01_2345_6789, 42)));
    for bytes in [V3.to_vec(), written(&small_index())] {
        let loaded = read(&bytes).expect("reads");
        assert_eq!((loaded.version, loaded.incarnation, loaded.sequence), (3, 0xabcd_ef01_2345_6789, 42));
        assert_items(loaded);
    }
}

/// Whatever JSON an item has, and `{}` and `null` too, a file gives it back as it was.
#[test]
fn metadata_of_any_kind_come_back_from_every_version() {
    let kinds = ["[1,{}]", "\"text\"", "-1.50", "true", "null", "{}", "{\"a\":null}", "[]", "\"\""];
    for (n, kind) in kinds.iter().enumerate() {
        let text = format!("{{\"one\":{kind}}}");
        let (envelope, body) = split(GO_ONE).expect("splits");
        let mut envelope: std::collections::BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(envelope).expect("JSON");
        let id = serde_json::from_str::<Vec<String>>(envelope["ids"].get()).expect("ids").remove(0);
        let text = text.replace("one", &id);
        envelope.insert("metadata".to_owned(), RawValue::from_string(text).expect("JSON"));
        let bytes = frame(&serde_json::to_vec(&envelope).expect("serialises"), body);
        let loaded = read(&bytes).expect("reads");
        let index = Index::from_generation(loaded.params, Tuning::default(), loaded.generation);
        let again = read(&written(&index)).expect("reads");
        let again = Index::from_generation(again.params, Tuning::default(), again.generation);
        for index in [index, again] {
            let metadata = index.get(&id).expect("there").metadata;
            assert_eq!(metadata.as_deref().map(RawValue::get), Some(*kind), "{n}");
        }
    }
}

#[test]
fn a_graph_is_loaded_not_rebuilt() {
    let index = small_index();
    link(&index);
    let loaded = read(&written(&index)).expect("reads");
    assert_eq!(loaded.generation.linked() as usize, ITEMS);
    let index = Index::from_generation(loaded.params, Tuning { graph_from: 4, ..Tuning::default() }, loaded.generation);
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    // A look at its connections, perhaps, and nothing to link.
    while index.maintain(&threads) {}
    assert_eq!(index.generation().linked() as usize, ITEMS);
    for n in 0..ITEMS {
        let query = crate::Query { vector: &vector(n), k: 1, ef: Some(8), ..crate::Query::default() };
        assert!(index.search(&query).expect("searches").results[0].distance < 1e-6);
    }
}

#[test]
fn nonsense_has_a_reason() {
    for (bytes, reason) in [
        (&b""[..], "too few"),
        (b"LHV2\0\0\0\0", "does not begin"),
        (b"LHV1\0\0\0\x02{}", "envelope"),
        (b"LHV1\xff\xff\xff\xff{}", "cut off"),
        (b"LHV1\0\0\0\x0d{\"version\":4}", "version 4"),
        (b"LHV1\0\0\0\x0d{\"version\":3}", "checksum"),
    ] {
        let error = read(bytes).expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
}

/// A file whose checksum is right and whose content is not: what only a hostile writer makes.
fn forged(change: impl FnOnce(&mut serde_json::Value, &mut Vec<u8>)) -> Vec<u8> {
    let bytes = written(&small_index());
    let (envelope, body) = split(&bytes).expect("splits");
    let mut envelope = serde_json::from_slice(envelope).expect("JSON");
    let mut body = body[..body.len() - 4].to_vec();
    change(&mut envelope, &mut body);
    let mut out = frame(&serde_json::to_vec(&envelope).expect("serialises"), &body);
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

#[test]
fn forged_files_are_refused() {
    assert!(read(&forged(|_, _| ())).is_ok());
    type Forgery = fn(&mut serde_json::Value, &mut Vec<u8>);
    let cases: [(&str, Forgery); 9] = [
        ("more items", |envelope, _| envelope["items"] = json!(u32::MAX)),
        ("a large dimension", |envelope, _| envelope["params"]["dimension"] = json!(16_384)),
        ("more texts", |envelope, _| envelope["texts"] = json!(u64::MAX)),
        ("an entry nowhere", |envelope, _| envelope["entry"] = json!([77, 0])),
        ("more linked", |envelope, _| envelope["linked"] = json!(ITEMS + 1)),
        ("a link nowhere", |envelope, body| {
            let number = |name: &str| envelope[name].as_u64().expect("a number") as usize;
            let base = body.len() - number("uppers") * 16 - number("linked") * 32;
            body[base..base + 4].copy_from_slice(&1_000_u32.to_le_bytes());
        }),
        ("a link out of its level", |envelope, body| {
            let number = |name: &str| envelope[name].as_u64().expect("a number") as usize;
            let upper = body.len() - number("uppers") * 16;
            let levels = upper - number("linked") * 33;
            let lowest = body[levels..].iter().position(|level| *level == 0).expect("most are on level 0");
            body[upper..upper + 4].copy_from_slice(&(lowest as u32).to_le_bytes());
        }),
        ("a NaN", |_, body| body[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
        ("the same id twice", |_, body| {
            let start = ITEMS * DIMENSION * 4;
            let place = start + 6 + 6;
            body[place] = b'1';
        }),
    ];
    for (what, change) in cases {
        assert!(read(&forged(change)).is_err(), "{what} was believed");
    }
}

proptest! {
    #[test]
    fn a_damaged_file_is_an_error(bit in 0_usize..100_000, cut in 0_usize..100_000, version in 1_u32..=3) {
        let bytes = match version {
            3 => written(&small_index()),
            2 => GO_V2.to_vec(),
            _ => GO_V1.to_vec(),
        };
        let cut = cut % bytes.len();
        prop_assert!(read(&bytes[..cut]).is_err(), "cut at {}", cut);
        let mut flipped = bytes.clone();
        let bit = bit % (8 * bytes.len());
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Only version 3 has a checksum; in the others a flipped bit of a number is another number.
        if version == 3 {
            prop_assert!(read(&flipped).is_err(), "bit {}", bit);
        } else {
            drop(read(&flipped));
            drop(origin(&flipped));
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 0_u32..5) {
        let envelope = json!({"version": version, "params": {"dimension": 2, "distance": "l2"}, "ids": []});
        drop(read(&frame(&serde_json::to_vec(&envelope).expect("serialises"), &bytes)));
        drop(read(&bytes));
    }
}

#[test]
fn planning_is_about_one_moment() {
    let index = Arc::new(small_index());
    let generation = index.generation();
    let moment = (generation.values.moment(), generation.linked());
    index.apply(&Change::Delete((0..6).map(id).collect()));
    let plan = Plan::new("small", index.params(), (1, 1), generation, moment).expect("fits");
    let mut out = Vec::new();
    plan.write(&mut |piece| {
        out.extend_from_slice(&piece);
        true
    });
    assert_items(read(&out).expect("reads"));
}
