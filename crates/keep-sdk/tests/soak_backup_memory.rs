//! What checking and restoring a backup takes of memory does not depend on how long its log is. A long run has 1,000,000 entries.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_cipher::age::Identity;
use keep_sdk::{
    BackupKey, BackupLock, Home, KdfCost, Keep, LockedBackup, Name, Options, RestoreTarget, SecretText,
    restore_backup, verify_backup,
};
use keep_store::SqliteStore;
use keep_types::{KeyId, Origin, SystemClock};
use keep_vault::{Environment, Vault};

const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
const PER_COMMIT: usize = 2_000;
/// The length of an entry's reason in bytes: entries longer than they usually are.
const LENGTH: usize = 500;
/// Says to the process that measures where the backup is, and what to do.
const PLACE: &str = "KEEP_TEST_BACKUP_PLACE";
const WORK: &str = "KEEP_TEST_BACKUP_WORK";

fn text(text: &str) -> SecretText {
    SecretText::from(text.to_owned())
}

fn options() -> Options {
    Options::default().allow_weak_kdf().kdf_cost(CHEAP).state_directory(None)
}

/// Entries as signing leaves them, but many in each commit.
fn fill(home: &Home, entries: usize) {
    let environment = Environment::new(SystemClock).allow_weak_kdf();
    let store = Arc::new(SqliteStore::open(home.path().join("keep.db")).unwrap());
    let vault = Vault::open(store, &text("pass"), &environment).unwrap();
    for commit in 0..entries / PER_COMMIT {
        let pending = vault.submit(move |tx| {
            for n in 0..PER_COMMIT {
                let reason = format!("entry {n} of commit {commit}{}", "!".repeat(LENGTH));
                let draft = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli);
                tx.audit(draft.key(KeyId::from_bytes([7; 16])).reason(reason));
            }
            Ok(())
        });
        pending.wait().unwrap();
    }
}

/// Makes the backup of a vault with so many entries in `dir`; gives its length in KiB.
fn make(dir: &Path, entries: usize) -> u64 {
    let home = Home::new(dir.join("old")).unwrap();
    let keep = Keep::create(home.clone(), &text("pass"), &options()).unwrap();
    keep.keys().generate(Name::new("main").unwrap()).unwrap();
    drop(keep);
    fill(&home, entries);
    let identity = Identity::generate();
    std::fs::write(dir.join("identity"), identity.to_text().expose()).unwrap();
    let keep = Keep::open(home, &text("pass"), &options()).unwrap();
    let to = BackupLock::Recipients(vec![identity.recipient().to_string()]);
    keep.backups().write(to, &mut File::create(dir.join("all.age")).unwrap()).unwrap();
    dir.join("all.age").metadata().unwrap().len() >> 10
}

/// The process that is measured.
#[test]
fn what_the_environment_says() {
    let (Some(dir), Ok(work)) = (std::env::var_os(PLACE), std::env::var(WORK)) else { return };
    let dir = Path::new(&dir);
    let backup = LockedBackup::read(File::open(dir.join("all.age")).unwrap()).unwrap();
    let key = BackupKey::Identities(text(&std::fs::read_to_string(dir.join("identity")).unwrap()));
    if work == "verify" {
        verify_backup(backup, &key).unwrap();
    } else {
        let home = Home::new(dir.join("new")).unwrap();
        let target = RestoreTarget { home, passphrase: text("new pass"), take_over: false };
        drop(restore_backup(backup, &key, &target, &options()).unwrap());
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    std::fs::write(dir.join("peak"), peak.trim().trim_end_matches(" kB")).unwrap();
}

/// The most memory that a process had which did it, in KiB.
fn peak(dir: &Path, work: &str) -> u64 {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "what_the_environment_says"]).env(PLACE, dir).env(WORK, work);
    let output = process.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    std::fs::read_to_string(dir.join("peak")).unwrap().parse().unwrap()
}

#[test]
fn a_long_log_is_never_in_memory_at_once() {
    let long = std::env::var_os("KEEP_SOAK").is_some();
    let measured = if long { [60_000, 1_000_000] } else { [4_000, 20_000] }.map(|entries| {
        let dir = tempfile::tempdir().unwrap();
        let length = make(dir.path(), entries);
        let peaks = ["verify", "restore"].map(|work| peak(dir.path(), work));
        println!(
            "{entries} entries: {length} KiB, checked with {} KiB, restored with {} KiB",
            peaks[0], peaks[1]
        );
        (length, peaks)
    });
    let [(shorter, few), (longer, many)] = measured;
    for (work, few, many) in [("checking", few[0], many[0]), ("restoring", few[1], many[1])] {
        let (more, longer) = (many.saturating_sub(few), longer - shorter);
        assert!(more < longer / 4, "{work} {longer} KiB more takes {more} KiB more");
    }
}
