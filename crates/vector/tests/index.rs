//! An index in memory, seen from outside: what it finds, and what churn does to that.
#![expect(clippy::expect_used, reason = "an expectation that fails is a test that fails")]

use std::collections::BTreeMap;

use lakehouse_types::vector::{AddItem, Distance, Filter};
use lakehouse_vector::{Change, Index, Params, Query, Tuning};
use rayon::ThreadPool;
use serde_json::{json, value::RawValue};

const DIMENSION: usize = 48;
const K: usize = 10;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    /// Of one of twenty clusters, and of any length between 0.2 and 2.
    fn vector(&mut self) -> Vec<f32> {
        let mut center = Random(self.next() % 20);
        let length = 0.2 + 1.8 * self.uniform();
        let raw: Vec<f32> = (0..DIMENSION).map(|_| 0.8 * center.normal() + self.normal()).collect();
        let norm = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
        raw.iter().map(|x| x * length / norm).collect()
    }
}

fn threads() -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads")
}

fn item(id: String, vector: Vec<f32>, metadata: Option<serde_json::Value>) -> AddItem {
    let metadata = metadata.map(|value| RawValue::from_string(value.to_string()).expect("JSON"));
    AddItem { id, vector, metadata }
}

fn add(index: &Index, items: Vec<AddItem>) {
    let (items, duplicates) = index.params().check_batch(items).expect("good items");
    assert!(duplicates.is_empty());
    index.apply(&Change::Add(items));
}

fn distance(kind: Distance, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    match kind {
        Distance::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
        Distance::L2 => a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum::<f64>().sqrt(),
        Distance::Dot => -dot(a, b),
    }
}

type Model = BTreeMap<String, Vec<f32>>;

fn nearest(kind: Distance, model: &Model, query: &[f32], k: usize) -> Vec<(f64, String)> {
    let mut all: Vec<(f64, String)> = model.iter().map(|(id, v)| (distance(kind, query, v), id.clone())).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.truncate(k);
    all
}

/// The share of the true ten nearest that a search finds; every distance it tells is checked.
fn recall(index: &Index, model: &Model, random: &mut Random, exact: bool) -> f64 {
    const QUERIES: usize = 100;
    let kind = index.params().distance;
    let mut hits = 0;
    for _ in 0..QUERIES {
        let vector = random.vector();
        let found =
            index.search(&Query { vector: &vector, k: K, exact, ..Query::default() }).expect("searches").results;
        let truth = nearest(kind, model, &vector, K);
        assert_eq!(found.len(), K);
        assert!(found.windows(2).all(|pair| pair[0].distance <= pair[1].distance), "nearest first");
        for hit in &found {
            let true_distance = distance(kind, &vector, &model[&hit.id]);
            assert!((hit.distance - true_distance).abs() < 1e-9, "{} is not {true_distance}", hit.distance);
        }
        hits += truth.iter().filter(|(_, id)| found.iter().any(|hit| hit.id == *id)).count();
    }
    hits as f64 / (QUERIES * K) as f64
}

fn filled(kind: Distance, count: usize, random: &mut Random) -> (Index, Model) {
    let index = Index::new(Params::new(DIMENSION, kind), Tuning { graph_from: 500, ..Tuning::default() });
    let model: Model = (0..count).map(|n| (format!("item-{n}"), random.vector())).collect();
    let items: Vec<AddItem> = model.iter().map(|(id, vector)| item(id.clone(), vector.clone(), None)).collect();
    items.chunks(256).for_each(|batch| add(&index, batch.to_vec()));
    (index, model)
}

#[test]
fn the_graph_finds_nearly_all_and_the_scan_all_under_every_distance() {
    let threads = threads();
    for kind in [Distance::Cosine, Distance::L2, Distance::Dot] {
        let mut random = Random(7);
        let (index, model) = filled(kind, 4_000, &mut random);
        assert_eq!(
            recall(&index, &model, &mut Random(1), false),
            1.0,
            "{kind}: all is scanned before there is a graph"
        );
        while index.maintain(&threads) {}
        assert_eq!(index.stats().backlog, 0);
        assert_eq!(recall(&index, &model, &mut Random(1), true), 1.0, "{kind}: exact");
        let found = recall(&index, &model, &mut Random(1), false);
        assert!(found >= 0.97, "{kind}: recall {found}");
    }
}

