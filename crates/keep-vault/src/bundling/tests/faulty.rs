//! Bundles in a store that fails.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keep_audit::{Action, Draft, Outcome};
use keep_store::{
    MemoryStore, NameIndex, ReadTx, ReadWork, Row, Scan, Store, StoreError, WriteTx, WriteWork,
};
use keep_types::{Collection, Origin, RecordId, SecretText};

use super::put_back::{of, put, take};
use super::{Note, World, compare, create, environment, open, place};
use crate::bundles::MOST_UNDONE;
use crate::{Vault, VaultError};

/// What goes wrong in a store, and what was read in it.
#[derive(Default)]
pub(super) struct Faults {
    /// The pages of bundles are broken.
    pub is_broken: AtomicBool,
    /// A commit is durable, and is said to have failed.
    pub is_unsure: AtomicBool,
    /// How many bundles were visited.
    pub visited: AtomicUsize,
}

/// A store with faults.
pub(super) struct Faulty {
    store: MemoryStore,
    faults: Arc<Faults>,
}

/// What is inside one of its transactions.
struct FaultyTx<'a>(&'a mut dyn WriteTx, &'a Faults);

impl FaultyTx<'_> {
    fn check(&self, collection: Option<u8>) -> Result<(), StoreError> {
        let is_meant = collection == Some(Collection::Bundles.number());
        if is_meant && self.1.is_broken.load(Ordering::SeqCst) {
            return Err(StoreError::Damaged("keep.db is truncated or has broken pages".into()));
        }
        Ok(())
    }
}

impl ReadTx for FaultyTx<'_> {
    fn header(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.header()
    }

    fn head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.head()
    }

    fn get(&self, collection: u8, id: &RecordId) -> Result<Option<Row>, StoreError> {
        self.check(Some(collection))?;
        self.0.get(collection, id)
    }

    fn find(&self, collection: u8, name: &NameIndex) -> Result<Option<Row>, StoreError> {
        self.0.find(collection, name)
    }

    fn scan(&self, scan: Scan, visit: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StoreError> {
        self.check(scan.collection)?;
        self.0.scan(scan, &mut |row| {
            let is_bundle = row.collection == Collection::Bundles.number();
            self.1.visited.fetch_add(usize::from(is_bundle), Ordering::SeqCst);
            visit(row)
        })
    }
}

impl WriteTx for FaultyTx<'_> {
    fn put(&mut self, row: &Row) -> Result<(), StoreError> {
        self.0.put(row)
    }

    fn delete(&mut self, collection: u8, id: &RecordId) -> Result<bool, StoreError> {
        self.0.delete(collection, id)
    }

    fn set_header(&mut self, header: &[u8]) -> Result<(), StoreError> {
        self.0.set_header(header)
    }

    fn set_head(&mut self, head: &[u8]) -> Result<(), StoreError> {
        self.0.set_head(head)
    }

    fn changed_by_others(&mut self) -> Result<bool, StoreError> {
        self.0.changed_by_others()
    }
}

impl Store for Faulty {
    fn read(&self, work: ReadWork<'_>) -> Result<(), StoreError> {
        self.store.read(work)
    }

    fn write(&self, work: WriteWork<'_>) -> Result<(), StoreError> {
        self.store.write(&mut |tx| work(&mut FaultyTx(tx, &self.faults)))?;
        if self.faults.is_unsure.load(Ordering::SeqCst) {
            return Err(StoreError::Io("nobody knows".into()));
        }
        Ok(())
    }
}

/// The vault of another process, whose store may fail.
pub(super) fn open_faulty(world: &World) -> (Vault, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let store = Faulty { store: world.store.another_handle(), faults: Arc::clone(&faults) };
    let vault = Vault::open(Arc::new(store), &SecretText::from("words".to_owned()), &environment()).unwrap();
    (vault, faults)
}

/// Whether there is such a note.
fn finds(vault: &Vault, id: u8) -> bool {
    vault.submit(move |tx| tx.get::<Note>(&place(id))).wait().unwrap().0.is_some()
}

fn try_to_put(vault: &Vault, id: u8, logged: bool) -> Result<(), VaultError> {
    vault
        .submit(move |tx| {
            super::put_back::log(tx, "try", logged);
            tx.put(place(id), &super::note(Some(id), 0, id))
        })
        .wait()
        .map(drop)
}

