//! `keep audit`: looked at, checked, exported, pruned, anchored; and a vault that was put back.

use std::path::PathBuf;

use serde_json::Value;

use crate::world::{PASSPHRASE, PUBKEY, Ran, World};

fn signed(world: &World, notes: usize) {
    for n in 0..notes {
        world.done(&["sign-event", "--kind", "1", "--content", &format!("note {n}")]);
    }
}

/// Runs without a vault and without a passphrase.
fn elsewhere(world: &World, arguments: &[&str]) -> Ran {
    world.run_with(arguments, "", |command| {
        command.env("KEEP_HOME", world.path().join("nowhere")).env_remove("KEEP_PASSWORD");
    })
}

fn fingerprint(world: &World) -> String {
    world.done(&["--json", "audit", "verify"]).json()["fingerprint"].as_str().unwrap().to_owned()
}

fn entries(world: &World, arguments: &[&str]) -> Vec<Value> {
    let all = [&["--json", "audit", "list"], arguments].concat();
    world.done(&all).json()["entries"].as_array().unwrap().clone()
}

fn file(world: &World, name: &str) -> (PathBuf, String) {
    let path = world.path().join(name);
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

#[test]
fn every_unlock_is_in_the_log() {
    let world = World::with_key();
    world.done(&["list"]);
    let log = entries(&world, &["--limit", "100"]);
    let actions: Vec<&str> = log.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["vault_created", "unlocked", "key_imported", "unlocked", "unlocked"]);
}

#[test]
fn the_log_is_filtered() {
    let world = World::with_key();
    signed(&world, 2);
    assert_eq!(entries(&world, &["--action", "sign_event"]).len(), 2);
    assert_eq!(entries(&world, &["--key", "main", "--action", "key_imported"]).len(), 1);
    assert_eq!(entries(&world, &["--key", PUBKEY]).len(), 3);
    assert_eq!(entries(&world, &["--decision", "refused"]).len(), 0);
    assert_eq!(entries(&world, &["--origin", "nip46"]).len(), 0);
    assert_eq!(entries(&world, &["--since", "1h", "--action", "sign_event", "--limit", "1"]).len(), 1);
    assert_eq!(entries(&world, &["--until", "2020-01-01"]).len(), 0);
    assert_eq!(world.run(&["audit", "list", "--action", "dance"]).code, Some(2));
    assert_eq!(world.run(&["audit", "list", "--since", "soon"]).code, Some(2));
    assert_eq!(world.run(&["audit", "list", "--key", "nobody"]).code, Some(3));
    let stats = world.done(&["--json", "audit", "stats"]).json();
    assert_eq!(stats["counts"][1]["action"], "sign_event");
    assert_eq!(stats["counts"][1]["entries"], 2);
}

