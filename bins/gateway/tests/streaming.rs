//! Bodies on their way through: nothing is kept back, nothing piles up, and who leaves is missed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod support;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::Response,
    routing::{any, put},
};
use bytes::Bytes;
use futures::StreamExt as _;
use http::Method;
use http_body_util::BodyExt as _;
use support::{Gateway, get, read_to_close, read_until, send, serve, soon, wire};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};

/// A body fed by hand.
fn by_hand() -> (mpsc::Sender<&'static str>, Body) {
    let (sender, receiver) = mpsc::channel::<&'static str>(1);
    let pieces = futures::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), receiver))
    });
    (sender, Body::from_stream(pieces))
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_made() {
    let (events, body) = by_hand();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let router = Router::new().fallback(move || {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::builder().header("content-type", "text/event-stream").body(body).unwrap() }
    });
    let (service, _task) = serve(router).await;
    let gateway = Gateway::start(service, |_| {}).await;

    let mut answer = soon(gateway.send(get("/v1/sql"))).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        events.send(event).await.unwrap();
        let frame = soon(answer.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, event);
    }
    drop(events);
    assert!(soon(answer.frame()).await.is_none());
}

#[tokio::test]
async fn an_upload_arrives_before_its_rest_is_sent() {
    let (arrived, mut arrivals) = mpsc::channel::<Bytes>(1);
    let router = Router::new().fallback(async move |request: Request| {
        let mut pieces = request.into_body().into_data_stream();
        while let Some(piece) = pieces.next().await {
            arrived.send(piece.unwrap()).await.unwrap();
        }
        "done"
    });
    let (service, _task) = serve(router).await;
    let gateway = Gateway::start(service, |_| {}).await;

    let (pieces, body) = by_hand();
    let request = Request::put("/v1/storage/objects/a").body(body).unwrap();
    let answer = tokio::spawn(send(gateway.address, request));
    for piece in ["first", "second"] {
        pieces.send(piece).await.unwrap();
        assert_eq!(soon(arrivals.recv()).await.unwrap(), piece);
    }
    drop(pieces);
    let answer = soon(answer).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "done");
}

#[tokio::test]
async fn large_bodies_pass_unchanged_both_ways() {
    let router = Router::new().fallback(async |request: Request| Response::new(request.into_body()));
    let (service, _task) = serve(router).await;
    let gateway = Gateway::start(service, |_| {}).await;
    let large: Vec<u8> = (0..8_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (method, framed) in [(Method::PUT, true), (Method::POST, false), (Method::GET, false)] {
        let body = if framed {
            Body::from(large.clone())
        } else {
            Body::from_stream(futures::stream::iter(
                large.chunks(70_001).map(Bytes::copy_from_slice).map(Ok::<_, std::io::Error>).collect::<Vec<_>>(),
            ))
        };
        let mut request = Request::builder().method(&method).uri("/v1/storage/objects/a").body(body).unwrap();
        if !framed {
            request.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
        }
        let (status, headers, body) = gateway.ask(request).await;
        assert_eq!(status, 200, "{method}");
        assert_eq!(headers.contains_key("content-length"), framed, "{method}");
        assert!(body == large, "{method}: {} bytes came back", body.len());
    }
}

/// How much a side that nobody reads from can still send: kernel buffers and a little in between.
async fn fill(stream: &mut TcpStream, make: impl Fn(&[u8]) -> Vec<u8>) -> usize {
    let piece = make(&[7; 64 << 10]);
    let mut sent = 0;
    while sent < 1 << 30 {
        match tokio::time::timeout(Duration::from_millis(300), stream.write(&piece)).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => return sent,
        }
    }
    sent
}

