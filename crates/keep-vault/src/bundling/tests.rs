//! Bundled records against a model, through two handles on one store.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keep_audit::{Action, Draft, Outcome};
use keep_store::{
    ChangeLog, MemoryStore, NameIndex, ReadTx, ReadWork, Row, Scan, Store, StoreError, WriteTx, WriteWork,
};
use keep_testing::clock::FakeClock;
use keep_types::{Collection, Origin, Record, RecordId, Revision, SecretText, Timestamp};
use minicbor::{Decode, Encode};
use proptest::prelude::*;

use crate::bundles::{Bundle, LONGEST_BUNDLED, MOST_BUNDLED};
use crate::{Environment, KdfCost, Vault, VaultError};

/// A record of the collection that is bundled.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Note {
    #[n(0)]
    text: String,
    #[n(1)]
    name: Option<String>,
}

impl Record for Note {
    const COLLECTION: Collection = super::BUNDLED;

    fn unique_name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

#[derive(Debug, Clone)]
enum Act {
    Put { id: u8, name: Option<u8>, len: usize, text: u8 },
    Delete { id: u8 },
}

type Model = BTreeMap<RecordId, Note>;

/// One commit: acts of one handle, of which the job may fail in the end.
#[derive(Debug, Clone)]
struct Commit {
    by: usize,
    acts: Vec<Act>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    /// The job gives up in the end.
    GivenUp,
    /// The store cannot write.
    NotWritten,
}

/// A log that fails when it is told to.
struct Failing(Arc<AtomicBool>);

impl ChangeLog for Failing {
    fn commit(&mut self, _: &[u8], _: &dyn Fn() -> Vec<u8>) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) { Err(StoreError::Io("no room".into())) } else { Ok(()) }
    }

    fn close(&mut self, _: &dyn Fn() -> Vec<u8>) {}

    fn wipe(&mut self, _: &dyn Fn() -> Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }

    fn capacity(&self) -> usize {
        1 << 24
    }
}

/// A store, and what makes it fail.
struct World {
    store: MemoryStore,
    fails: Arc<AtomicBool>,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..24u8, proptest::option::of(0..6u8), prop_oneof![8 => Just(0), 2 => Just(3000), 1 => Just(LONGEST_BUNDLED)], any::<u8>())
            .prop_map(|(id, name, len, text)| Act::Put { id, name, len, text }),
        2 => (0..24u8).prop_map(|id| Act::Delete { id }),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    let fate = prop_oneof![6 => Just(Fate::Committed), 1 => Just(Fate::GivenUp), 1 => Just(Fate::NotWritten)];
    (0..2usize, proptest::collection::vec(act(), 1..6), fate).prop_map(|(by, acts, fate)| Commit {
        by,
        acts,
        fate,
    })
}

fn place(id: u8) -> RecordId {
    RecordId::from_bytes([id; 16])
}

fn environment() -> Environment {
    Environment::new(FakeClock::at(Timestamp::from_secs(1_800_000_000))).allow_weak_kdf()
}

/// As another process would.
fn open(world: &World) -> Vault {
    let store = Arc::new(world.store.another_handle());
    Vault::open(store, &SecretText::from("words".to_owned()), &environment()).unwrap()
}

fn create() -> (World, Vault) {
    let (fails, none): (_, [Vec<u8>; 0]) = (Arc::new(AtomicBool::new(false)), []);
    let store = MemoryStore::with_log(none, Failing(Arc::clone(&fails))).unwrap();
    let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    let passphrase = SecretText::from("words".to_owned());
    let own = Arc::new(store.another_handle());
    let vault = Vault::create(own, &passphrase, [1; 32], cost, &environment()).unwrap();
    (World { store, fails }, vault)
}

/// What an act does to the model; whether the name was free.
fn follow(model: &mut Model, act: &Act) -> bool {
    match act {
        Act::Delete { id } => {
            model.remove(&place(*id));
        }
        Act::Put { id, name, len, text } => {
            let note = note(*name, *len, *text);
            let is_taken = note.name.is_some()
                && model.iter().any(|(other, known)| *other != place(*id) && known.name == note.name);
            if is_taken {
                return false;
            }
            model.insert(place(*id), note);
        }
    }
    true
}

fn note(name: Option<u8>, len: usize, text: u8) -> Note {
    Note { text: format!("{text}{}", "x".repeat(len)), name: name.map(|name| format!("name {name}")) }
}

