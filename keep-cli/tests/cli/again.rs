//! What a program that needs the vault may start again, after its owner locked it or wanted to be asked.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::daemon::eventually;
use crate::serving::{Net, Serving};
use crate::world::{Ran, World};

const HIDDEN: &str = "a second battery staple";

/// A vault that nobody holds when this is dropped.
struct Owned(World);

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.run(&["lock"]);
    }
}

impl Owned {
    fn new() -> Self {
        Self(World::with_key())
    }

    fn status(&self) -> Value {
        self.0.done(&["--json", "status"]).json()
    }

    /// What MCP servers and agents' libraries do when nobody holds the vault.
    fn again(&self) -> Ran {
        self.0.run(&["--json", "unlock", "--again"])
    }

    fn is_refused(&self) {
        let ran = self.again();
        assert_eq!((ran.code, &ran.error()["error"]["code"]), (Some(4), &"locked".into()), "{ran:?}");
        assert_eq!(self.status()["unlocked"], false);
    }

    /// Ends the process that holds the vault, so that it can say nothing any more.
    fn kill(&self) {
        let pid = self.status()["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        eventually("it does not die", || self.status()["unlocked"] == false);
    }

    fn notes(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.0.path().join("run/keep")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "locked")).collect()
    }

    /// As if the machine had been started anew.
    fn forget_notes(&self) {
        self.notes().into_iter().for_each(|note| std::fs::remove_file(note).unwrap());
    }
}

#[test]
fn what_the_owner_locked_only_the_owner_unlocks() {
    let vault = Owned::new();
    // Nothing was chosen yet.
    assert_eq!(vault.again().json()["unlocked"], true);
    vault.kill();
    assert_eq!(vault.again().json()["unlocked"], true);
    vault.0.done(&["lock"]);
    vault.is_refused();
    // The vault knows it too, and says so once.
    vault.forget_notes();
    vault.is_refused();
    vault.is_refused();
    assert_eq!(vault.notes().len(), 1);
    let log = vault.0.done(&["--json", "audit", "list"]).json();
    let refused = |entry: &&Value| entry["action"] == "session_opened" && entry["outcome"] == "refused";
    assert_eq!(log["entries"].as_array().unwrap().iter().filter(refused).count(), 1, "{log}");

    vault.0.done(&["unlock"]);
    vault.kill();
    assert_eq!(vault.again().json()["unlocked"], true);
    let pid = vault.status()["pid"].clone();
    // Where it is unlocked, nothing changes.
    assert_eq!(vault.0.done(&["--json", "unlock", "--again", "--for", "8h"]).json()["pid"], pid);
    assert!(vault.status()["locks_in_seconds"].as_u64().unwrap() <= 900);
    vault.kill();
    // The owner's word counts also while nobody holds it.
    vault.0.done(&["lock"]);
    vault.is_refused();
}

/// Whoever unlocks beside `keep serve`, which holds the vault already, means it for the programs, too.
#[test]
fn an_unlock_beside_a_bunker_ends_a_lock() {
    let (net, vault) = (Net::new(), Owned::new());
    vault.0.done(&["unlock"]);
    vault.0.done(&["lock"]);
    let mut serving = Serving::of(vault.0.command(&["--json", "serve", "--headless", "--relay", &net.url()]));
    serving.next();
    assert_eq!(vault.notes().len(), 1, "the bunker alone frees nobody");
    vault.0.done(&["unlock"]);
    serving.kill();
    assert_eq!(vault.again().json()["unlocked"], true);
}

#[test]
fn who_wants_to_be_asked_is_asked_after_a_restart_too() {
    let vault = Owned::new();
    vault.0.done(&["unlock", "--confirm"]);
    vault.kill();
    assert_eq!(vault.again().json()["confirm"], true);
    vault.kill();
    assert_eq!(vault.again().json()["confirm"], true);
    vault.kill();
    vault.0.done(&["unlock"]);
    assert_eq!(vault.status()["confirm"], false);
    vault.kill();
    assert_eq!(vault.again().json()["confirm"], false);
    // Said while it was unlocked.
    vault.0.done(&["unlock", "--confirm"]);
    vault.kill();
    assert_eq!(vault.again().json()["confirm"], true);
}

