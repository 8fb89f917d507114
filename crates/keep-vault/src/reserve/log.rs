//! Slots and journal together: where the store of a hidden vault keeps itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keep_store::{ChangeLog, MemoryStore, StoreError, changes_header};
use keep_types::{ErrorCode, Fault, SecretKey32};

use super::file::{Medium, store_error};
use super::journal::{self, End, Journal};
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
    /// What is damaged of a later state that was there.
    pub lost: Option<Lost>,
}

/// What of a vault's latest state is damaged, so that an earlier one was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The slot in which it lies.
    Slot,
    /// A change in the journal after it, and with it those that follow.
    Journal,
}

impl Lost {
    /// What is wrong, for people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Slot => "its latest state is damaged, and an earlier one was opened",
            Self::Journal => "a part of its latest changes is damaged, and its state before them was opened",
        }
    }
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
    let mut lost = None;
    for (slot, (header, tag)) in candidates {
        let Some(content) = header.open_body(&bytes[layout.body(slot)]) else {
            lost = Some(Lost::Slot);
            continue;
        };
        let (key, start) = (header.journal_key(), End::after_slot(tag));
        let Journal { changes, end, says_lost } = journal::read(bytes, layout, &key, &header.id, start);
        if says_lost {
            lost = Some(Lost::Slot);
        }
        if lost.is_none() && journal::goes_on(bytes, layout, &key, &header.id, end) {
            lost = Some(Lost::Journal);
        }
        return Some(Found { header, tag, slot, content, changes, end, other_opens: both, lost });
    }
    None
}

impl Found {
    /// The store, and the handle through which its passphrase changes. What was found must be durable, since from here on it counts:
    /// see [`Medium::read_durable`].
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
        inner.lost = self.lost;
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
    /// What is damaged of a later state: nothing is written over what is left of it, in the other slot or in the journal.
    lost: Option<Lost>,
    /// The owner goes on without it, with the next commit.
    accepted: bool,
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
        let (generation, active, shred, unsure, lost, accepted) = (0, None, None, false, None, false);
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
            lost,
            accepted,
        })
    }

    fn commit(&mut self, change: &[u8], whole: &dyn Fn() -> Vec<u8>) -> Result<(), VaultError> {
        if let Some(lost) = self.lost {
            if !self.accepted {
                return Err(VaultError::Rejected(evidence(lost)));
            }
            // The header of the later state is what tells that it is lost, and it may be cut off while it is written over.
            if lost == Lost::Slot && self.end.has_room_for_loss(self.layout) {
                let key = self.shield.open(&self.journal_key)?;
                let sealed = self.end.seal_lost(&key, &self.id)?;
                self.write_blocks(sealed)?;
            }
            self.write_slot(&whole(), false)?;
            (self.lost, self.accepted) = (None, false);
            return Ok(());
        }
        let rekeys = self.next_kek.is_some() && changes_header(change);
        let appends =
            self.active.is_some() && !self.unsure && !rekeys && self.end.has_room(change.len(), self.layout);
        if appends { self.append(change) } else { self.write_slot(&whole(), rekeys) }
    }

    /// Adds a change to the journal. If that fails, the next one overwrites what it may have left.
    fn append(&mut self, change: &[u8]) -> Result<(), VaultError> {
        if let Some(slot) = self.shred {
            self.randomise(slot)?;
        }
        let key = self.shield.open(&self.journal_key)?;
        let sealed = self.end.seal(&key, &self.id, change)?;
        self.write_blocks(sealed)?;
        self.shred = None;
        Ok(())
    }

    /// Writes blocks at the end of the journal.
    fn write_blocks(&mut self, (blocks, end): (Vec<u8>, End)) -> Result<(), VaultError> {
        let start = self.layout.block(self.end.block).map_or(0, |block| block.start);
        if start == 0 {
            return Err(VaultError::System("the reserve's journal is full".into()));
        }
        self.write(start, &blocks)?;
        self.sync()?;
        self.end = end;
        Ok(())
    }

    /// Keeps everything in the slot that does not count, and lets it count.
    fn write_slot(&mut self, content: &[u8], rekeys: bool) -> Result<(), VaultError> {
        let slot = self.active.map_or(0, |active| 1 - active);
        let mut header = SlotHeader::fresh(self.generation + 1, self.id)?;
        let body = header.seal_body(content, self.layout.body(slot).len())?;
        let lifted = self.shield.lift();
        let kek = self.next_kek.as_ref().filter(|_| rekeys).unwrap_or(&self.kek);
        let kek = SecretKey32::take(&mut *lifted.open(kek)?);
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
        let outdated = if rekeys || self.active.is_none() { Some(1 - slot) } else { self.shred };
        if let Some(old) = outdated {
            self.randomise(old)?;
            self.sync()?;
        }
        if let Some(kek) = if rekeys { self.next_kek.take() } else { None } {
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
        if inner.lost.is_none() && (inner.unsure || inner.end.block * 2 >= inner.layout.blocks()) {
            let _ = inner.write_slot(&whole(), false);
        }
    }

    fn wipe(&mut self, whole: &dyn Fn() -> Vec<u8>) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if let Some(lost) = inner.lost {
            return Err(StoreError::Aborted(evidence(lost)));
        }
        let mut wipe = || {
            inner.write_slot(&whole(), false)?;
            // With its header goes the key of the other slot, and of the journal after it.
            let other = inner.active.map_or(1, |active| 1 - active);
            inner.randomise(other)?;
            inner.sync()
        };
        wipe().map_err(crate::ledger::into_store_error)
    }

    fn capacity(&self) -> usize {
        self.inner().layout.capacity()
    }
}

