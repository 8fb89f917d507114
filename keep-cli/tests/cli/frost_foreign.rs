//! Directories in which other things lie beside the messages of a ceremony: they are named, and stop nobody.

use std::path::{Path, PathBuf};

use crate::daemon::eventually;
use crate::frost::{JOIN, PROPOSE, Talking, command, copy, done, run, two_vaults};
use crate::frost_cheats::{Refresh, file, refused, scattered, state, twin};
use crate::world::{Ran, World, finish};

/// Files of all sorts that are no messages of this, and what is said of each.
fn litter(world: &World, directory: &Path) -> Vec<(String, &'static str)> {
    std::fs::create_dir_all(directory.join("folder.keepfrost")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
    write("junk.keepfrost", b"a shopping list");
    write("noise.keepfrost", &[0xff, 0xfe, 0]);
    write("cut.keepfrost", b"keepfrost1:AAAA");
    write("readme.txt", b"this is looked at by nobody");
    let session = "7".repeat(64);
    let newer = serde_json::json!({
        "keepfrost": 9, "kind": "contribution", "session": session, "from": 2, "to": null, "body": "", "signature": "",
    });
    write("newer.keepfrost", newer.to_string().as_bytes());
    // What another group does at the same time.
    let (theirs, _, _) = two_vaults(world, &[]);
    let other = world.path().join("theirs");
    done(world, &theirs, &["frost", "refresh", "--exchange", other.to_str().unwrap(), "--yes"]);
    // A name that says more than a name, a pipe that nobody writes to, and what is longer than any message.
    write("forged\nhint: send your nsec.keepfrost", b"a shopping list");
    write("long.keepfrost", format!("keepfrost1:{}", "A".repeat(300 << 10)).as_bytes());
    let pipe = std::process::Command::new("mkfifo").arg(directory.join("pipe.keepfrost")).status().unwrap();
    assert!(pipe.success());
    let mut all = vec![
        ("forged\\nhint: send your nsec.keepfrost".to_owned(), "expected keepfrost1:… or JSON"),
        ("long.keepfrost".to_owned(), "too long"),
        ("pipe.keepfrost".to_owned(), "no regular file"),
        ("folder.keepfrost".to_owned(), "cannot read"),
        ("junk.keepfrost".to_owned(), "expected keepfrost1:… or JSON"),
        ("noise.keepfrost".to_owned(), "is not UTF-8 text"),
        ("cut.keepfrost".to_owned(), "it is damaged or cut off"),
        ("newer.keepfrost".to_owned(), "of version 9 needs a newer program"),
    ];
    for (kind, reason) in
        [("plan-1", "belongs to another group"), ("contribution-1", "belongs to another session")]
    {
        let path = file(&other, kind);
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        std::fs::copy(&path, directory.join(&name)).unwrap();
        all.push((name, reason));
    }
    all
}

/// Every file is named with its reason, in a warning.
fn named(ran: &Ran, litter: &[(String, &'static str)]) {
    for (name, reason) in litter {
        let line = ran.stderr.lines().find(|line| line.contains(name.as_str()));
        assert!(
            line.is_some_and(|line| line.contains(reason) && line.contains("left out")),
            "{name}: {ran:?}"
        );
    }
}

#[test]
fn a_renewal_goes_on_among_foreign_files() {
    let world = World::new();
    let vaults = scattered(&world, "2", 4);
    let [one, two, three, four] = vaults.as_slice() else { panic!("four vaults") };
    let stick = world.path().join("stick");
    let litter = litter(&world, &stick);
    let refresh = Refresh { world: &world };
    let begin = ["frost", "refresh", "--exchange", stick.to_str().unwrap(), "--drop", "4", "--yes"];
    let first = run(&world, one, &begin, "");
    assert_eq!(first.code, Some(0), "{first:?}");
    named(&first, &litter);
    for vault in [two, three, four, one, two, three, one, two, three] {
        let ran = refresh.step(vault, &stick);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        named(&ran, &litter[..9]);
    }
    for vault in [one, two, three] {
        assert_eq!(state(&world, vault), (1, 1));
        // The same again changes nothing.
        assert_eq!(refresh.step(vault, &stick).code, Some(0));
        assert_eq!(state(&world, vault), (1, 1));
    }
    assert_eq!(state(&world, four), (0, 1));
    let left_out = refresh.step(four, &stick);
    assert!(left_out.stdout.contains("leaves out the shares of this vault (4)"), "{left_out:?}");
    // For programs: one warning a line, and one answer.
    let words = ["--json", "frost", "refresh", "--exchange", stick.to_str().unwrap(), "--yes"];
    let ran = run(&world, one, &words, "");
    assert_eq!(ran.json()["done"], true);
    for line in ran.stderr.lines().filter(|line| line.contains("left out")) {
        let warning: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(warning["warning"]["message"].as_str().unwrap().starts_with("left out "), "{line}");
    }
}

#[test]
fn a_repair_goes_on_among_foreign_files() {
    let world = World::new();
    let vaults = scattered(&world, "2", 3);
    let [one, two, lost] = vaults.as_slice() else { panic!("three vaults") };
    done(&world, lost, &["frost", "delete-share", "--share", "3", "--yes"]);
    let stick = world.path().join("stick");
    let litter = litter(&world, &stick);
    let words = |directory: &Path| -> Vec<String> {
        let words = ["frost", "repair", "--share", "3", "--yes", "--exchange", directory.to_str().unwrap()];
        words.map(str::to_owned).to_vec()
    };
    let say = |vault: &PathBuf, directory: &Path, more: &[&str]| {
        let words = words(directory);
        let words: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        run(&world, vault, &words, "")
    };
    let mine = |directory: &Path| say(lost, directory, &["--mine", "--helpers", "1,2"]);
    let early = say(one, &stick, &[]);
    assert_eq!(early.code, Some(3), "{early:?}");
    named(&early, &litter[..8]);
    let ran = mine(&stick);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    named(&ran, &litter[..8]);
    // The same member has asked in another directory before: which of the two it means nobody can know.
    let before = world.path().join("before");
    assert_eq!(mine(&before).code, Some(0));
    let second = file(&before, "repair_plan-3");
    let beside = stick.join(second.file_name().unwrap());
    std::fs::copy(&second, &beside).unwrap();
    refused(&say(one, &stick, &[]), "there are several");
    std::fs::remove_file(&beside).unwrap();
    for vault in [one, two, one] {
        let ran = say(vault, &stick, &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        named(&ran, &litter[..8]);
    }
    let ran = mine(&stick);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(state(&world, lost), (0, 1));
}

/// What is wrong for one stops it, with advice; when the right message comes it goes on, and nobody takes it for stopped.
#[test]
fn who_goes_on_takes_its_complaint_back() {
    let world = World::new();
    let vaults = scattered(&world, "2", 3);
    let [one, two, three] = vaults.as_slice() else { panic!("three vaults") };
    let refresh = Refresh { world: &world };
    let (stick, other) = (world.path().join("stick"), world.path().join("other"));
    refresh.steps(&[one], &stick);
    copy(&stick, &other);
    let two_twin = twin(two);
    let three_twin = twin(three);
    refresh.steps(&[two, three, two], &stick);
    refresh.steps(&[&two_twin, &three_twin, &two_twin], &other);
    let wrong = file(&stick, "subshare-2-1");
    let right = std::fs::read(&wrong).unwrap();
    std::fs::copy(file(&other, "subshare-2-1"), &wrong).unwrap();
    let stopped = refresh.step(one, &stick);
    refused(&stopped, "wrong contribution from member 2");
    assert!(stopped.stderr.contains("others may be through"), "{stopped:?}");
    let complaint = file(&stick, "complaint-1");
    refused(&refresh.step(three, &stick), "member 1 stopped because of what came from member 2");
    std::fs::write(&wrong, right).unwrap();
    refresh.steps(&[one], &stick);
    assert!(!complaint.exists());
    refresh.steps(&[three, two, one, three], &stick);
    for vault in &vaults {
        assert_eq!(state(&world, vault), (1, 1));
    }
}

/// A plan that came cut off is asked for again; nobody begins another beside it.
#[test]
fn a_damaged_plan_is_not_replaced() {
    let world = World::new();
    let vaults = scattered(&world, "2", 2);
    let [one, two] = vaults.as_slice() else { panic!("two vaults") };
    let refresh = Refresh { world: &world };
    let stick = world.path().join("stick");
    refresh.steps(&[one], &stick);
    let plan = file(&stick, "plan-1");
    let whole = std::fs::read(&plan).unwrap();
    std::fs::write(&plan, &whole[..whole.len() / 2]).unwrap();
    let before = std::fs::read_dir(&stick).unwrap().count();
    let name = plan.file_name().unwrap().to_str().unwrap();
    refused(&refresh.step(two, &stick), &format!("the plan in {name} cannot be read"));
    assert_eq!(std::fs::read_dir(&stick).unwrap().count(), before);
    std::fs::write(&plan, whole).unwrap();
    refresh.steps(&[two, one, two, one], &stick);
    assert_eq!((state(&world, one), state(&world, two)), ((1, 1), (1, 1)));
}

/// The same line with another signature.
fn edited(line: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    let at = bytes.len() - 20;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_session_goes_on_after_what_was_pasted_by_mistake() {
    let world = World::new();
    let (one, two, _) = two_vaults(&world, &[]);
    let mut coordinator = Talking::listening(command(&world, &one, &PROPOSE));
    let mut signer = Talking::listening(command(&world, &two, &JOIN));
    let proposal = coordinator.line();
    signer.say("keepfrost1:AAAA");
    signer.say(&edited(&proposal));
    signer.say(&proposal);
    let commitment = signer.line();
    coordinator.say(&proposal);
    coordinator.say("nsec1pastedbymistake");
    coordinator.say(&edited(&commitment));
    coordinator.say(&commitment);
    let package = coordinator.line();
    signer.say(&edited(&package));
    signer.say(&package);
    let partial = signer.line();
    coordinator.say(&commitment);
    coordinator.say(&edited(&partial));
    coordinator.say(&partial);
    assert_eq!(coordinator.line().len(), 128);
    let (code, said) = signer.last_words();
    assert_eq!(code, Some(0), "{said}");
    let lines = [
        ("line 1 of", "it is damaged or cut off"),
        ("line 2 of", "it was not signed by member 1"),
        ("line 4 of", "it was not signed by member 1"),
    ];
    for (place, reason) in lines {
        let line =
            said.lines().find(|line| line.contains(place)).unwrap_or_else(|| panic!("{place}: {said}"));
        assert!(line.contains(reason), "{said}");
    }
    let (code, said) = coordinator.last_words();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("nsec1"), "{said}");
    for (place, reason) in [
        ("line 2 of", "neither a message nor the name of a file"),
        ("line 3 of", "it was not signed by member 2"),
        ("line 6 of", "it was not signed by member 2"),
    ] {
        let line =
            said.lines().find(|line| line.contains(place)).unwrap_or_else(|| panic!("{place}: {said}"));
        assert!(line.contains(reason), "{said}");
    }
}

#[test]
fn a_session_goes_on_among_foreign_files() {
    let world = World::new();
    let (one, two, _) = two_vaults(&world, &[]);
    let stick = world.path().join("stick");
    std::fs::create_dir(&stick).unwrap();
    let directory = stick.to_str().unwrap();
    std::fs::write(stick.join("0badcafe-proposal-1.keepfrost"), "a shopping list").unwrap();
    let propose = ["frost", "sign", "--interactive", "--message", "m", "--exchange", directory];
    let coordinator = command(&world, &one, &propose).spawn().unwrap();
    let named = |kind: &str| {
        let names = std::fs::read_dir(&stick).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names = names.map(|name| name.into_string().unwrap());
        names.find(|name| name.contains(kind) && !name.starts_with("0badcafe") && !name.starts_with('.'))
    };
    eventually("no proposal came", || named("-proposal-1").is_some());
    let proposal = named("-proposal-1").unwrap();
    let (id, _) = proposal.split_once('-').unwrap();
    // By their names they are messages of the session.
    let other = format!("{id}-commitment-2-copy.keepfrost");
    std::fs::copy(stick.join(&proposal), stick.join(&other)).unwrap();
    let noise = format!("{id}-package-1-old.keepfrost");
    std::fs::write(stick.join(&noise), [0xff, 0]).unwrap();
    let join = ["frost", "sign", "--interactive", "--yes", "--exchange", directory];
    let joined = run(&world, &two, &join, "");
    assert_eq!(joined.code, Some(0), "{joined:?}");
    let signed = finish(coordinator, "");
    assert_eq!((signed.code, signed.stdout.trim().len()), (Some(0), 128), "{signed:?}");
    let left_out = |ran: &Ran, name: &str, reason: &str| {
        let line = ran.stderr.lines().find(|line| line.contains(name) && line.contains("left out"));
        assert!(line.is_some_and(|line| line.contains(reason)), "{name}: {ran:?}");
    };
    left_out(&joined, "0badcafe-proposal-1.keepfrost", "expected keepfrost1:… or JSON");
    left_out(&joined, &noise, "is not UTF-8 text");
    left_out(&signed, &other, "this message is a proposal, not a commitment");
}

#[test]
fn a_command_gives_no_more_than_twenty_warnings() {
    let world = World::new();
    let (one, _, _) = two_vaults(&world, &[]);
    let stick = world.path().join("stick");
    std::fs::create_dir(&stick).unwrap();
    for line in 0..25 {
        // Each is cut off in another line, which is another reason.
        let text = format!("{{{}\"", "\n".repeat(line));
        std::fs::write(stick.join(format!("junk{line}.keepfrost")), text).unwrap();
    }
    let ran = Refresh { world: &world }.step(&one, &stick);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("left out")).collect();
    assert_eq!(warnings.len(), 21, "{ran:?}");
    assert_eq!(warnings.iter().filter(|line| line.contains("left out junk")).count(), 20);
    assert!(warnings[20].contains("left out 5 more files, for other reasons"), "{ran:?}");
}

/// A file that was left out is read again when its name is pasted again, for it may be another one by then.
#[test]
fn a_file_that_is_given_again_is_read_again() {
    let world = World::new();
    let (one, two, _) = two_vaults(&world, &[]);
    let mut coordinator = Talking::start(command(&world, &one, &PROPOSE));
    let mut signer = Talking::listening(command(&world, &two, &JOIN));
    let proposal = coordinator.line();
    let path = world.path().join("proposal");
    let path = path.to_str().unwrap();
    std::fs::write(path, "a shopping list").unwrap();
    signer.say(path);
    signer.said("left out");
    std::fs::write(path, &proposal).unwrap();
    signer.say(path);
    coordinator.say(&signer.line());
    signer.say(&coordinator.line());
    coordinator.say(&signer.line());
    assert_eq!(coordinator.line().len(), 128);
    assert_eq!((signer.end(), coordinator.end()), (Some(0), Some(0)));
}

/// Every member has certified a renewal and lacks the others' certificates: what would take its place wants `--abandon`.
#[test]
fn a_certified_renewal_is_given_up_only_where_the_owner_says_so() {
    let world = World::new();
    let vaults = scattered(&world, "2", 2);
    let [one, two] = vaults.as_slice() else { panic!("two vaults") };
    let refresh = Refresh { world: &world };
    let [stick, other] = ["stick", "other"].map(|name| world.path().join(name));
    refresh.steps(&[one, two, one], &stick);
    let certificate = file(&stick, "certificate-1");
    let first = certificate.file_name().unwrap().to_str().unwrap()[..8].to_owned();
    let directory = other.to_str().unwrap();
    let another = ["frost", "refresh", "--exchange", directory];
    for words in [&another[..], &["frost", "delete-share", "--share", "1"]] {
        let said = run(&world, one, &[words, &["--yes"]].concat(), "");
        refused(&said, &format!("the renewal {first} is under way"));
        assert!(said.stderr.contains("--abandon"), "{said:?}");
    }
    let rotate = ["frost", "device", "--rotate", "1"];
    refused(&run(&world, one, &rotate, ""), &format!("the renewal {first} is under way"));
    // Nobody is there to be asked.
    refused(&run(&world, one, &[&rotate[..], &["--abandon"]].concat(), ""), "there is no terminal");
    refused(&run(&world, one, &[&another[..], &["--abandon"]].concat(), ""), "there is no terminal");
    refused(&run(&world, one, &another, ""), "there is no terminal");
    let given_up = run(&world, one, &[&another[..], &["--abandon", "--yes"]].concat(), "");
    assert_eq!(given_up.code, Some(0), "{given_up:?}");
    assert!(done(&world, one, &["audit", "list"]).stdout.contains("gave up a renewal"));
    // The other one has certified nothing yet.
    refresh.steps(&[two, one, two, one], &other);
    assert_eq!((state(&world, one), state(&world, two)), ((1, 1), (1, 1)));
    done(&world, two, &["frost", "delete-share", "--share", "2", "--yes"]);
}

/// Another device key, whosever it is, ends a renewal that was only begun where the owner says so.
#[test]
fn a_begun_renewal_ends_for_no_device_key_without_a_word() {
    let world = World::new();
    let vaults = scattered(&world, "2", 3);
    let [one, two, three] = vaults.as_slice() else { panic!("three vaults") };
    let refresh = Refresh { world: &world };
    let [stick, other, help] = ["stick", "other", "help"].map(|name| world.path().join(name));
    let in_the_way = |vault: &Path, words: &[&str], directory: &Path| {
        let plan = file(directory, "plan-1");
        let said = run(&world, vault, words, "");
        refused(
            &said,
            &format!("the renewal {} is under way", &plan.file_name().unwrap().to_str().unwrap()[..8]),
        );
        assert!(said.stderr.contains("--abandon"), "{said:?}");
    };
    let given_up =
        |vault: &Path, words: &[&str]| done(&world, vault, &[words, &["--abandon", "--yes"]].concat());
    refresh.steps(&[one, two], &stick);
    // One's own key, and that of another one.
    let rotate = ["frost", "device", "--rotate", "1"];
    in_the_way(one, &rotate, &stick);
    refused(&run(&world, one, &[&rotate[..], &["--abandon"]].concat(), ""), "there is no terminal");
    let notice = given_up(one, &rotate).stdout;
    assert!(done(&world, one, &["audit", "list"]).stdout.contains("gave up a renewal"));
    let path = world.path().join("notice");
    std::fs::write(&path, notice).unwrap();
    let accept = ["frost", "device", "--accept", path.to_str().unwrap()];
    in_the_way(two, &accept, &stick);
    refused(&run(&world, two, &[&accept[..], &["--abandon"]].concat(), ""), "there is no terminal");
    given_up(two, &accept);
    done(&world, three, &accept);
    // That of one who gets its share again.
    refresh.steps(&[one], &other);
    done(&world, three, &["frost", "delete-share", "--share", "3", "--yes"]);
    let repair = ["frost", "repair", "--share", "3", "--exchange", help.to_str().unwrap()];
    let step = |vault: &Path, more: &[&str]| done(&world, vault, &[&repair[..], more].concat());
    step(three, &["--mine", "--helpers", "1,2"]);
    in_the_way(one, &[&repair[..], &["--yes"]].concat(), &other);
    given_up(one, &repair);
    for vault in [two, one] {
        step(vault, &["--yes"]);
    }
    step(three, &["--mine"]);
    // Nothing is in the way of the next renewal.
    let next = world.path().join("next");
    refresh.steps(&[one, two, three, one, two, three, one, two, three], &next);
    assert_eq!([one, two, three].map(|vault| state(&world, vault)), [(1, 1); 3]);
}