fn run(world: &World, vault: &Vault, model: &mut Model, commit: &Commit) {
    let mut after = model.clone();
    let expected: Vec<bool> = commit.acts.iter().map(|act| follow(&mut after, act)).collect();
    let Commit { acts, fate, .. } = commit.clone();
    world.fails.store(fate == Fate::NotWritten, Ordering::SeqCst);
    let outcome = vault
        .submit(move |tx| {
            let mut were_free = Vec::new();
            for act in &acts {
                were_free.push(match act {
                    Act::Delete { id } => tx.delete::<Note>(&place(*id)).map(|_| true)?,
                    Act::Put { id, name, len, text } => match tx.put(place(*id), &note(*name, *len, *text)) {
                        Ok(()) => true,
                        Err(VaultError::NameTaken(_)) => false,
                        Err(error) => return Err(error),
                    },
                });
            }
            // So that there is something to write.
            tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli));
            if fate == Fate::GivenUp { Err(VaultError::NoSuchKey) } else { Ok(were_free) }
        })
        .wait();
    world.fails.store(false, Ordering::SeqCst);
    match fate {
        Fate::Committed => {
            assert_eq!(outcome.unwrap().0, expected);
            *model = after;
        }
        Fate::GivenUp => assert_eq!(outcome.unwrap_err(), VaultError::NoSuchKey),
        Fate::NotWritten => assert!(matches!(outcome, Err(VaultError::Store(_)))),
    }
}

/// Everything as the model has it: by place, by name, and listed.
fn compare(vault: &Vault, model: &Model) {
    let expected = model.clone();
    vault
        .submit(move |tx| {
            for id in 0..24 {
                assert_eq!(tx.get::<Note>(&place(id))?.as_ref(), expected.get(&place(id)));
            }
            for name in 0..6 {
                let name = format!("name {name}");
                let holder = expected.iter().find(|(_, note)| note.name.as_ref() == Some(&name));
                let holder = holder.map(|(id, note)| (*id, note.clone()));
                assert_eq!(tx.find::<Note>(&name)?, holder);
            }
            Ok(())
        })
        .wait()
        .unwrap();
    let listed = vault.all::<Note>().unwrap();
    assert_eq!(listed.len(), model.len());
    assert_eq!(listed.into_iter().collect::<Model>(), *model);
    assert!(vault.verify().unwrap().is_intact());
}

/// How many rows there are of a collection.
fn rows(store: &MemoryStore, collection: Collection) -> usize {
    let mut count = 0;
    let scan = Scan::collection(collection);
    let mut visit = |_| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    };
    store.read(&mut |tx| tx.scan(scan, &mut visit)).unwrap();
    count
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn bundles_are_as_good_as_rows(commits in proptest::collection::vec(commit(), 1..24)) {
        let (world, first) = create();
        let handles = [first, open(&world)];
        let mut model = Model::new();
        for commit in &commits {
            run(&world, &handles[commit.by], &mut model, commit);
            // The other one has to find it, too.
            compare(&handles[1 - commit.by], &model);
        }
        for vault in handles.iter().chain([&open(&world)]) {
            compare(vault, &model);
        }
    }
}

#[test]
fn a_commit_is_one_row_until_there_are_too_many() {
    let (World { store, .. }, vault) = create();
    let put = |from: u8, to: u8| {
        let job = move |tx: &mut crate::Tx<'_, '_>| {
            (from..to).try_for_each(|id| tx.put(place(id), &note(Some(id), 0, id)))
        };
        vault.submit(job).wait().unwrap();
    };
    put(0, 8);
    assert_eq!((rows(&store, Collection::Bundles), rows(&store, super::BUNDLED)), (1, 0));
    put(8, 20);
    assert_eq!(rows(&store, Collection::Bundles), 2);
    assert_eq!(rows(&store, super::BUNDLED), 20 - MOST_BUNDLED);
    vault.submit(|tx| (0..8).try_for_each(|id| tx.delete::<Note>(&place(id)).map(drop))).wait().unwrap();
    assert_eq!(rows(&store, Collection::Bundles), 1, "an empty bundle is no row");
    put(20, 24);
    assert_eq!(rows(&store, Collection::Bundles), 2, "there is room again");
}

#[test]
fn a_bundle_that_does_not_open_hides_nothing() {
    let (world, vault) = create();
    vault.submit(|tx| tx.put(place(1), &note(None, 0, 1))).wait().unwrap();
    drop(vault);
    let vault = open(&world);
    world
        .store
        .write(&mut |tx| {
            let at = Bundle::place(keep_types::Revision::new(2));
            let mut row = tx.get(Collection::Bundles.number(), &at)?.unwrap();
            row.sealed[30] ^= 1;
            tx.put(&row)
        })
        .unwrap();
    for id in [1, 2] {
        let outcome = vault.submit(move |tx| tx.get::<Note>(&place(id))).wait();
        assert!(matches!(outcome, Err(VaultError::Record { .. })), "{outcome:?}");
    }
    assert!(!vault.integrity().is_intact(), "nothing is signed any more");
}

