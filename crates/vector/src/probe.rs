//! A vector on its way through the index: what every other one is compared with.

use lakehouse_types::vector::Distance;

use crate::{
    split,
    values::{Factors, Shape, Values},
};

/// A query, or an item that is being linked, ready for fast comparison with codes.
///
/// Scores order like distances but are cheaper: squared under L2, and under `dot` shifted.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    /// The vector in whole numbers, padded.
    pub(crate) ints: Vec<i16>,
    /// The vector itself, padded; empty for an item that is being linked.
    vector: Vec<f32>,
    norm: f64,
    /// Added to every score.
    base: f32,
    /// Weight of a slot's `aux`.
    aux: f32,
    /// What one step of the products is worth.
    gain: f32,
    lift: Option<Lift>,
    /// Twice this times a slot's factor bounds the typical error of a score; see [`Self::doubt`].
    reach: f32,
    bound: Bound,
}

/// The largest error of a score, as a polynomial of the slot's factors.
#[derive(Debug, Clone, Copy, Default)]
struct Bound {
    fixed: f32,
    per_factor: f32,
    /// Of the slot's length.
    per_length: f32,
    /// Of its square.
    per_square: f32,
}

impl Bound {
    /// `own` is how far the probe's whole numbers are from itself, at most.
    fn new(shape: &Shape, norm: f64, own: f64) -> Self {
        // Single-precision arithmetic on scores of the size of the operands.
        const ARITHMETIC: f64 = 2e-6;
        // Each code is off by at most half a step; a hundredth more covers the divisions.
        let codes = 0.51 * (shape.dimension as f64).sqrt();
        let [fixed, per_factor, per_length, per_square] = match shape.distance {
            Distance::Cosine => [own / norm + ARITHMETIC, codes * (1.0 + own / norm), 0.0, 0.0],
            Distance::Dot => [0.0, codes * (norm + own), own + ARITHMETIC * norm, 0.0],
            Distance::L2 => [ARITHMETIC * norm * norm, 2.0 * codes * (norm + own), 2.0 * own, ARITHMETIC],
        };
        let up = |x: f64| (x * 1.000_001) as f32;
        Self { fixed: up(fixed), per_factor: up(per_factor), per_length: up(per_length), per_square: up(per_square) }
    }
}

/// Links under `dot` are chosen in a space with one more dimension, in which every vector has the
/// length of the longest: nearness there is the larger product for a query (whose extra
/// coordinate is 0), and, unlike the product, it is a distance, which the choice of links needs.
#[derive(Debug, Clone, Copy)]
struct Lift {
    longest: f32,
    own: f32,
}

impl Lift {
    fn new(longest: f32, own_square: f32) -> Self {
        Self { longest, own: (longest - own_square).max(0.0).sqrt() }
    }
}

impl Probe {
    /// Prepares a query. It is finite, has the index's dimension, and is not zero under cosine.
    pub(crate) fn query(shape: &Shape, vector: &[f32]) -> Self {
        let mut padded = vector.to_vec();
        padded.resize(shape.padded, 0.0);
        let norm = shape.kernels.dot(&padded, &padded).sqrt();
        let largest = vector.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        // As fine as 16 bits go, as long as no sum of products leaves 32 bits.
        let limit = (f64::from(i32::MAX) / (128.0 * shape.padded as f64)).floor().min(32_767.0) as f32;
        let scale = largest / limit;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let ints = padded.iter().map(|&x| split::round_within(x * inverse, limit) as i16).collect();
        let rounding = 0.51 * f64::from(scale) * (shape.dimension as f64).sqrt();
        let bound = Bound::new(shape, norm, rounding);
        let (base, aux, gain) = match shape.distance {
            Distance::Cosine => (1.0, 0.0, (f64::from(scale) / norm) as f32),
            Distance::L2 => ((norm * norm) as f32, 1.0, 2.0 * scale),
            Distance::Dot => (0.0, 0.0, scale),
        };
        let reach = match shape.distance {
            Distance::Cosine => 1.0,
            Distance::L2 => 2.0 * norm as f32,
            Distance::Dot => norm as f32,
        };
        Self { ints, vector: padded, norm, base, aux, gain, lift: None, reach, bound }
    }

