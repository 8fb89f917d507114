//! The view that one job has inside the write lock.

use std::any::Any;
use std::sync::Arc;

use keep_audit::Draft;
use keep_types::{Collection, JobId, Record, RecordId, Revision, Timestamp, VaultId};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::batch::{Batch, Change, Changes};
use crate::subkeys::Subkeys;
use crate::unanswered::Received;

/// One job's exclusive view of the vault. What it writes becomes part of the commit if the job returns `Ok`, and leaves
/// no trace otherwise. Secrets are not reachable from here.
pub struct Tx<'t, 'b> {
    pub(crate) batch: &'t mut Batch<'b>,
    pub(crate) staged: Changes,
    job: JobId,
    cited: Option<u64>,
    undo: Vec<Undo>,
}

/// What is done when a job's changes are not committed.
pub(crate) type Undo = Box<dyn FnOnce() + Send>;

impl<'t, 'b> Tx<'t, 'b> {
    pub(crate) fn new(batch: &'t mut Batch<'b>, job: JobId) -> Self {
        Self { batch, staged: Changes::default(), job, cited: None, undo: Vec::new() }
    }

    /// What the job changed, the earlier audit entry that it named as its record, and what is done if that is not committed.
    pub(crate) fn into_changes(self) -> (Changes, Option<u64>, Vec<Undo>) {
        (self.staged, self.cited, self.undo)
    }

    /// What is done if the job's changes are not committed, whatever the reason: for what the job took from elsewhere. It
    /// runs on the thread that commits, and must be short.
    pub fn unless_committed(&mut self, undo: impl FnOnce() + Send + 'static) {
        self.undo.push(Box::new(undo));
    }

    /// The vault that is open.
    pub const fn vault(&self) -> VaultId {
        self.batch.identity.vault
    }

    /// The vault's time: the clock, but never earlier than what the vault has seen.
    pub const fn now(&self) -> Timestamp {
        self.batch.now
    }

    /// The job under which permits of this pass are made.
    pub const fn job(&self) -> JobId {
        self.job
    }

    /// Where the record lies that is found by what it is about.
    pub fn locate<R: Record>(&self, natural_key: &[u8]) -> RecordId {
        self.batch.keys.locate(R::COLLECTION, natural_key)
    }

