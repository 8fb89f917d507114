//! Which entries somebody wants to see.

use keep_types::{KeyId, Timestamp};

use crate::{Action, Entry, Outcome};

/// Which entries to show. What is empty does not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of these keys.
    pub keys: Vec<KeyId>,
    /// From these origins, by their words.
    pub origins: Vec<String>,
    /// About this client (its public key).
    pub clients: Vec<[u8; 32]>,
    /// Decided so.
    pub outcomes: Vec<Outcome>,
    /// Of these actions.
    pub actions: Vec<Action>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Up to and including this time.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether `entry` is wanted.
    pub fn matches(&self, entry: &Entry) -> bool {
        let in_list = |wanted: bool, empty: bool| empty || wanted;
        in_list(entry.key.is_some_and(|key| self.keys.contains(&key)), self.keys.is_empty())
            && in_list(self.origins.contains(&entry.origin), self.origins.is_empty())
            && in_list(
                entry.client.is_some_and(|client| self.clients.contains(&client)),
                self.clients.is_empty(),
            )
            && in_list(self.outcomes.contains(&entry.outcome), self.outcomes.is_empty())
            && in_list(self.actions.contains(&entry.action), self.actions.is_empty())
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time <= until)
    }

    /// Whether no entry as old as `entry`, or older, can match: times never go back in a log.
    pub fn is_past(&self, entry: &Entry) -> bool {
        self.since.is_some_and(|since| entry.time < since)
    }
}
