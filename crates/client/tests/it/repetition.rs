//! What is repeated, what is not, and for how long.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use lakehouse_client::{ChatClient, ChatMessage, ChatRequest, ClientOptions, StoreClient};
use lakehouse_objstore::{ByteStream, Condition, Error, GetOptions, ObjectStore as _, PutOptions, body};
use lakehouse_types::ObjectKey;

use crate::server::{Act, Server, answer, impatient, options, options_for, problem, with};

fn key() -> ObjectKey {
    ObjectKey::new("k").unwrap()
}

fn client(server: &Server) -> StoreClient {
    StoreClient::new(server.url(), options()).unwrap()
}

/// For scripts in which one request of several meets silence: long enough for the others, too.
const PATIENCE: Duration = Duration::from_secs(2);

fn large() -> ByteStream {
    futures::stream::iter((0..40).map(|_| Ok(Bytes::from(vec![7; 16 << 10])))).boxed()
}

fn done() -> Act {
    with(201, &["etag: \"e\""], "")
}

#[tokio::test]
async fn a_read_survives_what_passes() {
    let good = with(200, &["etag: \"e\"", "last-modified: Sun, 06 Nov 1994 08:49:37 GMT"], "x");
    let server = Server::start([Act::HangUp, problem(503, "unavailable"), answer(502, ""), Act::Silence, good]).await;
    let store = StoreClient::new(server.url(), impatient(PATIENCE)).unwrap();
    store.get(&key(), GetOptions::default()).await.unwrap();
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_listing_that_breaks_off_is_read_again() {
    let server = Server::start([Act::Truncated, answer(200, r#"{"objects":[]}"#)]).await;
    client(&server).list("", None, 10).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_would_be_answered_the_same_is_not_repeated() {
    for status in [400, 404, 409, 412, 413, 416, 500, 501] {
        let server = Server::start([answer(status, ""), done()]).await;
        client(&server).get(&key(), GetOptions::default()).await.unwrap_err();
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn repetition_has_an_end() {
    let acts = vec![Act::HangUp; 20];
    let server = Server::start(acts.clone()).await;
    let error = client(&server).head(&key()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 5);

    let server = Server::start(acts).await;
    let store = StoreClient::new(server.url(), ClientOptions { retries: 0, ..options() }).unwrap();
    store.head(&key()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_passed_on_instead() {
    let server = Server::start([with(503, &["retry-after: 60"], "")]).await;
    let started = Instant::now();
    let error = client(&server).head(&key()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { retry_after: Some(wait), .. } if wait.as_secs() == 60), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_small_unconditional_write_is_repeated() {
    let server = Server::start([Act::HangUp, problem(503, "unavailable"), Act::Silence, done()]).await;
    let store = StoreClient::new(server.url(), impatient(PATIENCE)).unwrap();
    store.put(&key(), body("content"), PutOptions::default()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.body == b"content"));
}

/// The first attempt may have been carried out, and the second would meet it.
#[tokio::test]
async fn a_conditional_write_is_not() {
    for condition in [Condition::IfAbsent, Condition::IfMatch("e".into())] {
        for act in [Act::HangUp, Act::Silence, problem(503, "unavailable"), answer(502, "")] {
            let server = Server::start([act.clone(), done()]).await;
            let put = PutOptions { condition: condition.clone(), ..PutOptions::default() };
            let store = StoreClient::new(server.url(), options_for(&act)).unwrap();
            let error = store.put(&key(), body("content"), put).await.unwrap_err();
            assert!(!error.is_precondition_failed(), "{act:?}: {error:?}");
            assert_eq!(server.requests().len(), 1, "{act:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_was_begun_is_not() {
    for act in [Act::HangUp, Act::Silence, problem(503, "unavailable")] {
        let server = Server::start([act.clone(), done()]).await;
        let store = StoreClient::new(server.url(), options_for(&act)).unwrap();
        let error = store.put(&key(), large(), PutOptions::default()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. } | Error::Timeout), "{act:?}: {error:?}");
        assert_eq!(server.requests().len(), 1, "{act:?}");
    }
}

/// A port that refuses connections until it begins to listen, as a service that starts again.
#[tokio::test]
async fn anything_is_repeated_while_no_connection_comes_to_be() {
    for (content, condition) in [(body("content"), Condition::IfAbsent), (large(), Condition::None)] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let store = StoreClient::new(&url, ClientOptions { retries: 20, ..options() }).unwrap();
        let once = StoreClient::new(&url, ClientOptions { retries: 1, ..options() }).unwrap();
        let put =
            tokio::spawn(
                async move { store.put(&key(), content, PutOptions { condition, ..PutOptions::default() }).await },
            );
        // The write was begun before this call, which takes as long as two attempts.
        let refused = once.head(&key()).await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
        let server = Server::on(socket.listen(16).unwrap(), [done()]);
        put.await.unwrap().unwrap();
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_completion_is_repeated_only_where_it_was_not_begun() {
    let request = ChatRequest {
        model: "m".into(),
        messages: vec![ChatMessage { role: "user".into(), content: "hello".into() }],
        temperature: 0.0,
        max_tokens: None,
        response_format: None,
    };
    let said = answer(200, r#"{"choices":[{"message":{"role":"assistant","content":"hi"}}]}"#);
    let server = Server::start([answer(429, ""), problem(503, "unavailable"), said.clone()]).await;
    let chat = ChatClient::new(format!("{}/v1/chat", server.url()), options()).unwrap();
    assert_eq!(chat.complete(&request).await.unwrap().content, "hi");
    assert_eq!(server.requests().len(), 3);
    for act in [Act::HangUp, Act::Silence, answer(502, "")] {
        let server = Server::start([act.clone(), said.clone()]).await;
        let chat = ChatClient::new(format!("{}/v1/chat", server.url()), options_for(&act)).unwrap();
        chat.complete(&request).await.unwrap_err();
        assert_eq!(server.requests().len(), 1, "{act:?}");
    }
}
