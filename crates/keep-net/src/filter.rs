//! What a subscriber wants to see (NIP-01).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use keep_types::{EventId, Kind, PublicKey, Timestamp};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::RawEvent;
use crate::hex_field::Hex;

/// Which events: those that meet every condition that is set. A condition with an empty list is met by none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    ids: Option<BTreeSet<[u8; 32]>>,
    authors: Option<BTreeSet<[u8; 32]>>,
    kinds: Option<BTreeSet<u16>>,
    tags: BTreeMap<char, BTreeSet<String>>,
    since: Option<u64>,
    until: Option<u64>,
    limit: Option<usize>,
}

impl Filter {
    /// Every event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only events with one of these ids (adds to earlier ones).
    #[must_use]
    pub fn ids(mut self, ids: impl IntoIterator<Item = EventId>) -> Self {
        self.ids.get_or_insert_default().extend(ids.into_iter().map(EventId::to_bytes));
        self
    }

    /// Only events by one of these authors (adds to earlier ones).
    #[must_use]
    pub fn authors(mut self, authors: impl IntoIterator<Item = PublicKey>) -> Self {
        self.authors.get_or_insert_default().extend(authors.into_iter().map(PublicKey::to_bytes));
        self
    }

    /// Only events of one of these kinds (adds to earlier ones).
    #[must_use]
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds.get_or_insert_default().extend(kinds.into_iter().map(|kind| kind.as_u16()));
        self
    }

    /// Only events with a `p` tag that names one of these keys (adds to earlier ones).
    #[must_use]
    pub fn to(self, recipients: impl IntoIterator<Item = PublicKey>) -> Self {
        self.tag('p', recipients.into_iter().map(|key| key.to_hex()))
    }

    /// Only events with a tag `name` (one letter) whose value is one of these (adds to earlier ones).
    #[must_use]
    pub fn tag(mut self, name: char, values: impl IntoIterator<Item = String>) -> Self {
        self.tags.entry(name).or_default().extend(values);
        self
    }

    /// Only events made at `time` or later.
    #[must_use]
    pub const fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time.as_secs());
        self
    }

    /// Only events made at `time` or earlier.
    #[must_use]
    pub const fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time.as_secs());
        self
    }

    /// At most so many *stored* events, the newest; 0 for only those to come.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Whether `event` meets every condition (`limit` is none).
    pub fn matches(&self, event: &RawEvent) -> bool {
        let created_at = event.created_at().as_secs();
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&event.kind().as_u16()))
            && self.authors.as_ref().is_none_or(|authors| authors.contains(event.author().as_bytes()))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(event.id().as_bytes()))
            && self.since.is_none_or(|since| created_at >= since)
            && self.until.is_none_or(|until| created_at <= until)
            && self.tags.iter().all(|(name, values)| has_any(event, *name, values))
    }

    /// The filter for asking again after a gap: what happened since `time`, also where only future events were
    /// wanted at first.
    pub(crate) fn resumed(&self, time: Timestamp) -> Self {
        let mut filter = self.clone();
        filter.since = Some(self.since.unwrap_or(0).max(time.as_secs()));
        filter.limit = self.limit.filter(|limit| *limit > 0);
        filter
    }

    /// How many stored events are wanted at most.
    pub(crate) const fn stored_limit(&self) -> Option<usize> {
        self.limit
    }

    /// How many values the conditions list.
    pub(crate) fn size(&self) -> usize {
        let lists = [&self.ids, &self.authors].into_iter().flatten().map(BTreeSet::len).sum::<usize>();
        lists
            + self.kinds.as_ref().map_or(0, BTreeSet::len)
            + self.tags.values().map(BTreeSet::len).sum::<usize>()
    }
}

