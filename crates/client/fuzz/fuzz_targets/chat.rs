//! Any bytes as a model's answer, whole or in events: text, or a reason; a stream that was cut off is never
//! taken for a whole one.
//!
//! The module is replay's own, read from its folder: a program has no door to it. The first byte says
//! whether the answer is a stream of events.
//! `scripts/soak/fuzz 60 client`.

#![no_main]

use std::time::Duration;

use futures::executor::block_on;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

use gateway::{CallError, Gateway};

#[path = "../../../../bins/replay/src/chat.rs"]
mod chat;

/// In the place of replay's: the answer is there already.
mod gateway {
    use std::time::Duration;

    use serde_json::Value;

    #[derive(Debug)]
    pub(crate) enum CallError {
        Nonsense(String),
    }

    #[derive(Clone)]
    pub(crate) struct Body {
        pub(crate) bytes: Vec<u8>,
        pub(crate) is_events: bool,
    }

    impl Body {
        pub(crate) fn json(&self) -> Result<Value, CallError> {
            serde_json::from_slice(&self.bytes).map_err(|error| CallError::Nonsense(error.to_string()))
        }
    }

    pub(crate) struct Gateway(pub(crate) Body);

    impl Gateway {
        #[allow(clippy::unused_async, reason = "replay's has to wait")]
        pub(crate) async fn post(&self, path: &str, body: &Value, _limit: Duration) -> Result<Body, CallError> {
            assert!(path == "chat" && body["temperature"] == 0);
            Ok(self.0.clone())
        }
    }
}

fn ask(bytes: &[u8], is_events: bool) -> Result<chat::Spoken, String> {
    let gateway = Gateway(gateway::Body { bytes: bytes.to_vec(), is_events });
    let messages = json!([]);
    let asked = block_on(chat::ask(&gateway, "model", &messages, is_events, Duration::from_secs(1)));
    asked.map_err(|CallError::Nonsense(why)| why)
}

/// The events with a piece of the first choice in them, and whether one of them is the last.
fn plain_events(text: &str) -> Option<(String, bool)> {
    let (mut said, mut is_finished) = (String::new(), false);
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
        if data == "[DONE]" {
            is_finished = true;
            continue;
        }
        let event: Value = serde_json::from_str(data).ok()?;
        if event["error"]["message"].is_string() {
            return None;
        }
        let choice = event.pointer("/choices/0").unwrap_or(&Value::Null);
        match &choice["delta"]["content"] {
            Value::String(piece) => said.push_str(piece),
            Value::Array(parts) => said.extend(parts.iter().filter_map(|part| part["text"].as_str())),
            _ => {}
        }
        is_finished |= !choice["finish_reason"].is_null();
    }
    Some((said, is_finished))
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    if choice & 1 == 0 {
        let said = ask(bytes, false);
        let whole: Value = serde_json::from_slice(bytes).unwrap_or_default();
        assert_eq!(said.is_ok(), whole.pointer("/choices/0").is_some());
        if let (Ok(said), Some(Value::String(text))) = (&said, whole.pointer("/choices/0/message/content"))
            && !text.is_empty()
        {
            assert_eq!(&said.text, text);
        }
        return;
    }
    let said = ask(bytes, true);
    match plain_events(&String::from_utf8_lossy(bytes)) {
        Some((text, true)) => assert_eq!(said.map(|said| said.text), Ok(text)),
        Some((_, false)) | None => assert!(said.is_err(), "{said:?}"),
    }
});
