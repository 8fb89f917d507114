//! Co-signers that cheat, and files that were edited or cut off on their way: each is refused with words of its own, all
//! cheaters are named, and nothing has changed afterwards.

use std::path::{Path, PathBuf};

use keep_sdk::{Home, Keep, Options, SecretText};

use crate::frost::{EXPORT_COST, Talking, command, copy, done, run};
use crate::world::{PASSPHRASE, Ran, World};

/// Vaults with one share each, named by the numbers of their members; `t` of `n` sign.
pub fn scattered(world: &World, t: &str, n: usize) -> Vec<PathBuf> {
    let dealer = world.path().join("dealer");
    done(world, &dealer, &["init"]);
    done(world, &dealer, &["frost", "generate", "-t", t, "-s", &n.to_string(), "--name", "g"]);
    let mut vaults = Vec::new();
    for index in 1..=n {
        let vault = world.path().join(format!("member{index}"));
        done(world, &vault, &["init"]);
        let index = index.to_string();
        let mut export = vec!["frost", "export", "--share", &index];
        export.extend(EXPORT_COST);
        let share = done(world, &dealer, &export).stdout;
        assert_eq!(run(world, &vault, &["frost", "import", "--name", "g"], &share).code, Some(0));
        vaults.push(vault);
    }
    vaults
}

/// The same vault once more, as it is now: what it says from here on in the same session is something else.
pub fn twin(vault: &Path) -> PathBuf {
    let name = format!("{}-twin", vault.file_name().unwrap().to_str().unwrap());
    let twin = vault.with_file_name(name);
    copy(vault, &twin);
    twin
}

/// The message of this kind and these members in a directory.
pub fn file(directory: &Path, middle: &str) -> PathBuf {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = names
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.split_once('-').is_some_and(|(_, rest)| rest == format!("{middle}.keepfrost"))
        })
        .collect();
    assert_eq!(found.len(), 1, "{middle}: {found:?}");
    found[0].clone()
}

/// The epoch and the shares of a vault's group.
pub fn state(world: &World, vault: &Path) -> (u64, usize) {
    let group = done(world, vault, &["--json", "frost", "show"]).json();
    (group["epoch"].as_u64().unwrap(), group["shares"].as_array().unwrap().len())
}

pub fn refused(ran: &Ran, words: &str) {
    assert!(ran.code.is_some_and(|code| code != 0 && code != 70), "{ran:?}");
    assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
}

pub struct Refresh<'w> {
    pub world: &'w World,
}

impl Refresh<'_> {
    pub fn step(&self, vault: &Path, directory: &Path) -> Ran {
        let words = ["frost", "refresh", "--exchange", directory.to_str().unwrap(), "--yes"];
        run(self.world, vault, &words, "")
    }

    pub fn steps(&self, vaults: &[&PathBuf], directory: &Path) {
        for vault in vaults {
            let ran = self.step(vault, directory);
            assert_eq!(ran.code, Some(0), "{ran:?}");
        }
    }
}

#[test]
fn wrong_contributions_to_a_renewal_are_named() {
    let world = World::new();
    let vaults = scattered(&world, "2", 3);
    let [one, two, three] = vaults.as_slice() else { panic!("three vaults") };
    let refresh = Refresh { world: &world };
    let (stick, other) = (world.path().join("stick"), world.path().join("other"));
    refresh.steps(&[one], &stick);
    copy(&stick, &other);
    let (two_twin, three_twin) = (twin(two), twin(three));
    refresh.steps(&[two, three, two], &stick);
    refresh.steps(&[&two_twin, &three_twin, &two_twin], &other);
    let right = world.path().join("right");
    copy(&stick, &right);
    // What they send member 1 in secret does not fit what they showed to all.
    for member in ["2", "3"] {
        let name = format!("subshare-{member}-1");
        std::fs::copy(file(&other, &name), file(&stick, &name)).unwrap();
    }
    refused(&refresh.step(one, &stick), "wrong contribution from member 2, member 3");
    assert_eq!(state(&world, one), (0, 1));
    // The others do not wait in silence.
    let stopped = "member 1 stopped because of what came from member 2, member 3";
    refused(&refresh.step(two, &stick), stopped);
    // With the right ones it goes on.
    for _ in 0..3 {
        refresh.steps(&[one, two, three], &right);
    }
    for vault in &vaults {
        assert_eq!(state(&world, vault), (1, 1));
    }
}