#[test]
fn churn_costs_no_recall_and_no_memory() {
    let threads = threads();
    let mut random = Random(11);
    let (index, mut model) = filled(Distance::Cosine, 5_000, &mut random);
    while index.maintain(&threads) {}
    // 30 % are deleted and 30 % of what is left get another vector, in small steps, as services do.
    let ids: Vec<String> = model.keys().cloned().collect();
    for (n, id) in ids.iter().enumerate() {
        match n % 10 {
            0..3 => {
                index.apply(&Change::Delete(vec![id.clone()]));
                model.remove(id);
            }
            3..6 => {
                let vector = random.vector();
                add(&index, vec![item(id.clone(), vector.clone(), None)]);
                model.insert(id.clone(), vector);
            }
            _ => {}
        }
        if n % 100 == 0 {
            index.maintain(&threads);
        }
    }
    while index.maintain(&threads) {}
    let churned = recall(&index, &model, &mut Random(3), false);

    let fresh = Index::new(*index.params(), *index.tuning());
    for batch in model.iter().collect::<Vec<_>>().chunks(256) {
        add(&fresh, batch.iter().map(|(id, vector)| item((*id).clone(), (*vector).clone(), None)).collect());
    }
    while fresh.maintain(&threads) {}
    let rebuilt = recall(&fresh, &model, &mut Random(3), false);
    assert!(churned >= rebuilt - 0.005, "recall {churned} after churn, {rebuilt} when built anew");
    let stats = index.stats();
    assert_eq!(stats.items as usize, model.len());
    assert!(stats.dead_fraction <= 0.3, "dead: {}", stats.dead_fraction);
}

/// A filter, and what it means for an item's number.
type Case = (serde_json::Value, fn(u32) -> bool);

#[test]
fn a_search_finds_k_items_wherever_they_are() {
    let threads = threads();
    let mut random = Random(5);
    let index = Index::new(Params::new(DIMENSION, Distance::L2), Tuning { graph_from: 500, ..Tuning::default() });
    let mut model = BTreeMap::new();
    for n in 0..3_000_u32 {
        let vector = random.vector();
        let metadata = json!({"n": n, "parity": if n % 2 == 0 { "even" } else { "odd" }, "tags": [n % 7, "all"]});
        model.insert(format!("{n}"), (vector.clone(), n));
        add(&index, vec![item(format!("{n}"), vector, Some(metadata))]);
    }
    while index.maintain(&threads) {}
    let cases: [Case; 5] = [
        (json!({"eq": {"parity": "odd"}}), |n| n % 2 == 1),
        (json!({"range": {"n": {"lt": 5}}}), |n| n < 5),
        (json!({"in": {"n": [17, 2_999, 5_000]}}), |n| n == 17 || n == 2_999),
        (json!({"and": [{"eq": {"tags": 3}}, {"not": {"eq": {"parity": "even"}}}]}), |n| n % 7 == 3 && n % 2 == 1),
        (json!({"exists": "nothing"}), |_| false),
    ];
    for (filter, matches) in cases {
        let filter: Filter = serde_json::from_value(filter).expect("a filter");
        let matching: Model =
            model.iter().filter(|(_, (_, n))| matches(*n)).map(|(id, (v, _))| (id.clone(), v.clone())).collect();
        let mut hits = 0;
        let mut wanted = 0;
        for _ in 0..20 {
            let vector = random.vector();
            let query = Query { vector: &vector, k: K, filter: Some(&filter), ..Query::default() };
            let found = index.search(&query).expect("searches").results;
            let truth = nearest(Distance::L2, &matching, &vector, K);
            assert_eq!(found.len(), truth.len(), "{filter:?}");
            assert!(found.iter().all(|hit| matching.contains_key(&hit.id)), "{filter:?}");
            hits += truth.iter().filter(|(_, id)| found.iter().any(|hit| hit.id == *id)).count();
            wanted += truth.len();
        }
        assert!(hits as f64 >= 0.97 * wanted as f64, "{filter:?}: {hits} of {wanted}");
    }
}

#[test]
fn deleting_what_is_near_leaves_what_is_far() {
    let threads = threads();
    let mut random = Random(9);
    let (index, mut model) = filled(Distance::Cosine, 2_000, &mut random);
    while index.maintain(&threads) {}
    let query = random.vector();
    let near: Vec<String> = nearest(Distance::Cosine, &model, &query, 1_990).into_iter().map(|(_, id)| id).collect();
    near.iter().for_each(|id| drop(model.remove(id)));
    assert_eq!(index.apply(&Change::Delete(near)).deleted, 1_990);
    // Before and after the graph is mended and compacted.
    for _ in 0..2 {
        let found = index.search(&Query { vector: &query, k: 20, ..Query::default() }).expect("searches").results;
        assert_eq!(found.len(), 10);
        while index.maintain(&threads) {}
    }
    assert!(index.stats().dead_fraction < 0.3);
}

