//! Shares as text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use keep_frost::wire::{KdfCost, ShareExport};
use keep_frost::*;
use keep_types::SecretText;
use rand_core::OsRng;

const CHEAP: (u32, u8, u8) = (8 * 1024, 1, 1);

fn cheap() -> KdfCost {
    KdfCost::new(CHEAP.0, CHEAP.1, CHEAP.2).unwrap()
}

fn pass(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn export(dealt: &dealer::Dealt, at: usize) -> ShareExport {
    let device = Some(&dealt.devices[at]);
    ShareExport::seal(&dealt.group, &dealt.shares[at], device, None, &pass("correct"), cheap(), &mut OsRng)
        .unwrap()
}

#[test]
fn round_trips_in_every_form() {
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let dealt = dealer::generate(suite, 2, 3, &mut OsRng).unwrap();
        for at in 0..3 {
            let export = export(&dealt, at);
            let bech = export.to_bech32().unwrap();
            assert!(bech.starts_with("kshare1"));
            let wrapped: String =
                bech.as_bytes().chunks(60).map(|c| format!("{}\n", str::from_utf8(c).unwrap())).collect();
            for text in [&bech, &export.to_qr_text().unwrap(), &wrapped, &export.to_json().unwrap()] {
                let opened = ShareExport::parse(text).unwrap();
                assert_eq!(opened, export);
                assert_eq!(opened.label().index, dealt.shares[at].index());
                let enrolment = opened.open(&pass("correct")).unwrap();
                assert_eq!(enrolment.group, dealt.group);
                enrolment.share.check(&dealt.group).unwrap();
                assert_eq!(enrolment.device.unwrap().public(), dealt.devices[at].public());
            }
        }
    }
}

#[test]
fn groups_without_roster_export_too() {
    let dealt = dealer::generate(Suite::Ed25519, 2, 2, &mut OsRng).unwrap();
    let mut parts = dealt.group.clone().into_parts();
    parts.members.iter_mut().for_each(|m| m.device = None);
    let bare = Group::try_from(parts).unwrap();
    let export =
        ShareExport::seal(&bare, &dealt.shares[0], None, None, &pass("p"), cheap(), &mut OsRng).unwrap();
    assert_eq!(export.open(&pass("p")).unwrap().group, bare);
    let wrong = ShareExport::seal(
        &dealt.group,
        &dealt.shares[0],
        Some(&dealt.devices[1]),
        None,
        &pass("p"),
        cheap(),
        &mut OsRng,
    );
    assert_eq!(wrong.unwrap_err(), FrostError::NotAuthentic(Index::new(1).unwrap()));
}

#[test]
fn a_15_of_20_share_fits_one_qr_code() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 15, 20, &mut OsRng).unwrap();
    let text = export(&dealt, 19).to_qr_text().unwrap();
    assert!(text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
    eprintln!("15 of 20: {} characters", text.len());
    let enrolment = ShareExport::parse(&text).unwrap().open(&pass("correct")).unwrap();
    assert_eq!(enrolment.group, dealt.group);
    let small = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    eprintln!("2 of 3: {} characters", export(&small, 0).to_qr_text().unwrap().len());
}

#[test]
fn wrong_passphrase_and_edits_have_their_own_errors() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let export = export(&dealt, 0);
    assert_eq!(export.open(&pass("wrong")).unwrap_err(), FrostError::WrongPassphrase);
    // The same passphrase in another Unicode form is the same passphrase.
    let composed =
        ShareExport::seal(&dealt.group, &dealt.shares[0], None, None, &pass("é"), cheap(), &mut OsRng)
            .unwrap();
    composed.open(&pass("e\u{301}")).unwrap();

    let bytes = export.to_bytes();
    // Every field of the label and the body; salt and cost change the derived key, so they show as a wrong passphrase.
    for (at, expected) in [
        (3, FrostError::Tampered),
        (7, FrostError::Tampered),
        (11, FrostError::Tampered),
        (20, FrostError::WrongPassphrase),
        (36, FrostError::WrongPassphrase),
        (50, FrostError::Tampered),
        (70, FrostError::Tampered),
        (120, FrostError::Tampered),
        (bytes.len() - 1, FrostError::Tampered),
    ] {
        let mut bent = bytes.clone();
        bent[at] ^= if at == 7 { 3 } else { 1 };
        let result = ShareExport::from_bytes(&bent).and_then(|e| e.open(&pass("correct")).map(|_| ()));
        assert_eq!(result.unwrap_err(), expected, "byte {at}");
    }
    let bech = export.to_bech32().unwrap();
    for cut in [1, 7, bech.len() / 2, bech.len() - 1] {
        assert!(matches!(ShareExport::parse(&bech[..cut]), Err(FrostError::Malformed { .. })), "{cut}");
    }
    let mut typo = bech.clone().into_bytes();
    typo[30] = if typo[30] == b'q' { b'p' } else { b'q' };
    assert!(ShareExport::parse(str::from_utf8(&typo).unwrap()).is_err());
    for cut in 0..100 {
        assert!(ShareExport::from_bytes(&bytes[..cut]).is_err());
    }
}