/// Member 3 gives one the right certificate and another one about something else: the other takes the right one from who is through.
#[test]
fn of_two_certificates_the_one_that_fits_counts() {
    let world = World::new();
    let vaults = scattered(&world, "2", 3);
    let [one, two, three] = vaults.as_slice() else { panic!("three vaults") };
    let refresh = Refresh { world: &world };
    let [stick, other, late] = ["stick", "other", "late"].map(|name| world.path().join(name));
    refresh.steps(&[one], &stick);
    copy(&stick, &other);
    let twins = [one, two, three].map(|vault| twin(vault));
    let [one_twin, two_twin, three_twin] = &twins;
    refresh.steps(&[two_twin, three_twin, one_twin, two_twin, three_twin], &other);
    refresh.steps(&[two, three, one, two, three], &stick);
    copy(&stick, &late);
    std::fs::copy(file(&other, "certificate-3"), file(&late, "certificate-3")).unwrap();
    refresh.steps(&[one], &stick);
    assert_eq!(state(&world, one), (1, 1));
    refused(&refresh.step(two, &late), "member 3 and member 2 saw different messages");
    assert_eq!(state(&world, two), (0, 1));
    // Whoever is through says it again, and hands on what is right.
    refresh.steps(&[one], &late);
    let ran = refresh.step(two, &late);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("members 3 have sent different messages for one step"), "{ran:?}");
    assert_eq!(state(&world, two), (1, 1));
}

