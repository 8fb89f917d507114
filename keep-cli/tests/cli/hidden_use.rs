//! Every kind of command works in a hidden vault, and leaves nothing in the one beside it.

use crate::world::{CHEAP, PUBKEY, Ran, World};

const HIDDEN: &str = "a second battery staple";
/// A recipient of backups, made for these tests.
const RECIPIENT: &str = "age1n72txnccwnne8udnfl9mepwucxnm6zren6nwe45f8tqra6cmyqvsrwtdxk";
pub const IDENTITY: &str = "AGE-SECRET-KEY-1HXPS8SM5ENPD39GZQHHLF432PP5AQ9NADNG75CLZTJPGJ6HP9RQS78ZZ6U";

/// A command in the hidden vault, with this on stdin.
fn inside(world: &World, arguments: &[&str], stdin: &str) -> Ran {
    let ran = world.run_with(arguments, stdin, |command| {
        command.env("KEEP_PASSWORD", HIDDEN);
    });
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran
}

fn world() -> World {
    let world = World::new();
    let ran = world.run_with(&["--hidden", "init"], "", |command| {
        command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
    });
    assert_eq!(ran.code, Some(0), "{ran:?}");
    std::fs::write(world.path().join("identity"), IDENTITY).unwrap();
    world
}

/// What everybody can see of the outer vault, without when.
fn outer(world: &World) -> (String, u64) {
    let list = world.done(&["--json", "list"]).stdout;
    (list, world.done(&["--json", "audit", "verify"]).json()["entries"].as_u64().unwrap())
}

#[test]
fn every_kind_of_command_works_in_it() {
    let world = world();
    let (keys, entries) = outer(&world);
    let run = |arguments: &[&str]| inside(&world, arguments, "");
    run(&["generate", "--name", "main"]);
    run(&["generate", "--name", "words", "--mnemonic"]);
    run(&["note", "--name", "main", "a note"]);
    inside(&world, &["secret", "add", "--name", "token"], "s3cret");
    assert_eq!(run(&["secret", "get", "--name", "token"]).stdout.trim_end(), "s3cret");

    // Threshold keys.
    run(&["frost", "generate", "-t", "2", "-s", "3", "--name", "group"]);
    assert!(run(&["frost", "list"]).stdout.contains("group"));
    let event = run(&["sign-event", "--group", "group", "--kind", "1", "--content", "of a group"]).json();
    assert_eq!(event["content"], "of a group");
    run(&["frost", "sign", "--group", "group", "--message", "hello"]);

    // Bitcoin.
    for key in ["main", "words"] {
        let address = run(&["--json", "bitcoin", "address", "--key", key]).json();
        assert!(address["addresses"][0]["address"].as_str().unwrap().starts_with("bc1p"), "{address}");
        assert!(run(&["bitcoin", "descriptor", "--key", key]).stdout.contains("tr("));
    }

    // Clients, agents and policies.
    run(&["--key", "main", "nip46", "token", "create", "--policy", "social", "--relay", "ws://127.0.0.1:1"]);
    run(&["--key", "main", "nip46", "grant", PUBKEY, "--name", "client", "--permissions", "sign_event:1"]);
    run(&["nip46", "apps"]);
    run(&["--key", "main", "agent", "create", "--name", "bot", "--scope", "nostr", "--output", "token"]);
    // No file beside the vault tells of it.
    assert!(!world.vault_file("sessions").exists());
    assert_eq!(run(&["--json", "agent", "show", "bot"]).json()["name"], "bot");
    run(&["policy", "list"]);

    // The log.
    assert!(run(&["audit", "list", "--limit", "100"]).stdout.contains("sign_event"));
    run(&["audit", "stats"]);
    run(&["audit", "export", "--output", "log.jsonl"]);
    let fingerprint = run(&["--json", "audit", "verify"]).json()["fingerprint"].as_str().unwrap().to_owned();
    world.done(&["audit", "verify", "--file", "log.jsonl", "--signer", &fingerprint]);
    run(&["audit", "anchor"]);

    // As a whole.
    run(&["vault", "info"]);
    run(&["vault", "stanza", "list"]);
    run(&["rotate-data-key", "--yes"]);
    run(&["backup", "--output", "hidden.age", "--recipient", RECIPIENT]);
    let restored = world.run_with(
        &["restore", "hidden.age", "--identity-file", "identity", "--target", "restored"],
        "",
        |command| {
            command.args(CHEAP).env("KEEP_NEW_PASSWORD", "another one");
        },
    );
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let in_restored = |arguments: &[&str]| {
        let ran = world.run_with(arguments, "", |command| {
            command.env("KEEP_HOME", world.path().join("restored")).env("KEEP_PASSWORD", "another one");
        });
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let names = |list: &str| {
        let list: serde_json::Value = serde_json::from_str(list).unwrap();
        let keys = list["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| (key["name"].clone(), key["pubkey"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(&in_restored(&["--json", "list"])), names(&run(&["--json", "list"]).stdout));
    assert!(in_restored(&["frost", "list"]).contains("group"));
    run(&["delete", "--name", "words", "--yes"]);

    // With the daemon, too.
    run(&["unlock"]);
    run(&["--key", "main", "sign-event", "--kind", "1", "--content", "unlocked"]);
    assert!(run(&["list"]).stdout.contains("main"));
    run(&["frost", "sign", "--group", "group", "--message", "hello again"]);
    run(&["lock"]);

    // The vault beside it saw its own unlockings, and nothing else.
    let (keys_after, entries_after) = outer(&world);
    assert_eq!((keys_after, entries_after), (keys, entries + 2));
    let log = world.done(&["--json", "audit", "list", "--limit", "100"]).json();
    let actions: Vec<_> = log["entries"].as_array().unwrap().iter().map(|e| e["action"].clone()).collect();
    assert!(actions.iter().all(|action| action == "vault_created" || action == "unlocked"), "{actions:?}");
}

/// From either side a passphrase that opens the other vault is refused; both still open.
#[test]
fn one_passphrase_for_two_vaults_is_refused() {
    let world = world();
    let change = |old: &str, new: &str| {
        world.run_with(&["--json", "rotate-password"], "", |command| {
            command.env("KEEP_PASSWORD", old).env("KEEP_NEW_PASSWORD", new);
        })
    };
    let outer = crate::world::PASSPHRASE;
    let refused =
        [change(outer, HIDDEN), change(HIDDEN, outer), change(outer, outer), change(HIDDEN, HIDDEN)];
    for ran in &refused {
        assert_eq!(ran.code, Some(5), "{ran:?}");
        assert_eq!((&ran.stdout, &ran.stderr), (&refused[0].stdout, &refused[0].stderr));
    }
    assert!(!refused[0].stderr.contains("hidden"), "{:?}", refused[0]);
    let added = world.run_with(&["vault", "stanza", "add"], "", |command| {
        command.env("KEEP_NEW_PASSWORD", HIDDEN);
    });
    assert_eq!(added.code, Some(5), "{added:?}");
    world.done(&["list"]);
    inside(&world, &["--hidden", "list"], "");
}