/// An older bundle, from before its record gave up its name, beside the one whose record took the name since.
#[test]
fn going_on_with_damage_leaves_no_two_records_with_one_name() {
    let (world, vault) = create();
    let put = |id: u8, name: Option<u8>, text: u8| {
        vault.submit(move |tx| tx.put(place(id), &note(name, 0, text))).wait().unwrap();
    };
    // What is kept of the same commit has the same number in another collection.
    let first = |tx: &mut crate::Tx<'_, '_>| {
        tx.receive(place(1), vec![1]);
        tx.put(place(1), &note(Some(1), 0, 1))
    };
    vault.submit(first).wait().unwrap();
    let at = Bundle::place(keep_types::Revision::new(2));
    let mut old = None;
    world
        .store
        .write(&mut |tx| {
            old = tx.get(Collection::Bundles.number(), &at)?;
            Ok(())
        })
        .unwrap();
    put(1, None, 2);
    put(2, Some(1), 3);
    drop(vault);
    world.store.write(&mut |tx| tx.put(old.as_ref().unwrap())).unwrap();
    let vault = open(&world);
    assert!(!vault.integrity().is_intact());
    let accepted = vault.accept_damage(&|_, _, _| Ok(None), &|_| Ok(Vec::new())).unwrap();
    assert_eq!(accepted.removed, 1);
    compare(&vault, &Model::from([(place(2), note(Some(1), 0, 3))]));
}

/// The head and every row of a store.
struct Copy(Vec<u8>, Vec<Row>);

impl Copy {
    fn of(store: &MemoryStore) -> Self {
        let mut copy = Self(Vec::new(), Vec::new());
        store
            .read(&mut |tx| {
                copy.0 = tx.head()?.unwrap();
                tx.scan(Scan::everything(), &mut |row| {
                    copy.1.push(row);
                    std::ops::ControlFlow::Continue(())
                })
            })
            .unwrap();
        copy
    }

    /// Puts it in the place of what is there now.
    fn put_back(&self, store: &MemoryStore) {
        let now = Self::of(store);
        store
            .write(&mut |tx| {
                now.1.iter().try_for_each(|row| tx.delete(row.collection, &row.id).map(drop))?;
                self.1.iter().try_for_each(|row| tx.put(row))?;
                tx.set_head(&self.0)
            })
            .unwrap();
    }
}

/// What was written after the older state was taken out of a bundle, and is in it again; and what was never written there.
#[test]
fn an_older_state_that_another_process_goes_on_from_is_read_anew() {
    let (world, first) = create();
    let put = |vault: &Vault, id: u8, text: u8| {
        vault.submit(move |tx| tx.put(place(id), &note(Some(id), 0, text))).wait().unwrap();
    };
    put(&first, 1, 1);
    put(&first, 2, 2);
    let older = Copy::of(&world.store);
    first.submit(|tx| tx.delete::<Note>(&place(1)).map(drop)).wait().unwrap();
    put(&first, 2, 3);
    put(&first, 3, 4);
    let mark = first.revision();
    older.put_back(&world.store);
    let second = open(&world);
    assert!(second.revision() < mark);
    let go_on = move |tx: &mut crate::Tx<'_, '_>| {
        tx.go_on_above(mark);
        tx.put(place(4), &note(Some(4), 0, 5))
    };
    let (_, committed) = second.submit(go_on).wait().unwrap();
    assert_eq!(committed.revision(), mark.next(), "no revision is used twice");
    let mut model =
        Model::from([(1, 1), (2, 2), (4, 5)].map(|(id, text)| (place(id), note(Some(id), 0, text))));
    compare(&first, &model);
    put(&first, 5, 6);
    model.insert(place(5), note(Some(5), 0, 6));
    compare(&second, &model);
    compare(&first, &model);
}

/// Puts a note; the log has an entry of it or not.
fn put(vault: &Vault, id: u8, text: u8, logged: bool) {
    let job = move |tx: &mut crate::Tx<'_, '_>| {
        log(tx, &format!("put {id}"), logged);
        tx.put(place(id), &note(Some(id), 0, text))
    };
    vault.submit(job).wait().unwrap();
}

fn log(tx: &mut crate::Tx<'_, '_>, what: &str, logged: bool) {
    if logged {
        tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli).reason(what));
    }
}

