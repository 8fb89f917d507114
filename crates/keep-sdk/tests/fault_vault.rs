//! The disk is full or broken in the middle of each kind of work: the error says so, nothing is changed, and the same
//! work succeeds when the disk is well again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod world;

use std::sync::Arc;

use keep_store::{SqliteOptions, SqliteStore, Store};
use keep_testing::faultdisk::{Failure, FaultDisk, Lasting};
use keep_types::{ErrorCode, Fault};
use keep_vault::VaultError;
use world::{Step, World, check, database, quick_directory};

const FAILURES: [Failure; 3] = [Failure::Full, Failure::Io, Failure::Short];
const LASTING: [Lasting; 2] = [Lasting::Once, Lasting::UntilHealed];

/// How work fails: in every way in a long run, else each failure in one.
fn ways() -> Vec<(Failure, Lasting)> {
    let all = FAILURES.into_iter().flat_map(|failure| LASTING.map(|lasting| (failure, lasting)));
    if is_long() {
        all.collect()
    } else {
        all.enumerate().filter(|(n, _)| [1, 2, 5].contains(n)).map(|(_, way)| way).collect()
    }
}

fn is_long() -> bool {
    std::env::var_os("KEEP_SOAK").is_some()
}

fn on(disk: &FaultDisk) -> SqliteOptions {
    SqliteOptions::default().vfs(disk.vfs()).cutter(disk.cutter()).examine_place(false)
}

fn assert_storage(fault: &Fault, failure: Failure, what: &str) {
    let fitting = fault.code() == ErrorCode::Storage
        || (failure == Failure::Full && fault.code() == ErrorCode::StorageFull);
    assert!(fitting, "{what}, {failure:?}: {} {fault}", fault.code().as_str());
    assert!(!fault.hint().is_empty());
}

/// Lets the change after `skip` others fail while `step` runs. `false` when the step is over before.
fn fail_at(world: &World, disk: &FaultDisk, step: &Step, skip: usize, how: (Failure, Lasting)) -> bool {
    let before = check(&world.vault).unwrap();
    disk.fail(skip, how.0, how.1);
    let outcome = world.run(step);
    let failures = disk.failures();
    if let Err(fault) = &outcome {
        assert!(failures > 0, "{step:?} failed by itself: {fault}");
        assert_storage(fault, how.0, &format!("{step:?} at {skip}"));
        let broken = check(&world.vault).unwrap_or_else(|e| panic!("{step:?} at {skip}, {how:?}: {e}"));
        assert!(matches!(step, Step::Ask(..)) || broken == before, "{step:?} left something behind");
    }
    disk.heal();
    if outcome.is_err() {
        world.run(step).unwrap_or_else(|e| panic!("{step:?} again after {how:?} at {skip}: {e}"));
    }
    let after = check(&world.vault).unwrap();
    let more = if let Step::Ask(_, _, requests) = step { requests.len() } else { 1 };
    assert_eq!(after.len(), before.len() + more, "{step:?} at {skip}, {how:?}: recorded once");
    assert_eq!(after[..before.len()], before[..]);
    failures > 0
}

#[test]
fn every_kind_of_work_may_fail_at_every_change() {
    let (dir, disk) = (quick_directory(), FaultDisk::new());
    let path = database(dir.path());
    let mut world = World::create(Arc::new(SqliteStore::create_with(&path, on(&disk)).unwrap())).unwrap();
    let (mut number, mut reached) = (0, 0);
    world.run(&Step::Offer(0)).unwrap();
    world.run(&Step::Connect(0)).unwrap();
    for (turn, how) in ways().into_iter().enumerate() {
        for kind in 0..10 {
            // The short run meets every change, but not in every way.
            let (first, stride) = if is_long() { (0, 1) } else { (turn, 3) };
            for skip in (first..).step_by(stride) {
                number += 1;
                let n = number as usize;
                let text = format!("text {number}");
                let burst = (0..3).map(|k| (number << 8 | k, format!("{text} {k}"))).collect();
                let (prepare, step) = match kind {
                    0 => (None, Step::Generate(text)),
                    1 => (None, Step::Import(text, number)),
                    2 => (Some(Step::Generate(text.clone())), Step::Delete(text)),
                    3 => (None, Step::Sign(text)),
                    4 => (None, Step::Export),
                    5 => (None, Step::Offer(n)),
                    6 => (Some(Step::Offer(n)), Step::Connect(n)),
                    7 => (None, Step::Ask(0, 1, vec![(number << 8, text)])),
                    8 => (None, Step::Ask(0, 1, burst)),
                    _ => (None, Step::Ask(0, 0, vec![(number << 8, text)])),
                };
                prepare.iter().for_each(|step| drop(world.run(step).unwrap()));
                if !fail_at(&world, &disk, &step, skip, how) {
                    break;
                }
                reached += 1;
                // Refusals are recorded up to a bound per minute; the fixed clock never leaves the minute.
                if kind == 9 && skip > 1 {
                    break;
                }
            }
            world.vault.verify().unwrap();
        }
        drop(world);
        world = World::open(Arc::new(SqliteStore::open_with(&path, on(&disk)).unwrap())).unwrap();
        check(&world.vault).unwrap();
    }
    println!("{reached} failures");
    assert!(reached > 60, "{reached}");
}

#[test]
fn making_a_vault_may_fail_at_every_change_and_be_done_again() {
    let mut reached = 0;
    for how in ways() {
        for skip in 0.. {
            let (dir, disk) = (quick_directory(), FaultDisk::new());
            let path = database(dir.path());
            let make = || -> Result<World, VaultError> {
                let store: Arc<dyn Store> = Arc::new(SqliteStore::create_with(&path, on(&disk))?);
                World::create(store)
            };
            disk.fail(skip, how.0, how.1);
            let made = make();
            let failures = disk.failures();
            disk.heal();
            let world = match made {
                Ok(world) => world,
                Err(error) => {
                    assert_storage(&error.into(), how.0, "create");
                    // Either there is none, or it is whole and only its first key is missing.
                    make()
                        .or_else(|_| World::open(Arc::new(SqliteStore::open_with(&path, on(&disk))?)))
                        .unwrap()
                }
            };
            check(&world.vault).unwrap();
            if failures == 0 {
                break;
            }
            reached += 1;
        }
    }
    assert!(reached > 15, "{reached}");
}