#[test]
fn an_export_is_checked_without_its_vault() {
    let world = World::with_key();
    signed(&world, 2);
    let (path, name) = file(&world, "log.jsonl");
    let made = world.done(&["--json", "audit", "export", "--output", &name]).json();
    let print = made["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(print, fingerprint(&world));
    assert_eq!(world.run(&["audit", "export", "--output", &name]).code, Some(5), "it replaces nothing");
    world.done(&["audit", "export", "--output", &name, "--force"]);

    let known = elsewhere(&world, &["--json", "audit", "verify", "--file", &name, "--signer", &print]);
    assert_eq!(known.json()["signer"], "known");
    let unknown = elsewhere(&world, &["--json", "audit", "verify", "--file", &name]);
    assert_eq!(unknown.code, Some(8), "{unknown:?}");
    assert!(unknown.stdout.contains("\"signer\":\"unknown\""), "{unknown:?}");
    assert_eq!(unknown.error()["error"]["code"], "signer_unknown");
    let other = "00112233445566778899aabbccddeeff00112233";
    let wrong = elsewhere(&world, &["audit", "verify", "--file", &name, "--signer", other]);
    assert_eq!(wrong.code, Some(7), "{wrong:?}");

    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let edited = lines[4].replace("allowed", "refused");
    lines[4] = &edited;
    std::fs::write(&path, lines.join("\n")).unwrap();
    let found = elsewhere(&world, &["audit", "verify", "--file", &name, "--signer", &print]);
    assert_eq!(found.code, Some(7));
    assert!(found.stderr.contains("line 5 (entry 4)"), "{found:?}");
    let cut = text.trim_end().rsplit_once('\n').unwrap().0;
    std::fs::write(&path, cut).unwrap();
    let found = elsewhere(&world, &["audit", "verify", "--file", &name, "--signer", &print]);
    assert!(found.code == Some(7) && found.stderr.contains("tail was cut"), "{found:?}");
    let piped = world.run_with(&["audit", "verify", "--file", "-", "--signer", &print], &text, |_| {});
    assert_eq!(piped.code, Some(0), "{piped:?}");
    std::fs::write(&path, "hello").unwrap();
    assert_eq!(elsewhere(&world, &["audit", "verify", "--file", &name]).code, Some(5));
}

#[test]
fn an_export_goes_to_stdout_too() {
    let world = World::with_key();
    let text = world.done(&["audit", "export"]).stdout;
    assert!(text.lines().last().unwrap().starts_with(r#"{"checkpoint":"export""#), "{text}");
    assert!(text.contains(r#""action":"log_exported""#));
}

#[test]
fn retention_asks_first_and_says_what_it_would_do() {
    let world = World::with_key();
    signed(&world, 1);
    let plan = world.done(&["--json", "audit", "retention", "--max-days", "1"]).json();
    assert_eq!((plan["applied"].as_bool(), plan["removed"].as_u64()), (Some(false), Some(0)));
    let refused = world.run(&["audit", "retention", "--max-days", "1", "--apply"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    world.done(&["audit", "retention", "--max-days", "1", "--apply", "--yes"]);
    assert_eq!(world.run(&["audit", "retention", "--max-days", "0"]).code, Some(2));
    world.done(&["audit", "verify"]);
}

/// A copy of the vault's files as they are now.
pub fn copied(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    ["keep.db", "keep.db-wal", "keep.db-shm"]
        .iter()
        .map(|name| world.vault_file(name))
        .filter(|path| path.exists())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

pub fn put_back(world: &World, files: &[(PathBuf, Vec<u8>)]) {
    for name in ["keep.db", "keep.db-wal", "keep.db-shm"] {
        let _ = std::fs::remove_file(world.vault_file(name));
    }
    files.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
}

#[test]
fn a_vault_that_was_put_back_is_noticed_and_can_be_gone_on_with() {
    let world = World::with_key();
    world.done(&["agent", "create", "--name", "bot", "--scope", "nostr"]);
    world.done(&["nip46", "token", "create", "--policy", "social", "--relay", "ws://127.0.0.1:1"]);
    world.done(&["frost", "generate", "-t", "2", "-s", "2", "--name", "pair"]);
    world.done(&["policy", "person", "add", "bob"]);
    let old = copied(&world);
    signed(&world, 3);
    put_back(&world, &old);
    let again = world.run(&["unlock", "--again"]);
    assert_eq!(again.code, Some(7), "what was chosen since then is not known: {again:?}");
    let list = world.done(&["list"]);
    assert!(list.stderr.contains("was in use on this machine"), "{list:?}");
    assert!(list.stderr.contains("accept-rollback"), "{list:?}");
    let refused = world.run(&["sign-event", "--kind", "1"]);
    assert_eq!(refused.code, Some(7), "{refused:?}");
    let doctor = world.run(&["--json", "doctor"]);
    assert!(doctor.code == Some(7) && doctor.stdout.contains("\"healthy\":false"), "{doctor:?}");
    assert_eq!(world.run(&["audit", "accept-rollback"]).code, Some(1), "it needs a yes");
    let accepted = world.done(&["--json", "audit", "accept-rollback", "--yes"]).json();
    assert_eq!(accepted["suspended"], 2, "the session and the address: {accepted}");
    assert_eq!(accepted["persons"][0], "bob", "{accepted}");
    let bot = world.done(&["--json", "agent", "show", "bot"]).json();
    assert_eq!(bot["state"], "suspended", "{bot}");
    let groups = world.done(&["--json", "frost", "list"]);
    assert!(groups.stdout.contains("unconfirmed"), "{groups:?}");
    let again = world.run(&["--json", "unlock", "--again"]);
    assert_eq!((again.code, &again.error()["error"]["code"]), (Some(4), &"locked".into()), "{again:?}");
    let list = world.done(&["list"]);
    assert!(!list.stderr.contains("was in use"), "{list:?}");
    signed(&world, 1);
    assert_eq!(entries(&world, &["--action", "rollback_accepted"]).len(), 1);
    assert_eq!(world.run(&["audit", "accept-rollback", "--yes"]).code, Some(5), "nothing is left to accept");
}

#[test]
fn an_anchor_shows_a_vault_that_was_put_back() {
    let world = World::with_key();
    let old = copied(&world);
    signed(&world, 2);
    let (path, name) = file(&world, "anchor.json");
    let anchor = world.done(&["audit", "anchor"]).stdout;
    std::fs::write(&path, &anchor).unwrap();
    let event: Value = serde_json::from_str(&anchor).unwrap();
    assert_ne!(event["pubkey"], PUBKEY, "the anchor is not signed by an identity");
    signed(&world, 1);
    let report = world.done(&["--json", "audit", "verify", "--anchor", &name]).json();
    assert_eq!(report["anchor"]["revision"].as_u64().map(|revision| revision > 3), Some(true));

    put_back(&world, &old);
    // On another machine, which remembers nothing.
    let found = world.run_with(&["audit", "verify", "--anchor", &name], "", |command| {
        command.env("HOME", world.path().join("tmp")).env("KEEP_PASSWORD", PASSPHRASE);
    });
    assert_eq!(found.code, Some(7), "{found:?}");
    assert!(found.stderr.contains("was put back"), "{found:?}");
    std::fs::write(&path, anchor.replace("keep audit anchor", "keep audit anchoR")).unwrap();
    assert_eq!(world.run(&["audit", "verify", "--anchor", &name]).code, Some(5));
}

#[test]
fn another_vaults_anchor_is_refused() {
    let (one, other) = (World::with_vault(), World::with_vault());
    let (path, name) = file(&one, "anchor.json");
    std::fs::write(path, other.done(&["audit", "anchor"]).stdout).unwrap();
    let found = one.run(&["audit", "verify", "--anchor", &name]);
    assert_eq!(found.code, Some(5), "{found:?}");
    assert!(found.stderr.contains("another vault"), "{found:?}");
}

#[test]
fn a_vaults_fingerprint_is_shown_when_it_is_made() {
    let world = World::new();
    let made = world.done(&["--json", "init"]).json();
    assert_eq!(made["fingerprint"], fingerprint(&world));
}
