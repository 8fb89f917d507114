//! Making and opening stores, and everything that can be found in place of one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keep_store::conformance::{id, row};
use keep_store::{Scan, SqliteOptions, SqliteStore, Store, StoreError};
use rusqlite::Connection;
use tempfile::TempDir;

/// A directory with a store that has a header and some rows, closed.
fn store_at_rest() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = SqliteStore::create(&path).unwrap();
    fill(&store);
    (dir, path)
}

fn fill(store: &dyn Store) {
    store
        .write(&mut |tx| {
            tx.set_header(b"header")?;
            (0..40).try_for_each(|n| tx.put(&row(1, n, &[n; 900])))
        })
        .unwrap();
}

fn open_quickly(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open_with(path, SqliteOptions::default().examine_place(false))
}

#[track_caller]
fn assert_damaged(path: &Path, words: &str) {
    match open_quickly(path) {
        Err(StoreError::Damaged(why)) => assert!(why.contains(words), "{why:?} does not say {words:?}"),
        other => panic!("{other:?} instead of damage"),
    }
}

#[test]
fn nothing_there_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nowhere/keep.db");
    assert_eq!(SqliteStore::open(&path).unwrap_err(), StoreError::Missing(path));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "looking leaves nothing behind");
}

#[test]
fn a_store_is_made_once() {
    let (_dir, path) = store_at_rest();
    assert_eq!(SqliteStore::create(&path).unwrap_err(), StoreError::Exists(path.clone()));
    let open = SqliteStore::open(&path).unwrap();
    assert_eq!(SqliteStore::create(&path).unwrap_err(), StoreError::Exists(path));
    assert_eq!(read_all(&open), Ok(40));
}

#[test]
fn only_the_owner_may_look_and_one_file_is_left_at_rest() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("a/b");
    let store = SqliteStore::create(home.join("keep.db")).unwrap();
    fill(&store);
    let names = || {
        let mut names: Vec<_> = fs::read_dir(&home).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["keep.db", "keep.db-shm", "keep.db-wal", "next.lock", "write.lock"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&home), mode(home.parent().unwrap())), (0o700, 0o700));
        names().iter().for_each(|name| assert_eq!(mode(&home.join(name)), 0o600, "{name:?}"));
    }
    drop(store);
    assert_eq!(names(), ["keep.db", "next.lock", "write.lock"]);
}

#[test]
fn other_files_are_neither_opened_nor_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text");
    fs::write(&text, "not a database, but something that somebody wants to keep").unwrap();
    assert_damaged(&text, "is not a database");
    let database = dir.path().join("other.db");
    Connection::open(&database)
        .unwrap()
        .execute_batch("CREATE TABLE notes (n); PRAGMA user_version = 7")
        .unwrap();
    assert_damaged(&database, "another program");
    for path in [&text, &database] {
        let before = fs::read(path).unwrap();
        assert_eq!(SqliteStore::create(path).unwrap_err(), StoreError::Exists(path.clone()));
        assert_eq!(fs::read(path).unwrap(), before);
    }
    assert!(matches!(open_quickly(dir.path()), Err(StoreError::Io(_))), "a directory");
}

#[test]
fn a_newer_format_is_named() {
    let (_dir, path) = store_at_rest();
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    assert_eq!(SqliteStore::open(&path).unwrap_err(), StoreError::TooNew { found: 2, known: 1 });
    assert_eq!(SqliteStore::create(&path).unwrap_err(), StoreError::Exists(path));
}

#[test]
fn a_lost_table_is_damage() {
    for table in ["rows", "meta"] {
        let (_dir, path) = store_at_rest();
        Connection::open(&path).unwrap().execute_batch(&format!("DROP TABLE {table}")).unwrap();
        assert_damaged(&path, "lacks a table");
    }
}

#[test]
fn a_truncated_file_is_damage() {
    let (_dir, path) = store_at_rest();
    let whole = fs::read(&path).unwrap();
    for length in (1..whole.len()).step_by(997).chain([16, 100, 4_095, 4_096, whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        let found = open_quickly(&path).and_then(|store| read_all(&store));
        assert!(matches!(found, Err(StoreError::Damaged(_))), "{length} of {}: {found:?}", whole.len());
        assert_eq!(fs::read(&path).unwrap(), &whole[..length], "what is left is not touched");
    }
    fs::write(&path, b"").unwrap();
    assert_damaged(&path, "empty");
}

#[test]
fn an_empty_file_with_a_log_is_not_started_over() {
    let (_dir, path) = store_at_rest();
    let log = path.with_file_name("keep.db-wal");
    fs::write(&path, b"").unwrap();
    fs::write(&log, b"what was written last").unwrap();
    assert_damaged(&path, "write-ahead log");
    assert!(matches!(SqliteStore::create(&path), Err(StoreError::Damaged(_))));
    assert_eq!(fs::read(&log).unwrap(), b"what was written last");
}

#[test]
fn an_interrupted_creation_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    fs::write(&path, b"").unwrap();
    assert_damaged(&path, "interrupted");
    drop(SqliteStore::create(&path).unwrap());
    let store = SqliteStore::create(&path).unwrap();
    fill(&store);
    assert_eq!(SqliteStore::create(&path).unwrap_err(), StoreError::Exists(path));
}

