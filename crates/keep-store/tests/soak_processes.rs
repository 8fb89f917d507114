//! Several processes write to one vault at once: nobody starves, nothing is lost, and one that is killed stops no one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keep_store::conformance::{id, row};
use keep_store::{ReadTx, SqliteOptions, SqliteStore, Store, StoreError, WriteTx};

/// Set for the processes that this program starts of itself: the database.
const DATABASE: &str = "KEEP_STORE_TEST_DATABASE";
/// The row that they count in.
const NUMBER: &str = "KEEP_STORE_TEST_NUMBER";
/// For how many milliseconds they write.
const MILLIS: &str = "KEEP_STORE_TEST_MILLIS";
/// The row that all count in.
const TOTAL: u8 = 100;

fn counter(tx: &dyn ReadTx, number: u8) -> Result<u64, StoreError> {
    let bytes = tx.get(1, &id(number))?.map(|row| row.sealed);
    Ok(bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap())))
}

fn increment(tx: &mut dyn WriteTx, number: u8) -> Result<(), StoreError> {
    let next = counter(tx, number)? + 1;
    tx.put(&row(1, number, &next.to_be_bytes()))
}

/// The life of one of the processes. Does nothing when the tests are run as usual.
#[test]
fn process_that_writes() {
    let Ok(path) = std::env::var(DATABASE) else { return };
    let number = std::env::var(NUMBER).unwrap().parse().unwrap();
    let millis = std::env::var(MILLIS).unwrap().parse().unwrap();
    let store = SqliteStore::open(path).unwrap();
    let end = Instant::now() + Duration::from_millis(millis);
    let (mut commits, mut worst) = (0_u64, Duration::ZERO);
    while Instant::now() < end {
        let begin = Instant::now();
        store.write(&mut |tx| increment(tx, number).and_then(|()| increment(tx, TOTAL))).unwrap();
        worst = worst.max(begin.elapsed());
        commits += 1;
    }
    println!("\nRESULT {commits} {}", worst.as_micros());
}

fn start(path: &Path, number: u8, millis: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_that_writes", "--nocapture"])
        .envs([
            (DATABASE, path.display().to_string()),
            (NUMBER, number.to_string()),
            (MILLIS, millis.to_string()),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How many commits a process made, and how long the slowest took.
fn finish(child: Child) -> (u64, Duration) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let result = result.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    let (commits, worst) = result.split_once(' ').unwrap();
    (commits.parse().unwrap(), Duration::from_micros(worst.parse().unwrap()))
}

#[test]
fn three_processes_share_a_vault_fairly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = SqliteStore::create(&path).unwrap();
    let millis = if std::env::var_os("KEEP_SOAK").is_some() { 60_000 } else { 2_000 };
    let children = [1, 2, 3].map(|number| start(&path, number, millis));
    let results = children.map(finish);
    println!("commits and worst wait: {results:?}");
    store
        .read(&mut |tx| {
            for (number, (commits, _)) in (1..).zip(&results) {
                assert_eq!(
                    counter(tx, number)?,
                    *commits,
                    "what was acknowledged is there, and nothing else"
                );
            }
            assert_eq!(counter(tx, TOTAL)?, results.iter().map(|(commits, _)| commits).sum::<u64>());
            Ok(())
        })
        .unwrap();
    let commits = results.map(|(commits, _)| commits);
    let (least, most) = (*commits.iter().min().unwrap(), *commits.iter().max().unwrap());
    assert!(least > 20 && most < 4 * least, "unfair: {commits:?}");
    assert!(results.iter().all(|(_, worst)| *worst < Duration::from_secs(8)), "starved: {results:?}");
    assert_eq!(store.integrity_check().unwrap(), [] as [String; 0]);
}

#[test]
fn a_process_that_is_killed_leaves_the_vault_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = SqliteStore::create(&path).unwrap();
    let survivor = start(&path, 1, 1_500);
    for number in 2..8 {
        let mut victim = start(&path, number, 60_000);
        // Killed while it writes: it has committed something, and so it is writing all the time.
        let mut count = 0;
        while count < 5 {
            store.read(&mut |tx| counter(tx, number).map(|now| count = now)).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    let (commits, worst) = finish(survivor);
    assert!(worst < Duration::from_secs(8), "{worst:?}");
    store
        .read(&mut |tx| {
            let each: u64 = (1..8).map(|number| counter(tx, number).unwrap()).sum();
            assert_eq!((counter(tx, 1)?, counter(tx, TOTAL)?), (commits, each));
            Ok(())
        })
        .unwrap();
    assert_eq!(store.integrity_check().unwrap(), [] as [String; 0]);
}

#[test]
fn who_waits_in_vain_learns_for_whom() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = SqliteStore::create(&path).unwrap();
    let impatient =
        SqliteStore::open_with(&path, SqliteOptions::default().wait(Duration::from_millis(700))).unwrap();
    store
        .write(&mut |_| {
            for _ in 0..2 {
                let error = impatient.write(&mut |_| Ok(())).unwrap_err();
                let StoreError::Busy(who) = &error else { panic!("{error:?}") };
                assert!(who.contains(&std::process::id().to_string()), "{who}");
            }
            impatient.read(&mut |_| Ok(()))
        })
        .unwrap();
    impatient.write(&mut |tx| tx.set_head(b"my turn")).unwrap();
    // Whoever gave up is not in the way of others.
    store.write(&mut |tx| tx.set_head(b"your turn")).unwrap();
    impatient.write(&mut |tx| tx.set_head(b"my turn")).unwrap();
}
