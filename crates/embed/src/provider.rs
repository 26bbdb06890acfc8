use async_trait::async_trait;

use crate::ProviderError;

/// What a provider makes of one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// The vector.
    pub vector: Vec<f32>,
    /// What the text cost, in the model's own tokens where the provider says so.
    pub tokens: u64,
}

/// Whoever turns text into vectors.
///
/// Dropping the future of a call gives the call up: a provider must not go on for long after that.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// `hash`, `ollama`, `openai` or `local`.
    fn name(&self) -> &'static str;

    /// The length of its vectors, where that is known before the first call.
    fn dimension(&self) -> Option<usize>;

    /// One embedding a text, in the order of the texts. The texts are not blank, and no two are equal.
    ///
    /// # Errors
    /// [`ProviderError`]; then none of the texts is embedded.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Embedding>, ProviderError>;
}
