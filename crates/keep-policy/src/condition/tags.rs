//! Rules about an event's tags.

use keep_types::{UnsignedEvent, counted};
use minicbor::{Decode, Encode};

use super::people::names_only;

/// A tag's name and the values of it that count.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct TagValues {
    /// The tag's name, its first element.
    #[n(0)]
    pub name: String,
    /// The values that count, of its second element; none for every value.
    #[n(1)]
    pub values: Vec<String>,
}

/// What an event's tags must, must not, and may be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct TagRules {
    /// The event has at least one tag of each of these names, and every tag of the name has one of the values.
    #[n(0)]
    pub require: Vec<TagValues>,
    /// The event has no tag of these names with one of the values.
    #[n(1)]
    pub forbid: Vec<TagValues>,
    /// The event has no tags but those of these names.
    #[n(2)]
    pub only: Option<Vec<String>>,
    /// The event has at most this many tags.
    #[n(3)]
    pub most: Option<u32>,
    /// The event names no people but these, by their public keys in hexadecimal, in whatever tag.
    #[n(4)]
    pub people: Option<Vec<String>>,
}

impl TagValues {
    fn counts(&self, tag: &[String]) -> bool {
        self.values.is_empty() || tag.get(1).is_some_and(|value| self.values.contains(value))
    }
}

impl TagRules {
    /// What of the event does not fit, if anything does not.
    pub fn mismatch(&self, event: &UnsignedEvent) -> Option<String> {
        let tags: Vec<&[String]> = event.tags.iter().map(|tag| tag.as_slice()).collect();
        let named = |name: &str| {
            let name = name.to_owned();
            tags.iter().copied().filter(move |tag| tag.first().is_some_and(|first| *first == name))
        };
        for required in &self.require {
            let mut of_name = named(&required.name).peekable();
            if of_name.peek().is_none() {
                return Some(format!("it has no tag \"{}\"", required.name));
            }
            if !of_name.all(|tag| required.counts(tag)) {
                return Some(format!("a tag \"{}\" has another value", required.name));
            }
        }
        for forbidden in &self.forbid {
            if named(&forbidden.name).any(|tag| forbidden.counts(tag)) {
                return Some(format!("it has a tag \"{}\"", forbidden.name));
            }
        }
        if self.people.as_ref().is_some_and(|people| !names_only(event, people)) {
            return Some("it names somebody else".to_owned());
        }
        let is_other =
            |tag: &&[String], only: &[String]| !tag.first().is_some_and(|name| only.contains(name));
        if self.only.as_ref().is_some_and(|only| tags.iter().any(|tag| is_other(tag, only))) {
            return Some("it has other tags".to_owned());
        }
        self.most
            .filter(|most| tags.len() > *most as usize)
            .map(|most| format!("it has more than {}", counted(most, "tag")))
    }
}
