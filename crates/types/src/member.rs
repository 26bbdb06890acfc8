//! How members of request bodies are read, the same in all of them: null is as good as absent, and a
//! word that is not among the allowed ones is answered with those.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, de};

/// For members with a default: null means the same as leaving them out.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A type of which a member names one value by a word.
pub(crate) trait Words: Copy + 'static {
    /// Every value and its word.
    const WORDS: &'static [(&'static str, Self)];
}

/// Reads one of the words of `T`.
pub(crate) fn word<'de, D: Deserializer<'de>, T: Words>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(Word(PhantomData))
}

struct Word<T>(PhantomData<T>);

impl<T: Words> de::Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of")?;
        for (position, (word, _)) in T::WORDS.iter().enumerate() {
            write!(f, "{} `{word}`", if position == 0 { "" } else { "," })?;
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|&(_, value)| value).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}
