//! The SHA-256 that a caller announces: `x-content-sha256` in hex, or RFC 9530's
//! `Content-Digest: sha-256=:<base64>:`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName};
use lakehouse_common::ApiError;
use lakehouse_types::ErrorKind;

const HEX: HeaderName = HeaderName::from_static("x-content-sha256");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const BYTES: usize = 32;

/// In lower-case hex. Refused where it is malformed, or where both headers say different things:
/// a checksum that is not looked at is worse than none.
pub(crate) fn of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut digests = Vec::new();
    for value in headers.get_all(HEX) {
        digests.push(value.to_str().ok().and_then(from_hex).ok_or_else(|| malformed(&HEX, "64 hex digits"))?);
    }
    for value in headers.get_all(CONTENT_DIGEST) {
        let found = value.to_str().ok().and_then(from_dictionary);
        digests.extend(found.ok_or_else(|| malformed(&CONTENT_DIGEST, "`sha-256=:<base64>:`"))?);
    }
    digests.dedup();
    match &digests[..] {
        [] => Ok(None),
        [digest] => Ok(Some(digest.clone())),
        _ => Err(ApiError::new(ErrorKind::InvalidInput, "the request announces two different checksums")),
    }
}

fn malformed(name: &HeaderName, form: &str) -> ApiError {
    ApiError::new(ErrorKind::InvalidInput, format!("`{name}` is malformed; it is {form}"))
}

fn from_hex(text: &str) -> Option<String> {
    let digest = hex::decode(text.trim()).ok()?;
    (digest.len() == BYTES).then(|| hex::encode(digest))
}

/// The member `sha-256` of a dictionary of byte sequences (RFC 9651). Members of other algorithms
/// are for others to verify, and a caller that gives several is served by one.
fn from_dictionary(text: &str) -> Option<Option<String>> {
    let mut found = None;
    for member in text.split(',') {
        let (algorithm, value) = member.trim().split_once('=')?;
        let bytes = STANDARD.decode(value.strip_prefix(':')?.strip_suffix(':')?).ok()?;
        if algorithm == "sha-256" {
            if bytes.len() != BYTES {
                return None;
            }
            found = Some(hex::encode(bytes));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Of the empty body.
    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const BASE64: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    fn digest(headers: &[(&str, &str)]) -> Result<Option<String>, ErrorKind> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()));
        of(&headers.collect()).map_err(|error| error.kind())
    }

    #[test]
    fn both_forms_are_read() {
        let expected = Ok(Some(DIGEST.to_owned()));
        let dictionary = format!("sha-256=:{BASE64}:");
        assert_eq!(digest(&[]), Ok(None));
        assert_eq!(digest(&[("x-content-sha256", DIGEST)]), expected);
        assert_eq!(digest(&[("x-content-sha256", &DIGEST.to_uppercase())]), expected);
        assert_eq!(digest(&[("content-digest", &dictionary)]), expected);
        assert_eq!(digest(&[("content-digest", &format!("sha-512=:AAAA:, {dictionary}"))]), expected);
        assert_eq!(digest(&[("x-content-sha256", DIGEST), ("content-digest", &dictionary)]), expected);
        assert_eq!(digest(&[("content-digest", "sha-512=:AAAA:")]), Ok(None));
    }

    #[test]
    fn what_is_malformed_or_contradicts_itself_is_refused() {
        let other = "0".repeat(64);
        for headers in [
            &[("x-content-sha256", "")][..],
            &[("x-content-sha256", "abc")],
            &[("x-content-sha256", "zz")],
            &[("content-digest", DIGEST)],
            &[("content-digest", "sha-256=47DE")],
            &[("content-digest", "sha-256=:AAAA:")],
            &[("content-digest", "sha-256=:*:")],
            &[("x-content-sha256", DIGEST), ("x-content-sha256", &other)],
            &[("x-content-sha256", &other), ("content-digest", &format!("sha-256=:{BASE64}:"))],
        ] {
            assert_eq!(digest(headers), Err(ErrorKind::InvalidInput), "{headers:?}");
        }
    }
}
