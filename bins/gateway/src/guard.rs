//! What is refused before it can reach a service: shapes that two programs may read differently.
//!
//! The HTTP parser has refused much already (two lengths, folded headers, white space before a
//! colon, control characters in values); tests/smuggling.rs holds it to that.

use std::borrow::Cow;

use axum::extract::Request;
use http::{HeaderMap, Method, Version, header};

use crate::error::Error;

/// Checks everything but the path's segments.
pub(crate) fn check(request: &Request) -> Result<(), Error> {
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Error::Refused("CONNECT and TRACE are not served"));
    }
    check_framing(request.headers())?;
    check_host(request)?;
    check_upgrade(request.headers())?;
    check_segments(request.uri().path())
}

/// `chunked`, once and alone, or a length: never both, never a coding that is not undone here.
fn check_framing(headers: &HeaderMap) -> Result<(), Error> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Error::Refused("Transfer-Encoding may only be `chunked`"));
    }
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Error::Refused("Content-Length and Transfer-Encoding exclude each other"));
    }
    Ok(())
}

/// One `Host`, and where the target names a host as well, the same one.
fn check_host(request: &Request) -> Result<(), Error> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Error::Refused("there is more than one Host"));
    }
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Err(Error::Refused("Host is missing"));
    }
    let Some(authority) = request.uri().authority() else { return Ok(()) };
    if host.is_some_and(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())) {
        Ok(())
    } else {
        Err(Error::Refused("the target's host and Host differ"))
    }
}

/// Browsers and some HTTP libraries offer `h2c` with every request and go on without it; anything
/// else means that the caller wants another protocol.
fn check_upgrade(headers: &HeaderMap) -> Result<(), Error> {
    let Some(protocol) = headers.get(header::UPGRADE) else { return Ok(()) };
    if protocol.as_bytes().eq_ignore_ascii_case(b"h2c") {
        Ok(())
    } else {
        Err(Error::Refused("there is no other protocol to upgrade to"))
    }
}

/// No segment may be `.` or `..`, plain or escaped, also where an escaped `/` makes it one: a
/// service that resolved it would leave the part of its path space that is mounted here.
fn check_segments(path: &str) -> Result<(), Error> {
    // Nearly all paths end here: a dot segment needs a dot after a slash, or an escape.
    if !path.contains("/.") && !path.contains('%') {
        return Ok(());
    }
    let dots = unescape_once(path).split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b".."));
    if dots { Err(Error::Refused("the path has a `.` or `..` segment")) } else { Ok(()) }
}

fn unescape_once(path: &str) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode_str(path).into()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn refused(edit: impl FnOnce(&mut Request)) -> bool {
        let mut request = Request::builder().uri("/v1/sql").header("host", "gw").body(Body::empty()).unwrap();
        edit(&mut request);
        check(&request).is_err()
    }

    fn refused_with(name: &'static str, values: &[&'static str]) -> bool {
        refused(|request| {
            for value in values {
                request.headers_mut().append(name, http::HeaderValue::from_static(value));
            }
        })
    }

    #[test]
    fn an_ordinary_request_passes() {
        assert!(!refused(|_| {}));
        assert!(!refused_with("transfer-encoding", &["Chunked"]));
        assert!(!refused_with("upgrade", &["h2c"]));
        assert!(!refused(|request| *request.uri_mut() = "http://GW/v1/sql".parse().unwrap()));
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        assert!(refused_with("transfer-encoding", &["x, chunked"]));
        assert!(refused_with("transfer-encoding", &["chunked", "chunked"]));
        assert!(refused_with("transfer-encoding", &["chunked, identity"]));
        assert!(refused_with("transfer-encoding", &["identity"]));
        assert!(refused_with("transfer-encoding", &[" chunked\u{b}".trim_end_matches('\u{b}'), ""]));
        assert!(refused(|request| {
            request.headers_mut().insert("transfer-encoding", http::HeaderValue::from_static("chunked"));
            request.headers_mut().insert("content-length", http::HeaderValue::from_static("3"));
        }));
    }

    #[test]
    fn an_ambiguous_host_is_refused() {
        assert!(refused_with("host", &["other"]));
        assert!(refused(|request| drop(request.headers_mut().remove("host"))));
        assert!(refused(|request| *request.uri_mut() = "http://other/v1/sql".parse().unwrap()));
    }

    #[test]
    fn methods_and_protocols_that_leave_http_are_refused() {
        assert!(refused(|request| *request.method_mut() = Method::TRACE));
        assert!(refused(|request| *request.method_mut() = Method::CONNECT));
        assert!(refused_with("upgrade", &["websocket"]));
    }

    #[test]
    fn dot_segments_are_refused_however_they_are_written() {
        for path in [
            "/v1/storage/../health",
            "/v1/storage/./a",
            "/v1/storage/..",
            "/v1/storage/.",
            "/v1/storage/%2e%2e/health",
            "/v1/storage/%2E./health",
            "/v1/storage/.%2e",
            "/v1/storage/a%2f..%2fb",
            "/v1/storage/a%2F%2e%2E",
        ] {
            assert!(check_segments(path).is_err(), "{path}");
        }
        for path in [
            "/v1/storage/objects/a..b",
            "/v1/storage/objects/.hidden",
            "/v1/storage/objects/...",
            "/v1/storage/objects/a%2Fb",
            "/v1/storage/objects/%252e%252e",
            "/v1/storage/objects/..%20",
            "/v1/storage/objects/%",
            "/v1/storage//x",
        ] {
            assert!(check_segments(path).is_ok(), "{path}");
        }
    }

    proptest::proptest! {
        /// Against the plain way: decode everything, then look.
        #[test]
        fn the_quick_look_misses_nothing(path in "(/|%2f|%2F|\\.|%2e|%2E|a|%25){0,12}") {
            let decoded = path.replace("%2f", "/").replace("%2F", "/").replace("%2e", ".").replace("%2E", ".");
            let dots = format!("/v1/{decoded}").split('/').any(|segment| segment == "." || segment == "..");
            proptest::prop_assert_eq!(check_segments(&format!("/v1/{path}")).is_err(), dots);
        }
    }
}
