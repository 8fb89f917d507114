//! What makes the sums over a vault's rows anew checks the old ones first: a row that something else changed while the vault was
//! open is never made right by a new data key, a backup or a removal of old entries. What only continues the sums leaves such a
//! row as wrong as it was. Only the owner, who says so, goes on with what is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod model;
mod world;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_sdk::{ErrorCode, Fault};
use keep_store::{MemoryStore, Row, Scan, Store};
use keep_types::{Origin, RecordId, Revision, Timestamp};
use model::Live;
use world::{Dice, NOW, Step, World, environment, passphrase};

fn rows(store: &MemoryStore) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut collect = |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    store.read(&mut |tx| tx.scan(Scan::everything(), &mut collect)).unwrap();
    rows
}

/// Rows that are put in the place of others, and rows that go.
#[derive(Debug, Clone, Default)]
struct Change {
    put: Vec<Row>,
    delete: Vec<(u8, RecordId)>,
}

impl Change {
    fn apply(&self, store: &MemoryStore) {
        store
            .write(&mut |tx| {
                self.delete.iter().try_for_each(|(collection, id)| tx.delete(*collection, id).map(drop))?;
                self.put.iter().try_for_each(|row| tx.put(row))
            })
            .unwrap();
    }

    /// What makes it undone.
    fn undo(&self, before: &[Row]) -> Self {
        let of = |place: &(u8, RecordId)| before.iter().find(|row| (row.collection, row.id) == *place);
        let places: Vec<_> =
            self.put.iter().map(|row| (row.collection, row.id)).chain(self.delete.clone()).collect();
        let gone = places.iter().filter(|place| of(place).is_none()).copied().collect();
        Self { put: places.iter().filter_map(of).cloned().collect(), delete: gone }
    }
}

/// Some change that is not Keep's: a flipped bit, another revision, a row less or twice, two rows swapped, an older row.
fn tampering(dice: &mut Dice, rows: &[Row], older: &HashMap<(u8, RecordId), Row>) -> (&'static str, Change) {
    let mut some = |len: usize| dice.below(len as u64) as usize;
    let row = rows[some(rows.len())].clone();
    let mut bad = row.clone();
    match some(6) {
        0 => {
            let at = some(bad.sealed.len());
            bad.sealed[at] ^= 1 << some(8);
            ("a flipped bit", Change { put: vec![bad], delete: vec![] })
        }
        1 => {
            bad.revision = bad.revision.next();
            ("another revision", Change { put: vec![bad], delete: vec![] })
        }
        2 => ("a row less", Change { put: vec![], delete: vec![(row.collection, row.id)] }),
        3 => {
            (bad.id, bad.name) = (RecordId::from_bytes([0xee; 16]), None);
            ("a row twice", Change { put: vec![bad], delete: vec![] })
        }
        4 => {
            let others: Vec<&Row> = rows
                .iter()
                .filter(|other| other.collection == row.collection && other.id != row.id)
                .collect();
            let Some(other) = others.get(some(others.len().max(1))) else {
                return ("a row less", Change { put: vec![], delete: vec![(row.collection, row.id)] });
            };
            let mut other = (*other).clone();
            std::mem::swap(&mut bad.sealed, &mut other.sealed);
            ("two rows swapped", Change { put: vec![bad, other], delete: vec![] })
        }
        _ => {
            let changed: Vec<&Row> = rows
                .iter()
                .filter_map(|row| older.get(&(row.collection, row.id)).filter(|old| old.sealed != row.sealed))
                .collect();
            ("an older row", Change { put: vec![changed[some(changed.len())].clone()], delete: vec![] })
        }
    }
}

