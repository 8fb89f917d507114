use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_store::{SqliteStore, Store};
use keep_testing::clock::FakeClock;
use keep_types::{Name, Origin, SecretText, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::KdfCost;
use crate::effort::{Effort, take};

const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };

struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let salt = Vault::create_reserve(bench.0.path()).unwrap();
        let store = Arc::new(SqliteStore::create(bench.0.path().join("keep.db")).unwrap());
        Vault::create(store, &text("outer"), salt, CHEAP, &environment()).unwrap();
        bench
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.0.path().join("keep.db")).unwrap())
    }

    fn open(&self, passphrase: &str, only: Option<Which>) -> Result<Opened, VaultError> {
        Vault::open_either(self.store(), self.0.path(), &text(passphrase), only, &environment())
    }

    fn hide(&self, outer: &str, passphrase: &str) -> Result<Vault, VaultError> {
        Vault::create_hidden(self.store(), self.0.path(), &text(outer), &text(passphrase), &environment())
    }
}

fn text(text: &str) -> SecretText {
    SecretText::from(text.to_owned())
}

fn environment() -> Environment {
    Environment::new(FakeClock::at(Timestamp::from_secs(1_800_000_000))).allow_weak_kdf()
}

fn names(vault: &Vault) -> Vec<String> {
    vault.keys().unwrap().iter().map(|key| key.name.to_string()).collect()
}

#[test]
fn the_passphrase_decides() {
    let bench = Bench::new();
    let hidden = bench.hide("outer", "inner").unwrap();
    hidden.generate_key(Name::new("hidden key").unwrap()).unwrap();
    drop(hidden);
    let outer = bench.open("outer", None).unwrap();
    outer.vault.generate_key(Name::new("outer key").unwrap()).unwrap();
    assert_eq!((outer.which, outer.vault.which()), (Which::Outer, Which::Outer));
    let hidden = bench.open("inner", None).unwrap();
    assert_eq!((hidden.which, hidden.vault.which()), (Which::Hidden, Which::Hidden));
    assert_eq!(
        (names(&outer.vault), names(&hidden.vault)),
        (vec!["outer key".into()], vec!["hidden key".into()])
    );
    assert!(hidden.vault.integrity().is_intact() && hidden.vault.verify_audit().unwrap().entries == 2);
    drop(hidden);
    assert_eq!(bench.open("inner", Some(Which::Hidden)).unwrap().which, Which::Hidden);
    for (passphrase, only) in [("outer", Which::Hidden), ("inner", Which::Outer)] {
        assert_eq!(bench.open(passphrase, Some(only)).unwrap_err(), VaultError::WrongPassphrase);
    }
}

#[test]
fn making_one_needs_the_outer_passphrase_and_one_of_its_own() {
    let bench = Bench::new();
    assert_eq!(bench.hide("wrong", "inner").unwrap_err(), VaultError::WrongPassphrase);
    assert_eq!(bench.hide("outer", "outer").unwrap_err(), VaultError::PassphraseTaken);
    drop(bench.hide("outer", "inner").unwrap());
    assert_eq!(bench.hide("outer", "inner").unwrap_err(), VaultError::PassphraseTaken);
    drop(bench.hide("outer", "another").unwrap());
    assert_eq!(bench.open("inner", None).unwrap_err(), VaultError::WrongPassphrase);
    assert_eq!(bench.open("another", None).unwrap().which, Which::Hidden);
}

