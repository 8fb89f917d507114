//! A vault with many keys and a long log opens, lists, grows and prunes, and a commit costs what it costs with a short log. In long
//! runs 100,000 keys and 10,000,000 entries.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{CHEAP, generate, passphrase};
use keep_audit::{Action, Draft, Outcome};
use keep_store::SqliteStore;
use keep_testing::clock::FakeClock;
use keep_types::{Origin, Timestamp};
use keep_vault::{Environment, Vault};

/// The log begins here, and each commit of it is a second later.
const BEGIN: u64 = 1_700_000_000;
/// Entries of one commit.
const PER_COMMIT: u64 = 2_000;
/// Threads that make keys, so that they share commits.
const THREADS: usize = 16;

fn number(name: &str, short: u64, long: u64) -> u64 {
    let given = std::env::var(name).ok().map(|text| text.parse().unwrap());
    given.unwrap_or(if std::env::var_os("KEEP_SOAK").is_some() { long } else { short })
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let done = work();
    println!("{what}: {:?}", begin.elapsed());
    done
}

fn write(vault: &Vault, entries: u64) {
    let draft = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli).event_kind(1).subject([7; 32]);
    let all = move |tx: &mut keep_vault::Tx<'_, '_>| {
        for _ in 0..entries {
            tx.audit(draft.clone());
        }
        Ok(())
    };
    vault.submit(all).wait().unwrap();
}

/// What one commit takes: the best of some.
fn commit(vault: &Vault) -> Duration {
    let one = |_| {
        let begin = Instant::now();
        write(vault, 1);
        begin.elapsed()
    };
    (0..30).map(one).min().unwrap()
}

fn open(directory: &Path, clock: &FakeClock) -> Vault {
    let store = SqliteStore::open(directory.join("keep.db")).unwrap();
    let environment = Environment::new(clock.clone()).allow_weak_kdf();
    Vault::open(Arc::new(store), &passphrase(), &environment).unwrap()
}

#[test]
fn nothing_is_too_much() {
    let (keys, entries) =
        (number("KEEP_TEST_KEYS", 600, 100_000), number("KEEP_TEST_ENTRIES", 60_000, 10_000_000));
    let dir = tempfile::tempdir().unwrap();
    let clock = FakeClock::at(Timestamp::from_secs(BEGIN));
    let store = SqliteStore::create(dir.path().join("keep.db")).unwrap();
    let environment = Environment::new(clock.clone()).allow_weak_kdf();
    let vault = Vault::create(Arc::new(store), &passphrase(), [7; 32], CHEAP, &environment).unwrap();
    let before = commit(&vault);
    timed("make the keys", || {
        std::thread::scope(|scope| {
            for thread in 0..THREADS as u64 {
                let vault = &vault;
                scope.spawn(move || {
                    for n in (thread..keys).step_by(THREADS) {
                        generate(vault, &format!("key {n}"));
                    }
                });
            }
        });
    });
    timed("write the log", || {
        for _ in 0..entries / PER_COMMIT {
            clock.advance(Duration::from_secs(1));
            write(&vault, PER_COMMIT);
        }
    });
    let after = commit(&vault);
    println!("one commit: {before:?} with a short log, {after:?} with this one");
    assert!(after < before * 8 + Duration::from_millis(5), "{before:?} {after:?}");
    drop(vault);
    let vault = timed("open", || open(dir.path(), &clock));
    assert!(vault.integrity().is_intact());
    assert_eq!(timed("list the keys", || vault.keys().unwrap()).len() as u64, keys);
    assert!(timed("find one", || vault.key_by_name("key 77").unwrap()).is_some());
    assert_eq!(timed("list 50 entries", || vault.audit_tail(50).unwrap()).len(), 50);
    let summary = timed("verify the log", || vault.verify_audit().unwrap());
    assert!(summary.entries >= entries + keys);
    assert!(timed("verify every row", || vault.verify().unwrap()).is_intact());
    if let Some(copy) = std::env::var_os("KEEP_TEST_COPY") {
        std::fs::copy(dir.path().join("keep.db"), copy).unwrap();
    }
    let cutoff = Timestamp::from_secs(BEGIN + entries / PER_COMMIT / 2);
    let plan = timed("remove half of the log", || vault.prune(cutoff, Origin::Cli, &mut |_| {}).unwrap());
    assert!(plan.removed() >= entries / 3, "{plan:?}");
    let left = timed("verify the rest", || vault.verify_audit().unwrap());
    assert!(left.entries < summary.entries - entries / 3);
    generate(&vault, "one more");
    drop(vault);
    assert!(timed("open again", || open(dir.path(), &clock)).verify().unwrap().is_intact());
}
