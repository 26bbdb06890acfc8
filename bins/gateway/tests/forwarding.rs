//! What reaches a service, and what of its answer reaches the caller.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test")]

mod support;

use axum::{body::Body, extract::Request, response::Response};
use http::{Method, StatusCode};
use support::{Fake, Gateway, get, nobody, post, request, url_of};

#[tokio::test]
async fn each_path_goes_to_its_service_without_the_prefix() {
    let mut fakes = Vec::new();
    for _ in 0..6 {
        fakes.push(Fake::echo().await);
    }
    let urls: Vec<_> = fakes.iter().map(|fake| url_of(fake.address)).collect();
    let gateway = Gateway::start(nobody(), |config| {
        let [storaged, catalogd, ingestd, queryd, vectord, embedd] = <[_; 6]>::try_from(urls).unwrap();
        config.gateway.storaged_url = storaged;
        config.gateway.catalogd_url = catalogd;
        config.gateway.ingestd_url = ingestd;
        config.gateway.queryd_url = queryd;
        config.gateway.vectord_url = vectord;
        config.gateway.embedd_url = embedd;
    })
    .await;
    for (path, service, target) in [
        ("/v1/storage/objects/a/b?c=d", 0, "/storage/objects/a/b?c=d"),
        ("/v1/storage", 0, "/storage"),
        ("/v1/storage/", 0, "/storage/"),
        ("/v1/catalog/list?full=true", 1, "/catalog/list?full=true"),
        ("/v1/ingest?name=x", 2, "/ingest?name=x"),
        ("/v1/sql", 3, "/sql"),
        ("/v1/vectors/index/a/search", 4, "/vectors/index/a/search"),
        ("/v1/embed", 5, "/embed"),
        ("/v1/embeddings", 5, "/v1/embeddings"),
        ("/v1/models", 5, "/v1/models"),
    ] {
        let (status, _, body) = gateway.ask(get(path)).await;
        assert_eq!((status, &*body), (200, target.as_bytes()), "{path}");
        assert_eq!(fakes[service].last().target, target, "{path}");
    }
    let total: usize = fakes.iter().map(|fake| fake.seen().len()).sum();
    for path in ["/v1/storagex", "/v1/Storage/objects", "/v1/st%6frage/objects", "/v1//storage", "/storage/objects"] {
        let (status, detail, service) = gateway.problem(get(path)).await;
        assert_eq!((status, service), (404, None), "{path}");
        assert!(!detail.contains("storaged"), "{detail}");
    }
    // Nor can a service's own pages be reached through it.
    for path in ["/v1/metrics", "/v1/readyz", "/v1/health/x"] {
        assert_eq!(gateway.problem(get(path)).await.0, 404, "{path}");
    }
    assert_eq!(fakes.iter().map(|fake| fake.seen().len()).sum::<usize>(), total);
}

#[tokio::test]
async fn the_path_arrives_byte_for_byte() {
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    for path in ["a%2Fb", "O'Brien%27s%20data", "a//b", "%E2%82%AC", "a%252e", "x;y=1,2", "~-_.!*()", "..a"] {
        let raw = format!("GET /v1/storage/objects/{path}?q=%2f+%20 HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n");
        let answer = gateway.raw(raw).await;
        assert!(answer.ends_with(&format!("\r\n\r\n/storage/objects/{path}?q=%2f+%20")), "{answer}");
    }
}

#[tokio::test]
async fn a_base_path_in_a_service_s_url_stands_before_the_rest() {
    let fake = Fake::echo().await;
    let base = lakehouse_common::config::ServiceUrl::new(&format!("http://{}/lake/", fake.address)).unwrap();
    let gateway = Gateway::start(nobody(), |config| config.gateway.queryd_url = base).await;
    assert_eq!(gateway.ask(post("/v1/sql", "{}")).await.2, "/lake/sql");
}

