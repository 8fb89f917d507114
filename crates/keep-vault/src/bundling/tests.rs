//! Bundled records against a model, through two handles on one store.

use std::collections::BTreeMap;
use std::sync::Arc;

use keep_store::{MemoryStore, Scan, Store as _};
use keep_testing::clock::FakeClock;
use keep_types::{Collection, Record, RecordId, SecretText, Timestamp};
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
    Put { id: u8, name: Option<u8>, is_long: bool, text: u8 },
    Delete { id: u8 },
}

type Model = BTreeMap<RecordId, Note>;

/// One commit: acts of one handle, of which the job may fail in the end.
#[derive(Debug, Clone)]
struct Commit {
    by: usize,
    acts: Vec<Act>,
    fails: bool,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..24u8, proptest::option::of(0..6u8), proptest::bool::weighted(0.1), any::<u8>())
            .prop_map(|(id, name, is_long, text)| Act::Put { id, name, is_long, text }),
        2 => (0..24u8).prop_map(|id| Act::Delete { id }),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    (0..2usize, proptest::collection::vec(act(), 1..6), proptest::bool::weighted(0.15))
        .prop_map(|(by, acts, fails)| Commit { by, acts, fails })
}

fn place(id: u8) -> RecordId {
    RecordId::from_bytes([id; 16])
}

fn environment() -> Environment {
    Environment::new(FakeClock::at(Timestamp::from_secs(1_800_000_000))).allow_weak_kdf()
}

fn open(store: &Arc<MemoryStore>) -> Vault {
    Vault::open(Arc::clone(store) as _, &SecretText::from("words".to_owned()), &environment()).unwrap()
}

fn create() -> (Arc<MemoryStore>, Vault) {
    let store = Arc::new(MemoryStore::new());
    let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    let passphrase = SecretText::from("words".to_owned());
    let vault = Vault::create(Arc::clone(&store) as _, &passphrase, [1; 32], cost, &environment()).unwrap();
    (store, vault)
}

/// What an act does to the model; whether the name was free.
fn follow(model: &mut Model, act: &Act) -> bool {
    match act {
        Act::Delete { id } => {
            model.remove(&place(*id));
        }
        Act::Put { id, name, is_long, text } => {
            let note = note(*name, *is_long, *text);
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

fn note(name: Option<u8>, is_long: bool, text: u8) -> Note {
    let text = if is_long { "x".repeat(LONGEST_BUNDLED) } else { text.to_string() };
    Note { text, name: name.map(|name| format!("name {name}")) }
}

fn run(vault: &Vault, model: &mut Model, commit: &Commit) {
    let mut after = model.clone();
    let expected: Vec<bool> = commit.acts.iter().map(|act| follow(&mut after, act)).collect();
    let Commit { acts, fails, .. } = commit.clone();
    let outcome = vault
        .submit(move |tx| {
            let mut were_free = Vec::new();
            for act in &acts {
                were_free.push(match act {
                    Act::Delete { id } => tx.delete::<Note>(&place(*id)).map(|_| true)?,
                    Act::Put { id, name, is_long, text } => {
                        match tx.put(place(*id), &note(*name, *is_long, *text)) {
                            Ok(()) => true,
                            Err(VaultError::NameTaken(_)) => false,
                            Err(error) => return Err(error),
                        }
                    }
                });
            }
            if fails { Err(VaultError::NoSuchKey) } else { Ok(were_free) }
        })
        .wait();
    if fails {
        assert_eq!(outcome.unwrap_err(), VaultError::NoSuchKey);
    } else {
        assert_eq!(outcome.unwrap().0, expected);
        *model = after;
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
        let (store, first) = create();
        let handles = [first, open(&store)];
        let mut model = Model::new();
        for commit in &commits {
            run(&handles[commit.by], &mut model, commit);
            // The other one has to find it, too.
            compare(&handles[1 - commit.by], &model);
        }
        for vault in handles.iter().chain([&open(&store)]) {
            compare(vault, &model);
        }
    }
}

#[test]
fn a_commit_is_one_row_until_there_are_too_many() {
    let (store, vault) = create();
    let put = |from: u8, to: u8| {
        let job = move |tx: &mut crate::Tx<'_, '_>| {
            (from..to).try_for_each(|id| tx.put(place(id), &note(Some(id), false, id)))
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
    let (store, vault) = create();
    vault.submit(|tx| tx.put(place(1), &note(None, false, 1))).wait().unwrap();
    drop(vault);
    let vault = open(&store);
    store
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
}
