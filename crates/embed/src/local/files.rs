use std::{
    fs::File,
    io::Read as _,
    path::{Component, Path, PathBuf},
};

use candle_transformers::models::bert;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::pooling::{Mode, Pooling};

/// A JSON file of a model that is longer than this is no such file; the largest vocabularies have 20 MB.
const MAX_JSON_BYTES: u64 = 256 << 20;
/// More than any BERT has; a config that says more is wrong, and would ask for absurd memory.
const MAX_SIZE: usize = 1 << 16;
const MAX_VOCABULARY: usize = 1 << 22;
/// `[CLS]`, `[SEP]` and something between them.
const MIN_SEQUENCE: usize = 3;

/// Why a model directory can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct LoadError {
    file: String,
    reason: String,
}

impl LoadError {
    pub(super) fn new(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), reason: reason.into() }
    }
}

/// What the JSON files of a model directory say.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) bert: bert::Config,
    /// Where `config.json`, the tokenizer and the weights are, relative to the directory.
    pub(super) home: PathBuf,
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    /// Longer texts are cut after so many tokens.
    pub(super) max_sequence: usize,
    pub(super) lower_case: bool,
    /// Put in front of every text.
    pub(super) prompt: String,
}

impl Settings {
    pub(super) fn read(directory: &Path) -> Result<Self, LoadError> {
        if !directory.is_dir() {
            return Err(LoadError::new("the directory", "it does not exist"));
        }
        let modules = Modules::read(directory)?;
        let home = modules.transformer;
        let config: BertFile = required(directory, &home.join("config.json"))?;
        let bert = config.checked().map_err(|reason| LoadError::new("config.json", reason))?;
        let sentence: SentenceFile = optional(directory, &home.join("sentence_bert_config.json"))?.unwrap_or_default();
        let tokenizer: TokenizerFile = optional(directory, &home.join("tokenizer_config.json"))?.unwrap_or_default();
        let max_sequence = sentence.max_seq_length.or(tokenizer.length()).unwrap_or(bert.max_position_embeddings);
        let max_sequence = max_sequence.min(bert.max_position_embeddings);
        if max_sequence < MIN_SEQUENCE {
            return Err(LoadError::new("sentence_bert_config.json", format!("max_seq_length: {max_sequence}")));
        }
        let (pooling, include_prompt) = modules.pooling.read(directory, bert.hidden_size)?;
        let prompts: PromptFile =
            optional(directory, Path::new("config_sentence_transformers.json"))?.unwrap_or_default();
        let prompt = prompts.default_prompt();
        if !prompt.is_empty() && !include_prompt {
            return Err(LoadError::new("1_Pooling/config.json", "include_prompt: false is not supported"));
        }
        let lower_case = sentence.do_lower_case;
        Ok(Self { bert, home, pooling, normalize: modules.normalize, max_sequence, lower_case, prompt })
    }
}

/// `modules.json`: the stages of a sentence model.
struct Modules {
    transformer: PathBuf,
    pooling: PoolingAt,
    normalize: bool,
}

/// Where the pooling is described.
enum PoolingAt {
    /// The file must be there.
    Required(PathBuf),
    /// The file may be there.
    Optional(PathBuf),
    /// `modules.json` has no such stage.
    Mean,
}

#[derive(Deserialize)]
struct ModuleFile {
    path: PathBuf,
    #[serde(rename = "type")]
    kind: String,
}

impl Modules {
    fn read(directory: &Path) -> Result<Self, LoadError> {
        const FILE: &str = "modules.json";
        let Some(stages) = optional::<Vec<ModuleFile>>(directory, Path::new(FILE))? else {
            let pooling = PoolingAt::Optional("1_Pooling/config.json".into());
            return Ok(Self { transformer: PathBuf::new(), pooling, normalize: true });
        };
        let mut modules = Self { transformer: PathBuf::new(), pooling: PoolingAt::Mean, normalize: false };
        for (place, stage) in stages.into_iter().enumerate() {
            if stage.path.components().any(|part| !matches!(part, Component::Normal(_))) {
                return Err(LoadError::new(FILE, format!("`{}` leads out of the directory", stage.path.display())));
            }
            // The module path before the class name has changed over the years.
            match (place, stage.kind.rsplit('.').next().unwrap_or_default()) {
                (0, "Transformer") => modules.transformer = stage.path,
                (1, "Pooling") => modules.pooling = PoolingAt::Required(stage.path.join("config.json")),
                (1 | 2, "Normalize") => modules.normalize = true,
                _ => {
                    let reason = format!("`{}` at place {place} is not supported", stage.kind);
                    return Err(LoadError::new(FILE, reason));
                }
            }
        }
        Ok(modules)
    }
}

impl PoolingAt {
    /// The pooling, and whether the tokens of a prompt are part of it.
    fn read(&self, directory: &Path, hidden: usize) -> Result<(Pooling, bool), LoadError> {
        let (file, path) = match self {
            Self::Mean => return Ok((Pooling::mean(), true)),
            Self::Required(path) => (required::<PoolingFile>(directory, path)?, path),
            Self::Optional(path) => match optional::<PoolingFile>(directory, path)? {
                Some(file) => (file, path),
                None => return Ok((Pooling::mean(), true)),
            },
        };
        let refused = |reason: String| LoadError::new(path.display().to_string(), reason);
        if file.dimension.is_some_and(|dimension| dimension != hidden) {
            return Err(refused(format!("its dimension is not the {hidden} of config.json")));
        }
        Ok((Pooling::new(file.modes().map_err(refused)?), file.include_prompt.unwrap_or(true)))
    }
}

