use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{RemoteOptions, http::Endpoint, share_tokens};
use crate::{Embedding, OptionsError, Provider, ProviderError};

const NAME: &str = "openai";

/// Any server with OpenAI's `POST {base}/embeddings`.
#[derive(Debug)]
pub struct OpenAi {
    endpoint: Endpoint,
    model: String,
    dimension: Option<usize>,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
    // Every compatible server knows `float`; some know nothing else.
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Entry>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Entry {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
}

impl OpenAi {
    /// The model that is asked for when none is configured.
    pub const MODEL: &'static str = "text-embedding-3-small";
    /// OpenAI's own base.
    pub const URL: &'static str = "https://api.openai.com/v1";

    /// A server under `options.url`, which has the API's `/v1` at its end where the server has it.
    ///
    /// # Errors
    /// A URL that is no http or https URL, or a key that a header can't carry.
    pub fn new(options: &RemoteOptions) -> Result<Self, OptionsError> {
        let endpoint = Endpoint::new(NAME, "/embeddings", options)?;
        Ok(Self { endpoint, model: options.model.clone(), dimension: options.dimension })
    }
}

#[async_trait]
impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn dimension(&self) -> Option<usize> {
        self.dimension
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Embedding>, ProviderError> {
        let request =
            Request { model: &self.model, input: texts, encoding_format: "float", dimensions: self.dimension };
        let mut answer: Answer = self.endpoint.call(&request).await?;
        // The index says which text it is; the order of the list need not.
        answer.data.sort_by_key(|entry| entry.index);
        if answer.data.iter().enumerate().any(|(position, entry)| entry.index != position) {
            return Err(ProviderError::nonsense(NAME, "its indices are not those of the texts"));
        }
        let tokens = share_tokens(NAME, answer.usage.and_then(|usage| usage.prompt_tokens), texts)?;
        // A wrong number of vectors is the service's to find.
        let tokens = tokens.into_iter().chain(std::iter::repeat(0));
        let embedding = |(entry, tokens): (Entry, u64)| Embedding { vector: entry.embedding, tokens };
        Ok(answer.data.into_iter().zip(tokens).map(embedding).collect())
    }
}
