//! A process that fills and prunes the log is killed at random: the log always verifies, and has what was acknowledged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{CHEAP, passphrase};
use keep_audit::{Action, Draft, Outcome};
use keep_store::SqliteStore;
use keep_types::{Origin, SystemClock};
use keep_vault::{Environment, Vault};

/// Set for the process that this program starts of itself: the vault's directory.
const DIRECTORY: &str = "KEEP_LOG_TEST_DIRECTORY";

fn environment() -> Environment {
    Environment::new(SystemClock).allow_weak_kdf()
}

fn open(directory: &Path) -> Vault {
    let store = SqliteStore::open(directory.join("keep.db")).unwrap();
    Vault::open(Arc::new(store), &passphrase(), &environment()).unwrap()
}

fn write(vault: &Vault, entries: usize) -> u64 {
    let draft = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli);
    let (last, _) = vault
        .submit(move |tx| Ok((0..entries).map(|_| tx.audit(draft.clone())).max().unwrap_or_default()))
        .wait()
        .unwrap();
    last
}

/// Writes, and now and then removes everything older than this second, until it is killed.
#[test]
fn process_that_works() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let vault = open(&directory);
    let mut told =
        std::fs::OpenOptions::new().append(true).create(true).open(directory.join("told")).unwrap();
    for n in 1_usize.. {
        let last = write(&vault, 37 * (n % 11));
        told.write_all(format!("{last}\n").as_bytes()).unwrap();
        if n % 8 == 0 {
            vault.prune(vault.now(), Origin::Cli, &mut |_| {}).unwrap();
        }
    }
}

#[test]
fn a_killed_process_leaves_a_log_that_verifies() {
    let kills = if std::env::var_os("KEEP_SOAK").is_some() { 100 } else { 6 };
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::create(dir.path().join("keep.db")).unwrap();
    drop(Vault::create(Arc::new(store), &passphrase(), [7; 32], CHEAP, &environment()).unwrap());
    let mut highest = 1;
    for kill in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process_that_works", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Some work must be done, however slow the machine is; then anything may be going on.
        let begin = std::time::Instant::now();
        let told = || std::fs::metadata(dir.path().join("told")).map_or(0, |told| told.len());
        let before = told();
        while told() < before + 20 && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(67 * (kill % 9)));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let vault = open(dir.path());
        assert!(vault.integrity().is_intact());
        assert_eq!(vault.verify().unwrap().problems, [] as [String; 0]);
        let summary = vault.verify_audit().unwrap();
        let last = summary.first + summary.entries - 1;
        let told = std::fs::read_to_string(dir.path().join("told")).unwrap_or_default();
        let whole = &told[..told.rfind('\n').map_or(0, |end| end + 1)];
        highest = whole.lines().map(|line| line.parse().unwrap()).max().unwrap_or(highest);
        assert!(last >= highest, "{last} of {highest}");
        let counted: u64 = vault.audit_stats().unwrap().counts.iter().map(|count| count.entries).sum();
        assert_eq!(counted, summary.entries);
    }
    println!("{kills} kills, {highest} entries acknowledged");
    assert!(highest > 100, "{highest}");
}
