//! What a message is, once it is decrypted.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What a plaintext is. Found from its form; a text has exactly one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlaintextClass {
    /// Words for a person.
    Text,
    /// A Nostr event, as in gift wraps (NIP-59).
    Event,
    /// A list of tags, as in private lists (NIP-51).
    Tags,
    /// Other JSON, as in wallet connections (NIP-47).
    Json,
    /// A secret key in one of its forms: `nsec1…`, `ncryptsec1…`, `xprv…`, or nothing but 64 hexadecimal digits.
    Secret,
}

impl PlaintextClass {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Text, Self::Event, Self::Tags, Self::Json, Self::Secret];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Event => "event",
            Self::Tags => "tags",
            Self::Json => "json",
            Self::Secret => "secret",
        }
    }

    /// The class of `text`.
    pub fn of(text: &str) -> Self {
        let trimmed = text.trim();
        if is_secret(trimmed) {
            return Self::Secret;
        }
        if !trimmed.starts_with(['{', '[']) {
            return Self::Text;
        }
        match serde_json::from_str::<Shape>(trimmed) {
            Ok(Shape::Event) => Self::Event,
            Ok(Shape::Array { of_arrays: true }) => Self::Tags,
            Ok(Shape::Array { .. } | Shape::Other) => Self::Json,
            Err(_) => Self::Text,
        }
    }
}

impl fmt::Display for PlaintextClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn is_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_key = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_key || ["nsec1", "ncryptsec1", "xprv", "tprv"].iter().any(|form| lower.contains(form))
}

/// The shape of a JSON value, read without keeping any of its content.
enum Shape {
    Event,
    Array { of_arrays: bool },
    Other,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

/// The fields of an object that tell an event from other objects.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Kind,
    Content,
    Tags,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let (mut kind, mut content, mut tags) = (false, false, false);
        while let Some(field) = map.next_key::<Field>()? {
            map.next_value::<IgnoredAny>()?;
            match field {
                Field::Kind => kind = true,
                Field::Content => content = true,
                Field::Tags => tags = true,
                Field::Other => {}
            }
        }
        Ok(if kind && content && tags { Shape::Event } else { Shape::Other })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        let mut of_arrays = true;
        while let Some(item) = seq.next_element::<Shape>()? {
            of_arrays &= matches!(item, Shape::Array { .. });
        }
        Ok(Shape::Array { of_arrays })
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Other)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Other)
    }
}

/// A set of classes. The bits are part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct PlaintextClasses(#[n(0)] u8);

impl PlaintextClasses {
    /// Every class, also those to come.
    pub const ALL: Self = Self(0xff);
    /// None.
    pub const NONE: Self = Self(0);

    /// These classes.
    pub fn of(classes: &[PlaintextClass]) -> Self {
        classes.iter().fold(Self::NONE, |set, class| set.with(*class))
    }

    /// The set with `class` in it.
    #[must_use]
    pub const fn with(self, class: PlaintextClass) -> Self {
        Self(self.0 | bit(class))
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Every class that is not in it.
    #[must_use]
    pub const fn others(self) -> Self {
        Self(!self.0)
    }

    /// Whether `class` is in it.
    pub const fn contains(self, class: PlaintextClass) -> bool {
        self.0 & bit(class) != 0
    }

    /// The classes in it.
    pub fn iter(self) -> impl Iterator<Item = PlaintextClass> {
        PlaintextClass::ALL.into_iter().filter(move |class| self.contains(*class))
    }

    /// Whether every class is in it.
    pub fn is_all(self) -> bool {
        PlaintextClass::ALL.iter().all(|class| self.contains(*class))
    }
}

impl fmt::Display for PlaintextClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.iter().map(PlaintextClass::as_str).collect();
        f.write_str(&words.join(", "))
    }
}

const fn bit(class: PlaintextClass) -> u8 {
    match class {
        PlaintextClass::Text => 1,
        PlaintextClass::Event => 2,
        PlaintextClass::Tags => 4,
        PlaintextClass::Json => 8,
        PlaintextClass::Secret => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_its_class() {
        for (text, class) in [
            ("hello", PlaintextClass::Text),
            ("", PlaintextClass::Text),
            ("{not json", PlaintextClass::Text),
            (r#"{"kind":14,"content":"x","tags":[]}"#, PlaintextClass::Event),
            (r#" [["p","ab"],["t","x"]] "#, PlaintextClass::Tags),
            ("[]", PlaintextClass::Tags),
            (r#"{"method":"pay_invoice"}"#, PlaintextClass::Json),
            ("[1]", PlaintextClass::Json),
            ("my key: NSEC1abc", PlaintextClass::Secret),
            (&"ab".repeat(32), PlaintextClass::Secret),
            (r#"{"key":"nsec1x"}"#, PlaintextClass::Secret),
        ] {
            assert_eq!(PlaintextClass::of(text), class, "{text}");
        }
        assert!(PlaintextClasses::of(&PlaintextClass::ALL).is_all());
    }
}
