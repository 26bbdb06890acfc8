//! From the texts of a request to their vectors: checks, cache, batches, and a look at what the
//! provider says.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    Embedding, Error, Metrics, OptionsError, Provider, ProviderError,
    cache::{Cache, Key},
    metrics::ErrorLabels,
};

/// What the service bounds.
#[derive(Debug, Clone)]
pub struct Options {
    /// The model's name in answers.
    pub model: String,
    /// Other names under which it may be asked for.
    pub aliases: Vec<String>,
    /// The length that every vector must have; `None`: as the provider has it.
    pub dimension: Option<usize>,
    /// Texts in one call to the provider.
    pub batch_size: usize,
    /// Calls to the provider at once, over all requests.
    pub max_concurrent_batches: usize,
    /// Texts in one request.
    pub max_texts: usize,
    /// Bytes of one text.
    pub max_text_bytes: usize,
    /// Memory for vectors of texts seen before; 0: none are kept.
    pub cache_bytes: u64,
    /// How long the provider may take for one call, and how long a batch waits for its turn.
    pub timeout: Duration,
}

/// Embeds texts with one provider.
pub struct Service {
    provider: Arc<dyn Provider>,
    options: Options,
    cache: Cache,
    turns: Semaphore,
    /// Set by the configuration, the provider, or the first answer; then it holds.
    dimension: OnceLock<usize>,
    metrics: Metrics,
}

/// A text that has to go to the provider: its place among the distinct texts, and its key.
struct Miss {
    place: usize,
    key: Key,
    text: String,
}

impl Service {
    /// A service over `provider`.
    ///
    /// # Errors
    /// A bound of 0, or a dimension that is not the provider's.
    pub fn new(provider: Arc<dyn Provider>, options: Options) -> Result<Self, OptionsError> {
        for (key, value) in [
            ("batch_size", options.batch_size),
            ("max_concurrent_batches", options.max_concurrent_batches),
            ("max_texts", options.max_texts),
            ("max_text_bytes", options.max_text_bytes),
        ] {
            if value == 0 {
                return Err(OptionsError(format!("{key}: 0 would serve nothing")));
            }
        }
        if options.timeout.is_zero() {
            return Err(OptionsError("timeout_seconds: 0 would serve nothing".to_owned()));
        }
        let dimension = OnceLock::new();
        match (options.dimension, provider.dimension()) {
            (Some(asked), Some(has)) if asked != has => {
                let name = provider.name();
                return Err(OptionsError(format!("dimension: {asked}, but the vectors of `{name}` have {has}")));
            }
            (asked, has) => {
                if let Some(known) = asked.or(has) {
                    dimension.get_or_init(|| known);
                }
            }
        }
        let cache = Cache::new(provider.name(), &options.model, options.cache_bytes);
        let turns = Semaphore::new(options.max_concurrent_batches.min(Semaphore::MAX_PERMITS));
        Ok(Self { provider, options, cache, turns, dimension, metrics: Metrics::default() })
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.provider.name()
    }