/// The work of an attempt is the same whatever is there and whatever is typed.
#[test]
fn every_attempt_is_the_same_work() {
    let (without, with) = (Bench::new(), Bench::new());
    drop(with.hide("outer", "inner").unwrap());
    let effort = |bench: &Bench, passphrase: &str, only| {
        take();
        let found = bench.open(passphrase, only).map(|opened| opened.which);
        (found, take())
    };
    let always = Effort { derivations: 1, attempts: 10 };
    let wrong = (Err(VaultError::WrongPassphrase), always);
    for only in [None, Some(Which::Outer), Some(Which::Hidden)] {
        assert_eq!(effort(&without, "wrong", only), wrong);
        assert_eq!(effort(&with, "wrong", only), wrong);
    }
    assert_eq!(effort(&without, "outer", None), (Ok(Which::Outer), always));
    assert_eq!(effort(&with, "outer", None), (Ok(Which::Outer), always));
    assert_eq!(effort(&with, "outer", Some(Which::Hidden)), wrong, "a hidden one was asked for");
    assert_eq!(effort(&without, "outer", Some(Which::Hidden)), wrong);
}

#[test]
fn a_lost_reserve_locks_nobody_out() {
    let bench = Bench::new();
    std::fs::remove_file(bench.0.path().join("reserve")).unwrap();
    assert_eq!(bench.open("outer", None).unwrap().which, Which::Outer);
    assert_eq!(bench.open("wrong", None).unwrap_err(), VaultError::WrongPassphrase);
    assert!(matches!(bench.hide("outer", "inner"), Err(VaultError::System(_))));
}

#[test]
fn page_zero_and_the_times_say_nothing() {
    let bench = Bench::new();
    drop(bench.hide("outer", "inner").unwrap());
    let page = || std::fs::read(bench.0.path().join("reserve")).unwrap()[..4096].to_vec();
    let before = page();
    for passphrase in ["outer", "inner", "wrong"] {
        let modified = |name: &str| {
            let meta = std::fs::metadata(bench.0.path().join(name)).unwrap();
            (meta.modified().unwrap(), meta.accessed().unwrap())
        };
        let earlier = modified("reserve");
        std::thread::sleep(std::time::Duration::from_millis(30));
        if let Ok(opened) = bench.open(passphrase, None) {
            opened.vault.generate_key(Name::new(passphrase).unwrap()).unwrap();
        }
        let times = ["keep.db", "reserve", "next.lock", "write.lock"].map(modified);
        let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(first.0 > earlier.0 && last.0.duration_since(first.0).unwrap().as_millis() < 20, "{times:?}");
        assert!(!bench.0.path().join("keep.db-wal").exists());
    }
    assert_eq!(page(), before);
}

#[test]
fn the_passphrase_of_a_hidden_vault_changes() {
    let bench = Bench::new();
    let hidden = bench.hide("outer", "inner").unwrap();
    hidden.generate_key(Name::new("hidden key").unwrap()).unwrap();
    hidden.change_passphrase(&text("new"), None).unwrap();
    hidden.generate_key(Name::new("second").unwrap()).unwrap();
    drop(hidden);
    assert_eq!(bench.open("inner", None).unwrap_err(), VaultError::WrongPassphrase);
    assert_eq!(names(&bench.open("new", None).unwrap().vault), ["hidden key", "second"]);
    assert_eq!(bench.open("outer", None).unwrap().which, Which::Outer);
}

