//! The routes over the built-in provider: shapes, refusals, caps.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use serde_json::{Value, json};
use support::Embedd;

fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[tokio::test]
async fn embed_answers_one_unit_vector_a_text_in_order() {
    let embedd = Embedd::start(&[]).await;
    let answer = embedd.post("/embed", &json!({"texts": ["oil prices", "a storm", "oil prices"]})).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    let body = answer.json();
    assert_eq!((&body["model"], &body["dimension"]), (&json!("hash-v1"), &json!(384)));
    let vectors: Vec<Vec<f32>> = body["vectors"].as_array().unwrap().iter().map(numbers).collect();
    assert_eq!(vectors.len(), 3);
    assert_eq!(vectors[0], vectors[2]);
    assert_ne!(vectors[0], vectors[1]);
    for vector in vectors {
        assert_eq!(vector.len(), 384);
        assert!((vector.iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let again = embedd.post("/embed", &json!({"texts": ["oil prices"], "model": "hash"})).await.json();
    assert_eq!(again["vectors"][0], body["vectors"][0]);
}

#[tokio::test]
async fn embed_says_what_is_wrong() {
    let embedd = Embedd::start(&[("embedd.max_texts", "3"), ("embedd.max_text_bytes", "10")]).await;
    for (body, status, words) in [
        (json!({"texts": []}), 400, "no text"),
        (json!({"texts": ["a", ""]}), 400, "position 1 is empty"),
        (json!({"texts": [" \t"]}), 400, "position 0 is empty"),
        (json!({"texts": ["a", "b", "c", "d"]}), 413, "4 texts are more than the 3"),
        (json!({"texts": ["a", "12345678901"]}), 413, "position 1 has 11 bytes"),
        (json!({"texts": ["a"], "model": "other"}), 404, "`hash-v1` is served"),
        (json!({"texts": "a"}), 400, "texts"),
        (json!({"texts": [1]}), 400, "texts"),
        (json!({}), 400, "texts"),
        (json!({"texts": ["a"], "extra": 1}), 400, "extra"),
    ] {
        let answer = embedd.post("/embed", &body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.detail().contains(words), "{body}: {}", answer.detail());
    }
    assert_eq!(embedd.post_text("/embed", "text/plain", "{}").await.status, 415);
    assert_eq!(embedd.post_text("/embed", "application/json", "{\"texts\": [").await.status, 400);
    assert_eq!(embedd.get("/embed").await.status, 405);
}

#[tokio::test]
async fn a_body_over_the_cap_is_413() {
    let embedd = Embedd::start(&[("embedd.max_body_bytes", "1000")]).await;
    for path in ["/embed", "/v1/embeddings"] {
        let body = format!("{{\"texts\": [\"{}\"]}}", "a".repeat(1000));
        let answer = embedd.post_text(path, "application/json", &body).await;
        assert_eq!(answer.status, 413, "{path}");
        assert!(answer.detail().contains("cap"));
    }
}

#[tokio::test]
async fn embeddings_are_openais_in_both_formats() {
    let embedd = Embedd::start(&[]).await;
    let one = json!({"input": "oil prices rise", "model": "hash-v1"});
    let float = embedd.post("/v1/embeddings", &one).await.json();
    assert_eq!(float["object"], "list");
    assert_eq!(float["model"], "hash-v1");
    assert_eq!(float["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    assert_eq!(float["data"].as_array().unwrap().len(), 1);
    assert_eq!((&float["data"][0]["object"], &float["data"][0]["index"]), (&json!("embedding"), &json!(0)));
    let plain = embedd.post("/embed", &json!({"texts": ["oil prices rise"]})).await.json();
    assert_eq!(float["data"][0]["embedding"], plain["vectors"][0]);

    let many = json!({
        "input": ["a storm", "oil prices rise"], "model": "hash", "encoding_format": "base64", "dimensions": 384,
        "user": "someone"
    });
    let base64 = embedd.post("/v1/embeddings", &many).await.json();
    assert_eq!(base64["usage"]["total_tokens"], 5);
    assert_eq!(base64["data"][1]["index"], 1);
    let decoded = lakehouse_embed::base64::decode(base64["data"][1]["embedding"].as_str().unwrap()).unwrap();
    assert_eq!(decoded, numbers(&plain["vectors"][0]));
}

#[tokio::test]
async fn embeddings_refuse_in_a_shape_that_openais_clients_read() {
    let embedd = Embedd::start(&[]).await;
    for (body, status, words) in [
        (json!({"input": "a", "model": "text-embedding-3-small"}), 404, "no model `text-embedding-3-small`"),
        (json!({"input": "a"}), 400, "model"),
        (json!({"model": "hash"}), 400, "input"),
        (json!({"input": [], "model": "hash"}), 400, "no text"),
        (json!({"input": ["a", ""], "model": "hash"}), 400, "position 1 is empty"),
        (json!({"input": [1, 2, 3], "model": "hash"}), 400, "token ids are not taken"),
        (json!({"input": [[1, 2], [3]], "model": "hash"}), 400, "token ids are not taken"),
        (json!({"input": ["a", 1], "model": "hash"}), 400, "not of both"),
        (json!({"input": {"a": 1}, "model": "hash"}), 400, "a string or a list of strings"),
        (json!({"input": "a", "model": "hash", "dimensions": 256}), 400, "384 dimensions, not 256"),
        (json!({"input": "a", "model": "hash", "encoding_format": "int8"}), 400, "int8"),
        (json!({"input": "a", "model": "hash", "truncate": true}), 400, "truncate"),
    ] {
        let answer = embedd.post("/v1/embeddings", &body).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.detail().contains(words), "{body}: {}", answer.detail());
        let error = &answer.json()["error"];
        assert_eq!(error["message"], answer.detail());
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error["code"], if status == 404 { json!("model_not_found") } else { Value::Null });
    }
}

#[tokio::test]
async fn models_are_listed_with_their_aliases() {
    let embedd = Embedd::start(&[("embedd.model_aliases", "text-embedding-3-small, hash")]).await;
    let models = embedd.get("/v1/models").await.json();
    let names: Vec<&str> = models["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["hash-v1", "text-embedding-3-small", "hash"]);
    let body = json!({"input": "a", "model": "text-embedding-3-small"});
    assert_eq!(embedd.post("/v1/embeddings", &body).await.json()["model"], "hash-v1");
}

#[tokio::test]
async fn health_and_metrics_tell_who_embeds() {
    let embedd = Embedd::start(&[("embedd.dimension", "64")]).await;
    let health = embedd.get("/health").await.json();
    assert_eq!(
        (&health["provider"], &health["model"], &health["dimension"]),
        (&json!("hash"), &json!("hash-v1"), &json!(64))
    );
    embedd.post("/embed", &json!({"texts": ["a", "b", "a"]})).await;
    embedd.post("/embed", &json!({"texts": ["a"]})).await;
    let metrics = embedd.get("/metrics").await.text;
    for line in
        ["embed_texts_total 4", "embed_cache_hits_total 1", "embed_cache_misses_total 2", "provider_calls_total 1"]
    {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn a_configuration_that_can_not_be_served_names_its_key() {
    for (flags, words) in [
        (vec![("embedd.dimension", "3")], "embedd.dimension: 3"),
        (vec![("embedd.model", "mine")], "embedd.model"),
        (vec![("embedd.provider", "local")], "embedd.model_dir"),
        (vec![("embedd.provider", "local"), ("embedd.model_dir", "/nowhere")], "embedd.model_dir"),
        (vec![("embedd.provider", "openai"), ("embedd.api_key", "two\nlines")], "embedd.api_key"),
    ] {
        let error = Embedd::refused(&flags).await.to_string();
        assert!(error.contains(words), "{flags:?}: {error}");
        assert!(!error.contains("two\nlines"), "{error}");
    }
}

#[tokio::test]
async fn a_local_model_is_served_under_its_directorys_name() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/embed/tests/fixtures/tiny-bert");
    let embedd = Embedd::start(&[("embedd.provider", "local"), ("embedd.model_dir", directory)]).await;
    let health = embedd.get("/health").await.json();
    assert_eq!((&health["model"], &health["dimension"]), (&json!("tiny-bert"), &json!(16)));
    let many: Vec<String> = (0..200).map(|i| format!("oil prices {i}")).collect();
    let mut vectors = Vec::new();
    for texts in many.chunks(50) {
        let answer = embedd.post("/embed", &json!({"texts": texts})).await.json();
        vectors.extend(answer["vectors"].as_array().unwrap().clone());
    }
    assert_eq!(vectors.len(), 200);
    let usage = embedd.post("/v1/embeddings", &json!({"input": ["oil", "x"], "model": "local"})).await.json();
    assert_eq!(usage["usage"]["prompt_tokens"], 6);
}
