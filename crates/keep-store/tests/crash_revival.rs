//! A commit that did not count, and of which pages still lie behind the end of the log, never comes back by what is written over its
//! beginning.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use keep_store::conformance::row;
use keep_store::{Scan, SqliteOptions, SqliteStore, Store, StoreError};
use keep_testing::faultdisk::{Failure, FaultDisk, Image, Lasting, Log, Op, Replay, Tear};

const LOG: &str = "keep.db-wal";
/// The length of a page in a log, in bytes.
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
    SqliteOptions::default().vfs(disk.vfs()).cutter(disk.cutter()).examine_place(false)
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

/// A store with row 1, of which another handle fails to add row 2 at the change after `skip` others; `None` if it does not.
fn with_a_failure(dir: &Path, disk: &FaultDisk, whose: Whose, skip: usize) -> Option<SqliteStore> {
    let store = SqliteStore::create_with(database(dir), options(disk)).unwrap();
    if whose == Whose::InANewLog {
        add(&store, 0).unwrap();
        add(&store, 1).unwrap();
        store.checkpoint().unwrap();
    } else {
        add(&store, 1).unwrap();
    }
    let other = (whose != Whose::Own).then(|| SqliteStore::open_with(database(dir), options(disk)).unwrap());
    disk.fail(skip, Failure::Io, Lasting::Once);
    let outcome = add(other.as_ref().unwrap_or(&store), 2);
    disk.heal();
    if whose == Whose::Killed {
        // What a process leaves that is killed right before it would know that it failed.
        std::fs::write(dir.join("write.lock"), "12345     \n").unwrap();
    }
    outcome.is_err().then_some(store)
}

/// Whose commit it is that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// That of the handle which writes next.
    Own,
    /// Another one's.
    Other,
    /// That of another one, which was killed in the middle.
    Killed,
    /// Another one's, which began the log anew, over a longer old one.
    InANewLog,
}

/// The same, where what fails is the last change of the commit: its sync.
fn with_a_failed_sync(dir: &Path, disk: &FaultDisk, whose: Whose) -> SqliteStore {
    let fails =
        |skip: &usize| with_a_failure(quick_directory().path(), &FaultDisk::new(), whose, *skip).is_some();
    with_a_failure(dir, disk, whose, (0..100).take_while(fails).count() - 1).unwrap()
}

/// Where the log is cut, from `start` on. Right behind it the cut is made safe.
fn cut_in(log: &Log, start: usize) -> usize {
    let is_cut = |op: &Op| matches!(op, Op::Truncated { .. });
    let cut = (start..).zip(&log.ops()[start..]).find(|(_, op)| is_cut(op)).map(|(at, _)| at);
    let cut = cut.expect("nothing is cut");
    assert!(matches!(log.ops()[cut + 1], Op::Synced { .. }));
    cut
}

/// As long as nothing else is written, a commit whose sync failed may come back. Once the next one is on its way it does not,
/// whoever makes it.
#[test]
fn what_failed_does_not_come_back_when_the_next_commit_is_half_written() {
    for whose in [Whose::Own, Whose::Other, Whose::Killed, Whose::InANewLog] {
        let (dir, disk) = (quick_directory(), FaultDisk::new());
        let store = with_a_failed_sync(dir.path(), &disk, whose);
        let old = numbers(&store);
        let [failed, new] = [2, 3].map(|number| [old.clone(), vec![number]].concat());
        let start = disk.position();
        add(&store, 3).unwrap();
        let log = disk.log();
        let cut = cut_in(&log, start);
        let mut came_back = 0;
        after_each_point(&log, start, |at, seen| match seen {
            seen if seen == old || seen == new => {}
            seen if seen == failed && at <= cut + 1 => came_back += 1,
            other => unreachable!("{other:?} at {at}, cut at {cut}: {whose:?}"),
        });
        assert!(came_back > 0, "the failed commit was not whole: {whose:?}");
        assert_eq!(std::fs::read(dir.path().join("write.lock")).unwrap(), b"          \n");
    }
}

