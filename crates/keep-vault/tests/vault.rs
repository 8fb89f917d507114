//! The vault through its public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{CHEAP, create, environment, generate, memory_vault, open, passphrase, sqlite};
use keep_audit::{Action, Draft, Outcome};
use keep_policy::Usage;
use keep_store::MemoryStore;
use keep_types::{
    Collection, EndpointId, Name, Origin, Record, RecordId, SecretKey32, SecretText, Timestamp,
};
use keep_vault::{
    Derivation, DerivationRule, Environment, KdfCost, KeyRecord, KeySource, MnemonicSecret, Tx, Vault,
    VaultError,
};

#[test]
fn keys_survive_closing_and_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let vault = create(sqlite(&path));
    let id = generate(&vault, "main");
    let keys = vault.keys().unwrap();
    drop(vault);
    let vault = open(sqlite(&path)).unwrap();
    assert_eq!(vault.keys().unwrap(), keys);
    assert_eq!(keys[0].id, id);
    assert!(vault.integrity().is_intact());
    assert_eq!(vault.verify_audit().unwrap().entries, 2);
}

#[test]
fn the_wrong_passphrase_opens_nothing() {
    let store = MemoryStore::new();
    drop(create(Arc::new(store.another_handle())));
    let wrong = SecretText::from("incorrect horse".to_owned());
    let error = Vault::open(Arc::new(store), &wrong, &environment()).unwrap_err();
    assert_eq!(error, VaultError::WrongPassphrase);
}

#[test]
fn a_second_vault_does_not_replace_the_first() {
    let store = MemoryStore::new();
    let vault = create(Arc::new(store.another_handle()));
    let again = Vault::create(Arc::new(store), &passphrase(), [7; 32], CHEAP, &environment());
    assert!(matches!(again.unwrap_err(), VaultError::Store(keep_store::StoreError::Exists(_))));
    generate(&vault, "main");
}

#[test]
fn weak_costs_are_refused_without_the_flag() {
    let strict = Environment::new(keep_types::SystemClock);
    let made = Vault::create(Arc::new(MemoryStore::new()), &passphrase(), [7; 32], CHEAP, &strict);
    assert!(matches!(made.unwrap_err(), VaultError::WeakKdf(_)));
    let absurd = KdfCost::Custom { memory_kib: u32::MAX, iterations: 1, lanes: 1 };
    let made = Vault::create(Arc::new(MemoryStore::new()), &passphrase(), [7; 32], absurd, &environment());
    assert!(matches!(made.unwrap_err(), VaultError::AbsurdKdf(_)));
}

#[test]
fn a_key_is_found_by_name_and_by_public_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let vault = create(sqlite(&path));
    let ids: Vec<_> = ["main", "caf\u{e9}", "other"].map(|name| generate(&vault, name)).into();
    let by_name = |name: &str| vault.key_by_name(name).unwrap().map(|key| key.id);
    assert_eq!(by_name("main"), Some(ids[0]));
    assert_eq!(by_name("cafe\u{301}"), Some(ids[1]), "the same name, composed otherwise");
    assert_eq!(by_name("Main"), None);
    for key in vault.keys().unwrap() {
        assert_eq!(vault.key_by_public(&key.public_key).unwrap(), Some(key));
    }
    assert_eq!(vault.key_by_public(&[7; 32]).unwrap(), None);
    let gone = vault.key_by_name("other").unwrap().unwrap();
    vault.delete_key(gone.id).unwrap();
    assert_eq!(by_name("other"), None);
    assert_eq!(vault.key_by_public(&gone.public_key).unwrap(), None);
}

#[test]
fn names_and_keys_are_unique() {
    let vault = memory_vault();
    let secret = || SecretKey32::take(&mut [0x11; 32]);
    vault.import_key(Name::new("café").unwrap(), &secret()).unwrap();
    let same_name = vault.generate_key(Name::new("cafe\u{301}").unwrap());
    assert_eq!(same_name.unwrap_err(), VaultError::NameTaken("café".into()));
    let same_key = vault.import_key(Name::new("other").unwrap(), &secret());
    assert_eq!(same_key.unwrap_err(), VaultError::KeyExists("café".into()));
    assert!(vault.import_key(Name::new("zero").unwrap(), &SecretKey32::take(&mut [0; 32])).is_err());
    assert_eq!(vault.keys().unwrap().len(), 1);
}

#[test]
fn a_deleted_key_frees_its_name_and_stays_in_the_log() {
    let vault = memory_vault();
    let id = generate(&vault, "main");
    vault.delete_key(id).unwrap();
    assert_eq!(vault.delete_key(id).unwrap_err(), VaultError::NoSuchKey);
    generate(&vault, "main");
    let log = vault.audit_tail(10).unwrap();
    let actions: Vec<Action> = log.iter().map(|entry| entry.action).collect();
    assert_eq!(
        actions,
        [Action::KeyGenerated, Action::KeyDeleted, Action::KeyGenerated, Action::VaultCreated]
    );
    assert!(vault.verify().unwrap().is_intact());
}

