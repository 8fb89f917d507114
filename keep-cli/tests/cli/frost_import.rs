//! Shares of other software through the command line, every misuse with its own message, and what import may not do.

use std::path::Path;

use serde_json::{Value, json};

use crate::frost::{EXPORT_COST, Talking, command, done, run, two_vaults};
use crate::world::World;

fn vectors(name: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/keep-frost/tests/vectors");
    serde_json::from_str(&std::fs::read_to_string(root.join(name)).unwrap()).unwrap()
}

/// The 2-of-3 group of BIP-445's vectors, whose secret shares everybody knows.
pub fn bip445() -> Value {
    let file = vectors("bip445-frost-signing/sign_verify_vectors.json");
    let groups = file["test_groups"].as_array().unwrap();
    let group = groups.iter().find(|g| g["t"] == 2 && g["n"] == 3).unwrap();
    let mut kept = json!({});
    for field in ["t", "n", "thresh_pk", "pubshares", "secshares"] {
        kept[field] = group[field].clone();
    }
    kept
}

fn vault(world: &World, name: &str) -> std::path::PathBuf {
    let path = world.path().join(name);
    done(world, &path, &["init"]);
    path
}

fn signs(world: &World, vault: &Path) {
    let signature = done(world, vault, &["frost", "sign", "--message", "still ours"]).stdout;
    let verify = ["frost", "verify", "--message", "still ours", "--signature", signature.trim()];
    done(world, vault, &verify);
}

#[test]
fn key_material_of_other_software_signs() {
    let world = World::new();
    let material = bip445();
    let one = vault(&world, "one");
    let text = material.to_string();
    let imported = run(&world, &one, &["--json", "frost", "import", "--name", "theirs"], &text).json();
    assert_eq!((&imported["imported"], &imported["group"]["status"]), (&json!([1, 2, 3]), &json!("active")));
    signs(&world, &one);

    // The same group as packages of the Zcash Foundation's crates: identifiers count from 1.
    let two = vault(&world, "two");
    let lower = |value: &Value| value.as_str().unwrap().to_lowercase();
    let header = json!({"version": 0, "ciphersuite": "FROST-secp256k1-SHA256-TR-v1"});
    let id = |index: usize| format!("{index:064x}");
    let package = |index: usize| {
        json!({
            "header": header, "identifier": id(index), "min_signers": 2,
            "signing_share": lower(&material["secshares"][index - 1]),
            "verifying_share": lower(&material["pubshares"][index - 1]),
            "verifying_key": lower(&material["thresh_pk"]),
        })
    };
    let mut shares = json!({});
    for index in 1..=3 {
        shares[id(index)] = json!(lower(&material["pubshares"][index - 1]));
    }
    let public = json!({
        "header": header, "verifying_shares": shares, "verifying_key": lower(&material["thresh_pk"]), "min_signers": 2,
    });
    let texts = format!("{}\n{}\n{public}", package(1), package(3));
    let imported = run(&world, &two, &["--json", "frost", "import", "--name", "zf"], &texts).json();
    assert_eq!(imported["imported"], json!([1, 3]));
    assert_eq!(imported["group"]["pubkey"].as_str().unwrap(), &lower(&material["thresh_pk"])[2..]);
    signs(&world, &two);
    let mut wrong = package(2);
    wrong["signing_share"] = json!(lower(&material["secshares"][0]));
    let refused = run(&world, &two, &["frost", "import"], &format!("{wrong}\n{public}"));
    assert_eq!(refused.code, Some(7), "{refused:?}");
    assert!(refused.stderr.contains("does not fit the group's public share"), "{refused:?}");
}

