//! The vault through its public API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use common::{CHEAP, create, environment, generate, memory_vault, open, passphrase, sqlite};
use keep_audit::{Action, Draft, Outcome};
use keep_policy::Usage;
use keep_store::MemoryStore;
use keep_types::{Collection, Name, Origin, RecordId, SecretKey32, SecretText, Timestamp};
use keep_vault::{Environment, KdfCost, KeyRecord, Tx, Vault, VaultError};

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
