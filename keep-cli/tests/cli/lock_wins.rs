//! `keep lock` while the vault is being unlocked.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use crate::daemon::eventually;
use crate::world::{PASSPHRASE, Ran, World, finish};

const HIDDEN: &str = "a second battery staple";

/// A vault whose next process stops while it opens it, until it is let go on.
struct Held {
    world: World,
    mark: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.world.run(&["lock"]);
    }
}

impl Held {
    /// In the place of the mark of the vault's revision, which every process reads that opens the vault, lies a pipe.
    fn new(world: World) -> Self {
        world.done(&["list"]);
        let state = world.path().join(".local/state/keep");
        let mut marks = std::fs::read_dir(state).unwrap().map(|file| file.unwrap().path());
        let mark = marks.next().unwrap();
        assert!(marks.next().is_none());
        std::fs::remove_file(&mark).unwrap();
        assert!(Command::new("mkfifo").arg(&mark).status().unwrap().success());
        Self { world, mark }
    }

    /// Waits until somebody reads the mark. That process waits until the result is dropped.
    fn reached(&self) -> File {
        let mut pipe = None;
        eventually("nobody opens the vault", || {
            let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            pipe = OpenOptions::new().write(true).custom_flags(nonblocking).open(&self.mark).ok();
            pipe.is_some()
        });
        std::fs::remove_file(&self.mark).unwrap();
        pipe.unwrap()
    }

    fn is_unlocked(&self) -> bool {
        self.world.done(&["--json", "status"]).json()["unlocked"] == true
    }
}

/// How many unlocks are noted as under way.
fn openings(world: &World) -> usize {
    let files = std::fs::read_dir(world.path().join("run/keep")).unwrap();
    let is_one = |path: PathBuf| path.extension().is_some_and(|end| end == "opening");
    files.filter(|file| is_one(file.as_ref().unwrap().path())).count()
}

/// What `begun` comes to when `keep lock` is run while it opens the vault.
fn locked_meanwhile(held: &Held, begun: Child) -> Ran {
    let pipe = held.reached();
    assert_eq!(openings(&held.world), 1);
    let told = held.world.done(&["lock"]);
    assert!(told.stderr.contains("being unlocked, and stays locked"), "{told:?}");
    drop(pipe);
    let lost = finish(begun, "");
    assert_eq!((lost.code, &lost.error()["error"]["code"]), (Some(4), &"locked".into()), "{lost:?}");
    assert!(!held.is_unlocked());
    assert_eq!(openings(&held.world), 0);
    lost
}

#[test]
fn a_lock_wins_against_an_unlock_that_is_under_way() {
    let held = Held::new(World::with_key());
    let begun = held.world.command(&["--json", "unlock"]).spawn().unwrap();
    let lost = locked_meanwhile(&held, begun);
    assert!(lost.stderr.contains("while it was being unlocked"), "{lost:?}");
    // It holds for programs, also after a restart of the machine.
    for note in std::fs::read_dir(held.world.path().join("run/keep")).unwrap() {
        std::fs::remove_file(note.unwrap().path()).unwrap();
    }
    assert_eq!(held.world.run(&["unlock", "--again"]).code, Some(4));
    let log = held.world.done(&["--json", "audit", "list"]).json();
    let refused =
        |entry: &&serde_json::Value| entry["action"] == "session_opened" && entry["outcome"] == "refused";
    assert_eq!(log["entries"].as_array().unwrap().iter().filter(refused).count(), 2, "{log}");
    held.world.done(&["unlock"]);
    assert!(held.is_unlocked());
}

#[test]
fn a_lock_wins_against_programs_and_a_bunker() {
    let held = Held::new(World::with_key());
    let begun = held.world.command(&["--json", "unlock", "--again"]).spawn().unwrap();
    locked_meanwhile(&held, begun);
    let held = Held::new(World::with_key());
    // Nobody answers there, and nobody is asked before the vault is shared.
    let serve = ["--json", "serve", "--headless", "--relay", "ws://127.0.0.1:9"];
    locked_meanwhile(&held, held.world.command(&serve).spawn().unwrap());
}

/// Whichever vault was opened, and also if none was.
#[test]
fn nothing_of_an_unlock_stays_beside_the_socket() {
    let world = World::new();
    let with = |arguments: &[&str], name: &str, passphrase: &str| {
        world.run_with(arguments, "", |command| {
            command.env(name, passphrase);
        })
    };
    assert_eq!(with(&["--hidden", "init"], "KEEP_HIDDEN_PASSWORD", HIDDEN).code, Some(0));
    for (passphrase, code) in [(PASSPHRASE, 0), (HIDDEN, 0), ("another one", 4)] {
        let ran = with(&["unlock"], "KEEP_PASSWORD", passphrase);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert_eq!(openings(&world), 0);
        with(&["lock"], "KEEP_PASSWORD", passphrase);
        assert_eq!(openings(&world), 0);
    }
}

/// At whatever moment it is said, what it answers is true.
#[test]
fn what_a_lock_answers_holds_at_every_moment() {
    let held = Held { world: World::with_key(), mark: PathBuf::new() };
    for round in 0..16_u64 {
        let begun = held.world.command(&["--json", "unlock"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 5));
        let told = held.world.done(&["lock"]).stderr;
        let unlocked = finish(begun, "");
        // Where nothing had begun, the unlock came later, and holds.
        let came_later = told.contains("locked already") && unlocked.code == Some(0);
        assert_eq!(held.is_unlocked(), came_later, "{told}: {unlocked:?}");
        held.world.done(&["lock"]);
        assert_eq!(openings(&held.world), 0);
    }
}