#[test]
fn a_reset_destroys_the_hidden_vault_and_keeps_the_other() {
    let bench = Bench::new();
    drop(bench.hide("outer", "inner").unwrap());
    let before = std::fs::read(bench.0.path().join("reserve")).unwrap();
    let outer = bench.open("outer", None).unwrap().vault;
    outer.generate_key(Name::new("outer key").unwrap()).unwrap();
    outer.add_passphrase(&text("second"), None).unwrap();
    let (_, code) = outer.add_recovery_code(None).unwrap();
    assert_eq!(outer.reset_reserve(bench.0.path(), &text("wrong")).unwrap_err(), VaultError::WrongPassphrase);
    let hidden = bench.open("inner", None).unwrap().vault;
    assert!(matches!(hidden.reset_reserve(bench.0.path(), &text("inner")), Err(VaultError::InReserve)));
    drop(hidden);
    let reset = outer.reset_reserve(bench.0.path(), &text("outer")).unwrap();
    drop(outer);
    assert_eq!(reset.dropped, 1);
    for gone in [&text("inner"), &text("second"), &code] {
        let opened = Vault::open_either(bench.store(), bench.0.path(), gone, None, &environment());
        assert_eq!(opened.unwrap_err(), VaultError::WrongPassphrase);
    }
    let by_code = reset.recovery_code.unwrap();
    let opened = Vault::open_either(bench.store(), bench.0.path(), &by_code, None, &environment()).unwrap();
    assert_eq!((opened.which, names(&opened.vault)), (Which::Outer, vec!["outer key".to_owned()]));
    assert!(opened.vault.integrity().is_intact());
    drop(opened);
    let after = std::fs::read(bench.0.path().join("reserve")).unwrap();
    let same = before.iter().zip(&after).filter(|(old, new)| old == new).count();
    assert!(after.len() == before.len() && same < before.len() / 200, "{same} bytes are the same");
    assert_eq!(read_header(&*bench.store()).unwrap().kdf.salt, after[..32]);
    drop(bench.hide("outer", "inner").unwrap());
    assert_eq!(bench.open("inner", None).unwrap().which, Which::Hidden);
}

/// A passphrase opens one vault: the same refusal, whichever vault it opens and from whichever it is asked for.
#[test]
fn a_new_passphrase_that_opens_a_vault_here_is_refused() {
    let bench = Bench::new();
    drop(bench.hide("outer", "inner").unwrap());
    let outer = bench.open("outer", None).unwrap().vault;
    outer.add_passphrase(&text("second"), None).unwrap();
    let (_, code) = outer.add_recovery_code(None).unwrap();
    for taken in [&text("outer"), &text("second"), &text("inner"), &code] {
        assert_eq!(outer.add_passphrase(taken, None).unwrap_err(), VaultError::PassphraseTaken);
        assert_eq!(outer.change_passphrase(taken, None).unwrap_err(), VaultError::PassphraseTaken);
    }
    drop(outer);
    let hidden = bench.open("inner", None).unwrap().vault;
    for taken in [&text("outer"), &text("second"), &text("inner"), &code] {
        assert_eq!(hidden.change_passphrase(taken, None).unwrap_err(), VaultError::PassphraseTaken);
    }
    hidden.generate_key(Name::new("goes on").unwrap()).unwrap();
    drop(hidden);
    for (passphrase, which) in [("outer", Which::Outer), ("second", Which::Outer), ("inner", Which::Hidden)] {
        assert_eq!(bench.open(passphrase, None).unwrap().which, which);
    }
    // A refusal leaves nothing in the log of the vault that everybody sees.
    let outer = bench.open("outer", None).unwrap().vault;
    assert_eq!(outer.verify_audit().unwrap().entries, 3, "made, and two ways to unlock added");
}

/// A new passphrase costs the outer vault the same work, whether there is a hidden one or not.
#[test]
fn a_new_passphrase_is_the_same_work() {
    let (without, with) = (Bench::new(), Bench::new());
    drop(with.hide("outer", "inner").unwrap());
    let effort = |bench: &Bench, new: &str| {
        let outer = bench.open("outer", None).unwrap().vault;
        take();
        let outcome = outer.add_passphrase(&text(new), None).map(drop);
        (outcome, take())
    };
    let always = Effort { derivations: 1, attempts: 10 };
    assert_eq!(effort(&without, "new"), (Ok(()), always));
    assert_eq!(effort(&with, "new"), (Ok(()), always));
    assert_eq!(effort(&with, "inner"), (Err(VaultError::PassphraseTaken), always));
    assert_eq!(effort(&with, "outer"), (Err(VaultError::PassphraseTaken), always));
}

