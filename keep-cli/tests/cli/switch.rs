//! From one vault of a directory to the other: what is left behind is what `keep lock` leaves, for whoever reads it later.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::daemon::eventually;
use crate::world::{Ran, World};

const HIDDEN: &str = "a second battery staple";

/// A vault with a hidden one in its reserve. Nobody holds it when this is dropped.
struct Both(World);

impl Drop for Both {
    fn drop(&mut self) {
        let _ = self.0.run(&["lock"]);
    }
}

/// What somebody finds who looks at the files and has the outer vault's passphrase.
#[derive(Debug, PartialEq)]
struct Found {
    /// Length and mode of the vault's files and of those beside the socket.
    files: BTreeMap<String, (u64, u32, Vec<u8>)>,
    /// Collection, revision and length of every row, in the order of the rows' numbers.
    rows: Vec<(u8, i64, i64)>,
    /// The log: everything but times and hashes.
    log: Vec<Value>,
    /// What a program is told that asks for the vault again, at once and once the note is gone.
    again: [(Option<i32>, String); 2],
}

impl Both {
    fn new() -> Self {
        let world = World::new();
        let both = Self(world);
        let made = both.0.run_with(&["--hidden", "init"], "", |command| {
            command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
        });
        assert_eq!(made.code, Some(0), "{made:?}");
        both.0.done(&["generate", "--name", "main"]);
        both
    }

    fn hidden(&self, arguments: &[&str]) -> Ran {
        let ran = self.0.run_with(arguments, "", |command| {
            command.env("KEEP_PASSWORD", HIDDEN);
        });
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran
    }

    fn kill(&self) {
        let status = self.0.done(&["--json", "status"]).json();
        let pid = status["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        eventually("it does not die", || {
            self.0.done(&["--json", "status"]).json()["unlocked"] == false && !is_running(pid)
        });
    }

    fn sockets(&self) -> std::path::PathBuf {
        self.0.path().join("run/keep")
    }

    fn files(&self) -> BTreeMap<String, (u64, u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        for directory in [self.0.path().join("vault"), self.sockets()] {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                // Beside the socket, names are hashes of the vault's path.
                let end = path.extension().unwrap_or_default().to_str().unwrap();
                let name = if directory.ends_with("run/keep") {
                    end
                } else {
                    path.file_name().unwrap().to_str().unwrap()
                };
                // What is sealed differs from vault to vault; locks and notes may not.
                let is_plain = matches!(end, "lock" | "locked");
                let content = if is_plain { fs::read(&path).unwrap() } else { Vec::new() };
                found.insert(name.to_owned(), (meta.len(), meta.mode(), content));
            }
        }
        found
    }

    fn note(&self) -> Option<std::path::PathBuf> {
        let mut paths = fs::read_dir(self.sockets()).unwrap().map(|entry| entry.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|end| end == "locked"))
    }

    fn noted_at(&self) -> SystemTime {
        fs::metadata(self.note().expect("no note")).unwrap().modified().unwrap()
    }

    /// Looks at everything, from what changes nothing to what opens the vault.
    fn look(&self) -> Found {
        let files = self.files();
        let rows = rows(&self.0.vault_file("keep.db"));
        let again = || {
            let ran = self.0.run(&["--json", "unlock", "--again"]);
            (ran.code, ran.stderr)
        };
        let first = again();
        if let Some(note) = self.note() {
            fs::remove_file(note).unwrap();
        }
        let again = [first, again()];
        let _ = self.0.run(&["lock"]);
        let log = self.0.done(&["--json", "audit", "list", "--limit", "1000"]).json();
        let mut log = log["entries"].as_array().unwrap().clone();
        for entry in &mut log {
            let entry = entry.as_object_mut().unwrap();
            entry.retain(|name, value| !is_of_its_own(name, value));
        }
        Found { files, rows, log, again }
    }
}

fn is_running(pid: i32) -> bool {
    // A process that was killed and not waited for still has a directory there, and no memory.
    fs::read_to_string(format!("/proc/{pid}/statm")).is_ok_and(|sizes| !sizes.starts_with("0 "))
}