#[test]
fn what_was_stored_comes_back_and_is_at_distance_zero() {
    let mut random = Random(13);
    for kind in [Distance::Cosine, Distance::L2] {
        let (index, model) = filled(kind, 300, &mut random);
        for (id, vector) in &model {
            assert_eq!(index.get(id).expect("there").vector, *vector);
            let found = index
                .search(&Query { vector, k: 1, with_vectors: true, ..Query::default() })
                .expect("searches")
                .results;
            assert_eq!((&found[0].id, found[0].vector.as_ref()), (id, Some(vector)));
            assert!(found[0].distance < 1e-6, "{kind}: {}", found[0].distance);
        }
    }
}

#[test]
fn metadata_stay_until_they_are_replaced_or_cleared() {
    let index = Index::new(Params::new(2, Distance::L2), Tuning::default());
    let put = |vector: [f32; 2], metadata| {
        let outcome = index.apply(&Change::Add(vec![item("a".into(), vector.to_vec(), metadata)]));
        (outcome.added, outcome.updated, index.get("a").expect("there").metadata.map(|text| text.get().to_owned()))
    };
    assert_eq!(put([1.0, 2.0], Some(json!({"x": 1}))), (1, 0, Some("{\"x\":1}".to_owned())));
    assert_eq!(put([2.0, 2.0], None), (0, 1, Some("{\"x\":1}".to_owned())));
    assert_eq!(put([3.0, 2.0], Some(json!({"y": 2}))), (0, 1, Some("{\"y\":2}".to_owned())));
    assert_eq!(put([3.0, 2.0], Some(json!({}))), (0, 1, None));
    let slots_before = index.stats().dead_fraction;
    assert_eq!(put([3.0, 2.0], None), (0, 1, None), "the same again");
    assert_eq!(index.stats().dead_fraction, slots_before, "a request sent again leaves nothing dead behind");
    let kept = index.apply(&Change::AddMissing(vec![item("a".into(), vec![9.0, 9.0], None)]));
    assert_eq!((kept.added, kept.kept, index.get("a").expect("there").vector), (0, 1, vec![3.0, 2.0]));
}

