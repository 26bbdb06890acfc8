//! Vectors: read, generated, and searched by brute force.

use std::fs;

use lakehouse_types::vector::Distance;

/// Vectors of one length, back to back.
pub(crate) struct Set {
    pub(crate) dimension: usize,
    numbers: Vec<f32>,
}

impl Set {
    pub(crate) const fn new(dimension: usize, numbers: Vec<f32>) -> Self {
        Self { dimension, numbers }
    }

    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| format!("read {path}: {error}"))?;
        let (words, rest) = bytes.as_chunks::<4>();
        let [rows, dimension, numbers @ ..] = words else { return Err(format!("read {path}: too short")) };
        let (rows, dimension) = (u32::from_le_bytes(*rows) as usize, u32::from_le_bytes(*dimension) as usize);
        if dimension == 0 || rows * dimension != numbers.len() || !rest.is_empty() {
            return Err(format!("read {path}: its size does not fit {rows} rows of {dimension} numbers"));
        }
        Ok(Self { dimension, numbers: numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect() })
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len() / self.dimension
    }

    pub(crate) fn row(&self, n: usize) -> &[f32] {
        &self.numbers[n * self.dimension..(n + 1) * self.dimension]
    }
}

/// A generator that gives the same numbers everywhere (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Normally distributed, nearly: the sum of twelve uniform numbers.
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() >> 40) as f32 / (1_u64 << 24) as f32).sum::<f32>() - 6.0
    }
}

/// Numbers that behave like embeddings: topics of different sizes, in a space of far fewer
/// dimensions than the vectors have, with some noise, all of length 1.
pub(crate) fn generate(items: usize, queries: usize, dimension: usize, seed: u64) -> (Set, Set) {
    const TOPICS: usize = 200;
    const INNER: usize = 32;
    let mut random = Random(seed);
    let basis: Vec<Vec<f32>> = (0..INNER).map(|_| (0..dimension).map(|_| random.normal()).collect()).collect();
    let topics: Vec<Vec<f32>> = (0..TOPICS).map(|_| (0..INNER).map(|_| random.normal()).collect()).collect();
    let mut set = |rows: usize| {
        let mut numbers = Vec::with_capacity(rows * dimension);
        for _ in 0..rows {
            // The minimum of two draws: some topics have many items, others few.
            let topic = &topics[(random.next() % TOPICS as u64).min(random.next() % TOPICS as u64) as usize];
            let inner: Vec<f32> = topic.iter().map(|x| x + 0.9 * random.normal()).collect();
            let mut row: Vec<f32> = (0..dimension).map(|_| 1.5 * random.normal()).collect();
            for (weight, axis) in inner.iter().zip(&basis) {
                row.iter_mut().zip(axis).for_each(|(x, a)| *x += weight * a);
            }
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            numbers.extend(row.iter().map(|x| x / length));
        }
        Set { dimension, numbers }
    };
    (set(items), set(queries))
}

/// The `k` nearest of every query, by looking at all of them.
pub(crate) fn nearest(items: &Set, queries: &Set, k: usize, distance: Distance) -> Vec<Vec<usize>> {
    let lengths: Vec<f32> = (0..items.len()).map(|n| dot(items.row(n), items.row(n)).sqrt()).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = queries.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let numbers: Vec<usize> = (0..queries.len()).collect();
        let work = |part: &[usize]| {
            part.iter().map(|&n| nearest_one(items, &lengths, queries.row(n), k, distance)).collect::<Vec<_>>()
        };
        let parts: Vec<_> =
            numbers.chunks(share).map(<[usize]>::to_vec).map(|part| scope.spawn(move || work(&part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

fn nearest_one(items: &Set, lengths: &[f32], query: &[f32], k: usize, distance: Distance) -> Vec<usize> {
    let score = |n: usize| match distance {
        Distance::Cosine => -dot(query, items.row(n)) / lengths[n],
        Distance::Dot => -dot(query, items.row(n)),
        Distance::L2 => lengths[n] * lengths[n] - 2.0 * dot(query, items.row(n)),
    };
    let mut all: Vec<(f32, usize)> = (0..items.len()).map(|n| (score(n), n)).collect();
    let k = k.min(all.len());
    if k < all.len() {
        all.select_nth_unstable_by(k, |a, b| a.0.total_cmp(&b.0));
    }
    all.into_iter().take(k).map(|(_, n)| n).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (a, b) = (a.chunks(16), b.chunks(16));
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}
