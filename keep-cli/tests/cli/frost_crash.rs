//! Kills between the steps of everything that a group goes through, backups that are put back, and nothing secret in all
//! that is said meanwhile.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::frost::{Commitments, EXPORT_COST, JOIN, PROPOSE, Talking, command, copy, done, run, two_vaults};
use crate::frost_import::bip445;
use crate::world::{Ran, World};

/// Runs a command that dies after each of some times, and then lets it come to its end.
fn through_kills(world: &World, vault: &Path, arguments: &[&str], stdin: &str) -> Ran {
    for millis in [2_u64, 15, 30, 60, 120] {
        let mut child = command(world, vault, arguments).spawn().unwrap();
        if !stdin.is_empty() {
            use std::io::Write as _;
            let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        }
        std::thread::sleep(Duration::from_millis(millis));
        let _ = child.kill();
        child.wait().unwrap();
    }
    run(world, vault, arguments, stdin)
}

/// Both sides sign; what they commit to is kept.
fn sign_together(world: &World, one: &Path, two: &Path, npub: &str, seen: &mut Commitments) {
    let mut coordinator = Talking::start(command(world, one, &PROPOSE));
    let mut signer = Talking::start(command(world, two, &JOIN));
    signer.say(&coordinator.line());
    let commitment = signer.line();
    coordinator.say(&commitment);
    let package = coordinator.line();
    signer.say(&package);
    coordinator.say(&signer.line());
    let signature = coordinator.line();
    assert_eq!((signer.end(), coordinator.end()), (Some(0), Some(0)));
    seen.of_signer(&commitment);
    seen.of_package(&package, &commitment);
    let verify = ["frost", "verify", "--group", npub, "--message", "over the gap", "--signature", &signature];
    done(world, one, &verify);
}

#[test]
fn renewal_repair_and_import_survive_kills_between_their_steps() {
    let world = World::new();
    let (one, two, npub) = two_vaults(&world, &[]);
    let mut seen = Commitments::default();
    sign_together(&world, &one, &two, &npub, &mut seen);
    // A renewal among vaults: every step is killed several times and said again.
    let stick = world.path().join("stick");
    let refresh = ["--json", "frost", "refresh", "--exchange", stick.to_str().unwrap(), "--yes"];
    let mut over = BTreeSet::new();
    for _ in 0..6 {
        for vault in [&one, &two] {
            let ran = through_kills(&world, vault, &refresh, "");
            if ran.json()["done"] == true {
                over.insert(vault.clone());
            }
        }
    }
    assert_eq!(over.len(), 2);
    sign_together(&world, &one, &two, &npub, &mut seen);

    // An import, and a share that is lost and made again with the help of two other vaults.
    let (three, lost) = (world.path().join("three"), world.path().join("lost"));
    for vault in [&three, &lost] {
        done(&world, vault, &["init"]);
    }
    let all = world.path().join("all");
    done(&world, &all, &["init"]);
    let group = done(&world, &all, &["--json", "frost", "generate", "-t", "2", "-s", "3", "--name", "pair"]);
    let npub = group.json()["npub"].as_str().unwrap().to_owned();
    let export = |share: &str| {
        let mut words = vec!["frost", "export", "--share", share];
        words.extend(EXPORT_COST);
        done(&world, &all, &words).stdout
    };
    let (first, third) = (export("1"), export("3"));
    let imported = through_kills(&world, &three, &["frost", "import", "--name", "pair"], &third);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    for share in ["1", "3"] {
        done(&world, &all, &["frost", "delete-share", "--share", share, "--yes"]);
    }
    // The vault that lost share 1 knows what is public only.
    let public = done(&world, &all, &["frost", "export", "--public"]).stdout;
    assert_eq!(run(&world, &lost, &["frost", "import", "--name", "pair"], &public).code, Some(0));
    let stick = world.path().join("repair");
    let dir = stick.to_str().unwrap();
    let helps = ["--json", "frost", "repair", "--share", "1", "--exchange", dir, "--yes"];
    let mine = [
        "--json",
        "frost",
        "repair",
        "--share",
        "1",
        "--mine",
        "--exchange",
        dir,
        "--helpers",
        "2,3",
        "--yes",
    ];
    let mut repaired = false;
    for _ in 0..6 {
        for (vault, words) in [(&lost, mine.as_slice()), (&all, &helps), (&three, &helps)] {
            let ran = through_kills(&world, vault, words, "");
            // One that was killed may have been through already, and only not have said so.
            repaired |= vault == &lost && ran.stderr.contains("it needs no repair");
            repaired |= vault == &lost && ran.code == Some(0) && ran.json()["done"] == true;
        }
        if repaired {
            break;
        }
    }
    assert!(repaired);
    // Its share is the lost one: it signs with any other.
    let share = run(&world, &lost, &["frost", "import", "--name", "pair"], &first);
    assert!(share.code == Some(0) || share.stderr.contains("device keys"), "{share:?}");
    sign_together(&world, &lost, &all, &npub, &mut seen);
}

