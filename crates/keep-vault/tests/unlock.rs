//! Ways to unlock, and a new data key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{create, environment, generate, memory_vault, open, passphrase, sqlite};
use keep_store::{MemoryStore, Store};
use keep_types::{Name, SecretText};
use keep_vault::{StanzaKind, Vault, VaultError, WeakKdf};

fn text(text: &str) -> SecretText {
    SecretText::from(text.to_owned())
}

fn open_with(store: &Arc<dyn Store>, with: &str) -> Result<Vault, VaultError> {
    Vault::open(Arc::clone(store), &text(with), &environment())
}

#[test]
fn several_ways_unlock_and_the_last_one_stays() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = create(Arc::clone(&store));
    let key = generate(&vault, "main");
    let laptop = vault.add_passphrase(&text("laptop words"), Some(Name::new("laptop").unwrap())).unwrap();
    let (code, words) = vault.add_recovery_code(None).unwrap();
    assert_eq!(words.expose().split(' ').count(), 24);
    let listed = vault.stanzas().unwrap();
    let kinds: Vec<_> = listed.iter().map(|stanza| stanza.kind.unwrap()).collect();
    assert_eq!(kinds, [StanzaKind::Passphrase, StanzaKind::Passphrase, StanzaKind::Recovery]);
    assert!(listed[0].current && !listed[1].current);

    for way in [words.expose(), &words.expose().to_uppercase(), "laptop words", "correct horse"] {
        assert_eq!(open_with(&store, way).unwrap().keys().unwrap()[0].id, key);
    }
    vault.remove_stanza(&laptop.id).unwrap();
    assert_eq!(open_with(&store, "laptop words").unwrap_err(), VaultError::WrongPassphrase);
    assert!(matches!(vault.remove_stanza(&laptop.id), Err(VaultError::NoSuchStanza(_))));
    vault.remove_stanza(&listed[0].id).unwrap();
    assert_eq!(vault.remove_stanza(&code.id).unwrap_err(), VaultError::LastStanza);
    assert_eq!(open_with(&store, "correct horse").unwrap_err(), VaultError::WrongPassphrase);
    let recovered = open_with(&store, words.expose()).unwrap();
    assert!(recovered.integrity().is_intact());
    assert_eq!(recovered.verify_audit().unwrap().entries, 6, "made, key, added, added, removed, removed");
}

#[test]
fn a_passphrase_is_replaced_even_after_it_was_lost() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = create(Arc::clone(&store));
    vault.change_passphrase(&text("second"), None).unwrap();
    assert_eq!(open(Arc::clone(&store)).unwrap_err(), VaultError::WrongPassphrase);
    let (_, words) = vault.add_recovery_code(None).unwrap();
    let recovered = open_with(&store, words.expose()).unwrap();
    recovered.change_passphrase(&text("third"), None).unwrap();
    assert_eq!(open_with(&store, "second").unwrap_err(), VaultError::WrongPassphrase);
    open_with(&store, "third").unwrap().add_passphrase(&text("fourth"), None).unwrap();
    let unclear = open_with(&store, words.expose()).unwrap();
    assert_eq!(unclear.change_passphrase(&text("x"), None).unwrap_err(), VaultError::WhichPassphrase);
}

#[test]
fn there_is_room_for_eight() {
    let vault = memory_vault();
    for number in 0..7 {
        vault.add_passphrase(&text(&format!("number {number}")), None).unwrap();
    }
    assert_eq!(vault.add_passphrase(&text("one more"), None).unwrap_err(), VaultError::NoRoom(8));
    assert_eq!(vault.stanzas().unwrap().len(), 8);
}