    /// The model's name.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.options.model
    }

    /// Every name that [`Service::check_model`] accepts, the model's own first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.model()).chain(self.options.aliases.iter().map(String::as_str))
    }

    /// The length of the vectors, once it is known.
    #[must_use]
    pub fn dimension(&self) -> Option<usize> {
        self.dimension.get().copied()
    }

    /// What the service counts.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Is `asked` the model that is served?
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn check_model(&self, asked: &str) -> Result<(), Error> {
        if self.names().any(|name| name == asked) {
            return Ok(());
        }
        // A name is echoed only as far as a name goes.
        let asked = asked.chars().take(100).collect();
        Err(Error::UnknownModel { asked, served: self.model().to_owned() })
    }

    /// One embedding a text, in the order of the texts. All of them, or an error.
    ///
    /// Dropping the future gives up the calls to the provider that it has under way.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn embed(&self, texts: Vec<String>) -> Result<Vec<Arc<Embedding>>, Error> {
        self.check(&texts)?;
        let asked = texts.len();
        let (order, misses, mut distinct) = self.look_up(texts).await;
        let repeated = asked - distinct.len();
        self.metrics.texts.inc_by(asked as u64);
        self.metrics.repeated.inc_by(repeated as u64);
        self.metrics.cache_hits.inc_by((distinct.len() - misses.len()) as u64);
        self.metrics.cache_misses.inc_by(misses.len() as u64);

        let mut made = stream::iter(batches(misses, self.options.batch_size))
            .map(|batch| self.batch(batch))
            .buffer_unordered(self.options.max_concurrent_batches);
        while let Some(batch) = made.try_next().await? {
            for (place, embedding) in batch {
                distinct[place] = Some(embedding);
            }
        }
        let embeddings: Option<Vec<_>> =
            order.into_iter().map(|place| distinct.get(place).cloned().flatten()).collect();
        let embeddings = embeddings.ok_or_else(|| self.nonsense("it left a text out".to_owned()))?;
        self.metrics.tokens.inc_by(embeddings.iter().map(|embedding| embedding.tokens).sum());
        Ok(embeddings)
    }

    fn check(&self, texts: &[String]) -> Result<(), Error> {
        let Options { max_texts, max_text_bytes, .. } = self.options;
        if texts.is_empty() {
            return Err(Error::NoTexts);
        }
        if texts.len() > max_texts {
            return Err(Error::TooManyTexts { count: texts.len(), max: max_texts });
        }
        for (position, text) in texts.iter().enumerate() {
            if text.len() > max_text_bytes {
                return Err(Error::TextTooLong { position, bytes: text.len(), max: max_text_bytes });
            }
            if text.chars().all(char::is_whitespace) {
                return Err(Error::EmptyText { position });
            }
        }
        Ok(())
    }

    /// For each text its place among the distinct ones; the distinct ones that the cache does not
    /// have; and those that it has, at their places.
    async fn look_up(&self, texts: Vec<String>) -> (Vec<usize>, Vec<Miss>, Vec<Option<Arc<Embedding>>>) {
        let (mut order, mut misses, mut distinct) = (Vec::with_capacity(texts.len()), Vec::new(), Vec::new());
        let mut places: HashMap<Key, usize> = HashMap::with_capacity(texts.len());
        for text in texts {
            let key = self.cache.key(&text);
            if let Some(place) = places.get(&key) {
                order.push(*place);
                continue;
            }
            let place = distinct.len();
            places.insert(key, place);
            order.push(place);
            let cached = self.cache.get(&key).await;
            if cached.is_none() {
                misses.push(Miss { place, key, text });
            }
            distinct.push(cached);
        }
        (order, misses, distinct)
    }

    /// One call to the provider, and its answer into the cache.
    async fn batch(&self, batch: Vec<Miss>) -> Result<Vec<(usize, Arc<Embedding>)>, Error> {
        let (homes, texts): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|miss| ((miss.place, miss.key), miss.text)).unzip();
        let turn = self.turn().await?;
        let made = self.call(&texts).await;
        drop(turn);
        let made = made.inspect_err(|error| {
            self.metrics.call_errors.get_or_create(&ErrorLabels { reason: error.label() }).inc();
        })?;
        let mut placed = Vec::with_capacity(homes.len());
        for ((place, key), embedding) in homes.into_iter().zip(made) {
            let embedding = Arc::new(embedding);
            self.cache.insert(key, Arc::clone(&embedding)).await;
            placed.push((place, embedding));
        }
        let (bytes, entries) = self.cache.size();
        self.metrics.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics.cache_entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
        Ok(placed)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        match tokio::time::timeout(self.options.timeout, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }

    async fn call(&self, texts: &[String]) -> Result<Vec<Embedding>, ProviderError> {
        let _under_way = UnderWay::new(&self.metrics);
        let provider = self.provider.name();
        let made = tokio::time::timeout(self.options.timeout, self.provider.embed(texts)).await;
        let made = made.unwrap_or(Err(ProviderError::Silent { provider }))?;
        self.check_answer(&made, texts.len())?;
        Ok(made)
    }

    /// A wrong answer must not reach an index: it could not be told from a right one there.
    fn check_answer(&self, made: &[Embedding], asked: usize) -> Result<(), ProviderError> {
        if made.len() != asked {
            return Err(self.nonsense_error(format!("{} vectors for {asked} texts", made.len())));
        }
        let Some(first) = made.first().map(|embedding| embedding.vector.len()) else { return Ok(()) };
        let expected = self.dimension().unwrap_or(first);
        for Embedding { vector, .. } in made {
            if vector.is_empty() {
                return Err(self.nonsense_error("an empty vector".to_owned()));
            }
            if vector.len() != expected {
                let reason = format!("a vector of {} dimensions among those of {expected}", vector.len());
                return Err(self.nonsense_error(reason));
            }
            if !vector.iter().all(|number| number.is_finite()) {
                return Err(self.nonsense_error("a number that is not finite".to_owned()));
            }
        }
        // Two first answers at once may differ; the one that came second is the wrong one then.
        let agreed = *self.dimension.get_or_init(|| first);
        if agreed != first {
            return Err(self.nonsense_error(format!("vectors of {first} dimensions after some of {agreed}")));
        }
        Ok(())
    }

    fn nonsense_error(&self, reason: String) -> ProviderError {
        ProviderError::nonsense(self.provider.name(), reason)
    }

    fn nonsense(&self, reason: String) -> Error {
        self.nonsense_error(reason).into()
    }
}

/// Batches of texts of about the same length: a model pads each batch to its longest text.
fn batches(mut misses: Vec<Miss>, size: usize) -> Vec<Vec<Miss>> {
    misses.sort_by_key(|miss| miss.text.len());
    let mut batches = Vec::with_capacity(misses.len().div_ceil(size));
    let mut misses = misses.into_iter();
    loop {
        let batch: Vec<Miss> = misses.by_ref().take(size).collect();
        if batch.is_empty() {
            return batches;
        }
        batches.push(batch);
    }
}

/// Measures one call, also one that is given up.
struct UnderWay<'a> {
    metrics: &'a Metrics,
    began: Instant,
}

impl<'a> UnderWay<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.calls.inc();
        metrics.calls_in_flight.inc();
        Self { metrics, began: Instant::now() }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.metrics.calls_in_flight.dec();
        self.metrics.call_seconds.observe(self.began.elapsed().as_secs_f64());
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("provider", &self.provider.name()).field("options", &self.options).finish()
    }
}