/// Writes what is neither a note nor in the log.
fn count(vault: &Vault) {
    let job = |tx: &mut crate::Tx<'_, '_>| {
        let at = tx.locate::<keep_policy::Usage>(b"here");
        tx.put(at, &keep_policy::Usage::default())
    };
    vault.submit(job).wait().unwrap();
}

/// Notes as they are put.
fn of<const N: usize>(ids: [u8; N]) -> Model {
    Model::from(ids.map(|id| (place(id), note(Some(id), 0, id))))
}

fn take(vault: &Vault, id: u8, logged: bool) {
    let job = move |tx: &mut crate::Tx<'_, '_>| {
        log(tx, &format!("take {id}"), logged);
        tx.delete::<Note>(&place(id)).map(drop)
    };
    vault.submit(job).wait().unwrap();
}

/// The same where nobody had to accept the older state, because another process has gone further by the time that this one
/// looks; whether or not the log has an entry of what is gone and of what came in its place.
#[test]
fn an_older_state_that_another_process_has_overtaken_is_read_anew() {
    for lost in [Some([true, true]), Some([true, false]), Some([false, true]), Some([false, false]), None] {
        for came in [true, false] {
            let (world, first) = create();
            put(&first, 1, 1, true);
            put(&first, 2, 2, true);
            let older = Copy::of(&world.store);
            if let Some(logged) = lost {
                take(&first, 1, logged[0]);
                put(&first, 6, 6, logged[1]);
                compare(&first, &of([2, 6]));
            } else {
                count(&first);
                count(&first);
            }
            older.put_back(&world.store);
            let second = open(&world);
            for id in [3, 4, 5] {
                put(&second, id, id, came);
            }
            assert_eq!(second.revision(), first.revision().next());
            compare(&first, &of([1, 2, 3, 4, 5]));
        }
    }
}

/// What this process has learned from another one before the files were put back, or read when the log said nothing of it.
#[test]
fn what_another_process_has_lost_is_read_anew() {
    for lost in [[true, true], [true, false], [false, true], [false, false]] {
        for came in [true, false] {
            let (world, first) = create();
            put(&first, 1, 1, true);
            put(&first, 2, 2, true);
            let older = Copy::of(&world.store);
            let second = open(&world);
            take(&second, 1, lost[0]);
            put(&second, 6, 6, lost[1]);
            put(&second, 2, 7, lost[1]);
            let late = open(&world);
            let now = Model::from([(2, 7), (6, 6)].map(|(id, text)| (place(id), note(Some(id), 0, text))));
            compare(&first, &now);
            compare(&late, &now);
            older.put_back(&world.store);
            let third = open(&world);
            for id in [3, 4, 5, 6] {
                put(&third, id, id, came);
            }
            compare(&first, &of([1, 2, 3, 4, 5, 6]));
            compare(&late, &of([1, 2, 3, 4, 5, 6]));
        }
    }
}

/// The log of both histories is the same to the last byte; the entry is of another commit.
#[test]
fn an_entry_of_another_commit_is_another_history() {
    let (world, first) = create();
    put(&first, 1, 1, true);
    let older = Copy::of(&world.store);
    put(&first, 6, 6, false);
    log_only(&first, "put 3");
    compare(&first, &of([1, 6]));
    older.put_back(&world.store);
    let second = open(&world);
    for id in [3, 4, 5] {
        put(&second, id, id, id == 3);
    }
    compare(&first, &of([1, 3, 4, 5]));
}

/// A process that never looked a request up does not look where the log has come from either.
#[test]
fn nothing_is_followed_where_nothing_is_known() {
    let (_world, vault) = create();
    log_only(&vault, "one");
    let state = || vault.view_log(|log| Ok((log.head.clone(), log.anchor()))).unwrap();
    let mut index = crate::bundles::BundleIndex::default();
    for _ in 0..2 {
        let (head, anchor) = state();
        assert!(anchor.is_some());
        index.follow(&head, anchor, |_| panic!("there is nothing to go back to"));
        log_only(&vault, "more");
    }
    let (head, anchor) = state();
    index.follow(&head, anchor, |_| panic!("nor now"));
    index.knows(head.revision, &Ok(()));
    log_only(&vault, "again");
    let (next, anchor) = state();
    let mut asked = false;
    index.follow(&next, anchor, |_| {
        asked = true;
        true
    });
    assert_eq!((asked, index.known_to()), (true, Some(head.revision)));
}

fn log_only(vault: &Vault, what: &'static str) {
    let job = move |tx: &mut crate::Tx<'_, '_>| {
        log(tx, what, true);
        Ok(())
    };
    vault.submit(job).wait().unwrap();
}