#[test]
fn a_failing_job_leaves_nothing_and_its_neighbours_stay() {
    let vault = memory_vault();
    let before = vault.verify_audit().unwrap().entries;
    let good: Vec<_> = (0..20)
        .map(|n| {
            vault.submit(move |tx| {
                tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli));
                if n % 2 == 0 { Ok(n) } else { Err(VaultError::NoSuchKey) }
            })
        })
        .collect();
    let kept = good.into_iter().map(keep_vault::Pending::wait).filter(Result::is_ok).count();
    assert_eq!(kept, 10);
    assert_eq!(vault.verify_audit().unwrap().entries, before + 10);
    assert!(vault.verify().unwrap().is_intact());
}

#[test]
fn what_a_job_took_from_elsewhere_comes_back_unless_it_is_committed() {
    let (vault, undone) = (memory_vault(), Arc::new(AtomicUsize::new(0)));
    let ask = |works: bool| {
        let undone = Arc::clone(&undone);
        vault.submit(move |tx| {
            tx.unless_committed(move || {
                undone.fetch_add(1, Ordering::SeqCst);
            });
            tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli));
            if works { Ok(()) } else { Err(VaultError::NoSuchKey) }
        })
    };
    ask(true).wait().unwrap();
    assert_eq!(undone.load(Ordering::SeqCst), 0);
    ask(false).wait().unwrap_err();
    // Jobs run one after another, so what the failed one left to do is done.
    ask(true).wait().unwrap();
    assert_eq!(undone.load(Ordering::SeqCst), 1);
}

#[test]
fn two_processes_share_a_vault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let first = create(sqlite(&path));
    let second = open(sqlite(&path)).unwrap();
    generate(&first, "one");
    generate(&second, "two");
    generate(&first, "three");
    let names = |vault: &Vault| vault.keys().unwrap().iter().map(|k| k.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["one", "three", "two"]);
    assert_eq!(names(&second), names(&first));
    assert!(matches!(second.generate_key(Name::new("three").unwrap()), Err(VaultError::NameTaken(_))));
    assert!(first.verify().unwrap().is_intact() && second.verify().unwrap().is_intact());
    assert_eq!(first.verify_audit().unwrap(), second.verify_audit().unwrap());
}

#[test]
fn nothing_of_a_secret_is_in_the_database_or_in_debug_output() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let vault = create(sqlite(&path));
    let secret = [0x5c; 32];
    vault
        .import_key(Name::new("a name to look for").unwrap(), &SecretKey32::take(&mut secret.clone()))
        .unwrap();
    assert!(!format!("{vault:?}").contains("5c5c"));
    drop(vault);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(32).any(|w| w == secret));
        assert!(!bytes.windows(18).any(|w| w == b"a name to look for"));
    }
}

/// Jobs that share a decoded record still see what a job before them changed, whether or not they share its commit.
#[test]
fn a_shared_record_is_never_an_old_one() {
    let vault = memory_vault();
    let place = RecordId::from_bytes([9; 16]);
    let write = move |tx: &mut Tx<'_, '_>, uses: u64| {
        let mut usage = Usage::default();
        (0..uses).for_each(|_| usage.count(Timestamp::from_secs(1)));
        tx.put(place, &usage)
    };
    let read = move |tx: &mut Tx<'_, '_>| Ok(tx.get_shared::<Usage>(&place)?.map_or(0, |usage| usage.total));
    vault.submit(move |tx| write(tx, 1)).wait().unwrap();
    let mut seen = Vec::new();
    for uses in 2..40 {
        let before = vault.submit(read);
        let change = vault.submit(move |tx| {
            write(tx, uses)?;
            read(tx)
        });
        let failed = vault.submit(move |tx| write(tx, 999).and(Err::<(), _>(VaultError::NoSuchKey)));
        seen.push((before, change, vault.submit(read), failed));
    }
    for (uses, (before, change, after, failed)) in (2..40).zip(seen) {
        assert_eq!(before.wait().unwrap().0, uses - 1);
        assert_eq!(change.wait().unwrap().0, uses);
        assert!(failed.wait().is_err());
        assert_eq!(after.wait().unwrap().0, uses);
    }
}

#[test]
fn a_listing_is_made_anew_when_its_collection_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let vault = create(sqlite(&path));
    let other = open(sqlite(&path)).unwrap();
    let keys = [Collection::Keys];
    let empty = vault.listing::<KeyRecord>().unwrap();
    let version = vault.version(&keys).unwrap().unwrap();
    // Something else in the vault changes: the listing is the very same.
    other.submit(|tx| tx.put(RecordId::from_bytes([1; 16]), &Usage::default())).wait().unwrap();
    assert!(Arc::ptr_eq(&empty, &vault.listing::<KeyRecord>().unwrap()));
    assert_eq!(vault.version(&keys).unwrap(), Some(version.clone()));
    let id = generate(&other, "main");
    assert_eq!(vault.listing::<KeyRecord>().unwrap()[0].1.id, id);
    assert_ne!(vault.version(&keys).unwrap(), Some(version.clone()));
    other.delete_key(id).unwrap();
    assert!(vault.listing::<KeyRecord>().unwrap().is_empty());
    assert_eq!(vault.version(&keys).unwrap(), Some(version));
    assert_eq!(vault.listing::<Usage>().unwrap().len(), 1);
    // Of a vault in which something was changed nothing is remembered.
    vault.alarm("something".into());
    assert_eq!(vault.version(&keys).unwrap(), None);
    assert!(!Arc::ptr_eq(&vault.listing::<Usage>().unwrap(), &vault.listing::<Usage>().unwrap()));
}

