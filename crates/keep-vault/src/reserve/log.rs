//! Slots and journal together: where the store of a hidden vault keeps itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keep_store::{ChangeLog, MemoryStore, StoreError};
use keep_types::SecretKey32;

use super::file::{Medium, store_error};
use super::journal::{self, End};
use super::layout::{BLOCK, Layout};
use super::slot::SlotHeader;
use crate::VaultError;
use crate::shield::{Shield, Shielded};

/// What was found under a key.
pub(crate) struct Found {
    header: SlotHeader,
    tag: [u8; 16],
    slot: usize,
    content: Vec<u8>,
    changes: Vec<Vec<u8>>,
    end: End,
    /// Whether the other slot's header opens, too.
    other_opens: bool,
    /// Whether a later state is there and damaged.
    pub fallen_back: bool,
}

/// Tries both slots. The same work is done whether there is nothing, or nothing under this key.
pub(crate) fn find(bytes: &[u8], layout: Layout, salt: &[u8; 32], kek: &SecretKey32) -> Option<Found> {
    if bytes.len() != layout.total() {
        return None;
    }
    let headers = [0, 1].map(|slot| SlotHeader::open(kek, slot, salt, &bytes[layout.header(slot)]));
    let both = headers.iter().all(Option::is_some);
    let mut candidates: Vec<_> =
        (0..).zip(headers).filter_map(|(slot, header)| Some((slot, header?))).collect();
    candidates.sort_by_key(|(_, (header, _))| std::cmp::Reverse(header.generation));
    let mut fallen_back = false;
    for (slot, (header, tag)) in candidates {
        let Some(content) = header.open_body(&bytes[layout.body(slot)]) else {
            fallen_back = true;
            continue;
        };
        let (changes, end) =
            journal::read(bytes, layout, &header.journal_key(), &header.id, End::after_slot(tag));
        return Some(Found { header, tag, slot, content, changes, end, other_opens: both, fallen_back });
    }
    None
}

impl Found {
    /// The store, and the handle through which its passphrase changes.
    pub(crate) fn into_store(
        self,
        medium: Box<dyn Medium>,
        layout: Layout,
        salt: [u8; 32],
        kek: &SecretKey32,
    ) -> Result<(MemoryStore, Rekey), VaultError> {
        let mut inner = Inner::new(medium, layout, salt, kek, self.header.id)?;
        inner.generation = self.header.generation;
        inner.active = Some(self.slot);
        inner.journal_key = inner.shield.seal(&self.header.journal_key())?;
        inner.end = self.end;
        inner.shred = (!self.other_opens).then_some(1 - self.slot);
        debug_assert!(self.end.block > 0 || self.end.tag == self.tag);
        let log = ReserveLog(Arc::new(Mutex::new(inner)));
        let rekey = Rekey(Arc::clone(&log.0));
        let parts = std::iter::once(self.content).chain(self.changes);
        Ok((MemoryStore::with_log(parts, log)?, rekey))
    }
}

/// The log of a store that lies in a reserve.
pub(crate) struct ReserveLog(Arc<Mutex<Inner>>);

/// Lets a passphrase that is about to be changed take the slots with it.
#[derive(Clone)]
pub(crate) struct Rekey(Arc<Mutex<Inner>>);

struct Inner {
    medium: Box<dyn Medium>,
    layout: Layout,
    salt: [u8; 32],
    shield: Shield,
    /// The key of the slot headers.
    kek: Shielded<32>,
    /// The key of the next slot header, once the change that comes with it is committed.
    next_kek: Option<Shielded<32>>,
    id: [u8; 16],
    /// That of the active slot; 0 before the first.
    generation: u64,
    active: Option<usize>,
    journal_key: Shielded<32>,
    end: End,
    /// The slot whose header must be overwritten before anything else is: a key opens it that must not.
    shred: Option<usize>,
    /// Either slot may count, so that nothing may be appended to the journal of one.
    unsure: bool,
}

impl Inner {
    fn new(
        medium: Box<dyn Medium>,
        layout: Layout,
        salt: [u8; 32],
        kek: &SecretKey32,
        id: [u8; 16],
    ) -> Result<Self, VaultError> {
        let shield = Shield::new()?;
        let (kek, journal_key) = (shield.seal(kek.expose())?, shield.seal(&[0; 32])?);
        let end = End::after_slot([0; 16]);
        let (generation, active, shred, unsure) = (0, None, None, false);
        Ok(Self {
            medium,
            layout,
            salt,
            shield,
            kek,
            next_kek: None,
            id,
            generation,
            active,
            journal_key,
            end,
            shred,
            unsure,
        })
    }

    fn commit(&mut self, change: &[u8], whole: &dyn Fn() -> Vec<u8>) -> Result<(), VaultError> {
        let appends = self.active.is_some()
            && !self.unsure
            && self.next_kek.is_none()
            && self.end.has_room(change.len(), self.layout);
        if appends { self.append(change) } else { self.write_slot(&whole()) }
    }