#[test]
fn a_frostr_group_signs_only_after_it_was_re_shared() {
    let world = World::new();
    let vault = vault(&world, "v");
    let file = vectors("frostr/alice-and-bob.json");
    let mut text = file["group"].as_str().unwrap().to_owned();
    for share in file["shares"].as_array().unwrap() {
        text.push('\n');
        text.push_str(share.as_str().unwrap());
    }
    let imported = run(&world, &vault, &["--json", "frost", "import", "--name", "old"], &text);
    assert!(
        imported.stderr.contains("only after `keep frost refresh`") || imported.code == Some(0),
        "{imported:?}"
    );
    let group = imported.json()["group"].clone();
    assert_eq!(group["status"], "must_reshare");
    for arguments in [
        ["frost", "sign", "--message", "x"].as_slice(),
        &["sign-event", "--group", "old", "--kind", "1", "--content", "x"],
        &["frost", "sign", "--message", "x", "--interactive"],
    ] {
        let refused = run(&world, &vault, arguments, "");
        assert_eq!(refused.code, Some(1), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains("must be re-shared before use"), "{refused:?}");
    }
    done(&world, &vault, &["frost", "refresh", "--drop", "3", "--yes"]);
    signs(&world, &vault);
    let now = done(&world, &vault, &["--json", "frost", "show"]).json();
    assert_eq!(
        (&now["status"], &now["pubkey"], &now["epoch"]),
        (&json!("active"), &group["pubkey"], &json!(1))
    );
    // What came from there does not come back.
    let again = run(&world, &vault, &["frost", "import", "--replace"], &text);
    assert_eq!(again.code, Some(5), "{again:?}");
    assert!(again.stderr.contains("this is of epoch 0, the group is at epoch 1"), "{again:?}");
}

fn export(world: &World, vault: &Path, group: &str, share: &str, form: &str) -> String {
    let mut words = vec!["frost", "export", "--group", group, "--share", share, "--format", form];
    words.extend(EXPORT_COST);
    done(world, vault, &words).stdout
}

/// Runs a command that is refused, and says how.
fn refused(world: &World, vault: &Path, arguments: &[&str], stdin: &str) -> String {
    let ran = run(world, vault, arguments, stdin);
    assert!(ran.code.is_some_and(|code| code != 0 && code != 70), "{arguments:?}: {ran:?}");
    assert_eq!(ran.stdout, "", "{arguments:?}");
    ran.stderr
}

#[test]
fn each_misuse_has_its_own_message() {
    let world = World::new();
    let (one, two) = (vault(&world, "one"), vault(&world, "two"));
    for (name, more) in [("a", None), ("b", None), ("ed", Some("--ed25519"))] {
        let mut generate = vec!["frost", "generate", "-t", "2", "-s", "3", "--name", name];
        generate.extend(more);
        done(&world, &one, &generate);
    }
    let share = export(&world, &one, "a", "1", "bech32");
    let import = ["frost", "import"];
    let delete = ["frost", "delete-share", "--group", "b", "--share", "3", "--yes"];
    done(&world, &one, &delete);
    let again = run(&world, &one, &delete, "");
    assert_eq!(again.code, Some(3), "{again:?}");
    assert!(again.stderr.contains("the share of member 3 is not in this vault"), "{again:?}");
    let alone = run(&world, &one, &["sign-event", "--kind", "1", "--content", "x", "--interactive"], "");
    assert_eq!(alone.code, Some(2), "{alone:?}");
    assert!(alone.stderr.contains("--group"), "{alone:?}");
    let mut said = vec![
        refused(&world, &one, &["frost", "sign", "--group", "a", "--message", "m", "--signers", "1,9"], ""),
        refused(&world, &one, &["frost", "sign", "--group", "a", "--message", "m", "--signers", "1"], ""),
        refused(&world, &one, &["frost", "sign", "--group", "nobody", "--message", "m"], ""),
        refused(&world, &one, &["sign-event", "--group", "ed", "--kind", "1", "--content", "m"], ""),
        refused(&world, &one, &["frost", "sign", "--group", "ed", "--message-hex", &"00".repeat(64)], ""),
        refused(&world, &two, &import, &share[..share.len() - 20]),
        refused(
            &world,
            &two,
            &import,
            &export(&world, &one, "a", "1", "json").replace("\"epoch\": 0", "\"epoch\": 1"),
        ),
        refused(&world, &two, &import, &format!("{share}\n{}", export(&world, &one, "b", "2", "bech32"))),
        refused(&world, &two, &import, &format!("{share}\n{}", export(&world, &one, "ed", "2", "bech32"))),
        refused(&world, &two, &import, "these are no shares"),
    ];
    let mut wrong = command(&world, &two, &import);
    wrong.env("KEEP_PASSPHRASE", "another one");
    let wrong = crate::world::finish(wrong.spawn().unwrap(), &share);
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    said.push(wrong.stderr);
    let expected = [
        "member 9 does not belong to the group",
        "1 signers, but the group needs 2",
        "there is no group \"nobody\"",
        "an Ed25519 group cannot sign Nostr events",
        "64 bytes may be the digest of a file",
        "without typing errors",
        "edited or damaged after it was exported",
        "this belongs to another group",
        "this is of suite ed25519, the group of suite secp256k1-tr",
        "no share or group that Keep reads",
        "the passphrase does not open this share",
    ];
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{expected}: {said}");
        assert_eq!(expected.matches(expected).count(), 1);
    }
    assert_eq!(done(&world, &two, &["--json", "frost", "list"]).json()["groups"], json!([]));
}

