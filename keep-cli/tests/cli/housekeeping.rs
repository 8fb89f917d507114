//! Settings, doctor, schemas, completions: what is around the vault.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::world::World;

fn config(world: &World) -> PathBuf {
    world.path().join(".config/keep/config.toml")
}

#[test]
fn settings_are_used_and_a_flag_wins() {
    let world = World::with_key();
    world.done(&["generate", "--name", "second"]);
    assert_eq!(world.run(&["sign-event", "--kind", "1"]).code, Some(2), "two keys, and none is named");
    assert_eq!(PathBuf::from(world.done(&["config", "path"]).stdout.trim_end()), config(&world));
    world.done(&["config", "init"]);
    assert_eq!(world.run(&["config", "init"]).code, Some(5));
    world.done(&["config", "init", "--force"]);
    assert_eq!(world.done(&["--json", "config", "show"]).json()["key"]["from"], "default");

    std::fs::write(
        config(&world),
        "key = \"second\"\nunlock_for = \"3h\"\nrelays = [\"ws://127.0.0.1:9\"]\n",
    )
    .unwrap();
    let shown = world.done(&["--json", "config", "show"]).json();
    assert_eq!((&shown["key"]["value"], &shown["key"]["from"]), (&"second".into(), &"file".into()));
    let author = |arguments: &[&str], variable: Option<&str>| {
        let arguments = [arguments, &["sign-event", "--kind", "1"]].concat();
        let ran = world.run_with(&arguments, "", |command| {
            variable.map(|value| command.env("KEEP_KEY", value));
        });
        ran.json()["pubkey"].as_str().unwrap().to_owned()
    };
    let second = author(&[], None);
    let main = author(&["--key", "main"], None);
    assert!(second != main && main == crate::world::PUBKEY);
    assert_eq!(author(&[], Some("main")), main, "the environment wins over the file");
    assert_eq!(author(&["--key", "second"], Some("main")), second, "a flag wins over the environment");
    // The relays of the settings are tried, and none answers.
    assert_eq!(world.run(&["sign-event", "--kind", "1", "--publish"]).code, Some(6));
    let status = world.done(&["--json", "unlock"]).json();
    assert!(status["locks_in_seconds"].as_u64().unwrap() > 10_000, "{status}");
    world.done(&["lock"]);

    std::fs::write(config(&world), "colour = \"blue\"\n").unwrap();
    let ran = world.run(&["config", "show"]);
    assert!(ran.code == Some(5) && ran.stderr.contains("colour"), "{ran:?}");
    // What needs no settings goes on.
    world.done(&["list"]);
}

#[test]
fn the_doctor_finds_what_is_wrong() {
    let world = World::with_key();
    let report = world.done(&["--json", "doctor"]).json();
    assert_eq!(report["healthy"], true);
    let of = |report: &serde_json::Value, what: &str| {
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["what"] == what).unwrap()["health"].clone()
    };
    assert_eq!((of(&report, "vault"), of(&report, "environment")), ("ok".into(), "warning".into()));
    let locked = world.run_with(&["--json", "doctor"], "", |command| {
        command.env_remove("KEEP_PASSWORD");
    });
    assert_eq!(of(&locked.json(), "vault"), "skipped");

    std::fs::set_permissions(world.vault_file("keep.db"), PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(of(&world.done(&["--json", "doctor"]).json(), "database"), "warning");
    let down = world.run(&["--json", "doctor", "--network", "--relay", "ws://127.0.0.1:9"]);
    let report: serde_json::Value = serde_json::from_str(&down.stdout).unwrap();
    assert_eq!((down.code, of(&report, "relay")), (Some(7), "bad".into()));
    let reserve = std::fs::File::options().write(true).open(world.vault_file("reserve")).unwrap();
    reserve.set_len(1000).unwrap();
    assert_eq!(world.run(&["doctor"]).code, Some(7));
    assert_eq!(World::new().run(&["doctor"]).code, Some(0), "no vault is no illness");
}

/// A quick start that was killed cannot throw its vault away; the next one does.
#[test]
fn what_a_killed_quick_start_left_is_cleared_away() {
    let world = World::new();
    let scratch = || {
        let entries = std::fs::read_dir(world.path().join("tmp")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_str().unwrap().contains("keep-quickstart-")).collect::<Vec<_>>()
    };
    // What is not locked by a process of ours, and has no lock that could say so, is somebody's.
    let foreign = world.path().join("tmp/keep-quickstart-foreign");
    std::fs::create_dir(&foreign).unwrap();
    let running = || {
        let mut child = world.command(&["--json", "quickstart", "--ephemeral"]).spawn().unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut String::new()).unwrap();
        // It ends when nobody hears it any more.
        (child, output)
    };
    let ((mut killed, _heard), (mut alive, _hears)) = (running(), running());
    assert_eq!(scratch().len(), 3);
    killed.kill().unwrap();
    killed.wait().unwrap();
    world.done(&["quickstart", "--ephemeral", "--check"]);
    let left = scratch();
    assert!(left.len() == 2 && left.contains(&foreign), "{left:?}");
    alive.kill().unwrap();
    alive.wait().unwrap();
    world.done(&["quickstart", "--ephemeral", "--check"]);
    assert_eq!(scratch(), [foreign]);
}

