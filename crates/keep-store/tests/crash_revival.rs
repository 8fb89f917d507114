//! A commit that did not count, and of which pages still lie behind the end of the log, never comes back by what is written over its
//! beginning.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use keep_store::conformance::row;
use keep_store::{Scan, SqliteOptions, SqliteStore, Store, StoreError};
use keep_testing::faultdisk::{Failure, FaultDisk, Image, Lasting, Log, Op, Replay, Tear};

const LOG: &str = "keep.db-wal";
/// The length of what a log begins with, and of a page in it, in bytes.
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + PAGE;
const PAGE: usize = 4_096;

/// A directory in memory, where there is one: images are many.
fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn database(dir: &Path) -> PathBuf {
    dir.join("keep.db")
}

fn options(disk: &FaultDisk) -> SqliteOptions {
    SqliteOptions::default().vfs(disk.vfs()).examine_place(false)
}

/// Opens what lies in `dir` as after a start: with syncs past SQLite.
fn open(dir: &Path, disk: &FaultDisk) -> SqliteStore {
    let store = SqliteStore::open_with(database(dir), options(disk)).unwrap();
    disk.synced_past_sqlite("-wal");
    store
}

/// Adds a row of several pages. The database grows by as many, whatever the number is, so the log's first page is always the same.
fn add(store: &dyn Store, number: u8) -> Result<(), StoreError> {
    store.write(&mut |tx| {
        tx.put(&row(1, number, &[number; 9_000]))?;
        tx.set_head(&[number])
    })
}

fn numbers(store: &dyn Store) -> Vec<u8> {
    let mut found = Vec::new();
    store
        .read(&mut |tx| {
            tx.scan(Scan::everything(), &mut |row| {
                found.push(row.id.as_bytes()[15]);
                std::ops::ControlFlow::Continue(())
            })
        })
        .unwrap();
    found
}

fn seen_after(image: &Image) -> Vec<u8> {
    let dir = quick_directory();
    image.write_to(dir.path()).unwrap();
    numbers(
        &SqliteStore::open_with(database(dir.path()), SqliteOptions::default().examine_place(false)).unwrap(),
    )
}

/// What may be there after a loss of power at any point from `start` on.
fn after_each_point(log: &Log, start: usize, mut look: impl FnMut(usize, &[u8])) {
    let mut replay = Replay::new(log);
    while replay.position() < start && replay.step() {}
    loop {
        let at = replay.position();
        let seed = at as u64;
        for tear in [Tear::Everything, Tear::Prefix { seed }, Tear::Sectors { size: 512, seed }] {
            look(at, &seen_after(&replay.image(tear)));
        }
        if !replay.step() {
            break;
        }
    }
}

/// Writes what is on a disk into another directory.
fn copy(disk: &FaultDisk, dir: &Path) {
    let log = disk.log();
    let mut replay = Replay::new(&log);
    while replay.step() {}
    replay.image(Tear::Everything).write_to(dir).unwrap();
}

/// Leaves in `dir` what two losses of power may: row 1, and of row 2 all pages of the log but the first.
fn leave_a_tail(dir: &Path) {
    let (begun, disk) = (quick_directory(), FaultDisk::new());
    let store = SqliteStore::create_with(database(begun.path()), options(&disk)).unwrap();
    add(&store, 1).unwrap();
    let (gone_on, again) = (quick_directory(), FaultDisk::new());
    copy(&disk, gone_on.path());
    let store = open(gone_on.path(), &again);
    let start = again.position();
    add(&store, 2).unwrap();
    copy(&again, dir);
    let first = again.log().ops()[start..].iter().find_map(|op| match op {
        Op::Wrote { at, bytes, .. } if bytes.len() == FRAME - PAGE => Some(*at as usize),
        _ => None,
    });
    let (first, mut bytes) = (first.unwrap(), std::fs::read(dir.join(LOG)).unwrap());
    assert!(bytes.len() > first + 2 * FRAME);
    bytes[first..first + FRAME].fill(0);
    std::fs::write(dir.join(LOG), bytes).unwrap();
}

#[test]
fn what_a_loss_of_power_took_does_not_come_back_with_the_next_commit() {
    let (dir, disk) = (quick_directory(), FaultDisk::new());
    leave_a_tail(dir.path());
    let store = open(dir.path(), &disk);
    assert_eq!(numbers(&store), [1]);
    let start = disk.position();
    add(&store, 3).unwrap();
    let (mut before, mut after) = (0, 0);
    after_each_point(&disk.log(), start, |at, seen| match seen {
        [1] => before += 1,
        [1, 3] => after += 1,
        other => unreachable!("{other:?} at {at}"),
    });
    assert!(before > 10 && after >= 2, "{before} {after}");
}

/// A store with row 1 on which adding row 2 fails at the change after `skip` others; `None` if it does not.
fn with_a_failure(dir: &Path, disk: &FaultDisk, skip: usize) -> Option<SqliteStore> {
    let store = SqliteStore::create_with(database(dir), options(disk)).unwrap();
    add(&store, 1).unwrap();
    disk.fail(skip, Failure::Io, Lasting::Once);
    let outcome = add(&store, 2);
    disk.heal();
    outcome.is_err().then_some(store)
}

/// As long as nothing else is written, a commit whose sync failed may come back. Once the next one is on its way it does not.
#[test]
fn what_failed_does_not_come_back_when_the_next_commit_is_half_written() {
    let failing = (0..100)
        .take_while(|skip| with_a_failure(quick_directory().path(), &FaultDisk::new(), *skip).is_some());
    // The last change of a commit is its sync.
    let (dir, disk, sync) = (quick_directory(), FaultDisk::new(), failing.count() - 1);
    let store = with_a_failure(dir.path(), &disk, sync).unwrap();
    assert_eq!(numbers(&store), [1]);
    let start = disk.position();
    add(&store, 3).unwrap();
    let log = disk.log();
    let begins = |op: &Op| matches!(op, Op::Wrote { at: 0, bytes, .. } if bytes.len() == LOG_HEADER);
    let begun = (start..).zip(&log.ops()[start..]).find(|(_, op)| begins(op)).unwrap().0;
    // The beginning of the new log is synced before anything follows it.
    assert!(matches!(log.ops()[begun + 1], Op::Synced { .. }));
    let mut came_back = 0;
    after_each_point(&log, start, |at, seen| match seen {
        [1] | [1, 3] => {}
        [1, 2] if at <= begun + 1 => came_back += 1,
        other => unreachable!("{other:?} at {at}, begun at {begun}"),
    });
    assert!(came_back > 0, "the failed commit was not whole");
}
