//! The machinery behind `sections.rs`: from one declaration a struct, its defaults, and reading
//! that reports every bad key instead of stopping at the first.

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `section.key`, or the section alone.
    pub key: String,
    /// Where it was said: the file, a variable or a flag.
    pub source: String,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = format!("{}: {} ({})", self.key, self.message, self.source);
        // A key or a value may hold line breaks; a problem is one line.
        f.write_str(&line.replace(char::is_control, " "))
    }
}

/// A section of the configuration.
pub trait Section: Default {
    /// Its name in the file.
    const NAME: &'static str;
    /// Its keys, in the order of declaration.
    const KEYS: &'static [&'static str];

    /// Sets one key from a file's value. `None`: there is no such key.
    fn set_toml(&mut self, key: &str, value: &toml::Value) -> Option<Result<(), String>>;
    /// Sets one key from text. `None`: there is no such key.
    fn set_text(&mut self, key: &str, text: &str) -> Option<Result<(), String>>;
    /// The section as a table; secrets are masked.
    fn show(&self) -> toml::Table;
}

/// What to say of a key that does not exist: with the nearest one that does, for slips.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    let near =
        known.iter().copied().filter(|k| k.contains(key) || key.contains(k) || edit_distance_at_most_two(k, key));
    match near.into_iter().next() {
        Some(near) => format!("unknown key; did you mean `{near}`?"),
        None => "unknown key".to_owned(),
    }
}

fn edit_distance_at_most_two(a: &str, b: &str) -> bool {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (diagonal + usize::from(ca != *cb)).min(left + 1).min(above + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().is_some_and(|distance| *distance <= 2)
}

/// Declares a section: `pub struct Name("section") { /// doc  key: Type = default, ... }`.
macro_rules! section {
    ($(#[$meta:meta])* pub struct $name:ident($section:literal) {
        $($(#[$kmeta:meta])* $key:ident: $type:ty = $default:expr),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$kmeta])* pub $key: $type),+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default),+ }
            }
        }

        impl $crate::config::section::Section for $name {
            const NAME: &'static str = $section;
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];

            fn set_toml(&mut self, key: &str, value: &toml::Value) -> Option<Result<(), String>> {
                use $crate::config::value::ConfigValue;
                match key {
                    $(stringify!($key) => Some(<$type>::from_toml(value).map(|v| self.$key = v)),)+
                    _ => None,
                }
            }

            fn set_text(&mut self, key: &str, text: &str) -> Option<Result<(), String>> {
                use $crate::config::value::ConfigValue;
                match key {
                    $(stringify!($key) => Some(<$type>::from_text(text).map(|v| self.$key = v)),)+
                    _ => None,
                }
            }

            fn show(&self) -> toml::Table {
                use $crate::config::value::ConfigValue;
                let mut table = toml::Table::new();
                $(table.insert(stringify!($key).to_owned(), self.$key.show());)+
                table
            }
        }
    };
}
pub(super) use section;
