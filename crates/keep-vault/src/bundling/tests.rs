//! Bundled records against a model, through two handles on one store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keep_store::{ChangeLog, MemoryStore, Scan, Store, StoreError};
use keep_testing::clock::FakeClock;
use keep_types::{Collection, Record, RecordId, SecretText, Timestamp};
use minicbor::{Decode, Encode};
use proptest::prelude::*;

use crate::bundles::{Bundle, LONGEST_BUNDLED, MOST_BUNDLED};
use crate::{Environment, KdfCost, Vault, VaultError};
use faulty::{Faults, open_faulty};
use put_back::Copy;

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
    /// Whether the log has an entry of it.
    logged: bool,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Committed,
    /// The job gives up in the end.
    GivenUp,
    /// The store cannot write.
    NotWritten,
    /// It can, and says that it could not.
    Unsure,
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Commit),
    /// A handle looks everything up.
    Look(usize),
    /// The files are put back as they were after an earlier step, and another process goes on in the place of one of the handles.
    PutBack {
        to: prop::sample::Index,
        on: Commit,
    },
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
    /// How many commits were begun.
    commits: AtomicUsize,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..24u8, proptest::option::of(0..6u8), prop_oneof![8 => Just(0), 2 => Just(3000), 1 => Just(LONGEST_BUNDLED)], any::<u8>())
            .prop_map(|(id, name, len, text)| Act::Put { id, name, len, text }),
        2 => (0..24u8).prop_map(|id| Act::Delete { id }),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    let fate = prop_oneof![
        6 => Just(Fate::Committed),
        1 => Just(Fate::GivenUp),
        1 => Just(Fate::NotWritten),
        1 => Just(Fate::Unsure)
    ];
    (0..2usize, proptest::collection::vec(act(), 1..6), any::<bool>(), fate)
        .prop_map(|(by, acts, logged, fate)| Commit { by, acts, logged, fate })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => commit().prop_map(Step::Commit),
        6 => (0..2usize).prop_map(Step::Look),
        1 => (any::<prop::sample::Index>(), commit()).prop_map(|(to, on)| Step::PutBack { to, on }),
    ]
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
    (World { store, fails, commits: AtomicUsize::new(0) }, vault)
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

/// A vault that is open, and what goes wrong in its store.
type Handle = (Vault, Arc<Faults>);

fn run(world: &World, (vault, faults): &Handle, model: &mut Model, commit: &Commit) {
    let mut after = model.clone();
    let expected: Vec<bool> = commit.acts.iter().map(|act| follow(&mut after, act)).collect();
    let Commit { acts, fate, logged, .. } = commit.clone();
    world.fails.store(fate == Fate::NotWritten, Ordering::SeqCst);
    faults.is_unsure.store(fate == Fate::Unsure, Ordering::SeqCst);
    let number = world.commits.fetch_add(1, Ordering::SeqCst);
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
            put_back::count_in(tx)?;
            // No two entries say the same: the log tells histories apart by them.
            put_back::log(tx, &number.to_string(), logged);
            if fate == Fate::GivenUp { Err(VaultError::NoSuchKey) } else { Ok(were_free) }
        })
        .wait();
    world.fails.store(false, Ordering::SeqCst);
    faults.is_unsure.store(false, Ordering::SeqCst);
    match fate {
        Fate::Committed => assert_eq!(outcome.unwrap().0, expected),
        Fate::GivenUp => assert_eq!(outcome.unwrap_err(), VaultError::NoSuchKey),
        Fate::NotWritten | Fate::Unsure => assert!(matches!(outcome, Err(VaultError::Store(_)))),
    }
    if matches!(fate, Fate::Committed | Fate::Unsure) {
        *model = after;
    }
}

/// Puts the files back under both handles. Another process takes the place of the one, and goes on until the other one, which was
/// further, sees nothing of it.
fn put_back(world: &World, handles: &mut [Handle; 2], copy: &Copy, model: &mut Model, on: &Commit) {
    let furthest = handles.iter().map(|(vault, _)| vault.revision()).max().unwrap();
    copy.put_back(&world.store);
    handles[on.by] = open_faulty(world);
    run(world, &handles[on.by], model, on);
    let filler = Commit { acts: Vec::new(), fate: Fate::Committed, ..on.clone() };
    while handles[on.by].0.revision() < furthest.next() {
        run(world, &handles[on.by], model, &filler);
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
    fn bundles_are_as_good_as_rows(steps in proptest::collection::vec(step(), 1..40)) {
        let (world, _) = create();
        let mut handles = [open_faulty(&world), open_faulty(&world)];
        let mut model = Model::new();
        let mut states = vec![(Copy::of(&world.store), model.clone())];
        for step in &steps {
            match step {
                Step::Look(by) => compare(&handles[*by].0, &model),
                Step::Commit(commit) => run(&world, &handles[commit.by], &mut model, commit),
                Step::PutBack { to, on } => {
                    let (copy, then) = to.get(&states);
                    model.clone_from(then);
                    put_back(&world, &mut handles, copy, &mut model, on);
                }
            }
            states.push((Copy::of(&world.store), model.clone()));
        }
        for (vault, _) in handles.iter().chain([&open_faulty(&world)]) {
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

mod faulty;
mod put_back;
