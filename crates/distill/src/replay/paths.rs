use std::collections::BTreeSet;

/// The files that an answer may name.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Texts that were in the prompt: whatever path they name is known.
    pub texts: &'a [&'a str],
    /// Whether a path exists where the program looks.
    pub exists: &'a dyn Fn(&str) -> bool,
}

impl Known<'_> {
    /// Whether the answer did not make `path` up.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        let named = self.texts.iter().any(|text| {
            // The path as a whole, or as the end of a longer one; never the middle of a word.
            text.match_indices(path).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                let after = text[at + path.len()..].chars().next();
                before.is_none_or(|c| !is_of_name(c)) && after.is_none_or(|c| !is_of_name(c) || c == '.')
            })
        });
        named || (self.exists)(path)
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The file paths that `text` names: at least one `/`, and an extension. Line numbers behind a path
/// and `./` before it are left out; addresses of the web are no files.
#[must_use]
pub fn cited_paths(text: &str) -> BTreeSet<String> {
    let ends = |c: char| c.is_whitespace() || "\"'`<>()[]{},;|*\u{201c}\u{201d}\u{2018}\u{2019}".contains(c);
    text.split(ends).filter_map(path_of).collect()
}

fn path_of(word: &str) -> Option<String> {
    if word.contains("://") {
        return None;
    }
    // `src/a.rs:12:5` and `src/a.rs#L12`
    let path = word.split([':', '#', '=']).find(|part| part.contains('/'))?;
    let path = path.trim_end_matches(['.', '!', '?']);
    let path = path.strip_prefix("./").unwrap_or(path);
    let (folder, name) = path.rsplit_once('/')?;
    let (stem, extension) = name.rsplit_once('.')?;
    let is_extension = (1..=8).contains(&extension.len()) && extension.chars().all(|c| c.is_ascii_alphanumeric()) && {
        // `1.0/2.0` is a ratio.
        extension.chars().any(|c| c.is_ascii_alphabetic())
    };
    let is_path = !stem.is_empty()
        && is_extension
        && !folder.starts_with('/')
        && folder.chars().all(|c| is_of_name(c) || matches!(c, '/' | '@' | '+' | '~'));
    let is_absolute = path.starts_with('/') && is_extension && !stem.is_empty() && !path.starts_with("//");
    (is_path || is_absolute).then(|| path.to_owned())
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
