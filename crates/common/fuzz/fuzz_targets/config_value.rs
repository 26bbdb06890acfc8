//! Any text as the value of a key: what is read from the text of a flag is shown as TOML that reads as
//! the same value.
//! `scripts/soak/fuzz 60 common`.

#![no_main]

use std::{fmt::Debug, net::SocketAddr, path::PathBuf};

use lakehouse_common::config::{ConfigValue, EmbedProvider, LogFormat, Secret, ServiceUrl, StoreBackend};
use libfuzzer_sys::fuzz_target;
use toml::Value;

fn round_trip<T: ConfigValue + PartialEq + Debug>(text: &str) {
    if let Ok(value) = T::from_text(text) {
        assert_eq!(T::from_toml(&value.show()), Ok(value), "{text:?}");
    }
    // A file says the same in other words, or is refused.
    let _ = T::from_toml(&Value::String(text.to_owned()));
    if let Ok(value) = text.parse::<Value>() {
        let _ = T::from_toml(&value);
    }
}

fuzz_target!(|text: &str| {
    round_trip::<bool>(text);
    round_trip::<EmbedProvider>(text);
    round_trip::<LogFormat>(text);
    round_trip::<PathBuf>(text);
    round_trip::<SocketAddr>(text);
    round_trip::<StoreBackend>(text);
    round_trip::<String>(text);
    round_trip::<u64>(text);
    round_trip::<usize>(text);
    round_trip::<Vec<String>>(text);

    if let Ok(url) = ServiceUrl::new(text) {
        let (base, scheme) = (url.base(), url.url().scheme());
        assert!(matches!(scheme, "http" | "https") && base.starts_with(&format!("{scheme}://")), "{base}");
        assert!(!base.ends_with('/') && !base.contains(['?', '#']), "{base}");
        assert!(url.url().username().is_empty() && url.url().password().is_none(), "{base}");
        assert_eq!(ServiceUrl::new(base).as_ref().map(ServiceUrl::base), Ok(base));
        assert_eq!(Option::<ServiceUrl>::from_text(text), Ok(Some(url)));
    }

    let secret = Secret::from_text(text).expect("any text");
    assert_eq!(secret.expose(), text);
    let masked = if text.is_empty() { "" } else { "***" };
    assert_eq!(secret.show(), Value::String(masked.to_owned()));
});
