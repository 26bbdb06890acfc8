//! Kinds of vectors on which indexes have failed, and what an index finds of them at its defaults:
//! fresh, after a third of it has changed, and behind a filter that few items pass.

use std::{collections::BTreeMap, time::Instant};

use lakehouse_types::vector::{AddItem, Distance, Filter};
use lakehouse_vector::{Change, Index, Params, Query, Tuning};
use rayon::ThreadPool;
use serde_json::{json, value::RawValue};

use crate::data::{Random, Set, generate};

/// The numbers of results that are asked for.
pub(crate) const DEPTHS: [usize; 7] = [1, 10, 32, 33, 50, 100, 1_000];
/// One item in so many passes the filter.
const PASSES: usize = 20;

/// Vectors of one kind, and queries to go with them.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) distance: Distance,
    pub(crate) items: Set,
    pub(crate) queries: Set,
}

/// What one search setting reached.
pub(crate) struct Row {
    pub(crate) state: &'static str,
    pub(crate) k: usize,
    /// The share of the true `k` nearest that was found; one as near as the last of them counts.
    pub(crate) recall: f64,
    /// The share of answers that said that they are exact.
    pub(crate) exact: f64,
    /// Seconds a search.
    pub(crate) seconds: f64,
}

/// Every kind, with `count` items and `queries` queries each.
pub(crate) fn all(count: usize, queries: usize) -> Vec<Kind> {
    let kind = |name, distance, (items, queries)| Kind { name, distance, items, queries };
    vec![
        kind("line of points", Distance::L2, line(count, queries)),
        kind("clusters, 2-d", Distance::L2, clusters(count, queries, 2, 50, 0.002)),
        kind("tight clusters, 16-d", Distance::L2, clusters(count, queries, 16, 40, 0.01)),
        kind("tight clusters, 16-d", Distance::Cosine, clusters(count, queries, 16, 40, 0.01)),
        kind("normal, 32-d", Distance::L2, normal(count, queries, 32)),
        kind("normal, 384-d", Distance::Cosine, normal(count, queries, 384)),
        kind("normal, 384-d", Distance::L2, normal(count, queries, 384)),
        kind("hashed texts, 384-d", Distance::Cosine, texts(count, queries, 384)),
        kind("like embeddings, 384-d", Distance::Cosine, generate(count, queries, 384, 1)),
        kind("normal, 32-d", Distance::Dot, normal(count, queries, 32)),
    ]
}

fn pair(dimension: usize, items: usize, queries: usize, mut row: impl FnMut() -> Vec<f32>) -> (Set, Set) {
    let mut set = |rows: usize| Set::new(dimension, (0..rows).flat_map(|_| row()).collect());
    (set(items), set(queries))
}

/// A thousandth apart, far from the origin: less than a step of their codes.
fn line(items: usize, queries: usize) -> (Set, Set) {
    let mut random = Random(3);
    let at = |n: f32| [47.0 + n / 1_000.0, 8.5];
    let all = (0..items).flat_map(|n| at(n as f32)).collect();
    let asked = (0..queries).flat_map(|_| at((random.next() % items as u64) as f32)).collect();
    (Set::new(2, all), Set::new(2, asked))
}

/// Groups of points whose distances from each other are `spread` times those of the groups.
fn clusters(items: usize, queries: usize, dimension: usize, groups: usize, spread: f32) -> (Set, Set) {
    let mut random = Random(5);
    let centers: Vec<Vec<f32>> = (0..groups).map(|_| (0..dimension).map(|_| random.normal()).collect()).collect();
    pair(dimension, items, queries, || {
        let center = &centers[random.next() as usize % groups];
        center.iter().map(|x| x + spread * random.normal()).collect()
    })
}

fn normal(items: usize, queries: usize, dimension: usize) -> (Set, Set) {
    let mut random = Random(7);
    pair(dimension, items, queries, || (0..dimension).map(|_| random.normal()).collect())
}

/// Bags of words, of which some are frequent and most are rare, each word a signed place in the vector.
fn texts(items: usize, queries: usize, dimension: usize) -> (Set, Set) {
    const WORDS: f64 = 20_000.0;
    let mut random = Random(9);
    pair(dimension, items, queries, || {
        let mut row = vec![0.0_f32; dimension];
        for _ in 0..8 + random.next() % 24 {
            let uniform = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
            let hash = Random(WORDS.powf(uniform) as u64).next();
            row[hash as usize % dimension] += if hash >> 63 == 0 { 1.0 } else { -1.0 };
        }
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0);
        row.iter().map(|x| x / length).collect()
    })
}

