//! A key that another bunker holds, as a key of this vault.

use std::time::{Duration, Instant};

use keep_sdk::Event;
use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::{Unlocked, eventually};
use crate::serving::{Net, Serving};
use crate::world::{NSEC, PUBKEY, World, finish};

/// Another secret key.
const NSEC_OF_ANOTHER: &str = "5555555555555555555555555555555555555555555555555555555555555555";

/// The other bunker, and its address.
fn serve(holder: &World, net: &Net) -> (Serving, String) {
    let line = ["--json", "serve", "--headless", "--policy", "full", "--relay", &net.url()];
    let serving = Serving::of(holder.command(&line));
    let url = serving.next()["bunker_url"].as_str().unwrap().to_owned();
    (serving, url)
}

#[test]
fn a_key_that_cannot_be_taken_leaves_no_client_behind() {
    let (holder, net) = (World::with_key(), Net::new());
    let (mut serving, url) = serve(&holder, &net);
    // The same key lies here.
    let world = World::with_key();
    let ran = world.run_with(&["--json", "import", "--name", "far", "--bunker", "-"], &url, |_| {});
    assert_eq!(ran.error()["error"]["code"], "already_exists", "{ran:?}");
    assert!(!ran.error()["error"]["hint"].as_str().unwrap().contains("revoke it there"), "{ran:?}");
    let apps = holder.done(&["--json", "nip46", "apps"]).json();
    assert_eq!(apps["apps"].as_array().unwrap().len(), 0, "{apps}");
    serving.kill();
}

/// A bunker whose owner is asked before it tells whose key it is.
fn serve_asking(holder: &World, net: &Net) -> Serving {
    let asking = "name = \"careful\"\n[[rule]]\neffect = \"ask\"\nmethods = [\"get_public_key\"]\n";
    std::fs::write(holder.path().join("careful.toml"), asking).unwrap();
    holder.done(&["policy", "add", "careful.toml"]);
    let serving =
        Serving::of(holder.command(&["--json", "serve", "--policy", "careful", "--relay", &net.url()]));
    serving.next();
    serving
}

fn count(world: &World, command: &[&str], what: &str) -> usize {
    world.done(&[&["--json"], command].concat()).json()[what].as_array().unwrap().len()
}

/// Whoever stops waiting for another bunker has nothing of it, here or there: with Ctrl-C, and where a process in the background does
/// the work, however the command ends.
#[test]
fn an_import_that_is_given_up_leaves_nothing() {
    let (holder, net) = (World::with_key(), Net::new());
    let mut serving = serve_asking(&holder, &net);
    let clients = || count(&holder, &["nip46", "apps"], "apps");
    let asked = || count(&holder, &["pending"], "pending");
    let (alone, held) = (World::with_vault(), Unlocked::empty());
    let ways =
        [(&alone, Signal::INT), (&alone, Signal::TERM), (&held.0, Signal::INT), (&held.0, Signal::KILL)];
    for (world, signal) in ways {
        let url = address(&holder, &net);
        let before = asked();
        let import = world.command(&["--json", "import", "--name", "far", "--bunker", &url]).spawn().unwrap();
        eventually("nobody is asked", || asked() > before);
        assert_eq!(clients(), 1);
        kill_process(Pid::from_child(&import), signal).unwrap();
        let begun = Instant::now();
        let ran = finish(import, "");
        if signal != Signal::KILL {
            assert_eq!(
                (ran.code, &ran.error()["error"]["code"]),
                (Some(130), &"refused_by_person".into()),
                "{ran:?}"
            );
        }
        if std::ptr::eq(world, &alone) {
            assert_eq!(ran.error()["error"]["message"], "interrupted: no key was taken");
            assert_eq!(clients(), 0, "it logged out before it ended");
        }
        eventually("the client stays there", || clients() == 0);
        // A bunker that does not answer is waited for half a minute.
        assert!(begun.elapsed() < Duration::from_secs(20), "{signal:?} is not heard");
        assert_eq!(count(world, &["list"], "keys"), 0);
    }
    serving.kill();
    held.0.done(&["lock"]);
    for world in [&alone, &held.0] {
        world.done(&["doctor"]);
        assert_eq!(count(world, &["list"], "keys"), 0);
    }
}

