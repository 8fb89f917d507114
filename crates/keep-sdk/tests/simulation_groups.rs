//! What holds for every group, through the vault: random thresholds up to 15 of 20. A part of them in every run, many with
//! `KEEP_SOAK=1`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

use keep_sdk::frost::{
    Frost, GroupKey, GroupView, ImportOptions, PublicInput, ShareForm, Suite, ToSign, verify_message,
};
use keep_sdk::{Home, KdfCost, Keep, Name, Options, SecretText};
use rand_core::{OsRng, RngCore};

const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
const EXPORT: Option<(u32, u8, u8)> = Some((8192, 1, 1));

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

fn vault(within: &tempfile::TempDir, name: &str) -> Keep {
    let options = Options::default().allow_weak_kdf().kdf_cost(CHEAP);
    Keep::create(Home::new(within.path().join(name)).unwrap(), &passphrase(), &options).unwrap()
}

fn below(end: usize) -> usize {
    OsRng.next_u32() as usize % end
}

/// `count` of `all`, in a random order.
fn choose(all: &[u16], count: usize) -> Vec<u16> {
    let mut all = all.to_vec();
    (0..count).map(|_| all.swap_remove(below(all.len()))).collect()
}

fn message() -> Vec<u8> {
    let mut bytes = vec![0; below(100)];
    OsRng.fill_bytes(&mut bytes);
    // What an Ed25519 group does not sign, because minisign could take it for a part of a release.
    bytes.push(b'\n');
    if bytes.len() == 64 { bytes[1..].to_vec() } else { bytes }
}

fn signs(frost: &Frost, group: &GroupView, signers: &[u16]) -> Result<(), keep_sdk::Fault> {
    let message = message();
    let what = ToSign::Raw(hex::encode(&message));
    let signed = frost.sign(Some(&group.pubkey), what, GroupKey::default(), signers.to_vec())?;
    let key = PublicInput::parse(&group.npub).unwrap();
    verify_message(&key, &message, &signed.signature)?;
    if group.suite == "secp256k1-tr" && message.len() == 32 {
        let key = secp256k1::XOnlyPublicKey::from_slice(&hex::decode(&group.pubkey).unwrap()).unwrap();
        let signature =
            secp256k1::schnorr::Signature::from_slice(&hex::decode(&signed.signature).unwrap()).unwrap();
        let message = secp256k1::Message::from_digest(message.try_into().unwrap());
        secp256k1::SECP256K1.verify_schnorr(&signature, &message, &key).unwrap();
    }
    Ok(())
}

