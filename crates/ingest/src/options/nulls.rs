use super::list::{split, unquote};
use crate::{Error, value::Notation};

/// Every cell that is no number may be held against all words: so many and so long ones are enough.
const MAX_WORDS: usize = 64;
const MAX_WORD_BYTES: usize = 64;

/// Parses `word,"other, word",...`, sorted and each once. The empty cell is null anyway and no word.
/// `None` where these are the words that are null without the option.
///
/// # Errors
/// [`Error::Invalid`] says which word it is about.
pub(super) fn parse_nulls(text: &str) -> Result<Option<Vec<String>>, Error> {
    let mut words = Vec::new();
    for part in split(text, false).into_iter().map(str::trim) {
        let unreadable = || {
            Error::Invalid(format!(
                "`null` is words with commas between them; one with a quote stands in double quotes, in which its quotes are doubled: {part:?} is not of that form"
            ))
        };
        let word = unquote(part).filter(|_| has_whole_quotes(part)).ok_or_else(unreadable)?;
        if word.len() > MAX_WORD_BYTES {
            return Err(Error::Invalid(format!(
                "`null` takes words of at most {MAX_WORD_BYTES} bytes; {word:?} is longer"
            )));
        }
        if !word.is_empty() {
            words.push(word);
        }
    }
    words.sort_unstable();
    words.dedup();
    if words.len() > MAX_WORDS {
        return Err(Error::Invalid(format!("`null` takes at most {MAX_WORDS} words, not {}", words.len())));
    }
    Ok(if words == Notation::USUAL_NULLS { None } else { Some(words) })
}

/// Without quotes around it a part has none; inside of them each is doubled.
fn has_whole_quotes(part: &str) -> bool {
    let inner = match part.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').unwrap_or(quoted).replace("\"\"", ""),
        None => part.to_owned(),
    };
    !inner.contains('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Vec<String>> {
        parse_nulls(text).unwrap()
    }

    #[test]
    fn words_may_hold_anything() {
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse("none, -,(a,-,,\" \""), words(&[" ", "(a", "-", "none"]));
        assert_eq!(parse("\"a, b\",\"say \"\"no\"\"\",\"\"\"\",na"), words(&["\"", "a, b", "na", "say \"no\""]));
        assert_eq!(parse(""), words(&[]));
        assert_eq!(parse("\"\""), words(&[]));
        assert_eq!(parse("NULL,null,N/A,NA,"), None, "the usual words");
        assert_eq!(parse(&"x".repeat(MAX_WORD_BYTES)), words(&[&"x".repeat(MAX_WORD_BYTES)]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many: Vec<String> = (0..=MAX_WORDS).map(|i| format!("w{i}")).collect();
        for bad in
            ["\"a", "a\"b", "a\"\"", "\"a\"b\"", "\"", "x,\"a\" b", &many.join(","), &"x".repeat(MAX_WORD_BYTES + 1)]
        {
            let error = parse_nulls(bad).unwrap_err().to_string();
            assert!(error.contains("`null`"), "{bad:?}: {error}");
        }
    }
}