    /// Prepares the item of a slot, to find its place among the others. `longest` is the largest
    /// squared length in the index, under `dot`.
    pub(crate) fn item(values: &Values, slot: u32, longest: f32) -> Self {
        let mut probe = Self {
            ints: Vec::with_capacity(values.shape.padded),
            vector: Vec::new(),
            norm: 0.0,
            base: 0.0,
            aux: 0.0,
            gain: 0.0,
            lift: None,
            reach: 0.0,
            bound: Bound::default(),
        };
        probe.become_item(values, slot, longest);
        probe
    }

    /// [`Self::item`] without a new allocation.
    pub(crate) fn become_item(&mut self, values: &Values, slot: u32, longest: f32) {
        // SAFETY: a slot's codes have the padded length.
        let codes = unsafe { std::slice::from_raw_parts(values.codes(slot), values.shape.padded) };
        self.ints.clear();
        self.ints.extend(codes.iter().map(|&code| i16::from(code)));
        let Factors { factor, aux } = values.factors(slot);
        (self.base, self.aux, self.gain, self.lift) = match values.shape.distance {
            Distance::Cosine => (1.0, 0.0, factor, None),
            Distance::L2 => (aux, 1.0, 2.0 * factor, None),
            Distance::Dot => (2.0 * longest, 0.0, 2.0 * factor, Some(Lift::new(longest, aux))),
        };
    }

    /// The score of a slot from the product of the codes.
    #[inline(always)]
    pub(crate) fn score(&self, factors: Factors, product: i32) -> f32 {
        let score = self.base + self.aux * factors.aux - product as f32 * (self.gain * factors.factor);
        match self.lift {
            None => score,
            Some(lift) => score - 2.0 * (lift.own * Lift::new(lift.longest, factors.aux).own),
        }
    }

    /// How far a score may be off, as a rule: six standard deviations of the rounding of codes.
    #[inline]
    pub(crate) fn doubt(&self, factors: Factors) -> f32 {
        1.8 * self.reach * factors.factor
    }

    /// How far a score can be off at the very most, in theory: what makes a scan over codes exact.
    #[inline(always)]
    pub(crate) fn error(&self, factors: Factors) -> f32 {
        let bound = self.bound;
        let length = if bound.per_length > 0.0 { factors.aux.sqrt() } else { 0.0 };
        bound.fixed + bound.per_factor * factors.factor + bound.per_length * length + bound.per_square * factors.aux
    }

    /// The distance from the slot's own numbers, in double precision. `scratch` is overwritten.
    pub(crate) fn exact(&self, values: &Values, slot: u32, scratch: &mut Vec<f32>) -> f64 {
        let shape = &values.shape;
        scratch.resize(shape.padded, 0.0);
        values.decode(slot, scratch);
        match shape.distance {
            Distance::Cosine => {
                let length = shape.kernels.dot(scratch, scratch).sqrt();
                (1.0 - shape.kernels.dot(&self.vector, scratch) / (self.norm * length)).max(0.0)
            }
            Distance::L2 => shape.kernels.square(&self.vector, scratch).sqrt(),
            // Not -0.0, which would print as such.
            Distance::Dot => 0.0 - shape.kernels.dot(&self.vector, scratch),
        }
    }

    /// A distance as the score that it would have without any rounding.
    pub(crate) fn as_score(&self, distance: Distance, exact: f64) -> f32 {
        match distance {
            Distance::Cosine | Distance::Dot => exact as f32,
            Distance::L2 => (exact * exact) as f32,
        }
    }
}

/// The score between two slots: bit for bit what [`Probe::item`] of either gives for the other.
/// (Among equal vectors the choice of links compares the two, and a last bit that always fell to
/// the same side would leave such nodes with one link.)
#[inline]
pub(crate) fn between(values: &Values, a: u32, b: u32, longest: f32) -> f32 {
    // SAFETY: both slots are written, and codes have the padded length.
    let product = unsafe { values.shape.kernels.pair(values.codes(a), values.codes(b), values.shape.padded) };
    let (a, b) = (values.factors(a), values.factors(b));
    let product = product as f32 * (a.factor * b.factor);
    match values.shape.distance {
        Distance::Cosine => 1.0 - product,
        Distance::L2 => a.aux + b.aux - 2.0 * product,
        Distance::Dot => {
            let (own, other) = (Lift::new(longest, a.aux).own, Lift::new(longest, b.aux).own);
            2.0 * longest - 2.0 * product - 2.0 * (own * other)
        }
    }
}