/// What is made beside a quick start in a vault of one's own is answered by it, and `keep lock` ends it.
#[cfg(unix)]
#[test]
fn a_quick_start_shares_its_vault() {
    let world = World::with_key();
    let mut child = world.command(&["--json", "quickstart"]).spawn().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    let (_signed, address) = (line(), line());
    let url = address["bunker_url"].as_str().unwrap();
    let token = world.done(&["--json", "nip46", "token", "create", "--policy", "social"]).json();
    assert_eq!(token["relays"], address["relays"], "{url}");
    let asked = world.run(&["nip46", "call", token["bunker_url"].as_str().unwrap(), "get_public_key"]);
    assert_eq!(
        (asked.code, asked.stdout.trim()),
        (Some(0), address["pubkey"].as_str().unwrap()),
        "{asked:?}"
    );
    world.done(&["lock"]);
    assert!(child.wait().unwrap().success());
    // What listened at its relay ended with it.
    let left = world.done(&["--json", "nip46", "token", "list"]).json();
    assert_eq!(left["tokens"].as_array().map(Vec::len), Some(0), "{left}");
}

#[test]
fn dropped_ways_to_unlock_are_named_also_unasked() {
    let world = World::with_vault();
    std::fs::write(world.path().join("second"), "a second passphrase").unwrap();
    world.done(&["vault", "stanza", "add", "--label", "spare", "--new-password-file", "second"]);
    let rotated = world.done(&["rotate-data-key", "--yes"]);
    assert!(
        rotated.stderr.contains("do not open the vault any more") && rotated.stderr.contains("spare"),
        "{rotated:?}"
    );
    let again = world.done(&["rotate-data-key", "--yes"]);
    assert!(!again.stderr.contains("spare"), "{again:?}");
}

#[test]
fn notes_cannot_drive_a_terminal() {
    let world = World::with_key();
    for note in ["\u{1b}[31mred", "two\nlines", "a\u{202e}b"] {
        let refused = world.run(&["note", "--name", "main", note]);
        assert_eq!(refused.code, Some(5), "{refused:?}");
    }
    world.done(&["note", "--name", "main", "Grüße, 100 % ★"]);
}

#[test]
fn schemas_completions_and_pages_are_there() {
    let world = World::with_vault();
    let all = world.done(&["schema"]).json();
    for call in ["keys.list", "sign.event", "audit.verify", "vault.info"] {
        assert!(
            all[call]["printed"]["type"].is_string() || all[call]["printed"]["$ref"].is_string(),
            "{call}"
        );
    }
    assert_eq!(all["keys.export_nsec"]["class"], "manage");
    for (call, command) in [
        ("keys.list", "list"),
        ("audit.list", "audit list"),
        ("secrets.list", "secret list"),
        ("nip46.apps", "nip46 apps"),
        ("nip46.tokens", "nip46 token list"),
        ("policy.list", "policy list"),
        ("policy.persons", "policy person list"),
        ("agent.list", "agent list"),
        ("frost.list", "frost list"),
        ("approvals.pending", "pending"),
        ("unlocking.list", "vault stanza list"),
        ("vault.info", "vault info"),
    ] {
        let arguments: Vec<&str> = ["--json"].into_iter().chain(command.split(' ')).collect();
        let printed = world.done(&arguments).json();
        let schema = world.done(&["schema", call]).json();
        let required: Vec<&str> =
            schema["required"].as_array().unwrap().iter().map(|member| member.as_str().unwrap()).collect();
        assert!(required.iter().all(|member| !printed[member].is_null()), "{call}: {required:?}, {printed}");
        let known = |member: &String| !schema["properties"][member].is_null();
        assert!(printed.as_object().unwrap().keys().all(known), "{call}: {printed}");
    }
    assert_eq!(world.run(&["schema", "keys.nothing"]).code, Some(3));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(world.done(&["completions", shell]).stdout.contains("sign-event"), "{shell}");
    }
    assert!(world.done(&["man"]).stdout.contains(".TH keep"));
    world.done(&["man", "--directory", "pages"]);
    assert!(world.path().join("pages/keep-audit-list.1").exists());
    assert_eq!(world.done(&["--json", "migrate", "status"]).json()["needs_migration"], false);
    assert_eq!(World::new().run(&["migrate", "status"]).code, Some(3));
}
