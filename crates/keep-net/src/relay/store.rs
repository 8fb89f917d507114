//! The relay's memory: the newest events, bounded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::{Filter, RawEvent};

/// A verified event, with its JSON as it was received.
#[derive(Debug)]
pub(crate) struct Verified {
    pub event: RawEvent,
    pub json: Box<str>,
}

impl Verified {
    /// Roughly the bytes of memory that this holds.
    pub fn weight(&self) -> usize {
        self.event.weight() + self.json.len()
    }
}

/// How long an event is of interest (NIP-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    Regular,
    /// Only the newest per author and kind (and `d` tag).
    Replaceable,
    /// Forwarded, never stored.
    Ephemeral,
}

impl Lifetime {
    pub fn of(event: &RawEvent) -> Self {
        match event.kind().as_u16() {
            0 | 3 | 10_000..20_000 | 30_000..40_000 => Self::Replaceable,
            20_000..30_000 => Self::Ephemeral,
            _ => Self::Regular,
        }
    }
}

/// What became of an event that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    New,
    Duplicate,
    /// A newer version of a replaceable event is there already.
    Outdated,
}

/// Newest first; of those of one second the lowest id first.
type Place = (Reverse<u64>, [u8; 32]);

/// What makes replaceable events versions of one another: author, kind, `d` tag (empty unless addressable).
type Address = ([u8; 32], u16, String);

pub(crate) struct Store {
    events: BTreeMap<Place, Arc<Verified>>,
    places: HashMap<[u8; 32], Place>,
    newest: HashMap<Address, Place>,
    arrivals: VecDeque<[u8; 32]>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
}

impl Store {
    pub fn new(max_events: usize, max_bytes: usize) -> Self {
        Self {
            events: BTreeMap::new(),
            places: HashMap::new(),
            newest: HashMap::new(),
            arrivals: VecDeque::new(),
            bytes: 0,
            max_events,
            max_bytes,
        }
    }

    /// Whether exactly this event is stored, signature included. Such an event needs no second verification.
    pub fn has(&self, event: &RawEvent) -> bool {
        let place = self.places.get(event.id().as_bytes());
        place.and_then(|place| self.events.get(place)).is_some_and(|stored| stored.event == *event)
    }

    pub fn insert(&mut self, event: &Arc<Verified>) -> Stored {
        let id = event.event.id().to_bytes();
        let place = (Reverse(event.event.created_at().as_secs()), id);
        if self.places.contains_key(&id) {
            return Stored::Duplicate;
        }
        if let Some(address) = address(&event.event) {
            if let Some(old) = self.newest.get(&address).copied() {
                if old < place {
                    return Stored::Outdated;
                }
                self.remove(&old.1);
            }
            self.newest.insert(address, place);
        }
        self.bytes += event.weight();
        self.places.insert(id, place);
        self.arrivals.push_back(id);
        self.events.insert(place, event.clone());
        while self.places.len() > self.max_events || self.bytes > self.max_bytes {
            let Some(oldest) = self.arrivals.pop_front() else { break };
            self.remove(&oldest);
        }
        self.compact();
        Stored::New
    }

    fn remove(&mut self, id: &[u8; 32]) {
        let Some(place) = self.places.remove(id) else { return };
        if let Some(event) = self.events.remove(&place) {
            self.bytes = self.bytes.saturating_sub(event.weight());
            if let Some(address) = address(&event.event) {
                self.newest.remove(&address);
            }
        }
    }

    /// Replaced events leave their ids in the order of arrival; drop those when they are the greater part.
    fn compact(&mut self) {
        if self.arrivals.len() > 2 * self.places.len() + 64 {
            let places = &self.places;
            self.arrivals.retain(|id| places.contains_key(id));
        }
    }

    /// The stored events that match any of the filters, newest first, each once; at most `max` for each filter.
    pub fn query(&self, filters: &[Filter], max: usize) -> Vec<Arc<Verified>> {
        let mut found: BTreeMap<Place, Arc<Verified>> = BTreeMap::new();
        for filter in filters {
            let limit = filter.stored_limit().unwrap_or(max).min(max);
            let matching = self.events.iter().filter(|(_, event)| filter.matches(&event.event)).take(limit);
            found.extend(matching.map(|(place, event)| (*place, event.clone())));
        }
        let mut seen = HashSet::new();
        found.into_values().filter(|event| seen.insert(event.event.id())).collect()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.events.len()
    }
}

