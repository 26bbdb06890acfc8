//! Services that are down, slow, confused, or that closed a connection at the wrong moment.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;
use http_body_util::BodyExt as _;
use support::{Gateway, get, nobody, post, read_until, request, soon, wire};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_service_that_is_down_is_named() {
    let gateway = Gateway::start(nobody(), |_| {}).await;
    for (path, service) in [
        ("/v1/storage/objects/a", "storaged"),
        ("/v1/catalog/list", "catalogd"),
        ("/v1/ingest?name=a", "ingestd"),
        ("/v1/sql", "queryd"),
        ("/v1/vectors/index", "vectord"),
        ("/v1/embed", "embedd"),
        ("/v1/embeddings", "embedd"),
    ] {
        let (status, detail, named) = gateway.problem(post(path, "{}")).await;
        assert_eq!((status, named.as_deref()), (502, Some(service)), "{path}");
        assert!(detail.contains(service) && !detail.contains("127.0.0.1"), "{detail}");
    }
    let (_, headers, _) = gateway.ask(get("/v1/sql")).await;
    assert_eq!(headers["retry-after"], "1");
}

#[tokio::test]
async fn a_service_that_is_slow_is_named() {
    let service = wire(async |_, mut stream| {
        read_until(&mut stream, "\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::start(service, |config| config.gateway.response_timeout_seconds = 1).await;
    let started = Instant::now();
    let (status, detail, named) = gateway.problem(get("/v1/sql")).await;
    assert_eq!((status, named.as_deref()), (504, Some("queryd")));
    assert!(detail.contains("queryd gave no answer for 1 s"), "{detail}");
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn time_spent_on_sending_does_not_count_against_the_service() {
    let service = wire(async |_, mut stream| {
        read_until(&mut stream, "end").await;
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let gateway = Gateway::start(service, |config| config.gateway.response_timeout_seconds = 3).await;
    let mut caller = TcpStream::connect(gateway.address).await.unwrap();
    let head = b"PUT /v1/storage/objects/a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n";
    caller.write_all(head).await.unwrap();
    // Longer than the limit in all, and each pause far shorter, whatever else the machine does.
    for _ in 0..33 {
        caller.write_all(b"4\r\nmore\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    caller.write_all(b"3\r\nend\r\n0\r\n\r\n").await.unwrap();
    let answer = read_until(&mut caller, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_stands_still_is_broken_off() {
    let service = wire(async |_, mut stream| {
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = Gateway::start(service, |config| config.gateway.idle_timeout_seconds = 1).await;
    let mut answer = soon(gateway.send(get("/v1/sql"))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(soon(answer.frame()).await.unwrap().unwrap().into_data().unwrap(), "half");
    // An end that can't be taken for the proper one.
    assert!(soon(answer.frame()).await.unwrap().is_err());
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_so_for_the_caller_too() {
    for (head, half) in [("content-length: 10", "half"), ("transfer-encoding: chunked", "4\r\nhalf\r\n")] {
        let seen = Arc::new(Notify::new());
        let close = Arc::clone(&seen);
        let service = wire(move |_, mut stream| {
            let close = Arc::clone(&close);
            async move {
                read_until(&mut stream, "\r\n\r\n").await;
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{half}").as_bytes()).await.unwrap();
                close.notified().await;
            }
        })
        .await;
        let gateway = Gateway::start(service, |_| {}).await;
        let mut answer = soon(gateway.send(get("/v1/sql"))).await;
        assert_eq!(soon(answer.frame()).await.unwrap().unwrap().into_data().unwrap(), "half");
        seen.notify_one();
        assert!(soon(answer.frame()).await.unwrap().is_err(), "{head}");
    }
}

#[tokio::test]
async fn nonsense_is_a_bad_gateway() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    ] {
        let service = wire(move |_, mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(nonsense.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let gateway = Gateway::start(service, |_| {}).await;
        let (status, _, service) = gateway.problem(get("/v1/sql")).await;
        assert_eq!((status, service.as_deref()), (502, Some("queryd")), "{nonsense:?}");
    }
}

/// A service whose first `bad` connections end without an answer; how many it was asked over.
async fn flaky(bad: usize) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let address = wire(move |number, mut stream| {
        let asked = Arc::clone(&counted);
        async move {
            loop {
                read_until(&mut stream, "\r\n\r\n").await;
                asked.fetch_add(1, Ordering::SeqCst);
                if number < bad {
                    return;
                }
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    (address, asked)
}

#[tokio::test]
async fn reading_is_tried_once_more_and_writing_is_not() {
    for (method, bad, status, times) in [
        (Method::GET, 1, 200, 2),
        (Method::HEAD, 1, 200, 2),
        (Method::GET, 2, 502, 2),
        (Method::POST, 1, 502, 1),
        (Method::PUT, 1, 502, 1),
        (Method::DELETE, 1, 502, 1),
    ] {
        let (service, asked) = flaky(bad).await;
        let gateway = Gateway::start(service, |_| {}).await;
        let answer = gateway.ask(request(method.clone(), "/v1/storage/objects/a", "")).await;
        assert_eq!((answer.0, asked.load(Ordering::SeqCst)), (status, times), "{method}, {bad} bad connections");
    }
    // A body may have been read already, so the same holds for a GET that has one.
    let (service, asked) = flaky(1).await;
    let gateway = Gateway::start(service, |_| {}).await;
    assert_eq!(gateway.ask(request(Method::GET, "/v1/storage/objects/a", "body")).await.0, 502);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_service_that_restarted_is_found_again_whatever_the_method() {
    // Every connection is good for one request, and is closed once it is idle.
    let idle = Arc::new(Notify::new());
    let (closed, mut closing) = tokio::sync::mpsc::channel(1);
    let close = Arc::clone(&idle);
    let service = wire(move |_, mut stream| {
        let (close, closed) = (Arc::clone(&close), closed.clone());
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(OK).await.unwrap();
            close.notified().await;
            drop(stream);
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::start(service, |_| {}).await;
    for (method, body) in
        [(Method::POST, ""), (Method::PUT, "body"), (Method::DELETE, ""), (Method::GET, ""), (Method::POST, "body")]
    {
        let answer = gateway.ask(request(method.clone(), "/v1/storage/objects/a", body)).await;
        assert_eq!(answer.2, "ok", "{method} {body:?}");
        idle.notify_one();
        soon(closing.recv()).await.unwrap();
        // Until the gateway's system has seen the close as well; the two share one kernel.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_body_that_waits_for_a_word_survives_a_service_that_restarted() {
    let idle = Arc::new(Notify::new());
    let (closed, mut closing) = tokio::sync::mpsc::channel(1);
    let close = Arc::clone(&idle);
    let service = wire(move |number, mut stream| {
        let (close, closed) = (Arc::clone(&close), closed.clone());
        async move {
            read_until(&mut stream, "\r\n\r\n").await;
            if number == 0 {
                stream.write_all(OK).await.unwrap();
                close.notified().await;
                drop(stream);
                closed.send(()).await.unwrap();
            } else {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
                read_until(&mut stream, "the body").await;
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let gateway = Gateway::start(service, |_| {}).await;
    assert_eq!(gateway.ask(get("/v1/storage/objects/a")).await.2, "ok");
    idle.notify_one();
    soon(closing.recv()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut upload = request(Method::PUT, "/v1/storage/objects/a", "the body");
    upload.headers_mut().insert("expect", "100-continue".parse().unwrap());
    assert_eq!(soon(gateway.ask(upload)).await.2, "ok");
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let (service, _) = flaky(1).await;
    let gateway = Gateway::start(service, |_| {}).await;
    assert_eq!(gateway.ask(get("/v1/catalog/list")).await.0, 200);
    let (_, _, metrics) = gateway.ask(get("/metrics")).await;
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    for line in [
        "lakehouse_upstream_requests_total{service=\"catalogd\",outcome=\"2xx\"} 1",
        "lakehouse_upstream_retries_total{service=\"catalogd\"} 1",
        "lakehouse_upstream_connections_total{service=\"catalogd\"} 2",
        "route=\"/v1/catalog/{*rest}\",method=\"GET\",status=\"200\"",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}