/// Another address of the same bunker.
fn address(holder: &World, net: &Net) -> String {
    let line = ["--json", "nip46", "token", "create", "--policy", "careful", "--relay", &net.url()];
    holder.done(&line).json()["bunker_url"].as_str().unwrap().to_owned()
}

#[test]
fn another_bunker_is_asked_for_signatures_and_messages() {
    let (holder, net) = (World::with_key(), Net::new());
    let (mut serving, url) = serve(&holder, &net);
    let world = World::with_vault();
    let bad = world.run(&["import", "--name", "remote", "--bunker", "bunker://nobody"]);
    assert_eq!(bad.code, Some(5), "{bad:?}");
    let added =
        world.run_with(&["--json", "import", "--name", "remote", "--bunker", "-"], &url, |_| {}).json();
    assert_eq!((added["pubkey"].as_str(), added["type"].as_str()), (Some(PUBKEY), Some("remote")));
    let again = world.run(&["--json", "import", "--name", "remote", "--bunker", &url]);
    assert_ne!(again.code, Some(0));
    // Its name and the key itself are taken, as those of the vault's own keys are.
    let words =
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    world.done(&["generate", "--name", "local"]);
    for (arguments, stdin) in [
        (&["generate", "--name", "remote"][..], ""),
        (&["generate", "--name", "remote", "--mnemonic"], ""),
        (&["import", "--name", "remote"], NSEC_OF_ANOTHER),
        (&["import", "--name", "remote"], words),
        (&["import", "--name", "again"], NSEC),
        (&["rename", "--name", "local", "--to", "remote"], ""),
        (&["import", "--name", "local", "--bunker", "-"], &url),
    ] {
        let ran = world.run_with(&[&["--json"], arguments].concat(), stdin, |_| {});
        assert_ne!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        assert_eq!(ran.error()["error"]["code"], "already_exists", "{arguments:?}: {ran:?}");
    }
    let ran = world.run_with(&["--json", "import", "--name", "again"], NSEC, |_| {});
    assert!(ran.error()["error"]["message"].as_str().unwrap().contains("as \"remote\""), "{ran:?}");
    world.done(&["delete", "--name", "local", "--yes"]);
    let keys = world.done(&["--json", "list"]).json();
    assert_eq!((&keys["keys"][0]["name"], &keys["keys"][0]["type"]), (&"remote".into(), &"remote".into()));

    let ran = world.done(&["sign-event", "--key", "remote", "--kind", "1", "--content", "from afar"]);
    let event: Event = serde_json::from_str(&ran.stdout).unwrap();
    event.verify().unwrap();
    assert_eq!((event.pubkey.to_hex().as_str(), event.content.as_str()), (PUBKEY, "from afar"));

    let call = |arguments: &[&str]| {
        let ran = world.done(&[&["--json", "nip46", "call", "remote"], arguments].concat());
        ran.json()["result"].as_str().unwrap().to_owned()
    };
    for scheme in ["nip44", "nip04"] {
        let sealed = call(&[&format!("{scheme}_encrypt"), "self", "hello"]);
        assert_eq!(call(&[&format!("{scheme}_decrypt"), "self", &sealed]), "hello");
    }
    let sealed = call(&["nip44v3_encrypt", "self", "30078", "notes", "aGVsbG8="]);
    assert_eq!(call(&["nip44v3_decrypt", "self", "30078", "notes", &sealed]), "aGVsbG8=");
    assert_eq!(call(&["ping"]), "pong");

    // What only a key of the vault can do says so.
    std::fs::write(world.path().join("passphrase"), "of the export").unwrap();
    let file = ["--passphrase-file", "passphrase"];
    let export = world.run(&[&["--json", "export", "--name", "remote", "--ncryptsec"], &file[..]].concat());
    assert_eq!(export.code, Some(3), "{export:?}");
    assert!(export.error()["error"]["message"].as_str().unwrap().contains("another bunker"), "{export:?}");
    let unknown = world.run(&["--json", "nip46", "call", "nobody", "ping"]);
    assert_eq!(unknown.code, Some(3), "{unknown:?}");

    // Both sides recorded it.
    let here = world.done(&["--json", "audit", "list"]).json();
    let count = |log: &serde_json::Value, action: &str| {
        log["entries"].as_array().unwrap().iter().filter(|entry| entry["action"] == action).count()
    };
    assert_eq!((count(&here, "remote_key_added"), count(&here, "remote_use")), (1, 8));
    world.done(&["audit", "verify"]);

    // The bunker is gone: that is said, and nothing hangs.
    serving.kill();
    drop(net);
    let late = world.run(&["--json", "sign-event", "--key", "remote", "--kind", "1"]);
    assert_eq!(late.code, Some(6), "{late:?}");
    world.done(&["delete", "--name", "remote", "--yes"]);
    assert_eq!(world.done(&["--json", "list"]).json()["keys"].as_array().unwrap().len(), 0);
}

