//! `keep unlock`, `keep lock`, `keep status` as processes.

use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{PASSPHRASE, Ran, World};

/// A vault that a daemon holds unlocked until this is dropped.
pub struct Unlocked(pub World);

impl Unlocked {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(arguments: &[&str]) -> Self {
        let world = World::with_key();
        world.done(&[&["unlock"], arguments].concat());
        Self(world)
    }

    /// A vault without keys.
    pub fn empty() -> Self {
        let world = World::with_vault();
        world.done(&["unlock"]);
        Self(world)
    }

    /// Runs a command that has no passphrase.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        bare(&self.0, arguments)
    }

    pub fn pid(&self) -> u32 {
        pid(&self.0).unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        let files = std::fs::read_dir(self.0.path().join("run/keep")).unwrap();
        let mut paths = files.map(|file| file.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|end| end == "sock")).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).unwrap(), signal).unwrap();
    }
}

impl Drop for Unlocked {
    fn drop(&mut self) {
        // A test that failed leaves no daemon behind.
        let _ = bare(&self.0, &["lock"]);
    }
}

/// Runs a command that has no passphrase and no terminal.
fn bare(world: &World, arguments: &[&str]) -> Ran {
    world.run_with(arguments, "", |command| {
        command.env_remove("KEEP_PASSWORD");
    })
}

