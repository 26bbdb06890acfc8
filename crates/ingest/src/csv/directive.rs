//! The line `sep=;` that spreadsheets write and read: it tells the delimiter, and is no row.

/// The delimiter that the first line of `sample` tells, and where the next line begins.
///
/// The whole line may stand in quotes, and a tab may be written `\t`.
pub(crate) fn sep_directive(sample: &[u8], whole: bool) -> Option<(u8, usize)> {
    let end = memchr::memchr2(b'\r', b'\n', sample).or(whole.then_some(sample.len()))?;
    let line = sample.get(..end)?;
    let bare = match line.trim_ascii() {
        [b'"', inner @ .., b'"'] => inner,
        _ => line,
    };
    let (word, value) = bare.split_at_checked(4)?;
    if !word.eq_ignore_ascii_case(b"sep=") {
        return None;
    }
    let delimiter = match value {
        // Alone a space or tab is the delimiter; behind another character it is nothing.
        [byte] => *byte,
        b"\\t" => b'\t',
        [byte, rest @ ..] if rest.trim_ascii().is_empty() => *byte,
        _ => return None,
    };
    let is_possible = matches!(delimiter, b'\t' | b' ') || delimiter.is_ascii_punctuation();
    if !is_possible || matches!(delimiter, b'"' | b'\'') {
        return None;
    }
    let ends = sample.get(end..)?.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let next = end + ends;
    Some((delimiter, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_read_and_nothing_else() {
        for (text, expected) in [
            ("sep=;\r\na;b", Some((b';', 7))),
            ("SEP=,\na", Some((b',', 6))),
            ("\"sep=;\"\na", Some((b';', 8))),
            ("sep=\\t\na", Some((b'\t', 7))),
            ("sep=\t\na", Some((b'\t', 6))),
            ("sep=|\ra", Some((b'|', 6))),
            ("sep=;  \r\r\na", Some((b';', 10))),
            ("sep=;", Some((b';', 5))),
            ("sep=\na", None),
            ("sep=a\nb", None),
            ("sep=ab\n", None),
            ("separator\na", None),
            ("sep\n", None),
            ("", None),
        ] {
            assert_eq!(sep_directive(text.as_bytes(), true), expected, "{text:?}");
        }
    }
}
