//! Any request line and headers at the gateway: none that two programs may read differently gets through,
//! and what ends at this hop goes no further while all else does.
//!
//! The modules are the gateway's own, read from its folder: a program has no door to them.
//! `scripts/soak/fuzz 60 common`.

#![no_main]

use std::{collections::BTreeMap, net::IpAddr};

use axum::{body::Body, extract::Request};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use lakehouse_common::{ClientAddr, TrustedPeer};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;

#[path = "../../../../bins/gateway/src/guard.rs"]
mod guard;
#[allow(dead_code, reason = "the gateway uses all of it")]
#[path = "../../../../bins/gateway/src/headers.rs"]
mod headers;

/// In the place of the gateway's.
mod error {
    #[derive(Debug)]
    pub(crate) enum Error {
        #[allow(dead_code, reason = "it is for people")]
        Refused(&'static str),
    }
}

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::CONNECT, Method::TRACE];

/// A target on the first line, a header on each further one.
fn request(data: &[u8]) -> Option<Request> {
    let (choice, rest) = data.split_first()?;
    let mut lines = rest.split(|byte| *byte == b'\n');
    let target = std::str::from_utf8(lines.next()?).ok()?;
    let mut request = Request::builder().method(METHODS[usize::from(*choice) % 4].clone()).uri(target);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request = request.header(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    request.body(Body::empty()).ok()
}

/// The one way in which a request may be told apart from the next.
fn is_plain(request: &Request) -> bool {
    let all = |name: HeaderName| request.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let (hosts, codings) = (all(header::HOST), all(header::TRANSFER_ENCODING));
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let decoded: Vec<u8> = percent_decode_str(request.uri().path()).collect();
    let upgrade = all(header::UPGRADE);
    !matches!(*request.method(), Method::CONNECT | Method::TRACE)
        && hosts.len() == 1
        && authority.is_none_or(|authority| authority.eq_ignore_ascii_case(hosts[0]))
        && match codings[..] {
            [] => true,
            [coding] => coding.eq_ignore_ascii_case(b"chunked") && all(header::CONTENT_LENGTH).is_empty(),
            _ => false,
        }
        && upgrade.first().is_none_or(|protocol| protocol.eq_ignore_ascii_case(b"h2c"))
        && !decoded.split(|byte| *byte == b'/').any(|segment| segment == b"." || segment == b"..")
}

fn by_name(headers: &HeaderMap) -> BTreeMap<String, Vec<Vec<u8>>> {
    let values = |name| headers.get_all(name).iter().map(|value: &HeaderValue| value.as_bytes().to_vec()).collect();
    headers.keys().map(|name| (name.as_str().to_owned(), values(name))).collect()
}

/// What ends at any hop (RFC 9110, 7.6.1), read word by word.
fn ends_here(name: &str, headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::CONNECTION).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    });
    let always = ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"];
    named || always.contains(&name) || name.starts_with("proxy-")
}

fuzz_target!(|data: &[u8]| {
    let Some(request) = request(data) else { return };
    assert_eq!(guard::check(&request).is_ok(), is_plain(&request), "{request:?}");

    let before = request.headers().clone();
    let mut answer = before.clone();
    headers::strip_answer(&mut answer);
    let is_coded = before.contains_key(header::TRANSFER_ENCODING);
    let mut expected = by_name(&before);
    expected.retain(|name, _| !ends_here(name, &before) && !(is_coded && name == "content-length"));
    assert_eq!(by_name(&answer), expected);

    let (mut parts, _) = request.into_parts();
    let client: IpAddr = [203, 0, 113, 7].into();
    parts.extensions.insert(ClientAddr(client));
    parts.extensions.insert(TrustedPeer(false));
    let caller = headers::Caller::of(&parts);
    headers::strip_request(&mut parts.headers);
    let mut expected = by_name(&before);
    expected.retain(|name, _| {
        let says_who = name.starts_with("x-forwarded-") || name == "forwarded" || name == "x-real-ip";
        !says_who && !ends_here(name, &before)
    });
    assert_eq!(by_name(&parts.headers), expected);
    caller.tell(&mut parts.headers);
    let told: Vec<&HeaderValue> = parts.headers.get_all("x-forwarded-for").iter().collect();
    assert_eq!(told, ["203.0.113.7"]);
});
