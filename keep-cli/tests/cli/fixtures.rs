//! Vaults and backups that earlier versions made.

use std::path::Path;

use crate::hidden_use::IDENTITY;
use crate::world::{CHEAP, NSEC, PASSPHRASE, PUBKEY, Ran, World};

const WORDS: &str = "5974ccb6e38a9bb3e87c5620a3535316a23b785b51a7fe755b4e5a31311c94c4";
const MADE: &str = "5949fea546687af6bd7b17c645fe9675ec995452822f5df5ce94752b9b33bfe7";
const GROUP: &str = "77341f5f2f52181f6312d87ada47e96e3ee1fb6515de6e22ef2071cb3976431a";
const CODE: &str = "door impact post rule token toy tooth path payment menu atom insane garlic rally pottery turtle settle \
                    shoot current add remain lawn refuse error";

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Everything that the vault of version 1 had is there and can be used.
fn expect_everything(run: impl Fn(&[&str]) -> Ran) {
    let done = |arguments: &[&str]| {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran
    };
    let list = done(&["--json", "list"]).json();
    let found: Vec<_> =
        list["keys"].as_array().unwrap().iter().map(|key| (&key["name"], &key["pubkey"])).collect();
    for key in [("main", PUBKEY), ("words", WORDS), ("made", MADE)] {
        assert!(found.iter().any(|(name, pubkey)| **name == key.0 && **pubkey == key.1), "{key:?}: {list}");
        done(&["--key", key.0, "sign-event", "--kind", "1", "--content", "of an old vault"]);
        done(&["bitcoin", "address", "--key", key.0]);
    }
    assert_eq!(done(&["secret", "get", "--name", "token"]).stdout.trim_end(), "s3cret");
    let groups = done(&["--json", "frost", "list"]).json();
    assert_eq!(groups["groups"][0]["pubkey"], GROUP, "{groups}");
    done(&["frost", "sign", "--group", "group", "--message", "of an old vault"]);
    assert_eq!(done(&["--json", "agent", "show", "bot"]).json()["name"], "bot");
    done(&["nip46", "token", "list"]);
    done(&["audit", "verify"]);
}

#[test]
fn a_vault_of_version_1_opens() {
    let world = World::new();
    std::fs::create_dir(world.path().join("vault")).unwrap();
    std::fs::copy(fixture("vault-1.db"), world.vault_file("keep.db")).unwrap();
    expect_everything(|arguments| world.run(arguments));
    let by_code = world.run_with(&["list"], "", |command| {
        command.env("KEEP_PASSWORD", CODE);
    });
    assert_eq!(by_code.code, Some(0), "{by_code:?}");
    world.done(&["rotate-data-key", "--yes"]);
    expect_everything(|arguments| world.run(arguments));
}

#[test]
fn a_backup_of_version_1_is_restored() {
    let world = World::new();
    std::fs::write(world.path().join("identity"), IDENTITY).unwrap();
    let backup = fixture("backup-1.age");
    let backup = backup.to_str().unwrap();
    world.done(&["backup", "verify", backup, "--identity-file", "identity"]);
    let restore = ["restore", backup, "--identity-file", "identity", "--target", "vault", "--take-over"];
    let restored = world.run_with(&restore, "", |command| {
        command.args(CHEAP).env("KEEP_NEW_PASSWORD", PASSPHRASE);
    });
    assert_eq!(restored.code, Some(0), "{restored:?}");
    // Nobody but the owner knows whether the shares are the present ones.
    world.done(&["frost", "confirm", "--group", "group", "--yes"]);
    expect_everything(|arguments| world.run(arguments));
    let again = world.run_with(&["import", "--name", "again"], NSEC, |_| {});
    assert_eq!(again.code, Some(5), "the key is there already: {again:?}");
}
