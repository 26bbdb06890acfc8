//! Remote providers that answer, refuse, talk nonsense, fall silent or hang up.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use serde_json::{Value, json};
use support::{Embedd, Upstream, soon};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

fn texts(body: &Value) -> Vec<String> {
    serde_json::from_value(body["input"].clone()).unwrap()
}

/// Three numbers that tell the text from others.
fn vector(text: &str) -> Value {
    json!([text.len(), text.bytes().map(u32::from).sum::<u32>(), 0.5])
}

fn ollama(body: &Value) -> Response {
    let vectors: Vec<Value> = texts(body).iter().map(|text| vector(text)).collect();
    Json(json!({"model": body["model"], "embeddings": vectors, "prompt_eval_count": 7})).into_response()
}

fn openai(body: &Value) -> Response {
    let entry =
        |(index, text): (usize, &String)| json!({"object": "embedding", "index": index, "embedding": vector(text)});
    // The order of the list is not what counts.
    let data: Vec<Value> = texts(body).iter().enumerate().map(entry).rev().collect();
    Json(json!({"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 9}})).into_response()
}

fn answer(status: u16, body: &Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body.clone())).into_response()
}

async fn over(provider: &str, upstream: &Upstream, flags: &[(&str, &str)]) -> Embedd {
    let url = upstream.url();
    let mut all = vec![("embedd.provider", provider), ("embedd.url", url.as_str()), ("embedd.model", "m")];
    all.extend_from_slice(flags);
    Embedd::start(&all).await
}

#[tokio::test]
async fn ollama_is_asked_in_its_own_words() {
    let upstream = Upstream::start(|_, body| Some(ollama(body))).await;
    let embedd = over("ollama", &upstream, &[]).await;
    assert_eq!(embedd.get("/health").await.json()["dimension"], Value::Null);
    let body = embedd.post("/embed", &json!({"texts": ["bb", "a"]})).await.json();
    assert_eq!(body["vectors"], json!([[2.0, 196.0, 0.5], [1.0, 97.0, 0.5]]));
    assert_eq!((&body["model"], &body["dimension"]), (&json!("m"), &json!(3)));
    assert_eq!(embedd.get("/health").await.json()["dimension"], 3);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/api/embed");
    assert_eq!(seen[0].body["model"], "m");
    let usage = embedd.post("/v1/embeddings", &json!({"input": ["a", "bb"], "model": "m"})).await.json();
    assert_eq!(usage["usage"]["total_tokens"], 7);
    assert_eq!(upstream.seen().len(), 1, "the second request was answered from the cache");
}

#[tokio::test]
async fn openai_is_asked_with_its_key_and_dimension() {
    let upstream = Upstream::start(|_, body| Some(openai(body))).await;
    let url = format!("{}/v1/", upstream.url());
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "sk-from-a-file\n").unwrap();
    let key_file = key.path().to_str().unwrap();
    let flags = [("embedd.url", url.as_str()), ("embedd.api_key_file", key_file), ("embedd.dimension", "3")];
    let embedd = over("openai", &upstream, &flags).await;
    let body = embedd.post("/embed", &json!({"texts": ["bb", "a", "ccc"]})).await.json();
    assert_eq!(body["vectors"], json!([[2.0, 196.0, 0.5], [1.0, 97.0, 0.5], [3.0, 297.0, 0.5]]));
    let seen = upstream.seen();
    assert_eq!(seen[0].path, "/v1/embeddings");
    assert_eq!(seen[0].headers[header::AUTHORIZATION], "Bearer sk-from-a-file");
    assert_eq!(seen[0].body["encoding_format"], "float");
    assert_eq!(seen[0].body["dimensions"], 3);
    let usage = embedd.post("/v1/embeddings", &json!({"input": ["a", "bb", "ccc"], "model": "m"})).await.json();
    assert_eq!(usage["usage"]["total_tokens"], 9);
}

#[tokio::test]
async fn what_a_provider_refuses_is_502_with_its_words_where_they_are_harmless() {
    for (status, body, shown) in [
        (404, json!({"error": "model \"m\" not found, try pulling it first"}), Some("try pulling it first")),
        (400, json!({"error": {"message": "input is too long"}}), Some("input is too long")),
        (500, json!({"error": {"message": "see http://10.1.2.3/log"}}), None),
        (429, json!({"error": {"message": "limit reached for key sk-t**********alue"}}), None),
        (401, json!({"error": {"message": "who are you"}}), None),
        (302, json!({}), None),
        (503, json!("plain"), None),
    ] {
        let (said, key) = (body.clone(), ("embedd.api_key", "sk-test-secret-value"));
        let upstream = Upstream::start(move |_, _| Some(answer(status, &said))).await;
        let embedd = over("openai", &upstream, &[key]).await;
        let got = embedd.post("/v1/embeddings", &json!({"input": "a", "model": "m"})).await;
        assert_eq!(got.status, 502, "{status} {body}");
        let detail = got.detail();
        match shown {
            Some(words) => assert!(detail.contains(words), "{detail}"),
            None => assert!(!["10.1.2.3", "sk-", "alue", "who"].iter().any(|word| detail.contains(word)), "{detail}"),
        }
        assert_eq!(got.json()["error"]["type"], "server_error");
        assert_eq!(upstream.seen().len(), 1, "an answer is an answer: there is no second call");
        assert!(embedd.get("/metrics").await.text.contains("embed_provider_errors_total{reason=\"failed\"} 1"));
    }
}

