//! What programs rely on: one JSON value on stdout, errors as JSON on stderr, and the fields that are promised.

use serde_json::{Value, json};

use crate::world::{NSEC, PUBKEY, World};

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

const KEY_FIELDS: [&str; 7] = ["created_at", "id", "name", "npub", "pubkey", "source", "type"];

#[test]
fn every_command_prints_one_value() {
    let world = World::new();
    let home = world.path().join("vault");
    let made = world.done(&["--json", "init"]).json();
    assert_eq!((fields(&made), &made["home"]), (vec!["fingerprint", "home"], &json!(home)));

    let imported = world.run_with(&["--json", "import", "--name", "main"], NSEC, |_| {});
    assert_eq!(fields(&imported.json()), KEY_FIELDS);
    assert_eq!(imported.json()["pubkey"], PUBKEY);
    let generated = world.done(&["--json", "generate", "--name", "other"]).json();
    assert_eq!(fields(&generated), KEY_FIELDS);
    assert_eq!((&generated["name"], &generated["source"]), (&json!("other"), &json!("generated")));

    let list = world.done(&["--json", "list"]).json();
    assert_eq!(fields(&list), ["keys"]);
    assert_eq!(list["keys"], json!([imported.json(), generated]));

    let exported = world
        .run_with(&["--json", "export", "--name", "main", "--ncryptsec"], "", |command| {
            command.env("KEEP_PASSPHRASE", "another");
        })
        .json();
    assert_eq!(fields(&exported), ["name", "ncryptsec", "npub"]);

    let event =
        world.done(&["--json", "--key", "main", "sign-event", "--kind", "1", "--content", "hi"]).json();
    assert_eq!(fields(&event), ["content", "created_at", "id", "kind", "pubkey", "sig", "tags"]);
    let event: keep_sdk::Event = serde_json::from_value(event).unwrap();
    event.verify().unwrap();

    let deleted = world.done(&["--json", "delete", "--name", "other", "--yes"]).json();
    assert_eq!(deleted["deleted"]["name"], "other");

    let log = world.done(&["--json", "audit", "list", "--limit", "20"]).json();
    let actions = log["entries"].as_array().unwrap().iter().map(|entry| &entry["action"]);
    let actions: Vec<&Value> = actions.filter(|action| **action != "unlocked").skip(3).collect();
    assert_eq!(actions, ["export", "sign_event", "key_deleted"]);
    assert_eq!(
        fields(&log["entries"][0]),
        ["action", "client", "key", "kind", "origin", "outcome", "reason", "seq", "subject", "time"]
    );

    // Each command opened the vault once, and this one does.
    let unlocks = 8;
    let verified = world.done(&["--json", "audit", "verify"]).json();
    assert_eq!(
        fields(&verified),
        ["anchor", "entries", "fingerprint", "first", "head", "intact", "last", "records", "revision"]
    );
    assert_eq!((&verified["intact"], &verified["entries"]), (&json!(true), &json!(6 + unlocks)));
}

#[test]
fn talk_stays_away_from_programs() {
    let world = World::new();
    for arguments in [&["--json", "init"][..], &["--json", "list"], &["--json", "quickstart", "--check"]] {
        let ran = world.done(arguments);
        assert_eq!((ran.stderr.as_str(), ran.stdout.lines().count()), ("", 1), "{arguments:?}");
    }
}

#[test]
fn pages_for_people_are_values_too() {
    let world = World::new();
    for (arguments, member, part) in [
        (&["--json", "help", "sign-event"][..], "help", "--kind"),
        (&["--json", "completions", "bash"], "completions", "sign-event"),
        (&["--json", "man"], "page", ".TH keep"),
        (&["--json", "man", "--directory", "pages"], "directory", "pages"),
    ] {
        let value = world.done(arguments).json();
        assert_eq!(fields(&value), [member], "{arguments:?}");
        assert!(value[member].as_str().unwrap().contains(part), "{arguments:?}");
    }
}

/// A time is named `…_at` (or says what happened last) and has one form.
#[test]
fn times_have_one_form() {
    let world = World::with_key();
    let relay = ["--relay", "ws://127.0.0.1:1"];
    let create = ["--json", "nip46", "token", "create", "--policy", "social", "--expires", "30d"];
    world.done(&[&create[..], &relay].concat());
    world.done(&["agent", "create", "--name", "bot", "--scope", "nostr", "--for", "24h"]);
    let of = |arguments: &[&str]| world.done(&[&["--json"], arguments].concat()).json();
    let (tokens, bot) = (of(&["nip46", "token", "list"]), of(&["agent", "show", "bot"]));
    for (what, found) in [("token", &tokens["tokens"][0]), ("agent", &bot)] {
        assert!(found["expires"].is_null(), "{what}: {found}");
        let end = found["expires_at"].as_str().unwrap_or_else(|| panic!("{what}: {found}"));
        assert!(end.starts_with("20") && end.ends_with('Z') && end.contains('T'), "{what}: {end}");
    }
}

#[test]
fn errors_have_their_four_fields() {
    let world = World::with_key();
    let wrong = world.run_with(&["--json", "list"], "", |command| {
        command.env("KEEP_PASSWORD", "wrong");
    });
    assert_eq!(wrong.stdout, "");
    assert_eq!(
        wrong.error(),
        json!({ "error": {
            "code": "wrong_passphrase",
            "blame": "caller",
            "message": "the passphrase does not open this vault",
            "hint": "check the passphrase and try again",
        }})
    );
    // The flag may stand anywhere, also where the rest is no valid command line.
    for arguments in [&["sign-event", "--json"][..], &["--json"], &["--json", "--nonsense"]] {
        let ran = world.run(arguments);
        assert_eq!((ran.code, &ran.error()["error"]["code"]), (Some(2), &json!("usage")), "{arguments:?}");
    }
    let export = world.run(&["--json", "export", "--name", "main"]);
    assert_eq!((export.code, &export.error()["error"]["blame"]), (Some(1), &json!("policy")));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let world = World::with_key();
    let mut command = world.command(&["list"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let ran = crate::world::finish(command.spawn().unwrap(), "");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
        eprintln!("skipped: there is no /dev/full here");
        return;
    };
    let world = World::with_key();
    let mut command = world.command(&["list"]);
    command.stdout(full);
    let ran = crate::world::finish(command.spawn().unwrap(), "");
    assert_eq!(ran.code, Some(7));
    assert!(ran.stderr.contains("stdout is full"), "{ran:?}");
}
