//! Uses that persons confirm: by one or by two, and a yes only to what was shown.

use std::process::Child;

use serde_json::Value;

use crate::daemon::{Unlocked, audit, eventually};
use crate::prompts::{Dialogue, can};
use crate::world::{PASSPHRASE, finish};

/// What a program asks for that has no passphrase.
fn sign(vault: &Unlocked, content: &str) -> Child {
    let mut command = vault.0.command(&["--json", "sign-event", "--kind", "1", "--content", content]);
    command.env_remove("KEEP_PASSWORD");
    command.spawn().unwrap()
}

/// The request that waits, once one does.
fn waiting(vault: &Unlocked) -> Value {
    let mut waiting = Value::Null;
    eventually("nothing waits", || {
        waiting = vault.run(&["--json", "pending"]).json()["pending"][0].clone();
        !waiting.is_null()
    });
    waiting
}

fn id(waiting: &Value) -> String {
    waiting["id"].as_str().unwrap().to_owned()
}

fn last_outcome(vault: &Unlocked) -> String {
    audit(&vault.0).into_iter().rfind(|entry| entry.0 == "sign_event").unwrap().1
}

const JOINT: &str = "name = \"cli\"\n[[rule]]\neffect = \"ask\"\nkinds = [1]\napproval = \"two_persons\"\n[[rule]]\neffect = \"allow\"\nkinds = [7]\n";

#[test]
fn with_confirm_two_persons_say_yes_where_the_policy_wants_two() {
    let vault = Unlocked::with(&["--confirm"]);
    std::fs::write(vault.0.path().join("cli.toml"), JOINT).unwrap();
    vault.0.done(&["policy", "add", "cli.toml"]);
    let added = vault.0.done(&["--json", "policy", "person", "add", "bob"]).json();
    let code = added["code"].as_str().unwrap();

    let signing = sign(&vault, "both");
    let asked = waiting(&vault);
    assert_eq!((&asked["persons"], &asked["because"]), (&2.into(), &"rule 1 of policy cli asks".into()));
    let first = vault.0.done(&["--json", "approve", &id(&asked)]).json();
    assert_eq!((&first["settled"], &first["needs"]), (&false.into(), &1.into()), "{first}");
    // The owner again is no second person.
    assert_eq!(vault.0.done(&["--json", "approve", &id(&asked)]).json()["settled"], false);
    assert_eq!(waiting(&vault)["approved_by"], serde_json::json!(["owner"]));
    let as_bob = |verb: &str, id: &str| {
        let ran = vault.0.run_with(&["--json", verb, id, "--as", "bob"], "", |command| {
            command.env_remove("KEEP_PASSWORD").env("KEEP_APPROVAL_CODE", code);
        });
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()
    };
    assert_eq!(as_bob("approve", &id(&asked))["settled"], true);
    let signed = finish(signing, "");
    assert_eq!(signed.code, Some(0), "{signed:?}");
    assert_eq!((signed.json()["content"].clone(), last_outcome(&vault)), ("both".into(), "approved".into()));

    // Either of them says no for both.
    let signing = sign(&vault, "one of them");
    let asked = waiting(&vault);
    vault.0.done(&["approve", &id(&asked)]);
    as_bob("deny", &id(&asked));
    assert_eq!((finish(signing, "").code, last_outcome(&vault)), (Some(1), "declined".into()));
}

#[test]
fn what_is_approved_was_shown() {
    let vault = Unlocked::with(&["--confirm"]);
    let long = format!("{}the end", "x".repeat(20_000));
    // To people, whole; and to programs.
    for json in [false, true] {
        let signing = sign(&vault, &long);
        let asked = id(&waiting(&vault));
        let line = if json { vec!["--json", "approve", &asked[..6]] } else { vec!["approve", &asked[..6]] };
        let ran = vault.0.done(&line);
        if json {
            let shown = ran.json();
            assert_eq!(
                (&shown["request"]["id"], &shown["request"]["content"]),
                (&asked.into(), &long.clone().into())
            );
            assert_eq!((shown["approved"].clone(), ran.stderr.as_str()), (true.into(), ""));
        } else {
            assert!(ran.stderr.contains(&asked) && ran.stderr.contains(&long), "{ran:?}");
        }
        assert_eq!(finish(signing, "").code, Some(0));
    }
}

#[test]
fn at_a_terminal_a_yes_is_asked_for_once_the_request_was_shown() {
    if !can() {
        return;
    }
    let vault = Unlocked::with(&["--confirm"]);
    let signing = sign(&vault, "a note to read");
    let asked = id(&waiting(&vault));
    let decide = |flags: &str| {
        Dialogue::start(&vault.0, &format!("approve {asked} {flags}"), |command| {
            command.env("KEEP_PASSWORD", PASSPHRASE);
        })
    };
    let mut approve = decide("");
    approve.sees("a note to read");
    // Right at the question, once more.
    approve.sees("sign");
    approve.sees("Approve this? [y/N] ");
    approve.types("\r");
    approve.sees("nothing was decided");
    approve.ends(1);
    assert_eq!(id(&waiting(&vault)), asked, "it waits on");
    let mut approve = decide("");
    approve.sees("Approve this? [y/N] ");
    approve.types("y\r");
    approve.sees("approved");
    approve.ends(0);
    assert_eq!(finish(signing, "").code, Some(0));

    // Wherever stderr leads, the question is asked with what it is about.
    let signing = sign(&vault, "a note for whoever answers");
    let asked = id(&waiting(&vault));
    let said = vault.0.path().join("stderr");
    let line = format!("approve --json {asked} 2>{}", said.display());
    let mut approve = Dialogue::start(&vault.0, &line, |command| {
        command.env("KEEP_PASSWORD", PASSPHRASE);
    });
    approve.sees("a note for whoever answers");
    approve.sees("Approve this? [y/N] ");
    approve.types("n\r");
    approve.ends(1);
    // What failed is said once, for programs.
    let said = std::fs::read_to_string(&said).unwrap();
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(error["error"]["code"], "refused_by_person");
    vault.0.done(&["approve", &asked]);
    assert_eq!(finish(signing, "").code, Some(0));

    let signing = sign(&vault, "another one");
    let asked = id(&waiting(&vault));
    let mut approve = Dialogue::start(&vault.0, &format!("approve --yes {asked}"), |command| {
        command.env("KEEP_PASSWORD", PASSPHRASE);
    });
    approve.sees("another one");
    approve.sees("approved");
    assert!(!approve.ends(0).contains("[y/N]"));
    assert_eq!(finish(signing, "").code, Some(0));
}
