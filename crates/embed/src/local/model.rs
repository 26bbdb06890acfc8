use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::BertModel;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::{
    NAME,
    files::{LoadError, Settings, read_file},
    pooling::{self, Pooling},
};
use crate::{Embedding, ProviderError};

/// The cap on the weights; the largest BERTs have 1.3 GB.
const MAX_WEIGHT_BYTES: u64 = 8 << 30;
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;
/// Tokens of one forward pass, padding included: what a pass holds in memory grows with them
/// (attention: heads x length^2 x 4 bytes a text), and more of them are no faster.
const PASS_TOKENS: usize = 2048;

/// A loaded model.
pub(super) struct Model {
    tokenizer: Tokenizer,
    encoder: BertModel,
    hidden: usize,
    pad: u32,
    pooling: Pooling,
    normalize: bool,
    lower_case: bool,
    prompt: String,
}

impl Model {
    pub(super) fn load(directory: &Path) -> Result<Self, LoadError> {
        let settings = Settings::read(directory)?;
        let tokenizer = tokenizer(directory, &settings)?;
        let encoder = encoder(directory, &settings)?;
        let Settings { bert, pooling, normalize, lower_case, prompt, .. } = settings;
        let pad = u32::try_from(bert.pad_token_id).unwrap_or(0);
        Ok(Self { tokenizer, encoder, hidden: bert.hidden_size, pad, pooling, normalize, lower_case, prompt })
    }

    pub(super) const fn dimension(&self) -> usize {
        self.pooling.dimension(self.hidden)
    }

    /// Embeds `texts`, the shortest first. Stops between two passes when `given_up` says so.
    pub(super) fn embed(&self, texts: &[String], given_up: impl Fn() -> bool) -> Result<Vec<Embedding>, ProviderError> {
        let mut encoded = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            encoded.push((place, self.encode(text)?));
        }
        encoded.sort_by_key(|(_, encoding)| encoding.len());
        let mut made: Vec<(usize, Embedding)> = Vec::with_capacity(texts.len());
        let mut rest = encoded.as_slice();
        while !rest.is_empty() {
            if given_up() {
                return Err(ProviderError::failed(NAME, "the caller has gone"));
            }
            let (pass, later) = rest.split_at(pass_length(rest));
            let vectors = self.pass(pass).map_err(|error| broken(&error))?;
            made.extend(
                pass.iter()
                    .zip(vectors)
                    .map(|((place, encoding), vector)| (*place, Embedding { vector, tokens: encoding.len() as u64 })),
            );
            rest = later;
        }
        made.sort_by_key(|(place, _)| *place);
        Ok(made.into_iter().map(|(_, embedding)| embedding).collect())
    }

    fn encode(&self, text: &str) -> Result<Encoding, ProviderError> {
        let mut text = format!("{}{}", self.prompt, text.trim());
        if self.lower_case {
            text = text.to_lowercase();
        }
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| broken(&error))?;
        if encoding.is_empty() {
            return Err(ProviderError::failed(NAME, "its tokenizer makes nothing of a text"));
        }
        Ok(encoding)
    }

    /// One forward pass over texts of about the same length.
    fn pass(&self, texts: &[(usize, Encoding)]) -> candle_core::Result<Vec<Vec<f32>>> {
        let longest = texts.iter().map(|(_, encoding)| encoding.len()).max().unwrap_or(0);
        let shape = (texts.len(), longest);
        let padded = |part: fn(&Encoding) -> &[u32], pad: u32| {
            let mut rows = Vec::with_capacity(texts.len() * longest);
            for (row, (_, encoding)) in texts.iter().enumerate() {
                rows.extend_from_slice(part(encoding));
                rows.resize((row + 1) * longest, pad);
            }
            Tensor::from_vec(rows, shape, &Device::Cpu)
        };
        let ids = padded(Encoding::get_ids, self.pad)?;
        let types = padded(Encoding::get_type_ids, 0)?;
        let mask = padded(Encoding::get_attention_mask, 0)?;
        let hidden = self.encoder.forward(&ids, &types, Some(&mask))?.flatten_all()?.to_vec1::<f32>()?;
        let rows = hidden.chunks_exact(longest * self.hidden);
        Ok(rows.zip(texts).map(|(row, (_, encoding))| self.pool(&row[..encoding.len() * self.hidden])).collect())
    }

    fn pool(&self, tokens: &[f32]) -> Vec<f32> {
        let mut vector = self.pooling.pool(tokens, self.hidden);
        if self.normalize {
            pooling::normalize(&mut vector);
        }
        vector
    }
}

/// How many of `texts`, which are sorted by length, go through one pass.
fn pass_length(texts: &[(usize, Encoding)]) -> usize {
    let fits = |(before, (_, encoding)): &(usize, &(usize, Encoding))| (before + 1) * encoding.len() <= PASS_TOKENS;
    texts.iter().enumerate().take_while(fits).count().max(1)
}

/// The message is for the log: it may quote the text.
fn broken(error: &dyn std::fmt::Display) -> ProviderError {
    ProviderError::Failed {
        provider: NAME,
        reason: error.to_string(),
        public: "it could not embed these texts".to_owned(),
    }
}

fn tokenizer(directory: &Path, settings: &Settings) -> Result<Tokenizer, LoadError> {
    const FILE: &str = "tokenizer.json";
    let refused = |reason: String| LoadError::new(FILE, reason);
    let bytes = read_file(directory, &settings.home.join(FILE), MAX_TOKENIZER_BYTES)?;
    let bytes = bytes.ok_or_else(|| refused("there is no such file".to_owned()))?;
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| refused(error.to_string()))?;
    let highest = tokenizer.get_vocab(true).into_values().max();
    if highest.is_none_or(|highest| highest as usize >= settings.bert.vocab_size) {
        let size = settings.bert.vocab_size;
        return Err(refused(format!("its highest token is {highest:?}, and config.json's vocab_size {size}")));
    }
    // What the file itself says of cutting and padding is left from training.
    let cut = TruncationParams { max_length: settings.max_sequence, ..TruncationParams::default() };
    tokenizer.with_padding(None).with_truncation(Some(cut)).map_err(|error| refused(error.to_string()))?;
    Ok(tokenizer)
}

fn encoder(directory: &Path, settings: &Settings) -> Result<BertModel, LoadError> {
    const FILE: &str = "model.safetensors";
    let refused = |reason: String| LoadError::new(FILE, reason);
    // Read, not mapped: a mapped file that someone truncates later kills the process.
    let bytes = read_file(directory, &settings.home.join(FILE), MAX_WEIGHT_BYTES)?;
    let bytes = bytes.ok_or_else(|| refused("there is no such file".to_owned()))?;
    let weights = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu)
        .map_err(|error| refused(format!("it is not a safetensors file: {}", first_line(&error))))?;
    BertModel::load(weights, &settings.bert).map_err(|error| refused(first_line(&error)))
}

/// candle's errors carry a backtrace where the environment asks for one.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