    /// A record.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get<R: Record>(&mut self, id: &RecordId) -> Result<Option<R>, VaultError> {
        open_to_jobs::<R>()?;
        self.get_any(id)
    }

    /// A record that many jobs read and few change: decoded once for all of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get_shared<R: Record + Any + Send + Sync>(
        &mut self,
        id: &RecordId,
    ) -> Result<Option<Arc<R>>, VaultError> {
        open_to_jobs::<R>()?;
        match self.staged.records.get(&place::<R>(id)) {
            Some(Change::Put { plain, .. }) => Ok(Some(Arc::new(R::from_cbor(plain)?))),
            Some(Change::Delete) => Ok(None),
            None => self.batch.get_shared(id),
        }
    }

    /// The record of a collection that has this unique name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find<R: Record>(&mut self, name: &str) -> Result<Option<(RecordId, R)>, VaultError> {
        let index = self.name_index::<R>(name);
        let Some(id) = self.holder::<R>(&index)? else { return Ok(None) };
        Ok(self.get::<R>(&id)?.map(|record| (id, record)))
    }

    /// Writes or replaces a record.
    ///
    /// # Errors
    /// [`VaultError::NameTaken`] when another record of the collection has its unique name.
    pub fn put<R: Record>(&mut self, id: RecordId, record: &R) -> Result<(), VaultError> {
        open_to_jobs::<R>()?;
        self.put_any(id, record)
    }

    /// Removes a record; says whether there was one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn delete<R: Record>(&mut self, id: &RecordId) -> Result<bool, VaultError> {
        open_to_jobs::<R>()?;
        self.delete_any::<R>(id)
    }

    /// Adds an entry to the audit log; the number that it gets.
    pub fn audit(&mut self, draft: Draft) -> u64 {
        self.staged.drafts.push(draft);
        let before = self.batch.changes.drafts.len() + self.staged.drafts.len() - 1;
        self.batch.head.audit.next_seq + before as u64
    }

    /// The owner goes on from an older state of the vault than `revision`: the commit and all after it have higher revisions,
    /// and other processes give up what they remember of the states between.
    pub fn go_on_above(&mut self, revision: Revision) {
        self.staged.goes_on = Some(revision);
    }

    /// Keeps what was received of the request whose record is put at `place`, until its answer has left: see
    /// [`Committed::kept`](crate::Committed::kept).
    pub fn receive(&mut self, place: RecordId, content: Vec<u8>) {
        self.staged.received.push(Received { place, content });
    }

    /// Names an entry that the log has already, or gets with this commit, as the record of this job: for a repeated
    /// request, which was recorded when it was first decided. An entry that does not exist is no record, and no citation
    /// is enough where the record must come first (export).
    pub fn cite(&mut self, seq: u64) {
        let chain = &self.batch.head.audit;
        let end = chain.next_seq + self.batch.changes.drafts.len() as u64;
        self.cited = (chain.first_seq..end).contains(&seq).then_some(seq);
    }

    pub(crate) fn get_any<R: Record>(&mut self, id: &RecordId) -> Result<Option<R>, VaultError> {
        let plain: Option<Zeroizing<Vec<u8>>> = match self.staged.records.get(&place::<R>(id)) {
            Some(Change::Put { plain, .. }) => Some(plain.clone()),
            Some(Change::Delete) => None,
            None => self.batch.get(R::COLLECTION, id)?,
        };
        Ok(plain.map(|plain| R::from_cbor(&plain)).transpose()?)
    }

    pub(crate) fn put_any<R: Record>(&mut self, id: RecordId, record: &R) -> Result<(), VaultError> {
        let name = record.unique_name().map(|name| (self.name_index::<R>(name), name.to_owned()));
        if let Some((index, name)) = &name
            && (self.holder::<R>(index)?.is_some_and(|holder| holder != id)
                || self.is_taken_beside(R::COLLECTION, name)?)
        {
            return Err(VaultError::NameTaken(name.clone()));
        }
        let index = name.map(|(index, _)| index);
        self.release_name::<R>(&id, index.as_ref())?;
        if let Some(index) = index {
            self.staged.names.insert((R::COLLECTION.number(), index), Some(id));
        }
        let change = Change::Put { plain: record.to_cbor()?, name: index };
        self.staged.records.insert(place::<R>(&id), change);
        Ok(())
    }

    pub(crate) fn delete_any<R: Record>(&mut self, id: &RecordId) -> Result<bool, VaultError> {
        let existed = match self.staged.records.get(&place::<R>(id)) {
            Some(Change::Put { .. }) => true,
            Some(Change::Delete) => false,
            None => self.batch.get(R::COLLECTION, id)?.is_some(),
        };
        if existed {
            self.release_name::<R>(id, None)?;
            self.staged.records.insert(place::<R>(id), Change::Delete);
        }
        Ok(existed)
    }

    /// Frees the name that the record had, unless it keeps it.
    fn release_name<R: Record>(&mut self, id: &RecordId, keeps: Option<&[u8; 32]>) -> Result<(), VaultError> {
        let old = match self.staged.records.get(&place::<R>(id)) {
            Some(Change::Put { name, .. }) => *name,
            Some(Change::Delete) => None,
            None if has_names(R::COLLECTION) => self.batch.name_of(R::COLLECTION, id)?,
            None => None,
        };
        if let Some(old) = old.filter(|old| Some(old) != keeps) {
            self.staged.names.insert((R::COLLECTION.number(), old), None);
        }
        Ok(())
    }

    fn holder<R: Record>(&mut self, index: &[u8; 32]) -> Result<Option<RecordId>, VaultError> {
        self.holder_in(R::COLLECTION, index)
    }

    fn holder_in(
        &mut self,
        collection: Collection,
        index: &[u8; 32],
    ) -> Result<Option<RecordId>, VaultError> {
        match self.staged.names.get(&(collection.number(), *index)) {
            Some(holder) => Ok(*holder),
            None => self.batch.holder(collection, index),
        }
    }

    /// Whether a record of the other collection that shares the names of this one has this name.
    fn is_taken_beside(&mut self, collection: Collection, name: &str) -> Result<bool, VaultError> {
        let Some(beside) = shares_names(collection) else { return Ok(false) };
        let index = index_in(self.batch.keys, beside, name);
        Ok(self.holder_in(beside, &index)?.is_some())
    }

    fn name_index<R: Record>(&self, name: &str) -> [u8; 32] {
        name_index::<R>(self.batch.keys, name)
    }
}