#[test]
fn a_lock_that_cannot_be_noted_is_told() {
    let vault = Owned::new();
    vault.0.done(&["unlock"]);
    let note = vault.0.path().join("run/keep");
    let socket = std::fs::read_dir(&note).unwrap().map(|file| file.unwrap().path());
    let mut sockets = socket.filter(|path| path.extension().is_some_and(|end| end == "sock"));
    let note = sockets.next().unwrap().with_extension("locked");
    // It cannot be opened as a file, and is no link to be followed.
    std::os::unix::fs::symlink("/dev/null", &note).unwrap();
    let told = vault.0.run(&["lock"]);
    assert!(told.code != Some(0) && told.stderr.contains("cannot be made"), "{told:?}");
    assert_eq!(vault.status()["unlocked"], false);
    let told = vault.0.run(&["lock"]);
    assert!(told.code != Some(0) && told.stderr.contains("cannot be made"), "{told:?}");
    std::fs::remove_file(&note).unwrap();
    // The vault noted it all the same.
    vault.is_refused();
}

#[test]
fn a_hidden_vault_remembers_for_itself() {
    let world = World::new();
    let ran = world.run_with(&["--hidden", "init"], "", |command| {
        command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
    });
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let vault = Owned(world);
    let hidden = |arguments: &[&str]| {
        vault.0.run_with(arguments, "", |command| {
            command.env("KEEP_PASSWORD", HIDDEN);
        })
    };
    assert_eq!(hidden(&["unlock", "--confirm"]).code, Some(0));
    vault.kill();
    assert_eq!(vault.again().json()["confirm"], false);
    vault.kill();
    assert_eq!(hidden(&["--json", "unlock", "--again"]).json()["confirm"], true);
    vault.0.done(&["lock"]);
    // Until the machine starts anew, the note counts for both: it does not say which was meant.
    vault.is_refused();
    vault.forget_notes();
    assert_eq!(vault.again().json()["unlocked"], true);
    vault.kill();
    assert_eq!(hidden(&["unlock", "--again"]).code, Some(4));
}

/// A client of `keep agent mcp`.
struct Client {
    server: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Client {
    fn of(world: &World) -> Self {
        let mut server = world.command(&["agent", "mcp", "--key", "main"]).spawn().unwrap();
        let (input, output) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
        let mut client = Self { server, input, output: BufReader::new(output) };
        let about = json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}});
        client.say(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about}));
        client.hear();
        client.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        client
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.input, "{message}").unwrap();
        self.input.flush().unwrap();
    }

    fn hear(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the server ended");
            let said: Value = serde_json::from_str(&line).unwrap();
            if said.get("id").is_some() {
                return said;
            }
        }
    }

    /// What the tool says, as text.
    fn public_key(&mut self) -> String {
        let call = json!({"name": "get_public_key", "arguments": {}});
        self.say(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}));
        self.hear().to_string()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn an_mcp_server_starts_what_was_killed_and_not_what_was_locked() {
    let vault = Owned::new();
    let mut client = Client::of(&vault.0);
    let npub = crate::world::PUBKEY;
    assert!(client.public_key().contains(npub));
    vault.0.done(&["unlock", "--confirm"]);
    vault.kill();
    // A call whose answer may have been lost is not repeated; the next one finds a new daemon.
    eventually("it is not started again", || client.public_key().contains(npub));
    assert_eq!(vault.status()["confirm"], true);
    vault.0.done(&["lock"]);
    for _ in 0..3 {
        let said = client.public_key();
        assert!(said.contains("locked") && !said.contains(npub), "{said}");
    }
    assert_eq!(vault.status()["unlocked"], false);
    let refused = vault.0.run(&["--json", "agent", "mcp", "--key", "main"]);
    assert_eq!((refused.code, &refused.error()["error"]["code"]), (Some(4), &"locked".into()), "{refused:?}");
    vault.0.done(&["unlock"]);
    eventually("the server does not find it", || client.public_key().contains(npub));
}
