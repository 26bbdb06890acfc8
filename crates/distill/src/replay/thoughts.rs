//! What a model said, apart from what it only thought.
//!
//! Reasoning models write their thoughts into the answer, between tags, where whoever serves them does
//! not take them out. A thought is no answer: it may hedge, name files and try out what is dropped again.

/// The tags that models put around their thoughts.
const TAGS: [&str; 4] = ["think", "thinking", "thought", "reasoning"];

/// Tags beyond so many are left alone: no answer has them, and each costs a look at what stands before it.
const MOST_TAGS: usize = 1_000;

/// A text taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What was said: the text itself, if nothing in it was a thought.
    pub text: String,
    /// What was thought.
    pub thoughts: Option<String>,
}

/// Takes the thoughts out of `text`.
///
/// A thought stands between tags at the beginning of the text or of a line, or behind white space or the end
/// of a sentence. One that is not closed goes to the end, if it begins the text or a line: the model never came to speak.
/// One that is closed and was never opened began the text: some templates open it themselves. Tags in
/// code or in JSON are what the answer is about.
#[must_use]
pub fn without_thoughts(text: &str) -> Said {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if is_json || !text.contains('<') {
        return Said { text: text.to_owned(), thoughts: None };
    }
    let (mut said, mut thoughts) = (String::new(), Vec::new());
    let mut rest = text;
    if let Some(tag) = tags(rest).find(|tag| !is_in_code(&text[..tag.start]))
        && tag.closes
    {
        thoughts.push(&rest[..tag.start]);
        rest = &rest[tag.end..];
    }
    while let Some(thought) = first_thought(rest) {
        said.push_str(&rest[..thought.start]);
        thoughts.push(&rest[thought.inside_start..thought.inside_end]);
        rest = &rest[thought.end..];
        // What stood before the thought and what stands behind it were not one word.
        if !said.is_empty() && !said.ends_with(char::is_whitespace) && !rest.starts_with(char::is_whitespace) {
            said.push(' ');
        }
    }
    if thoughts.is_empty() {
        return Said { text: text.to_owned(), thoughts: None };
    }
    said.push_str(rest);
    let thoughts: Vec<&str> = thoughts.into_iter().map(str::trim).filter(|thought| !thought.is_empty()).collect();
    Said { text: said.trim().to_owned(), thoughts: (!thoughts.is_empty()).then(|| thoughts.join("\n\n")) }
}

/// A tag as it stands in a text.
struct Tag {
    name: &'static str,
    start: usize,
    end: usize,
    closes: bool,
}

/// A thought with its tags, and what is inside of them.
struct Thought {
    start: usize,
    inside_start: usize,
    inside_end: usize,
    end: usize,
}

/// The first thought of `text`, which begins where the text does or where another thought has ended.
fn first_thought(text: &str) -> Option<Thought> {
    tags(text).filter(|tag| !tag.closes).find_map(|open| {
        let before = &text[..open.start];
        let begins_a_line = before.rsplit('\n').next().unwrap_or_default().trim().is_empty();
        let follows = |c: char| c.is_whitespace() || matches!(c, '.' | '!' | '?' | ':' | ';' | ')');
        if !(begins_a_line || before.ends_with(follows)) || is_in_code(before) {
            return None;
        }
        let close = tags(&text[open.end..]).find(|tag| tag.closes && tag.name == open.name);
        let (inside_end, end) = match close {
            Some(close) => (open.end + close.start, open.end + close.end),
            None if begins_a_line => (text.len(), text.len()),
            None => return None,
        };
        Some(Thought { start: open.start, inside_start: open.end, inside_end, end })
    })
}

/// The tags of `text`, one after the other.
fn tags(text: &str) -> impl Iterator<Item = Tag> + '_ {
    let tag = move |(start, _): (usize, &str)| {
        let inside = &text[start + 1..];
        let (closes, name) = match inside.strip_prefix('/') {
            Some(name) => (true, name),
            None => (false, inside),
        };
        let name = name.split_once('>')?.0;
        let known = TAGS.iter().find(|tag| tag.eq_ignore_ascii_case(name))?;
        let end = start + 1 + usize::from(closes) + name.len() + 1;
        Some(Tag { name: known, start, end, closes })
    };
    text.match_indices('<').filter_map(tag).take(MOST_TAGS)
}

/// Whether what follows `before` stands between backticks.
fn is_in_code(before: &str) -> bool {
    let is_fenced = before.lines().filter(|line| line.trim_start().starts_with("```")).count() % 2 == 1;
    let line = before.rsplit('\n').next().unwrap_or_default();
    is_fenced || (!line.trim_start().starts_with("```") && line.matches('`').count() % 2 == 1)
}

#[cfg(test)]
#[path = "thoughts_tests.rs"]
mod tests;