impl Kind {
    /// Builds an index, and measures it in every state.
    pub(crate) fn measure(&self, threads: &ThreadPool, depths: &[usize]) -> Vec<Row> {
        let index = Index::new(Params::new(self.items.dimension, self.distance), Tuning::default());
        let mut model = BTreeMap::new();
        for n in 0..self.items.len() {
            model.insert(n, self.items.row(n).to_vec());
        }
        put(&index, &model);
        while index.maintain(threads) {}
        let mut rows = self.states(&index, &model, depths, ["fresh", "fresh, filter"]);

        // Of ten items three are deleted, and three take the place of another one of their kind.
        let mut changed = BTreeMap::new();
        let gone: Vec<usize> = model.keys().copied().filter(|n| n % 10 < 3).collect();
        for n in model.keys().copied().filter(|n| (3..6).contains(&(n % 10))) {
            let other = self.items.row((n * 7 + 1) % self.items.len());
            changed.insert(n, other.iter().zip(self.items.row(n)).map(|(a, b)| a * 0.999 + b * 0.001).collect());
        }
        index.apply(&Change::Delete(gone.iter().map(ToString::to_string).collect()));
        put(&index, &changed);
        gone.iter().for_each(|n| drop(model.remove(n)));
        model.extend(changed);
        while index.maintain(threads) {}
        rows.extend(self.states(&index, &model, depths, ["changed", "changed, filter"]));
        rows
    }

    fn states(
        &self,
        index: &Index,
        model: &BTreeMap<usize, Vec<f32>>,
        depths: &[usize],
        [plain, filtered]: [&'static str; 2],
    ) -> Vec<Row> {
        let filter: Filter = serde_json::from_value(json!({"eq": {"pass": true}})).unwrap_or(Filter::And(Vec::new()));
        let mut rows = Vec::new();
        for (state, filter) in [(plain, None), (filtered, Some(&filter))] {
            let truth = self.truth(model, filter.is_some());
            for &k in depths {
                let (mut recall, mut exact) = (0.0, 0);
                let mut seconds = 0.0;
                for (n, truth) in truth.iter().enumerate() {
                    let vector = self.queries.row(n);
                    let started = Instant::now();
                    let answer = index.search(&Query { vector, k, filter, ..Query::default() }).unwrap_or_default();
                    seconds += started.elapsed().as_secs_f64();
                    let wanted = k.min(truth.len());
                    let farthest = truth[wanted - 1] + 1e-9 * truth[wanted - 1].abs() + 1e-12;
                    let near = answer.results.iter().filter(|hit| hit.distance <= farthest).count();
                    recall += near.min(wanted) as f64 / wanted as f64;
                    exact += usize::from(answer.exact);
                }
                let asked = truth.len() as f64;
                rows.push(Row {
                    state,
                    k,
                    recall: recall / asked,
                    exact: exact as f64 / asked,
                    seconds: seconds / asked,
                });
            }
        }
        rows
    }

    /// The distances of all items from each query, nearest first, in plain double precision.
    fn truth(&self, model: &BTreeMap<usize, Vec<f32>>, filtered: bool) -> Vec<Vec<f64>> {
        let one = |n: usize| {
            let query = self.queries.row(n);
            let passing = model.iter().filter(|(n, _)| !filtered || passes(**n));
            let mut all: Vec<f64> = passing.map(|(_, vector)| distance(self.distance, query, vector)).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        (0..self.queries.len()).map(one).collect()
    }
}

fn passes(n: usize) -> bool {
    // Not in step with which items are deleted.
    (n / 10).is_multiple_of(PASSES)
}

fn put(index: &Index, vectors: &BTreeMap<usize, Vec<f32>>) {
    let item = |(n, vector): (&usize, &Vec<f32>)| AddItem {
        id: n.to_string(),
        vector: vector.clone(),
        metadata: RawValue::from_string(json!({"pass": passes(*n)}).to_string()).ok(),
    };
    let items: Vec<AddItem> = vectors.iter().map(item).collect();
    for batch in items.chunks(256) {
        index.apply(&Change::Add(batch.to_vec()));
    }
}

fn distance(kind: Distance, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    match kind {
        Distance::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
        Distance::L2 => a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum::<f64>().sqrt(),
        Distance::Dot => -dot(a, b),
    }
}