fn read_all(store: &SqliteStore) -> Result<usize, StoreError> {
    let mut count = 0;
    store.read(&mut |tx| {
        tx.header()?;
        tx.get(1, &id(3))?;
        tx.scan(Scan::everything(), &mut |_| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })
    })?;
    Ok(count)
}

/// The store does not promise to notice (the vault does), but it never panics and never hangs.
#[test]
fn flipped_bytes_never_cause_a_panic() {
    let (_dir, path) = store_at_rest();
    let whole = fs::read(&path).unwrap();
    let mut noticed = 0;
    for n in 0..400 {
        let mut flipped = whole.clone();
        // The first pages, where the structure is, and then everywhere.
        let at = if n < 200 { n } else { n * 7_919 % whole.len() };
        flipped[at] ^= 1 << (n % 8);
        fs::write(&path, flipped).unwrap();
        let outcome = open_quickly(&path).and_then(|store| {
            let count = read_all(&store)?;
            store.write(&mut |tx| tx.put(&row(1, 200, b"new")))?;
            store.integrity_check().map(|findings| (count, findings))
        });
        noticed += usize::from(!matches!(outcome, Ok((40, findings)) if findings.is_empty()));
    }
    assert!(noticed > 30, "{noticed}");
}

#[test]
fn what_was_overwritten_is_gone_from_the_file() {
    const MARK: &[u8] = b"a mark that can be found again ";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = SqliteStore::create(&path).unwrap();
    let put = |sealed: &[u8]| {
        store
            .write(&mut |tx| {
                (0..100).try_for_each(|n| tx.put(&row(1, n, &sealed.repeat(1 + usize::from(n)))))
            })
            .unwrap();
    };
    let count = || fs::read(&path).unwrap().windows(MARK.len()).filter(|window| *window == MARK).count();
    put(MARK);
    store.checkpoint().unwrap();
    assert!(count() > 1_000);
    put(b"new");
    store.write(&mut |tx| tx.delete(1, &id(50)).map(drop)).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(count(), 0);
}

#[test]
fn the_log_is_copied_by_itself_and_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = SqliteStore::create_with(&path, SqliteOptions::default().checkpoint_frames(60)).unwrap();
    for n in 0..1_000_u32 {
        store.write(&mut |tx| tx.put(&row(1, (n % 200) as u8, &n.to_be_bytes().repeat(100)))).unwrap();
    }
    let log = fs::metadata(path.with_file_name("keep.db-wal")).unwrap().len();
    assert!(log < 1_000 * 4_120, "the log has grown to {log} bytes for 1,000 small commits");
}

#[test]
fn what_an_interrupted_creation_left_is_told_from_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    assert!(!SqliteStore::is_unfinished(&path));
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    drop(conn);
    assert!(std::fs::metadata(&path).unwrap().len() > 0);
    assert!(SqliteStore::is_unfinished(&path));
    drop(SqliteStore::create(&path).unwrap());
    assert!(!SqliteStore::is_unfinished(&path));
    std::fs::write(&path, "something else").unwrap();
    assert!(!SqliteStore::is_unfinished(&path));
}

/// Writers take turns beside the link, and others beside the file itself: neither is opened, and nothing is changed.
#[cfg(unix)]
#[test]
fn a_database_that_is_a_link_is_refused_and_a_linked_directory_is_not() {
    use std::os::unix::fs::symlink;
    let (dir, path) = store_at_rest();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("keep.db");
    symlink(&path, &link).unwrap();
    let before = fs::read(&path).unwrap();
    assert_eq!(open_quickly(&link).unwrap_err(), StoreError::Linked(link.clone()));
    assert_eq!(SqliteStore::create(&link).unwrap_err(), StoreError::Linked(link.clone()));
    assert!(!SqliteStore::is_unfinished(&link));
    // One that leads nowhere is no place to begin at, either.
    let nowhere = elsewhere.path().join("nowhere.db");
    symlink(elsewhere.path().join("gone/keep.db"), &nowhere).unwrap();
    assert_eq!(open_quickly(&nowhere).unwrap_err(), StoreError::Linked(nowhere.clone()));
    assert_eq!(SqliteStore::create(&nowhere).unwrap_err(), StoreError::Linked(nowhere));
    assert_eq!(fs::read(&path).unwrap(), before);
    let names = |dir: &Path| fs::read_dir(dir).unwrap().count();
    assert_eq!(
        (names(elsewhere.path()), names(dir.path())),
        (2, 3),
        "only the links, and the store with its locks"
    );

    let linked = elsewhere.path().join("linked");
    symlink(dir.path(), &linked).unwrap();
    let store = SqliteStore::open(linked.join("keep.db")).unwrap();
    store.write(&mut |tx| tx.put(&row(1, 41, b"new"))).unwrap();
    drop(store);
    assert_eq!(read_all(&SqliteStore::open(&path).unwrap()), Ok(41));
}