#[test]
fn wrong_contributions_to_a_repair_are_named() {
    let world = World::new();
    let vaults = scattered(&world, "2", 4);
    let [one, two, three, lost] = vaults.as_slice() else { panic!("four vaults") };
    done(&world, lost, &["frost", "delete-share", "--share", "4", "--yes"]);
    let help = |vault: &Path, directory: &Path| {
        let words = ["frost", "repair", "--share", "4", "--exchange", directory.to_str().unwrap(), "--yes"];
        run(&world, vault, &words, "")
    };
    let mine = |directory: &Path| {
        let directory = directory.to_str().unwrap();
        let words =
            ["frost", "repair", "--share", "4", "--mine", "--exchange", directory, "--helpers", "1,2,3"];
        run(&world, lost, &words, "")
    };
    let (stick, other) = (world.path().join("stick"), world.path().join("other"));
    assert_eq!(mine(&stick).code, Some(0));
    copy(&stick, &other);
    let (one_twin, two_twin, three_twin) = (twin(one), twin(two), twin(three));
    for (vault, directory) in [
        (two, &stick),
        (three, &stick),
        (&one_twin, &other),
        (&two_twin, &other),
        (&three_twin, &other),
        (&one_twin, &other),
        (&two_twin, &other),
    ] {
        let ran = help(vault, directory);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let right = world.path().join("right");
    copy(&stick, &right);
    for member in ["2", "3"] {
        let name = format!("delta-{member}-1");
        std::fs::copy(file(&other, &name), file(&stick, &name)).unwrap();
    }
    refused(&help(one, &stick), "wrong contribution from member 2, member 3");
    // With the right pieces it goes on; then a sum that is not about them.
    for vault in [one, two, three] {
        let ran = help(vault, &right);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let wrong = world.path().join("wrong");
    copy(&right, &wrong);
    std::fs::copy(file(&other, "sigma-2-4"), file(&wrong, "sigma-2-4")).unwrap();
    refused(&mine(&wrong), "member 2 and member 1, member 3, member 4 saw different messages");
    assert_eq!(state(&world, lost), (0, 0));
    let ran = mine(&right);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(state(&world, lost), (0, 1));
}

/// Edited and cut off, a message is refused in every round, by a vault that has not had it before.
fn bend(path: &Path, member: &str, vault: &Path, take: &dyn Fn(&Path, &Path) -> Ran) {
    let whole = std::fs::read_to_string(path).unwrap();
    let text = whole.trim();
    let mut edited = text.as_bytes().to_vec();
    let at = edited.len() - 20;
    edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
    // Cut where base64 is whole.
    let cut = text.len() - 24 - (text.len() - "keepfrost1:".len()) % 4;
    let forged = format!("the message is not authentic: it was not signed by member {member}");
    let name = path.file_name().unwrap().to_str().unwrap();
    let bent = [
        (edited.as_slice(), forged.as_str()),
        (&text.as_bytes()[..cut], "it is damaged or cut off"),
        (b"keepfrost1:!", "it is not base64url"),
    ];
    for (number, (bytes, words)) in bent.into_iter().enumerate() {
        let beside = |path: &Path| {
            let base = path.file_name().unwrap().to_str().unwrap();
            path.with_file_name(format!("{base}-{}-{number}", name.trim_end_matches(".keepfrost")))
        };
        let (directory, vault) = (path.parent().unwrap(), vault.to_owned());
        let (scratch, twin) = (beside(directory), beside(&vault));
        copy(directory, &scratch);
        copy(&vault, &twin);
        std::fs::write(scratch.join(name), bytes).unwrap();
        let ran = take(&twin, &scratch);
        refused(&ran, words);
        assert!(ran.stderr.contains(&format!("left out {name}")), "{ran:?}");
    }
}

#[test]
fn edited_and_truncated_files_are_refused_in_every_round() {
    let world = World::new();
    let vaults = scattered(&world, "2", 2);
    let [one, two] = vaults.as_slice() else { panic!("two vaults") };
    let refresh = Refresh { world: &world };
    let step = |vault: &Path, directory: &Path| refresh.step(vault, directory);
    let stick = world.path().join("stick");
    refresh.steps(&[one], &stick);
    for kind in ["plan-1", "contribution-1"] {
        bend(&file(&stick, kind), "1", two, &step);
    }
    refresh.steps(&[two], &stick);
    for kind in ["contribution-2", "subshare-2-1"] {
        bend(&file(&stick, kind), "2", one, &step);
    }
    refresh.steps(&[one], &stick);
    for kind in ["subshare-1-2", "certificate-1"] {
        bend(&file(&stick, kind), "1", two, &step);
    }
    refresh.steps(&[two], &stick);
    bend(&file(&stick, "certificate-2"), "2", one, &step);
    assert_eq!((state(&world, one), state(&world, two)), ((0, 1), (1, 1)));
    refresh.steps(&[one], &stick);
    assert_eq!(state(&world, one), (1, 1));
}

#[test]
fn edited_and_truncated_files_of_a_repair_are_refused() {
    let world = World::new();
    let vaults = scattered(&world, "2", 3);
    let [one, two, lost] = vaults.as_slice() else { panic!("three vaults") };
    done(&world, lost, &["frost", "delete-share", "--share", "3", "--yes"]);
    let stick = world.path().join("stick");
    let say = |vault: &Path, directory: &Path, more: &[&str]| {
        let words = ["frost", "repair", "--share", "3", "--exchange", directory.to_str().unwrap(), "--yes"];
        run(&world, vault, &[words.as_slice(), more].concat(), "")
    };
    let helped = |vault: &Path, directory: &Path| say(vault, directory, &[]);
    let repaired = |vault: &Path, directory: &Path| say(vault, directory, &["--mine", "--helpers", "1,2"]);
    let help = |vault: &Path| helped(vault, &stick);
    let mine = || repaired(lost, &stick);
    let fine = |ran: Ran| assert_eq!(ran.code, Some(0), "{ran:?}");
    fine(mine());
    bend(&file(&stick, "repair_plan-3"), "3", one, &helped);
    fine(help(one));
    for kind in ["repair_commit-1", "delta-1-2"] {
        bend(&file(&stick, kind), "1", two, &helped);
    }
    fine(help(two));
    for kind in ["repair_commit-2", "delta-2-1"] {
        bend(&file(&stick, kind), "2", one, &helped);
    }
    fine(help(one));
    for (kind, member) in [("repair_commit-1", "1"), ("sigma-1-3", "1"), ("sigma-2-3", "2")] {
        bend(&file(&stick, kind), member, lost, &repaired);
    }
    fine(mine());
    assert_eq!(state(&world, lost), (0, 1));
}

/// Members 2 and 3 answer another package than the one of the session: their shares are wrong, and both are named.
#[test]
fn wrong_signature_shares_name_all_who_sent_them() {
    let world = World::new();
    let vaults = scattered(&world, "3", 3);
    let [one, two, three] = vaults.as_slice() else { panic!("three vaults") };
    let propose = ["frost", "sign", "--interactive", "--message", "m", "--quiet"];
    let join = ["frost", "sign", "--interactive", "--yes", "--quiet"];
    let mut coordinator = Talking::listening(command(&world, one, &propose));
    let proposal = coordinator.line();
    let mut signers = [two, three].map(|vault| Talking::start(command(&world, vault, &join)));
    let mut others = [two, three].map(|vault| Talking::start(command(&world, &twin(vault), &join)));
    let commitments = signers.each_mut().map(|signer| {
        signer.say(&proposal);
        signer.line()
    });
    let instead = others.each_mut().map(|signer| {
        signer.say(&proposal);
        signer.line()
    });
    commitments.iter().for_each(|commitment| coordinator.say(commitment));
    coordinator.line();
    // Whoever has the first member's device can make another package in the same session.
    let passphrase = SecretText::new(PASSPHRASE.to_owned());
    let attacker =
        Keep::open(Home::new(twin(one)).unwrap(), &passphrase, &Options::default().allow_weak_kdf()).unwrap();
    let frost = attacker.frost();
    let first = frost.join(None, &proposal, None, Vec::new()).unwrap().messages.remove(0).text;
    let all: Vec<String> = std::iter::once(first).chain(instead).collect();
    let wrong = frost.package(None, &proposal, &all).unwrap().messages[0].text.clone();
    for other in &mut others {
        other.say(&wrong);
        coordinator.say(&other.line());
    }
    let (code, stderr) = coordinator.last_words();
    assert_eq!(code, Some(6), "{stderr}");
    assert!(stderr.contains("invalid signature shares from member 2, member 3"), "{stderr}");
    signers.into_iter().for_each(Talking::kill);
}
