//! The age format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use keep_cipher::CipherError;
use keep_cipher::age::{self, Identity, Lock, Locked, Needs, Recipient, Unlock};
use keep_types::SecretText;
use proptest::prelude::*;

fn text(text: &str) -> SecretText {
    SecretText::from(text.to_owned())
}

/// The key pair of the specification's example.
const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

#[test]
fn keys_have_the_published_text_forms() {
    let identity = Identity::parse(&text(IDENTITY)).unwrap();
    assert_eq!(identity.to_text().expose(), IDENTITY);
    assert_eq!(identity.recipient().to_string(), RECIPIENT);
    let file = text(&format!("# created: today\n# public key: {RECIPIENT}\n{IDENTITY}\n"));
    assert_eq!(Identity::parse_file(&file).unwrap().len(), 1);
    for bad in ["", "age1", IDENTITY, &RECIPIENT.replace('w', "q"), "age1zvkyg2l"] {
        assert!(matches!(Recipient::parse(bad), Err(CipherError::AgeKey)), "{bad}");
    }
}

#[test]
fn each_recipient_opens_it_and_nobody_else() {
    let (alice, bob, eve) = (Identity::generate(), Identity::generate(), Identity::generate());
    let file = age::encrypt(&Lock::Recipients(&[alice.recipient(), bob.recipient()]), b"for two").unwrap();
    assert_eq!(Locked::read(file.as_slice()).unwrap().needs(), Needs::Identity);
    for identity in [alice, bob] {
        assert_eq!(&**age::decrypt(&Unlock::Identities(&[identity]), &file).unwrap(), b"for two");
    }
    assert_eq!(age::decrypt(&Unlock::Identities(&[eve]), &file).unwrap_err(), CipherError::AgeLocked);
    assert_eq!(age::decrypt(&Unlock::Passphrase(&text("x")), &file).unwrap_err(), CipherError::AgeLocked);
    assert!(age::encrypt(&Lock::Recipients(&[]), b"").is_err());
}

#[test]
fn a_passphrase_opens_it_and_costs_are_bounded() {
    let file = age::encrypt(&Lock::Passphrase(&text("right"), 2), b"x").unwrap();
    assert_eq!(Locked::read(file.as_slice()).unwrap().needs(), Needs::Passphrase);
    assert_eq!(&**age::decrypt(&Unlock::Passphrase(&text("right")), &file).unwrap(), b"x");
    assert_eq!(age::decrypt(&Unlock::Passphrase(&text("wrong")), &file).unwrap_err(), CipherError::AgeLocked);
    assert!(matches!(age::encrypt(&Lock::Passphrase(&text("x"), 21), b""), Err(CipherError::LogN { .. })));
    let costly = String::from_utf8_lossy(&file[..60]).replace(" 2\n", " 30\n");
    let mut file = file;
    file.splice(..60, costly.bytes());
    assert!(matches!(
        age::decrypt(&Unlock::Passphrase(&text("right")), &file),
        Err(CipherError::LogN { log_n: 30, .. })
    ));
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    let passphrase = text("p");
    let file = age::encrypt(&Lock::Passphrase(&passphrase, 1), b"some content").unwrap();
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 1;
        assert!(age::decrypt(&Unlock::Passphrase(&passphrase), &bad).is_err(), "byte {at}");
        assert!(age::decrypt(&Unlock::Passphrase(&passphrase), &file[..at]).is_err(), "cut to {at}");
    }
    let longer = [file.as_slice(), b"x"].concat();
    assert!(age::decrypt(&Unlock::Passphrase(&passphrase), &longer).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn content_of_any_length_comes_back(near in 0_usize..4, off in 0_usize..3) {
        let len = (near * 65536 + off).saturating_sub(1);
        let content: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let passphrase = text("p");
        let file = age::encrypt(&Lock::Passphrase(&passphrase, 1), &content).unwrap();
        let opened = age::decrypt(&Unlock::Passphrase(&passphrase), &file).unwrap();
        prop_assert_eq!(&*opened, &content);
        // Without its last chunk it is not the whole.
        if len > 65536 {
            let cut = file.len() - (len - (len - 1) / 65536 * 65536) - 16;
            prop_assert!(age::decrypt(&Unlock::Passphrase(&passphrase), &file[..cut]).is_err());
        }
    }
}

/// A stock `age` and this one open each other's files. Skipped, by name, where there is none.
#[test]
fn a_stock_age_agrees() {
    use std::process::{Command, Stdio};
    let Ok(made) = Command::new("age-keygen").output() else {
        eprintln!("skipped a_stock_age_agrees: age is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let identity = text(&String::from_utf8(made.stdout).unwrap());
    std::fs::write(path("key"), identity.expose()).unwrap();
    let identities = Identity::parse_file(&identity).unwrap();
    let recipient = identities[0].recipient();

    let ours = age::encrypt(&Lock::Recipients(std::slice::from_ref(&recipient)), &vec![7; 100_000]).unwrap();
    std::fs::write(path("ours"), ours).unwrap();
    let opened = Command::new("age").arg("-d").arg("-i").arg(path("key")).arg(path("ours")).output().unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    assert_eq!(opened.stdout, vec![7; 100_000]);

    std::fs::write(path("plain"), vec![9; 70_000]).unwrap();
    let theirs = Command::new("age")
        .args(["-r", &recipient.to_string()])
        .arg(path("plain"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(theirs.status.success());
    assert_eq!(*age::decrypt(&Unlock::Identities(&identities), &theirs.stdout).unwrap(), vec![9; 70_000]);
}
