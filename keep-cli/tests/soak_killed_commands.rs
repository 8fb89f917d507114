//! `keep` is killed in the middle of what changes a whole vault: afterwards there is a usable vault, as it was before or as it
//! should be, and nothing in between.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    reason = "a test that fails says so by panicking"
)]

#[path = "cli/world.rs"]
mod world;

use std::process::Command;
use std::time::{Duration, Instant};

use keep_sdk::{EventTemplate, Home, KdfCost, Keep, Name, Options, SecretText};
use serde_json::Value;
use world::{PASSPHRASE, Ran, World};

const HIDDEN: &str = "a second battery staple";
/// A recipient of backups, made for these tests.
const RECIPIENT: &str = "age1n72txnccwnne8udnfl9mepwucxnm6zren6nwe45f8tqra6cmyqvsrwtdxk";
const IDENTITY: &str = "AGE-SECRET-KEY-1HXPS8SM5ENPD39GZQHHLF432PP5AQ9NADNG75CLZTJPGJ6HP9RQS78ZZ6U";
const KEYS: usize = 12;
const ENTRIES: usize = 150;

fn rounds() -> u32 {
    if std::env::var_os("KEEP_SOAK").is_some() { 100 } else { 6 }
}

fn done(ran: Ran) -> Ran {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// A clock that stands, long ago.
struct LongAgo;

impl keep_sdk::Clock for LongAgo {
    fn now(&self) -> keep_sdk::Timestamp {
        keep_sdk::Timestamp::from_secs(1_700_000_000)
    }
}

/// A vault with keys, secrets and a log whose entries are old.
fn filled() -> World {
    let world = World::new();
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    let options = Options::default().allow_weak_kdf().kdf_cost(cheap).clock(LongAgo).state_directory(None);
    let home = Home::new(world.path().join("vault")).unwrap();
    let keep = Keep::create(home, &SecretText::new(PASSPHRASE.to_owned()), &options).unwrap();
    let name = |text: String| Name::new(&text).unwrap();
    let keys: Vec<_> = (0..KEYS).map(|n| keep.keys().generate(name(format!("key {n}"))).unwrap()).collect();
    for n in 0..4 {
        let secret = SecretText::new(n.to_string().repeat(50_000));
        keep.secrets().add(name(format!("secret {n}")), secret, None, false).unwrap();
    }
    for n in 0..ENTRIES {
        keep.sign().event(&keys[n % KEYS], EventTemplate::new(1, n.to_string(), vec![], 1)).unwrap();
    }
    drop(keep);
    world
}

/// Starts a command, kills it after a while, and says whether it was done before.
fn killed(mut command: Command, after: Duration) -> bool {
    let mut child = command.spawn().unwrap();
    std::thread::sleep(after);
    let _ = child.kill();
    child.wait().unwrap().success()
}

/// When to kill a command that takes so long: at another point in every round.
fn moment(whole: Duration, round: u32) -> Duration {
    whole * (round * 37 % 140 + 5) / 100
}

fn measured(run: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    run();
    begin.elapsed()
}

/// Everything in the vault is there, intact, and can be used.
fn expect_whole(world: &World, what: &str) -> Value {
    let list = world.done(&["--json", "list"]).json();
    assert_eq!(list["keys"].as_array().unwrap().len(), KEYS, "{what}");
    for n in 0..4 {
        let secret = world.done(&["secret", "get", "--name", &format!("secret {n}")]).stdout;
        assert_eq!(secret.trim_end(), n.to_string().repeat(50_000), "{what}");
    }
    world.done(&["--key", "key 0", "sign-event", "--kind", "1", "--content", what]);
    world.done(&["--json", "audit", "verify"]).json()
}

#[test]
fn a_killed_rotation_of_the_data_key_happened_or_did_not() {
    let world = filled();
    let rotate = ["rotate-data-key", "--yes"];
    let whole = measured(|| drop(world.done(&rotate)));
    let (mut finished, mut stanzas) = (0, 0);
    for round in 0..rounds() {
        let what = format!("round {round}");
        finished += u32::from(killed(world.command(&rotate), moment(whole, round)));
        expect_whole(&world, &what);
        let ways = world.done(&["--json", "vault", "stanza", "list"]).json();
        stanzas = ways.as_array().or(ways["stanzas"].as_array()).unwrap().len();
        assert_eq!(stanzas, 2, "{what}: the passphrase and one recovery code");
    }
    println!("{finished} of {} were done before they were killed; {stanzas} ways to unlock", rounds());
    let last = world.done(&["--json", "rotate-data-key", "--yes"]).json();
    let code = last["recovery_code"].as_str().unwrap().to_owned();
    let opened = world.run_with(&["list"], "", |command| {
        command.env("KEEP_PASSWORD", &code);
    });
    done(opened);
}

#[test]
fn a_killed_backup_is_a_whole_file_or_none() {
    let world = filled();
    std::fs::write(world.path().join("identity"), IDENTITY).unwrap();
    let make = |output: &str| world.command(&["backup", "--output", output, "--recipient", RECIPIENT]);
    let verify = |file: &str| world.run(&["backup", "verify", file, "--identity-file", "identity"]);
    let whole =
        measured(|| drop(done(world.run(&["backup", "--output", "first", "--recipient", RECIPIENT]))));
    done(verify("first"));
    let (mut finished, mut made) = (0, 0);
    for round in 0..rounds() {
        let output = format!("backup {round}");
        let ended = killed(make(&output), moment(whole, round));
        let there = world.path().join(&output).exists();
        if there {
            done(verify(&output));
        }
        assert!(there || !ended, "{output} is missing");
        (finished, made) = (finished + u32::from(ended), made + u32::from(there));
        expect_whole(&world, &output);
        // The same name can be used at once.
        if !there {
            done(world.run(&["backup", "--output", &output, "--recipient", RECIPIENT]));
            done(verify(&output));
        }
    }
    println!("{finished} of {} were done before they were killed, {made} files are there", rounds());
}

#[test]
fn a_killed_restore_is_a_whole_vault_or_none() {
    let world = filled();
    std::fs::write(world.path().join("identity"), IDENTITY).unwrap();
    done(world.run(&["backup", "--output", "all.age", "--recipient", RECIPIENT]));
    let restore = |target: &str| {
        let mut command =
            world.command(&["restore", "all.age", "--identity-file", "identity", "--target", target]);
        command.args(world::CHEAP).env("KEEP_NEW_PASSWORD", "another one");
        command
    };
    let whole = measured(|| drop(done(world::finish(restore("first").spawn().unwrap(), ""))));
    let list = |target: &str| {
        world.run_with(&["--json", "list"], "", |command| {
            command.env("KEEP_HOME", world.path().join(target)).env("KEEP_PASSWORD", "another one");
        })
    };
    let mut there = 0;
    for round in 0..rounds() {
        let target = format!("restored {round}");
        let ended = killed(restore(&target), moment(whole, round));
        if world.path().join(&target).exists() {
            there += 1;
        } else {
            assert!(!ended, "{target} is missing");
            done(world::finish(restore(&target).spawn().unwrap(), ""));
        }
        let keys = done(list(&target)).json();
        assert_eq!(keys["keys"].as_array().unwrap().len(), KEYS, "{target}");
        let verified = world.run_with(&["audit", "verify"], "", |command| {
            command.env("KEEP_HOME", world.path().join(&target)).env("KEEP_PASSWORD", "another one");
        });
        done(verified);
        std::fs::remove_dir_all(world.path().join(&target)).unwrap();
        let left: Vec<String> = std::fs::read_dir(world.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".restoring"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    println!("{there} of {} were there", rounds());
    expect_whole(&world, "after all");
}

#[test]
fn a_killed_retention_leaves_a_log_that_verifies() {
    let retain = ["audit", "retention", "--max-days", "1", "--apply", "--yes"];
    let whole = {
        let world = filled();
        measured(|| drop(world.done(&retain)))
    };
    let mut pruned = 0;
    let mut world = filled();
    for round in 0..rounds() {
        let what = format!("round {round}");
        let ended = killed(world.command(&retain), moment(whole, round));
        let log = expect_whole(&world, &what);
        let entries = log["entries"].as_u64().unwrap();
        let is_pruned = entries < ENTRIES as u64;
        assert!(is_pruned || !ended, "{what}: {log}");
        if is_pruned {
            pruned += 1;
            world = filled();
        } else {
            assert!(entries >= (ENTRIES + KEYS) as u64, "{what}: {log}");
        }
    }
    println!("{pruned} of {} were pruned", rounds());
}

/// A command in the hidden vault.
fn inside(world: &World, arguments: &[&str]) -> Ran {
    world.run_with(arguments, "", |command| {
        command.env("KEEP_PASSWORD", HIDDEN);
    })
}

fn with_hidden() -> World {
    let world = World::new();
    let ran = world.run_with(&["--hidden", "init"], "", |command| {
        command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
    });
    done(ran);
    done(inside(&world, &["generate", "--name", "first"]));
    world
}

#[test]
fn kills_leave_a_whole_hidden_vault() {
    let world = with_hidden();
    let whole = measured(|| drop(done(inside(&world, &["generate", "--name", "measured"]))));
    let mut acknowledged = vec!["measured".to_owned()];
    for round in 0..rounds() {
        let name = format!("killed {round}");
        let mut command = world.command(&["generate", "--name", &name]);
        command.env("KEEP_PASSWORD", HIDDEN);
        if killed(command, moment(whole, round)) {
            acknowledged.push(name);
        }
        let list = done(inside(&world, &["--hidden", "list"])).stdout;
        assert!(acknowledged.iter().all(|name| list.contains(name.as_str())), "{acknowledged:?}: {list}");
    }
    println!("{} of {} were done before they were killed", acknowledged.len() - 1, rounds());
    done(inside(&world, &["audit", "verify"]));
    done(world.run(&["audit", "verify"]));
}

#[test]
fn a_killed_rotation_in_a_hidden_vault_happened_or_did_not() {
    let world = with_hidden();
    let mut passphrase = HIDDEN.to_owned();
    let whole = measured(|| drop(done(inside(&world, &["rotate-data-key", "--yes"]))));
    let within = |passphrase: &str, arguments: &[&str]| {
        world.run_with(arguments, "", |command| {
            command.env("KEEP_PASSWORD", passphrase);
        })
    };
    for round in 0..rounds() {
        let mut command = world.command(&["rotate-data-key", "--yes"]);
        command.env("KEEP_PASSWORD", &passphrase);
        killed(command, moment(whole, round));
        assert!(done(within(&passphrase, &["--hidden", "list"])).stdout.contains("first"));
        // And a new passphrase: either of the two opens it, never both.
        let new = format!("{HIDDEN} {round}");
        let mut command = world.command(&["rotate-password"]);
        command.env("KEEP_PASSWORD", &passphrase).env("KEEP_NEW_PASSWORD", &new);
        let ended = killed(command, moment(whole, round));
        let codes = [&passphrase, &new].map(|word| within(word, &["--hidden", "list"]).code);
        assert!(codes == [Some(0), Some(4)] && !ended || codes == [Some(4), Some(0)], "{round}: {codes:?}");
        if codes[1] == Some(0) {
            passphrase = new;
        }
        done(within(&passphrase, &["audit", "verify"]));
    }
    done(world.run(&["audit", "verify"]));
}

#[test]
fn a_killed_making_leaves_the_outer_vault_and_can_be_repeated() {
    let world = World::with_vault();
    for round in 0..rounds() {
        let word = format!("{HIDDEN} {round}");
        let mut command = world.command(&["--hidden", "init", "--yes"]);
        command.env("KEEP_HIDDEN_PASSWORD", &word);
        let made = killed(command, Duration::from_millis(u64::from(round * 53 % 400)));
        done(world.run(&["audit", "verify"]));
        let opened = world.run_with(&["--hidden", "list"], "", |command| {
            command.env("KEEP_PASSWORD", &word);
        });
        assert!(opened.code == Some(0) || (!made && opened.code == Some(4)), "{opened:?}");
    }
    let last = world.run_with(&["--hidden", "init", "--yes"], "", |command| {
        command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
    });
    done(last);
    done(inside(&world, &["generate", "--name", "whole"]));
}