#[tokio::test]
async fn a_service_is_told_who_called_and_by_which_name() {
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    let request = Request::post("/v1/sql")
        .header("host", "lake.example:3110")
        .header("authorization", "Bearer callers-own")
        .header("content-type", "application/json")
        .header("x-forwarded-for", "9.9.9.9, 8.8.8.8")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "liar.example")
        .header("forwarded", "for=9.9.9.9")
        .header("x-request-id", "caller-17")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("connection", "x-gone")
        .header("x-gone", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic eA==")
        .body(Body::from("{}"))
        .unwrap();
    let (_, answer, _) = gateway.ask(request).await;
    assert_eq!(answer["x-request-id"], "caller-17");
    let seen = fake.last();
    let header = |name: &str| -> Vec<String> {
        seen.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(header("host"), [fake.address.to_string()]);
    assert_eq!(header("authorization"), ["Bearer callers-own"]);
    assert_eq!(header("content-type"), ["application/json"]);
    assert_eq!(header("content-length"), ["2"]);
    assert_eq!(header("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(header("x-forwarded-proto"), ["http"]);
    assert_eq!(header("x-forwarded-host"), ["lake.example:3110"]);
    assert_eq!(header("x-request-id"), ["caller-17"]);
    let trace = header("traceparent").pop().unwrap();
    assert!(
        trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && !trace.contains("b7ad6b7169203331"),
        "{trace}"
    );
    assert!(header("via")[0].starts_with("1.1 lakehouse-"));
    for gone in ["forwarded", "connection", "x-gone", "te", "proxy-authorization", "transfer-encoding"] {
        assert_eq!(header(gone), <[&str; 0]>::default(), "{gone}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let fake = Fake::echo().await;
    let gateway =
        Gateway::start(fake.address, |config| config.auth.trusted_proxies = vec!["127.0.0.0/8".to_owned()]).await;
    let request = Request::get("/v1/catalog/list")
        .header("x-forwarded-for", "203.0.113.9, 127.0.0.5")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "data.example")
        .body(Body::empty())
        .unwrap();
    gateway.ask(request).await;
    let seen = fake.last().headers;
    assert_eq!(seen["x-forwarded-for"], "203.0.113.9");
    assert_eq!(seen["x-forwarded-proto"], "https");
    assert_eq!(seen["x-forwarded-host"], "data.example");
}

#[tokio::test]
async fn what_ends_at_a_hop_does_not_come_back_either() {
    let fake = Fake::start(|_| {
        Response::builder()
            .status(StatusCode::CREATED)
            .header("etag", "\"x\"")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-authenticate", "Basic")
            .header("x-request-id", "the-service-s-own")
            .body(Body::from("made"))
            .unwrap()
    })
    .await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    let (status, headers, body) = gateway.ask(request(Method::PUT, "/v1/storage/objects/a", "x")).await;
    assert_eq!((status, &*body), (201, &b"made"[..]));
    assert_eq!(headers["etag"], "\"x\"");
    assert_eq!(headers["content-length"], "4");
    for gone in ["connection", "x-hop", "keep-alive", "proxy-authenticate"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(headers.get_all("x-request-id").iter().count(), 1);
    assert_ne!(headers["x-request-id"], "the-service-s-own");
}

#[tokio::test]
async fn answers_without_a_body_stay_without_one() {
    // Bytes on the wire, so that nothing on the way can repair them.
    let service = support::wire(|_, mut stream| async move {
        use tokio::io::AsyncWriteExt as _;
        loop {
            let head = support::read_until(&mut stream, "\r\n\r\n").await;
            let answer: &[u8] = match head.split(' ').nth(1).unwrap() {
                "/storage/length" => b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n",
                "/storage/chunked" => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "/storage/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
                "/storage/304-bare" => b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n",
                "/storage/304" => b"HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\ncontent-length: 77\r\n\r\n",
                _ => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            };
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let gateway = Gateway::start(service, |_| {}).await;
    for (method, path, status, length) in [
        ("HEAD", "length", "200 OK", Some("12345")),
        ("HEAD", "chunked", "200 OK", None),
        ("GET", "204", "204 No Content", None),
        // hyper leaves the length out of a 304, as RFC 9110 (8.6) allows.
        ("GET", "304", "304 Not Modified", None),
        ("GET", "304-bare", "304 Not Modified", None),
        ("HEAD", "304-bare", "304 Not Modified", None),
        ("GET", "empty", "200 OK", Some("0")),
        ("DELETE", "204", "204 No Content", None),
    ] {
        // A second request on the same connection shows that both sides agree on where the first answer ends.
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        for _ in 0..2 {
            let request = format!("{method} /v1/storage/{path} HTTP/1.1\r\nHost: gw\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
            let answer = support::read_until(&mut stream, "\r\n\r\n").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{method} {path}: {answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{method} {path} has a body: {answer}");
            let given = answer.lines().find_map(|line| line.strip_prefix("content-length: "));
            assert_eq!(given, length, "{method} {path}: {answer}");
            assert!(!answer.contains("transfer-encoding"), "{method} {path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_caller_of_http_1_0_is_served_as_such() {
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |_| {}).await;
    let answer = gateway.raw("GET /v1/catalog/list HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n/catalog/list"), "{answer}");
}

#[tokio::test]
async fn what_common_guards_is_guarded_before_anything_is_forwarded() {
    let fake = Fake::echo().await;
    let gateway = Gateway::start(fake.address, |config| {
        config.auth.token = lakehouse_common::config::Secret::new("s3cret");
    })
    .await;
    for path in ["/v1/sql", "/v1/health", "/v1/chat", "/v1/openapi.json", "/v1"] {
        assert_eq!(gateway.problem(post(path, "{}")).await.0, 401, "{path}");
    }
    assert!(fake.seen().is_empty());
    let allowed =
        Request::get("/v1/catalog/list").header("authorization", "Bearer s3cret").body(Body::empty()).unwrap();
    assert_eq!(gateway.ask(allowed).await.0, 200);
    assert_eq!(fake.last().headers["authorization"], "Bearer s3cret");
    assert_eq!(gateway.ask(get("/health")).await.0, 200);
}

#[tokio::test]
async fn a_connection_serves_many_requests_in_turn() {
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&connections);
    let service = support::wire(move |number, mut stream| {
        counted.fetch_max(number + 1, std::sync::atomic::Ordering::SeqCst);
        async move {
            use tokio::io::AsyncWriteExt as _;
            loop {
                support::read_until(&mut stream, "\r\n\r\n").await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    })
    .await;
    let gateway = Gateway::start(service, |_| {}).await;
    for _ in 0..20 {
        assert_eq!(gateway.ask(get("/v1/catalog/list")).await.2, "ok");
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn ipv6_services_are_reached() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new()
        .fallback(|request: Request| async move { request.headers()["host"].to_str().unwrap().to_owned() });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let gateway = Gateway::start(address, |_| {}).await;
    assert_eq!(gateway.ask(get("/v1/catalog/list")).await.2, address.to_string());
}
