//! Bundles in a batch: records are found in them, changed where they lie, and new ones put together.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;

use keep_store::{NameIndex, Scan, StoreError};
use keep_types::{Collection, Record, RecordId, Revision};

use crate::VaultError;
use crate::batch::{Batch, Change};
use crate::bundles::{BUNDLED, Bundle, Bundled, LONGEST_BUNDLE, LONGEST_BUNDLED, MOST_BUNDLED, Staged};
use crate::seal::open_row;

/// Where something is looked for.
pub(crate) enum Found<T> {
    /// In a row of its own, if it is anywhere.
    InRows,
    /// This, in a bundle; or nowhere.
    Elsewhere(Option<T>),
}

const ROWS: u8 = BUNDLED.number();
const BUNDLES: u8 = Collection::Bundles.number();

/// What a flush does with the records of bundles.
struct Sorting {
    /// Bundles of earlier commits that change.
    touched: BTreeMap<Revision, Bundle>,
    /// The bundle of this commit, and how long its records are together.
    own: Bundle,
    own_len: usize,
    staged: Staged,
}

impl Batch<'_> {
    /// A record as it was before the batch, if it lies in a bundle.
    pub fn bundled(&mut self, collection: Collection, id: &RecordId) -> Result<Found<&Bundled>, VaultError> {
        if collection != BUNDLED {
            return Ok(Found::InRows);
        }
        self.follow_bundles()?;
        // What is in no bundle may have a row of its own, where there are such rows.
        let has_rows = self.head.count(BUNDLED) > 0;
        let found = match self.cache.bundles.revision_of(id) {
            Some(revision) => self.bundle_of(revision)?.find(id),
            None => None,
        };
        match found {
            None if has_rows => Ok(Found::InRows),
            found => Ok(Found::Elsewhere(found)),
        }
    }

    /// Who had a name before the batch, if that lies in a bundle.
    pub fn bundled_holder(
        &mut self,
        collection: Collection,
        name: &NameIndex,
    ) -> Result<Found<RecordId>, VaultError> {
        if collection != BUNDLED {
            return Ok(Found::InRows);
        }
        self.follow_bundles()?;
        if let Some(revision) = self.cache.bundles.revision_of_name(name)
            && let Some(bundled) = self.bundle_of(revision)?.named(name)
        {
            return Ok(Found::Elsewhere(Some(bundled.id)));
        }
        Ok(if self.head.count(BUNDLED) == 0 { Found::Elsewhere(None) } else { Found::InRows })
    }

    /// Reads the bundles that other processes wrote since this one wrote or looked last; all of them at first.
    fn follow_bundles(&mut self) -> Result<(), VaultError> {
        let (index, now) = (&mut self.cache.bundles, self.head.revision);
        if index.known_to() == Some(now) {
            return Ok(());
        }
        if let Some(error) = index.unreadable(now) {
            return Err(error.clone());
        }
        let scan = Scan::collection(Collection::Bundles);
        let scan = index.read_from(now).map_or(scan, |revision| scan.from(Bundle::place(revision)));
        let (keys, identity) = (self.keys, self.identity);
        let mut outcome = Ok(());
        let scanned = self.raw.scan(scan, &mut |row| {
            let opened = open_row(keys, identity.vault, identity.epoch, &row).map_err(|_| damaged());
            match opened.and_then(|plain| Ok(Bundle::from_cbor(&plain)?)) {
                Ok(bundle) => {
                    index.learn(Bundle::revision_at(&row.id), &bundle);
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    outcome = Err(error);
                    ControlFlow::Break(())
                }
            }
        });
        if let Err(error) = scanned.map_err(VaultError::from) {
            if !lasts(&error) {
                return Err(error);
            }
            outcome = Err(error);
        }
        // Whatever cannot be read may hold what is looked for.
        index.knows(now, &outcome);
        outcome
    }

    /// What the commit with this revision added, as far as it is still there. Opened once for those who ask one after another.
    fn bundle_of(&mut self, revision: Revision) -> Result<&Bundle, VaultError> {
        if self.cache.bundles.opened(revision).is_none() {
            let now = self.head.revision;
            let bundle = self.read_bundle(revision).inspect_err(|error| {
                if lasts(error) {
                    self.cache.bundles.knows(now, &Err(error.clone()));
                }
            })?;
            self.cache.bundles.keep_open(revision, bundle);
        }
        self.cache.bundles.opened(revision).ok_or_else(damaged)
    }

    fn read_bundle(&mut self, revision: Revision) -> Result<Bundle, VaultError> {
        let (keys, identity) = (self.keys, self.identity);
        let Some(row) = self.row_before((BUNDLES, Bundle::place(revision)))? else {
            return Ok(Bundle::default());
        };
        let plain = open_row(keys, identity.vault, identity.epoch, row).map_err(|_| damaged())?;
        Ok(Bundle::from_cbor(&plain)?)
    }

    /// Turns changes of records that lie in bundles, or may do so, into changes of bundles.
    pub fn bundle(
        &mut self,
        records: &mut BTreeMap<(u8, RecordId), Change>,
        revision: Revision,
    ) -> Result<(), VaultError> {
        let range = (ROWS, RecordId::from_bytes([0; 16]))..=(ROWS, RecordId::from_bytes([0xff; 16]));
        let places: Vec<(u8, RecordId)> = records.range(range).map(|(place, _)| *place).collect();
        if !places.is_empty() {
            self.follow_bundles()?;
        }
        let staged = Staged { revision, added: Vec::new(), removed: Vec::new(), unnamed: Vec::new() };
        let mut sorting = Sorting { touched: BTreeMap::new(), own: Bundle::default(), own_len: 0, staged };
        for place in places {
            let Some(change) = records.remove(&place) else { continue };
            if let Some(change) = self.sort(&mut sorting, place, change)? {
                records.insert(place, change);
            }
        }
        let Sorting { touched, own, staged, .. } = sorting;
        for (revision, bundle) in touched {
            let change = if bundle.0.is_empty() { Change::Delete } else { whole(&bundle)? };
            records.insert((BUNDLES, Bundle::place(revision)), change);
        }
        if !own.0.is_empty() {
            records.insert((BUNDLES, Bundle::place(revision)), whole(&own)?);
        }
        if self.cache.bundles.known_to() == Some(self.head.revision) {
            self.cache.bundles.stage(staged);
        }
        Ok(())
    }

    /// Gives back what is a change of a row of its own.
    fn sort(
        &mut self,
        sorting: &mut Sorting,
        place: (u8, RecordId),
        change: Change,
    ) -> Result<Option<Change>, VaultError> {
        let (_, id) = place;
        if let Some(revision) = self.cache.bundles.revision_of(&id) {
            if let Entry::Vacant(untouched) = sorting.touched.entry(revision) {
                let bundle = self.bundle_of(revision)?;
                if bundle.find(&id).is_some() {
                    untouched.insert(bundle.clone());
                }
            }
            if sorting.has(revision, &id) {
                sorting.change(revision, &id, change);
                return Ok(None);
            }
        }
        let Change::Put { plain, name } = change else { return Ok(Some(change)) };
        let is_full = self.cache.bundles.len() + sorting.own.0.len() >= MOST_BUNDLED;
        let has_own_row = self.head.count(BUNDLED) > 0 && self.row_before(place)?.is_some();
        let is_long = plain.len() > LONGEST_BUNDLED || sorting.own_len + plain.len() > LONGEST_BUNDLE;
        if is_full || has_own_row || is_long {
            return Ok(Some(Change::Put { plain, name }));
        }
        sorting.add(id, plain.to_vec(), name);
        Ok(None)
    }
}

