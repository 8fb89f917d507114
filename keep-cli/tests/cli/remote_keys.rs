//! A key that another bunker holds, as a key of this vault.

use keep_sdk::Event;

use crate::serving::{Net, Serving};
use crate::world::{NSEC, PUBKEY, World};

/// Another secret key.
const NSEC_OF_ANOTHER: &str = "5555555555555555555555555555555555555555555555555555555555555555";

#[test]
fn another_bunker_is_asked_for_signatures_and_messages() {
    let (holder, net) = (World::with_key(), Net::new());
    let mut serving = Serving::of(holder.command(&[
        "--json",
        "serve",
        "--headless",
        "--policy",
        "full",
        "--relay",
        &net.url(),
    ]));
    let url = serving.next()["bunker_url"].as_str().unwrap().to_owned();
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