/// A split that dies at any point leaves the key, or a group that signs under it, or both: never neither.
#[test]
fn a_killed_split_loses_no_key() {
    let world = World::new();
    for round in 0..8_u64 {
        let vault = world.path().join(format!("v{round}"));
        done(&world, &vault, &["init"]);
        done(&world, &vault, &["generate", "--name", "main"]);
        let keys = done(&world, &vault, &["--json", "list"]).json();
        let pubkey = keys["keys"][0]["pubkey"].as_str().unwrap().to_owned();
        let split = ["frost", "split", "--key", "main", "-t", "2", "-s", "3", "--name", "g", "--yes"];
        let mut child = command(&world, &vault, &split).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * round * 5));
        let _ = child.kill();
        child.wait().unwrap();
        let keys = done(&world, &vault, &["--json", "list"]).json();
        let groups = done(&world, &vault, &["--json", "frost", "list"]).json();
        let whole = keys["keys"].as_array().unwrap().iter().any(|key| key["pubkey"] == pubkey.as_str());
        match groups["groups"].as_array().unwrap().as_slice() {
            [] => {
                // It had not begun: it is done again.
                assert!(whole, "the key is lost");
                done(&world, &vault, &split);
            }
            [group] => assert_eq!(group["pubkey"], pubkey.as_str()),
            more => panic!("{more:?}"),
        }
        let signature = done(&world, &vault, &["frost", "sign", "--message", "m"]).stdout;
        let verify =
            ["frost", "verify", "--group", &pubkey, "--message", "m", "--signature", signature.trim()];
        done(&world, &vault, &verify);
        done(&world, &vault, &["audit", "verify"]);
    }
}

/// A backup does not say whether its shares are the present ones: the group waits for the owner's word. And whatever was
/// signed since, no nonce comes back with it.
#[test]
fn a_restored_vault_signs_once_it_was_confirmed() {
    let world = World::new();
    let (one, two, npub) = two_vaults(&world, &[]);
    let mut seen = Commitments::default();
    sign_together(&world, &one, &two, &npub, &mut seen);
    let backup = world.path().join("two.age");
    done(&world, &two, &["backup", "--output", backup.to_str().unwrap()]);
    for _ in 0..3 {
        sign_together(&world, &one, &two, &npub, &mut seen);
    }
    let restored = world.path().join("restored");
    let mut restore = vec!["restore", backup.to_str().unwrap(), "--target", restored.to_str().unwrap()];
    restore.extend(crate::world::CHEAP);
    let mut restoring = command(&world, &restored, &restore);
    restoring.env("KEEP_NEW_PASSWORD", crate::world::PASSPHRASE);
    let ran = crate::world::finish(restoring.spawn().unwrap(), "");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let join = ["frost", "sign", "--interactive", "--yes"];
    let mut coordinator = Talking::start(command(&world, &one, &PROPOSE));
    let proposal = coordinator.line();
    coordinator.kill();
    let refused = run(&world, &restored, &join, &format!("{proposal}\n"));
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("keep frost confirm"), "{refused:?}");
    let unasked = run(&world, &restored, &["frost", "confirm"], "");
    assert_eq!(unasked.code, Some(1), "{unasked:?}");
    done(&world, &restored, &["frost", "confirm", "--yes"]);
    for _ in 0..3 {
        sign_together(&world, &one, &restored, &npub, &mut seen);
    }
    // The old one beside it, and an older copy of its directory: each makes nonces of its own.
    let clone = world.path().join("clone");
    copy(&two, &clone);
    for vault in [&two, &clone, &restored] {
        sign_together(&world, &one, vault, &npub, &mut seen);
    }
}

