//! The clients of catalogd, embedd and chat: what they send, and what they make of the answers.

use lakehouse_client::{CatalogClient, ChatClient, ChatMessage, ChatRequest, ClientOptions, EmbedClient, Error};
use lakehouse_types::{
    ErrorKind, Name, ServiceError as _,
    catalog::{Column, DataObject, Mode, RegisterRequest},
    embed::EmbedRequest,
};

use crate::server::{Act, Server, answer, options, options_for, problem, with};

const MANIFEST: &str = r#"{"name":"O'Brien's data","version":3,"schema_fingerprint":"f","schema":[],"objects":[],
    "rows":5,"bytes":300,"created_ms":1,"updated_ms":2}"#;

fn name() -> Name {
    Name::new("O'Brien's data").unwrap()
}

fn registration() -> RegisterRequest {
    RegisterRequest {
        name: name(),
        schema_fingerprint: "f".into(),
        schema: vec![Column { name: "a".into(), sql_type: "BIGINT".into() }],
        objects: vec![DataObject {
            key: lakehouse_types::ObjectKey::new("datasets/x").unwrap(),
            size: 1,
            rows: 1,
            fingerprint: "x".into(),
            sha256: None,
        }],
        mode: Mode::Append,
    }
}

fn catalog(server: &Server) -> CatalogClient {
    CatalogClient::new(server.url(), options()).unwrap()
}

