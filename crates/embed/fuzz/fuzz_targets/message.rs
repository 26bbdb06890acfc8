//! Any error body of a provider: what callers and the log are told of it is one short line without a piece
//! of a credential.
//!
//! The secret stands on the first line, the body on the rest.
//! `scripts/soak/fuzz 60 embed`.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/remote/message.rs"]
mod message;

/// Whether four letters of `secret` in a row, or all of a shorter one, are in `text`, in whatever case.
fn tells(text: &str, secret: &str) -> bool {
    let (text, secret) = (text.to_lowercase(), secret.to_lowercase());
    let letters: Vec<char> = secret.chars().collect();
    let length = letters.len().min(4);
    letters.windows(length).any(|piece| text.contains(&piece.iter().collect::<String>()))
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (secret, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Some(said) = message::of(body) else { return };
    assert!((1..=300).contains(&said.chars().count()));
    assert!(!said.contains(char::is_control) && said == said.trim() && !said.contains("  "), "{said:?}");

    // There is none where it is empty.
    let Ok(secret) = std::str::from_utf8(secret) else { return };
    if secret.is_empty() {
        return;
    }
    let secrets = ["another-one".to_owned(), secret.to_owned()];
    if tells(&said, secret) {
        assert!(message::tells_secrets(&said, &secrets), "{said:?}");
        assert_eq!(message::masked(&said, &secrets), "(a message with a credential in it)");
    } else if !tells(&said, "another-one") {
        assert_eq!(message::masked(&said, &secrets), said);
    }
    if !message::tells_secrets(&said, &secrets) {
        assert!(!said.contains("://") && !said.to_lowercase().contains("bearer"), "{said:?}");
    }
});
