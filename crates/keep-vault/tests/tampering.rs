//! Every change to the rows that is not Keep's own is found and named, and what is readable stays readable.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::{create, generate, open};
use keep_store::{MemoryStore, Row, Scan, Store, WriteTx};
use keep_types::Collection;
use keep_vault::{Vault, VaultError};

fn rows(store: &MemoryStore) -> Vec<Row> {
    let mut rows = Vec::new();
    store
        .read(&mut |tx| {
            tx.scan(Scan::everything(), &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })
        })
        .unwrap();
    rows
}

fn tamper(store: &MemoryStore, how: impl Fn(&mut dyn WriteTx)) {
    store
        .write(&mut |tx| {
            how(tx);
            Ok(())
        })
        .unwrap();
}

/// A store with a vault of three keys, closed.
fn vault_of_three() -> MemoryStore {
    let store = MemoryStore::new();
    let vault = create(Arc::new(store.another_handle()));
    for name in ["one", "two", "three"] {
        generate(&vault, name);
    }
    store
}

fn reopen(store: &MemoryStore) -> Result<Vault, VaultError> {
    open(Arc::new(store.another_handle()))
}

fn problems(store: &MemoryStore) -> String {
    reopen(store).unwrap().integrity().problems.join("\n")
}

#[test]
fn a_flipped_bit_in_any_column_of_any_row_is_found() {
    let store = vault_of_three();
    for row in rows(&store) {
        for at in [0, 30, row.sealed.len() - 1] {
            let mut bad = row.clone();
            bad.sealed[at] ^= 0x10;
            tamper(&store, |tx| tx.put(&bad).unwrap());
            assert!(!problems(&store).is_empty(), "{:?} byte {at}", row.id);
            tamper(&store, |tx| tx.put(&row).unwrap());
        }
        let mut bad = row.clone();
        bad.revision = bad.revision.next();
        tamper(&store, |tx| tx.put(&bad).unwrap());
        assert!(!problems(&store).is_empty(), "{:?} revision", row.id);
        tamper(&store, |tx| tx.put(&row).unwrap());
        if let Some(name) = row.name {
            let mut bad = row.clone();
            bad.name = Some([name[0] ^ 1; 32]);
            tamper(&store, |tx| tx.put(&bad).unwrap());
            assert!(!problems(&store).is_empty(), "{:?} name", row.id);
            tamper(&store, |tx| tx.put(&row).unwrap());
        }
    }
    assert_eq!(problems(&store), "");
}

#[test]
fn removed_rows_are_named_by_what_the_log_says() {
    let store = vault_of_three();
    let vault = reopen(&store).unwrap();
    let two = vault.keys().unwrap().into_iter().find(|k| k.name.as_str() == "two").unwrap();
    let place = keep_types::RecordId::from_bytes(*two.id.as_bytes());
    tamper(&store, |tx| assert!(tx.delete(Collection::Keys.number(), &place).unwrap()));
    let found = problems(&store);
    assert!(found.contains("1 of 3 records of keys is missing"), "{found}");
    assert!(found.contains("the key \"two\" is missing"), "{found}");
    let left: Vec<_> = reopen(&store).unwrap().keys().unwrap().iter().map(|k| k.name.to_string()).collect();
    assert_eq!(left, ["one", "three"]);
}

#[test]
fn duplicated_swapped_and_older_rows_are_found() {
    let store = vault_of_three();
    let all = rows(&store);
    let secrets: Vec<&Row> = all.iter().filter(|r| r.collection == Collection::Secrets.number()).collect();

    let mut copy = secrets[0].clone();
    copy.id = keep_types::RecordId::from_bytes([0xee; 16]);
    copy.name = None;
    tamper(&store, |tx| tx.put(&copy).unwrap());
    assert!(problems(&store).contains("1 record too many"));
    tamper(&store, |tx| assert!(tx.delete(copy.collection, &copy.id).unwrap()));

    let (mut a, mut b) = (secrets[0].clone(), secrets[1].clone());
    std::mem::swap(&mut a.sealed, &mut b.sealed);
    tamper(&store, |tx| {
        tx.put(&a).unwrap();
        tx.put(&b).unwrap();
    });
    assert!(problems(&store).contains("does not open"));
    tamper(&store, |tx| {
        tx.put(secrets[0]).unwrap();
        tx.put(secrets[1]).unwrap();
    });
    assert_eq!(problems(&store), "");
}