type Operation = (&'static str, fn(&Live) -> Result<(), Fault>);

/// Everything that makes sums anew, or goes on as if they were right.
const OPERATIONS: [Operation; 4] = [
    ("a new data key", |live| {
        let plan = live.vault.plan_rotation(&[passphrase()])?;
        Ok(live.vault.rotate_data_key(plan, &mut |_, _| {}).map(drop)?)
    }),
    ("a backup", |live| live.archive().map(drop)),
    ("a new reserve", |live| {
        // It never comes to the directory.
        let directory = std::path::Path::new("/nonexistent");
        Ok(live.vault.reset_reserve(directory, &passphrase()).map(drop)?)
    }),
    ("retention", |live| {
        let now = Timestamp::from_secs(NOW + 1);
        Ok(live.vault.prune(now, Origin::Cli, &mut |_| {}).map(drop)?)
    }),
];

#[test]
fn nothing_makes_a_changed_row_right() {
    let long = std::env::var_os("KEEP_SOAK").is_some();
    let store = MemoryStore::new();
    let older = inhabited(&store);
    let (mut dice, mut seen) = (Dice(11), HashMap::<&str, usize>::new());
    for _ in 0..if long { 2_000 } else { 60 } {
        for (operation, run) in OPERATIONS {
            let open =
                || keep_vault::Vault::open(Arc::new(store.another_handle()), &passphrase(), &environment());
            let live = Live::of(open().unwrap());
            assert!(live.vault.integrity().is_intact());
            let before = rows(&store);
            let (what, change) = tampering(&mut dice, &before, &older);
            change.apply(&store);
            let outcome = run(&live);
            let fault = outcome.expect_err(&format!("{operation} went on after {what}: {change:?}"));
            assert_eq!(fault.code(), ErrorCode::Integrity, "{operation} after {what}: {fault}");
            drop(live);
            // It is still found: nothing was made right, and without the change everything is as it was.
            let vault = open().unwrap_or_else(|error| panic!("{operation} after {what} shut it: {error}"));
            let laundered = vault.verify().is_ok_and(|report| report.is_intact());
            assert!(!laundered, "{operation} laundered {what}: {change:?}");
            drop(vault);
            change.undo(&before).apply(&store);
            let vault = open().unwrap();
            assert!(vault.verify().unwrap().is_intact(), "{operation} changed something after {what}");
            vault.verify_audit().unwrap();
            *seen.entry(what).or_default() += 1;
        }
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), 6, "{seen:?}");
}

/// What changes a vault without making its sums anew.
const CONTINUATIONS: [Operation; 8] = [
    ("a key", |live| Ok(live.vault.generate_key(world::name("new")).map(drop)?)),
    ("another name", |live| {
        let key = live.vault.key_by_name(world::MAIN)?.ok_or(keep_vault::VaultError::NoSuchKey)?;
        Ok(live.vault.rename_key(key.id, world::name("other")).map(drop)?)
    }),
    ("a key less", |live| {
        let key = live.vault.key_by_name("two")?.ok_or(keep_vault::VaultError::NoSuchKey)?;
        Ok(live.vault.delete_key(key.id)?)
    }),
    ("a stored secret", |live| {
        Ok(live.vault.store_secret(world::name("token"), &passphrase(), None, true).map(drop)?)
    }),
    ("another passphrase", |live| {
        let new = keep_types::SecretText::from("another one".to_owned());
        live.vault.change_passphrase(&new, None)?;
        Ok(live.vault.change_passphrase(&passphrase(), None).map(drop)?)
    }),
    ("a recovery code", |live| Ok(live.vault.add_recovery_code(None).map(drop)?)),
    ("suspension", |live| {
        Ok(keep_signer::accept_rollback(&live.vault, Revision::ZERO, "test".into(), |_| Ok(())).map(drop)?)
    }),
    ("a segment of the log", |live| {
        for _ in 0..11 {
            let written = live.vault.submit(|tx| {
                (0..100).for_each(|_| {
                    tx.audit(Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli));
                });
                Ok(())
            });
            written.wait()?;
        }
        Ok(())
    }),
];

/// A vault as its store has it.
struct State {
    header: Vec<u8>,
    head: Vec<u8>,
    rows: Vec<Row>,
}

