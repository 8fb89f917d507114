//! A batch of jobs inside the write lock: what they changed so far, and how it becomes rows.

use std::any::Any;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use keep_audit::{Batch as AuditBatch, Draft};
use keep_store::{NameIndex, Row, WriteTx};
use keep_types::{Collection, Record, RecordId, Revision, Timestamp};
use zeroize::Zeroizing;

use crate::bundling::Found;
use crate::head::{Head, History, LogMark};
use crate::seal::{RowPlace, leaf, open_row, row_aad, seal};
use crate::subkeys::{Nonces, Subkeys};
use crate::unanswered::{Received, Unanswered};
use crate::vault::Identity;
use crate::{VaultError, cache::Cache};

/// What becomes of a record.
#[derive(Clone)]
pub(crate) enum Change {
    Put { plain: Zeroizing<Vec<u8>>, name: Option<NameIndex> },
    Delete,
}

/// A row that a change replaces.
struct Old {
    /// What it adds to the sum of its collection.
    leaf: [u8; 32],
    name: Option<NameIndex>,
}

/// Changes by place, and names by who has them.
#[derive(Default)]
pub(crate) struct Changes {
    pub records: BTreeMap<(u8, RecordId), Change>,
    pub names: HashMap<(u8, NameIndex), Option<RecordId>>,
    pub drafts: Vec<Draft>,
    /// What is to be kept of requests until they are answered.
    pub received: Vec<Received>,
    /// The owner goes on from a state that Keep did not leave, with revisions above this one.
    pub goes_on: Option<Revision>,
    /// How the log lies in rows once these are written, and its first entry.
    pub log: Option<(u64, LogMark)>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.drafts.is_empty()
    }

    /// Adds a job's changes on top.
    pub fn absorb(&mut self, job: Self) {
        self.records.extend(job.records);
        self.names.extend(job.names);
        self.drafts.extend(job.drafts);
        self.received.extend(job.received);
        self.log = job.log.or(self.log);
        self.goes_on = self.goes_on.max(job.goes_on);
    }
}

/// One exclusive transaction, as the vault sees it.
pub(crate) struct Batch<'a> {
    pub raw: &'a mut dyn WriteTx,
    pub keys: &'a Subkeys,
    pub identity: Identity,
    pub head: Head,
    pub now: Timestamp,
    pub cache: &'a mut Cache,
    /// Rows as they were before the batch, each read once.
    pub before: HashMap<(u8, RecordId), Option<Row>>,
    /// Who had a name before the batch, each looked up once.
    pub names_before: HashMap<(u8, NameIndex), Option<RecordId>>,
    pub changes: Changes,
}