/// `1_Pooling/config.json`: the present form (`pooling_mode`) or the earlier one (a flag a mode).
#[derive(Deserialize)]
struct PoolingFile {
    #[serde(alias = "word_embedding_dimension", rename = "embedding_dimension")]
    dimension: Option<usize>,
    pooling_mode: Option<OneOrMany>,
    include_prompt: Option<bool>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl PoolingFile {
    fn modes(&self) -> Result<Vec<Mode>, String> {
        let names = match &self.pooling_mode {
            Some(OneOrMany::One(name)) => vec![name.as_str()],
            Some(OneOrMany::Many(names)) => names.iter().map(String::as_str).collect(),
            None => {
                let on = |flag: &str| self.others.get(flag).and_then(Value::as_bool).unwrap_or(false);
                // In the order in which sentence-transformers joins them.
                let flags = [
                    ("pooling_mode_cls_token", "cls"),
                    ("pooling_mode_max_tokens", "max"),
                    ("pooling_mode_mean_tokens", "mean"),
                    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
                    ("pooling_mode_weightedmean_tokens", "weightedmean"),
                    ("pooling_mode_lasttoken", "lasttoken"),
                ];
                flags.into_iter().filter(|(flag, _)| on(flag)).map(|(_, name)| name).collect()
            }
        };
        if names.is_empty() {
            return Ok(vec![Mode::Mean]);
        }
        names.into_iter().map(|name| Mode::named(name).ok_or(format!("pooling_mode: `{name}` is not known"))).collect()
    }
}

/// `sentence_bert_config.json`.
#[derive(Default, Deserialize)]
struct SentenceFile {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

/// `tokenizer_config.json`, of which only the length counts: the rest is in `tokenizer.json`.
#[derive(Default, Deserialize)]
struct TokenizerFile {
    /// 1e30 where there is no limit.
    model_max_length: Option<f64>,
}

impl TokenizerFile {
    fn length(&self) -> Option<usize> {
        // A cast of a float saturates.
        self.model_max_length.map(|length| length as usize)
    }
}

/// `config_sentence_transformers.json`.
#[derive(Default, Deserialize)]
struct PromptFile {
    #[serde(default)]
    prompts: Map<String, Value>,
    default_prompt_name: Option<String>,
}

impl PromptFile {
    fn default_prompt(&self) -> String {
        let prompt = self.default_prompt_name.as_ref().and_then(|name| self.prompts.get(name));
        prompt.and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// `config.json`, as far as the encoder needs it.
#[derive(Deserialize)]
struct BertFile {
    model_type: Option<String>,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    #[serde(default)]
    pad_token_id: Option<usize>,
    position_embedding_type: Option<String>,
}

const fn default_epsilon() -> f64 {
    1e-12
}

impl BertFile {
    /// Refuses what the encoder would read as something else, and what it would panic on.
    fn checked(self) -> Result<bert::Config, String> {
        let model_type = self.model_type.as_deref().unwrap_or("bert");
        if model_type != "bert" {
            return Err(format!("model_type: `{model_type}` is not supported, only `bert` is"));
        }
        let positions = self.position_embedding_type.as_deref().unwrap_or("absolute");
        if positions != "absolute" {
            return Err(format!("position_embedding_type: `{positions}` is not supported, only `absolute` is"));
        }
        for (key, value, most) in [
            ("vocab_size", self.vocab_size, MAX_VOCABULARY),
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_SIZE),
            ("num_attention_heads", self.num_attention_heads, self.hidden_size),
            ("intermediate_size", self.intermediate_size, MAX_SIZE),
            ("max_position_embeddings", self.max_position_embeddings, MAX_SIZE),
            ("type_vocab_size", self.type_vocab_size, MAX_SIZE),
        ] {
            if value == 0 || value > most {
                return Err(format!("{key}: {value} is not in 1 to {most}"));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err("hidden_size: it is not a multiple of num_attention_heads".to_owned());
        }
        let hidden_act = match self.hidden_act.as_str() {
            "gelu" => bert::HiddenAct::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => bert::HiddenAct::GeluApproximate,
            "relu" => bert::HiddenAct::Relu,
            other => return Err(format!("hidden_act: `{other}` is not supported")),
        };
        Ok(bert::Config {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            hidden_act,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: self.type_vocab_size,
            layer_norm_eps: self.layer_norm_eps,
            pad_token_id: self.pad_token_id.unwrap_or(0),
            ..bert::Config::default()
        })
    }
}

fn required<T: DeserializeOwned>(directory: &Path, name: &Path) -> Result<T, LoadError> {
    let shown = name.display().to_string();
    optional(directory, name)?.ok_or_else(|| LoadError::new(shown, "there is no such file"))
}

fn optional<T: DeserializeOwned>(directory: &Path, name: &Path) -> Result<Option<T>, LoadError> {
    let Some(bytes) = read_file(directory, name, MAX_JSON_BYTES)? else { return Ok(None) };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| LoadError::new(name.display().to_string(), error.to_string()))
}

/// A file's bytes, up to `max`; `None` where there is none.
pub(super) fn read_file(directory: &Path, name: &Path, max: u64) -> Result<Option<Vec<u8>>, LoadError> {
    let refused = |reason: String| LoadError::new(name.display().to_string(), reason);
    let file = match File::open(directory.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error.to_string())),
    };
    let mut bytes = Vec::new();
    // One more than may be there tells a file at the cap from one over it.
    file.take(max + 1).read_to_end(&mut bytes).map_err(|error| refused(error.to_string()))?;
    if bytes.len() as u64 > max {
        return Err(refused(format!("it is longer than {max} bytes")));
    }
    Ok(Some(bytes))
}