    /// Adds a change to the journal. If that fails, the next one overwrites what it may have left.
    fn append(&mut self, change: &[u8]) -> Result<(), VaultError> {
        if let Some(slot) = self.shred {
            self.randomise(slot)?;
        }
        let key = self.shield.open(&self.journal_key)?;
        let (blocks, end) = self.end.seal(&key, &self.id, change)?;
        let start = self.layout.block(self.end.block).map_or(0, |block| block.start);
        if start == 0 {
            return Err(VaultError::System("the reserve's journal is full".into()));
        }
        self.write(start, &blocks)?;
        self.sync()?;
        (self.end, self.shred) = (end, None);
        Ok(())
    }

    /// Keeps everything in the slot that does not count, and lets it count.
    fn write_slot(&mut self, content: &[u8]) -> Result<(), VaultError> {
        let slot = self.active.map_or(0, |active| 1 - active);
        let mut header = SlotHeader::fresh(self.generation + 1, self.id)?;
        let body = header.seal_body(content, self.layout.body(slot).len())?;
        let lifted = self.shield.lift();
        let kek = SecretKey32::take(&mut *lifted.open(self.next_kek.as_ref().unwrap_or(&self.kek))?);
        let sealed = header.seal(&kek, slot, &self.salt)?;
        if self.unsure {
            // Its header may count already; without it the other one does, to which nothing was added since.
            self.randomise(slot)?;
            self.sync()?;
        }
        self.write(self.layout.body(slot).start, &body)?;
        self.sync()?;
        self.unsure = true;
        self.write(self.layout.header(slot).start, &sealed)?;
        self.sync()?;
        self.shred = self.shred.filter(|old| *old != slot);
        let outdated =
            if self.next_kek.is_some() || self.active.is_none() { Some(1 - slot) } else { self.shred };
        if let Some(old) = outdated {
            self.randomise(old)?;
            self.sync()?;
        }
        if let Some(kek) = self.next_kek.take() {
            self.kek = kek;
        }
        self.journal_key = self.shield.seal(&header.journal_key())?;
        let mut tag = [0; 16];
        tag.copy_from_slice(&sealed[BLOCK - 16..]);
        (self.generation, self.active, self.end) = (header.generation, Some(slot), End::after_slot(tag));
        (self.shred, self.unsure) = (None, false);
        Ok(())
    }

    /// Overwrites the header of a slot with random bytes.
    fn randomise(&mut self, slot: usize) -> Result<(), VaultError> {
        let mut noise = [0; BLOCK];
        getrandom::getrandom(&mut noise)?;
        self.write(self.layout.header(slot).start, &noise)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), VaultError> {
        Ok(self.medium.write(at as u64, bytes).map_err(|e| store_error(&e))?)
    }

    fn sync(&mut self) -> Result<(), VaultError> {
        Ok(self.medium.sync().map_err(|e| store_error(&e))?)
    }
}

impl ReserveLog {
    /// A log in which nothing is kept yet.
    pub fn empty(
        medium: Box<dyn Medium>,
        layout: Layout,
        salt: [u8; 32],
        kek: &SecretKey32,
    ) -> Result<Self, VaultError> {
        let mut id = [0; 16];
        getrandom::getrandom(&mut id)?;
        Ok(Self(Arc::new(Mutex::new(Inner::new(medium, layout, salt, kek, id)?))))
    }

    /// The handle through which its passphrase changes.
    pub fn rekey(&self) -> Rekey {
        Rekey(Arc::clone(&self.0))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChangeLog for ReserveLog {
    fn commit(&mut self, change: &[u8], whole: &dyn Fn() -> Vec<u8>) -> Result<(), StoreError> {
        self.inner().commit(change, whole).map_err(crate::ledger::into_store_error)
    }

    fn close(&mut self, whole: &dyn Fn() -> Vec<u8>) {
        let mut inner = self.inner();
        // Everything is durable as it is; this only gives the next session an empty journal. Doing it after every little
        // session would write 7 MiB for 4 KiB.
        if inner.unsure || inner.end.block * 2 >= inner.layout.blocks() {
            let _ = inner.write_slot(&whole());
        }
    }

    fn capacity(&self) -> usize {
        self.inner().layout.capacity()
    }
}

impl Rekey {
    /// The next commit is kept under `kek`, and nothing under the key before it. [`cancel`](Self::cancel) if there is none.
    pub fn prepare(&self, kek: &SecretKey32) -> Result<(), VaultError> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.next_kek = Some(inner.shield.seal(kek.expose())?);
        Ok(())
    }

    /// The commit did not come about: the key stays as it is.
    pub fn cancel(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_kek = None;
    }
}
