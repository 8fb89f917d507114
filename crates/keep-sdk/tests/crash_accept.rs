//! The power goes at every point of going on with a damaged vault: it is damaged as before, or all that belongs to going on is done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod world;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use keep_audit::Action;
use keep_policy::{Grant, Usage};
use keep_signer::{Endpoint, RequestRow};
use keep_store::{Row, Scan, SqliteOptions, SqliteStore, Store};
use keep_testing::faultdisk::{FaultDisk, Replay, Tear};
use keep_types::{Collection, Record, RecordId};
use keep_vault::{Addition, Vault, VaultError};
use minicbor::{Decode, Encode};
use world::{Step, World, database, environment, passphrase, quick_directory};

/// What stands for the owner's choices, which are written with it.
#[derive(Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
struct Chosen {
    #[n(0)]
    careful: bool,
}

impl Record for Chosen {
    const COLLECTION: Collection = Collection::Settings;
}

const PLACE: RecordId = RecordId::from_bytes([0; 16]);

fn on(disk: &FaultDisk) -> SqliteOptions {
    SqliteOptions::default().vfs(disk.vfs()).cutter(disk.cutter()).examine_place(false)
}

fn rows_of(store: &dyn Store, collection: Collection) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut collect = |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    store.read(&mut |tx| tx.scan(Scan::collection(collection), &mut collect)).unwrap();
    rows
}

/// Takes the requests of a commit away and spoils what was counted of its client.
fn damage(store: &dyn Store) {
    let request = rows_of(store, Collection::Bundles).remove(0);
    let mut usage = rows_of(store, Collection::Usage).remove(0);
    usage.sealed[0] ^= 1;
    store
        .write(&mut |tx| {
            tx.delete(request.collection, &request.id)?;
            tx.put(&usage)
        })
        .unwrap();
}

fn open(path: &Path) -> Result<Vault, VaultError> {
    let store = SqliteStore::open_with(path, SqliteOptions::default().examine_place(false)).unwrap();
    Vault::open(Arc::new(store), &passphrase(), &environment())
}

/// Everything that going on does. Whether it is done; in between there is nothing.
fn is_done(vault: &Vault) -> Result<bool, String> {
    let intact = vault.verify().map_err(|error| error.to_string())?.is_intact();
    let careful = vault.all::<Chosen>().unwrap().remove(0).1.careful;
    let suspended = vault.all::<Grant>().unwrap().iter().all(|(_, grant)| grant.suspended);
    let stopped = vault.all::<Endpoint>().unwrap().iter().all(|(_, endpoint)| endpoint.stopped);
    let last = vault.audit_tail(1).unwrap().remove(0);
    let told = last.action == Action::DamageAccepted;
    let parts = [intact, careful, suspended, stopped, told];
    if parts.iter().all(|part| *part) {
        let reason = last.reason.unwrap_or_default();
        let counts = "usage: 1 unreadable; bundled requests: 1 missing; 1 record taken out; ";
        return if reason.starts_with(counts) { Ok(true) } else { Err(format!("the log says \"{reason}\"")) };
    }
    if parts.iter().any(|part| *part) { Err(format!("half: {parts:?}")) } else { Ok(false) }
}

#[test]
fn going_on_with_damage_is_one_step() {
    let (dir, disk) = (quick_directory(), FaultDisk::new());
    let path = database(dir.path());
    let world = World::create(Arc::new(SqliteStore::create_with(&path, on(&disk)).unwrap())).unwrap();
    for step in [Step::Offer(0), Step::Connect(0), Step::Ask(0, 1, vec![(1, "one".into())])] {
        world.run(&step).unwrap();
    }
    world.vault.submit(|tx| tx.put(PLACE, &Chosen { careful: false })).wait().unwrap();
    assert!(!world.vault.all::<RequestRow>().unwrap().is_empty());
    assert!(!world.vault.all::<Usage>().unwrap().is_empty());
    drop(world);
    let store = SqliteStore::open_with(&path, on(&disk)).unwrap();
    damage(&store);
    let before = disk.position();
    let vault = Vault::open(Arc::new(store), &passphrase(), &environment()).unwrap();
    assert!(!vault.verify().unwrap().is_intact());
    let with = [Addition::at(PLACE, &Chosen { careful: true }).unwrap()];
    let (accepted, _) = keep_signer::accept_damage(&vault, &with).unwrap();
    assert_eq!((accepted.kinds.len(), accepted.removed, accepted.signer), (2, 1, None));
    let after = disk.position();
    drop(vault);
    let log = disk.log();
    let mut replay = Replay::new(&log);
    let (mut undone, mut done) = (0, 0);
    while replay.step() {
        if replay.position() < before {
            continue;
        }
        for tear in Tear::every_kind(replay.position() as u64) {
            let dir = quick_directory();
            replay.image(tear).write_to(dir.path()).unwrap();
            let at = replay.position();
            let vault = open(&database(dir.path())).unwrap_or_else(|e| panic!("at {at}, {tear:?}: {e}"));
            let is_done = is_done(&vault).unwrap_or_else(|e| panic!("at {at}, {tear:?}: {e}"));
            assert!(is_done || at < after, "at {at} of {after}, {tear:?}: it was acknowledged and is undone");
            if is_done {
                done += 1
            } else {
                undone += 1
            }
            if !is_done && undone % 8 == 0 {
                keep_signer::accept_damage(&vault, &with).unwrap();
                assert!(self::is_done(&vault).unwrap());
            }
        }
    }
    assert!(undone > 5 && done > 5, "{undone} times undone, {done} times done");
}
