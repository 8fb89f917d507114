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
/// How many of them begin together.
const TOGETHER: &str = "KEEP_STORE_TEST_TOGETHER";
/// The row that all count in.
const TOTAL: u8 = 100;
/// The row in which those count themselves that are ready to begin.
const READY: u8 = 101;
/// How many commits a process makes at least, however slow the machine is.
const LEAST: u64 = 25;

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
    let together: u64 = std::env::var(TOGETHER).unwrap().parse().unwrap();
    let store = SqliteStore::open(path).unwrap();
    store.write(&mut |tx| increment(tx, READY)).unwrap();
    let (mut ready, waits) = (0, Instant::now());
    while ready < together {
        assert!(waits.elapsed() < Duration::from_secs(120), "the others do not come");
        store.read(&mut |tx| counter(tx, READY).map(|now| ready = now)).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let end = Instant::now() + Duration::from_millis(millis);
    let (mut commits, mut worst, mut overtaken) = (0_u64, Duration::ZERO, Vec::new());
    while Instant::now() < end || commits < LEAST {
        let begin = Instant::now();
        let (mut before, mut then) = (0, 0);
        store.read(&mut |tx| counter(tx, TOTAL).map(|now| before = now)).unwrap();
        let write = |tx: &mut dyn WriteTx, then: &mut u64| {
            *then = counter(tx, TOTAL)?;
            increment(tx, number).and_then(|()| increment(tx, TOTAL))
        };
        store.write(&mut |tx| write(tx, &mut then)).unwrap();
        overtaken.push(then - before);
        worst = worst.max(begin.elapsed());
        commits += 1;
    }
    overtaken.sort_unstable();
    println!("\nRESULT {commits} {} {}", worst.as_micros(), overtaken[overtaken.len() / 2]);
}

fn start(path: &Path, number: u8, millis: u64, together: u8) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process_that_writes", "--nocapture"])
        .envs([
            (DATABASE, path.display().to_string()),
            (NUMBER, number.to_string()),
            (MILLIS, millis.to_string()),
            (TOGETHER, together.to_string()),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How many commits a process made, how long the slowest took, and how many of the others went before it as a rule.
fn finish(child: Child) -> (u64, Duration, u64) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let result = result.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    let numbers: Vec<u64> = result.split(' ').map(|number| number.parse().unwrap()).collect();
    (numbers[0], Duration::from_micros(numbers[1]), numbers[2])
}

#[test]
fn three_processes_share_a_vault_fairly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = SqliteStore::create(&path).unwrap();
    let millis = if std::env::var_os("KEEP_SOAK").is_some() { 60_000 } else { 2_000 };
    let children = [1, 2, 3].map(|number| start(&path, number, millis, 3));
    let results = children.map(finish);
    println!("commits and worst wait: {results:?}");
    store
        .read(&mut |tx| {
            for (number, (commits, ..)) in (1..).zip(&results) {
                assert_eq!(
                    counter(tx, number)?,
                    *commits,
                    "what was acknowledged is there, and nothing else"
                );
            }
            assert_eq!(counter(tx, TOTAL)?, results.iter().map(|(commits, ..)| commits).sum::<u64>());
            Ok(())
        })
        .unwrap();
    // Who is waiting lets each of the two others go before, and perhaps again; how many commits each makes in all is up to the
    // system, which may let one of them sleep.
    assert!(results.iter().all(|(_, _, overtaken)| *overtaken <= 6), "unfair: {results:?}");
    assert!(results.iter().all(|(_, worst, _)| *worst < Duration::from_secs(8)), "starved: {results:?}");
    assert_eq!(store.integrity_check().unwrap(), [] as [String; 0]);
}

#[test]
fn a_process_that_is_killed_leaves_the_vault_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keep.db");
    let store = SqliteStore::create(&path).unwrap();
    let survivor = start(&path, 1, 1_500, 1);
    for number in 2..8 {
        let mut victim = start(&path, number, 60_000, 1);
        // Killed while it writes: it has committed something, and so it is writing all the time.
        let mut count = 0;
        while count < 5 {
            store.read(&mut |tx| counter(tx, number).map(|now| count = now)).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    let (commits, worst, _) = finish(survivor);
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