impl State {
    fn of(store: &MemoryStore) -> Self {
        let (mut header, mut head) = (None, None);
        store
            .read(&mut |tx| {
                (header, head) = (tx.header()?, tx.head()?);
                Ok(())
            })
            .unwrap();
        Self { header: header.unwrap(), head: head.unwrap(), rows: rows(store) }
    }

    fn put_back(&self, store: &MemoryStore) {
        let now = rows(store);
        store
            .write(&mut |tx| {
                now.iter().try_for_each(|row| tx.delete(row.collection, &row.id).map(drop))?;
                self.rows.iter().try_for_each(|row| tx.put(row))?;
                tx.set_header(&self.header)?;
                tx.set_head(&self.head)
            })
            .unwrap();
    }
}

/// A vault with a bit of everything, and its rows as they were before the last of it.
fn inhabited(store: &MemoryStore) -> HashMap<(u8, RecordId), Row> {
    let world = World::create(Arc::new(store.another_handle())).unwrap();
    for step in [Step::Offer(0), Step::Connect(0), Step::Generate("two".into()), Step::Sign("a".into())] {
        world.run(&step).unwrap();
    }
    world.vault.store_secret(world::name("token"), &passphrase(), None, false).unwrap();
    world.run(&Step::Ask(0, 1, vec![(1, "before".into())])).unwrap();
    let older = rows(store).into_iter().map(|row| ((row.collection, row.id), row)).collect();
    world.run(&Step::Ask(0, 1, vec![(2, "after".into())])).unwrap();
    older
}

fn open(store: &MemoryStore) -> Result<keep_vault::Vault, keep_vault::VaultError> {
    keep_vault::Vault::open(Arc::new(store.another_handle()), &passphrase(), &environment())
}

#[test]
fn what_continues_the_sums_leaves_a_changed_row_as_wrong_as_it_was() {
    let long = std::env::var_os("KEEP_SOAK").is_some();
    let store = MemoryStore::new();
    let older = inhabited(&store);
    let before = State::of(&store);
    let mut dice = Dice(12);
    for _ in 0..if long { 500 } else { 12 } {
        for (operation, run) in CONTINUATIONS {
            let live = Live::of(open(&store).unwrap());
            let (what, change) = tampering(&mut dice, &before.rows, &older);
            change.apply(&store);
            let outcome = run(&live);
            drop(live);
            let vault = open(&store)
                .unwrap_or_else(|error| panic!("{operation} ({outcome:?}) after {what} shut it: {error}"));
            let laundered = vault.verify().is_ok_and(|report| report.is_intact());
            assert!(!laundered, "{operation} ({outcome:?}) laundered {what}: {change:?}");
            drop(vault);
            before.put_back(&store);
        }
    }
}

