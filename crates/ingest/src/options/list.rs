//! Lists in one option: parts with commas between them, some in double quotes.

/// Cuts at the commas that are neither in quotes nor, where parts may be `nested`, in parentheses.
pub(super) fn split(text: &str, nested: bool) -> Vec<&str> {
    let (mut quoted, mut depth) = (false, 0_usize);
    text.split(move |c| {
        match c {
            '"' => quoted = !quoted,
            '(' if nested && !quoted => depth += 1,
            ')' if nested && !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && !quoted && depth == 0
    })
    .collect()
}

/// What a part says that may stand in double quotes, inside of which a doubled quote is one. `None`
/// where the quotes don't close.
pub(super) fn unquote(part: &str) -> Option<String> {
    match part.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').map(|inner| inner.replace("\"\"", "\"")),
        None => Some(part.to_owned()),
    }
}
