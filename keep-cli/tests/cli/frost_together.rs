//! Bitcoin transactions of a group at the command line: in one vault, in two that each have the PSBT, within limits, and
//! shown to the person who confirms them.

use std::path::{Path, PathBuf};

use crate::daemon::{Unlocked, eventually};
use crate::frost::{command, done, run};
use crate::world::{World, finish};

/// A 2-of-2 group made for these tests: shares 1 and 2, and what it would pay.
fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/frost").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Whom the transaction pays.
const BOB: &str = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";

fn vault(world: &World, name: &str, shares: &[&str]) -> PathBuf {
    let path = world.path().join(name);
    done(world, &path, &["init"]);
    for share in shares {
        let imported = run(world, &path, &["frost", "import", "--name", "family"], &fixture(share));
        assert_eq!(imported.code, Some(0), "{imported:?}");
    }
    path
}

fn psbts(world: &World) {
    for name in ["pay.psbt", "other.psbt"] {
        std::fs::write(world.path().join(name), fixture(name)).unwrap();
    }
}

#[test]
fn a_group_pays_within_its_limits() {
    let world = World::new();
    psbts(&world);
    let vault = vault(&world, "v", &["1.kshare", "2.kshare"]);
    let pay = ["--json", "frost", "sign-psbt", "--psbt", "pay.psbt", "--finalize"];
    let paid = done(&world, &vault, &pay).json();
    assert_eq!((paid["signatures"].as_u64(), paid["leaving_sats"].as_u64()), (Some(2), Some(31_000)));
    let limits =
        done(&world, &vault, &["bitcoin", "limits", "--group", "family", "--per-transaction", "30000"]);
    assert!(limits.stdout.contains("30000 sats"), "{limits:?}");
    let refused = run(&world, &vault, &pay, "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(refused.error()["error"]["code"], "refused_by_policy");
    assert!(refused.stderr.contains("31000 sats would leave, over the limit of 30000"), "{refused:?}");
    let hash = run(&world, &vault, &["frost", "sign", "--message-hex", &"ab".repeat(32)], "");
    assert_eq!(hash.code, Some(1), "{hash:?}");
    done(&world, &vault, &["bitcoin", "limits", "--group", "family", "--clear", "--block", BOB]);
    assert!(run(&world, &vault, &pay, "").stderr.contains("which is blocked"));
    done(&world, &vault, &["bitcoin", "limits", "--group", "family", "--clear"]);
    done(&world, &vault, &pay);
    let log = done(&world, &vault, &["--json", "audit", "list"]).stdout;
    assert!(log.contains(&format!("30000 to {BOB}")), "{log}");
}

#[test]
fn two_vaults_pay_with_a_psbt_each() {
    let world = World::new();
    psbts(&world);
    let (one, two) = (vault(&world, "one", &["1.kshare"]), vault(&world, "two", &["2.kshare"]));
    let stick = world.path().join("stick");
    let propose = [
        "--json",
        "frost",
        "sign-psbt",
        "--psbt",
        "pay.psbt",
        "--finalize",
        "--interactive",
        "--yes",
        "--exchange",
        stick.to_str().unwrap(),
    ];
    let coordinator = command(&world, &one, &propose).spawn().unwrap();
    let join = |psbt: &str, more: &[&str]| {
        let mut words = vec!["frost", "sign-psbt", "--psbt", psbt, "--interactive", "--join", "--exchange"];
        words.push(stick.to_str().unwrap());
        words.extend(more);
        run(&world, &two, &words, "")
    };
    let other = join("other.psbt", &["--yes"]);
    assert_eq!(other.code, Some(5), "{other:?}");
    assert!(other.stderr.contains("another transaction than yours"), "{other:?}");
    // Nobody is asked here, so nothing is agreed to; what would be is shown.
    let unasked = join("pay.psbt", &[]);
    assert_eq!(unasked.code, Some(1), "{unasked:?}");
    assert!(unasked.stderr.contains("31000 sats leave"), "{unasked:?}");
    assert!(unasked.stderr.contains(&format!("30000 sats to {BOB}")), "{unasked:?}");
    // The other side's own limits hold there.
    done(&world, &two, &["bitcoin", "limits", "--group", "family", "--per-transaction", "30000"]);
    let shown = join("pay.psbt", &[]);
    assert!(shown.stderr.contains("over a limit"), "{shown:?}");
    done(&world, &two, &["bitcoin", "limits", "--group", "family", "--clear"]);
    let signed = join("pay.psbt", &["--yes", "--from", "1"]);
    assert_eq!(signed.code, Some(0), "{signed:?}");
    let paid = finish(coordinator, "").json();
    assert_eq!((paid["signatures"].as_u64(), paid["complete"].as_bool()), (Some(2), Some(true)));
    assert_eq!(std::fs::read_dir(&stick).unwrap().count(), 0);
}

/// A member with a grant for transactions spends within the limits here, and not beyond.
#[test]
fn a_granted_member_pays_within_limits() {
    let world = World::new();
    psbts(&world);
    let (one, two) = (vault(&world, "one", &["1.kshare"]), vault(&world, "two", &["2.kshare"]));
    let limit = |sats: &str| {
        done(&world, &two, &["bitcoin", "limits", "--group", "family", "--per-transaction", sats]);
    };
    let pay = || {
        let stick = world.path().join("stick");
        let _ = std::fs::remove_dir_all(&stick);
        let words = ["frost", "sign-psbt", "--psbt", "pay.psbt", "--interactive", "--exchange"];
        let words = [&words[..], &[stick.to_str().unwrap()]].concat();
        let propose = [&["--json"], &words[..], &["--finalize", "--yes"]].concat();
        let mut coordinator = command(&world, &one, &propose).spawn().unwrap();
        let joined = run(&world, &two, &[&words[..], &["--join"]].concat(), "");
        if joined.code == Some(0) {
            return (joined, finish(coordinator, "").json()["complete"].as_bool());
        }
        coordinator.kill().unwrap();
        coordinator.wait().unwrap();
        (joined, None)
    };
    limit("40000");
    let (unasked, _) = pay();
    assert_eq!(unasked.code, Some(1), "{unasked:?}");
    done(&world, &two, &["frost", "grant", "--to", "1", "--allow", "transactions", "--uses", "3"]);
    let (joined, complete) = pay();
    assert_eq!((joined.code, complete), (Some(0), Some(true)), "{joined:?}");
    limit("30000");
    let (over, _) = pay();
    assert_eq!(over.code, Some(1), "{over:?}");
    done(&world, &two, &["bitcoin", "limits", "--group", "family", "--clear"]);
    let (unlimited, _) = pay();
    assert_eq!(unlimited.code, Some(1), "{unlimited:?}");
    let left = done(&world, &two, &["--json", "frost", "show"]).json();
    assert_eq!(left["grants"][0]["uses_left"], 2, "{left}");
}

#[test]
fn the_person_who_confirms_sees_where_the_coins_go() {
    let vault = Unlocked::with(&["--confirm"]);
    let world = &vault.0;
    psbts(world);
    for share in ["1.kshare", "2.kshare"] {
        let share = fixture(share);
        let ran = world.run_with(&["frost", "import", "--name", "family"], &share, |command| {
            command.env("KEEP_PASSPHRASE", "share passphrase of the tests");
        });
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let mut paying = world.command(&["--json", "frost", "sign-psbt", "--psbt", "pay.psbt", "--finalize"]);
    paying.env_remove("KEEP_PASSWORD");
    let paying = paying.spawn().unwrap();
    let mut waiting = serde_json::Value::Null;
    eventually("nothing waits", || {
        let pending = vault.run(&["--json", "pending"]).json();
        let list = pending.as_array().or_else(|| pending["pending"].as_array()).cloned().unwrap();
        waiting = list.first().cloned().unwrap_or_default();
        !waiting.is_null()
    });
    let shown = waiting.to_string();
    assert!(shown.contains(BOB) && shown.contains("31000") && shown.contains("sign_psbt"), "{shown}");
    world.done(&["approve", waiting["id"].as_str().unwrap()]);
    let paid = finish(paying, "").json();
    assert_eq!(paid["complete"], true);
}
