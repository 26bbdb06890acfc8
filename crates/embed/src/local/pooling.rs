/// One way from the vectors of tokens to one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// That of the first token.
    Cls,
    /// The greatest number at each place.
    Max,
    /// The mean.
    Mean,
    /// The sum over the square root of the number of tokens.
    MeanSqrtLen,
    /// The mean in which the n-th token counts n times.
    WeightedMean,
    /// That of the last token.
    LastToken,
}

impl Mode {
    /// By sentence-transformers' name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "cls" => Self::Cls,
            "max" => Self::Max,
            "mean" => Self::Mean,
            "mean_sqrt_len_tokens" => Self::MeanSqrtLen,
            "weightedmean" => Self::WeightedMean,
            "lasttoken" => Self::LastToken,
            _ => return None,
        })
    }

    /// Appends the pooled vector to `into`. `tokens` has at least one vector of `hidden` numbers.
    fn pool(self, tokens: &[f32], hidden: usize, into: &mut Vec<f32>) {
        let rows = || tokens.chunks_exact(hidden);
        let count = rows().len();
        let weighted = |weight: fn(usize) -> f64, divisor: f64| {
            let mut sum = vec![0.0; hidden];
            for (position, row) in rows().enumerate() {
                let weight = weight(position);
                sum.iter_mut().zip(row).for_each(|(sum, number)| *sum += weight * f64::from(*number));
            }
            sum.into_iter().map(move |sum| (sum / divisor) as f32)
        };
        match self {
            Self::Cls => into.extend_from_slice(rows().next().unwrap_or_default()),
            Self::LastToken => into.extend_from_slice(rows().next_back().unwrap_or_default()),
            Self::Max => {
                let mut most = vec![f32::NEG_INFINITY; hidden];
                for row in rows() {
                    most.iter_mut().zip(row).for_each(|(most, number)| *most = most.max(*number));
                }
                into.extend(most);
            }
            Self::Mean => into.extend(weighted(|_| 1.0, count as f64)),
            Self::MeanSqrtLen => into.extend(weighted(|_| 1.0, (count as f64).sqrt())),
            Self::WeightedMean => into.extend(weighted(|n| (n + 1) as f64, (count * (count + 1)) as f64 / 2.0)),
        }
    }
}

/// The ways of a model, joined end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pooling(Vec<Mode>);

impl Pooling {
    pub(super) const fn new(modes: Vec<Mode>) -> Self {
        Self(modes)
    }

    pub(super) fn mean() -> Self {
        Self(vec![Mode::Mean])
    }

    /// The length of what [`Pooling::pool`] makes.
    pub(super) const fn dimension(&self, hidden: usize) -> usize {
        self.0.len() * hidden
    }

    /// `tokens`: the vectors of one text's tokens, without padding, end to end.
    pub(super) fn pool(&self, tokens: &[f32], hidden: usize) -> Vec<f32> {
        let mut vector = Vec::with_capacity(self.dimension(hidden));
        for mode in &self.0 {
            mode.pool(tokens, hidden, &mut vector);
        }
        vector
    }
}

/// Scales to unit length; a zero vector stays as it is.
pub(super) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    // sentence-transformers' own bound.
    let length = length.max(1e-12);
    vector.iter_mut().for_each(|number| *number = (f64::from(*number) / length) as f32);
}