#[test]
fn an_older_version_of_a_record_is_found_although_it_opens() {
    let store = MemoryStore::new();
    let vault = create(Arc::new(store.another_handle()));
    let place = keep_types::RecordId::from_bytes([1; 16]);
    let put = |total| {
        let usage = keep_policy::Usage { total, ..Default::default() };
        vault.submit(move |tx| tx.put(place, &usage)).wait().unwrap();
    };
    put(1);
    let old = rows(&store).into_iter().find(|r| r.collection == Collection::Usage.number()).unwrap();
    put(2);
    tamper(&store, |tx| tx.put(&old).unwrap());
    assert!(problems(&store).contains("a record of usage was changed, or replaced by an older one"));
    // Using the record again does not launder the change.
    let vault = reopen(&store).unwrap();
    let usage = keep_policy::Usage { total: 3, ..Default::default() };
    vault.submit(move |tx| tx.put(place, &usage)).wait().unwrap();
    drop(vault);
    assert!(!problems(&store).is_empty());
}

#[test]
fn header_and_head_are_bound_to_each_other() {
    let store = vault_of_three();
    let (mut header, mut head) = (Vec::new(), Vec::new());
    store
        .read(&mut |tx| {
            header = tx.header()?.unwrap();
            head = tx.head()?.unwrap();
            Ok(())
        })
        .unwrap();
    for at in (0..header.len()).step_by(7) {
        let mut bad = header.clone();
        bad[at] ^= 1;
        tamper(&store, |tx| tx.set_header(&bad).unwrap());
        assert!(matches!(reopen(&store), Err(VaultError::Header(_))), "header byte {at}");
    }
    tamper(&store, |tx| tx.set_header(&header).unwrap());
    for at in (0..head.len()).step_by(7) {
        let mut bad = head.clone();
        bad[at] ^= 1;
        tamper(&store, |tx| tx.set_head(&bad).unwrap());
        assert!(matches!(reopen(&store), Err(VaultError::Head(_))), "head byte {at}");
    }
}

#[test]
fn a_head_that_goes_back_is_an_alarm_in_a_running_process() {
    let store = MemoryStore::new();
    let vault = create(Arc::new(store.another_handle()));
    let mut old = Vec::new();
    store
        .read(&mut |tx| {
            old = tx.head()?.unwrap();
            Ok(())
        })
        .unwrap();
    generate(&vault, "one");
    tamper(&store, |tx| tx.set_head(&old).unwrap());
    let error = vault.verify().unwrap_err();
    assert!(matches!(&error, VaultError::Head(what) if what.contains("put back")), "{error}");
    assert!(vault.generate_key(keep_types::Name::new("two").unwrap()).is_err());
}

#[test]
fn cut_and_changed_audit_rows_are_named() {
    let store = vault_of_three();
    let audit: Vec<Row> =
        rows(&store).into_iter().filter(|r| r.collection == Collection::Audit.number()).collect();
    let last = audit.last().unwrap().clone();
    tamper(&store, |tx| assert!(tx.delete(last.collection, &last.id).unwrap()));
    let error = reopen(&store).unwrap().verify_audit().unwrap_err().to_string();
    assert!(error.contains("its tail was cut"), "{error}");
    tamper(&store, |tx| tx.put(&last).unwrap());
    tamper(&store, |tx| assert!(tx.delete(audit[1].collection, &audit[1].id).unwrap()));
    let error = reopen(&store).unwrap().verify_audit().unwrap_err().to_string();
    assert!(error.contains("stands where entry 2 belongs"), "{error}");
}
