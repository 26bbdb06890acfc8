//! Any file, variables and flags as a configuration: one that is taken can be shown and read again,
//! no secret shows, and every problem is a line of its own.
//!
//! The file ends at the first NUL byte; each text between further ones is `NAME=value`, a variable where
//! the name begins with `LAKEHOUSE_` and a flag otherwise.
//! `scripts/soak/fuzz 60 common`.

#![no_main]

use lakehouse_common::config::{Config, Sources};
use libfuzzer_sys::fuzz_target;

/// A token that no input holds by chance.
const SECRET: &str = "xQ7-vR2_kM9.pL4";

fn load(file: &str, env: Vec<(String, String)>, mut flags: Vec<(String, String)>) -> Result<Config, String> {
    // No input may have a file of this machine read.
    for key in ["auth.token", "gateway.chat_token", "embedd.api_key", "s3.access_key_id", "s3.secret_access_key"] {
        flags.push((format!("{key}_file"), String::new()));
    }
    let sources = Sources { file: Some(("lakehouse.toml".into(), file.to_owned())), env, flags };
    Config::load(&sources).map_err(|error| {
        let text = error.to_string();
        assert!(!error.problems.is_empty());
        assert_eq!(text.lines().count(), error.problems.len(), "{text:?}");
        text
    })
}

fuzz_target!(|text: &str| {
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let pairs = parts.filter_map(|part| part.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (env, flags): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name.starts_with("LAKEHOUSE_"));

    let mut with_secret = flags.clone();
    with_secret.push(("auth.token".to_owned(), SECRET.to_owned()));
    with_secret.push(("queryd.bind".to_owned(), "127.0.0.1:9".to_owned()));
    let Ok(config) = load(file, env.clone(), with_secret) else {
        // Nor does a secret show in what is wrong with the file around it.
        if !text.contains(SECRET) {
            let hidden = format!("{file}\n[embedd]\napi_key = \"{SECRET}\" \"\n");
            let problems = load(&hidden, env, flags).expect_err("two values of one key");
            assert!(!problems.contains(SECRET), "{problems}");
        }
        return;
    };
    assert_eq!(config.queryd.bind.to_string(), "127.0.0.1:9", "flags come last");
    assert_eq!(config.auth.token.expose(), SECRET);
    let shown = config.show();
    if !text.contains(SECRET) {
        assert!(!shown.contains(SECRET) && !format!("{config:?}").contains(SECRET));
    }
    let again = load(&shown, Vec::new(), Vec::new());
    assert_eq!(again.map(|again| again.show()).as_deref(), Ok(shown.as_str()));
});
