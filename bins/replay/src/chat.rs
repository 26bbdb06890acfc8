use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::{Body, CallError, Gateway};

/// What a model said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) text: String,
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

/// `choices[0].message.content`. No text is an answer too, an empty one; no choice is none.
fn from_completion(completion: &Value) -> Result<Spoken, CallError> {
    let Some(choice) = completion.pointer("/choices/0") else {
        let error = completion.pointer("/error/message").and_then(Value::as_str);
        return Err(CallError::Nonsense(error.unwrap_or("the answer has no choices").to_owned()));
    };
    let text = text_of(choice.pointer("/message/content")).or_else(|| text_of(choice.get("text")));
    let refusal = text_of(choice.pointer("/message/refusal"));
    let mut spoken =
        Spoken { text: text.filter(|t| !t.is_empty()).or(refusal).unwrap_or_default(), ..Spoken::default() };
    count(completion, &mut spoken);
    Ok(spoken)
}

/// Content is text, or a list of parts with text.
fn text_of(content: Option<&Value>) -> Option<String> {
    match content? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()),
        _ => None,
    }
}

fn count(from: &Value, spoken: &mut Spoken) {
    let tokens = |name: &str| from.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
    spoken.prompt_tokens = tokens("prompt_tokens").or(spoken.prompt_tokens);
    spoken.completion_tokens = tokens("completion_tokens").or(spoken.completion_tokens);
}

/// Server-sent events, each with a piece of the answer. One that ends without `[DONE]` or a reason
/// to finish was cut off: half an answer must not pass for a whole one.
fn from_events(body: &Body) -> Result<Spoken, CallError> {
    let text = String::from_utf8_lossy(&body.bytes);
    let mut spoken = Spoken::default();
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
        if let Some(piece) = text_of(event.pointer("/choices/0/delta/content")) {
            spoken.text.push_str(&piece);
        }
        is_finished |= event.pointer("/choices/0/finish_reason").is_some_and(|reason| !reason.is_null());
        count(&event, &mut spoken);
    }
    if is_finished { Ok(spoken) } else { Err(CallError::Nonsense("the stream broke off".to_owned())) }
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
        let expected = Spoken { text: "Zwei H\u{e4}lften".into(), prompt_tokens: Some(3), completion_tokens: Some(2) };
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
