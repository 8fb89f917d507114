//! minisign files: its own, ours, and the two sessions of a release.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;

use keep_frost::minisign::*;
use keep_frost::*;
use rand_core::OsRng;
use support::*;

fn read(name: &str) -> String {
    std::fs::read_to_string(vectors().join("minisign").join(name)).unwrap()
}

fn digest(bytes: &[u8]) -> [u8; 64] {
    let mut hasher = FileHasher::default();
    for piece in bytes.chunks(7) {
        hasher.write_all(piece).unwrap();
    }
    hasher.finish()
}

#[test]
fn verifies_minisigns_own_files() {
    let key: PublicKeyFile = read("key.pub").parse().unwrap();
    assert_eq!(key.id().to_string(), "5F2726F6DEC1B85E");
    assert_eq!(key.to_text(None).unwrap(), read("key.pub"));
    assert_eq!(key.to_base64().parse::<PublicKeyFile>().unwrap(), key);
    let file = std::fs::read(vectors().join("minisign/artifact.bin")).unwrap();

    let signature: SignatureFile = read("artifact.prehashed.minisig").parse().unwrap();
    signature.verify(&key, &digest(&file)).unwrap();
    assert_eq!(signature.to_text(), read("artifact.prehashed.minisig"));
    assert_eq!(signature.verify(&key, &digest(b"other")), Err(FrostError::BadSignature));
    assert!(signature.verify_legacy(&key, &file).is_err());

    let legacy: SignatureFile = read("artifact.legacy.minisig").parse().unwrap();
    assert!(legacy.is_legacy());
    assert_eq!(legacy.verify(&key, &digest(&file)), Err(FrostError::LegacySignature));
    legacy.verify_legacy(&key, &file).unwrap();
    assert_eq!(legacy.verify_legacy(&key, b"other"), Err(FrostError::BadSignature));

    let group: PublicKeyFile = read("frost-group/group.pub").parse().unwrap();
    let by_group: SignatureFile = read("frost-group/artifact.bin.minisig").parse().unwrap();
    by_group.verify(&group, &digest(&file)).unwrap();
    assert!(matches!(by_group.verify(&key, &digest(&file)), Err(FrostError::KeyId { .. })));
}