#[test]
fn commits_that_fail_let_nothing_be_read_again() {
    for logged in [true, false] {
        let (world, _) = create();
        let (vault, faults) = open_faulty(&world);
        for id in 1..5 {
            put(&vault, id, id, logged);
        }
        let before = faults.visited.load(Ordering::SeqCst);
        world.fails.store(true, Ordering::SeqCst);
        for id in [5, 6, 7] {
            assert!(matches!(try_to_put(&vault, id, logged), Err(VaultError::Store(_))));
            assert!(finds(&vault, 1) && !finds(&vault, id));
        }
        world.fails.store(false, Ordering::SeqCst);
        put(&vault, 8, 8, logged);
        take(&vault, 2, logged);
        compare(&vault, &of([1, 3, 4, 8]));
        assert_eq!(faults.visited.load(Ordering::SeqCst), before);
        compare(&open(&world), &of([1, 3, 4, 8]));
    }
}

/// Nobody knows whether a commit is durable whose sync failed.
#[test]
fn a_commit_that_is_durable_although_it_failed_is_found() {
    for [before, unsure] in [[true, true], [true, false], [false, true], [false, false]] {
        let (world, _) = create();
        let (vault, faults) = open_faulty(&world);
        for id in 1..4 {
            put(&vault, id, id, before);
        }
        faults.is_unsure.store(true, Ordering::SeqCst);
        assert!(try_to_put(&vault, 4, unsure).is_err());
        let both = move |tx: &mut crate::Tx<'_, '_>| {
            super::put_back::log(tx, "both", unsure);
            tx.delete::<Note>(&place(1))?;
            tx.put(place(5), &super::note(Some(5), 0, 5))
        };
        assert!(vault.submit(both).wait().is_err());
        faults.is_unsure.store(false, Ordering::SeqCst);
        compare(&vault, &of([2, 3, 4, 5]));
        put(&vault, 6, 6, before);
        let other = open(&world);
        take(&other, 2, unsure);
        put(&other, 1, 1, unsure);
        compare(&vault, &of([1, 3, 4, 5, 6]));
    }
}

/// What is remembered to be taken back is bounded; beyond that everything is read anew where another process has written.
#[test]
fn more_than_can_be_taken_back_is_read_anew() {
    // Each of these puts changes a place and a name, and so does each of the takes.
    for (pairs, read) in [(MOST_UNDONE / 4, 1), (MOST_UNDONE / 4 + 1, 4)] {
        let (world, _) = create();
        let (vault, faults) = open_faulty(&world);
        for id in 1..4 {
            put(&vault, id, id, true);
        }
        for _ in 0..pairs {
            put(&vault, 4, 4, false);
            take(&vault, 4, false);
        }
        put(&open(&world), 5, 5, false);
        let before = faults.visited.load(Ordering::SeqCst);
        assert!(finds(&vault, 5));
        assert_eq!(faults.visited.load(Ordering::SeqCst) - before, read, "after {pairs} pairs");
        compare(&vault, &of([1, 2, 3, 5]));
    }
}

/// What others have written is told again after a commit that failed, and what they write then with it.
#[test]
fn what_others_write_between_commits_that_fail_is_found() {
    let (world, _) = create();
    let (vault, _) = open_faulty(&world);
    let other = open(&world);
    put(&vault, 1, 1, true);
    let mut model = of([1]);
    for id in 2..6 {
        put(&other, id, id, id % 2 == 0);
        world.fails.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            assert!(try_to_put(&vault, 9, true).is_err());
        }
        world.fails.store(false, Ordering::SeqCst);
        model.extend([(place(id), super::note(Some(id), 0, id))]);
        compare(&vault, &model);
    }
}

/// Whether it breaks before the bundles were read or after.
#[test]
fn a_broken_page_under_a_bundle_raises_the_alarm_and_stops_nothing_else() {
    for is_read in [false, true] {
        let (world, vault) = create();
        vault.submit(|tx| tx.put(place(1), &super::note(None, 0, 1))).wait().unwrap();
        drop(vault);
        let (vault, faults) = open_faulty(&world);
        let read = || vault.submit(|tx| tx.get::<Note>(&place(1))).wait();
        if is_read {
            assert!(vault.submit(|tx| tx.get::<Note>(&place(2))).wait().unwrap().0.is_none());
        }
        assert!(vault.integrity().is_intact());
        faults.is_broken.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            let outcome = read();
            assert!(matches!(outcome, Err(VaultError::Store(StoreError::Damaged(_)))), "{outcome:?}");
        }
        assert!(!vault.integrity().is_intact(), "nothing is signed any more");
        // Pages are not read again and again for it, and the log goes on.
        let entry = |tx: &mut crate::Tx<'_, '_>| {
            tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli));
            Ok(())
        };
        vault.submit(entry).wait().unwrap();
        faults.is_broken.store(false, Ordering::SeqCst);
        assert!(read().unwrap().0.is_some());
    }
}
