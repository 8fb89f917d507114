//! How many entries there are of what, without reading them all.

use keep_types::Collection;
use minicbor::{Decode, Encode};

use crate::{Action, Entry, Outcome};

/// How many entries of one action, outcome and origin there are.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Count {
    /// What was done or asked for.
    #[n(0)]
    pub action: Action,
    /// How it was decided.
    #[n(1)]
    pub outcome: Outcome,
    /// The word of the origin.
    #[n(2)]
    pub origin: String,
    /// How many.
    #[n(3)]
    pub entries: u64,
}

/// The counts of all segments of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Counts {
    #[n(0)]
    counts: Vec<Count>,
}

impl keep_types::Record for Counts {
    const COLLECTION: Collection = Collection::Checkpoints;
}

impl Counts {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Count> {
        self.counts.iter()
    }

    /// Counts an entry.
    pub fn add(&mut self, entry: &Entry) {
        match self.find(entry) {
            Some(at) => self.counts[at].entries += 1,
            None => self.counts.push(Count {
                action: entry.action,
                outcome: entry.outcome,
                origin: entry.origin.clone(),
                entries: 1,
            }),
        }
    }

    /// Takes an entry out again.
    pub fn remove(&mut self, entry: &Entry) {
        let Some(at) = self.find(entry) else { return };
        self.counts[at].entries = self.counts[at].entries.saturating_sub(1);
        if self.counts[at].entries == 0 {
            self.counts.swap_remove(at);
        }
    }

    fn find(&self, entry: &Entry) -> Option<usize> {
        self.counts.iter().position(|count| {
            count.action == entry.action && count.outcome == entry.outcome && count.origin == entry.origin
        })
    }
}
