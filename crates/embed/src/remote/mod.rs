//! Providers behind HTTP.

mod http;
mod message;
mod ollama;
mod openai;

use std::{fmt, time::Duration};

use url::Url;

pub use ollama::Ollama;
pub use openai::OpenAi;

use crate::ProviderError;

/// How a remote provider is reached.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Ollama's root, or the base of an OpenAI-compatible API with its `/v1`.
    pub url: Url,
    /// The model, as the provider calls it.
    pub model: String,
    /// Sent as a bearer token; empty: nothing is sent.
    pub api_key: String,
    /// The length of vectors to ask for; `None`: as the model has it. Only OpenAI's API has a word for it.
    pub dimension: Option<usize>,
    /// How long a connection may take. How long a call may take is the service's to say.
    pub connect_timeout: Duration,
}

/// Neither the key nor a password in the URL is shown: options end up in logs.
impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("host", &self.url.host_str())
            .field("model", &self.model)
            .field("api_key", &if self.api_key.is_empty() { "none" } else { "***" })
            .field("dimension", &self.dimension)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

/// Bytes of text for one token where a provider does not count: about right for English.
const BYTES_PER_TOKEN: u64 = 4;

/// Parts a batch's tokens among its texts by their length: providers count a batch as one, the
/// cache keeps texts one by one. The parts add up to `total`.
fn share_tokens(provider: &'static str, total: Option<u64>, texts: &[String]) -> Result<Vec<u64>, ProviderError> {
    let bytes: u64 = texts.iter().map(|text| text.len() as u64).sum();
    let total = total.unwrap_or_else(|| bytes.div_ceil(BYTES_PER_TOKEN));
    // No tokenizer makes more tokens than a small number per byte.
    if total > bytes.saturating_mul(16).saturating_add(1 << 16) {
        return Err(ProviderError::nonsense(provider, format!("{total} tokens for {bytes} bytes of text")));
    }
    let (mut seen, mut given) = (0, 0);
    let part = |text: &String| {
        seen += text.len() as u64;
        let upto = (u128::from(total) * u128::from(seen)).checked_div(u128::from(bytes)).unwrap_or(0) as u64;
        let own = upto - given;
        given = upto;
        own
    };
    Ok(texts.iter().map(part).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn options_show_no_secret() {
        let options = RemoteOptions {
            url: Url::parse("https://user:hunter2@host/v1").unwrap(),
            model: "m".into(),
            api_key: "sk-secret".into(),
            dimension: None,
            connect_timeout: Duration::from_secs(1),
        };
        let shown = format!("{options:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("sk-secret") && shown.contains("***"), "{shown}");
    }

    #[test]
    fn a_wild_count_is_refused() {
        assert!(share_tokens("p", Some(u64::MAX), &["a".to_owned()]).is_err());
    }

    proptest! {
        #[test]
        fn shares_add_up(texts in prop::collection::vec("[a-zé]{1,30}", 1..20), total in prop::option::of(0_u64..5000)) {
            let shares = share_tokens("p", total, &texts).unwrap();
            let bytes: u64 = texts.iter().map(|text| text.len() as u64).sum();
            prop_assert_eq!(shares.len(), texts.len());
            prop_assert_eq!(shares.iter().sum::<u64>(), total.unwrap_or(bytes.div_ceil(4)));
        }
    }
}