impl Sorting {
    fn has(&self, revision: Revision, id: &RecordId) -> bool {
        self.touched.get(&revision).is_some_and(|bundle| bundle.find(id).is_some())
    }

    /// A record that lies in an earlier bundle. One with another name moves on to the bundle of this commit, where other
    /// processes look for what is new.
    fn change(&mut self, revision: Revision, id: &RecordId, change: Change) {
        let Some(bundle) = self.touched.get_mut(&revision) else { return };
        let Some(at) = bundle.0.iter().position(|bundled| bundled.id == *id) else { return };
        let bundled = &mut bundle.0[at];
        let (id, old) = (bundled.id, bundled.name);
        let gives_up = |staged: &mut Staged| staged.unnamed.extend(old);
        match change {
            Change::Put { mut plain, name } if name.is_none() || name == old => {
                std::mem::swap(&mut bundled.plain, &mut *plain);
                bundled.name = name;
                if name != old {
                    gives_up(&mut self.staged);
                }
            }
            Change::Put { mut plain, name } => {
                bundle.0.remove(at);
                gives_up(&mut self.staged);
                self.add(id, std::mem::take(&mut *plain), name);
            }
            Change::Delete => {
                bundle.0.remove(at);
                gives_up(&mut self.staged);
                self.staged.removed.push(id);
            }
        }
    }

    fn add(&mut self, id: RecordId, plain: Vec<u8>, name: Option<NameIndex>) {
        self.own_len += plain.len();
        self.own.0.push(Bundled { id, plain, name });
        self.staged.added.push((id, name));
    }
}

fn whole(bundle: &Bundle) -> Result<Change, VaultError> {
    Ok(Change::Put { plain: bundle.to_cbor()?, name: None })
}

/// Whether whoever looks again would find the same: a page that is broken, or what does not open or read.
const fn lasts(error: &VaultError) -> bool {
    !matches!(error, VaultError::Store(_)) || matches!(error, VaultError::Store(StoreError::Damaged(_)))
}

fn damaged() -> VaultError {
    VaultError::Record {
        collection: Collection::Bundles.as_str(),
        reason: "it was changed or is damaged".into(),
    }
}

#[cfg(test)]
mod tests;