#[test]
fn the_owner_goes_on_with_what_is_left() {
    let long = std::env::var_os("KEEP_SOAK").is_some();
    let store = MemoryStore::new();
    let older = inhabited(&store);
    let before = State::of(&store);
    let whole = open(&store).unwrap();
    let refused = keep_signer::accept_damage(&whole, &[]).unwrap_err();
    assert_eq!(Fault::from(refused).code(), ErrorCode::InvalidInput);
    drop(whole);
    let mut dice = Dice(13);
    for round in 0..if long { 2_000 } else { 100 } {
        let (what, change) = tampering(&mut dice, &before.rows, &older);
        change.apply(&store);
        let vault = open(&store).unwrap();
        assert!(!vault.verify().unwrap().is_intact(), "{round}: {what}");
        let (accepted, suspended) = keep_signer::accept_damage(&vault, &[])
            .unwrap_or_else(|error| panic!("{round}: {what}: {error}: {change:?}"));
        assert!(!accepted.problems.is_empty() && suspended <= 2, "{round}: {what}");
        assert!(vault.integrity().is_intact(), "{round}: {what}: {:?}", vault.integrity());
        drop(vault);
        // It is whole for everybody from now on, and says what happened to it.
        let live = Live::of(open(&store).unwrap());
        assert!(live.vault.verify().unwrap().is_intact(), "{round}: {what}");
        live.vault.verify_audit().unwrap();
        let last = live.vault.audit_tail(1).unwrap().remove(0);
        assert_eq!(last.action, Action::DamageAccepted, "{round}: {what}");
        // How much was wrong, kind by kind, comes before the sentences, which may be cut.
        assert!(!accepted.kinds.is_empty(), "{round}: {what}: {change:?}");
        let counts: Vec<String> = accepted.kinds.iter().map(ToString::to_string).collect();
        let reason = last.reason.unwrap_or_default();
        assert!(reason.starts_with(&counts.join("; ")), "{round}: {what}: {counts:?}, {reason}");
        for grant in live.vault.all::<keep_policy::Grant>().unwrap() {
            assert!(grant.1.suspended, "{round}: {what}");
        }
        for endpoint in live.vault.all::<keep_signer::Endpoint>().unwrap() {
            assert!(endpoint.1.stopped, "{round}: {what}");
        }
        // No key went whose secret can still be read; one that lost its name has another. An older row of a secret is whole.
        let secrets = |place: &(u8, RecordId)| place.0 == keep_types::Collection::Secrets.number();
        let spoilt = change.put.iter().filter(|_| what != "an older row").map(|row| (row.collection, row.id));
        let touched = spoilt.chain(change.delete.clone()).filter(secrets).count();
        assert!(live.vault.keys().unwrap().len() + touched >= 2, "{round}: {what}");
        live.vault.generate_key(world::name("new")).unwrap();
        live.archive().unwrap();
        let plan = live.vault.plan_rotation(&[passphrase()]).unwrap();
        live.vault.rotate_data_key(plan, &mut |_, _| {}).unwrap();
        drop(live);
        before.put_back(&store);
    }
}

/// What the log says of how much was wrong, for each way in which it can be.
#[test]
fn the_log_tells_how_much_was_wrong() {
    let store = MemoryStore::new();
    let older = inhabited(&store);
    let before = State::of(&store);
    let of = |collection: keep_types::Collection| -> Vec<&Row> {
        before.rows.iter().filter(|row| row.collection == collection.number()).collect()
    };
    let flipped = |row: &Row| {
        let mut row = row.clone();
        row.sealed[0] ^= 1;
        row
    };
    let gone = |row: &Row| (row.collection, row.id);
    let keys = of(keep_types::Collection::Keys);
    let signer = of(keep_types::Collection::Secrets)
        .into_iter()
        .find(|row| row.id == RecordId::from_bytes(*b"keep audit key  "))
        .unwrap();
    // Not all of them have changed since.
    let as_before = |row: &&Row| older.get(&(row.collection, row.id)).filter(|old| old.sealed != row.sealed);
    let usage_before = of(keep_types::Collection::Usage).iter().find_map(as_before).unwrap().clone();
    let two = Change { put: vec![flipped(keys[0])], delete: vec![gone(keys[1])] };
    for (change, says, is_signed_anew) in [
        (two, "keys: 1 missing, 1 unreadable", false),
        (Change { put: vec![usage_before], delete: vec![] }, "usage: replaced by older ones", false),
        (Change { put: vec![], delete: vec![gone(signer)] }, "secrets: 1 missing", true),
        (Change { put: vec![flipped(signer)], delete: vec![] }, "secrets: 1 unreadable", true),
    ] {
        change.apply(&store);
        let vault = open(&store).unwrap();
        let signed_before = vault.fingerprint().ok().flatten();
        let (accepted, _) = keep_signer::accept_damage(&vault, &[]).unwrap();
        let reason = vault.audit_tail(1).unwrap().remove(0).reason.unwrap();
        assert!(reason.starts_with(says), "{reason}");
        let now = vault.fingerprint().unwrap();
        assert!(now.is_some() && accepted.signer == now.filter(|_| is_signed_anew), "{accepted:?}");
        let told = reason.contains("the log has another signer from here on");
        assert_eq!(told, is_signed_anew, "{reason}");
        assert_eq!(signed_before == now, !is_signed_anew);
        drop(vault);
        before.put_back(&store);
    }
}
