//! Configuration: file < environment < flags.
//!
//! The whole file is read and checked by every service and job, so a mistake anywhere in it is reported by
//! the first one that starts; every bad key is reported at once, and an unknown one is an error.
//! Only the files that secrets are in are read by nobody but the service that needs them.

mod section;
mod sections;
mod value;

use std::path::{Path, PathBuf};

pub use section::{Problem, Section};
pub use sections::{
    Auth, Catalogd, Embedd, Gateway, Ingestd, Limits, Log, Materializer, Queryd, Replay, S3, Storaged, Vectord,
};
pub use value::{ConfigValue, EmbedProvider, LogFormat, Secret, ServiceUrl, StoreBackend};

use section::unknown_key;

/// The shipped configuration: every key with its default, unit and meaning.
pub const SHIPPED: &str = include_str!("../../../../config/lakehouse.toml");

/// Where the file is looked for when neither a flag nor `LAKEHOUSE_CONFIG` names one.
pub const DEFAULT_PATH: &str = "config/lakehouse.toml";

/// Environment variables that set a key begin with this: `LAKEHOUSE_GATEWAY__BIND`.
const ENV_PREFIX: &str = "LAKEHOUSE_";

/// All problems of a configuration, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong, in the order in which it was read.
    pub problems: Vec<Problem>,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Where a configuration comes from. Passed in, so that tests need no environment.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file: its path (for messages) and its text.
    pub file: Option<(PathBuf, String)>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Flags: `section.key` and the text of its value.
    pub flags: Vec<(String, String)>,
}

macro_rules! config {
    ($($field:ident: $type:ident),+ $(,)?) => {
        /// Every section.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Config {
            $(#[doc = concat!("`[", stringify!($field), "]`")] pub $field: $type),+
        }

        /// The names of all sections.
        const SECTIONS: &[&str] = &[$($type::NAME),+];

        impl Config {
            fn read_section(&mut self, name: &str, table: &toml::Table, source: &str, problems: &mut Vec<Problem>) -> bool {
                $(if name == $type::NAME { read(&mut self.$field, table, source, problems); return true; })+
                false
            }

            fn set_text(&mut self, section: &str, key: &str, text: &str) -> Result<(), String> {
                $(if section == $type::NAME {
                    return self.$field.set_text(key, text).unwrap_or_else(|| Err(unknown_key(key, $type::KEYS)));
                })+
                Err(format!("unknown section; there are {}", SECTIONS.join(", ")))
            }

            /// The configuration as TOML; secrets are masked.
            #[must_use]
            pub fn show(&self) -> String {
                let mut out = String::new();
                $(
                    out.push_str(concat!("[", stringify!($field), "]\n"));
                    out.push_str(&self.$field.show().to_string());
                    out.push('\n');
                )+
                out
            }
        }
    };
}

config! {
    gateway: Gateway, storaged: Storaged, catalogd: Catalogd, ingestd: Ingestd, queryd: Queryd,
    vectord: Vectord, embedd: Embedd, s3: S3, materializer: Materializer, replay: Replay, auth: Auth,
    limits: Limits, log: Log,
}

fn read<S: Section>(section: &mut S, table: &toml::Table, source: &str, problems: &mut Vec<Problem>) {
    for (key, value) in table {
        let result = section.set_toml(key, value).unwrap_or_else(|| Err(unknown_key(key, S::KEYS)));
        if let Err(message) = result {
            problems.push(Problem { key: format!("{}.{key}", S::NAME), source: source.to_owned(), message });
        }
    }
}

