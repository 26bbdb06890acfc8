use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ClientOptions, Error, retry::Repeat, transport::Http};

const SERVICE: &str = "chat";

/// An OpenAI-compatible chat-completions endpoint, such as the gateway's `/v1/chat`.
#[derive(Debug, Clone)]
pub struct ChatClient {
    http: Http,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What it says.
    pub content: String,
}

/// What is asked of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChatRequest {
    /// The model's name at the endpoint.
    pub model: String,
    /// The conversation so far.
    pub messages: Vec<ChatMessage>,
    /// 0 for the most repeatable answer.
    pub temperature: f32,
    /// The longest answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// OpenAI's `response_format`, such as a JSON schema to hold to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<Value>,
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The model that answered, as the endpoint names it.
    pub model: String,
    /// The text of the first choice; empty where there is none.
    pub content: String,
    /// Why it ended: `stop`, `length`, ...
    pub finish_reason: Option<String>,
    /// Tokens of the request, where the endpoint counts them.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, where the endpoint counts them.
    pub completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Spoken,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Spoken {
    /// Null where the model refuses or calls a tool.
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
}

impl ChatClient {
    /// A client of the endpoint whose whole URL is `endpoint`. A model thinks long: set
    /// [`ClientOptions::timeout`] accordingly.
    ///
    /// # Errors
    /// [`Error::Options`] where `endpoint` is no http or https URL, or the token no header value.
    pub fn new(endpoint: impl AsRef<str>, options: ClientOptions) -> Result<Self, Error> {
        Ok(Self { http: Http::new(SERVICE, endpoint.as_ref(), options)? })
    }

    /// One completion. Since it costs, it is repeated only where the endpoint did not begin.
    ///
    /// # Errors
    /// The endpoint's refusal, [`Error::Nonsense`] for an answer of another shape or without a
    /// choice, or what the connection gives.
    pub async fn complete(&self, request: &ChatRequest) -> Result<ChatAnswer, Error> {
        let url = self.http.url("", &[]);
        let attempt = async |_doubtful| {
            let response = self.http.send(self.http.request(Method::POST, &url).json(request)).await?;
            self.http.read_json::<Completion>(response).await
        };
        let completion = self.http.call(Repeat::IfRefused, attempt).await?;
        let choice = completion.choices.into_iter().next();
        let choice = choice.ok_or_else(|| Error::nonsense(SERVICE, "the completion has no choice"))?;
        let usage = completion.usage.unwrap_or(Usage { prompt_tokens: None, completion_tokens: None });
        Ok(ChatAnswer {
            model: completion.model.unwrap_or_else(|| request.model.clone()),
            content: choice.message.content.unwrap_or_default(),
            finish_reason: choice.finish_reason,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        })
    }
}
