use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ErrorKind, ServiceError};

/// The name of a dataset or an index: 1..=128 bytes of UTF-8 without `/`, without control
/// characters, without white space at either end, and not `.` or `..`.
///
/// Names keep the case they were given, but two names that differ only in case are the same
/// name to SQL: [`Name::folded`] is what uniqueness is decided on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a name was refused. The text is meant for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid name: {0}")]
pub struct InvalidName(&'static str);

impl ServiceError for InvalidName {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl Name {
    /// The longest name, in bytes. Escaped it can be three times as long, which still fits a key.
    pub const MAX_BYTES: usize = 128;

    /// Checks `name` against the rules above.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule is broken.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
        let name = name.into();
        if name.is_empty() {
            return Err(InvalidName("it is empty"));
        }
        if name.len() > Self::MAX_BYTES {
            return Err(InvalidName("it is longer than 128 bytes"));
        }
        if name == "." || name == ".." {
            return Err(InvalidName("`.` and `..` are reserved"));
        }
        if name.contains('/') {
            return Err(InvalidName("it contains `/`"));
        }
        if name.chars().any(char::is_control) {
            return Err(InvalidName("it contains a control character"));
        }
        if name.trim().len() != name.len() {
            return Err(InvalidName("it begins or ends with white space"));
        }
        Ok(Self(name))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with case taken out: equal for exactly the names that may not exist side by side.
    ///
    /// Lower, upper, lower again: one pass of `to_lowercase` leaves pairs such as `ß`/`ẞ` or a
    /// final sigma apart that SQL engines and file systems may bring together.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_lowercase().to_uppercase().to_lowercase()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;
    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl std::str::FromStr for Name {
    type Err = InvalidName;
    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_and_awkward_names_pass() {
        for ok in ["a", "O'Brien's data", "Zürich", "日本語", "..a", "a b", &"x".repeat(128)] {
            assert_eq!(Name::new(ok).map(String::from), Ok(ok.to_owned()));
        }
    }

    #[test]
    fn every_rule_is_checked() {
        for bad in ["", ".", "..", "a/b", "/", " a", "a ", "a\tb", "a\0", "\u{a0}a", &"é".repeat(65)] {
            assert!(Name::new(bad).is_err(), "{bad:?} passed");
        }
    }

    #[test]
    fn folding_joins_case_variants_only() {
        let fold = |s: &str| Name::new(s).map(|n| n.folded());
        assert_eq!(fold("Weather"), fold("wEATHER"));
        assert_eq!(fold("straße"), fold("STRAẞE"));
        assert_ne!(fold("weather"), fold("weather2"));
    }

    #[test]
    fn serde_applies_the_rules() {
        assert!(serde_json::from_str::<Name>("\"ok\"").is_ok());
        assert!(serde_json::from_str::<Name>("\"a/b\"").is_err());
    }
}
