//! `/v1/chat` to somebody else's endpoint.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod support;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use http_body_util::BodyExt as _;
use lakehouse_common::config::{Secret, ServiceUrl};
use support::{Fake, Gateway, get, nobody, post, serve, soon};
use tokio::sync::mpsc;

async fn gateway_to(endpoint: std::net::SocketAddr, token: &str) -> Gateway {
    let url = ServiceUrl::new(&format!("http://{endpoint}/api/chat/completions")).unwrap();
    Gateway::start(nobody(), |config| {
        config.gateway.chat_url = Some(url);
        config.gateway.chat_token = Secret::new(token);
        config.auth.token = Secret::new("lakehouse-token");
    })
    .await
}

fn ask(path: &str, body: impl Into<Body>) -> Request {
    Request::post(path)
        .header("authorization", "Bearer lakehouse-token")
        .header("content-type", "application/json")
        .header("cookie", "session=1")
        .header("x-forwarded-for", "9.9.9.9")
        .body(body.into())
        .unwrap()
}

#[tokio::test]
async fn both_paths_lead_to_the_endpoint_with_the_gateway_s_own_token() {
    let fake = Fake::start(|seen| {
        let mut answer = Response::new(Body::from(seen.body.clone()));
        answer.headers_mut().insert("set-cookie", "tracker=1".parse().unwrap());
        answer
    })
    .await;
    let gateway = gateway_to(fake.address, "provider-token").await;
    for path in ["/v1/chat", "/v1/chat/completions", "/v1/chat/completions?ignored=1"] {
        let (status, headers, body) = gateway.ask(ask(path, r#"{"model":"m","messages":[]}"#)).await;
        assert_eq!((status, &*body), (200, &br#"{"model":"m","messages":[]}"#[..]));
        assert!(!headers.contains_key("set-cookie"));
        let seen = fake.last();
        assert_eq!(seen.target, "/api/chat/completions");
        assert_eq!(seen.headers["authorization"], "Bearer provider-token");
        assert_eq!(seen.headers["host"], fake.address.to_string());
        assert_eq!(seen.headers["content-type"], "application/json");
        // Nothing that tells of the lakehouse or of who called.
        for (name, value) in &seen.headers {
            assert!(!value.to_str().unwrap().contains("lakehouse-token"), "{name}");
            assert!(!name.as_str().starts_with("x-forwarded"), "{name}");
        }
        assert!(!seen.headers.contains_key("cookie"));
    }
}

#[tokio::test]
async fn without_a_token_of_its_own_none_is_sent() {
    let fake = Fake::echo().await;
    let gateway = gateway_to(fake.address, "").await;
    assert_eq!(gateway.ask(ask("/v1/chat", "{}")).await.0, 200);
    assert!(!fake.last().headers.contains_key("authorization"));
}

#[tokio::test]
async fn the_first_event_arrives_before_the_second_is_made() {
    let (events, receiver) = mpsc::channel::<&'static str>(1);
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let router = Router::new().fallback(move || {
        let receiver = receiver.lock().unwrap().take().unwrap();
        let pieces = futures::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), receiver))
        });
        let answer = ([("content-type", "text/event-stream")], Body::from_stream(pieces)).into_response();
        async move { answer }
    });
    let (endpoint, _task) = serve(router).await;
    let gateway = gateway_to(endpoint, "t").await;
    let mut answer = soon(gateway.send(ask("/v1/chat", r#"{"stream":true}"#))).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    for event in ["data: {\"a\":1}\n\n", "data: {\"a\":2}\n\n", "data: [DONE]\n\n"] {
        events.send(event).await.unwrap();
        assert_eq!(soon(answer.frame()).await.unwrap().unwrap().into_data().unwrap(), event);
    }
    drop(events);
    assert!(soon(answer.frame()).await.is_none());
}

#[tokio::test]
async fn what_the_endpoint_says_of_the_gateway_is_not_said_to_the_caller() {
    for (status, part) in [
        (StatusCode::UNAUTHORIZED, "gateway.chat_token"),
        (StatusCode::FORBIDDEN, "gateway.chat_token"),
        (StatusCode::FOUND, "redirects"),
    ] {
        let fake = Fake::start(move |_| {
            (status, [("www-authenticate", "Basic"), ("location", "http://elsewhere/")], "secret words").into_response()
        })
        .await;
        let gateway = gateway_to(fake.address, "t").await;
        let (status, detail, service) = gateway.problem(ask("/v1/chat", "{}")).await;
        assert_eq!((status, service.as_deref()), (502, Some("chat")));
        assert!(detail.contains(part) && !detail.contains("secret"), "{detail}");
    }
    // Its word on the request itself is the caller's to read.
    for status in [400, 404, 429, 500, 503] {
        let status = StatusCode::from_u16(status).unwrap();
        let fake = Fake::start(move |_| (status, [("retry-after", "7")], "{\"error\":{}}").into_response()).await;
        let gateway = gateway_to(fake.address, "t").await;
        let (given, headers, body) = gateway.ask(ask("/v1/chat", "{}")).await;
        assert_eq!((given, &*body), (status.as_u16(), &b"{\"error\":{}}"[..]));
        assert_eq!(headers["retry-after"], "7");
    }
}

#[tokio::test]
async fn without_an_endpoint_the_key_is_named() {
    let gateway = Gateway::start(nobody(), |_| {}).await;
    let (status, detail, service) = gateway.problem(post("/v1/chat", "{}")).await;
    assert_eq!((status, service.as_deref()), (503, Some("chat")));
    assert!(detail.contains("gateway.chat_url"), "{detail}");
    let (_, headers, _) = gateway.ask(post("/v1/chat", "{}")).await;
    assert!(!headers.contains_key("retry-after"), "waiting does not configure it");
}

#[tokio::test]
async fn only_post_is_served() {
    let gateway = Gateway::start(nobody(), |_| {}).await;
    let (status, headers, _) = gateway.ask(get("/v1/chat")).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (405, "POST"));
}

#[tokio::test]
async fn an_endpoint_that_is_this_gateway_is_noticed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = lakehouse_common::config::Config::default();
    config.gateway.chat_url = Some(ServiceUrl::new(&format!("http://{address}/v1/chat")).unwrap());
    let shutdown = lakehouse_common::Shutdown::new();
    tokio::spawn(gateway::run(std::sync::Arc::new(config), listener, shutdown.clone()));
    let answer = soon(support::send(address, post("/v1/chat", "{}"))).await;
    let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
    assert_eq!(status, 502);
    assert!(String::from_utf8_lossy(&body).contains("leads back to this gateway"), "{body:?}");
    shutdown.trigger();
}