fn pid(world: &World) -> Option<u32> {
    let status = bare(world, &["--json", "status"]).json();
    status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn audit(world: &World) -> Vec<(String, String, String)> {
    let entries = world.done(&["--json", "audit", "list"]).json();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let entries = entries["entries"].as_array().unwrap().clone();
    entries.iter().map(|e| (word(&e["action"]), word(&e["outcome"]), word(&e["reason"]))).collect()
}

#[test]
fn an_unlocked_vault_needs_no_passphrase_until_it_is_locked() {
    let vault = Unlocked::new();
    assert_eq!(vault.run(&["list"]).code, Some(0));
    assert_eq!(vault.run(&["generate", "--name", "second"]).code, Some(0));
    let event = vault.run(&["sign-event", "--kind", "1", "--content", "hello", "--key", "second"]).json();
    let event: keep_sdk::Event = serde_json::from_value(event).unwrap();
    assert!(event.verify().is_ok());
    assert_eq!(vault.run(&["audit", "verify"]).code, Some(0));
    let status = vault.run(&["--json", "status"]).json();
    assert_eq!(status["unlocked"], true);
    assert!((800..=900).contains(&status["locks_in_seconds"].as_u64().unwrap()), "{status}");

    assert_eq!(vault.run(&["lock"]).code, Some(0));
    assert_eq!(vault.run(&["lock"]).code, Some(0));
    assert_eq!(vault.run(&["--json", "list"]).error()["error"]["code"], "locked");
    assert_eq!(vault.run(&["--json", "status"]).json()["unlocked"], false);
    let audit = audit(&vault.0);
    assert!(audit.contains(&("session_opened".into(), "allowed".into(), "unlock".into())), "{audit:?}");
    assert!(audit.contains(&("session_ended".into(), "allowed".into(), "asked for".into())), "{audit:?}");
}

#[test]
fn managing_wants_the_passphrase_again() {
    let vault = Unlocked::new();
    for manage in [&["delete", "--name", "main", "--yes"][..], &["export", "--name", "main", "--ncryptsec"]] {
        let passphrase = |command: &mut std::process::Command| {
            command.env("KEEP_PASSPHRASE", "another long passphrase");
        };
        let without = vault.0.run_with(manage, "", |command| {
            passphrase(command);
            command.env_remove("KEEP_PASSWORD");
        });
        assert_eq!(without.code, Some(4), "{without:?}");
        let wrong = vault.0.run_with(manage, "", |command| {
            passphrase(command);
            command.env("KEEP_PASSWORD", "wrong");
        });
        assert_eq!(wrong.code, Some(4), "{wrong:?}");
    }
    assert_eq!(vault.run(&["list"]).stdout.lines().count(), 1);
    assert_eq!(vault.0.run(&["delete", "--name", "main", "--yes"]).code, Some(0));
    let opened: Vec<_> = audit(&vault.0).into_iter().filter(|entry| entry.0 == "manage_opened").collect();
    assert_eq!(opened.iter().filter(|entry| entry.1 == "failed").count(), 2, "{opened:?}");
    assert_eq!(opened.iter().filter(|entry| entry.1 == "allowed").count(), 1, "{opened:?}");
}

#[test]
fn it_locks_when_its_time_is_over_and_on_a_signal() {
    let vault = Unlocked::with(&["--for", "2s"]);
    assert_eq!(vault.run(&["list"]).code, Some(0));
    eventually("it does not lock", || pid(&vault.0).is_none());
    assert_eq!(vault.run(&["list"]).code, Some(4));
    vault.0.done(&["unlock", "--for", "forever"]);
    assert!(vault.run(&["--json", "status"]).json()["locks_at"].is_null());
    vault.signal(Signal::TERM);
    eventually("a signal does not lock it", || pid(&vault.0).is_none());
    // The entry is written while the process ends.
    eventually("its end is not recorded", || {
        let ends = audit(&vault.0).into_iter().filter(|entry| entry.0 == "session_ended");
        ends.map(|entry| entry.2).collect::<Vec<_>>() == ["its time was over", "asked for"]
    });
}

#[test]
fn a_daemon_that_was_killed_is_no_hindrance() {
    let vault = Unlocked::new();
    vault.signal(Signal::KILL);
    let socket = vault.socket();
    eventually("it does not die", || std::os::unix::net::UnixStream::connect(&socket).is_err());
    let without = vault.run(&["--json", "list"]);
    assert_eq!((without.code, &without.error()["error"]["code"]), (Some(4), &"locked".into()));
    assert_eq!(vault.0.run(&["list"]).code, Some(0));
    assert_eq!(vault.run(&["--json", "status"]).json()["unlocked"], false);
    vault.0.done(&["unlock"]);
    assert_eq!(vault.run(&["list"]).code, Some(0));
}

#[test]
fn a_wrong_passphrase_comes_back_to_the_terminal() {
    let world = World::with_key();
    let ran = world.run_with(&["--json", "unlock"], "", |command| {
        command.env("KEEP_PASSWORD", "wrong");
    });
    assert_eq!((ran.code, &ran.error()["error"]["code"]), (Some(4), &"wrong_passphrase".into()));
    assert_eq!(pid(&world), None);
    assert_eq!(bare(&world, &["unlock"]).code, Some(4));
    assert_eq!(World::new().run(&["unlock"]).code, Some(3));
    assert_eq!(world.run(&["unlock", "--for", "soon"]).code, Some(2));
}

#[test]
fn unlocking_again_sets_the_time_and_wants_the_passphrase() {
    let vault = Unlocked::new();
    let first = vault.pid();
    assert_eq!(vault.run(&["unlock", "--for", "8h"]).code, Some(4));
    let status = vault.0.done(&["--json", "unlock", "--for", "8h"]).json();
    assert!(status["locks_in_seconds"].as_u64().unwrap() > 7 * 3600);
    assert_eq!(vault.pid(), first);
    let status = vault.0.done(&["--json", "unlock", "--for", "forever"]).json();
    assert!(status["locks_in_seconds"].is_null(), "{status}");
    assert!(vault.run(&["--json", "status"]).json()["locks_at"].is_null());
}

#[test]
fn only_one_daemon_holds_a_vault() {
    let world = World::with_key();
    let started: Vec<_> = (0..4)
        .map(|_| {
            let mut command = world.command(&["--json", "unlock"]);
            command.stdin(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let outcomes: Vec<_> = started.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let vault = Unlocked(world);
    let pid = u64::from(vault.pid());
    for outcome in outcomes {
        match outcome.status.code() {
            Some(0) => {
                let status: serde_json::Value = serde_json::from_slice(&outcome.stdout).unwrap();
                assert_eq!(status["pid"].as_u64(), Some(pid));
            }
            code => {
                let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
                assert!(code == Some(7) && said.contains("storage_busy"), "{code:?} {said}");
            }
        }
    }
    let served = vault.0.run(&["--json", "serve", "--headless", "--relay", "ws://127.0.0.1:1"]);
    assert_eq!((served.code, &served.error()["error"]["code"]), (Some(7), &"storage_busy".into()));
}

#[test]
fn nothing_of_the_terminal_goes_to_the_daemon() {
    let world = World::with_key();
    let keep = env!("CARGO_BIN_EXE_keep");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "exec 9</etc/passwd; exec \"$0\" unlock", keep]);
    let template = world.command(&[]);
    shell.current_dir(world.path()).env_clear();
    for (name, value) in template.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell.env("SECRET_OF_MINE", "0123456789");
    assert!(shell.stdout(Stdio::null()).status().unwrap().success());
    let vault = Unlocked(world);
    let of = |name: &str| PathBuf::from(format!("/proc/{}/{name}", vault.pid()));
    let environment = String::from_utf8_lossy(&std::fs::read(of("environ")).unwrap()).into_owned();
    for kept_out in ["KEEP_PASSWORD", PASSPHRASE, "SECRET_OF_MINE", "KEEP_HOME"] {
        assert!(!environment.contains(kept_out), "{environment}");
    }
    let arguments = String::from_utf8_lossy(&std::fs::read(of("cmdline")).unwrap()).into_owned();
    assert!(!arguments.contains(PASSPHRASE));
    assert_eq!(std::fs::read_link(of("cwd")).unwrap(), PathBuf::from("/"));
    for file in std::fs::read_dir(of("fd")).unwrap() {
        let file = file.unwrap();
        let target = std::fs::read_link(file.path()).unwrap().display().to_string();
        assert!(!target.contains("passwd") && !target.starts_with("pipe:"), "{target}");
    }
    let stat = std::fs::read_to_string(of("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!(fields[3], vault.pid().to_string(), "it is not in a session of its own");
    assert_eq!(fields[4], "0", "it has a terminal");
    let limits = std::fs::read_to_string(of("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

#[test]
fn places_that_somebody_else_made_are_not_used() {
    for (what, squat) in [
        ("symbolic link", (|path| symlink("/tmp", path).unwrap()) as fn(&std::path::Path)),
        ("not a directory", |path| std::fs::write(path, "").unwrap()),
        ("other users", |path| std::fs::DirBuilder::new().mode(0o777).create(path).unwrap()),
    ] {
        let world = World::with_key();
        let place = world.path().join("run/keep");
        squat(&place);
        if what == "other users" {
            std::fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        }
        let unlocked = world.run(&["--json", "unlock"]);
        assert_eq!(unlocked.code, Some(7), "{unlocked:?}");
        assert!(unlocked.stderr.contains(what), "{unlocked:?}");
        let listed = world.run(&["list"]);
        assert!(listed.code == Some(0) && listed.stderr.contains(what), "{listed:?}");
    }
}

#[test]
fn a_vault_that_was_put_elsewhere_is_locked() {
    let vault = Unlocked::new();
    std::fs::remove_dir_all(vault.0.path().join("vault")).unwrap();
    vault.0.done(&["init"]);
    let listed = vault.0.done(&["--json", "list"]).json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 0, "the daemon answers for a vault that is gone");
    eventually("it does not lock", || pid(&vault.0).is_none());
}

#[test]
fn a_daemon_whose_files_are_all_gone_ends() {
    let vault = Unlocked::new();
    let process = PathBuf::from(format!("/proc/{}", vault.pid()));
    std::fs::remove_dir_all(vault.0.path().join("vault")).unwrap();
    std::fs::remove_dir_all(vault.0.path().join("run/keep")).unwrap();
    eventually("it stays", || !process.exists());
}

#[test]
fn with_confirm_a_person_decides_about_each_use() {
    let vault = Unlocked::with(&["--confirm"]);
    assert_eq!(vault.run(&["list"]).code, Some(0));
    for (verb, code, outcome) in [("approve", 0, "approved"), ("deny", 1, "declined")] {
        let mut command = vault.0.command(&["--json", "sign-event", "--kind", "1", "--content", "x"]);
        command.env_remove("KEEP_PASSWORD");
        let signing = command.spawn().unwrap();
        let mut waiting = serde_json::Value::Null;
        eventually("nothing waits", || {
            let pending = vault.run(&["--json", "pending"]).json();
            let list = pending.as_array().or_else(|| pending["pending"].as_array()).cloned().unwrap();
            waiting = list.first().cloned().unwrap_or_default();
            !waiting.is_null()
        });
        let id = waiting["id"].as_str().unwrap().to_owned();
        // A program that can use the socket cannot approve itself.
        assert_eq!(vault.run(&[verb, &id]).code, Some(4));
        vault.0.done(&[verb, &id]);
        assert_eq!(crate::world::finish(signing, "").code, Some(code));
        let last = audit(&vault.0).into_iter().rfind(|entry| entry.0 == "sign_event").unwrap();
        assert_eq!(last.1, outcome);
    }
}

/// The first request that waits.
fn waiting(vault: &Unlocked) -> Option<String> {
    let pending = vault.run(&["--json", "pending"]).json();
    Some(pending["pending"][0]["id"].as_str()?.to_owned())
}

/// Whoever asked is gone: nobody is asked any more, and no yes signs anything.
#[test]
fn with_confirm_the_question_of_a_killed_program_goes_away() {
    let vault = Unlocked::with(&["--confirm"]);
    let mut command = vault.0.command(&["--json", "sign-event", "--kind", "1", "--content", "x"]);
    command.env_remove("KEEP_PASSWORD");
    let mut signing = command.spawn().unwrap();
    let mut asked = None;
    eventually("nothing waits", || {
        asked = waiting(&vault);
        asked.is_some()
    });
    signing.kill().unwrap();
    signing.wait().unwrap();
    eventually("the question stays", || waiting(&vault).is_none());
    assert_eq!(vault.0.run(&["approve", &asked.unwrap()]).code, Some(3), "there is nothing to say yes to");
    let entries = || audit(&vault.0).into_iter().filter(|entry| entry.0 == "sign_event").collect::<Vec<_>>();
    eventually("it is not recorded", || !entries().is_empty());
    let outcomes: Vec<String> = entries().into_iter().map(|entry| entry.1).collect();
    assert_eq!(outcomes, ["unanswered"]);
}
