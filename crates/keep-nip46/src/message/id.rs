//! The id that ties an answer to its request.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Number;

use super::loose::Loose;
use crate::json::JsonWriter;

/// The id of a request, as its client wrote it: any text, even an empty one, or a number. It is echoed, and never
/// tells two requests apart: clients repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallId(Form);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Form {
    Text(String),
    Number(Number),
}

impl CallId {
    /// The longest id that is echoed, in bytes.
    pub const MAX_LEN: usize = 256;

    /// An id of ours: 32 hex digits from 16 random bytes.
    pub fn from_random(random: &[u8; 16]) -> Self {
        Self(Form::Text(hex::encode(random)))
    }

    /// An id that was stored as text by [`CallId::to_text`].
    pub fn from_text(text: &str) -> Option<Self> {
        let loose: Loose = serde_json::from_str(text).ok()?;
        Self::from_loose(&loose)
    }

    /// The JSON form of the id, which [`CallId::from_text`] reads again.
    pub fn to_text(&self) -> String {
        match &self.0 {
            Form::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Form::Number(number) => number.to_string(),
        }
    }

    /// Appends the JSON form of the id.
    pub(super) fn write_to(&self, json: &mut JsonWriter) {
        match &self.0 {
            Form::Text(text) => json.text(text),
            Form::Number(number) => json.raw(&number.to_string()),
        };
    }

    /// Whether the id is the empty text, which ties nothing together.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Form::Text(text) if text.is_empty())
    }

    pub(super) fn from_loose(loose: &Loose) -> Option<Self> {
        match loose {
            Loose::Text(text) if text.expose().len() <= Self::MAX_LEN => {
                Some(Self(Form::Text(text.expose().to_owned())))
            }
            Loose::Other(serde_json::Value::Number(number)) => Some(Self(Form::Number(number.clone()))),
            Loose::Text(_) | Loose::Other(_) | Loose::Absent => None,
        }
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Text(text) => f.write_str(text),
            Form::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for CallId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Form::Text(text) => serializer.serialize_str(text),
            Form::Number(number) => number.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_echoed_in_their_own_form() {
        for json in [r#""k3x9""#, r#""""#, r#""\"\n""#, "4294967295", "1.5", "-3"] {
            let id = CallId::from_text(json).unwrap();
            assert_eq!(serde_json::to_string(&id).unwrap(), json);
            assert_eq!(CallId::from_text(&id.to_text()), Some(id));
        }
        for json in ["null", "{}", "[1]", "true", "", &format!("\"{}\"", "x".repeat(257))] {
            assert_eq!(CallId::from_text(json), None, "{json}");
        }
        assert!(CallId::from_text("\"\"").unwrap().is_empty());
        assert_eq!(CallId::from_random(&[0xab; 16]).to_string(), "ab".repeat(16));
    }
}
