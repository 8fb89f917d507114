//! Whole collections that are listed often, kept decoded for as long as nobody writes to them.
//!
//! The sealed head has a sum over the rows of each collection. While the sum stays the same so do the rows, whoever wrote
//! last: a listing that was made under the same sum is the listing of now.

use std::any::Any;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keep_store::{ReadTx, Scan};
use keep_types::{Collection, Record, RecordId};

use crate::bundles::BUNDLED;
use crate::head::Tally;
use crate::seal::open_row;
use crate::{Vault, VaultError};

/// Longer listings are made anew each time: they cost memory, and are not what anybody waits for every day.
const MAX_RECORDS: usize = 20_000;

/// What was listed last, by collection. Public records only: secrets are never listed.
#[derive(Default)]
pub(crate) struct Listings {
    known: Mutex<HashMap<u8, Listing>>,
}

struct Listing {
    tally: Tally,
    records: Arc<dyn Any + Send + Sync>,
}

impl Listings {
    fn known(&self) -> MutexGuard<'_, HashMap<u8, Listing>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get<T: Any + Send + Sync>(&self, tally: &Tally) -> Option<Arc<T>> {
        let known = self.known();
        let listing = known.get(&tally.collection).filter(|listing| listing.tally == *tally)?;
        Arc::clone(&listing.records).downcast().ok()
    }

    fn keep<R: Send + Sync + 'static>(&self, tally: Tally, records: &Arc<Vec<R>>) {
        if records.len() > MAX_RECORDS {
            self.known().remove(&tally.collection);
            return;
        }
        let records = Arc::clone(records) as Arc<dyn Any + Send + Sync>;
        self.known().insert(tally.collection, Listing { tally, records });
    }
}

/// What some collections hold, in a few bytes: as long as two of them are equal, nothing in these collections was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(Vec<Tally>);

impl Vault {
    /// All readable records of a collection, in the order of ids; made anew only when the collection has changed, also by
    /// another process.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn listing<R: Record + Send + Sync + 'static>(&self) -> Result<Arc<Vec<(RecordId, R)>>, VaultError> {
        if matches!(R::COLLECTION, Collection::Secrets | BUNDLED) {
            // Says why not; or reads bundles, too.
            return self.all::<R>().map(Arc::new);
        }
        let (keys, identity, seen) = (self.shared.keys()?, self.shared.identity, self.shared.seen());
        let scan = Scan { collection: Some(R::COLLECTION.number()), ..Scan::default() };
        let mut found = Arc::default();
        self.read(&mut |tx| {
            let tally = self.tallies(tx, seen, &[R::COLLECTION]).and_then(|tallies| tallies.first().copied());
            if let Some(known) = tally.as_ref().and_then(|tally| self.listings.get(tally)) {
                found = known;
                return Ok(());
            }
            let mut records = Vec::new();
            tx.scan(scan, &mut |row| {
                let plain = open_row(&keys, identity.vault, identity.epoch, &row).ok();
                let record = plain.and_then(|plain| R::from_cbor(&plain).ok());
                records.extend(record.map(|record| (row.id, record)));
                ControlFlow::Continue(())
            })?;
            found = Arc::new(records);
            if let Some(tally) = tally {
                self.listings.keep(tally, &found);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// What these collections hold now. `None` where that cannot be told, as in a damaged vault.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn version(&self, collections: &[Collection]) -> Result<Option<Version>, VaultError> {
        let seen = self.shared.seen();
        let mut version = None;
        self.read(&mut |tx| {
            version = self.tallies(tx, seen, collections).map(Version);
            Ok(())
        })?;
        Ok(version)
    }

    /// The sums of some collections, if the head opens and the vault is whole as far as is known.
    fn tallies(&self, tx: &dyn ReadTx, seen: u64, collections: &[Collection]) -> Option<Vec<Tally>> {
        if !self.shared.report_is_intact() {
            return None;
        }
        let (header, sealed) = (tx.header().ok()??, tx.head().ok()??);
        let mut head = self.shared.open_head(&header, &sealed, seen).ok()?;
        Some(collections.iter().map(|collection| *head.tally(collection.number())).collect())
    }
}
