//! Threshold keys at the command line: two vaults that sign together, kills between steps, copies that run side by side,
//! files that stock minisign verifies, and nothing secret in anything that is printed or logged.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::world::{Ran, World, finish};

const SHARE_PASSPHRASE: &str = "share passphrase of the tests";
pub const EXPORT_COST: [&str; 6] = ["--kdf-memory-kib", "8192", "--kdf-iterations", "1", "--kdf-lanes", "1"];

/// `keep` in another vault of the same world.
pub fn command(world: &World, vault: &Path, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.env("KEEP_HOME", vault).env("KEEP_PASSPHRASE", SHARE_PASSPHRASE);
    // What the machine remembers of a vault: each is on a machine of its own.
    command.env("XDG_STATE_HOME", vault.with_extension("state"));
    command
}

pub fn run(world: &World, vault: &Path, arguments: &[&str], stdin: &str) -> Ran {
    finish(command(world, vault, arguments).spawn().unwrap(), stdin)
}

pub fn done(world: &World, vault: &Path, arguments: &[&str]) -> Ran {
    let ran = run(world, vault, arguments, "");
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran
}

/// Two vaults with one share each of a 2-of-2 group, and its npub.
pub fn two_vaults(world: &World, extra: &[&str]) -> (PathBuf, PathBuf, String) {
    let (one, two) = (world.path().join("one"), world.path().join("two"));
    for vault in [&one, &two] {
        done(world, vault, &["init"]);
    }
    let mut generate = vec!["--json", "frost", "generate", "-t", "2", "-s", "2", "--name", "pair"];
    generate.extend(extra);
    let group = done(world, &one, &generate).json();
    let mut export = vec!["frost", "export", "--share", "2"];
    export.extend(EXPORT_COST);
    let share = done(world, &one, &export).stdout;
    assert_eq!(run(world, &two, &["frost", "import", "--name", "pair"], &share).code, Some(0));
    done(world, &one, &["frost", "delete-share", "--share", "2", "--yes"]);
    (one, two, group["npub"].as_str().unwrap().to_owned())
}

/// A process whose lines are read as they come.
pub struct Talking {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Talking {
    pub fn start(mut command: Command) -> Self {
        command.stderr(Stdio::inherit());
        Self::listening(command)
    }

    /// As [`start`](Self::start), for one whose last words are of interest.
    pub fn listening(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the other side ended");
        line.trim().to_owned()
    }

