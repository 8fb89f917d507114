//! Names that people give to keys, clients and policies.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::DisplayText;

/// A name: 1 to 64 characters in Unicode NFC, nothing invisible, no space at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode)]
#[serde(try_from = "String", into = "String")]
#[cbor(transparent)]
pub struct Name(#[n(0)] String);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters.
    #[error("a name needs at least one character")]
    Empty,
    /// More than 64 characters.
    #[error("a name has at most 64 characters; this one has {0}")]
    TooLong(usize),
    /// A control, bidirectional or invisible character, or a space at an end.
    #[error("a name cannot have control or invisible characters, nor a space at an end: \"{0}\"")]
    Invisible(DisplayText),
}

impl Name {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;

    /// Checks and normalises a name.
    ///
    /// # Errors
    /// [`NameError`] when it is empty, too long, or has characters that cannot be seen.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let name: String = text.nfc().collect();
        let chars = name.chars().count();
        if chars == 0 {
            return Err(NameError::Empty);
        }
        if chars > Self::MAX_CHARS {
            return Err(NameError::TooLong(chars));
        }
        let shown = DisplayText::new(&name);
        if shown.as_str() != name || name.trim() != name {
            return Err(NameError::Invisible(shown));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::new(d.str()?).map_err(|e| minicbor::decode::Error::message(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_and_refuses_tricks() {
        assert_eq!(Name::new("e\u{301}").unwrap().as_str(), "é");
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert!(matches!(Name::new("a\u{200b}"), Err(NameError::Invisible(_))));
        assert!(matches!(Name::new(" a"), Err(NameError::Invisible(_))));
        assert_eq!(Name::new(&"x".repeat(65)), Err(NameError::TooLong(65)));
    }
}