/// Everything that a group goes through, in one vault, with a second one that keeps old shares.
fn holds(within: &tempfile::TempDir, round: usize, suite: Suite, t: u16, n: u16) {
    let keep = vault(within, &format!("v{round}"));
    let frost = keep.frost();
    let group = frost.generate(None, suite, t, n).unwrap();
    let all: Vec<u16> = (1..=n).collect();
    signs(&frost, &group, &choose(&all, t.into())).unwrap();
    signs(&frost, &group, &choose(&all, usize::from(t) + below(usize::from(n - t) + 1))).unwrap();
    let few = signs(&frost, &group, &choose(&all, usize::from(t) - 1)).unwrap_err();
    assert!(few.message().contains(&format!("but the group needs {t}")), "{few}");

    // Old shares, in a vault that does not hear of the renewal.
    let older = vault(within, &format!("old{round}"));
    let first = all[below(all.len())];
    let export = |group: &GroupView, index: u16| {
        let share = frost.export_share(Some(&group.pubkey), index, ShareForm::Bech32, &passphrase(), EXPORT);
        share.unwrap().share
    };
    let old = export(&group, first);
    older.frost().import(old.clone().into(), Some(passphrase()), None, ImportOptions::default()).unwrap();

    // A lost share comes back the same, if there are helpers, with another device key.
    let others_of = |one: u16| all.iter().copied().filter(|index| *index != one).collect::<Vec<_>>();
    let mut renewed_device = 0;
    if n > t {
        let lost = others_of(first)[below(all.len() - 1)];
        frost.delete_share(None, lost).unwrap();
        renewed_device = lost;
        let others = others_of(lost);
        let repaired = frost.repair(None, lost).unwrap();
        let public =
            |group: &GroupView| group.members.iter().map(|m| m.verifying_share.clone()).collect::<Vec<_>>();
        assert_eq!((repaired.shares.clone(), public(&repaired)), (all.clone(), public(&group)));
        let mut signers = choose(&others, usize::from(t) - 1);
        signers.push(lost);
        signs(&frost, &group, &signers).unwrap();
    }

    // A renewal keeps the key, and may drop members.
    let dropped = choose(&all, below(usize::from(n - t) + 1));
    let next = frost.refresh(None, dropped.clone()).unwrap();
    assert_eq!((next.pubkey.as_str(), next.epoch), (group.pubkey.as_str(), 1));
    assert_eq!((&next.xpub, &next.group_key), (&group.xpub, &group.group_key));
    let kept: Vec<u16> = all.iter().copied().filter(|index| !dropped.contains(index)).collect();
    assert_eq!(next.shares, kept);
    signs(&frost, &next, &choose(&kept, t.into())).unwrap();
    if let Some(gone) = dropped.first() {
        let mut signers = choose(&kept, usize::from(t) - 1);
        signers.push(*gone);
        assert!(signs(&frost, &next, &signers).unwrap_err().message().contains("does not belong"));
    }
    let refused = frost.import(old.into(), Some(passphrase()), None, ImportOptions::default()).unwrap_err();
    assert_eq!(refused.message(), "this is of epoch 0, the group is at epoch 1");

    // Old and new shares do not meet in one session, whoever proposes.
    let raw = || ToSign::Raw("00".to_owned());
    let from = kept.iter().copied().find(|index| *index != renewed_device).unwrap();
    let of_new =
        frost.propose(None, raw(), GroupKey::default(), vec![from]).unwrap().messages[0].text.clone();
    let of_old =
        older.frost().propose(None, raw(), GroupKey::default(), vec![]).unwrap().messages[0].text.clone();
    let at_old = older.frost().join(None, &of_new, None, vec![]).unwrap_err();
    assert_eq!(at_old.message(), "this is of epoch 1, the group is at epoch 0");
    if kept.contains(&first) {
        let at_new = frost.join(None, &of_old, None, vec![]).unwrap_err();
        assert_eq!(at_new.message(), "this is of epoch 0, the group is at epoch 1");
    }
    assert!(keep.audit().verify().is_ok());
}

fn split_keeps_the_key(within: &tempfile::TempDir, round: usize, t: u16, n: u16) {
    let keep = vault(within, &format!("split{round}"));
    let key = keep.keys().generate(Name::new("main").unwrap()).unwrap();
    let split = keep.frost().split(Some("main"), None, t, n, true).unwrap();
    assert_eq!(split.group.pubkey, key.pubkey);
    let all: Vec<u16> = (1..=n).collect();
    signs(&keep.frost(), &split.group, &choose(&all, t.into())).unwrap();
    for gone in choose(&all, usize::from(n - t)) {
        keep.frost().delete_share(None, gone).unwrap();
    }
    let recovered = keep.frost().recover(None).unwrap();
    let original = keep.keys().export_nsec(&key).unwrap();
    assert_eq!(recovered.secret.expose(), original.expose());
    let last = keep.frost().find(None).unwrap().shares[0];
    keep.frost().delete_share(None, last).unwrap();
    assert!(keep.frost().recover(None).unwrap_err().message().contains("the group needs"));
}

fn random_size(max: u16) -> (u16, u16) {
    let n = 2 + u16::try_from(below(usize::from(max) - 1)).unwrap();
    let t = 2 + u16::try_from(below(usize::from(n.min(15)) - 1)).unwrap();
    (t, n)
}

#[test]
fn groups_of_any_size_hold_what_they_promise() {
    let within = tempfile::tempdir().unwrap();
    let soak = std::env::var_os("KEEP_SOAK").is_some_and(|value| value == "1");
    let mut sizes = vec![(15, 20), (2, 2)];
    sizes.extend((0..if soak { 60 } else { 4 }).map(|_| random_size(if soak { 20 } else { 9 })));
    for (round, (t, n)) in sizes.into_iter().enumerate() {
        let suite = if round % 2 == 0 { Suite::Secp256k1Tr } else { Suite::Ed25519 };
        println!("{t} of {n}, {suite}");
        holds(&within, round, suite, t, n);
    }
    for round in 0..if soak { 20 } else { 2 } {
        let (t, n) = random_size(if soak { 20 } else { 7 });
        split_keeps_the_key(&within, round, t, n);
    }
}