#[test]
fn a_new_data_key_keeps_what_was_presented_and_everything_in_the_vault() {
    let dir = tempfile::tempdir().unwrap();
    let store = sqlite(&dir.path().join("keep.db"));
    let vault = create(Arc::clone(&store));
    let other = open(Arc::clone(&store)).unwrap();
    let key = generate(&vault, "main");
    let note = Name::new("token").unwrap();
    vault.store_secret(note, &text("value"), None, false).unwrap();
    vault.add_passphrase(&text("laptop words"), None).unwrap();
    let (_, old_words) = vault.add_recovery_code(None).unwrap();

    assert_eq!(vault.plan_rotation(&[text("wrong")]).unwrap_err(), VaultError::WrongPassphrase);
    assert!(matches!(vault.plan_rotation(&[]), Err(VaultError::Rejected(_))));
    let plan = vault.plan_rotation(&[passphrase()]).unwrap();
    assert_eq!((plan.keeps.len(), plan.drops.len()), (1, 2));
    let mut heard = Vec::new();
    let rotated = vault.rotate_data_key(plan, &mut |done, of| heard.push((done, of))).unwrap();
    let code = rotated.recovery_code.unwrap();
    assert_eq!(heard.last(), Some(&(rotated.records, rotated.records)));
    assert_eq!(rotated.not_wiped, None);

    // Everybody who had the vault open notices, whether they read or write.
    for stale in [&vault, &other] {
        let code_of = |error: VaultError| keep_types::Fault::from(error).code();
        assert_eq!(code_of(stale.keys().unwrap_err()), keep_types::ErrorCode::Locked);
        assert_eq!(code_of(stale.key_by_name("main").unwrap_err()), keep_types::ErrorCode::Locked);
        let name = Name::new("late").unwrap();
        assert_eq!(code_of(stale.generate_key(name).unwrap_err()), keep_types::ErrorCode::Locked);
    }
    for dropped in ["laptop words", old_words.expose()] {
        assert_eq!(open_with(&store, dropped).unwrap_err(), VaultError::WrongPassphrase);
    }
    for way in ["correct horse", code.expose()] {
        let again = open_with(&store, way).unwrap();
        assert!(again.verify().unwrap().is_intact());
        again.verify_audit().unwrap();
        // What is found by name or by what it is about is still found.
        assert_eq!(again.key_by_name("main").unwrap().unwrap().id, key);
        assert_eq!(again.stored_secret("token").unwrap().name.as_str(), "token");
        assert!(again.generate_key(Name::new("main").unwrap()).is_err(), "the name is still taken");
    }
    // And again, from the second data key to the third.
    let again = open(Arc::clone(&store)).unwrap();
    // The passphrase is known again to whoever holds the vault open, although some keys outlive the old data key.
    again.check_passphrase(&passphrase(), WeakKdf::Allow).unwrap();
    assert_eq!(
        again.check_passphrase(&text("wrong"), WeakKdf::Allow).unwrap_err(),
        VaultError::WrongPassphrase
    );
    let plan = again.plan_rotation(&[passphrase(), text(code.expose())]).unwrap();
    assert!(plan.drops.is_empty());
    again.rotate_data_key(plan, &mut |_, _| ()).unwrap();
    let third = open(Arc::clone(&store)).unwrap();
    assert_eq!(third.key_by_name("main").unwrap().unwrap().id, key);
    assert_eq!(third.stanzas().unwrap().len(), 3);
}

#[test]
fn the_old_bytes_are_gone_from_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = sqlite(&path);
    let vault = create(Arc::clone(&store));
    for number in 0..40 {
        generate(&vault, &format!("key {number}"));
    }
    let mut old = Vec::new();
    store
        .read(&mut |tx| {
            tx.scan(keep_store::Scan::everything(), &mut |row| {
                old.push(row.sealed[..24].to_vec());
                std::ops::ControlFlow::Continue(())
            })
        })
        .unwrap();
    let plan = vault.plan_rotation(&[passphrase()]).unwrap();
    assert_eq!(vault.rotate_data_key(plan, &mut |_, _| ()).unwrap().not_wiped, None);
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let left = old.iter().filter(|nonce| bytes.windows(24).any(|window| window == nonce.as_slice()));
        assert_eq!(left.count(), 0, "old ciphertext is still in a file");
    }
}

#[test]
fn tampering_is_not_made_right_by_a_new_data_key() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let vault = create(Arc::clone(&store));
    generate(&vault, "main");
    generate(&vault, "other");
    store
        .write(&mut |tx| {
            let mut victim = None;
            tx.scan(keep_store::Scan::collection(keep_types::Collection::Keys), &mut |row| {
                victim = Some(row.id);
                std::ops::ControlFlow::Break(())
            })?;
            tx.delete(keep_types::Collection::Keys.number(), &victim.unwrap()).map(drop)
        })
        .unwrap();
    let plan = vault.plan_rotation(&[passphrase()]).unwrap();
    let refused = vault.rotate_data_key(plan, &mut |_, _| ()).unwrap_err();
    assert_eq!(keep_types::Fault::from(refused).code(), keep_types::ErrorCode::Integrity);
    assert!(!open(store).unwrap().integrity().is_intact());
}