#[tokio::test]
async fn nonsense_is_502() {
    type Play = fn(&Value) -> Response;
    let answers: [(&str, Play); 7] = [
        ("broken JSON", |_| (StatusCode::OK, "{\"embeddings\": [[").into_response()),
        ("no vectors", |_| answer(200, &json!({"model": "m"}))),
        ("too few", |_| answer(200, &json!({"embeddings": [[1.0, 2.0]]}))),
        ("too many", |_| answer(200, &json!({"embeddings": [[1.0], [1.0], [1.0]]}))),
        ("two lengths", |_| answer(200, &json!({"embeddings": [[1.0, 2.0], [1.0]]}))),
        ("a null", |_| answer(200, &json!({"embeddings": [[1.0, null], [1.0, 2.0]]}))),
        ("infinity", |_| (StatusCode::OK, "{\"embeddings\": [[1e39, 1.0], [1.0, 2.0]]}").into_response()),
    ];
    for (what, play) in answers {
        let upstream = Upstream::start(move |_, body| Some(play(body))).await;
        let embedd = over("ollama", &upstream, &[]).await;
        let got = embedd.post("/embed", &json!({"texts": ["a", "b"]})).await;
        assert_eq!(got.status, 502, "{what}: {}", got.text);
        assert!(got.detail().contains("nonsense"), "{what}: {}", got.detail());
    }
}

#[tokio::test]
async fn indices_that_are_not_the_texts_are_502() {
    for indices in [[0, 0], [1, 2]] {
        let upstream = Upstream::start(move |_, _| {
            let data = indices.map(|index| json!({"index": index, "embedding": [1.0]}));
            Some(answer(200, &json!({"data": data})))
        });
        let upstream = upstream.await;
        let got = over("openai", &upstream, &[]).await.post("/embed", &json!({"texts": ["a", "b"]})).await;
        assert_eq!(got.status, 502);
        assert!(got.detail().contains("indices"), "{}", got.detail());
    }
}

#[tokio::test]
async fn a_model_that_changes_its_dimension_is_502() {
    let upstream =
        Upstream::start(|number, _| Some(answer(200, &json!({"embeddings": [vec![1.0; number + 2]]})))).await;
    let embedd = over("ollama", &upstream, &[]).await;
    assert_eq!(embedd.post("/embed", &json!({"texts": ["a"]})).await.status, 200);
    let got = embedd.post("/embed", &json!({"texts": ["b"]})).await;
    assert_eq!(got.status, 502);
    assert!(got.detail().contains("3 dimensions among those of 2"), "{}", got.detail());
}

#[tokio::test]
async fn silence_is_504_and_ends_the_call() {
    let upstream = Upstream::start(|_, _| None).await;
    let embedd = over("ollama", &upstream, &[("embedd.timeout_seconds", "1")]).await;
    let got = embedd.post("/embed", &json!({"texts": ["a"]})).await;
    assert_eq!(got.status, 504);
    assert!(got.detail().contains("ollama did not answer in time"));
    soon(upstream.given_up.notified()).await;
    assert_eq!(upstream.seen().len(), 1, "silence is not asked twice");
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_call() {
    let upstream = Upstream::start(|_, _| None).await;
    let embedd = over("ollama", &upstream, &[]).await;
    let mut caller = TcpStream::connect(embedd.address).await.unwrap();
    let request = Embedd::request("/embed", "application/json", r#"{"texts": ["a"]}"#);
    caller.write_all(request.as_bytes()).await.unwrap();
    soon(async {
        while upstream.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(caller);
    soon(upstream.given_up.notified()).await;
}

/// Hangs up on the first `hang_ups` connections as soon as their request is there.
async fn unsteady(hang_ups: usize) -> (std::net::SocketAddr, &'static AtomicUsize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections: &'static AtomicUsize = Box::leak(Box::default());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let number = connections.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            if number >= hang_ups {
                let body = r#"{"embeddings": [[1.0, 2.0]]}"#;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_once_more() {
    for (hang_ups, status, connections) in [(0, 200, 1), (1, 200, 2), (2, 502, 2)] {
        let (address, seen) = unsteady(hang_ups).await;
        let url = format!("http://{address}");
        let embedd = Embedd::start(&[("embedd.provider", "ollama"), ("embedd.url", &url)]).await;
        let got = embedd.post("/embed", &json!({"texts": ["a"]})).await;
        assert_eq!(got.status, status, "{hang_ups}: {}", got.text);
        assert_eq!(seen.load(Ordering::SeqCst), connections, "{hang_ups}");
        if status == 502 {
            assert!(got.detail().contains("broke") && !got.detail().contains(&address.to_string()), "{}", got.detail());
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_502_without_its_address() {
    // A port that refuses: it is taken, but nobody listens.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let embedd = Embedd::start(&[("embedd.provider", "ollama"), ("embedd.url", &url)]).await;
    let got = embedd.post("/embed", &json!({"texts": ["a"]})).await;
    assert_eq!(got.status, 502);
    assert_eq!(got.detail(), "ollama failed: it can't be reached");
}

#[tokio::test]
async fn batches_are_bounded_on_the_wire() {
    let upstream = Upstream::start(|_, body| Some(ollama(body))).await;
    let embedd = over("ollama", &upstream, &[("embedd.batch_size", "3")]).await;
    let asked: Vec<String> = (1..=10).map(|n| "x".repeat(n)).collect();
    let body = embedd.post("/embed", &json!({"texts": asked})).await.json();
    let lengths: Vec<f64> = body["vectors"].as_array().unwrap().iter().map(|v| v[0].as_f64().unwrap()).collect();
    assert_eq!(lengths, (1..=10).map(f64::from).collect::<Vec<_>>());
    let mut sizes: Vec<usize> = upstream.seen().iter().map(|seen| texts(&seen.body).len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3, 3, 3]);
}