/// The index of a name, in the form (Unicode NFC) in which names are compared.
pub(crate) fn name_index<R: Record>(keys: &Subkeys, name: &str) -> [u8; 32] {
    index_in(keys, R::COLLECTION, name)
}

/// The index of a unique name in a collection.
pub(crate) fn index_in(keys: &Subkeys, collection: Collection, name: &str) -> [u8; 32] {
    if name.is_ascii() {
        return keys.name_index(collection, name);
    }
    let name: String = name.nfc().collect();
    keys.name_index(collection, &name)
}

/// The collection whose records may not have the names of this one's: a key is named in the same way wherever it is held.
const fn shares_names(collection: Collection) -> Option<Collection> {
    match collection {
        Collection::Keys => Some(Collection::RemoteKeys),
        Collection::RemoteKeys => Some(Collection::Keys),
        Collection::Secrets
        | Collection::Audit
        | Collection::Grants
        | Collection::Usage
        | Collection::Requests
        | Collection::Endpoints
        | Collection::Wallets
        | Collection::Items
        | Collection::Sessions
        | Collection::Groups
        | Collection::Policies
        | Collection::Checkpoints
        | Collection::Settings
        | Collection::Burns
        | Collection::Unanswered
        | Collection::Bundles => None,
    }
}

const fn place<R: Record>(id: &RecordId) -> (u8, RecordId) {
    (R::COLLECTION.number(), *id)
}

/// Secrets are reached with a permit, the audit log and what stands for it through [`Tx::audit`], bundles by what they hold;
/// never as records.
fn open_to_jobs<R: Record>() -> Result<(), VaultError> {
    match R::COLLECTION {
        Collection::Secrets | Collection::Audit | Collection::Checkpoints | Collection::Bundles => {
            Err(VaultError::Record {
                collection: R::COLLECTION.as_str(),
                reason: "it is not open to jobs".into(),
            })
        }
        Collection::Keys
        | Collection::Grants
        | Collection::Usage
        | Collection::Requests
        | Collection::Endpoints
        | Collection::Wallets
        | Collection::Items
        | Collection::Sessions
        | Collection::Groups
        | Collection::Policies
        | Collection::RemoteKeys
        | Collection::Settings
        | Collection::Burns
        | Collection::Unanswered => Ok(()),
    }
}

const fn has_names(collection: Collection) -> bool {
    match collection {
        Collection::Keys
        | Collection::Secrets
        | Collection::Requests
        | Collection::Items
        | Collection::Sessions
        | Collection::RemoteKeys
        | Collection::Groups => true,
        Collection::Audit
        | Collection::Grants
        | Collection::Usage
        | Collection::Endpoints
        | Collection::Wallets
        | Collection::Checkpoints
        | Collection::Policies
        | Collection::Settings
        | Collection::Burns
        | Collection::Unanswered
        | Collection::Bundles => false,
    }
}
