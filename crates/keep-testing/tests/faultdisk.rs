//! The fault disk under real databases.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use keep_testing::faultdisk::{Failure, FaultDisk, Lasting, Op, Replay, Tear};
use rusqlite::{Connection, ErrorCode, OpenFlags};

fn open(disk: &FaultDisk, path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    Connection::open_with_flags_and_vfs(path, flags, disk.vfs()).unwrap()
}

/// The files that SQLite keeps, as they are on the real disk.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let named =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    named.filter(|(name, _)| !name.ends_with("-shm")).collect()
}

fn everything(disk: &FaultDisk) -> BTreeMap<String, Vec<u8>> {
    let log = disk.log();
    let mut replay = Replay::new(&log);
    while replay.step() {}
    replay.image(Tear::Everything).files().clone()
}

fn fill(conn: &Connection, rows: usize) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached("INSERT INTO t VALUES (randomblob(700))")?;
    (0..rows).try_for_each(|_| insert.execute([]).map(drop))
}

#[test]
fn the_log_tells_what_is_on_the_disk() {
    for mode in ["DELETE", "TRUNCATE", "PERSIST", "WAL"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        // A file that the disk finds.
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (b)").unwrap();
        let disk = FaultDisk::new();
        let conn = open(&disk, &path);
        conn.execute_batch(&format!("PRAGMA journal_mode = {mode}")).unwrap();
        for _ in 0..3 {
            fill(&conn, 30).unwrap();
            conn.execute_batch("DELETE FROM t WHERE rowid % 2").unwrap();
            assert_eq!(everything(&disk), files(dir.path()), "{mode}");
        }
        conn.execute_batch("VACUUM").unwrap();
        assert_eq!(everything(&disk), files(dir.path()), "{mode}");
        drop(conn);
        assert_eq!(everything(&disk), files(dir.path()), "{mode}");
        assert!(disk.log().ops().iter().any(Op::is_sync));
        assert!(matches!(disk.log().ops()[0], Op::Found { .. }));
    }
}

#[test]
fn two_connections_share_locks_and_memory() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new();
    let (a, b) = (open(&disk, &dir.path().join("a.db")), open(&disk, &dir.path().join("a.db")));
    a.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (b); BEGIN IMMEDIATE").unwrap();
    fill(&a, 5).unwrap();
    let blocked = b.execute_batch("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(blocked.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    a.execute_batch("COMMIT").unwrap();
    assert_eq!(b.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 5);
}

#[test]
fn failures_reach_sqlite_as_what_they_are() {
    let expected = [
        (Failure::Full, ErrorCode::DiskFull),
        (Failure::Io, ErrorCode::SystemIoFailure),
        (Failure::Short, ErrorCode::SystemIoFailure),
    ];
    for (failure, code) in expected {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let conn = open(&disk, &dir.path().join("a.db"));
        conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (b)").unwrap();
        fill(&conn, 1).unwrap();
        disk.fail(0, failure, Lasting::UntilHealed);
        let error = fill(&conn, 1).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(code), "{failure:?}");
        assert!(disk.failures() > 0);
        assert_eq!(everything(&disk), files(dir.path()), "what was half written is in the log as well");
        disk.heal();
        fill(&conn, 1).unwrap();
    }
}

/// How many rows the database of an image has.
fn rows_after(replay: &Replay<'_>, tear: Tear) -> rusqlite::Result<i64> {
    let dir = tempfile::tempdir().unwrap();
    replay.image(tear).write_to(dir.path()).unwrap();
    let conn = Connection::open(dir.path().join("a.db")).unwrap();
    conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
}

#[test]
fn a_synced_commit_survives_and_an_unsynced_one_may_not() {
    for (synchronous, survives) in [("FULL", true), ("OFF", false)] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let conn = open(&disk, &dir.path().join("a.db"));
        conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (b)").unwrap();
        conn.execute_batch(&format!("PRAGMA synchronous = {synchronous}")).unwrap();
        fill(&conn, 3).unwrap();
        let log = disk.log();
        let mut replay = Replay::new(&log);
        while replay.step() {}
        assert_eq!(rows_after(&replay, Tear::Nothing) == Ok(3), survives, "{synchronous}");
        assert_eq!(rows_after(&replay, Tear::Everything), Ok(3), "{synchronous}");
    }
}