/// Cutting off what failed neither waits for those who read nor takes anything from them, and copies nothing into the database.
#[test]
fn those_who_read_lose_nothing_by_it() {
    for whose in [Whose::Own, Whose::Other, Whose::Killed] {
        let (dir, disk) = (quick_directory(), FaultDisk::new());
        let store = with_a_failed_sync(dir.path(), &disk, whose);
        let reader = SqliteStore::open_with(database(dir.path()), options(&disk)).unwrap();
        let start = disk.position();
        let mut views = Vec::new();
        reader
            .read(&mut |tx| {
                assert!(tx.get(1, &row(1, 1, &[]).id)?.is_some());
                add(&store, 3)?;
                add(&reader, 4)?;
                tx.scan(Scan::everything(), &mut |row| {
                    views.push(row);
                    std::ops::ControlFlow::Continue(())
                })
            })
            .unwrap();
        assert_eq!(views, [row(1, 1, &[1; 9_000])], "{whose:?}");
        assert_eq!((numbers(&store), numbers(&reader)), (vec![1, 3, 4], vec![1, 3, 4]));
        assert_eq!(store.integrity_check().unwrap(), [] as [String; 0]);
        let log = disk.log();
        let cut = cut_in(&log, start);
        let Op::Truncated { file: cut_file, .. } = log.ops()[cut] else { unreachable!() };
        assert!(log.ops()[start..].iter().all(|op| match op {
            Op::Wrote { file, .. } | Op::Truncated { file, .. } | Op::Synced { file } => *file == cut_file,
            _ => true,
        }));
    }
}

/// If cutting fails, the next one who writes does it, however far it had come.
/// The log at the path of a vault that was moved away while it was in use is another's.
#[cfg(unix)]
#[test]
fn the_log_of_a_vault_that_took_the_place_is_left_alone() {
    let dir = quick_directory();
    let (place, away) = (dir.path().join("vault"), dir.path().join("away"));
    std::fs::create_dir(&place).unwrap();
    let plain = || SqliteOptions::default().examine_place(false);
    let first = SqliteStore::create_with(database(&place), plain()).unwrap();
    add(&first, 1).unwrap();
    let second = SqliteStore::open_with(database(&place), plain()).unwrap();
    assert_eq!(numbers(&second), [1]);
    std::fs::rename(&place, &away).unwrap();
    std::fs::create_dir(&place).unwrap();
    let other = SqliteStore::create_with(database(&place), plain()).unwrap();
    (1..=9).try_for_each(|number| add(&other, number)).unwrap();
    let length = || std::fs::metadata(place.join(LOG)).unwrap().len();
    let before = length();
    let error = add(&second, 2).unwrap_err();
    assert!(error.to_string().contains("moved away or replaced"), "{error}");
    assert_eq!(length(), before);
    drop(other);
    let other = SqliteStore::open_with(database(&place), plain()).unwrap();
    assert_eq!(numbers(&other), (1..=9).collect::<Vec<_>>());
    assert_eq!(numbers(&SqliteStore::open_with(database(&away), plain()).unwrap()), [1]);
}

#[test]
fn a_cut_that_fails_is_done_by_the_next() {
    // It fails to cut, and then to sync.
    for skip in [0, 1] {
        let (dir, disk) = (quick_directory(), FaultDisk::new());
        let store = with_a_failed_sync(dir.path(), &disk, Whose::Other);
        let third = SqliteStore::open_with(database(dir.path()), options(&disk)).unwrap();
        disk.fail(skip, Failure::Io, Lasting::Once);
        assert!(matches!(add(&third, 4), Err(StoreError::Io(_))));
        disk.heal();
        assert_eq!(std::fs::read(dir.path().join("write.lock")).unwrap(), b"cutting   \n");
        let start = disk.position();
        add(&store, 3).unwrap();
        let log = disk.log();
        let cut = cut_in(&log, start);
        after_each_point(&log, start, |at, seen| match seen {
            [1] | [1, 3] => {}
            [1, 2] if at <= cut + 1 => {}
            other => unreachable!("{other:?} at {at}, cut at {cut}"),
        });
    }
}
