//! What counts as said: how an answer ended, and what was only thought.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails by panicking, as the test does")]

#[path = "../../../tests/fake_http.rs"]
#[allow(dead_code, reason = "not every test that includes this needs all of it")]
mod fake_http;
#[allow(dead_code, reason = "not every test that includes this needs all of it")]
mod support;

use fake_http::Reply;
use serde_json::{Value, json};
use support::{Root, models};

/// The row that one whole answer leaves.
fn whole(message: &Value, finish_reason: Option<&str>) -> Value {
    let completion = json!({"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]});
    row(move || Reply::Json(200, completion.clone()), &[])
}

/// The row that the same leaves when it comes in pieces.
fn streamed(deltas: &[Value], finish_reason: &str) -> Value {
    let event = |choice: Value| format!("data: {}\n\n", json!({"choices": [choice]}));
    let mut events: String = deltas.iter().map(|delta| event(json!({"delta": delta, "finish_reason": null}))).collect();
    events.push_str(&event(json!({"delta": {}, "finish_reason": finish_reason})));
    events.push_str("data: [DONE]\n\n");
    row(move || Reply::Bytes(200, "text/event-stream", events.clone().into_bytes()), &["--stream"])
}

fn row(reply: impl Fn() -> Reply + Send + Sync + 'static, args: &[&str]) -> Value {
    let root = Root::new();
    let gateway = models(move |_| reply());
    let output = root.run(&gateway.url, &[&["--task", "How many?", "--no-retrieval"], args].concat());
    let row = root.only_row();
    let passed = row["validation"]["passed"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(!passed)));
    assert_eq!(row["attempts"][0]["ok"], passed);
    assert_eq!(row["attempts"][0]["reasons"], row["validation"]["reasons"]);
    row
}

fn reason(row: &Value) -> &str {
    row["validation"]["reasons"][0].as_str().unwrap_or_default()
}

#[test]
fn an_answer_that_was_cut_off_or_filtered_will_not_do() {
    for (finish_reason, expected) in [
        ("length", "cut_off"),
        ("max_tokens", "cut_off"),
        ("MAX_TOKENS", "cut_off"),
        ("content_filter", "filtered"),
        ("SAFETY", "filtered"),
        ("error", "failed"),
    ] {
        let rows = [
            whole(&json!({"content": "Set it t"}), Some(finish_reason)),
            streamed(&[json!({"content": "Set "}), json!({"content": "it t"})], finish_reason),
        ];
        for row in rows {
            let told = reason(&row);
            assert!(told.starts_with(expected) && told.contains(finish_reason), "{finish_reason}: {row}");
            assert_eq!((&row["response"], &row["validation"]["passed"]), (&json!("Set it t"), &json!(false)));
            assert_eq!(row["attempts"][0]["finish_reason"], finish_reason);
        }
    }
    for finish_reason in [Some("stop"), Some("end_turn"), Some("STOP"), None] {
        let row = whole(&json!({"content": "Set it to three."}), finish_reason);
        assert_eq!(row["validation"], json!({"passed": true, "reasons": []}));
    }
    // A filter that left nothing says both.
    let row = whole(&json!({"content": ""}), Some("content_filter"));
    let reasons = row["validation"]["reasons"].as_array().unwrap();
    assert!(reasons.len() == 2 && reasons[1] == "empty", "{row}");
}

#[test]
fn what_was_thought_is_kept_apart_and_judged_by_nothing() {
    const THOUGHT: &str = "I don't know yet.";
    const SAID: &str = "Set it to three.";
    let messages = [
        json!({"content": format!("<think>{THOUGHT}</think>{SAID}")}),
        json!({"content": format!("\n<think>\n{THOUGHT}\n</think>\n\n{SAID}")}),
        json!({"content": format!("<THINKING>{THOUGHT}</THINKING> {SAID}")}),
        // A template that opens the thought itself.
        json!({"content": format!("{THOUGHT}\n</think>\n\n{SAID}")}),
        json!({"content": SAID, "reasoning_content": THOUGHT}),
        json!({"content": SAID, "reasoning": THOUGHT}),
        json!({"content": SAID, "reasoning_content": THOUGHT, "reasoning": THOUGHT}),
        json!({"content": SAID, "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]}),
        json!({"content": [{"type": "reasoning", "text": THOUGHT}, {"type": "text", "text": SAID}]}),
        json!({"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}, {"type": "output_text", "text": SAID}]}),
        json!({"content": [{"type": "thinking", "thinking": THOUGHT, "signature": "x"}, {"type": "text", "text": SAID}]}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": SAID}]}),
        json!({"content": [{"type": "text", "text": format!("<think>{THOUGHT}</think>{SAID}")}]}),
    ];
    for message in &messages {
        let pieces = match &message["content"] {
            // Every character a piece: no tag is seen whole.
            Value::String(text) => {
                let mut first = message.clone();
                first["content"] = Value::Null;
                let rest = text.chars().map(|c| json!({"content": c.to_string()}));
                std::iter::once(first).chain(rest).collect()
            }
            Value::Array(parts) => parts.iter().map(|part| json!({"content": [part]})).collect(),
            _ => vec![message.clone()],
        };
        for row in [whole(message, Some("stop")), streamed(&pieces, "stop")] {
            assert_eq!(row["validation"], json!({"passed": true, "reasons": []}), "{message}: {row}");
            assert_eq!(
                (&row["response"], &row["attempts"][0]["reasoning"]),
                (&json!(SAID), &json!(THOUGHT)),
                "{message}"
            );
        }
    }
}

#[test]
fn who_only_thought_said_nothing() {
    for message in [
        json!({"content": "<think>three, I guess</think>"}),
        json!({"content": "<think>three, I guess"}),
        json!({"content": null, "reasoning_content": "three, I guess"}),
        json!({"content": [{"type": "reasoning", "text": "three, I guess"}]}),
    ] {
        let row = whole(&message, Some("stop"));
        assert_eq!((reason(&row), &row["response"]), ("empty", &json!("")), "{message}");
        assert_eq!(row["attempts"][0]["reasoning"], "three, I guess");
    }
    // What must be said is not said by thinking it.
    let root = Root::new();
    let gateway = models(|_| support::completion("<think>blue/green</think>In one step."));
    root.run(&gateway.url, &["--task", "t", "--no-retrieval", "--must-contain", "blue/green"]);
    assert!(reason(&root.only_row()).starts_with("missing"));
}
