//! JSON values read without complaint.

use std::fmt;

use keep_types::SecretText;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Reads a JSON object. (A list of the same values in the same order, which serde takes for an object, is none.)
pub(super) fn from_object<'de, T: Deserialize<'de>>(json: &'de str) -> Option<T> {
    let is_object = json.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    if is_object { serde_json::from_str(json).ok() } else { None }
}

/// A JSON value where text is expected: text is kept apart (it may be a secret), `null` counts as absent.
#[derive(Debug, Default)]
pub(super) enum Loose {
    #[default]
    Absent,
    Text(SecretText),
    Other(Value),
}

impl Loose {
    /// The text; for anything else but `null` its JSON form.
    pub(super) fn into_text(self) -> Option<SecretText> {
        match self {
            Self::Absent => None,
            Self::Text(text) => Some(text),
            Self::Other(value) => Some(SecretText::new(value.to_string())),
        }
    }

    pub(super) const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose::Other(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
        Ok(Loose::Other(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
        Ok(Loose::Other(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
        Ok(Loose::Other(value.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(SecretText::new(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Loose, E> {
        Ok(Loose::Text(SecretText::new(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Loose, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(seq)).map(Loose::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Loose, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(map)).map(Loose::Other)
    }
}

/// The `params` of a request: a list; absent and `null` count as an empty one, anything else as none.
#[derive(Debug, Default)]
pub(super) struct Params(pub(super) Option<Vec<Loose>>);

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamsVisitor)
    }
}

impl Params {
    /// How many parameters are kept. No method has more than four.
    const MAX: usize = 8;

    pub(super) const fn empty() -> Self {
        Self(Some(Vec::new()))
    }
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Params, E> {
        Ok(Params::empty())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Params, E> {
        Ok(Params(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Params, E> {
        Ok(Params(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Params, E> {
        Ok(Params(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Params, E> {
        Ok(Params(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Params, E> {
        Ok(Params(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Params, A::Error> {
        let mut params = Vec::with_capacity(4);
        while params.len() < Params::MAX {
            match seq.next_element()? {
                Some(param) => params.push(param),
                None => return Ok(Params(Some(params))),
            }
        }
        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Params(Some(params)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(Params(None))
    }
}
