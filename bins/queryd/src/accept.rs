//! Which format an `Accept` header asks for.

use http::{HeaderMap, header};
use lakehouse_common::ApiError;
use lakehouse_query::Format;
use lakehouse_types::ErrorKind;

/// Names by which each format may be asked for; the first is the one that answers carry.
const fn names(format: Format) -> &'static [&'static str] {
    match format {
        Format::Json => &["application/json"],
        Format::NdJson => &["application/x-ndjson", "application/ndjson", "application/jsonl"],
        Format::Csv => &["text/csv"],
        Format::Arrow => &["application/vnd.apache.arrow.stream"],
    }
}

/// The format that the caller likes best; JSON without a preference.
///
/// # Errors
/// `InvalidInput` where none of the formats is acceptable.
pub(crate) fn format(headers: &HeaderMap) -> Result<Format, ApiError> {
    let ranges: Vec<Range> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    if ranges.is_empty() {
        return Ok(Format::Json);
    }
    let mut best: Option<(u16, Format)> = None;
    for format in Format::ALL {
        let quality = quality(format, &ranges);
        // Of two liked alike, the one that comes first here.
        if quality > best.map_or(0, |(quality, _)| quality) {
            best = Some((quality, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(|| {
        let offered: Vec<&str> = Format::ALL.iter().map(|format| names(*format)[0]).collect();
        ApiError::new(ErrorKind::InvalidInput, format!("Accept: an answer can be {}", offered.join(", ")))
    })
}

/// How much the caller likes a format, in thousandths: what the most specific range says.
fn quality(format: Format, ranges: &[Range]) -> u16 {
    let matching = ranges.iter().filter_map(|range| Some((range.specificity(names(format))?, range.quality)));
    matching.max().map_or(0, |(_, quality)| quality)
}

/// One range of an `Accept` header.
#[derive(Debug)]
struct Range {
    name: String,
    /// In thousandths.
    quality: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';');
        let name = parts.next()?.trim().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('='));
        let quality = match quality {
            None => 1.0,
            // What is no number is no preference either.
            Some(text) => text.trim().parse::<f32>().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
        };
        // 0 to 1000 fit.
        name.contains('/').then_some(Self { name, quality: (quality * 1_000.0) as u16 })
    }

    /// How closely it matches; `None` where it does not.
    fn specificity(&self, names: &[&str]) -> Option<u8> {
        if self.name == "*/*" {
            return Some(0);
        }
        if let Some(kind) = self.name.strip_suffix("/*") {
            return names.iter().any(|name| name.split('/').next() == Some(kind)).then_some(1);
        }
        names.contains(&self.name.as_str()).then_some(2)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(accept: &[&'static str]) -> Option<Format> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, HeaderValue::from_static(value));
        }
        format(&headers).ok()
    }

    #[test]
    fn preferences_are_followed() {
        for (accept, expected) in [
            (&[][..], Format::Json),
            (&[""], Format::Json),
            (&["*/*"], Format::Json),
            (&["application/*"], Format::Json),
            (&["text/*"], Format::Csv),
            (&["text/csv; header=present"], Format::Csv),
            (&["Application/X-NDJSON"], Format::NdJson),
            (&["application/jsonl"], Format::NdJson),
            (&["application/vnd.apache.arrow.stream"], Format::Arrow),
            (&["text/html, application/xhtml+xml, */*;q=0.8"], Format::Json),
            (&["application/json;q=0.5, text/csv"], Format::Csv),
            (&["text/csv;q=0.3", "application/json;q=0.9"], Format::Json),
            (&["application/json;q=0, */*"], Format::NdJson),
            (&["*/*;q=0.1, application/vnd.apache.arrow.stream ; q = 0.2"], Format::Arrow),
        ] {
            assert_eq!(chosen(accept), Some(expected), "{accept:?}");
        }
    }

    #[test]
    fn what_can_t_be_given_is_refused() {
        for accept in ["image/png", "application/json;q=0", "text/html, application/xml", "*/*;q=0"] {
            assert_eq!(chosen(&[accept]), None, "{accept}");
        }
    }
}
