//! Records that every request needs, kept decoded between batches while nobody else writes.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use keep_types::{Collection, RecordId};
use zeroize::Zeroizing;

use crate::bundles::BundleIndex;

/// Enough for every client of a busy bunker; beyond it the cache starts over.
const MAX_RECORDS: usize = 8192;

/// As many commits as wait for the last of their answers at one time in a busy bunker, and the bytes of one of them; what
/// is beyond is read again.
const MAX_FRESH: usize = 64;
const MAX_FRESH_BYTES: usize = 64 << 10;

/// Public key records, grants, counters and endpoints by place, what the latest commits keep of requests, and where requests
/// lie. Never secrets.
#[derive(Default)]
pub(crate) struct Cache {
    /// Stays when the rest is cleared: it can be continued.
    pub bundles: BundleIndex,
    records: HashMap<(u8, RecordId), Known>,
    fresh: HashMap<RecordId, Fresh>,
}

/// What a commit keeps of unanswered requests: it is written once, and soon goes.
pub(crate) struct Fresh {
    pub plain: Zeroizing<Vec<u8>>,
    /// What it adds to the sum of its collection.
    pub leaf: [u8; 32],
}

/// A record as CBOR, and as the type that it was last read as.
struct Known {
    plain: Zeroizing<Vec<u8>>,
    decoded: Option<Arc<dyn Any + Send + Sync>>,
}

impl Cache {
    pub fn get(&self, place: &(u8, RecordId)) -> Option<&Zeroizing<Vec<u8>>> {
        self.records.get(place).map(|known| &known.plain)
    }

    /// The record as an earlier reader of the same type decoded it.
    pub fn decoded<R: Any + Send + Sync>(&self, place: &(u8, RecordId)) -> Option<Arc<R>> {
        Arc::clone(self.records.get(place)?.decoded.as_ref()?).downcast().ok()
    }

    /// Keeps what was decoded of a record that is known.
    pub fn keep_decoded<R: Any + Send + Sync>(&mut self, place: &(u8, RecordId), record: &Arc<R>) {
        if let Some(known) = self.records.get_mut(place) {
            known.decoded = Some(Arc::clone(record) as _);
        }
    }

    pub fn remember(&mut self, place: &(u8, RecordId), plain: &Zeroizing<Vec<u8>>) {
        if !is_hot(place.0) {
            return;
        }
        if self.records.len() >= MAX_RECORDS {
            self.records.clear();
        }
        self.records.insert(*place, Known { plain: plain.clone(), decoded: None });
    }

    /// What is kept at this place, if it was written lately.
    pub fn fresh(&self, place: &(u8, RecordId)) -> Option<&Fresh> {
        if is_fresh(place.0) { self.fresh.get(&place.1) } else { None }
    }

    /// Gives up what is known of a place that is about to change.
    pub fn take_fresh(&mut self, place: &(u8, RecordId)) -> Option<Fresh> {
        if is_fresh(place.0) { self.fresh.remove(&place.1) } else { None }
    }

    pub fn remember_fresh(&mut self, place: &(u8, RecordId), plain: &Zeroizing<Vec<u8>>, leaf: [u8; 32]) {
        if !is_fresh(place.0) || plain.len() > MAX_FRESH_BYTES {
            return;
        }
        if self.fresh.len() >= MAX_FRESH {
            self.fresh.clear();
        }
        self.fresh.insert(place.1, Fresh { plain: plain.clone(), leaf });
    }

    pub fn forget(&mut self, place: &(u8, RecordId)) {
        self.records.remove(place);
    }

    pub fn clear(&mut self) {
        self.records.clear();
        self.fresh.clear();
    }
}

const fn is_fresh(collection: u8) -> bool {
    collection == Collection::Unanswered.number()
}

fn is_hot(collection: u8) -> bool {
    match Collection::from_number(collection) {
        Some(
            Collection::Keys
            | Collection::Grants
            | Collection::Usage
            | Collection::Endpoints
            | Collection::Sessions
            | Collection::Groups
            | Collection::Policies
            | Collection::Wallets,
        ) => true,
        Some(
            Collection::Secrets
            | Collection::Audit
            | Collection::Requests
            | Collection::Items
            | Collection::Checkpoints
            | Collection::RemoteKeys
            | Collection::Settings
            | Collection::Burns
            | Collection::Unanswered
            | Collection::Bundles,
        )
        | None => false,
    }
}
