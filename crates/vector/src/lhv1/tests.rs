//! Files of every version, whole and damaged.
//!
//! `tests/fixtures/v1.lhv1` and `v2.lhv1` are what [`go_frame`] writes, which was checked against
//! files of the system that wrote those versions. `v3.lhv1` was written by this crate when the
//! version was new, and must stay readable for ever. `LAKEHOUSE_WRITE_FIXTURES=1` writes what is missing.

use std::{path::PathBuf, sync::Arc};

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

fn varint(out: &mut Vec<u8>, number: i64) {
    let mut bits = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

fn string(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}

/// What coder/hnsw's `Export` writes for the items above, with a second layer of every fourth.
fn go_graph() -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, 1);
    varint(&mut out, 16);
    out.extend_from_slice(&0.25_f64.to_le_bytes());
    varint(&mut out, 20);
    string(&mut out, "cosine");
    varint(&mut out, 2);
    for step in [1, 4] {
        let nodes: Vec<usize> = (0..ITEMS).step_by(step).collect();
        varint(&mut out, nodes.len() as i64);
        for &n in &nodes {
            string(&mut out, &id(n));
            varint(&mut out, DIMENSION as i64);
            out.extend(vector(n).iter().flat_map(|x| x.to_le_bytes()));
            let others: Vec<usize> = nodes.iter().copied().filter(|&other| other != n).take(3).collect();
            varint(&mut out, others.len() as i64);
            others.iter().for_each(|&other| string(&mut out, &id(other)));
        }
    }
    out
}

fn go_frame(version: u32) -> Vec<u8> {
    let metadata: serde_json::Map<String, serde_json::Value> =
        (0..ITEMS).filter_map(|n| Some((id(n), serde_json::from_str(&metadata(n)?).expect("JSON")))).collect();
    let mut envelope = json!({
        "version": version,
        "params": {"name": "small", "dimension": DIMENSION, "distance": "cosine", "m": 16, "ef_search": 20},
        "metadata": metadata,
    });
    if version == 2 {
        envelope["ids"] = (0..ITEMS).map(id).collect();
    }
    frame(&serde_json::to_vec(&envelope).expect("serialises"), &go_graph())
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

fn fixture(name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if std::env::var_os("LAKEHOUSE_WRITE_FIXTURES").is_some() && !path.exists() {
        std::fs::write(&path, make()).expect("write fixture");
    }
    std::fs::read(&path).expect("read fixture")
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
fn version_1_recovers_the_ids_from_the_graph() {
    let bytes = fixture("v1.lhv1", || go_frame(1));
    assert_eq!(bytes, go_frame(1));
    let loaded = read(&bytes).expect("reads");
    assert_eq!((loaded.version, loaded.params.m, loaded.sequence), (1, 16, 0));
    assert_eq!(read(&bytes).expect("reads").incarnation, loaded.incarnation);
    assert_items(loaded);
}

#[test]
fn version_2_keeps_exactly_its_ids() {
    let bytes = fixture("v2.lhv1", || go_frame(2));
    assert_eq!(bytes, go_frame(2));
    assert_items(read(&bytes).expect("reads"));
    // The list decides, not the graph.
    let shorter = String::from_utf8_lossy(split(&bytes).expect("splits").0).replace(",\"item-39\"]", "]");
    let loaded = read(&frame(shorter.as_bytes(), &go_graph())).expect("reads");
    assert_eq!(loaded.generation.live(), ITEMS - 1);
    let longer = shorter.replace("\"ids\":[", "\"ids\":[\"ghost\",");
    let error = read(&frame(longer.as_bytes(), &go_graph())).expect_err("no vector");
    assert!(error.contains("ghost"), "{error}");
}

#[test]
fn version_3_brings_everything_back() {
    let bytes = fixture("v3.lhv1", || written(&small_index()));
    assert_eq!(identity(&bytes), Some((0xabcd_ef01_2345_6789, 42)));
    for bytes in [bytes, written(&small_index())] {
        let loaded = read(&bytes).expect("reads");
        assert_eq!((loaded.version, loaded.incarnation, loaded.sequence), (3, 0xabcd_ef01_2345_6789, 42));
        assert_items(loaded);
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
        assert!(index.search(&query).expect("searches")[0].distance < 1e-6);
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
            _ => go_frame(version),
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