impl Rekey {
    /// The next commit that replaces the header is kept under `kek`, and nothing under the key before it. [`cancel`](Self::cancel) if there is none.
    pub fn prepare(&self, kek: &SecretKey32) -> Result<(), VaultError> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.next_kek = Some(inner.shield.seal(kek.expose())?);
        Ok(())
    }

    /// The commit did not come about: the key stays as it is.
    pub fn cancel(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_kek = None;
    }

    /// What is damaged of a later state than the one that was opened.
    pub fn lost(&self) -> Option<Lost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lost
    }

    /// Whether the next commit may be written over what is left of that state.
    pub fn accept_lost(&self, accepted: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).accepted = accepted;
    }
}

fn evidence(lost: Lost) -> Fault {
    let message = format!("nothing is written to this vault: {}", lost.as_str());
    Fault::new(ErrorCode::Integrity, message).with_hint(
        "keep a copy of the file `reserve`, where the damaged state still lies; then go on with `keep doctor --accept`",
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use keep_store::{Store, StoreError};

    use super::*;

    const LAYOUT: Layout = Layout::small(16 << 10, 4);
    const SALT: [u8; 32] = [1; 32];

    /// Bytes in memory; of the writes that come, so many reach them.
    #[derive(Clone)]
    struct Bytes(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Bytes {
        fn new() -> Self {
            Self(Arc::new(Mutex::new((vec![7; LAYOUT.total()], usize::MAX))))
        }

        fn allow(&self, writes: usize) {
            self.0.lock().unwrap().1 = writes;
        }

        fn head_under(&self, key: u8) -> Option<Vec<u8>> {
            let bytes = self.0.lock().unwrap().0.clone();
            let found = find(&bytes, LAYOUT, &SALT, &kek(key))?;
            let store = found.into_store(Box::new(Self::new()), LAYOUT, SALT, &kek(key)).unwrap().0;
            let mut head = None;
            store.read(&mut |tx| tx.head().map(|found| head = found)).unwrap();
            head
        }
    }

    impl Medium for Bytes {
        fn read(&mut self) -> io::Result<Vec<u8>> {
            Ok(self.0.lock().unwrap().0.clone())
        }

        fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            state.1 = state.1.checked_sub(1).ok_or_else(|| io::Error::other("cut off"))?;
            state.0[at as usize..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn kek(byte: u8) -> SecretKey32 {
        SecretKey32::take(&mut [byte; 32])
    }

    fn put(store: &MemoryStore, header: Option<&[u8]>, head: &[u8]) -> Result<(), StoreError> {
        store.write(&mut |tx| {
            if let Some(header) = header {
                tx.set_header(header)?;
            }
            tx.set_head(head)
        })
    }

    #[test]
    fn a_new_key_takes_over_with_the_header_and_not_before() {
        let bytes = Bytes::new();
        let log = ReserveLog::empty(Box::new(bytes.clone()), LAYOUT, SALT, &kek(1)).unwrap();
        let rekey = log.rekey();
        let store = MemoryStore::with_log([b""], log).unwrap();
        put(&store, Some(b"header"), b"one").unwrap();
        rekey.prepare(&kek(2)).unwrap();
        // Somebody else's commit meanwhile, large enough for a slot.
        for n in 0..6 {
            put(&store, None, &[n; 3_000]).unwrap();
        }
        assert_eq!((bytes.head_under(1), bytes.head_under(2)), (Some(vec![5; 3_000]), None));
        put(&store, Some(b"new header"), b"two").unwrap();
        assert_eq!((bytes.head_under(1), bytes.head_under(2)), (None, Some(b"two".to_vec())));
        put(&store, Some(b"newer header"), b"three").unwrap();
        assert_eq!(bytes.head_under(2), Some(b"three".to_vec()));
        rekey.prepare(&kek(3)).unwrap();
        rekey.cancel();
        put(&store, Some(b"newest header"), b"four").unwrap();
        assert_eq!((bytes.head_under(3), bytes.head_under(2)), (None, Some(b"four".to_vec())));
    }

    /// Cut off after any write, one of the two keys opens one of the two states; and when the change is acknowledged only
    /// the new one does.
    #[test]
    fn a_change_of_keys_that_is_cut_off_locks_nobody_out() {
        for writes in 0..5 {
            let bytes = Bytes::new();
            let log = ReserveLog::empty(Box::new(bytes.clone()), LAYOUT, SALT, &kek(1)).unwrap();
            let rekey = log.rekey();
            let store = MemoryStore::with_log([b""], log).unwrap();
            put(&store, Some(b"header"), b"one").unwrap();
            put(&store, None, b"two").unwrap();
            rekey.prepare(&kek(2)).unwrap();
            bytes.allow(writes);
            let done = put(&store, Some(b"new header"), b"three").is_ok();
            assert_eq!(done, writes >= 3, "body, header, and random bytes over the old header");
            let (old, new) = (bytes.head_under(1), bytes.head_under(2));
            assert_eq!(old, if done { None } else { Some(b"two".to_vec()) });
            assert_eq!(new, (writes >= 2).then(|| b"three".to_vec()));
            bytes.allow(usize::MAX);
            if !done {
                rekey.cancel();
                put(&store, None, b"goes on").unwrap();
                assert_eq!((bytes.head_under(1), bytes.head_under(2)), (Some(b"goes on".to_vec()), None));
            }
        }
    }

    #[test]
    fn wiping_leaves_one_slot_and_no_journal() {
        let bytes = Bytes::new();
        let store = super::super::make_store(bytes.clone(), LAYOUT, SALT, &kek(1)).unwrap();
        for n in 0..9 {
            put(&store, None, &[n; 3_000]).unwrap();
        }
        store.wipe_leftovers().unwrap();
        let state = bytes.0.lock().unwrap().0.clone();
        let open =
            [0, 1].map(|slot| SlotHeader::open(&kek(1), slot, &SALT, &state[LAYOUT.header(slot)]).is_some());
        assert_eq!(open.iter().filter(|open| **open).count(), 1);
        assert_eq!(bytes.head_under(1), Some(vec![8; 3_000]));
        put(&store, None, b"goes on").unwrap();
        assert_eq!(bytes.head_under(1), Some(b"goes on".to_vec()));
    }
}