    /// Waits until something is said on stderr.
    pub fn said(&mut self, words: &str) {
        let mut said = Vec::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        while !String::from_utf8_lossy(&said).contains(words) {
            let mut byte = [0];
            std::io::Read::read_exact(stderr, &mut byte).unwrap();
            said.extend(byte);
        }
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end: how it ended, and what was said on stderr.
    pub fn last_words(mut self) -> (Option<i32>, String) {
        drop(self.child.stdin.take());
        let mut said = String::new();
        std::io::Read::read_to_string(self.child.stderr.as_mut().unwrap(), &mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    pub fn end(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().code()
    }
}

pub const PROPOSE: [&str; 6] = ["frost", "sign", "--interactive", "--message", "over the gap", "--quiet"];
pub const JOIN: [&str; 5] = ["frost", "sign", "--interactive", "--yes", "--quiet"];

#[test]
fn two_vaults_sign_over_pasted_text() {
    let world = World::new();
    let (one, two, npub) = two_vaults(&world, &[]);
    let mut coordinator = Talking::start(command(&world, &one, &PROPOSE));
    let mut signer = Talking::start(command(&world, &two, &JOIN));
    let proposal = coordinator.line();
    assert!(proposal.starts_with("keepfrost1:"), "{proposal}");
    signer.say(&proposal);
    coordinator.say(&signer.line());
    signer.say(&coordinator.line());
    coordinator.say(&signer.line());
    let signature = coordinator.line();
    assert_eq!((signer.end(), coordinator.end()), (Some(0), Some(0)));
    // Verified without a vault, by the key alone.
    let nowhere = world.path().join("nowhere");
    let verify =
        ["frost", "verify", "--group", &npub, "--message", "over the gap", "--signature", &signature];
    assert_eq!(run(&world, &nowhere, &verify, "").code, Some(0));
    let other = ["frost", "verify", "--group", &npub, "--message", "other", "--signature", &signature];
    assert_eq!(run(&world, &nowhere, &other, "").code, Some(5));
}

#[test]
fn an_event_is_signed_by_files_in_a_directory() {
    let world = World::new();
    let (one, two, npub) = two_vaults(&world, &[]);
    let exchange = world.path().join("stick");
    let directory = exchange.to_str().unwrap();
    let propose = [
        "sign-event",
        "--group",
        "pair",
        "--kind",
        "1",
        "--content",
        "ours",
        "--interactive",
        "--exchange",
        directory,
    ];
    let coordinator = command(&world, &one, &propose).spawn().unwrap();
    let join = ["frost", "sign", "--interactive", "--exchange", directory, "--yes"];
    let signer = command(&world, &two, &join).spawn().unwrap();
    assert_eq!(finish(signer, "").code, Some(0));
    let event = finish(coordinator, "").json();
    assert_eq!((event["content"].as_str(), event["kind"].as_u64()), (Some("ours"), Some(1)));
    let group = done(&world, &two, &["--json", "frost", "show"]).json();
    assert_eq!(
        (group["pubkey"].as_str(), group["npub"].as_str()),
        (event["pubkey"].as_str(), Some(npub.as_str()))
    );
    // The session has cleaned up behind it.
    assert_eq!(std::fs::read_dir(&exchange).unwrap().count(), 0);
}

#[test]
fn a_file_is_signed_by_two_vaults_and_verified_by_stock_minisign() {
    let world = World::new();
    let (one, two, npub) = two_vaults(&world, &["--ed25519", "--pubkey-out", "pair.pub"]);
    let path = |name: &str| world.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("a.bin"), vec![0x5a; 3 << 20]).unwrap();
    std::fs::write(path("copy.bin"), vec![0x5a; 3 << 20]).unwrap();
    std::fs::write(path("wrong.bin"), vec![0x5b; 3 << 20]).unwrap();
    let exchange = path("stick");
    let sign = [
        "sign",
        "a.bin",
        "--group",
        "pair",
        "-t",
        "version 1",
        "-c",
        "for people",
        "--interactive",
        "--exchange",
        &exchange,
    ];
    let join = |file: &'static str, exchange: &str| -> Vec<String> {
        let words = [
            "sign",
            file,
            "--group",
            "pair",
            "-t",
            "version 1",
            "--interactive",
            "--join",
            "--yes",
            "--exchange",
            exchange,
        ];
        words.iter().map(|word| (*word).to_owned()).collect()
    };
    let coordinator = command(&world, &one, &sign).spawn().unwrap();
    let words = join("wrong.bin", &exchange);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refused = run(&world, &two, &words, "");
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains("another file than yours"), "{refused:?}");
    let words = join("copy.bin", &exchange);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(run(&world, &two, &words, "").code, Some(0));
    assert_eq!(finish(coordinator, "").code, Some(0));

    // An existing signature is not overwritten.
    let again = run(&world, &one, &["sign", "a.bin", "--group", "pair"], "");
    assert_eq!(again.code, Some(5), "{again:?}");
    for key in ["pair.pub", npub.as_str(), "pair"] {
        let verified = done(&world, &one, &["verify", "a.bin", "a.bin.minisig", "--group", key]);
        assert!(verified.stdout.contains("version 1"), "{verified:?}");
    }
    let wrong = run(&world, &one, &["verify", "wrong.bin", "a.bin.minisig", "--group", "pair.pub"], "");
    assert_eq!(wrong.code, Some(5), "{wrong:?}");
    let Ok(minisign) = Command::new("minisign")
        .args(["-V", "-H", "-m", "a.bin", "-p", "pair.pub"])
        .current_dir(world.path())
        .output()
    else {
        println!("skipped: minisign is not installed");
        return;
    };
    assert!(minisign.status.success(), "{minisign:?}");
}

#[test]
fn files_that_minisign_signed_verify() {
    let world = World::new();
    let path = world.path();
    std::fs::write(path.join("b.bin"), b"made elsewhere").unwrap();
    let minisign = |arguments: &[&str]| Command::new("minisign").args(arguments).current_dir(path).output();
    let Ok(made) = minisign(&["-G", "-W", "-p", "m.pub", "-s", "m.key"]) else {
        println!("skipped: minisign is not installed");
        return;
    };
    assert!(made.status.success(), "{made:?}");
    for (legacy, output) in [(false, "b.bin.minisig"), (true, "legacy.minisig")] {
        let mut sign = vec!["-S", "-s", "m.key", "-m", "b.bin", "-t", "theirs", "-x", output];
        if legacy {
            sign.push("-l");
        }
        assert!(minisign(&sign).unwrap().status.success());
    }
    let verified = world.done(&["verify", "b.bin", "--group", "m.pub"]);
    assert!(verified.stdout.contains("theirs"), "{verified:?}");
    let refused = world.run(&["verify", "b.bin", "legacy.minisig", "--group", "m.pub"]);
    assert_eq!(refused.code, Some(5));
    assert!(refused.stderr.contains("--legacy"), "{refused:?}");
    world.done(&["verify", "b.bin", "legacy.minisig", "--group", "m.pub", "--legacy"]);
}

/// The public halves of the nonces in a message: points of 33 bytes, each as a byte string of CBOR. What surrounds them
/// differs from session to session, so it says nothing about whether a nonce came twice.
fn points(line: &str) -> BTreeSet<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let text = line.strip_prefix("keepfrost1:").unwrap();
    let (mut bytes, mut bits, mut have) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit).unwrap();
        bits = (bits << 6 | u32::try_from(value).unwrap()) & 0xffff;
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push(u8::try_from(bits >> have & 0xff).unwrap());
        }
    }
    let point = |window: &&[u8]| window.starts_with(&[0x58, 33]) && matches!(window[2], 2 | 3);
    bytes.windows(35).filter(point).map(|window| window[2..].to_vec()).collect()
}

