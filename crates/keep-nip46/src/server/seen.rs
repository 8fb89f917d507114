//! The memory of event ids.

use std::collections::BTreeSet;

use keep_types::{EventId, Timestamp};

/// Verified event ids, by their time, which the id covers. What is older than the window is forgotten, since it can no
/// longer be let in; beyond the bound, the oldest.
#[derive(Debug)]
pub(super) struct Seen {
    ids: BTreeSet<(Timestamp, EventId)>,
    max: usize,
}

impl Seen {
    pub(super) const fn new(max: usize) -> Self {
        Self { ids: BTreeSet::new(), max }
    }

    pub(super) fn contains(&self, created_at: Timestamp, id: EventId) -> bool {
        self.ids.contains(&(created_at, id))
    }

    pub(super) fn insert(&mut self, created_at: Timestamp, id: EventId, oldest: Timestamp) {
        self.ids.insert((created_at, id));
        while self.ids.len() > self.max || self.ids.first().is_some_and(|(at, _)| *at < oldest) {
            self.ids.pop_first();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_old_and_the_too_many() {
        let mut seen = Seen::new(3);
        let id = |n: u8| EventId::from_byte_array([n; 32]);
        let at = Timestamp::from_secs;
        seen.insert(at(10), id(1), at(0));
        seen.insert(at(11), id(2), at(0));
        assert!(seen.contains(at(10), id(1)));
        seen.insert(at(12), id(3), at(11));
        assert!(!seen.contains(at(10), id(1)) && seen.contains(at(11), id(2)));
        seen.insert(at(12), id(4), at(11));
        seen.insert(at(12), id(5), at(11));
        assert_eq!(seen.len(), 3);
        assert!(!seen.contains(at(11), id(2)) && seen.contains(at(12), id(5)));
    }
}