#[test]
fn absurd_costs_are_refused_before_they_cost() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let bytes = export(&dealt, 0).to_bytes();
    for (at, value) in
        [(12, [0xff; 4].as_slice()), (12, &[0, 0, 0, 1]), (16, &[0]), (16, &[255]), (17, &[0]), (17, &[200])]
    {
        let mut bent = bytes.clone();
        bent[at..at + value.len()].copy_from_slice(value);
        assert!(matches!(ShareExport::from_bytes(&bent), Err(FrostError::KdfCost(_))), "{at}");
    }
    assert!(matches!(KdfCost::new(1024 * 1024, 64, 1), Err(FrostError::KdfCost(_))));
    let mut newer = bytes.clone();
    newer[0] = 2;
    assert!(matches!(ShareExport::from_bytes(&newer), Err(FrostError::NewerVersion { version: 2, .. })));
}

#[test]
fn the_text_shows_no_secret() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 2, &mut OsRng).unwrap();
    let export = export(&dealt, 0);
    let record = dealt.shares[0].to_record().unwrap();
    let secret = &record.expose()[record.expose().len() - 32..];
    let bytes = export.to_bytes();
    assert!(!bytes.windows(32).any(|w| w == secret || w == dealt.devices[0].expose()));
    assert!(!format!("{export:?}").contains(&hex::encode(secret)));
}

#[test]
fn a_renewed_group_speaks_for_its_shares() {
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let dealt = dealer::generate(suite, 2, 3, &mut OsRng).unwrap();
        let all: Vec<&SecretShare> = dealt.shares.iter().collect();
        let keep: std::collections::BTreeSet<Index> = dealt.group.indices().collect();
        let (next, fresh) = dealer::refresh(&dealt.group, &all, &keep, &mut OsRng).unwrap();
        let new: Vec<&SecretShare> = fresh.iter().collect();
        let (word, burns) = Endorsement::sign(&next, &new, &mut OsRng).unwrap();
        assert_eq!(burns.len(), 2);
        let seal = |word| ShareExport::seal(&next, new[0], None, Some(word), &pass("p"), cheap(), &mut OsRng);
        let opened = seal(&word).unwrap().open(&pass("p")).unwrap();
        assert_eq!((opened.endorsement, opened.group.epoch()), (Some(word.clone()), 1));
        // It is about this very sharing, and of this very key.
        assert_eq!(word.check(&dealt.group), Err(FrostError::NotEndorsed));
        let (other, _) = dealer::refresh(&dealt.group, &all, &keep, &mut OsRng).unwrap();
        assert_eq!(word.check(&other), Err(FrostError::NotEndorsed));
        let (old, _) = Endorsement::sign(&dealt.group, &all, &mut OsRng).unwrap();
        assert_eq!(seal(&old).unwrap_err(), FrostError::NotEndorsed);
        let few = Endorsement::sign(&next, &new[..1], &mut OsRng).unwrap_err();
        assert_eq!(few, FrostError::TooFewSigners { need: 2, have: 1 });
        // And nobody gets the same bytes signed as a message.
        let bytes = [b"keep frost: these are the next shares of this key: ".as_slice(), &[7; 32]].concat();
        let raw = sign::Proposal::new(&next, KeySpec::plain(), Message::Raw(bytes), &mut OsRng).unwrap_err();
        assert!(raw.to_string().contains("only a renewal says this"), "{raw}");
        // Not under another name either: a "signature" that begins so, with the rest as its comment.
        if suite == Suite::Ed25519 {
            let mut signature = [b'x'; 64];
            signature[..51].copy_from_slice(b"keep frost: these are the next shares of this key: ");
            let signature = Signature::from_bytes(signature);
            let message = Message::TrustedComment { signature, comment: "the rest of an id  ".into() };
            let comment = sign::Proposal::new(&next, KeySpec::plain(), message, &mut OsRng).unwrap_err();
            assert!(comment.to_string().contains("only a renewal says this"), "{comment}");
        }
    }
}
