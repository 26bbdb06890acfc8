use serde_json::Value;

use super::{Known, cited_paths};

/// What an answer must be. The same answer under the same rules is always judged the same.
#[derive(Default)]
pub struct Rules<'a> {
    /// Texts that must occur in it, as they stand.
    pub must_contain: &'a [String],
    /// Whether it must be JSON.
    pub json: bool,
    /// What is wrong with the JSON, by a schema; implies `json`.
    #[expect(clippy::type_complexity, reason = "a name for it would say no more")]
    pub schema: Option<&'a dyn Fn(&Value) -> Vec<String>>,
    /// The files that it may name; none to let it name any.
    pub known: Option<Known<'a>>,
}

/// Refusals stand at the beginning; further down the same words are usually somebody's quoted.
const REFUSAL_CHARS: usize = 240;
/// Hedges too; but a short answer is looked at whole.
const HEDGE_CHARS: usize = 600;

const REFUSALS: [&str; 26] = [
    "i can't help",
    "i cannot help",
    "i can not help",
    "i can't assist",
    "i cannot assist",
    "i can't do that",
    "i cannot do that",
    "i can't provide",
    "i cannot provide",
    "i can't comply",
    "i cannot comply",
    "i can't fulfill",
    "i cannot fulfill",
    "i can't answer",
    "i cannot answer",
    "i'm unable to",
    "i am unable to",
    "i'm not able to",
    "i am not able to",
    "i won't be able to",
    "i must decline",
    "i have to decline",
    "sorry, but i can",
    "as an ai",
    "as a large language model",
    "against my guidelines",
];

const HEDGES: [&str; 21] = [
    "i'm not sure",
    "i am not sure",
    "i'm not certain",
    "i am not certain",
    "i can't be certain",
    "i cannot be certain",
    "i don't know",
    "i do not know",
    "it's hard to say",
    "it is hard to say",
    "i don't have enough information",
    "i do not have enough information",
    "there is not enough information",
    "without more information",
    "without more context",
    "i would need more",
    "i'd need more",
    "could you clarify",
    "could you provide more",
    "cannot be determined",
    "it might possibly",
];

/// What is wrong with `answer`; nothing if it will do.
#[must_use]
pub fn judge(answer: &str, rules: &Rules<'_>) -> Vec<String> {
    if answer.trim().is_empty() {
        return vec!["empty".to_owned()];
    }
    let mut reasons = Vec::new();
    let plain = plain(answer);
    if let Some(words) = find_early(&plain, &REFUSALS, REFUSAL_CHARS) {
        reasons.push(format!("refusal: \"{words}\""));
    }
    if let Some(words) = find_early(&plain, &HEDGES, HEDGE_CHARS) {
        reasons.push(format!("hedge: \"{words}\""));
    }
    for text in rules.must_contain {
        if !answer.contains(text.as_str()) {
            reasons.push(format!("missing: {text:?}"));
        }
    }
    if rules.json || rules.schema.is_some() {
        match extract_json(answer) {
            Err(why) => reasons.push(format!("not_json: {why}")),
            Ok(value) => {
                let violations = rules.schema.map(|check| check(&value)).unwrap_or_default();
                reasons.extend(violations.into_iter().map(|why| format!("schema: {why}")));
            }
        }
    }
    if let Some(known) = &rules.known {
        for path in cited_paths(answer) {
            if !known.has(&path) {
                reasons.push(format!("invented_path: {path}"));
            }
        }
    }
    reasons
}

/// Why an answer that its provider ended for `finish_reason` will not do, whatever it says; none if it was
/// ended as answers are. In OpenAI's words, and in those that others have for the same.
#[must_use]
pub fn ended_badly(finish_reason: &str) -> Option<String> {
    let why = match finish_reason.trim().to_lowercase().as_str() {
        "length"
        | "max_length"
        | "max_tokens"
        | "max_output_tokens"
        | "model_length"
        | "model_context_window_exceeded" => "cut_off: there was no room for the rest of it",
        "content_filter" | "content_filtered" | "safety" | "recitation" | "blocklist" | "prohibited_content"
        | "spii" => "filtered: its provider left out the rest of it",
        "error" | "abort" | "cancelled" => "failed: its provider gave up",
        _ => return None,
    };
    Some(format!("{why} (finish_reason {})", finish_reason.trim()))
}

/// The JSON of an answer: the whole of it, or what its one code fence holds.
///
/// # Errors
/// Why it is no JSON.
pub fn extract_json(answer: &str) -> Result<Value, String> {
    let text = answer.trim();
    // The whole of it first: fences may stand in its strings.
    let json = serde_json::from_str(text).or_else(|error| match fenced(text) {
        Some(inside) => serde_json::from_str(inside),
        None => Err(error),
    });
    json.map_err(|error| error.to_string())
}

/// What stands between the first fence and the last, the fence's language left out.
fn fenced(text: &str) -> Option<&str> {
    let (_, inside) = text.split_once("```")?;
    let (inside, _) = inside.rsplit_once("```")?;
    let (language, body) = inside.split_once('\n')?;
    if language.trim().chars().all(char::is_alphanumeric) { Some(body.trim()) } else { Some(inside.trim()) }
}

/// Lower case, straight apostrophes, single spaces.
fn plain(text: &str) -> String {
    let straight: String = text.chars().map(|c| if matches!(c, '\u{2019}' | '\u{2bc}') { '\'' } else { c }).collect();
    straight.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first of `phrases` that begins a word within the first `chars` characters.
fn find_early(plain: &str, phrases: &[&'static str], chars: usize) -> Option<&'static str> {
    let end = plain.char_indices().nth(chars).map_or(plain.len(), |(at, _)| at);
    let early = &plain[..end];
    phrases.iter().copied().find(|phrase| {
        early.match_indices(phrase).any(|(at, _)| !early[..at].ends_with(|c: char| c.is_alphanumeric() || c == '\''))
    })
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
