//! Records that every request needs, kept decoded between batches while nobody else writes.

use std::collections::HashMap;

use keep_types::{Collection, RecordId};
use zeroize::Zeroizing;

/// Enough for every client of a busy bunker; beyond it the cache starts over.
const MAX_RECORDS: usize = 8192;

/// CBOR of public key records, grants, counters and endpoints by place. Never secrets or requests.
#[derive(Default)]
pub(crate) struct Cache {
    records: HashMap<(u8, RecordId), Zeroizing<Vec<u8>>>,
}

impl Cache {
    pub fn get(&self, place: &(u8, RecordId)) -> Option<Zeroizing<Vec<u8>>> {
        self.records.get(place).cloned()
    }

    pub fn remember(&mut self, place: &(u8, RecordId), plain: &Zeroizing<Vec<u8>>) {
        if !is_hot(place.0) {
            return;
        }
        if self.records.len() >= MAX_RECORDS {
            self.records.clear();
        }
        self.records.insert(*place, plain.clone());
    }

    pub fn forget(&mut self, place: &(u8, RecordId)) {
        self.records.remove(place);
    }

    pub fn clear(&mut self) {
        self.records.clear();
    }
}

fn is_hot(collection: u8) -> bool {
    match Collection::from_number(collection) {
        Some(Collection::Keys | Collection::Grants | Collection::Usage | Collection::Endpoints) => true,
        Some(Collection::Secrets | Collection::Audit | Collection::Requests) | None => false,
    }
}