#[tokio::test]
async fn a_registration_goes_out_as_json_and_is_repeated() {
    let registered = answer(201, format!(r#"{{"existing":false,"manifest":{MANIFEST}}}"#));
    let server = Server::start([Act::HangUp, registered]).await;
    let response = catalog(&server).register(&registration()).await.unwrap();
    assert_eq!((response.existing, response.manifest.version), (false, 3));
    let requests = server.requests();
    assert_eq!(requests[1].line, "POST /catalog/register HTTP/1.1");
    assert_eq!(requests[1].header("content-type"), Some("application/json"));
    assert_eq!(serde_json::from_slice::<RegisterRequest>(&requests[1].body).unwrap(), registration());
}

#[tokio::test]
async fn drift_comes_with_its_columns() {
    let body = r#"{"type":"urn:lakehouse:conflict","title":"t","status":409,"detail":"schema drift: x",
        "columns":[{"name":"a","registered":"DATE","offered":"BIGINT"}]}"#;
    let server = Server::start([answer(409, body)]).await;
    let error = catalog(&server).register(&registration()).await.unwrap_err();
    assert_eq!((error.kind(), error.answered()), (ErrorKind::Conflict, Some(ErrorKind::Conflict)));
    assert_eq!(error.detail(), "schema drift: x");
    assert_eq!(error.extensions()["columns"][0]["registered"], "DATE");
}

#[tokio::test]
async fn a_manifest_is_found_or_not_there() {
    let server = Server::start([answer(200, MANIFEST), problem(404, "not-found"), answer(200, "[]")]).await;
    let client = catalog(&server);
    assert_eq!(client.manifest(&name()).await.unwrap().rows, 5);
    assert!(client.manifest(&name()).await.unwrap_err().is_not_found());
    let nonsense = client.manifest(&name()).await.unwrap_err();
    assert!(matches!(nonsense, Error::Nonsense { .. }) && nonsense.kind() == ErrorKind::BadGateway);
    assert_eq!(server.requests()[0].line, "GET /catalog/manifest/O%27Brien%27s%20data HTTP/1.1");
}

#[tokio::test]
async fn a_list_is_asked_for_once_and_then_only_whether_it_changed() {
    let list = format!(r#"{{"datasets":[{MANIFEST}]}}"#);
    let server = Server::start([
        with(200, &["etag: \"b-1\""], list.clone()),
        with(304, &["etag: \"b-1\""], ""),
        with(200, &["etag: \"b-2\""], r#"{"datasets":[]}"#),
        answer(200, list),
    ])
    .await;
    let client = catalog(&server);
    let (list, tag) = client.list(None).await.unwrap().unwrap();
    assert_eq!((list.datasets.len(), tag.as_str()), (1, "\"b-1\""));
    assert_eq!(client.list(Some(&tag)).await.unwrap(), None);
    let (list, tag) = client.list_short(Some(&tag)).await.unwrap().unwrap();
    assert_eq!((list.datasets.len(), tag.as_str()), (0, "\"b-2\""));
    assert!(matches!(client.list(None).await, Err(Error::Nonsense { .. })), "without a tag it can't be asked again");
    let requests = server.requests();
    assert_eq!(requests[0].line, "GET /catalog/list?full=true HTTP/1.1");
    assert_eq!((requests[0].header("if-none-match"), requests[1].header("if-none-match")), (None, Some("\"b-1\"")));
    assert_eq!(requests[2].line, "GET /catalog/list HTTP/1.1");
}

#[tokio::test]
async fn a_deletion_whose_answer_got_lost_is_not_taken_for_none() {
    let server = Server::start([answer(204, "")]).await;
    assert!(catalog(&server).delete(&name()).await.unwrap());
    let server = Server::start([problem(404, "not-found")]).await;
    assert!(!catalog(&server).delete(&name()).await.unwrap());
    let server = Server::start([problem(503, "unavailable"), problem(404, "not-found")]).await;
    assert!(!catalog(&server).delete(&name()).await.unwrap(), "the first attempt was refused");
    let server = Server::start([Act::HangUp, problem(404, "not-found")]).await;
    assert!(catalog(&server).delete(&name()).await.unwrap(), "the first attempt may have been the one");
}

#[tokio::test]
async fn no_answer_is_a_timeout_and_no_service_is_unavailable() {
    let quick = ClientOptions { retries: 0, ..options_for(&Act::Silence) };
    let server = Server::start([Act::Silence]).await;
    let error = CatalogClient::new(server.url(), quick).unwrap().manifest(&name()).await.unwrap_err();
    assert_eq!((error.kind(), error.answered()), (ErrorKind::Timeout, None));
    // A port that refuses: it is taken, but nobody listens.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = taken.local_addr().unwrap();
    let client = CatalogClient::new(format!("http://{closed}"), ClientOptions { retries: 0, ..options() }).unwrap();
    let error = client.manifest(&name()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_after().is_some());
    assert_eq!(error.detail(), "catalogd is not available");
}

#[tokio::test]
async fn an_error_answer_leaves_the_connection_for_the_next_call() {
    let server = Server::start([problem(404, "not-found"), problem(409, "conflict"), answer(200, MANIFEST)]).await;
    let client = catalog(&server);
    client.manifest(&name()).await.unwrap_err();
    client.register(&registration()).await.unwrap_err();
    client.manifest(&name()).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn embeddings_must_fit_their_texts() {
    let request = EmbedRequest { texts: vec!["a".into(), "b".into()], model: Some("hash".into()) };
    let embed = async |body: &str| {
        let server = Server::start([answer(200, body)]).await;
        let answer = EmbedClient::new(server.url(), options()).unwrap().embed(&request).await;
        (answer, server.request())
    };
    let (answer, sent) = embed(r#"{"model":"hash","dimension":2,"vectors":[[1,0.5],[0,1]]}"#).await;
    assert_eq!(answer.unwrap().vectors, [[1.0, 0.5], [0.0, 1.0]]);
    assert_eq!(sent.line, "POST /embed HTTP/1.1");
    assert_eq!(serde_json::from_slice::<EmbedRequest>(&sent.body).unwrap(), request);
    for wrong in [
        r#"{"model":"hash","dimension":2,"vectors":[[1,0.5]]}"#,
        r#"{"model":"hash","dimension":2,"vectors":[[1,0.5],[0]]}"#,
        r#"{"vectors":[]}"#,
    ] {
        assert!(matches!(embed(wrong).await.0, Err(Error::Nonsense { .. })), "{wrong}");
    }
}

#[tokio::test]
async fn a_completion_is_read_from_openai_s_shape() {
    let body = r#"{"id":"c","object":"chat.completion","model":"m-1","choices":[{"index":0,
        "message":{"role":"assistant","content":"four"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8},"new_field":1}"#;
    let server = Server::start([
        answer(200, body),
        answer(200, r#"{"choices":[{"message":{"content":null}}]}"#),
        answer(200, r#"{"choices":[]}"#),
        answer(404, r#"{"error":{"message":"model `m` not found"}}"#),
    ])
    .await;
    let chat = ChatClient::new(format!("{}/v1/chat", server.url()), options()).unwrap();
    let request = ChatRequest {
        model: "m".into(),
        messages: vec![ChatMessage { role: "user".into(), content: "2+2?".into() }],
        temperature: 0.0,
        max_tokens: Some(9),
        response_format: None,
    };
    let said = chat.complete(&request).await.unwrap();
    assert_eq!((said.model.as_str(), said.content.as_str()), ("m-1", "four"));
    assert_eq!(
        (said.finish_reason.as_deref(), said.prompt_tokens, said.completion_tokens),
        (Some("stop"), Some(7), Some(1))
    );
    let silent = chat.complete(&request).await.unwrap();
    assert_eq!((silent.model.as_str(), silent.content.as_str()), ("m", ""));
    assert!(matches!(chat.complete(&request).await, Err(Error::Nonsense { .. })));
    assert_eq!(chat.complete(&request).await.unwrap_err().detail(), "model `m` not found");
    let sent: serde_json::Value = serde_json::from_slice(&server.requests()[0].body).unwrap();
    let expected = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "2+2?"}],
        "temperature": 0.0, "max_tokens": 9});
    assert_eq!(sent, expected);
    assert_eq!(server.requests()[0].line, "POST /v1/chat HTTP/1.1");
}
