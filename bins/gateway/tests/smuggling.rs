//! Requests that two programs may read differently, as bytes on the wire.
//!
//! Some of these are refused by the HTTP parser and some by the gateway; the tests hold both to it,
//! so that neither a new parser nor a change here can let one through unnoticed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod support;

use support::{Fake, Gateway, read_to_close};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// What follows each hostile request on its connection: if it is answered, the gateway took the
/// connection on after a request whose end it could not be sure of.
const SECOND: &str = "GET /v1/catalog/smuggled HTTP/1.1\r\nHost: gw\r\n\r\n";

/// Sends `request` and the second one; it must be refused and the connection closed, and the
/// service must see neither.
async fn refused(name: &str, request: impl AsRef<[u8]>) {
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    let mut bytes = request.as_ref().to_vec();
    bytes.extend_from_slice(SECOND.as_bytes());
    let answer = gateway.raw(&bytes).await;
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    assert!(answer.starts_with("HTTP/1.1 4"), "{name}: {answer:?}");
    assert_eq!(status, "400", "{name}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: the connection went on: {answer}");
    assert!(fake.seen().is_empty(), "{name}: the service saw {:?}", fake.seen());
}

fn sql(fields: &str, body: &str) -> String {
    format!("POST /v1/sql HTTP/1.1\r\nHost: gw\r\n{fields}\r\n\r\n{body}")
}

#[tokio::test]
async fn ambiguous_lengths() {
    for (name, fields, body) in [
        ("two lengths", "Content-Length: 3\r\nContent-Length: 4", "abc"),
        ("a list of lengths", "Content-Length: 3, 3", "abc"),
        ("a signed length", "Content-Length: +3", "abc"),
        ("a length that is none", "Content-Length: 3x", "abc"),
        ("an empty length", "Content-Length:", ""),
        ("a hexadecimal length", "Content-Length: 0x3", "abc"),
        ("a length over 64 bits", "Content-Length: 18446744073709551617", "a"),
    ] {
        refused(name, sql(fields, body)).await;
    }
}