#[test]
fn edited_files_are_refused() {
    let key: PublicKeyFile = read("key.pub").parse().unwrap();
    let text = read("artifact.prehashed.minisig");
    let file = std::fs::read(vectors().join("minisign/artifact.bin")).unwrap();
    let comment = text.replace("hashed", "hasheD");
    let edited: SignatureFile = comment.parse().unwrap();
    assert_eq!(edited.verify(&key, &digest(&file)), Err(FrostError::TrustedComment));
    // The first line is for people and is not covered.
    let first = text.replacen("untrusted comment: untrusted", "untrusted comment: edited", 1);
    first.parse::<SignatureFile>().unwrap().verify(&key, &digest(&file)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for bad in [
        lines[..3].join("\n"),
        lines.join("\n") + "\nmore",
        text.replace("untrusted comment: ", "comment: "),
        text.replace("RUR", "RXR"),
        text.replace("trusted comment: timestamp", &format!("trusted comment: {}", "x".repeat(9000))),
        text.replace("hashed", "hash\u{7}ed"),
        String::new(),
    ] {
        assert!(bad.parse::<SignatureFile>().is_err(), "{bad}");
    }
    for bad in
        ["", "untrusted comment: x", "untrusted comment: x\nRWQ=", "RWQ", "untrusted comment: x\nRW\nz"]
    {
        assert!(bad.parse::<PublicKeyFile>().is_err(), "{bad}");
    }
}

#[test]
fn a_group_signs_and_stock_minisign_accepts() {
    let dealt = dealer::generate(Suite::Ed25519, 2, 3, &mut OsRng).unwrap();
    let content = b"release 1.0\n".repeat(1000);
    let release =
        Release::new(&dealt.group, digest(&content), "timestamp:1\tfile:a.bin\thashed", None).unwrap();
    let shares = [&dealt.shares[0], &dealt.shares[2]];
    let (file, burnt) = sign_release_local(&dealt.group, &shares, release, &mut OsRng).unwrap();
    assert_eq!(burnt.iter().collect::<BTreeSet<_>>().len(), 4);
    let key = PublicKeyFile::of_group(&dealt.group).unwrap();
    file.verify(&key, &digest(&content)).unwrap();

    if Command::new("minisign").arg("-v").output().is_err() {
        eprintln!("skipped: minisign is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("a.bin"), &content).unwrap();
    std::fs::write(path("a.bin.minisig"), file.to_text()).unwrap();
    std::fs::write(path("g.pub"), key.to_text(None).unwrap()).unwrap();
    let verify = |extra: &[&str]| {
        let mut command = Command::new("minisign");
        command.args(["-V", "-H", "-m"]).arg(path("a.bin")).args(extra).output().unwrap()
    };
    let with_file = verify(&["-p", path("g.pub").to_str().unwrap()]);
    assert!(with_file.status.success(), "{}", String::from_utf8_lossy(&with_file.stderr));
    assert!(verify(&["-P", &key.to_base64()]).status.success());
    std::fs::write(path("a.bin"), b"other").unwrap();
    assert!(!verify(&["-P", &key.to_base64()]).status.success());
}

#[test]
fn a_co_signer_checks_both_sessions_against_its_own_file() {
    let dealt = dealer::generate(Suite::Ed25519, 2, 2, &mut OsRng).unwrap();
    let mine = digest(b"my file");
    let check = ReleaseCheck::new(&dealt.group, mine, "v1").unwrap();
    let release = Release::new(&dealt.group, mine, "v1", None).unwrap();
    check.check(&release.message()).unwrap();
    assert!(check.check(&Message::FileDigest(digest(b"their file"))).is_err());
    assert!(check.check(&Message::Raw(mine.to_vec())).is_err());

    let shares = [&dealt.shares[0], &dealt.shares[1]];
    let sign = |message: Message| {
        let proposal = sign::Proposal::new(&dealt.group, KeySpec::plain(), message, &mut OsRng).unwrap();
        sign::sign_local(&dealt.group, &shares, &proposal, &mut OsRng).unwrap().0
    };
    let signature = sign(release.message());
    let second = Message::TrustedComment { signature, comment: "v1".into() };
    check.check(&second).unwrap();
    assert!(check.check(&Message::TrustedComment { signature, comment: "v2".into() }).is_err());
    let foreign = sign(Message::FileDigest(digest(b"their file")));
    assert!(check.check(&Message::TrustedComment { signature: foreign, comment: "v1".into() }).is_err());
    assert_eq!(release.clone().signed(foreign).unwrap_err(), FrostError::BadSignature);
    let signed = release.signed(signature).unwrap();
    assert_eq!(signed.clone().signed(foreign).unwrap_err(), FrostError::TrustedComment);
    signed.signed(sign(second)).unwrap();
}

#[test]
fn comments_have_limits_and_the_suite_matters() {
    let ed = dealer::generate(Suite::Ed25519, 2, 2, &mut OsRng).unwrap().group;
    let secp = dealer::generate(Suite::Secp256k1Tr, 2, 2, &mut OsRng).unwrap().group;
    assert!(PublicKeyFile::of_group(&secp).is_err());
    assert!(sign::Proposal::new(&secp, KeySpec::plain(), Message::FileDigest([0; 64]), &mut OsRng).is_err());
    for bad in ["a\nb", "a\rb", "a\u{1b}b", &"x".repeat(MAX_TRUSTED_COMMENT + 1)] {
        assert!(Release::new(&ed, [0; 64], bad, None).is_err());
    }
    assert!(
        Release::new(&ed, [0; 64], "x".repeat(MAX_TRUSTED_COMMENT), Some("c".repeat(MAX_COMMENT))).is_ok()
    );
    assert!(Release::new(&ed, [0; 64], "x", Some("c".repeat(MAX_COMMENT + 1))).is_err());
}

/// One key signs releases and messages: no message may be taken for the comment of a release that it never saw.
#[test]
fn raw_messages_are_no_part_of_a_release() {
    let dealt = dealer::generate(Suite::Ed25519, 2, 3, &mut OsRng).unwrap();
    let shares: Vec<&SecretShare> = dealt.shares.iter().collect();
    let propose =
        |bytes: Vec<u8>| sign::Proposal::new(&dealt.group, KeySpec::plain(), Message::Raw(bytes), &mut OsRng);
    let release = Release::new(&dealt.group, digest(b"a file"), "version 1", None).unwrap();
    let (file, _) = sign_release_local(&dealt.group, &shares, release, &mut OsRng).unwrap();
    let signature: SignatureFile = file.to_text().parse().unwrap();
    let line = signature.to_text().lines().nth(1).unwrap().to_owned();
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(line).unwrap();
    let of_file = &bytes[10..];
    for comment in [b"version 2".as_slice(), b"\xff\xfe not text", b"x", &"y".repeat(20_000).into_bytes()] {
        let refused = propose([of_file, comment].concat()).unwrap_err();
        assert!(refused.to_string().contains("trusted comment"), "{refused}");
    }
    assert!(propose(of_file.to_vec()).unwrap_err().to_string().contains("digest of a file"));
    // What no verifier reads as a comment, and ordinary texts of any length, are signed.
    for harmless in [[of_file, b"two\nlines"].concat(), vec![b'a'; 65], vec![b' '; 200], vec![0xff; 100]] {
        assert!(propose(harmless).is_ok());
    }
}