impl Config {
    /// Reads all sources over the defaults, then the files that any service's secrets are in, then
    /// checks what no key can check alone.
    ///
    /// # Errors
    /// Every problem of every source at once.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::read(sources, None)
    }

    /// The same for a process that is `service` alone: of the files that secrets are in, it reads
    /// those that it needs. The others may be unreadable to its user, as they should be.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_for(service: &str, sources: &Sources) -> Result<Self, ConfigError> {
        Self::read(sources, Some(service))
    }

    fn read(sources: &Sources, service: Option<&str>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let mut problems = Vec::new();
        if let Some((path, text)) = &sources.file {
            config.read_file(path, text, &mut problems);
        }
        for (variable, text) in &sources.env {
            config.read_variable(variable, text, &mut problems);
        }
        for (flag, text) in &sources.flags {
            let result = match flag.split_once('.') {
                Some((section, key)) => config.set_text(section, key, text),
                None => Err("expected section.key".to_owned()),
            };
            if let Err(message) = result {
                problems.push(Problem { key: flag.clone(), source: "flag".to_owned(), message });
            }
        }
        config.read_secret_files(service, &mut problems);
        config.check(&mut problems);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
    }

    fn read_file(&mut self, path: &Path, text: &str, problems: &mut Vec<Problem>) {
        let source = path.display().to_string();
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                // Without the line itself, which the error's own text shows: a secret may stand in it.
                let before = error.span().and_then(|span| text.as_bytes().get(..span.start)).unwrap_or_default();
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                let message = format!("not TOML: line {line}: {}", error.message());
                problems.push(Problem { key: "file".to_owned(), source, message });
                return;
            }
        };
        for (name, value) in &table {
            let problem = match value.as_table() {
                Some(section) if self.read_section(name, section, &source, problems) => continue,
                Some(_) => format!("unknown section; there are {}", SECTIONS.join(", ")),
                None => "a key outside of any section".to_owned(),
            };
            problems.push(Problem { key: name.clone(), source: source.clone(), message: problem });
        }
    }

    /// A variable without `__` is not a key (`LAKEHOUSE_CONFIG`, `LAKEHOUSE_ALLOW_NON_LOOPBACK`).
    fn read_variable(&mut self, variable: &str, text: &str, problems: &mut Vec<Problem>) {
        let Some((section, key)) = variable.strip_prefix(ENV_PREFIX).and_then(|rest| rest.split_once("__")) else {
            return;
        };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        if let Err(message) = self.set_text(&section, &key, text) {
            problems.push(Problem { key: format!("{section}.{key}"), source: variable.to_owned(), message });
        }
    }

    /// A secret that comes from a file takes the place of one in the configuration. A file that is
    /// missing or empty is an error: it must never be read as "no secret".
    fn read_secret_files(&mut self, service: Option<&str>, problems: &mut Vec<Problem>) {
        let (auth, gateway, embedd, s3) = (&mut self.auth, &mut self.gateway, &mut self.embedd, &mut self.s3);
        // With the service that needs it; the token is everybody's.
        let files = [
            (None, "auth.token_file", &auth.token_file, &mut auth.token),
            (Some(Gateway::NAME), "gateway.chat_token_file", &gateway.chat_token_file, &mut gateway.chat_token),
            (Some(Embedd::NAME), "embedd.api_key_file", &embedd.api_key_file, &mut embedd.api_key),
            (Some(Storaged::NAME), "s3.access_key_id_file", &s3.access_key_id_file, &mut s3.access_key_id),
            (Some(Storaged::NAME), "s3.secret_access_key_file", &s3.secret_access_key_file, &mut s3.secret_access_key),
        ];
        for (owner, key, path, secret) in files {
            let anothers = owner.zip(service).is_some_and(|(owner, service)| owner != service);
            if anothers || path.as_os_str().is_empty() {
                continue;
            }
            let message = match std::fs::read_to_string(path) {
                Ok(text) if text.trim().is_empty() => "the file is empty".to_owned(),
                Ok(text) => {
                    *secret = Secret::new(text.trim());
                    continue;
                }
                Err(error) => format!("read file: {error}"),
            };
            problems.push(Problem { key: key.to_owned(), source: path.display().to_string(), message });
        }
    }

    /// What no key can check alone: zeros that would stop everything, secrets that can't be sent.
    fn check(&self, problems: &mut Vec<Problem>) {
        let positive = [
            ("catalogd.refresh_seconds", self.catalogd.refresh_seconds == 0),
            ("embedd.batch_size", self.embedd.batch_size == 0),
            ("embedd.max_concurrent_batches", self.embedd.max_concurrent_batches == 0),
            ("embedd.max_texts", self.embedd.max_texts == 0),
            ("embedd.timeout_seconds", self.embedd.timeout_seconds == 0),
            ("gateway.connect_timeout_ms", self.gateway.connect_timeout_ms == 0),
            ("gateway.idle_timeout_seconds", self.gateway.idle_timeout_seconds == 0),
            ("gateway.response_timeout_seconds", self.gateway.response_timeout_seconds == 0),
            ("ingestd.max_concurrent", self.ingestd.max_concurrent == 0),
            ("ingestd.sweep_interval_seconds", self.ingestd.sweep_interval_seconds == 0),
            ("limits.body_idle_timeout_seconds", self.limits.body_idle_timeout_seconds == 0),
            ("limits.header_timeout_seconds", self.limits.header_timeout_seconds == 0),
            ("limits.max_concurrent_requests", self.limits.max_concurrent_requests == 0),
            ("limits.max_connections", self.limits.max_connections == 0),
            ("limits.write_idle_timeout_seconds", self.limits.write_idle_timeout_seconds == 0),
            ("materializer.drift_buckets", self.materializer.drift_buckets == 0),
            ("queryd.max_concurrent", self.queryd.max_concurrent == 0),
            ("queryd.memory_bytes", self.queryd.memory_bytes == 0),
            ("queryd.timeout_seconds", self.queryd.timeout_seconds == 0),
            ("replay.timeout_seconds", self.replay.timeout_seconds == 0),
            ("vectord.load_timeout_seconds", self.vectord.load_timeout_seconds == 0),
            ("vectord.save_interval_seconds", self.vectord.save_interval_seconds == 0),
        ];
        let mut wrong = |key: &str, message: &str| {
            problems.push(Problem { key: key.to_owned(), source: "check".to_owned(), message: message.to_owned() });
        };
        for (key, is_zero) in positive {
            if is_zero {
                wrong(key, "must not be 0");
            }
        }
        // Beyond this a prompt has no room for each of them to say anything.
        if self.replay.k > 100 {
            wrong("replay.k", "must be at most 100");
        }
        // hyper refuses a smaller buffer by panicking.
        if self.limits.max_header_bytes < 8 << 10 {
            wrong("limits.max_header_bytes", "must be at least 8192");
        }
        for (key, secret) in [("auth.token", &self.auth.token), ("gateway.chat_token", &self.gateway.chat_token)] {
            if !secret.is_empty() && !secret.expose().bytes().all(|b| b.is_ascii_graphic()) {
                wrong(key, "may hold only visible ASCII characters, without spaces");
            }
        }
    }
}

#[cfg(test)]
mod tests;
