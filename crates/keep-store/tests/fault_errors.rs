//! A disk that is full or broken: the transaction fails with the right word, nothing is lost, and work goes on
//! afterwards.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use keep_store::conformance::row;
use keep_store::{ReadTx, Scan, SqliteOptions, SqliteStore, Store, StoreError, WriteTx};
use keep_testing::faultdisk::{Failure, FaultDisk, Lasting, Replay, Tear};
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    disk: FaultDisk,
    store: SqliteStore,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let options = SqliteOptions::default().vfs(disk.vfs()).cutter(disk.cutter()).examine_place(false);
        let store = SqliteStore::create_with(dir.path().join("keep.db"), options).unwrap();
        Self { dir, disk, store }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("keep.db")
    }

    /// Adds row `number`, large enough for several pages.
    fn add(&self, number: u8) -> Result<(), StoreError> {
        self.store.write(&mut |tx| {
            tx.put(&row(1, number, &[number; 9_000]))?;
            tx.put(&row(2, number, &[number; 50]))
        })
    }
}

/// The numbers of the rows of both collections, which must be the same.
fn numbers(store: &dyn Store) -> BTreeSet<u8> {
    let of = |tx: &dyn ReadTx, collection| {
        let mut numbers = BTreeSet::new();
        let scan = Scan { collection: Some(collection), ..Scan::everything() };
        tx.scan(scan, &mut |row| {
            numbers.insert(row.id.as_bytes()[15]);
            assert!(row.sealed.iter().all(|byte| *byte == row.id.as_bytes()[15]));
            std::ops::ControlFlow::Continue(())
        })
        .map(|()| numbers)
    };
    let mut found = BTreeSet::new();
    store
        .read(&mut |tx| {
            found = of(tx, 1)?;
            assert_eq!(of(tx, 2)?, found, "half a transaction");
            Ok(())
        })
        .unwrap();
    found
}

/// Lets the change after `skip` others fail, works on until it does, and looks at everything. `false` if the work was
/// over before that.
fn fail_once(skip: usize, failure: Failure, lasting: Lasting) -> bool {
    let bench = Bench::new();
    let mut expected: BTreeSet<u8> = (0..3).collect();
    expected.iter().for_each(|n| bench.add(*n).unwrap());
    bench.disk.fail(skip, failure, lasting);
    let mut errors = Vec::new();
    for n in 3..8 {
        match bench.add(n) {
            Ok(()) => expected.extend([n]),
            Err(error) => errors.push(error),
        }
        assert_eq!(numbers(&bench.store), expected, "after {failure:?} at {skip}");
        if n == 5
            && let Err(error) = bench.store.checkpoint()
        {
            errors.push(error);
        }
    }
    let failures = bench.disk.failures();
    bench.disk.heal();
    assert_eq!(errors.is_empty(), failures == 0, "every failure is told: {errors:?}");
    for error in &errors {
        let fitting = matches!(error, StoreError::Io(why) if why.contains("keep.db"));
        assert!(fitting || (failure == Failure::Full && *error == StoreError::Full), "{error:?}");
    }
    bench.add(9).unwrap();
    expected.extend([9]);
    assert_eq!(numbers(&bench.store), expected);
    assert_eq!(bench.store.integrity_check().unwrap(), [] as [String; 0]);
    let path = bench.path();
    drop(bench.store);
    assert_eq!(numbers(&SqliteStore::open(path).unwrap()), expected);
    failures > 0
}

#[test]
fn every_change_may_fail_in_every_way() {
    for failure in [Failure::Full, Failure::Io, Failure::Short] {
        for lasting in [Lasting::Once, Lasting::UntilHealed] {
            let reached = (0..).take_while(|skip| fail_once(*skip, failure, lasting)).count();
            assert!(reached > 50, "{reached} changes");
        }
    }
}

#[test]
fn a_full_disk_is_called_full() {
    let bench = Bench::new();
    bench.add(1).unwrap();
    bench.disk.fail(0, Failure::Full, Lasting::UntilHealed);
    assert_eq!(bench.add(2), Err(StoreError::Full));
    assert_eq!(bench.add(3), Err(StoreError::Full));
    bench.disk.heal();
    bench.add(4).unwrap();
    assert_eq!(numbers(&bench.store), [1, 4].into());
}