#[test]
fn readers_never_see_half_a_batch() {
    const BATCH: usize = 50;
    let index = Index::new(Params::new(1, Distance::L2), Tuning { graph_from: 100, ..Tuning::default() });
    let batch = |value: f32| (0..BATCH).map(|n| item(format!("{n}"), vec![value + n as f32 * 1e-3], None)).collect();
    index.apply(&Change::Add(batch(0.0)));
    let threads = threads();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // The first of a batch is written first, and must not be shown before the last.
                    let first = index.get("0").expect("there").vector[0] as i64;
                    let last = index.get(&format!("{}", BATCH - 1)).expect("there").vector[0] as i64;
                    assert!(first <= last, "{first} was there before {last}");
                    let query = Query { vector: &[0.0], k: BATCH, with_vectors: true, ..Query::default() };
                    let found = index.search(&query).expect("searches").results;
                    let rounds: Vec<i64> =
                        found.iter().map(|hit| hit.vector.as_ref().expect("asked for")[0] as i64).collect();
                    assert_eq!(rounds.len(), BATCH);
                    assert!(rounds.iter().all(|round| *round == rounds[0]), "two batches at once: {rounds:?}");
                }
            });
        }
        for round in 1..200 {
            index.apply(&Change::Add(batch(round as f32)));
            index.maintain(&threads);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Does a search for each of these vectors find its own item first, but for one in fifty?
fn all_find_themselves(index: &Index, model: &Model, ids: &[String], when: &str) {
    let lost: Vec<&String> = ids
        .iter()
        .filter(|id| {
            let query = Query { vector: &model[*id], k: 1, ..Query::default() };
            index.search(&query).expect("searches").results.first().is_none_or(|hit| hit.distance > 1e-6)
        })
        .collect();
    // A link that makes room for another's was some node's only one now and then; without care for
    // such regions it is every second one.
    assert!(50 * lost.len() <= ids.len(), "{when}: {} of {} do not find themselves: {lost:?}", lost.len(), ids.len());
}

/// Points around one that is far from all others.
fn cluster(count: usize, spread: f32, random: &mut Random) -> Vec<(String, Vec<f32>)> {
    let center: Vec<f32> = (0..DIMENSION).map(|n| if n % 2 == 0 { 3.0 } else { -3.0 }).collect();
    let near = |random: &mut Random| center.iter().map(|x| x + spread * random.normal()).collect();
    (0..count).map(|n| (format!("cluster-{n}"), near(random))).collect()
}

#[test]
fn a_region_that_is_updated_at_once_is_found_again() {
    let threads = threads();
    for kind in [Distance::Cosine, Distance::L2] {
        let mut random = Random(21);
        let (index, mut model) = filled(kind, 6_000, &mut random);
        let put = |points: Vec<(String, Vec<f32>)>, model: &mut Model| {
            add(&index, points.iter().map(|(id, vector)| item(id.clone(), vector.clone(), None)).collect());
            model.extend(points);
            while index.maintain(&threads) {}
        };
        put(cluster(240, 0.05, &mut random), &mut model);
        let ids: Vec<String> = (0..240).map(|n| format!("cluster-{n}")).collect();
        all_find_themselves(&index, &model, &ids, "at first");
        for round in 0..12 {
            // Every node of the region is dead when the new ones look for their place.
            put(cluster(240, 0.05, &mut random), &mut model);
            all_find_themselves(&index, &model, &ids, &format!("{kind}: after update {round}"));
        }
        // Mended and compacted meanwhile.
        assert!(index.stats().dead_fraction < 0.26, "{:?}", index.stats());
        let found = recall(&index, &model, &mut Random(3), false);
        assert!(found >= 0.96, "{kind}: recall {found}");
    }
}

#[test]
fn what_codes_cannot_tell_apart_is_found_all_the_same() {
    let threads = threads();
    let mut random = Random(22);
    // A fraction of a code's step apart; and all of them far from the origin in one direction.
    let (index, mut model) = filled(Distance::L2, 5_000, &mut random);
    let points = cluster(240, 1e-4, &mut random);
    add(&index, points.iter().map(|(id, vector)| item(id.clone(), vector.clone(), None)).collect());
    while index.maintain(&threads) {}
    let ids: Vec<String> = points.iter().map(|(id, _)| id.clone()).collect();
    model.extend(points);
    all_find_themselves(&index, &model, &ids, "near duplicates");

    let offset = |mut vector: Vec<f32>| {
        vector[0] += 1_000.0;
        vector
    };
    let index = Index::new(Params::new(DIMENSION, Distance::L2), Tuning { graph_from: 500, ..Tuning::default() });
    let model: Model = (0..4_000).map(|n| (format!("item-{n}"), offset(random.vector()))).collect();
    add(&index, model.iter().map(|(id, vector)| item(id.clone(), vector.clone(), None)).collect());
    while index.maintain(&threads) {}
    let mut hits = 0;
    for _ in 0..50 {
        let vector = offset(random.vector());
        let found = index.search(&Query { vector: &vector, k: K, ..Query::default() }).expect("searches").results;
        let truth = nearest(Distance::L2, &model, &vector, K);
        hits += truth.iter().filter(|(_, id)| found.iter().any(|hit| hit.id == *id)).count();
    }
    assert!(hits >= 490, "{hits} of 500");
}

#[test]
fn equal_vectors_are_no_reason_to_look_at_everything() {
    let threads = threads();
    let mut random = Random(23);
    let (index, _) = filled(Distance::Cosine, 4_000, &mut random);
    let same = random.vector();
    add(&index, (0..1_000).map(|n| item(format!("same-{n}"), same.clone(), None)).collect());
    while index.maintain(&threads) {}
    let found = index.search(&Query { vector: &same, k: K, ..Query::default() }).expect("searches").results;
    assert!(found.len() == K && found.iter().all(|hit| hit.distance < 1e-6));
}

#[test]
fn compaction_beside_updates_keeps_one_version_of_each_item() {
    const ITEMS: usize = 200;
    let tuning = Tuning { graph_from: 50, mend_from: 4, compact_from: 20 };
    let index = Index::new(Params::new(2, Distance::L2), tuning);
    let batch = |round: f32| (0..ITEMS).map(|n| item(format!("{n}"), vec![n as f32, round], None)).collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let threads = threads();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                index.maintain(&threads);
            }
        });
        for round in 0..300 {
            index.apply(&Change::Add(batch(round as f32)));
            let query = Query { vector: &[0.0, 0.0], k: 2 * ITEMS, with_vectors: true, ..Query::default() };
            let found = index.search(&query).expect("searches").results;
            assert_eq!(found.len(), ITEMS, "an item is there twice or not at all");
            assert!(found.iter().all(|hit| hit.vector.as_ref().expect("asked for")[1] == round as f32));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
