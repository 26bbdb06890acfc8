use std::time::Duration;

use lakehouse_distill::replay::without_thoughts;
use serde_json::{Value, json};

use crate::gateway::{Body, CallError, Gateway};

/// What a model said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// Without what it only thought.
    pub(crate) text: String,
    pub(crate) reasoning: Option<String>,
    pub(crate) finish_reason: Option<String>,
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
}

/// Asks `model`, at temperature 0.
pub(crate) async fn ask(
    gateway: &Gateway,
    model: &str,
    messages: &Value,
    stream: bool,
    limit: Duration,
) -> Result<Spoken, CallError> {
    let mut body = json!({"model": model, "messages": messages, "temperature": 0});
    if let (true, Some(members)) = (stream, body.as_object_mut()) {
        members.insert("stream".to_owned(), json!(true));
        members.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    let body = gateway.post("chat", &body, limit).await?;
    if body.is_events { from_events(&body) } else { from_completion(&body.json()?) }
}

/// `choices[0].message`. No text is an answer too, an empty one; no choice is none.
fn from_completion(completion: &Value) -> Result<Spoken, CallError> {
    let Some(choice) = completion.pointer("/choices/0") else {
        let error = completion.pointer("/error/message").and_then(Value::as_str);
        return Err(CallError::Nonsense(error.unwrap_or("the answer has no choices").to_owned()));
    };
    let mut heard = Heard::default();
    match choice.get("message") {
        Some(message) => heard.add(message),
        // The older endpoint for completions.
        None => heard.add(&json!({"content": choice.get("text")})),
    }
    heard.finish(choice);
    heard.count(completion);
    Ok(heard.spoken())
}

/// Server-sent events, each with a piece of the answer. One that ends without `[DONE]` or a reason
/// to finish was cut off: half an answer must not pass for a whole one.
fn from_events(body: &Body) -> Result<Spoken, CallError> {
    let text = String::from_utf8_lossy(&body.bytes);
    let mut heard = Heard::default();
    let mut is_finished = false;
    for line in text.lines() {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
        if data == "[DONE]" {
            is_finished = true;
            continue;
        }
        let event: Value =
            serde_json::from_str(data).map_err(|e| CallError::Nonsense(format!("an event is no JSON: {e}")))?;
        if let Some(error) = event.pointer("/error/message").and_then(Value::as_str) {
            return Err(CallError::Nonsense(error.to_owned()));
        }
        if let Some(choice) = event.pointer("/choices/0") {
            heard.add(choice.get("delta").unwrap_or(&Value::Null));
            heard.finish(choice);
        }
        heard.count(&event);
    }
    if is_finished || heard.finish_reason.is_some() {
        Ok(heard.spoken())
    } else {
        Err(CallError::Nonsense("the stream broke off".to_owned()))
    }
}

/// An answer as far as it has come in.
#[derive(Default)]
struct Heard {
    text: String,
    refusal: String,
    reasoning: String,
    finish_reason: Option<String>,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl Heard {
    /// Adds a message, or a piece of one.
    fn add(&mut self, message: &Value) {
        match message.get("content") {
            Some(Value::Array(parts)) => parts.iter().for_each(|part| self.part(part)),
            Some(part) => self.part(part),
            None => {}
        }
        self.refusal.push_str(message.get("refusal").and_then(Value::as_str).unwrap_or_default());
        // Some providers say the same under several of these names.
        const NAMES: [&str; 4] = ["reasoning_content", "reasoning", "thinking", "reasoning_details"];
        let thoughts = NAMES.iter().map(|name| text_within(message.get(*name).unwrap_or(&Value::Null)));
        self.reasoning.push_str(&thoughts.into_iter().find(|text| !text.is_empty()).unwrap_or_default());
    }

    /// Content is text, or parts of which some have text.
    fn part(&mut self, part: &Value) {
        let is_of = |word: &str| part.get("type").and_then(Value::as_str).is_some_and(|ty| ty.contains(word));
        if let Value::String(text) = part {
            self.text.push_str(text);
        } else if is_of("reasoning") || is_of("thinking") {
            self.reasoning.push_str(&text_within(part));
        } else if let Some(refusal) = part.get("refusal").and_then(Value::as_str) {
            self.refusal.push_str(refusal);
        } else if let Some(text) = part.get("text").and_then(Value::as_str) {
            self.text.push_str(text);
        }
    }

    fn finish(&mut self, choice: &Value) {
        let reason = choice.get("finish_reason").and_then(Value::as_str).filter(|reason| !reason.is_empty());
        self.finish_reason = reason.map(str::to_owned).or(self.finish_reason.take());
    }

    fn count(&mut self, from: &Value) {
        let tokens = |name: &str| from.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
        self.prompt_tokens = tokens("prompt_tokens").or(self.prompt_tokens);
        self.completion_tokens = tokens("completion_tokens").or(self.completion_tokens);
    }

    fn spoken(self) -> Spoken {
        let said = without_thoughts(&self.text);
        let thoughts = [self.reasoning.trim(), said.thoughts.as_deref().unwrap_or_default()];
        let thoughts: Vec<&str> = thoughts.into_iter().filter(|thought| !thought.is_empty()).collect();
        Spoken {
            text: if said.text.is_empty() { self.refusal } else { said.text },
            reasoning: (!thoughts.is_empty()).then(|| thoughts.join("\n\n")),
            finish_reason: self.finish_reason,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
        }
    }
}

/// The text of a thought, whose shape every provider has its own of.
fn text_within(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_within).collect(),
        Value::Object(members) => {
            let names = ["text", "thinking", "reasoning", "summary", "content"];
            let texts = names.iter().filter_map(|name| members.get(*name)).map(text_within);
            texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Result<Spoken, String> {
        from_events(&Body { bytes: text.as_bytes().to_vec(), is_events: true }).map_err(|e| e.to_string())
    }

    #[test]
    fn a_stream_is_put_together_and_a_broken_one_is_no_answer() {
        let whole = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n\
                     : a comment\n\
                     data: {\"choices\":[{\"delta\":{\"content\":\"Zwei \"}}]}\r\n\r\n\
                     data:{\"choices\":[{\"delta\":{\"content\":\"H\u{e4}lften\"},\"finish_reason\":\"stop\"}]}\n\n\
                     data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n\
                     data: [DONE]\n\n";
        let expected = Spoken {
            text: "Zwei H\u{e4}lften".into(),
            reasoning: None,
            finish_reason: Some("stop".into()),
            prompt_tokens: Some(3),
            completion_tokens: Some(2),
        };
        assert_eq!(events(whole), Ok(expected));
        let half = &whole[..whole.find("data:{").unwrap()];
        assert_eq!(events(half), Err("the stream broke off".to_owned()));
        assert_eq!(events("data: {\"error\":{\"message\":\"no\"}}\n"), Err("no".to_owned()));
    }

    #[test]
    fn completions_come_in_several_shapes() {
        let text =
            |completion: Value| from_completion(&completion).map(|spoken| spoken.text).map_err(|e| e.to_string());
        assert_eq!(text(json!({"choices": [{"message": {"content": "a"}}]})), Ok("a".into()));
        assert_eq!(
            text(json!({"choices": [{"message": {"content": [{"type": "text", "text": "b"}]}}]})),
            Ok("b".into())
        );
        assert_eq!(
            text(json!({"choices": [{"message": {"content": null, "refusal": "I can't help"}}]})),
            Ok("I can't help".into())
        );
        assert_eq!(text(json!({"choices": [{"message": {"content": null}}]})), Ok(String::new()));
        assert_eq!(text(json!({"choices": []})), Err("the answer has no choices".into()));
        assert_eq!(text(json!({"error": {"message": "busy"}})), Err("busy".into()));
    }
}