fn has_any(event: &RawEvent, name: char, values: &BTreeSet<String>) -> bool {
    event.tags().iter().any(|tag| {
        let mut parts = tag.iter();
        parts.next().is_some_and(|n| {
            let mut letters = n.chars();
            letters.next() == Some(name) && letters.next().is_none()
        }) && parts.next().is_some_and(|value| values.contains(value))
    })
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hex = |list: &BTreeSet<[u8; 32]>| list.iter().copied().map(Hex).collect::<Vec<_>>();
        let mut map = serializer.serialize_map(None)?;
        if let Some(ids) = &self.ids {
            map.serialize_entry("ids", &hex(ids))?;
        }
        if let Some(authors) = &self.authors {
            map.serialize_entry("authors", &hex(authors))?;
        }
        if let Some(kinds) = &self.kinds {
            map.serialize_entry("kinds", kinds)?;
        }
        for (name, values) in &self.tags {
            map.serialize_entry(&format!("#{name}"), values)?;
        }
        if let Some(since) = self.since {
            map.serialize_entry("since", &since)?;
        }
        if let Some(until) = self.until {
            map.serialize_entry("until", &until)?;
        }
        if let Some(limit) = self.limit {
            map.serialize_entry("limit", &limit)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Filter {
    /// Conditions that are not of NIP-01 (as `search`) are ignored, as that NIP's relays do.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Conditions;

        impl<'de> Visitor<'de> for Conditions {
            type Value = Filter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a filter object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Filter, A::Error> {
                let mut filter = Filter::new();
                while let Some(key) = map.next_key::<String>()? {
                    read_condition(&mut filter, &key, &mut map)?;
                }
                Ok(filter)
            }
        }

        deserializer.deserialize_map(Conditions)
    }
}

fn read_condition<'de, A: MapAccess<'de>>(
    filter: &mut Filter,
    key: &str,
    map: &mut A,
) -> Result<(), A::Error> {
    let hex = |list: Vec<Hex<32>>| Some(list.into_iter().map(|h| h.0).collect());
    match key {
        "ids" => filter.ids = hex(map.next_value()?),
        "authors" => filter.authors = hex(map.next_value()?),
        "kinds" => filter.kinds = Some(map.next_value()?),
        "since" => filter.since = Some(map.next_value()?),
        "until" => filter.until = Some(map.next_value()?),
        "limit" => filter.limit = Some(map.next_value()?),
        other => match other.strip_prefix('#').map(|name| (name, name.chars().next())) {
            Some((name, Some(letter))) if name.len() == 1 && letter.is_ascii_alphabetic() => {
                filter.tags.insert(letter, map.next_value()?);
            }
            Some(_) => return Err(A::Error::custom("tag filters have one letter")),
            None => {
                map.next_value::<IgnoredAny>()?;
            }
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nostr::{EventBuilder, Keys, Tag};

    use super::*;

    fn event(keys: &Keys, kind: u16, p: &str, secs: u64) -> RawEvent {
        let event = EventBuilder::new(Kind::from(kind), "x")
            .tags([Tag::parse(["e", "00"]).unwrap(), Tag::parse(["p", p, "wss://x"]).unwrap()])
            .custom_created_at(nostr::Timestamp::from_secs(secs))
            .sign_with_keys(keys)
            .unwrap();
        RawEvent::trusted(&event)
    }

    #[test]
    fn all_conditions_must_hold() {
        let (alice, bob) = (Keys::generate(), Keys::generate());
        let e = event(&alice, 24133, &bob.public_key().to_hex(), 100);
        let kind = Kind::from(24133);
        let good = Filter::new().kinds([kind]).authors([alice.public_key()]).to([bob.public_key()]);
        assert!(Filter::new().matches(&e) && good.matches(&e));
        assert!(good.clone().ids([e.id()]).matches(&e));
        assert!(good.clone().since(Timestamp::from_secs(100)).until(Timestamp::from_secs(100)).matches(&e));
        assert!(good.clone().limit(0).matches(&e));
        for bad in [
            good.clone().since(Timestamp::from_secs(101)),
            good.clone().until(Timestamp::from_secs(99)),
            Filter::new().authors([bob.public_key()]),
            Filter::new().kinds([Kind::from(1)]),
            Filter::new().kinds([]),
            Filter::new().to([alice.public_key()]),
            good.tag('x', ["1".to_owned()]),
        ] {
            assert!(!bad.matches(&e), "{bad:?}");
        }
    }

    #[test]
    fn filters_survive_json() {
        let key = Keys::generate().public_key();
        let filter = Filter::new()
            .kinds([Kind::from(24133), Kind::from(1)])
            .authors([key])
            .to([key])
            .tag('t', ["a\"b".to_owned()])
            .since(Timestamp::from_secs(5))
            .until(Timestamp::from_secs(9))
            .limit(0);
        let json = serde_json::to_string(&filter).unwrap();
        assert!(json.contains(&format!("\"#p\":[\"{}\"]", key.to_hex())));
        assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
        assert_eq!(serde_json::to_string(&Filter::new()).unwrap(), "{}");
        let none: Filter = serde_json::from_str(r#"{"ids":[],"search":{"x":[1]}}"#).unwrap();
        assert_eq!(none, Filter::new().ids([]));
    }

    #[test]
    fn malformed_filters_are_errors() {
        for bad in [
            "[]",
            "1",
            r#"{"kinds":["1"]}"#,
            r#"{"kinds":[65536]}"#,
            r#"{"ids":["00"]}"#,
            r#"{"authors":"x"}"#,
            r#"{"since":-1}"#,
            r#"{"limit":1.5}"#,
            r##"{"#pp":["x"]}"##,
            r##"{"#":["x"]}"##,
            r##"{"#ž":["x"]}"##,
        ] {
            assert!(serde_json::from_str::<Filter>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn resuming_asks_for_the_gap() {
        let gap = Timestamp::from_secs(500);
        let only_new = Filter::new().limit(0).resumed(gap);
        assert_eq!(only_new, Filter::new().since(gap));
        let later = Filter::new().since(Timestamp::from_secs(900)).limit(5);
        assert_eq!(later.resumed(gap), later);
    }
}