/// A signature's messages go wrong in every way that another vault can see.
#[test]
fn a_session_refuses_what_is_not_its_own() {
    let world = World::new();
    let (one, two, _) = two_vaults(&world, &[]);
    let propose = ["frost", "sign", "--interactive", "--message", "m", "--quiet"];
    let join = ["frost", "sign", "--interactive", "--yes"];
    let start = || Talking::start(command(&world, &one, &propose));
    let mut first = start();
    let proposal = first.line();
    let mut second = start();
    let other = second.line();
    // A package with a commitment that this process did not make: a nonce of an earlier one.
    let mut signer = Talking::start(command(&world, &two, &join));
    signer.say(&proposal);
    first.say(&signer.line());
    let package = first.line();
    signer.kill();
    second.kill();
    first.kill();
    let says = |lines: &[&str]| {
        let ran = run(&world, &two, &join, &format!("{}\n", lines.join("\n")));
        assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
        ran.stderr
    };
    assert!(says(&[&proposal, &package]).contains("is not the one that this member made"));
    assert!(
        says(&[&proposal, &other]).contains("this message is a proposal, not a package"),
        "{}",
        says(&[&proposal, &other])
    );
    assert!(says(&[&package]).contains("not a proposal"), "{}", says(&[&package]));
    let mut edited = proposal.clone().into_bytes();
    let at = edited.len() - 10;
    edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
    let edited = String::from_utf8(edited).unwrap();
    assert!(
        says(&[&edited]).contains("not authentic") || says(&[&edited]).contains("not a valid"),
        "{}",
        says(&[&edited])
    );
    // A proposal of another epoch, after this vault has seen a renewal.
    let stick = world.path().join("stick");
    let refresh = ["--json", "frost", "refresh", "--exchange", stick.to_str().unwrap(), "--yes"];
    for _ in 0..6 {
        for vault in [&one, &two] {
            done(&world, vault, &refresh);
        }
    }
    assert!(says(&[&proposal]).contains("this is of epoch 0, the group is at epoch 1"));
}

#[test]
fn what_a_co_signer_agrees_to_can_be_said_beforehand() {
    let world = World::new();
    let (one, two, _) = two_vaults(&world, &[]);
    let propose = |what: &[&str]| {
        let mut coordinator = Talking::start(command(&world, &one, what));
        let proposal = coordinator.line();
        coordinator.kill();
        proposal
    };
    let raw = propose(&["frost", "sign", "--interactive", "--message", "m"]);
    let event = |kind: &str| {
        propose(&[
            "sign-event",
            "--group",
            "pair",
            "--kind",
            kind,
            "--content",
            "words to be seen",
            "--interactive",
        ])
    };
    let (note, list) = (event("1"), event("3"));
    // Without a terminal, what was not agreed to beforehand is refused; else a commitment comes, and then the end.
    let agrees = |proposal: &str, options: &[&str]| {
        let mut words = vec!["frost", "sign", "--interactive"];
        words.extend(options);
        let ran = run(&world, &two, &words, &format!("{proposal}\n"));
        if options.is_empty() {
            assert!(ran.stderr.contains("proposes to sign with"), "{ran:?}");
        }
        ran.stdout.starts_with("keepfrost1:")
    };
    assert!(!agrees(&raw, &[]) && !agrees(&note, &[]));
    assert!(agrees(&raw, &["--allow", "raw"]) && !agrees(&note, &["--allow", "raw"]));
    assert!(agrees(&note, &["--allow", "event:1,7"]) && !agrees(&list, &["--allow", "event:1,7"]));
    assert!(agrees(&list, &["--allow", "event"]) && !agrees(&raw, &["--allow", "event"]));
    assert!(agrees(&raw, &["--yes", "--from", "1"]) && !agrees(&raw, &["--yes", "--from", "2"]));
    let shown = run(&world, &two, &["frost", "sign", "--interactive"], &format!("{note}\n")).stderr;
    assert!(shown.contains("words to be seen") && shown.contains("kind 1"), "{shown}");
}