/// What others commit is read alone, and not with it all that was known; whether or not the log has an entry of it, and of what
/// this process does in between.
#[test]
fn what_another_process_adds_is_read_alone() {
    for [before, after] in [[true, true], [true, false], [false, true], [false, false]] {
        let (world, first) = create();
        let second = open(&world);
        put(&first, 1, 1, true);
        let at = Bundle::place(first.revision());
        put(&second, 2, 2, before);
        put(&second, 3, 3, after);
        // What is known already would not be read a second time.
        world
            .store
            .write(&mut |tx| {
                let mut row = tx.get(Collection::Bundles.number(), &at)?.unwrap();
                row.sealed[30] ^= 1;
                tx.put(&row)
            })
            .unwrap();
        let finds = |id| first.submit(move |tx| tx.get::<Note>(&place(id))).wait().unwrap().0.is_some();
        assert!(finds(2) && finds(3));
        put(&first, 4, 4, after);
        take(&first, 2, before);
        put(&second, 5, 5, before);
        take(&second, 3, after);
        assert_eq!([2, 3, 4, 5].map(finds), [false, false, true, true]);
    }
}

/// The same where what is left of a damaged vault was gone on with: an older bundle with a record that was taken out of it.
#[test]
fn damage_that_another_process_goes_on_from_is_read_anew() {
    let (world, first) = create();
    let both = |tx: &mut crate::Tx<'_, '_>| {
        tx.put(place(1), &note(Some(1), 0, 1))?;
        tx.put(place(2), &note(Some(2), 0, 2))
    };
    first.submit(both).wait().unwrap();
    let at = Bundle::place(Revision::new(2));
    let bundles = Collection::Bundles.number();
    let older = Copy::of(&world.store).1.into_iter().find(|row| row.collection == bundles && row.id == at);
    first.submit(|tx| tx.delete::<Note>(&place(1)).map(drop)).wait().unwrap();
    world.store.write(&mut |tx| tx.put(older.as_ref().unwrap())).unwrap();
    let second = open(&world);
    assert!(!second.integrity().is_intact());
    second.accept_damage(&|_, _, _| Ok(None), &|_| Ok(Vec::new())).unwrap();
    compare(&first, &Model::from([(1, 1), (2, 2)].map(|(id, text)| (place(id), note(Some(id), 0, text)))));
}

/// A store of which the pages of bundles are broken, while it says so.
struct Broken {
    store: MemoryStore,
    is_broken: Arc<AtomicBool>,
}

/// What is inside one of its transactions.
struct BrokenTx<'a>(&'a mut dyn WriteTx, &'a AtomicBool);

impl BrokenTx<'_> {
    fn check(&self, collection: Option<u8>) -> Result<(), StoreError> {
        let is_meant = collection == Some(Collection::Bundles.number());
        if is_meant && self.1.load(Ordering::SeqCst) {
            return Err(StoreError::Damaged("keep.db is truncated or has broken pages".into()));
        }
        Ok(())
    }
}

impl ReadTx for BrokenTx<'_> {
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
        self.0.scan(scan, visit)
    }
}

impl WriteTx for BrokenTx<'_> {
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

impl Store for Broken {
    fn read(&self, work: ReadWork<'_>) -> Result<(), StoreError> {
        self.store.read(work)
    }

    fn write(&self, work: WriteWork<'_>) -> Result<(), StoreError> {
        self.store.write(&mut |tx| work(&mut BrokenTx(tx, &self.is_broken)))
    }
}

/// Whether it breaks before the bundles were read or after.
#[test]
fn a_broken_page_under_a_bundle_raises_the_alarm_and_stops_nothing_else() {
    for is_read in [false, true] {
        let (world, vault) = create();
        vault.submit(|tx| tx.put(place(1), &note(None, 0, 1))).wait().unwrap();
        drop(vault);
        let is_broken = Arc::new(AtomicBool::new(false));
        let store = Broken { store: world.store.another_handle(), is_broken: Arc::clone(&is_broken) };
        let vault =
            Vault::open(Arc::new(store), &SecretText::from("words".to_owned()), &environment()).unwrap();
        let read = || vault.submit(|tx| tx.get::<Note>(&place(1))).wait();
        if is_read {
            assert!(vault.submit(|tx| tx.get::<Note>(&place(2))).wait().unwrap().0.is_none());
        }
        assert!(vault.integrity().is_intact());
        is_broken.store(true, Ordering::SeqCst);
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
        is_broken.store(false, Ordering::SeqCst);
        assert!(read().unwrap().0.is_some());
    }
}
