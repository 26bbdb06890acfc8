//! `If-Match` and `If-None-Match` (RFC 9110, section 13.1). The conditions on dates are not
//! served: two writes can share a second, so they would hold where they must not.

use http::{HeaderMap, HeaderName, header};
use lakehouse_common::ApiError;
use lakehouse_objstore::{Condition, Error, ObjectStore};
use lakehouse_types::{ErrorKind, ObjectKey};

/// The tags of one header, in all its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: whatever there is.
    Any,
    /// Each without its quotes, and whether it is weak.
    List(Vec<(String, bool)>),
}

impl Tags {
    /// `None` where the header is absent.
    pub(crate) fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, ApiError> {
        let mut list = Vec::new();
        let mut any = false;
        let mut present = false;
        for value in headers.get_all(name) {
            present = true;
            let value = value.to_str().map_err(|_| malformed(name))?.trim();
            if value == "*" {
                any = true;
            } else {
                parse(value, &mut list).ok_or_else(|| malformed(name))?;
            }
        }
        match (present, any, list.is_empty()) {
            (false, ..) => Ok(None),
            (true, true, true) => Ok(Some(Self::Any)),
            (true, false, false) => Ok(Some(Self::List(list))),
            // An empty list, or `*` among tags.
            _ => Err(malformed(name)),
        }
    }

    /// As `If-None-Match` compares: a weak tag is as good as a strong one.
    pub(crate) fn weak(&self) -> Vec<String> {
        match self {
            Self::Any => Vec::new(),
            Self::List(list) => list.iter().map(|(tag, _)| tag.clone()).collect(),
        }
    }

    /// As `If-Match` compares: a weak tag matches nothing.
    pub(crate) fn matches_strongly(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(list) => list.iter().any(|(tag, weak)| !weak && tag == etag),
        }
    }
}

fn malformed(name: &HeaderName) -> ApiError {
    ApiError::new(ErrorKind::InvalidInput, format!("`{name}` is no list of entity tags, such as \"a\", \"b\""))
}

/// A comma may stand inside of a tag, so this is no split.
fn parse(mut rest: &str, list: &mut Vec<(String, bool)>) -> Option<()> {
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(());
        }
        let weak = rest.starts_with("W/");
        rest = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        let (tag, after) = rest.split_once('"')?;
        list.push((tag.to_owned(), weak));
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
    }
}

/// The tag of a single strong entity tag.
pub(crate) fn opaque_tag(value: &str) -> Option<&str> {
    value.trim().strip_prefix('"')?.strip_suffix('"').filter(|tag| !tag.contains('"'))
}

/// What must hold for a write.
pub(crate) async fn of_write(
    headers: &HeaderMap,
    store: &dyn ObjectStore,
    key: &ObjectKey,
) -> Result<Condition, ApiError> {
    let if_none_match = Tags::of(headers, &header::IF_NONE_MATCH)?;
    let if_match = Tags::of(headers, &header::IF_MATCH)?;
    match (if_none_match, if_match) {
        (None, None) => Ok(Condition::None),
        (Some(Tags::Any), None) => Ok(Condition::IfAbsent),
        (Some(Tags::List(_)), None) => {
            Err(ApiError::new(ErrorKind::InvalidInput, "a write takes `If-None-Match: *` only, no entity tags"))
        }
        (Some(_), Some(_)) => {
            Err(ApiError::new(ErrorKind::InvalidInput, "a write takes `If-Match` or `If-None-Match`, not both"))
        }
        (None, Some(tags)) => if_match_of(&tags, store, key).await,
    }
}

/// The store compares with one tag. `*` and a list are settled on the tag that the object has
/// now; should it change before the write, the write is refused, which is never wrong.
async fn if_match_of(tags: &Tags, store: &dyn ObjectStore, key: &ObjectKey) -> Result<Condition, ApiError> {
    if let Tags::List(list) = tags
        && let [(tag, false)] = &list[..]
    {
        return Ok(Condition::IfMatch(tag.clone()));
    }
    match store.head(key).await {
        Ok(meta) if tags.matches_strongly(&meta.etag) => Ok(Condition::IfMatch(meta.etag)),
        Ok(_) | Err(Error::NotFound { .. }) => Err(Error::PreconditionFailed { key: key.to_string() }.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn tags(values: &[&'static str]) -> Result<Option<Tags>, ErrorKind> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, HeaderValue::from_static(value));
        }
        Tags::of(&headers, &header::IF_MATCH).map_err(|error| error.kind())
    }

    fn list(tags: &[(&str, bool)]) -> Result<Option<Tags>, ErrorKind> {
        Ok(Some(Tags::List(tags.iter().map(|(tag, weak)| ((*tag).to_owned(), *weak)).collect())))
    }

    #[test]
    fn lists_of_tags_are_read() {
        assert_eq!(tags(&[]), Ok(None));
        assert_eq!(tags(&["*"]), Ok(Some(Tags::Any)));
        assert_eq!(tags(&["\"a\""]), list(&[("a", false)]));
        assert_eq!(tags(&["\"a\", W/\"b\" ,\"c,d\""]), list(&[("a", false), ("b", true), ("c,d", false)]));
        assert_eq!(tags(&["\"a\",, \"b\"", "\"c\""]), list(&[("a", false), ("b", false), ("c", false)]));
        assert_eq!(tags(&["\"\""]), list(&[("", false)]));
    }

    #[test]
    fn what_is_no_list_is_refused_and_not_ignored() {
        for value in ["a", "\"a", "a\"", "\"a\" \"b\"", "w/\"a\"", ", ,", "", "*, \"a\""] {
            assert_eq!(tags(&[value]), Err(ErrorKind::InvalidInput), "{value:?}");
        }
        assert_eq!(tags(&["*", "\"a\""]), Err(ErrorKind::InvalidInput));
    }

    #[test]
    fn if_match_compares_strongly() {
        let Ok(Some(tags)) = tags(&["\"a\", W/\"b\""]) else { panic!("a list") };
        assert!(tags.matches_strongly("a") && !tags.matches_strongly("b"));
        assert_eq!(tags.weak(), ["a", "b"]);
    }
}