/// The forms in which a secret could show.
fn forms(secret: &str) -> Vec<String> {
    let bytes: Vec<u8> =
        (0..secret.len()).step_by(2).map(|at| u8::from_str_radix(&secret[at..at + 2], 16).unwrap()).collect();
    let list: Vec<String> = bytes.iter().take(10).map(ToString::to_string).collect();
    let reversed: String = bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    vec![secret.to_lowercase(), secret.to_uppercase(), list.join(", "), reversed]
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Shares whose bytes the test knows go through everything, with everything logged: none of them shows anywhere.
#[test]
fn no_share_shows_in_logs_views_or_the_audit_log() {
    let world = World::new();
    let vault = world.path().join("v");
    done(&world, &vault, &["init"]);
    let material = bip445();
    let secrets: Vec<String> = material["secshares"]
        .as_array()
        .unwrap()
        .iter()
        .take(3)
        .flat_map(|share| forms(share.as_str().unwrap()))
        .collect();
    let text = material.to_string();
    let mut all = String::new();
    let mut traced = |arguments: &[&str], stdin: &str| {
        let mut command = command(&world, &vault, arguments);
        command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
        let ran = crate::world::finish(command.spawn().unwrap(), stdin);
        all.push_str(&ran.stdout);
        all.push_str(&ran.stderr);
        ran
    };
    let mut export = vec!["--json", "-vvv", "frost", "export", "--share", "1"];
    export.extend(EXPORT_COST);
    for (arguments, stdin, code) in [
        (["--json", "-vvv", "frost", "import", "--name", "g"].as_slice(), text.as_str(), 0),
        (&["--json", "-vvv", "frost", "import"], &text.replacen("\"t\":2", "\"t\":3", 1), 5),
        (&["--json", "-vvv", "frost", "import"], &text[..text.len() - 9], 5),
        (&["--json", "-vvv", "frost", "list"], "", 0),
        (&["--json", "-vvv", "frost", "show"], "", 0),
        (&["--json", "-vvv", "frost", "sign", "--message", "m"], "", 0),
        (&["--json", "-vvv", "frost", "device", "--rotate", "1"], "", 0),
        (&["--json", "-vvv", "frost", "sign", "--message", "m", "--interactive", "--signers", "1"], "", 5),
        (&export, "", 0),
        (&["--json", "-vvv", "frost", "delete-share", "--share", "2", "--yes"], "", 0),
        (&["--json", "-vvv", "frost", "repair", "--share", "2", "--yes"], "", 0),
        (&["--json", "-vvv", "frost", "refresh", "--yes"], "", 0),
        (&["--json", "-vvv", "audit", "list"], "", 0),
        (&["--json", "-vvv", "audit", "verify"], "", 0),
    ] {
        let ran = traced(arguments, stdin);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
    }
    assert!(all.len() > 5_000, "nothing was logged");
    for secret in &secrets {
        assert!(!all.contains(secret.as_str()), "a share shows");
    }
    for word in ["SigningNonces", "hiding", "binding", "signing_share", "SigningShare"] {
        assert!(!all.contains(word), "{word}");
    }
    // Nor do its bytes lie in a file of the vault.
    let mut found = Vec::new();
    files(&vault, &mut found);
    for path in found {
        let content = std::fs::read(&path).unwrap();
        for share in material["secshares"].as_array().unwrap().iter().take(3) {
            let bytes: Vec<u8> = share
                .as_str()
                .unwrap()
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
                .collect();
            assert!(!content.windows(16).any(|window| window == &bytes[..16]), "{}", path.display());
        }
    }
    let _: Value = done(&world, &vault, &["--json", "frost", "show"]).json();
}