/// What something else holds for a moment is cut a moment later; what it keeps holding is an error, and then cut before the next
/// commit.
#[test]
fn a_log_that_somebody_holds_is_cut_when_it_is_let_go() {
    const JUNK: [u8; 5_000] = [0x6a; 5_000];
    let (_dir, path) = store_at_rest();
    let log = path.with_file_name("keep.db-wal");
    let store = SqliteStore::open(&path).unwrap();
    store.write(&mut |tx| tx.put(&row(1, 41, b"first"))).unwrap();
    let has_junk = || fs::read(&log).unwrap().windows(JUNK.len()).any(|bytes| bytes == JUNK);
    for held in [0, 3, u32::MAX] {
        fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(&JUNK).unwrap();
        let (held, tried) = (Arc::new(AtomicU32::new(held)), Arc::new(AtomicU32::new(0)));
        let (left, count) = (Arc::clone(&held), Arc::clone(&tried));
        let cut = move |path: &Path, length: u64| {
            count.fetch_add(1, Ordering::Relaxed);
            if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            fs::OpenOptions::new().write(true).open(path)?.set_len(length)
        };
        let other = SqliteStore::open_with(&path, SqliteOptions::default().cutter(cut)).unwrap();
        let write = || other.write(&mut |tx| tx.put(&row(1, 42, b"second")));
        let before = held.load(Ordering::Relaxed);
        if before == u32::MAX {
            let error = write().unwrap_err();
            assert!(matches!(&error, StoreError::Busy(why) if why.contains("keep.db-wal")), "{error:?}");
            assert!(has_junk(), "nothing was written in its place");
            assert!((2..100).contains(&tried.load(Ordering::Relaxed)), "{tried:?}");
            held.store(0, Ordering::Relaxed);
        }
        write().unwrap();
        if before != u32::MAX {
            assert_eq!(tried.load(Ordering::Relaxed), before + 1);
        }
        assert!(!has_junk());
        assert_eq!(read_all(&other), Ok(42));
    }
}

/// Pages of a log that the system still has in memory are read anew by whoever opens a vault: the device may not have them.
/// `fincore` (util-linux) tells how many there are.
#[cfg(target_os = "linux")]
#[test]
fn an_opened_store_reads_its_log_from_the_device() {
    use rustix::fs::statfs;
    const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    let (_dir, path) = store_at_rest();
    let log = path.with_file_name("keep.db-wal");
    let in_memory = || {
        let line = ["--raw", "--noheadings", "--output", "PAGES"];
        let told = std::process::Command::new("fincore").args(line).arg(&log).output().ok()?;
        String::from_utf8(told.stdout).ok()?.trim().parse::<u64>().ok()
    };
    // A handle that stays, so that the log does.
    let store = SqliteStore::open_with(&path, SqliteOptions::default().checkpoint_frames(100_000)).unwrap();
    for n in 0..200 {
        store.write(&mut |tx| tx.put(&row(2, n, &vec![n; 20_000]))).unwrap();
    }
    let pages = fs::metadata(&log).unwrap().len() / 4_096;
    assert!(pages > 900, "{pages}");
    let known = in_memory();
    let has_device = statfs(&path).is_ok_and(|found| !IN_MEMORY.contains(&(found.f_type as u64)));
    // The system may take pages away by itself, but does not bring them back.
    if !has_device || known <= Some(pages / 2) {
        eprintln!(
            "skipped an_opened_store_reads_its_log_from_the_device: no fincore, no device under the directory, or no memory to spare"
        );
        return;
    }
    // Pages that are just on their way between lists of the system are left out; it is no more than a few, for a moment.
    let is_gone = (0..50).any(|_| {
        drop(open_quickly(&path).unwrap());
        in_memory() < Some(pages / 4)
    });
    assert!(is_gone, "{:?} of {pages} pages are still in memory", in_memory());
}
