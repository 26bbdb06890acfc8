//! What a provider says of a failure, and whether others may read it.

use serde_json::Value;

/// A message is cut here; more than a line or two is a page, not a message.
const MAX_CHARS: usize = 300;
/// Providers show the ends of a key in their messages; this much of a secret is a piece of it.
const SECRET_PIECE: usize = 4;
/// Words around which credentials stand.
const SECRET_WORDS: [&str; 10] =
    ["api key", "api_key", "api-key", "apikey", "authorization", "bearer", "credential", "password", "secret", "sk-"];

/// The message of an error body: `error.message`, `error`, `message` or `detail` where that is a
/// text. A body that is no JSON (a proxy's page) has none.
pub(super) fn of(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let places = [body.pointer("/error/message"), body.get("error"), body.get("message"), body.get("detail")];
    let text = places.into_iter().flatten().find_map(Value::as_str)?;
    let clean: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let clean: String = clean.join(" ").chars().take(MAX_CHARS).collect();
    (!clean.is_empty()).then_some(clean)
}

/// May `message` hold a credential, or an address or a path inside of this network? In doubt, yes.
pub(super) fn tells_secrets(message: &str, secrets: &[String]) -> bool {
    let lower = message.to_lowercase();
    lower.contains("://")
        || lower.split_whitespace().any(is_place)
        || SECRET_WORDS.iter().any(|word| lower.contains(word))
        || secrets.iter().any(|secret| has_piece(&lower, &secret.to_lowercase()))
}

/// Is the word an address (`10.0.0.7`, `[::1]:80`, `db:5432`) or an absolute path?
fn is_place(word: &str) -> bool {
    let word = word.trim_matches(|c: char| "\"'`(),;:.".contains(c));
    let host = word.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map(|(host, _)| host);
    let address = host.unwrap_or(word).trim_matches(['[', ']']);
    host.is_some_and(|host| !host.is_empty())
        || address.parse::<std::net::IpAddr>().is_ok()
        || word.split('=').any(|part| part.starts_with('/') && part.len() > 1)
}

/// `message` for the log: without it altogether where a piece of a secret is in it.
pub(super) fn masked(message: &str, secrets: &[String]) -> String {
    let lower = message.to_lowercase();
    if secrets.iter().any(|secret| has_piece(&lower, &secret.to_lowercase())) {
        return "(a message with a credential in it)".to_owned();
    }
    message.to_owned()
}

fn has_piece(message: &str, secret: &str) -> bool {
    let chars: Vec<char> = secret.chars().collect();
    if chars.len() <= SECRET_PIECE {
        return message.contains(secret);
    }
    chars.windows(SECRET_PIECE).any(|piece| message.contains(&piece.iter().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_of_errors_is_read() {
        for (body, message) in [
            (r#"{"error": {"message": "too many\n tokens", "type": "x"}}"#, Some("too many tokens")),
            (r#"{"error": "model \"x\" not found"}"#, Some("model \"x\" not found")),
            (r#"{"detail": "no"}"#, Some("no")),
            (r#"{"object": "error", "message": "bad"}"#, Some("bad")),
            (r#"{"detail": [{"msg": "x"}]}"#, None),
            (r#"{"error": "  "}"#, None),
            ("<html>502</html>", None),
            ("", None),
        ] {
            assert_eq!(of(body.as_bytes()).as_deref(), message, "{body}");
        }
        let long = format!(r#"{{"error": "{}"}}"#, "é".repeat(1000));
        assert_eq!(of(long.as_bytes()).map(|said| said.chars().count()), Some(300));
    }

    #[test]
    fn what_may_hold_a_secret_is_kept_back() {
        let secrets = ["sk-proj-Ab12Cd34Ef56".to_owned(), "pw".to_owned()];
        for bad in [
            "Incorrect value provided: ab12************",
            "key ends in EF56",
            "wrong pw",
            "Invalid API key",
            "see https://internal.example/errors",
            "Authorization header is missing",
            "dial tcp 10.0.0.7:11434: connect: connection refused",
            "lookup failed on [fd00::1]:53",
            "cannot reach models.internal:8080",
            "no route to fd00::7",
            "open /usr/share/ollama/models/x: no such file",
        ] {
            assert!(tells_secrets(bad, &secrets), "{bad}");
        }
        for fine in ["model \"x\" not found, try pulling it first", "this input is too long: 9000 tokens", ""] {
            assert!(!tells_secrets(fine, &secrets), "{fine}");
        }
    }

    #[test]
    fn the_log_has_no_credential_either() {
        let secrets = ["sk-proj-Ab12Cd34Ef56".to_owned()];
        assert!(!masked("got sk-proj-Ab12Cd34Ef56", &secrets).contains("Ab12"));
        assert_eq!(masked("overloaded", &secrets), "overloaded");
    }
}