/// What the owner said about the command line is judged here, before anything leaves for the other bunker.
#[test]
fn the_policy_of_the_command_line_holds_for_keys_of_other_bunkers() {
    let (holder, net) = (World::with_key(), Net::new());
    let (_serving, url) = serve(&holder, &net);
    let world = World::with_vault();
    world.run_with(&["import", "--name", "remote", "--bunker", "-"], &url, |_| {});
    let policy = r#"
        name = "cli"
        otherwise = "deny"
        [[rule]]
        effect = "allow"
        kinds = [1]
        limits = { uses = 2 }
        [[rule]]
        effect = "ask"
        kinds = [0]
        [[rule]]
        effect = "allow"
        methods = ["nip44_encrypt"]
        peers = ["self"]
        [[rule]]
        effect = "allow"
        methods = ["nip44_decrypt"]
        plaintext = ["text"]
    "#;
    std::fs::write(world.path().join("cli.toml"), policy).unwrap();
    world.done(&["policy", "add", "cli.toml"]);
    let sign = |kind: &str| world.run(&["--json", "sign-event", "--key", "remote", "--kind", kind]);
    let refused = |ran: crate::world::Ran, code: &str, part: &str| {
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(ran.error()["error"]["code"], code, "{ran:?}");
        assert!(ran.error()["error"]["message"].as_str().unwrap().contains(part), "{ran:?}");
    };
    let call = |arguments: &[&str]| world.run(&[&["--json", "nip46", "call", "remote"], arguments].concat());
    refused(sign("7"), "refused_by_policy", "denied by your policy cli");
    refused(sign("0"), "approval_unavailable", "nobody could be asked");
    assert_eq!((sign("1").code, sign("1").code), (Some(0), Some(0)));
    refused(sign("1"), "refused_by_policy", "by rule 1 of the policy");
    let event = r#"{"kind":1,"content":"x","tags":[],"created_at":1700000000}"#;
    refused(call(&["sign_event", event]), "refused_by_policy", "by rule 1 of the policy");
    let other = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d";
    refused(call(&["nip44_encrypt", other, "x"]), "refused_by_policy", "denied by your policy cli");
    let sealed =
        |text: &str| call(&["nip44_encrypt", "self", text]).json()["result"].as_str().unwrap().to_owned();
    let (plain, event) = (sealed("hello"), sealed(event));
    assert_eq!(call(&["nip44_decrypt", "self", &plain]).json()["result"], "hello");
    refused(call(&["nip44_decrypt", "self", &event]), "refused_by_policy", "does not release");
    // Both logs say the same: nothing left that was refused here.
    let entries = |world: &World, action: &str| {
        let log = world.done(&["--json", "audit", "list", "--action", action]).json();
        let outcome = |entry: &serde_json::Value| entry["outcome"].as_str().unwrap().to_owned();
        let mut all: Vec<String> = log["entries"].as_array().unwrap().iter().map(outcome).collect();
        all.sort_unstable();
        all
    };
    let here = entries(&world, "remote_use");
    let count = |outcome: &str| here.iter().filter(|one| *one == outcome).count();
    assert_eq!((count("allowed"), count("refused"), count("unanswered"), count("failed")), (6, 4, 1, 1));
    assert_eq!(entries(&holder, "sign_event"), ["allowed", "allowed"]);
    world.done(&["audit", "verify"]);
    // A forgotten key takes its counters along; without the policy all is as before.
    world.done(&["policy", "remove", "cli"]);
    assert_eq!(sign("7").code, Some(0));
    world.done(&["delete", "--name", "remote", "--yes"]);
}
