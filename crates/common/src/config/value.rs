//! The types a config key can have, and how each is read from TOML, from text (environment and
//! flags) and shown again.

use std::{fmt, net::SocketAddr, path::PathBuf};

use toml::Value;
use url::Url;

/// A type that a key can have.
pub trait ConfigValue: Sized {
    /// Reads the key from a file's value. The error says what was expected.
    ///
    /// # Errors
    /// A text for the operator, without the key's name.
    fn from_toml(value: &Value) -> Result<Self, String>;

    /// Reads the key from the text of an environment variable or flag.
    ///
    /// # Errors
    /// As [`ConfigValue::from_toml`].
    fn from_text(text: &str) -> Result<Self, String>;

    /// The value as `--print-config` shows it; secrets are masked.
    fn show(&self) -> Value;
}

fn as_str<'a>(value: &'a Value, expected: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("expected {expected}, not {}", value.type_str()))
}

impl ConfigValue for String {
    fn from_toml(value: &Value) -> Result<Self, String> {
        as_str(value, "a string").map(str::to_owned)
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

impl ConfigValue for PathBuf {
    fn from_toml(value: &Value) -> Result<Self, String> {
        as_str(value, "a path").map(Self::from)
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
    fn show(&self) -> Value {
        Value::String(self.display().to_string())
    }
}

impl ConfigValue for bool {
    fn from_toml(value: &Value) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| format!("expected true or false, not {}", value.type_str()))
    }
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("expected true or false, not `{text}`"))
    }
    fn show(&self) -> Value {
        Value::Boolean(*self)
    }
}

/// A whole number that fits TOML's signed 64 bits and is not negative.
macro_rules! unsigned {
    ($($t:ty),*) => {$(
        impl ConfigValue for $t {
            fn from_toml(value: &Value) -> Result<Self, String> {
                let number = value.as_integer().ok_or_else(|| format!("expected a whole number, not {}", value.type_str()))?;
                Self::try_from(number).map_err(|_| format!("{number} is out of range (0 to {})", Self::MAX.min(i64::MAX as Self)))
            }
            fn from_text(text: &str) -> Result<Self, String> {
                let number = text.replace('_', "").parse::<i64>();
                let number = number.map_err(|_| format!("expected a whole number, not `{text}`"))?;
                Self::from_toml(&Value::Integer(number))
            }
            fn show(&self) -> Value {
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )*};
}
unsigned!(u64, usize);

impl ConfigValue for SocketAddr {
    fn from_toml(value: &Value) -> Result<Self, String> {
        Self::from_text(as_str(value, "an address such as \"127.0.0.1:3110\"")?)
    }
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("`{text}` is not an address such as 127.0.0.1:3110 or [::1]:3110"))
    }
    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl ConfigValue for Vec<String> {
    fn from_toml(value: &Value) -> Result<Self, String> {
        let list = value.as_array().ok_or_else(|| format!("expected a list of strings, not {}", value.type_str()))?;
        list.iter().map(|item| as_str(item, "a list of strings").map(str::to_owned)).collect()
    }
    /// Comma-separated.
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }
    fn show(&self) -> Value {
        Value::Array(self.iter().cloned().map(Value::String).collect())
    }
}

/// The URL of a service: `http` or `https`, with a host, no query and no fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl(Url);

impl ServiceUrl {
    /// Checks `text`.
    ///
    /// # Errors
    /// What is wrong with it; the usual slip, an address without a scheme, is named as such.
    pub fn new(text: &str) -> Result<Self, String> {
        let no_scheme = || format!("`{text}` has no scheme: write http://{text}");
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(_) if !text.is_empty() && !text.contains("://") => return Err(no_scheme()),
            Err(error) => return Err(format!("`{text}` is not a URL: {error}")),
        };
        if !matches!(url.scheme(), "http" | "https") {
            // `localhost:3211` parses, with the scheme `localhost`.
            return Err(if text.contains("://") { format!("`{text}` is neither http nor https") } else { no_scheme() });
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(format!("`{text}` has no host"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{text}` has a query or fragment, which a service's URL can't have"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a service's URL can't hold credentials".to_owned());
        }
        Ok(Self(url))
    }

    /// The URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The URL without a slash at its end, ready for a path to be put behind it.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base())
    }
}

impl ConfigValue for ServiceUrl {
    fn from_toml(value: &Value) -> Result<Self, String> {
        Self::new(as_str(value, "a URL")?)
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Self::new(text)
    }
    fn show(&self) -> Value {
        Value::String(self.base().to_owned())
    }
}

/// A URL that may be left empty, which means: not there.
impl ConfigValue for Option<ServiceUrl> {
    fn from_toml(value: &Value) -> Result<Self, String> {
        Self::from_text(as_str(value, "a URL or \"\"")?)
    }
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { ServiceUrl::new(text).map(Some) }
    }
    fn show(&self) -> Value {
        Value::String(self.as_ref().map(|url| url.base().to_owned()).unwrap_or_default())
    }
}

/// A value that never shows itself: not in `Debug`, not in `--print-config`, not in a log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Is there none?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(none)" } else { "Secret(***)" })
    }
}

impl ConfigValue for Secret {
    fn from_toml(value: &Value) -> Result<Self, String> {
        as_str(value, "a string").map(Self::new)
    }
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
    fn show(&self) -> Value {
        Value::String(if self.is_empty() { String::new() } else { "***".to_owned() })
    }
}

/// Implements [`ConfigValue`] for an enum whose values have fixed spellings.
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl ConfigValue for $name {
            fn from_toml(value: &Value) -> Result<Self, String> {
                Self::from_text(as_str(value, concat!("one of" $(, " ", $text)+))?)
            }
            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(format!(concat!("`{}` is not one of" $(, " ", $text)+), other)),
                }
            }
            fn show(&self) -> Value {
                Value::String(match self { $(Self::$variant => $text),+ }.to_owned())
            }
        }
    };
}

choice! {
    /// Where storaged keeps its objects.
    pub enum StoreBackend {
        /// A directory.
        Local = "local",
        /// An S3 bucket.
        S3 = "s3",
        /// The process's memory; gone when it ends.
        Memory = "memory",
    }
}

choice! {
    /// What log lines look like.
    pub enum LogFormat {
        /// Text on a terminal, JSON otherwise.
        Auto = "auto",
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// Who turns text into vectors.
    pub enum EmbedProvider {
        /// Built in: lexical feature hashing.
        Hash = "hash",
        /// An Ollama server.
        Ollama = "ollama",
        /// Any server with OpenAI's `/embeddings`.
        Openai = "openai",
        /// A sentence model in a directory, run in this process.
        Local = "local",
    }
}