/// A large transaction reaches the disk before its end. When that fails, SQLite ends the transaction at once; work that
/// takes no notice must not be committed in pieces.
#[test]
fn work_that_ignores_a_failure_is_not_committed() {
    let bench = Bench::new();
    bench.add(1).unwrap();
    let mut failed = 0;
    bench.disk.fail(20, Failure::Full, Lasting::UntilHealed);
    let outcome = bench.store.write(&mut |tx| {
        for n in 10..40 {
            failed += usize::from(tx.put(&row(1, n, &vec![n; 1 << 20])).is_err());
            if failed == 1 {
                bench.disk.heal();
            }
            failed += usize::from(tx.put(&row(2, n, &[n])).is_err());
        }
        assert!(tx.head().is_err(), "nothing can be read in a transaction that has ended");
        assert!(tx.changed_by_others().is_err());
        Ok(())
    });
    assert_eq!(outcome, Err(StoreError::Full));
    assert!(failed > 1, "after the first failure all others fail too");
    assert_eq!(numbers(&bench.store), [1].into());
    bench.add(2).unwrap();
    assert_eq!(numbers(&bench.store), [1, 2].into());
}

/// When a sync fails it is not known what has reached the disk. The transaction has failed for everybody; after a
/// crash it is there as a whole or not at all.
#[test]
fn after_a_failed_sync_a_crash_shows_all_or_nothing() {
    let mut seen = BTreeSet::new();
    for skip in 0..30 {
        let bench = Bench::new();
        bench.add(1).unwrap();
        bench.disk.fail(skip, Failure::Io, Lasting::Once);
        let failed = bench.add(2).is_err();
        let log = bench.disk.log();
        let mut replay = Replay::new(&log);
        while replay.step() {}
        for tear in (0..5).flat_map(Tear::every_kind) {
            let dir = tempfile::tempdir().unwrap();
            replay.image(tear).write_to(dir.path()).unwrap();
            let options = SqliteOptions::default().examine_place(false).without_sync();
            let store = SqliteStore::open_with(dir.path().join("keep.db"), options).unwrap();
            let found = numbers(&store);
            assert!(found.contains(&1) && (failed || found.contains(&2)), "{found:?}");
            seen.insert((failed, found.contains(&2)));
        }
    }
    assert!(seen.contains(&(true, false)) && seen.contains(&(false, true)));
}

/// A commit of another process that fails may look like a change (SQLite starts the log anew before it fails); one
/// that happened always does.
#[test]
fn no_commit_of_others_is_overlooked_however_the_disk_fails() {
    let mut seen = BTreeSet::new();
    for skip in [0, 1, 2, 5, 500] {
        let bench = Bench::new();
        let options =
            SqliteOptions::default().vfs(bench.disk.vfs()).cutter(bench.disk.cutter()).examine_place(false);
        let other = SqliteStore::open_with(bench.path(), options).unwrap();
        let changed = || {
            let mut changed = false;
            bench.store.write(&mut |tx| tx.changed_by_others().map(|now| changed = now)).unwrap();
            changed
        };
        bench.add(1).unwrap();
        bench.store.checkpoint().unwrap();
        changed();
        bench.disk.fail(skip, Failure::Full, Lasting::Once);
        let committed = other.write(&mut |tx| tx.put(&row(3, 1, &vec![0; 20_000]))).is_ok();
        bench.disk.heal();
        assert!(changed() || !committed);
        assert!(!changed(), "once told, it is no news");
        seen.insert(committed);
    }
    assert_eq!(seen, [false, true].into());
}

/// Whoever failed itself, and nobody else, has nothing to read again.
#[test]
fn own_commits_that_fail_are_no_changes_of_others() {
    for failure in [Failure::Full, Failure::Io, Failure::Short] {
        for skip in 0..30 {
            let bench = Bench::new();
            let add = |number: u8| {
                let mut changed = false;
                let work = &mut |tx: &mut dyn WriteTx| {
                    changed = tx.changed_by_others()?;
                    tx.put(&row(1, number, &vec![number; 20_000]))
                };
                let added = bench.store.write(work).is_ok();
                (added, changed)
            };
            assert_eq!([add(1), add(2)], [(true, true), (true, false)]);
            bench.disk.fail(skip, failure, Lasting::UntilHealed);
            for number in 3..6 {
                assert!(!add(number).1, "{failure:?} at {skip}");
            }
            bench.disk.heal();
            assert_eq!(add(6), (true, false), "{failure:?} at {skip}");
        }
    }
}
