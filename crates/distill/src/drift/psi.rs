use serde::Serialize;

/// Fewer buckets than this say nothing.
pub const MIN_BUCKETS: usize = 2;
/// More than this are empty for any sample that logs have.
pub const MAX_BUCKETS: usize = 1000;

/// An empty bucket counts as this share, so that its logarithm is finite.
const EPSILON: f64 = 1e-4;
/// Below this the two are the same for every practical purpose.
const MINOR_FROM: f64 = 0.10;
/// From here on whoever relies on the old distribution should look.
const MAJOR_FROM: f64 = 0.25;

/// How far a distribution has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Below 0.10, or nothing to compare.
    Stable,
    /// Below 0.25.
    Minor,
    /// The rest.
    Major,
}

/// One bucket, closed below and open above; the last is closed on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bucket {
    /// Where it begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// Values of the baseline in it.
    pub baseline: u64,
    /// Values of the current sample in it.
    pub current: u64,
    /// What it adds to the index; never negative.
    pub psi: f64,
}

/// The Population Stability Index of two samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Psi {
    /// The sum over all buckets; 0 or more, never NaN.
    pub psi: f64,
    /// What it means.
    pub level: Level,
    /// Bucket by bucket; none when there was nothing to compare.
    pub buckets: Vec<Bucket>,
    /// Finite values of the baseline.
    pub baseline_count: u64,
    /// Finite values of the current sample.
    pub current_count: u64,
    /// Values left out because they are not finite.
    pub not_finite: u64,
}

/// Compares two samples over `buckets` equal buckets from their common least to their common
/// greatest value. `buckets` is clamped to [`MIN_BUCKETS`]..=[`MAX_BUCKETS`].
///
/// An empty sample, and two samples of one single value, are stable: there is nothing that moved.
#[must_use]
pub fn psi(baseline: &[f64], current: &[f64], buckets: usize) -> Psi {
    let finite = |sample: &[f64]| sample.iter().copied().filter(|x| x.is_finite()).collect::<Vec<f64>>();
    let (old, new) = (finite(baseline), finite(current));
    let not_finite = baseline.len() + current.len() - old.len() - new.len();
    let mut result = Psi {
        psi: 0.0,
        level: Level::Stable,
        buckets: Vec::new(),
        baseline_count: old.len() as u64,
        current_count: new.len() as u64,
        not_finite: not_finite as u64,
    };
    if old.is_empty() || new.is_empty() {
        return result;
    }
    let Some(edges) = edges(&old, &new, buckets.clamp(MIN_BUCKETS, MAX_BUCKETS)) else { return result };
    let (old_counts, new_counts) = (count(&old, &edges), count(&new, &edges));
    for ((pair, &n_old), &n_new) in edges.windows(2).zip(&old_counts).zip(&new_counts) {
        let p = share(n_old, old.len());
        let q = share(n_new, new.len());
        let part = (q - p) * (q / p).ln();
        result.psi += part;
        result.buckets.push(Bucket { low: pair[0], high: pair[1], baseline: n_old, current: n_new, psi: part });
    }
    result.level = match result.psi {
        index if index < MINOR_FROM => Level::Stable,
        index if index < MAJOR_FROM => Level::Minor,
        _ => Level::Major,
    };
    result
}

fn share(count: u64, of: usize) -> f64 {
    (count as f64 / of as f64).max(EPSILON)
}

/// `buckets + 1` edges; none when there is no width to divide.
fn edges(old: &[f64], new: &[f64], buckets: usize) -> Option<Vec<f64>> {
    let all = || old.iter().chain(new).copied();
    let low = all().fold(f64::INFINITY, f64::min);
    let high = all().fold(f64::NEG_INFINITY, f64::max);
    let n = buckets as f64;
    // The difference of two huge numbers overflows; their quotients don't.
    let step = if (high - low).is_finite() { (high - low) / n } else { high / n - low / n };
    let mut edges: Vec<f64> = (0..buckets).map(|i| low + i as f64 * step).collect();
    edges.push(high);
    // Values so close together that the edges fall onto each other have no distribution to speak of.
    edges.is_sorted_by(|a, b| a < b).then_some(edges)
}

/// How many values fall between each pair of edges. Found by comparing with the edges themselves:
/// a division would put values that lie on an edge to either side of it.
fn count(sample: &[f64], edges: &[f64]) -> Vec<u64> {
    let buckets = edges.len() - 1;
    let mut counts = vec![0; buckets];
    for value in sample {
        let bucket = edges.partition_point(|edge| edge <= value).saturating_sub(1);
        counts[bucket.min(buckets - 1)] += 1;
    }
    counts
}

#[cfg(test)]
#[path = "psi_tests.rs"]
mod tests;
