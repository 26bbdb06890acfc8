use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{model::Model, *};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn tiny() -> PathBuf {
    fixtures().join("tiny-bert")
}

/// A copy of the tiny model, to be broken.
fn copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("1_Pooling")).unwrap();
    for file in [
        "config.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "1_Pooling/config.json",
    ] {
        fs::copy(tiny().join(file), copy.path().join(file)).unwrap();
    }
    copy
}

/// Changes one key of a JSON file; `null` removes it.
fn set(directory: &Path, file: &str, key: &str, value: Value) {
    let path = directory.join(file);
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    if value.is_null() {
        json.as_object_mut().unwrap().remove(key);
    } else {
        json[key] = value;
    }
    fs::write(path, json.to_string()).unwrap();
}

fn stages(directory: &Path, stages: &[(&str, &str)]) {
    let stages: Vec<Value> = stages
        .iter()
        .enumerate()
        .map(|(idx, (path, kind))| json!({"idx": idx, "name": idx.to_string(), "path": path, "type": kind}))
        .collect();
    fs::write(directory.join("modules.json"), Value::from(stages).to_string()).unwrap();
}

struct Reference {
    texts: Vec<String>,
    tokens: Vec<u64>,
    vectors: Value,
}

fn reference() -> Reference {
    let mut json: Value =
        serde_json::from_slice(&fs::read(fixtures().join("tiny-bert-reference.json")).unwrap()).unwrap();
    Reference {
        texts: serde_json::from_value(json["texts"].take()).unwrap(),
        tokens: serde_json::from_value(json["tokens"].take()).unwrap(),
        vectors: json["vectors"].take(),
    }
}

fn embed(directory: &Path, texts: &[String]) -> Vec<Embedding> {
    Model::load(directory).unwrap().embed(texts, || false).unwrap()
}

