use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{RemoteOptions, http::Endpoint, share_tokens};
use crate::{Embedding, OptionsError, Provider, ProviderError};

const NAME: &str = "ollama";

/// An Ollama server: `POST /api/embed`.
#[derive(Debug)]
pub struct Ollama {
    endpoint: Endpoint,
    model: String,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
}

#[derive(Deserialize)]
struct Answer {
    embeddings: Vec<Vec<f32>>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
}

impl Ollama {
    /// The model that is asked for when none is configured.
    pub const MODEL: &'static str = "all-minilm";
    /// Where Ollama listens when nobody says otherwise.
    pub const URL: &'static str = "http://127.0.0.1:11434";

    /// A server under `options.url`.
    ///
    /// # Errors
    /// A URL that is no http or https URL, or a key that a header can't carry.
    pub fn new(options: &RemoteOptions) -> Result<Self, OptionsError> {
        Ok(Self { endpoint: Endpoint::new(NAME, "/api/embed", options)?, model: options.model.clone() })
    }
}

#[async_trait]
impl Provider for Ollama {
    fn name(&self) -> &'static str {
        NAME
    }

    fn dimension(&self) -> Option<usize> {
        None
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Embedding>, ProviderError> {
        let answer: Answer = self.endpoint.call(&Request { model: &self.model, input: texts }).await?;
        let tokens = share_tokens(NAME, answer.prompt_eval_count, texts)?;
        // A wrong number of vectors is the service's to find.
        let tokens = tokens.into_iter().chain(std::iter::repeat(0));
        Ok(answer.embeddings.into_iter().zip(tokens).map(|(vector, tokens)| Embedding { vector, tokens }).collect())
    }
}