/// Times, and what is random or follows from it.
fn is_of_its_own(name: &str, value: &Value) -> bool {
    ["time", "hash", "key", "key_id", "target"].contains(&name)
        || value.as_str().is_some_and(|text| text.starts_with("npub1"))
}

fn rows(database: &Path) -> Vec<(u8, i64, i64)> {
    let conn = rusqlite::Connection::open(database).unwrap();
    let mut rows = conn
        .prepare("SELECT coll, rev, length(sealed) FROM rows ORDER BY coll, rev, length(sealed)")
        .unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The outer vault was unlocked, and then locked by `keep lock` or by unlocking the hidden one.
#[test]
fn a_switch_leaves_what_a_lock_leaves() {
    let (locked, switched) = (Both::new(), Both::new());
    for both in [&locked, &switched] {
        both.0.done(&["unlock"]);
    }
    locked.0.done(&["lock"]);
    switched.hidden(&["unlock"]);
    let noted = switched.noted_at();
    switched.hidden(&["generate", "--name", "secret"]);
    switched.0.done(&["lock"]);
    assert_eq!(switched.noted_at(), noted, "the note tells when the hidden vault was locked");
    let (locked, switched) = (locked.look(), switched.look());
    assert_eq!(locked, switched);
    // And that is what it should be: locked by the owner's hand.
    let ended = locked.log.iter().find(|entry| entry["action"] == "session_ended").unwrap();
    assert_eq!(ended["reason"], "asked for", "{locked:?}");
    assert!(locked.files.contains_key("locked"), "{locked:?}");
    assert!(locked.again.iter().all(|(code, _)| *code == Some(4)), "{locked:?}");
    assert!(locked.log.iter().all(|entry| entry["outcome"] != "failed"), "{locked:?}");
}

/// As before, and the process that held the hidden vault was killed.
#[test]
fn a_killed_hidden_vault_does_not_tell_how_it_was_unlocked() {
    for names_it in [false, true] {
        let (locked, switched) = (Both::new(), Both::new());
        for both in [&locked, &switched] {
            both.0.done(&["unlock"]);
        }
        locked.0.done(&["lock"]);
        for both in [&locked, &switched] {
            both.hidden(if names_it { &["--hidden", "unlock"] } else { &["unlock"] });
            both.kill();
            assert!(both.note().is_some());
        }
        assert_eq!(locked.look(), switched.look());
    }
}

/// The other way round: what the outer vault has is what it has after any unlocking.
#[test]
fn coming_from_the_hidden_vault_leaves_nothing_in_the_outer_one() {
    let (locked, switched, alone) = (Both::new(), Both::new(), Both::new());
    locked.hidden(&["unlock"]);
    locked.0.done(&["lock"]);
    switched.hidden(&["unlock"]);
    for both in [&locked, &switched, &alone] {
        both.0.done(&["unlock"]);
        assert!(both.note().is_none());
        assert_eq!(both.0.done(&["--json", "list"]).json()["keys"][0]["name"], "main");
        both.0.done(&["lock"]);
    }
    let (locked, switched, alone) = (locked.look(), switched.look(), alone.look());
    assert_eq!(locked, switched);
    assert_eq!(switched, alone);
}

/// Whose passphrase it is decides, and a wrong one changes nothing but the log of the vault that is open.
#[test]
fn a_wrong_passphrase_switches_nothing() {
    let both = Both::new();
    both.0.done(&["unlock"]);
    let pid = both.0.done(&["--json", "status"]).json()["pid"].clone();
    let wrong = both.0.run_with(&["unlock"], "", |command| {
        command.env("KEEP_PASSWORD", "neither of them");
    });
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    assert_eq!(both.0.done(&["--json", "status"]).json()["pid"], pid);
    both.0.done(&["lock"]);
    let failed = both.look().log.iter().filter(|entry| entry["outcome"] == "failed").count();
    assert_eq!(failed, 1);
}