impl Batch<'_> {
    /// The CBOR of a record as it stands after the jobs before.
    pub fn get(
        &mut self,
        collection: Collection,
        id: &RecordId,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let place = (collection.number(), *id);
        match self.changes.records.get(&place) {
            Some(Change::Put { plain, .. }) => return Ok(Some(plain.clone())),
            Some(Change::Delete) => return Ok(None),
            None => {}
        }
        if let Found::Elsewhere(bundled) = self.bundled(collection, id)? {
            return Ok(bundled.map(|bundled| Zeroizing::new(bundled.plain.clone())));
        }
        if let Some(cached) = self.cache.get(&place) {
            return Ok(Some(cached.clone()));
        }
        if let Some(fresh) = self.cache.fresh(&place) {
            return Ok(Some(fresh.plain.clone()));
        }
        let (keys, identity) = (self.keys, self.identity);
        let Some(row) = self.row_before(place)? else { return Ok(None) };
        let plain = open_row(keys, identity.vault, identity.epoch, row).map_err(|_| VaultError::Record {
            collection: collection.as_str(),
            reason: "it was changed or is damaged".into(),
        })?;
        self.cache.remember(&place, &plain);
        Ok(Some(plain))
    }

    /// As [`get`](Self::get), decoded: once for all readers of a record that does not change.
    pub fn get_shared<R: Record + Any + Send + Sync>(
        &mut self,
        id: &RecordId,
    ) -> Result<Option<Arc<R>>, VaultError> {
        let place = (R::COLLECTION.number(), *id);
        let is_changed = self.changes.records.contains_key(&place);
        if !is_changed && let Some(known) = self.cache.decoded(&place) {
            return Ok(Some(known));
        }
        let Some(plain) = self.get(R::COLLECTION, id)? else { return Ok(None) };
        let record = Arc::new(R::from_cbor(&plain)?);
        if !is_changed {
            self.cache.keep_decoded(&place, &record);
        }
        Ok(Some(record))
    }

    /// Who has a name after the jobs before.
    pub fn holder(
        &mut self,
        collection: Collection,
        name: &NameIndex,
    ) -> Result<Option<RecordId>, VaultError> {
        let place = (collection.number(), *name);
        if let Some(holder) = self.changes.names.get(&place) {
            return Ok(*holder);
        }
        if let Found::Elsewhere(holder) = self.bundled_holder(collection, name)? {
            return Ok(holder);
        }
        Ok(match self.names_before.entry(place) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                *unknown.insert(self.raw.find(collection.number(), name)?.map(|row| row.id))
            }
        })
    }

    /// The name index that a record has after the jobs before.
    pub fn name_of(
        &mut self,
        collection: Collection,
        id: &RecordId,
    ) -> Result<Option<NameIndex>, VaultError> {
        let place = (collection.number(), *id);
        match self.changes.records.get(&place) {
            Some(Change::Put { name, .. }) => return Ok(*name),
            Some(Change::Delete) => return Ok(None),
            None => {}
        }
        match self.bundled(collection, id)? {
            Found::Elsewhere(bundled) => Ok(bundled.and_then(|bundled| bundled.name)),
            Found::InRows => Ok(self.row_before(place)?.and_then(|row| row.name)),
        }
    }

    /// A row as it was before the batch.
    pub fn row_before(&mut self, place: (u8, RecordId)) -> Result<Option<&Row>, VaultError> {
        Ok(match self.before.entry(place) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(self.raw.get(place.0, &place.1)?),
        }
        .as_ref())
    }

    /// Writes everything as rows of the next revision, and the head over them. Gives the new head.
    pub fn flush(mut self) -> Result<(Head, Vec<u8>), VaultError> {
        let mut changes = std::mem::take(&mut self.changes);
        let revision = self.head.revision.max(changes.goes_on.unwrap_or_default()).next();
        if changes.goes_on.is_some() {
            self.head.history = Some(History::fresh()?);
        }
        if !changes.drafts.is_empty() {
            let first = self.head.audit.next_seq;
            let entries =
                AuditBatch::link(&mut self.head.audit, self.now, std::mem::take(&mut changes.drafts));
            let put = Change::Put { plain: entries.to_cbor()?, name: None };
            changes.records.insert((Collection::Audit.number(), AuditBatch::place(first)), put);
        }
        if !changes.received.is_empty() {
            let kept = Unanswered(std::mem::take(&mut changes.received));
            let put = Change::Put { plain: kept.to_cbor()?, name: None };
            changes.records.insert((Collection::Unanswered.number(), Unanswered::place(revision)), put);
        }
        self.bundle(&mut changes.records, revision)?;
        let mut nonces = Nonces::new(changes.records.len() + 1)?;
        // First everything that goes or gives its name up, so that names can move between records of one batch.
        for (place, change) in &changes.records {
            self.take_out(*place, change)?;
        }
        if let Some((first_seq, mark)) = changes.log {
            self.head.audit.first_seq = first_seq;
            self.head.log = Some(mark);
        }
        for (place, change) in changes.records {
            self.put_in(place, change, revision, &mut nonces)?;
        }
        self.head.revision = revision;
        self.head.max_time = self.now;
        let sealed = self.head.seal(self.keys, self.identity.vault, nonces.next()?)?;
        self.raw.set_head(&sealed)?;
        Ok((self.head, sealed))
    }

    /// Takes the old row out of the sums, and out of the store where it goes or its name is not kept.
    fn take_out(&mut self, place: (u8, RecordId), change: &Change) -> Result<(), VaultError> {
        let (collection, id) = place;
        let number = self.head.tally_number(collection, &id);
        let Some(old) = self.old(place)? else { return Ok(()) };
        let tally = self.head.tally(number);
        tally.sum.subtract(&old.leaf);
        tally.count = tally.count.saturating_sub(1);
        let stays = match change {
            Change::Delete => false,
            Change::Put { name, .. } => old.name.is_none() || old.name == *name,
        };
        if !stays {
            self.raw.delete(collection, &id)?;
            self.cache.forget(&place);
        }
        Ok(())
    }

    /// What the row that lies there now adds to the sum of its collection, and its name.
    fn old(&mut self, place: (u8, RecordId)) -> Result<Option<Old>, VaultError> {
        if let Some(fresh) = self.cache.take_fresh(&place) {
            return Ok(Some(Old { leaf: fresh.leaf, name: None }));
        }
        // Audit rows are new, unless the log is written together or pruned, and then they were read.
        if place.0 == Collection::Audit.number() && !self.before.contains_key(&place) {
            return Ok(None);
        }
        let (keys, identity) = (self.keys, self.identity);
        Ok(self.row_before(place)?.map(|old| {
            let aad = row_aad(identity.vault, identity.epoch, old.into());
            Old { leaf: leaf(keys.leaf(), &aad, &old.sealed), name: old.name }
        }))
    }

    fn put_in(
        &mut self,
        place: (u8, RecordId),
        change: Change,
        revision: Revision,
        nonces: &mut Nonces,
    ) -> Result<(), VaultError> {
        let Change::Put { plain, name } = change else { return Ok(()) };
        let (collection, id) = place;
        let key =
            self.keys.records(collection).ok_or_else(|| VaultError::Head("no such collection".into()))?;
        let place_of_row = RowPlace { collection, id, revision, name: name.as_ref() };
        let aad = row_aad(self.identity.vault, self.identity.epoch, place_of_row);
        let sealed = seal(key, nonces.next()?, &aad, &plain);
        let number = self.head.tally_number(collection, &id);
        let tally = self.head.tally(number);
        let leaf = leaf(self.keys.leaf(), &aad, &sealed);
        tally.sum.add(&leaf);
        tally.count += 1;
        self.raw.put(&Row { collection, id, revision, name, sealed })?;
        self.cache.remember_fresh(&place, &plain, leaf);
        self.cache.remember(&place, &plain);
        Ok(())
    }
}