/// Every nonce commitment that was seen. None may come twice, in whatever session, vault or copy of it.
#[derive(Default)]
pub struct Commitments(BTreeSet<Vec<u8>>);

impl Commitments {
    /// What one signer commits to: two points that were never seen.
    pub fn of_signer(&mut self, commitment: &str) {
        let found = points(commitment);
        assert_eq!(found.len(), 2, "{commitment}");
        self.take(found);
    }

    /// The package of a session, with the coordinator's own commitment beside the signer's.
    pub fn of_package(&mut self, package: &str, commitment: &str) {
        let (all, known) = (points(package), points(commitment));
        assert_eq!((all.len(), all.is_superset(&known)), (4, true), "{package}");
        self.take(all.difference(&known).cloned().collect());
    }

    fn take(&mut self, found: BTreeSet<Vec<u8>>) {
        for point in found {
            assert!(self.0.insert(point), "a commitment came twice");
        }
    }

    /// How many nonces were seen.
    pub fn count(&self) -> usize {
        self.0.len() / 2
    }
}

/// The commitments of both sides up to where a session is cut off, and what it can be cut off at.
fn cut_session(world: &World, one: &Path, two: &Path, steps: usize, seen: &mut Commitments) {
    let mut coordinator = Talking::start(command(world, one, &PROPOSE));
    let mut signer = Talking::start(command(world, two, &JOIN));
    let proposal = coordinator.line();
    if steps > 0 {
        signer.say(&proposal);
        let commitment = signer.line();
        seen.of_signer(&commitment);
        if steps > 1 {
            coordinator.say(&commitment);
            let package = coordinator.line();
            seen.of_package(&package, &commitment);
            if steps > 2 {
                signer.say(&package);
                let share = signer.line();
                if steps > 3 {
                    coordinator.say(&share);
                    coordinator.line();
                }
            }
        }
    }
    signer.kill();
    coordinator.kill();
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The session dies after each step; the vault is put back to an older copy; a copy runs beside the original: whatever
/// happens, no commitment is ever seen twice.
#[test]
fn no_nonce_is_ever_used_twice() {
    let world = World::new();
    let (one, two, _) = two_vaults(&world, &[]);
    let (older, clone) = (world.path().join("older"), world.path().join("clone"));
    copy(&two, &older);
    let mut seen = Commitments::default();
    for steps in 0..=4 {
        cut_session(&world, &one, &two, steps, &mut seen);
    }
    // The directory is put back to what it was before all of that.
    std::fs::remove_dir_all(&two).unwrap();
    copy(&older, &two);
    // And the machine, which would have noticed, has forgotten.
    let _ = std::fs::remove_dir_all(two.with_extension("state"));
    for steps in 1..=4 {
        cut_session(&world, &one, &two, steps, &mut seen);
    }
    // Two copies of one directory answer the same proposal at the same time.
    copy(&two, &clone);
    let mut coordinator = Talking::start(command(&world, &one, &PROPOSE));
    let proposal = coordinator.line();
    let mut twins = [&two, &clone].map(|vault| Talking::start(command(&world, vault, &JOIN)));
    for twin in &mut twins {
        twin.say(&proposal);
        seen.of_signer(&twin.line());
    }
    twins.into_iter().for_each(Talking::kill);
    coordinator.kill();
    assert_eq!(seen.count(), 4 + 3 + 4 + 3 + 2);
}

/// Kills between the steps of a change: either it has happened, or it has not, and the group signs either way.
#[test]
fn a_killed_change_leaves_a_group_that_signs() {
    let world = World::new();
    let vault = world.path().join("v");
    done(&world, &vault, &["init"]);
    done(&world, &vault, &["frost", "generate", "-t", "2", "-s", "3", "--name", "g"]);
    for round in 0..12_u64 {
        let changing = ["frost", "refresh", "--yes"];
        let mut child = command(&world, &vault, &changing).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(round * 9));
        let _ = child.kill();
        child.wait().unwrap();
        let signature = done(&world, &vault, &["frost", "sign", "--message", "still"]).stdout;
        done(&world, &vault, &["frost", "verify", "--message", "still", "--signature", signature.trim()]);
    }
    done(&world, &vault, &["audit", "verify"]);
}