#[tokio::test]
async fn a_service_that_does_not_read_stops_the_caller() {
    let service = wire(async |_, mut stream| {
        read_until(&mut stream, "\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::start(service, |_| {}).await;
    let mut caller = TcpStream::connect(gateway.address).await.unwrap();
    caller
        .write_all(b"PUT /v1/storage/objects/a HTTP/1.1\r\nHost: gw\r\nContent-Length: 2000000000\r\n\r\n")
        .await
        .unwrap();
    let sent = fill(&mut caller, <[u8]>::to_vec).await;
    assert!(sent < 64 << 20, "{sent} bytes were taken by nobody");
}

#[tokio::test]
async fn a_caller_that_does_not_read_stops_the_service() {
    let (report, mut sent) = mpsc::channel(1);
    let service = wire(move |_, mut stream| {
        let report = report.clone();
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2000000000\r\n\r\n").await.unwrap();
            report.send(fill(&mut stream, <[u8]>::to_vec).await).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::start(service, |_| {}).await;
    let mut caller = TcpStream::connect(gateway.address).await.unwrap();
    caller.write_all(b"GET /v1/storage/objects/a HTTP/1.1\r\nHost: gw\r\n\r\n").await.unwrap();
    let sent = soon(sent.recv()).await.unwrap();
    assert!(sent < 64 << 20, "{sent} bytes were taken by nobody");
}

/// Reads until the other side closes or resets.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn a_caller_that_leaves_takes_its_request_along() {
    // Before the answer, in the middle of one, and in the middle of an upload.
    for (sent, answered) in [
        ("GET /v1/sql HTTP/1.1\r\nHost: gw\r\n\r\n", ""),
        ("GET /v1/sql HTTP/1.1\r\nHost: gw\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome"),
        ("PUT /v1/sql HTTP/1.1\r\nHost: gw\r\nContent-Length: 100\r\n\r\nsome", ""),
    ] {
        let (events, mut event) = mpsc::channel(2);
        let service = wire(move |_, mut stream| {
            let events = events.clone();
            async move {
                read_until(&mut stream, if sent.ends_with("some") { "some" } else { "\r\n\r\n" }).await;
                stream.write_all(answered.as_bytes()).await.unwrap();
                events.send("asked").await.unwrap();
                closed(stream).await;
                events.send("left").await.unwrap();
            }
        })
        .await;
        let gateway = Gateway::start(service, |_| {}).await;
        let mut caller = TcpStream::connect(gateway.address).await.unwrap();
        caller.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(soon(event.recv()).await, Some("asked"));
        if !answered.is_empty() {
            read_until(&mut caller, "some").await;
        }
        drop(caller);
        assert_eq!(soon(event.recv()).await, Some("left"), "{sent:?} {answered:?}");
    }
}

#[tokio::test]
async fn a_caller_that_waits_for_continue_is_told_by_the_service() {
    let router = Router::new()
        .route("/storage/objects/wanted", put(async |body: String| body))
        .route("/storage/objects/refused", any(async || (http::StatusCode::PAYLOAD_TOO_LARGE, "too large")));
    let (service, _task) = serve(router).await;
    let gateway = Gateway::start(service, |_| {}).await;
    let head = |key: &str, framing: &str| {
        format!("PUT /v1/storage/objects/{key} HTTP/1.1\r\nHost: gw\r\nExpect: 100-continue\r\n{framing}\r\n\r\n")
    };

    for (framing, body) in [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")] {
        let mut caller = TcpStream::connect(gateway.address).await.unwrap();
        caller.write_all(head("wanted", framing).as_bytes()).await.unwrap();
        let told = read_until(&mut caller, "\r\n\r\n").await;
        assert_eq!(told, "HTTP/1.1 100 Continue\r\n\r\n");
        caller.write_all(body.as_bytes()).await.unwrap();
        let answer = read_until(&mut caller, "hello").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

        let mut caller = TcpStream::connect(gateway.address).await.unwrap();
        caller.write_all(head("refused", framing).as_bytes()).await.unwrap();
        let answer = read_to_close(&mut caller).await;
        assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
        assert!(answer.ends_with("too large"), "{answer}");
    }
}

#[tokio::test]
async fn a_service_that_never_says_continue_gets_the_body_all_the_same() {
    let service = wire(async |_, mut stream| {
        let request = read_until(&mut stream, "hello").await;
        assert!(request.contains("expect: 100-continue"), "{request}");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let gateway = Gateway::start(service, |_| {}).await;
    let mut caller = TcpStream::connect(gateway.address).await.unwrap();
    caller
        .write_all(b"POST /v1/sql HTTP/1.1\r\nHost: gw\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_until(&mut caller, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    caller.write_all(b"hello").await.unwrap();
    assert!(read_until(&mut caller, "\r\n\r\nok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_reaches_the_caller() {
    // The service answers after the first bytes and closes with the rest unread, which resets the
    // connection under the gateway's hands.
    let service = wire(async |_, mut stream| {
        read_until(&mut stream, "\r\n\r\n").await;
        let refusal = b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large";
        stream.write_all(refusal).await.unwrap();
    })
    .await;
    let gateway = Gateway::start(service, |_| {}).await;
    for _ in 0..20 {
        let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 16 << 10])));
        let request = Request::put("/v1/storage/objects/a").body(Body::from_stream(endless)).unwrap();
        let answer = soon(gateway.send(request)).await;
        assert_eq!(answer.status(), 413);
        assert_eq!(soon(answer.into_body().collect()).await.unwrap().to_bytes(), "too large");
    }
}

#[tokio::test]
async fn a_broken_upload_is_not_taken_for_a_whole_one() {
    let (report, mut outcome) = mpsc::channel(1);
    let router = Router::new().fallback(async move |request: Request| {
        let outcome = request.into_body().collect().await.map(|body| body.to_bytes().len());
        report.send(outcome.map_err(|error| error.to_string())).await.unwrap();
        "stored"
    });
    let (service, _task) = serve(router).await;
    let gateway = Gateway::start(service, |_| {}).await;
    for sent in [
        "PUT /v1/storage/objects/a HTTP/1.1\r\nHost: gw\r\nContent-Length: 10\r\n\r\nhalf",
        "PUT /v1/storage/objects/a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "PUT /v1/storage/objects/a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
    ] {
        let mut caller = TcpStream::connect(gateway.address).await.unwrap();
        caller.write_all(sent.as_bytes()).await.unwrap();
        caller.shutdown().await.unwrap();
        let outcome = soon(outcome.recv()).await.unwrap();
        assert!(outcome.is_err(), "{sent:?} was taken for {outcome:?}");
    }
}

#[tokio::test]
async fn an_upload_that_stands_still_is_the_caller_s_fault() {
    let router = Router::new().fallback(async |body: Bytes| body);
    let (service, _task) = serve(router).await;
    let gateway = Gateway::start(service, |config| config.limits.body_idle_timeout_seconds = 1).await;
    let mut caller = TcpStream::connect(gateway.address).await.unwrap();
    caller
        .write_all(b"PUT /v1/storage/objects/a HTTP/1.1\r\nHost: gw\r\nContent-Length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    let answer = read_to_close(&mut caller).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}