fn address(event: &RawEvent) -> Option<Address> {
    if Lifetime::of(event) != Lifetime::Replaceable {
        return None;
    }
    let kind = event.kind().as_u16();
    let name = if kind < 30_000 {
        String::new()
    } else {
        let d = event.tags().iter().find(|tag| tag.first().is_some_and(|name| name == "d"));
        d.and_then(|tag| tag.get(1)).cloned().unwrap_or_default()
    };
    Some((event.author().to_bytes(), kind, name))
}

#[cfg(test)]
mod tests {
    use keep_types::{Kind, Tag, Timestamp};
    use nostr::{EventBuilder, Keys};

    use super::*;

    fn event(keys: &Keys, kind: u16, d: &str, secs: u64, content: &str) -> Arc<Verified> {
        let event = EventBuilder::new(Kind::from(kind), content)
            .tag(Tag::parse(["d", d]).unwrap())
            .custom_created_at(nostr::Timestamp::from_secs(secs))
            .sign_with_keys(keys)
            .unwrap();
        Arc::new(Verified { event: RawEvent::trusted(&event), json: "{}".into() })
    }

    fn contents(store: &Store, filters: &[Filter]) -> Vec<String> {
        store.query(filters, 100).iter().map(|e| e.event.content().to_owned()).collect()
    }

    #[test]
    fn newest_first_and_each_limit_for_itself() {
        let (keys, mut store) = (Keys::generate(), Store::new(100, 1 << 20));
        for secs in [3, 1, 5, 2, 4] {
            assert_eq!(store.insert(&event(&keys, 1, "", secs, &secs.to_string())), Stored::New);
        }
        assert_eq!(contents(&store, &[Filter::new().limit(2)]), ["5", "4"]);
        let old = Filter::new().until(Timestamp::from_secs(2)).limit(1);
        assert_eq!(contents(&store, &[Filter::new().limit(2), old]), ["5", "4", "2"]);
        assert_eq!(contents(&store, &[Filter::new(), Filter::new()]).len(), 5);
        assert!(contents(&store, &[Filter::new().limit(0)]).is_empty());
        assert_eq!(store.query(&[Filter::new().limit(99)], 3).len(), 3);
    }

    #[test]
    fn replaceable_events_keep_the_newest() {
        let (keys, mut store) = (Keys::generate(), Store::new(100, 1 << 20));
        let first = event(&keys, 10_002, "a", 5, "first");
        assert_eq!(store.insert(&first), Stored::New);
        assert_eq!(store.insert(&first), Stored::Duplicate);
        assert_eq!(store.insert(&event(&keys, 10_002, "b", 4, "older")), Stored::Outdated);
        assert_eq!(store.insert(&event(&keys, 10_002, "c", 6, "newer")), Stored::New);
        assert_eq!(contents(&store, &[Filter::new()]), ["newer"]);
        for (d, content) in [("x", "1"), ("y", "2"), ("x", "3")] {
            let secs = content.parse().unwrap();
            store.insert(&event(&keys, 30_000, d, secs, content));
        }
        assert_eq!(contents(&store, &[Filter::new().kinds([Kind::from(30_000)])]), ["3", "2"]);
        for secs in 10..500 {
            store.insert(&event(&keys, 0, "", secs, ""));
        }
        assert!(store.len() == 4 && store.arrivals.len() < 100);
    }

    #[test]
    fn bounds_hold_in_events_and_bytes() {
        let (keys, mut store) = (Keys::generate(), Store::new(10, 1 << 20));
        for secs in 0..50 {
            store.insert(&event(&keys, 1, "", secs, ""));
        }
        assert_eq!(store.len(), 10);
        let mut store = Store::new(1000, 20_000);
        for secs in 0..50 {
            store.insert(&event(&keys, 1, "", secs, &"x".repeat(3000)));
        }
        assert!(store.len() < 7 && store.bytes <= 20_000 && store.arrivals.len() < 100);
    }

    #[test]
    fn only_an_identical_event_needs_no_verification() {
        let (keys, mut store) = (Keys::generate(), Store::new(10, 1 << 20));
        let stored = event(&keys, 1, "", 1, "x");
        store.insert(&stored);
        assert!(store.has(&stored.event));
        let forged = format!(
            r#"{{"id":"{}","pubkey":"{}","created_at":1,"kind":1,"tags":[["d",""]],"content":"x","sig":"{}"}}"#,
            stored.event.id(),
            keys.public_key(),
            "00".repeat(64)
        );
        assert!(!store.has(&RawEvent::from_json(&forged, 4096).unwrap()));
    }
}