#[tokio::test]
async fn ambiguous_codings() {
    for (name, fields, body) in [
        ("another coding before chunked", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
        ("an unknown coding before chunked", "Transfer-Encoding: x, chunked", "0\r\n\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
        ("chunked twice in one", "Transfer-Encoding: chunked, chunked", "0\r\n\r\n"),
        ("identity", "Transfer-Encoding: identity", ""),
        ("chunked not last", "Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("chunked with white space inside", "Transfer-Encoding: \u{b}chunked", "0\r\n\r\n"),
        ("no coding", "Transfer-Encoding:", ""),
        ("a quoted coding", "Transfer-Encoding: \"chunked\"", "0\r\n\r\n"),
    ] {
        refused(name, sql(fields, body)).await;
    }
    refused("a coding in 1.0", "POST /v1/sql HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").await;
}

/// The parser drops the length and goes by the coding, as RFC 9112 (6.3) allows where the
/// connection ends with the answer; before a service can see it nothing is ambiguous any more.
#[tokio::test]
async fn a_length_beside_a_coding_ends_the_connection() {
    for fields in ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"]
    {
        let fake = Fake::echo().await;
        let gateway = Gateway::start(fake.address, |_| {}).await;
        let answer = gateway.raw(sql(fields, "3\r\nabc\r\n0\r\n\r\n") + SECOND).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "the connection went on: {answer}");
        for seen in fake.seen() {
            assert_eq!((seen.target.as_str(), &*seen.body), ("/sql", &b"abc"[..]));
            assert!(!seen.headers.contains_key("content-length"), "{seen:?}");
        }
        assert!(fake.seen().len() <= 1);
    }
}

#[tokio::test]
async fn malformed_fields() {
    for (name, fields) in [
        ("a folded field", "X-A: b\r\n c: d"),
        ("a field folded with a tab", "X-A: b\r\n\tc"),
        ("white space before the colon", "Content-Length : 3"),
        ("a tab before the colon", "Transfer-Encoding\t: chunked"),
        ("white space before the name", " X-A: b"),
        ("no name", ": b"),
        ("no colon", "X-A"),
        ("NUL in a value", "X-A: b\0c"),
        ("CR in a value", "X-A: b\rc"),
        ("NUL in a name", "X\0A: b"),
        ("a control character in a value", "X-A: b\u{1}"),
    ] {
        refused(name, sql(fields, "")).await;
    }
}

#[tokio::test]
async fn malformed_first_lines() {
    for (name, request) in [
        ("a folded first line", "GET /v1/sql\r\n HTTP/1.1\r\nHost: gw\r\n\r\n"),
        ("no version", "GET /v1/sql\r\nHost: gw\r\n\r\n"),
        ("an unknown version", "GET /v1/sql HTTP/1.2\r\nHost: gw\r\n\r\n"),
        ("two spaces", "GET  /v1/sql HTTP/1.1\r\nHost: gw\r\n\r\n"),
        ("a tab", "GET\t/v1/sql HTTP/1.1\r\nHost: gw\r\n\r\n"),
        ("NUL in the target", "GET /v1/s\0ql HTTP/1.1\r\nHost: gw\r\n\r\n"),
        ("a space in the target", "GET /v1/s ql HTTP/1.1\r\nHost: gw\r\n\r\n"),
    ] {
        refused(name, request).await;
    }
}

#[tokio::test]
async fn ambiguous_hosts() {
    for (name, request) in [
        ("no host", "GET /v1/sql HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET /v1/sql HTTP/1.1\r\nHost: gw\r\nHost: other\r\n\r\n"),
        ("the same host twice", "GET /v1/sql HTTP/1.1\r\nHost: gw\r\nHost: gw\r\n\r\n"),
        ("another host in the target", "GET http://other/v1/sql HTTP/1.1\r\nHost: gw\r\n\r\n"),
    ] {
        refused(name, request).await;
    }
}

#[tokio::test]
async fn methods_and_protocols_that_leave_http() {
    for (name, request) in [
        ("TRACE", "TRACE /v1/sql HTTP/1.1\r\nHost: gw\r\n\r\n"),
        (
            "a web socket",
            "GET /v1/sql HTTP/1.1\r\nHost: gw\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        ),
    ] {
        refused(name, request).await;
    }
}

#[tokio::test]
async fn a_tunnel_is_not_opened() {
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    for target in ["127.0.0.1:22", "gw:3110"] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_close(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn paths_that_climb() {
    for path in ["/v1/storage/../catalog/list", "/v1/storage/%2e%2e/x", "/v1/storage/a/.%2E", "/v1/storage/a%2f..%2fb"]
    {
        refused(path, format!("GET {path} HTTP/1.1\r\nHost: gw\r\n\r\n")).await;
    }
    // Nor do they lead to another service: routing looks at the path as it was sent.
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    for path in ["/v1/../storage/objects", "/v1/./sql", "/v1/%2e%2e/metrics", "/v1/storage%2f..%2fsql"] {
        let answer = gateway.raw(format!("GET {path} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn h2c_is_not_taken_up_and_not_passed_on() {
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    let answer = gateway
        .raw(
            "GET /v1/catalog/list HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
             Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let seen = fake.last().headers;
    assert!(!seen.contains_key("upgrade") && !seen.contains_key("http2-settings"), "{seen:?}");
}

#[tokio::test]
async fn headers_of_a_megabyte() {
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    for end in ["", "\r\n"] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let request = format!("GET /v1/sql HTTP/1.1\r\nHost: gw\r\nX-A: {}\r\n{end}", "a".repeat(1 << 20));
        // The gateway may close while this is being written, and that may cost the answer.
        let written = stream.write_all(request.as_bytes()).await;
        let answer = read_to_close(&mut stream).await;
        let refused = answer.starts_with("HTTP/1.1 431 ");
        assert!(refused || (answer.is_empty() && written.is_err()), "{answer}");
    }
    assert!(fake.seen().is_empty());
}