/// A key that another bunker holds, as far as its name goes.
#[derive(Debug, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
struct Remote(#[n(0)] String);

impl Record for Remote {
    const COLLECTION: Collection = Collection::RemoteKeys;

    fn unique_name(&self) -> Option<&str> {
        Some(&self.0)
    }
}

fn add_remote(vault: &Vault, place: u8, name: &str) -> Result<(), VaultError> {
    let record = Remote(name.to_owned());
    vault.submit(move |tx| tx.put(RecordId::from_bytes([place; 16]), &record)).wait().map(drop)
}

#[test]
fn a_name_means_one_key_wherever_it_is_held() {
    let vault = memory_vault();
    let name = |text: &str| Name::new(text).unwrap();
    let taken = |text: &str| VaultError::NameTaken(text.into());
    let local = generate(&vault, "caf\u{e9}");
    assert_eq!(add_remote(&vault, 1, "cafe\u{301}").unwrap_err(), taken("cafe\u{301}"));
    add_remote(&vault, 1, "phone").unwrap();
    assert_eq!(vault.generate_key(name("phone")).unwrap_err(), taken("phone"));
    let secret = SecretKey32::take(&mut [0x22; 32]);
    assert_eq!(vault.import_key(name("phone"), &secret).unwrap_err(), taken("phone"));
    let words = MnemonicSecret::generate(12).unwrap();
    let derivation = Derivation::first(DerivationRule::Bip85);
    let made = vault.add_mnemonic(name("phone"), &words, derivation, KeySource::Generated);
    assert_eq!(made.unwrap_err(), taken("phone"));
    assert_eq!(vault.rename_key(local, name("phone")).unwrap_err(), taken("phone"));
    // The name is free again as soon as it is given up, on either side.
    add_remote(&vault, 1, "tablet").unwrap();
    vault.rename_key(local, name("phone")).unwrap();
    add_remote(&vault, 2, "caf\u{e9}").unwrap();
    assert_eq!(vault.keys().unwrap().len(), 1);
    assert!(vault.verify().unwrap().is_intact());
}

#[test]
fn a_key_of_another_bunker_is_not_also_a_key_here() {
    let vault = memory_vault();
    let endpoint = EndpointId::from_bytes([3; 16]);
    let held = vault.import_key(Name::new("main").unwrap(), &SecretKey32::take(&mut [0x11; 32])).unwrap();
    let elsewhere = || SecretKey32::take(&mut [0x22; 32]);
    let other = memory_vault().import_key(Name::new("other").unwrap(), &elsewhere()).unwrap();
    let claim =
        move |tx: &mut Tx<'_, '_>, key: KeyRecord| Vault::claim_public_key(tx, endpoint, &key.nostr_key());
    let again = other.clone();
    let without = vault.submit(move |tx| claim(tx, again)).wait().map(drop);
    assert_eq!(without.unwrap_err(), VaultError::NoSuchKey);
    vault.submit(move |tx| Vault::new_transport_key(tx, endpoint)).wait().unwrap();
    let refused = vault.submit(move |tx| claim(tx, held)).wait().map(drop);
    assert!(matches!(refused.unwrap_err(), VaultError::KeyExists(_)));
    let again = other.clone();
    vault.submit(move |tx| claim(tx, again)).wait().unwrap();
    let refused = vault.import_key(Name::new("other").unwrap(), &elsewhere()).unwrap_err();
    assert!(matches!(refused, VaultError::KeyExists(_)));
    assert_eq!(vault.key_by_public(&other.public_key).unwrap(), None);
    vault.submit(move |tx| Vault::delete_transport_key(tx, endpoint)).wait().unwrap();
    vault.import_key(Name::new("other").unwrap(), &elsewhere()).unwrap();
}

#[test]
fn of_two_writers_one_gets_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let (one, other) = (create(sqlite(&path)), open(sqlite(&path)).unwrap());
    for round in 0..40_u8 {
        let name = format!("key {round}");
        let start = std::sync::Barrier::new(2);
        let (local, remote) = std::thread::scope(|threads| {
            let local = threads.spawn(|| {
                start.wait();
                one.generate_key(Name::new(&name).unwrap()).is_ok()
            });
            start.wait();
            let remote = add_remote(&other, round, &name).is_ok();
            (local.join().unwrap(), remote)
        });
        assert!(local != remote, "{round}: {local} {remote}");
    }
}
