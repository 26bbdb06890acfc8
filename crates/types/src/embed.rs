//! Bodies of embedd's calls: its own, and OpenAI's `/v1/embeddings`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::member::{self, Words};

/// `POST /embed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedRequest {
    /// What to embed; at least one, none of them blank.
    pub texts: Vec<String>,
    /// The model, or an alias of it; absent: the one that is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The answer to `POST /embed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbedResponse {
    /// The model that made the vectors. Vectors of two models can't be compared.
    pub model: String,
    /// Numbers in each vector.
    pub dimension: usize,
    /// One vector a text, in the order of the texts.
    pub vectors: Vec<Vec<f32>>,
}

/// OpenAI's `POST /v1/embeddings`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingsRequest {
    /// What to embed.
    pub input: EmbeddingsInput,
    /// The model, or an alias of it.
    pub model: String,
    /// How the vectors are written.
    #[serde(default, deserialize_with = "crate::member::null_as_default")]
    pub encoding_format: EncodingFormat,
    /// The length that the caller wants its vectors to have.
    #[serde(default)]
    pub dimensions: Option<usize>,
    /// The caller's own customer; read by nobody here.
    #[serde(default)]
    pub user: Option<String>,
}

/// `input` of [`EmbeddingsRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddingsInput {
    /// A text, or a list of them.
    Texts(Vec<String>),
    /// Token ids, alone or in lists. OpenAI takes them; they mean something to one tokenizer only.
    Tokens,
}

impl<'de> Deserialize<'de> for EmbeddingsInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Input;
        impl<'de> de::Visitor<'de> for Input {
            type Value = EmbeddingsInput;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EmbeddingsInput, E> {
                Ok(EmbeddingsInput::Texts(vec![text.to_owned()]))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<EmbeddingsInput, E> {
                Ok(EmbeddingsInput::Texts(vec![text]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<EmbeddingsInput, A::Error> {
                let (mut texts, mut tokens) = (Vec::new(), false);
                while let Some(item) = list.next_element::<Item>()? {
                    match item {
                        Item::Text(text) => texts.push(text),
                        Item::Tokens => tokens = true,
                    }
                }
                if tokens && !texts.is_empty() {
                    return Err(de::Error::custom("input: a list of strings, or of token ids, not of both"));
                }
                Ok(if tokens { EmbeddingsInput::Tokens } else { EmbeddingsInput::Texts(texts) })
            }
        }
        deserializer.deserialize_any(Input)
    }
}

/// One item of a list of inputs.
enum Item {
    Text(String),
    Tokens,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> de::Visitor<'de> for One {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Item, E> {
                Ok(Item::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Item, E> {
                Ok(Item::Text(text))
            }

            fn visit_u64<E: de::Error>(self, _id: u64) -> Result<Item, E> {
                Ok(Item::Tokens)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Item, A::Error> {
                while list.next_element::<u64>()?.is_some() {}
                Ok(Item::Tokens)
            }
        }
        deserializer.deserialize_any(One)
    }
}

/// How OpenAI's answer writes a vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EncodingFormat {
    /// A list of numbers.
    #[default]
    Float,
    /// The numbers as little-endian `f32`, in base64 with padding.
    Base64,
}

impl Words for EncodingFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("float", Self::Float), ("base64", Self::Base64)];
}

impl<'de> Deserialize<'de> for EncodingFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        member::word(deserializer)
    }
}

/// The answer to `POST /v1/embeddings`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmbeddingsResponse {
    /// Always `list`.
    pub object: &'static str,
    /// One entry an input, in order.
    pub data: Vec<EmbeddingEntry>,
    /// The model that made the vectors.
    pub model: String,
    /// What the call cost.
    pub usage: Usage,
}

/// One vector of an [`EmbeddingsResponse`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmbeddingEntry {
    /// Always `embedding`.
    pub object: &'static str,
    /// The position of its input.
    pub index: usize,
    /// The vector, as it was asked for.
    pub embedding: EncodedVector,
}

/// A vector on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EncodedVector {
    /// [`EncodingFormat::Float`].
    Float(Vec<f32>),
    /// [`EncodingFormat::Base64`].
    Base64(String),
}

/// Tokens, as the model's own tokenizer counts them; an estimate where the provider says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of all inputs, each counted as often as it was sent.
    pub prompt_tokens: u64,
    /// The same: embedding makes no tokens.
    pub total_tokens: u64,
}

/// OpenAI's `GET /v1/models`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelsResponse {
    /// Always `list`.
    pub object: &'static str,
    /// The model and its aliases.
    pub data: Vec<ModelEntry>,
}

/// One name under which the model can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelEntry {
    /// The name.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// When it was made, seconds since the Unix epoch; unknown here, so 0.
    pub created: u64,
    /// The provider.
    pub owned_by: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(json: &str) -> Result<EmbeddingsInput, String> {
        let body = format!(r#"{{"model": "m", "input": {json}}}"#);
        serde_json::from_str::<EmbeddingsRequest>(&body).map(|request| request.input).map_err(|error| error.to_string())
    }

    #[test]
    fn input_takes_every_shape_that_openai_has() {
        let texts = |list: &[&str]| Ok(EmbeddingsInput::Texts(list.iter().map(|text| (*text).to_owned()).collect()));
        assert_eq!(input(r#""one""#), texts(&["one"]));
        assert_eq!(input(r#""with \"escape\"""#), texts(&["with \"escape\""]));
        assert_eq!(input(r#"["a", "b"]"#), texts(&["a", "b"]));
        assert_eq!(input("[]"), texts(&[]));
        assert_eq!(input("[1, 2]"), Ok(EmbeddingsInput::Tokens));
        assert_eq!(input("[[1, 2], [3]]"), Ok(EmbeddingsInput::Tokens));
    }

    #[test]
    fn other_shapes_are_told_what_is_wanted() {
        for bad in ["null", "1", "{}", "[null]", "[[\"a\"]]", "[\"a\", 1]", "[-1]", "[1.5]"] {
            let error = input(bad).unwrap_err();
            assert!(error.contains("string") || error.contains("u64"), "{bad}: {error}");
        }
    }

    #[test]
    fn vectors_are_written_plainly() {
        let entry = |embedding| EmbeddingEntry { object: "embedding", index: 1, embedding };
        assert_eq!(
            serde_json::to_string(&entry(EncodedVector::Float(vec![0.1, -2.0]))).unwrap(),
            r#"{"object":"embedding","index":1,"embedding":[0.1,-2.0]}"#
        );
        assert_eq!(
            serde_json::to_string(&entry(EncodedVector::Base64("AAA=".into()))).unwrap(),
            r#"{"object":"embedding","index":1,"embedding":"AAA="}"#
        );
    }
}
