//! Rates that may have been spent in a state of the vault that is gone are not given back.

use serde_json::Value;

use crate::world::World;

/// Two notes a day, and as many reactions as one likes.
const POLICY: &str = "name = \"cli\"\notherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\nlimits = { per_day = 2 }\n\
                      [[rule]]\neffect = \"allow\"\nkinds = [7]\n";

/// A vault with that policy. `used` says whether something is counted of the command line already.
fn world(used: bool) -> World {
    let world = World::with_key();
    std::fs::write(world.path().join("cli.toml"), POLICY).unwrap();
    world.done(&["policy", "add", "cli.toml"]);
    if used {
        assert_eq!(code(&world, "7"), Value::Null);
    }
    world
}

/// The code of the error, or null.
fn code(world: &World, kind: &str) -> Value {
    let ran = world.run(&["--json", "sign-event", "--kind", kind, "--content", "x"]);
    if ran.code == Some(0) { Value::Null } else { ran.error()["error"]["code"].clone() }
}

/// What had been counted in the lost state counts, and nothing else is held back.
fn assert_spent(world: &World) {
    assert_eq!((code(world, "1"), code(world, "7")), ("rate_limited".into(), Value::Null));
}

#[test]
fn an_older_vault_gives_back_no_rates_of_rules() {
    for used in [false, true] {
        let world = world(used);
        let old = crate::audit::copied(&world);
        assert_eq!([code(&world, "1"), code(&world, "1")], [Value::Null, Value::Null]);
        assert_spent(&world);
        crate::audit::put_back(&world, &old);
        world.done(&["audit", "accept-rollback", "--yes"]);
        assert_spent(&world);
        // A key was last used when it was, and not when its rates were spent.
        let last = world.done(&["--json", "list"]).json()["keys"][0]["last_used"].clone();
        assert!(!last.is_null(), "{last}");
    }
}

#[test]
fn damage_gives_back_no_rates_of_rules() {
    for used in [false, true] {
        let world = world(used);
        let database = rusqlite::Connection::open(world.vault_file("keep.db")).unwrap();
        // The counters go, or where there are none, the log.
        let taken = if used { "DELETE FROM rows WHERE coll = 5" } else { "DELETE FROM rows WHERE coll = 3" };
        assert!(database.execute(taken, []).unwrap() > 0);
        drop(database);
        world.done(&["doctor", "--accept", "--yes"]);
        assert_spent(&world);
    }
}

#[test]
fn a_backup_gives_back_no_rates_of_rules() {
    for used in [false, true] {
        let world = world(used);
        std::fs::write(world.path().join("passphrase"), "of the backup").unwrap();
        world.done(&["backup", "--output", "old.age", "--passphrase-file", "passphrase"]);
        assert_eq!([code(&world, "1"), code(&world, "1")], [Value::Null, Value::Null]);
        std::fs::remove_dir_all(world.path().join("vault")).unwrap();
        let restored = world.run_with(
            &["restore", "old.age", "--passphrase-file", "passphrase", "--target", "vault", "--take-over"],
            "",
            |command| {
                command.env("KEEP_NEW_PASSWORD", crate::world::PASSPHRASE);
                command.args(crate::world::CHEAP);
            },
        );
        assert_eq!(restored.code, Some(0), "{restored:?}");
        assert_spent(&world);
    }
}
