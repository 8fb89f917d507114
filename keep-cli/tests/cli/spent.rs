//! What may have been spent in a state of the vault that is gone is not given back: rates and budgets.

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
        restore(&world);
        assert_spent(&world);
    }
}

/// Takes all records of these collections out of the vault, behind Keep's back.
fn take_away(world: &World, collections: &[u8]) {
    let database = rusqlite::Connection::open(world.vault_file("keep.db")).unwrap();
    let gone = |number| database.execute("DELETE FROM rows WHERE coll = ?1", [number]).unwrap();
    assert!(collections.iter().map(gone).sum::<usize>() > 0);
}

#[test]
fn a_policy_that_was_lost_begins_with_nothing_left() {
    for used in [false, true] {
        let world = world(used);
        assert_eq!([code(&world, "1"), code(&world, "1")], [Value::Null, Value::Null]);
        // The counters, and the policy.
        take_away(&world, &[5, 11]);
        world.done(&["doctor", "--accept", "--yes"]);
        // Uses without a policy are counted from there on, too.
        assert_eq!(code(&world, "1"), Value::Null);
        world.done(&["policy", "add", "cli.toml"]);
        assert_spent(&world);
    }
}

fn budget(world: &World) -> Value {
    world.done(&["--json", "bitcoin", "limits"]).json()["budgets"][0]["spent_sats"].clone()
}

fn set_budget(world: &World) {
    world.done(&["bitcoin", "limits", "--budget", "50000/24h"]);
    world.done(&["bitcoin", "limits", "--per-transaction", "20000"]);
}

#[test]
fn an_older_vault_gives_back_no_budget() {
    let world = World::with_key();
    set_budget(&world);
    assert_eq!(budget(&world), 0);
    let old = crate::audit::copied(&world);
    world.done(&["sign-event", "--kind", "1", "--content", "x"]);
    crate::audit::put_back(&world, &old);
    world.done(&["audit", "accept-rollback", "--yes"]);
    assert_eq!(budget(&world), 50_000);
}

#[test]
fn damage_gives_back_no_budget() {
    // Something else is gone, or the limits themselves.
    for (gone, left) in [(3, true), (10, false)] {
        let world = World::with_key();
        set_budget(&world);
        take_away(&world, &[gone]);
        world.done(&["doctor", "--accept", "--yes"]);
        assert_eq!(budget(&world) == 50_000, left);
        set_budget(&world);
        assert_eq!(budget(&world), 50_000);
    }
}

#[test]
fn a_backup_gives_back_no_budget() {
    let world = World::with_key();
    set_budget(&world);
    std::fs::write(world.path().join("passphrase"), "of the backup").unwrap();
    world.done(&["backup", "--output", "old.age", "--passphrase-file", "passphrase"]);
    restore(&world);
    assert_eq!(budget(&world), 50_000);
}

/// Puts the backup in the vault's place, whose device is gone.
fn restore(world: &World) {
    std::fs::remove_dir_all(world.path().join("vault")).unwrap();
    let line = ["restore", "old.age", "--passphrase-file", "passphrase", "--target", "vault", "--take-over"];
    let restored = world.run_with(&line, "", |command| {
        command.env("KEEP_NEW_PASSWORD", crate::world::PASSPHRASE);
        command.args(crate::world::CHEAP);
    });
    assert_eq!(restored.code, Some(0), "{restored:?}");
}