/// A process that serves for long writes more log than fits: it is pruned meanwhile, and nothing is refused.
#[test]
fn the_log_of_an_open_vault_is_pruned_before_it_is_full() {
    let bench = Bench::new();
    drop(bench.hide("outer", "inner").unwrap());
    let clock = FakeClock::at(Timestamp::from_secs(1_800_000_000));
    let environment = Environment::new(clock.clone()).allow_weak_kdf();
    let opened = Vault::open_either(bench.store(), bench.0.path(), &text("inner"), None, &environment);
    let hidden = opened.unwrap().vault;
    let draft = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli).reason("r".repeat(120));
    for _ in 0..150 {
        clock.advance(std::time::Duration::from_secs(1));
        let draft = draft.clone();
        let entries = move |tx: &mut crate::Tx<'_, '_>| {
            for _ in 0..300 {
                tx.audit(draft.clone());
            }
            Ok(())
        };
        hidden.submit(entries).wait().unwrap();
    }
    let log = hidden.verify_audit().unwrap();
    assert!(log.first > 1 && log.entries < 150 * 300, "{log:?}");
    hidden.generate_key(Name::new("there is room").unwrap()).unwrap();
    assert!(hidden.verify().unwrap().is_intact());
    drop(hidden);
    assert_eq!(names(&bench.open("inner", None).unwrap().vault), ["there is room"]);
}

/// An earlier state that was opened because the latest one is damaged: it is read, and nothing is written over the evidence until
/// the owner goes on.
#[test]
fn a_damaged_state_is_kept_until_the_owner_goes_on() {
    let bench = Bench::new();
    let hidden = bench.hide("outer", "inner").unwrap();
    hidden.generate_key(Name::new("first").unwrap()).unwrap();
    let draft = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli).reason("r".repeat(120));
    for _ in 0..30 {
        let draft = draft.clone();
        let entries = move |tx: &mut crate::Tx<'_, '_>| {
            (0..300).for_each(|_| {
                tx.audit(draft.clone());
            });
            Ok(())
        };
        hidden.submit(entries).wait().unwrap();
    }
    // Its orderly end makes a new slot.
    drop(hidden);
    let hidden = bench.open("inner", None).unwrap().vault;
    hidden.generate_key(Name::new("second").unwrap()).unwrap();
    drop(hidden);
    let file = bench.0.path().join("reserve");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[(7 << 20) + 4096 + 4096 + 1000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();

    let hidden = bench.open("inner", None).unwrap().vault;
    let problems = hidden.integrity().problems;
    assert!(problems.iter().any(|problem| problem.contains("an earlier one was opened")), "{problems:?}");
    assert_eq!(names(&hidden), [""; 0]);
    let refused = |outcome: Result<(), VaultError>| {
        let fault = keep_types::Fault::from(outcome.unwrap_err());
        assert_eq!(fault.code(), keep_types::ErrorCode::Integrity, "{fault}");
        assert!(fault.hint().contains("doctor --accept"), "{fault}");
    };
    refused(hidden.generate_key(Name::new("third").unwrap()).map(drop));
    refused(hidden.change_passphrase(&text("new"), None).map(drop));
    drop(hidden);
    assert!(std::fs::read(&file).unwrap() == bytes, "something was written");

    let hidden = bench.open("inner", None).unwrap().vault;
    let accepted = hidden.accept_damage(&|_, _, _| Ok(None), &|_| Ok(Vec::new())).unwrap();
    assert!(accepted.problems.iter().any(|problem| problem.contains("an earlier one was opened")));
    assert!(hidden.integrity().is_intact());
    hidden.generate_key(Name::new("third").unwrap()).unwrap();
    drop(hidden);
    let hidden = bench.open("inner", None).unwrap().vault;
    assert!(hidden.integrity().is_intact() && hidden.verify().unwrap().is_intact());
    assert_eq!(names(&hidden), ["third"]);
    let log = hidden.audit_tail(9).unwrap();
    let told = log.into_iter().find(|entry| entry.action == Action::DamageAccepted).unwrap();
    assert!(told.reason.unwrap().contains("its latest state is damaged"));
}