/// The largest difference of any number, over what sentence-transformers made of `case`.
fn difference(made: &[Embedding], case: &str) -> f32 {
    let expected: Vec<Vec<f32>> = serde_json::from_value(reference().vectors[case].clone()).unwrap();
    assert_eq!(made.len(), expected.len());
    let pairs = made.iter().zip(&expected).flat_map(|(made, expected)| {
        assert_eq!(made.vector.len(), expected.len());
        made.vector.iter().zip(expected)
    });
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_tiny_model_gives_what_sentence_transformers_gives() {
    let reference = reference();
    let made = embed(&tiny(), &reference.texts);
    assert!(difference(&made, "as configured") < 1e-5);
    assert_eq!(made.iter().map(|made| made.tokens).collect::<Vec<_>>(), reference.tokens);
    assert_eq!(*reference.tokens.iter().max().unwrap(), 16, "no text is cut, so cutting is not tested");
}

#[test]
fn every_way_of_pooling_is_as_its_config_says() {
    let copy = copy();
    let texts = reference().texts;
    stages(copy.path(), &[("", "sentence_transformers.models.Transformer"), ("1_Pooling", "x.y.Pooling")]);
    for (mode, flag) in [
        ("mean", "pooling_mode_mean_tokens"),
        ("cls", "pooling_mode_cls_token"),
        ("max", "pooling_mode_max_tokens"),
        ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"),
        ("weightedmean", "pooling_mode_weightedmean_tokens"),
        ("lasttoken", "pooling_mode_lasttoken"),
    ] {
        for config in [json!({ flag: true }), json!({"embedding_dimension": 16, "pooling_mode": mode})] {
            fs::write(copy.path().join("1_Pooling/config.json"), config.to_string()).unwrap();
            let difference = difference(&embed(copy.path(), &texts), mode);
            assert!(difference < 2e-5, "{config}: {difference}");
        }
    }
    let joined = json!({"pooling_mode": ["cls", "mean"]});
    fs::write(copy.path().join("1_Pooling/config.json"), joined.to_string()).unwrap();
    let both = embed(copy.path(), &texts[..1]);
    assert_eq!(both[0].vector.len(), 32);
    assert_eq!(Local::load(copy.path()).unwrap().dimension(), Some(32));
}

#[test]
fn without_modules_it_is_mean_and_normalize() {
    let copy = copy();
    for file in ["modules.json", "1_Pooling/config.json"] {
        fs::remove_file(copy.path().join(file)).unwrap();
    }
    assert!(difference(&embed(copy.path(), &reference().texts), "as configured") < 1e-5);
}

#[test]
fn neither_the_batch_nor_its_order_changes_a_vector() {
    let model = Model::load(&tiny()).unwrap();
    let texts: Vec<String> = reference().texts.into_iter().cycle().take(400).collect();
    let together = model.embed(&texts, || false).unwrap();
    for (text, made) in texts.iter().zip(&together) {
        let alone = model.embed(std::slice::from_ref(text), || false).unwrap().remove(0);
        assert_eq!(alone.tokens, made.tokens);
        let difference = alone.vector.iter().zip(&made.vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "{text:?}: {difference}");
    }
}

#[test]
fn the_length_is_the_least_of_what_the_files_say() {
    let long = ["oil prices rise ".repeat(30)];
    let tokens = |directory: &Path| embed(directory, &long)[0].tokens;
    let copy = copy();
    assert_eq!(tokens(copy.path()), 16);
    set(copy.path(), "sentence_bert_config.json", "max_seq_length", json!(1000));
    assert_eq!(tokens(copy.path()), 32, "config.json has no more positions");
    fs::remove_file(copy.path().join("sentence_bert_config.json")).unwrap();
    set(copy.path(), "tokenizer_config.json", "model_max_length", json!(12));
    assert_eq!(tokens(copy.path()), 12);
    set(copy.path(), "tokenizer_config.json", "model_max_length", json!(1e30));
    assert_eq!(tokens(copy.path()), 32);
}

#[test]
fn a_default_prompt_stands_before_every_text() {
    let copy = copy();
    let plain = embed(copy.path(), &["search: oil".to_owned()]);
    let prompts = json!({"prompts": {"query": "search: ", "doc": ""}, "default_prompt_name": "query"});
    fs::write(copy.path().join("config_sentence_transformers.json"), prompts.to_string()).unwrap();
    assert_eq!(embed(copy.path(), &["oil".to_owned()]), plain);
    set(copy.path(), "1_Pooling/config.json", "include_prompt", json!(false));
    let error = Local::load(copy.path()).unwrap_err().to_string();
    assert!(error.contains("include_prompt"), "{error}");
}

#[test]
fn a_config_that_can_not_be_served_names_file_and_key() {
    for (file, key, value, words) in [
        ("config.json", "model_type", json!("roberta"), "`roberta` is not supported"),
        ("config.json", "position_embedding_type", json!("relative_key"), "relative_key"),
        ("config.json", "hidden_act", json!("swish"), "`swish`"),
        ("config.json", "hidden_size", Value::Null, "hidden_size"),
        ("config.json", "num_attention_heads", json!(0), "num_attention_heads: 0"),
        ("config.json", "num_attention_heads", json!(3), "multiple"),
        ("config.json", "num_hidden_layers", json!(1_000_000), "num_hidden_layers"),
        ("config.json", "vocab_size", json!(10), "tokenizer.json: its highest token"),
        ("config.json", "hidden_size", json!(32), "model.safetensors: shape mismatch"),
        ("config.json", "num_hidden_layers", json!(3), "`encoder.layer.2.attention.self.query.weight` not found"),
        ("sentence_bert_config.json", "max_seq_length", json!(2), "max_seq_length: 2"),
        ("1_Pooling/config.json", "pooling_mode", json!("attention"), "`attention`"),
        ("1_Pooling/config.json", "word_embedding_dimension", json!(8), "dimension"),
    ] {
        let copy = copy();
        set(copy.path(), file, key, value);
        // The dimension of the pooling would be found first.
        if (file, key) == ("config.json", "hidden_size") {
            set(copy.path(), "1_Pooling/config.json", "word_embedding_dimension", Value::Null);
        }
        let error = Local::load(copy.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{file} {key}: {error}");
        assert!(!error.contains('\n') && !error.contains(&copy.path().display().to_string()), "{error}");
    }
}

#[test]
fn stages_that_are_not_known_are_refused() {
    for (list, words) in [
        (vec![("", "m.Transformer"), ("1_Pooling", "m.Pooling"), ("2_Dense", "m.Dense")], "m.Dense"),
        (vec![("", "m.WordEmbeddings")], "m.WordEmbeddings"),
        (vec![("../other", "m.Transformer")], "leads out"),
        (vec![("/etc", "m.Transformer")], "leads out"),
    ] {
        let copy = copy();
        stages(copy.path(), &list);
        let error = Local::load(copy.path()).unwrap_err().to_string();
        assert!(error.starts_with("modules.json") && error.contains(words), "{error}");
    }
}

#[test]
fn missing_and_broken_files_are_errors() {
    assert!(Local::load(Path::new("/nowhere/at/all")).unwrap_err().to_string().contains("does not exist"));
    for file in ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"] {
        let copy = copy();
        fs::remove_file(copy.path().join(file)).unwrap();
        let error = Local::load(copy.path()).unwrap_err().to_string();
        assert_eq!(error, format!("{file}: there is no such file"));
        fs::write(copy.path().join(file), b"{\"half").unwrap();
        let error = Local::load(copy.path()).unwrap_err().to_string();
        assert!(error.starts_with(file), "{error}");
    }
}

/// Every truncation and every flipped bit of the header, and some of the rest: an error, or a model
/// that works, and never a panic.
#[test]
fn broken_weights_never_panic() {
    let copy = copy();
    let path = copy.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let header = 8 + usize::try_from(u64::from_le_bytes(whole[..8].try_into().unwrap())).unwrap();
    for length in (0..header).step_by(211).chain([header, whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Local::load(copy.path()).unwrap_err().to_string();
        assert!(error.starts_with("model.safetensors: it is not a safetensors file"), "{length}: {error}");
    }
    for place in (0..8).chain((8..header).step_by(97)) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&path, &bytes).unwrap();
        if let Ok(model) = Model::load(copy.path()) {
            let _ = model.embed(&["oil".to_owned()], || false);
        }
    }
}

#[tokio::test]
async fn the_provider_answers_from_its_thread_and_drops_what_nobody_waits_for() {
    let local = Local::load(&tiny()).unwrap();
    assert_eq!((local.name(), local.dimension()), ("local", Some(16)));
    let texts = reference().texts;
    let slow: Vec<String> = (0..20_000).map(|i| format!("oil prices {i}")).collect();
    let given_up = tokio::time::timeout(Duration::from_millis(1), local.embed(&slow)).await;
    assert!(given_up.is_err());
    let made = local.embed(&texts).await.unwrap();
    assert!(difference(&made, "as configured") < 1e-5);
}

#[test]
fn a_caller_that_has_gone_stops_the_model_between_two_passes() {
    let model = Model::load(&tiny()).unwrap();
    let texts: Vec<String> = (0..2000).map(|i| format!("oil prices rise {i}")).collect();
    let asked = std::cell::Cell::new(0);
    let error = model.embed(&texts, || asked.replace(asked.get() + 1) == 3).unwrap_err();
    assert!(error.to_string().contains("has gone"));
    assert_eq!(asked.get(), 4);
}
