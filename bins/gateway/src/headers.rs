//! Header fields on their way through: what ends at this hop, and what is said about the caller.

use std::net::IpAddr;

use axum::extract::Request;
use http::{HeaderMap, HeaderName, HeaderValue, header, request};
use lakehouse_common::{ClientAddr, TrustedPeer};
use lakehouse_types::context;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What every proxy ends (RFC 9110, 7.6.1), besides what `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Who called, as the services are told.
#[derive(Debug)]
pub(crate) struct Caller {
    address: Option<IpAddr>,
    /// What a trusted proxy said of the caller's own connection.
    proto: Option<HeaderValue>,
    host: Option<HeaderValue>,
}

impl Caller {
    /// Reads it off a request before its headers are changed. What an untrusted peer says counts
    /// for nothing, so nothing of it is kept.
    pub(crate) fn of(request: &request::Parts) -> Self {
        let trusted = request.extensions.get::<TrustedPeer>().is_some_and(|peer| peer.0);
        let said = |name| if trusted { request.headers.get(name).cloned() } else { None };
        Self {
            address: request.extensions.get::<ClientAddr>().map(|client| client.0),
            proto: said(&FORWARDED_PROTO),
            host: said(&FORWARDED_HOST).or_else(|| request.headers.get(header::HOST).cloned()),
        }
    }

    /// Tells a service. It believes this only from the addresses in its `auth.trusted_proxies`.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        if let Some(address) = self.address.and_then(header_of) {
            headers.insert(FORWARDED_FOR, address);
        }
        if let Some(host) = self.host {
            headers.insert(FORWARDED_HOST, host);
        }
        headers.insert(FORWARDED_PROTO, self.proto.unwrap_or(HeaderValue::from_static("http")));
    }
}

/// An address as a header's value. Formatting is a good part of what a request costs here, so the
/// kind that nearly all have is put together by hand.
fn header_of(address: IpAddr) -> Option<HeaderValue> {
    let IpAddr::V4(v4) = address else { return HeaderValue::try_from(address.to_string()).ok() };
    let mut text = ArrayString::default();
    for (place, octet) in v4.octets().into_iter().enumerate() {
        if place > 0 {
            text.push(b'.');
        }
        if octet >= 100 {
            text.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            text.push(b'0' + octet / 10 % 10);
        }
        text.push(b'0' + octet % 10);
    }
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// Room for the longest IPv4 address.
#[derive(Default)]
struct ArrayString {
    bytes: [u8; 15],
    length: usize,
}

impl ArrayString {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Removes from a request what ends here, and all that the peer says of where it came from.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    strip(headers, |name| {
        name.starts_with("proxy-") || name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
    });
}

/// Removes from an answer what ended here.
pub(crate) fn strip_answer(headers: &mut HeaderMap) {
    // Of the two the coding counted, so the length is of something else.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    strip(headers, |name| name.starts_with("proxy-"));
}

fn strip(headers: &mut HeaderMap, also: impl Fn(&str) -> bool) {
    let ends_here = |name: &HeaderName| HOP_BY_HOP.contains(name) || also(name.as_str());
    // Most messages have none of them, and then one look at the names is all there is to do.
    if !headers.keys().any(ends_here) {
        return;
    }
    let mut names: Vec<HeaderName> = headers.keys().filter(|name| ends_here(name)).cloned().collect();
    for value in headers.get_all(header::CONNECTION) {
        let tokens = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.extend(tokens.filter_map(|token| HeaderName::from_bytes(token).ok()));
    }
    for name in names {
        headers.remove(name);
    }
}

/// Passes the request's identity on, in place of what the caller sent for it.
pub(crate) fn identify(headers: &mut HeaderMap) {
    headers.remove(TRACEPARENT);
    let Some(context) = context::current() else { return };
    if let Ok(id) = HeaderValue::from_str(&context.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(trace) = context.traceparent.as_deref().and_then(|trace| HeaderValue::from_str(trace).ok()) {
        headers.insert(TRACEPARENT, trace);
    }
}

/// How a request's body is framed, by its headers: by them the next program will read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    None,
    /// As long as `Content-Length` says.
    Length,
    /// As long as it is.
    Chunked,
}

impl Framing {
    /// Reads it off headers that [`crate::guard`] has let through.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return Self::Chunked;
        }
        match headers.get(header::CONTENT_LENGTH) {
            None => Self::None,
            Some(length) if length.as_bytes().iter().all(|digit| *digit == b'0') => Self::None,
            Some(_) => Self::Length,
        }
    }
}

/// Does the caller wait with its body until it is told to go on?
pub(crate) fn expects_continue(request: &Request) -> bool {
    request.version() == http::Version::HTTP_11
        && request.headers().get(header::EXPECT).is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_ends_at_this_hop_goes_no_further() {
        let mut request = headers(&[
            ("connection", "close, X-Secret ,, b@d"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "5"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAM"),
            ("forwarded", "for=1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-port", "80"),
            ("authorization", "Bearer t"),
            ("accept", "*/*"),
        ]);
        strip_request(&mut request);
        assert_eq!(names(&request), ["accept", "authorization"]);
        let mut answer = headers(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("proxy-authenticate", "Basic"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("etag", "\"1\""),
            ("x-forwarded-for", "kept"),
        ]);
        strip_answer(&mut answer);
        assert_eq!(names(&answer), ["etag", "x-forwarded-for"]);
    }

    fn told(trusted: bool) -> HeaderMap {
        let mut request = Request::new(());
        *request.headers_mut() = headers(&[
            ("host", "lake.example"),
            ("x-forwarded-for", "9.9.9.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "outer.example"),
        ]);
        request.extensions_mut().insert(TrustedPeer(trusted));
        request.extensions_mut().insert(ClientAddr(Ipv4Addr::new(203, 0, 113, 7).into()));
        let (mut parts, ()) = request.into_parts();
        let caller = Caller::of(&parts);
        strip_request(&mut parts.headers);
        caller.tell(&mut parts.headers);
        parts.headers
    }

    #[test]
    fn an_untrusted_peer_s_word_is_replaced() {
        let told = told(false);
        assert_eq!(told.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), ["203.0.113.7"]);
        assert_eq!(told["x-forwarded-proto"], "http");
        assert_eq!(told["x-forwarded-host"], "lake.example");
    }

    #[test]
    fn a_trusted_proxy_s_word_on_its_own_side_is_passed_on() {
        let told = told(true);
        assert_eq!(told.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), ["203.0.113.7"]);
        assert_eq!(told["x-forwarded-proto"], "https");
        assert_eq!(told["x-forwarded-host"], "outer.example");
    }

    proptest::proptest! {
        #[test]
        fn an_address_reads_as_it_is_usually_written(v4: [u8; 4], v6: [u8; 16]) {
            for address in [IpAddr::from(v4), IpAddr::from(v6)] {
                let header = header_of(address).unwrap();
                proptest::prop_assert_eq!(header.to_str().unwrap(), address.to_string());
            }
        }
    }

    #[test]
    fn framing_goes_by_the_headers() {
        assert_eq!(Framing::of(&headers(&[])), Framing::None);
        assert_eq!(Framing::of(&headers(&[("content-length", "0")])), Framing::None);
        assert_eq!(Framing::of(&headers(&[("content-length", "10")])), Framing::Length);
        assert_eq!(Framing::of(&headers(&[("transfer-encoding", "chunked")])), Framing::Chunked);
    }
}