#[test]
fn shares_are_given_up_for_a_proof_or_for_your_word() {
    let world = World::new();
    let (one, two, _) = two_vaults(&world, &[]);
    let third = vault(&world, "third");
    let import = |words: &[&str], share: &str| {
        let mut all = vec!["--json", "frost", "import"];
        all.extend(words);
        run(&world, &third, &all, share)
    };
    assert_eq!(import(&["--name", "pair"], &export(&world, &two, "pair", "2", "bech32")).code, Some(0));
    // In a renewal among vaults the members give their word for the new shares, and exports carry it.
    let stick = world.path().join("stick");
    let refresh = ["--json", "frost", "refresh", "--exchange", stick.to_str().unwrap(), "--yes"];
    for _ in 0..6 {
        for vault in [&one, &two] {
            done(&world, vault, &refresh);
        }
    }
    let share = export(&world, &two, "pair", "2", "bech32");
    let refused = import(&[], &share);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.error()["error"]["hint"].as_str().unwrap().contains("--replace"), "{refused:?}");
    let group = |vault: &Path| done(&world, vault, &["--json", "frost", "show"]).json();
    assert_eq!((&group(&third)["epoch"], &group(&third)["shares"]), (&json!(0), &json!([2])));
    let taken = import(&["--replace"], &share).json();
    assert_eq!((&taken["proof"], &taken["group"]["epoch"]), (&json!("endorsed"), &json!(1)));
    // Without that word, or with a bent one, nothing is taken but on the owner's own.
    done(&world, &third, &["frost", "delete-share", "--share", "2", "--yes"]);
    let other = world.path().join("again");
    let refresh = ["--json", "frost", "refresh", "--exchange", other.to_str().unwrap(), "--yes"];
    for _ in 0..6 {
        for vault in [&one, &two] {
            done(&world, vault, &refresh);
        }
    }
    let mut public = done(&world, &one, &["frost", "export", "--public"]).json();
    let word = public["endorsement"].as_str().unwrap().to_owned();
    let bent = if word.ends_with('0') { "1" } else { "0" };
    public["endorsement"] = json!(format!("{}{bent}", &word[..word.len() - 1]));
    let refused = import(&["--replace"], &public.to_string());
    assert_eq!(refused.code, Some(7), "{refused:?}");
    assert!(refused.error()["error"]["message"].as_str().unwrap().contains("is not valid"), "{refused:?}");
    public.as_object_mut().unwrap().remove("endorsement");
    let public = public.to_string();
    let refused = import(&["--replace"], &public);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.error()["error"]["message"].as_str().unwrap().contains("made them up"), "{refused:?}");
    let unasked = import(&["--replace", "--unproved"], &public);
    assert_eq!(unasked.code, Some(1), "{unasked:?}");
    let taken = import(&["--replace", "--unproved", "--yes"], &public).json();
    assert_eq!((&taken["proof"], &taken["group"]["epoch"]), (&json!("owner"), &json!(2)));
    // A renewal in one vault leaves it: its exports need nobody's word.
    let (all, other) = (vault(&world, "all"), vault(&world, "other"));
    done(&world, &all, &["frost", "generate", "-t", "2", "-s", "3", "--name", "g"]);
    let old = export(&world, &all, "g", "1", "bech32");
    assert_eq!(run(&world, &other, &["frost", "import", "--name", "g"], &old).code, Some(0));
    done(&world, &all, &["frost", "refresh", "--yes"]);
    for form in ["bech32", "json"] {
        let new = export(&world, &all, "g", "1", form);
        let taken = run(&world, &other, &["--json", "frost", "import", "--replace"], &new);
        assert_eq!(taken.code, Some(0), "{taken:?}");
    }
    assert_eq!(group(&other)["epoch"], 1);
    let public = done(&world, &all, &["frost", "export", "--public"]).stdout;
    assert!(public.contains("endorsement"), "{public}");
}