#[test]
fn nothing_secret_is_printed_or_logged() {
    let world = World::new();
    let vault = world.path().join("v");
    done(&world, &vault, &["init"]);
    done(&world, &vault, &["frost", "generate", "-t", "2", "-s", "2", "--name", "g"]);
    let recovered = done(&world, &vault, &["--json", "frost", "recover", "--yes"]).json();
    let nsec = recovered["secret"].as_str().unwrap();
    assert!(nsec.starts_with("nsec1"));
    let mut export = vec!["frost", "export", "--share", "1"];
    export.extend(EXPORT_COST);
    let share = done(&world, &vault, &export).stdout;
    let mut all = String::new();
    for arguments in [
        ["--json", "frost", "list"].as_slice(),
        &["--json", "frost", "show"],
        &["--json", "-vvv", "frost", "sign", "--message", "m"],
        &["--json", "-vvv", "frost", "refresh", "--yes"],
        &["--json", "-vvv", "frost", "delete-share", "--share", "2", "--yes"],
        &["--json", "-vvv", "frost", "device", "--rotate", "1"],
        &["--json", "audit", "list"],
    ] {
        let ran = done(&world, &vault, arguments);
        all.push_str(&ran.stdout);
        all.push_str(&ran.stderr);
    }
    assert!(!all.contains(nsec) && !all.contains(share.trim()) && !all.contains("kshare1"), "{all}");
    for word in ["signing_share", "\"secret\"", "hiding_nonce", "binding_nonce", SHARE_PASSPHRASE] {
        assert!(!all.contains(word), "{word}: {all}");
    }
    // Without a person nothing is handed out in clear or destroyed unasked.
    for arguments in
        [["frost", "recover"].as_slice(), &["frost", "refresh"], &["frost", "delete-share", "--share", "1"]]
    {
        let refused = run(&world, &vault, arguments, "");
        assert_eq!(refused.code, Some(1), "{refused:?}");
    }
    let views: Value = done(&world, &vault, &["--json", "frost", "list"]).json();
    assert_eq!(views["groups"][0]["shares"], serde_json::json!([1]));
}

#[test]
fn renewal_and_repair_go_by_files_among_vaults() {
    let world = World::new();
    let (one, two, npub) = two_vaults(&world, &[]);
    let stick = world.path().join("stick");
    let refresh = ["--json", "frost", "refresh", "--exchange", stick.to_str().unwrap(), "--yes"];
    let mut over = BTreeSet::new();
    for _ in 0..6 {
        for vault in [&one, &two] {
            if done(&world, vault, &refresh).json()["done"] == true {
                over.insert(vault.clone());
            }
        }
    }
    assert_eq!(over.len(), 2);
    for vault in [&one, &two] {
        let group = done(&world, vault, &["--json", "frost", "show"]).json();
        assert_eq!((group["epoch"].as_u64(), group["npub"].as_str()), (Some(1), Some(npub.as_str())));
    }
    let mut coordinator = Talking::start(command(&world, &one, &PROPOSE));
    let mut signer = Talking::start(command(&world, &two, &JOIN));
    signer.say(&coordinator.line());
    coordinator.say(&signer.line());
    signer.say(&coordinator.line());
    coordinator.say(&signer.line());
    let signature = coordinator.line();
    assert_eq!((signer.end(), coordinator.end()), (Some(0), Some(0)));
    let verify =
        ["frost", "verify", "--group", &npub, "--message", "over the gap", "--signature", &signature];
    done(&world, &one, &verify);
}

#[test]
fn qr_frames_bring_a_share_in() {
    let world = World::new();
    let (one, two) = (world.path().join("one"), world.path().join("two"));
    for vault in [&one, &two] {
        done(&world, vault, &["init"]);
    }
    done(&world, &one, &["frost", "generate", "-t", "2", "-s", "3", "--name", "g"]);
    let mut export = vec!["--json", "frost", "export", "--share", "1", "--qr"];
    export.extend(EXPORT_COST);
    let frames = done(&world, &one, &export).json();
    let mut frames: Vec<String> =
        frames["frames"].as_array().unwrap().iter().map(|frame| frame.as_str().unwrap().to_owned()).collect();
    assert!(frames.len() > 1 && frames.iter().all(|frame| frame.starts_with("ur:bytes/")), "{frames:?}");
    frames.reverse();
    let missing = run(&world, &two, &["frost", "import"], &frames[1..].join("\n"));
    assert_eq!(missing.code, Some(5), "{missing:?}");
    assert_eq!(run(&world, &two, &["frost", "import"], &frames.join("\n")).code, Some(0));
}
