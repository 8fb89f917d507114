//! Signing by files and pasted text: every message is authenticated and bound to its session.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use keep_frost::sign::{Committed, Coordinator, Package, Partial, Proposal, verify};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::*;
use rand_core::OsRng;
use support::*;

fn message() -> Message {
    Message::Raw(b"over the air gap".to_vec())
}

/// What one device prints and another reads.
fn carried(envelope: &Envelope) -> Envelope {
    let text = envelope.to_text().unwrap();
    let wrapped: String =
        text.as_bytes().chunks(64).map(|c| format!("  {}\r\n", str::from_utf8(c).unwrap())).collect();
    let by_text = Envelope::parse(&wrapped).unwrap();
    let by_json = Envelope::parse(&envelope.to_json().unwrap()).unwrap();
    assert_eq!(by_text, by_json);
    by_text
}

#[test]
fn two_devices_sign_by_text() {
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let dealt = dealer::generate(suite, 2, 3, &mut OsRng).unwrap();
        let (group, one, two) = (&dealt.group, &dealt.shares[0], &dealt.shares[1]);
        let (device1, device2) = (&dealt.devices[0], &dealt.devices[1]);
        let device = |i: Index| group.device(i).unwrap();

        let proposal = Proposal::new(group, KeySpec::plain(), message(), &mut OsRng).unwrap();
        let session = proposal.session().unwrap();
        let sent = Envelope::sign(Kind::Proposal, session, one.index(), device1, &proposal).unwrap();

        // The other device reads what it is about to sign, and commits.
        let arrived = carried(&sent);
        let theirs = arrived.read_proposal(&device(arrived.from())).unwrap();
        assert_eq!(theirs.message(), &message());
        let signer = Committed::new(group, two, theirs, &mut OsRng).unwrap();
        let reply =
            Envelope::sign(Kind::Commitment, session, two.index(), device2, signer.commitment()).unwrap();

        let mut coordinator = Coordinator::new(group, proposal.clone()).unwrap();
        let own = Committed::new(group, one, proposal, &mut OsRng).unwrap();
        coordinator.commit(one.index(), session, own.commitment().clone()).unwrap();
        let reply = carried(&reply);
        let commitment: Commitment = reply.read(Kind::Commitment, session, &device(reply.from())).unwrap();
        assert!(coordinator.commit(reply.from(), reply.session(), commitment).unwrap());
        let package = coordinator.package().unwrap().clone();
        let round2 = Envelope::sign(Kind::Package, session, one.index(), device1, &package).unwrap();

        let round2: Package = carried(&round2).read(Kind::Package, session, &device(one.index())).unwrap();
        let held = signer.sign(group, two, &round2).unwrap();
        let burn = held.burn();
        let partial = held.release(&burn).unwrap();
        let answer = Envelope::sign(Kind::Partial, session, two.index(), device2, &partial).unwrap();

        let partial: Partial = carried(&answer).read(Kind::Partial, session, &device(two.index())).unwrap();
        coordinator.share(two.index(), &partial).unwrap();
        let held = own.sign(group, one, &package).unwrap();
        let burn = held.burn();
        coordinator.share(one.index(), &held.release(&burn).unwrap()).unwrap();
        let signature = coordinator.finish().unwrap();
        verify(group, &KeySpec::plain(), &message(), &signature).unwrap();
        independent_verify(suite, &group.public_key(), b"over the air gap", &signature);
    }
}

#[test]
fn edited_foreign_and_replayed_messages_are_refused() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let group = &dealt.group;
    let (one, two) = (Index::new(1).unwrap(), Index::new(2).unwrap());
    let proposal = Proposal::new(group, KeySpec::plain(), message(), &mut OsRng).unwrap();
    let session = proposal.session().unwrap();
    let sent = Envelope::sign(Kind::Proposal, session, one, &dealt.devices[0], &proposal).unwrap();
    let device = group.device(one).unwrap();
    sent.read_proposal(&device).unwrap();

    let bytes = sent.to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut bent = bytes.clone();
        bent[at] ^= 1;
        let result = Envelope::from_bytes(&bent).and_then(|e| e.read_proposal(&device));
        assert!(result.is_err(), "byte {at}");
    }
    for cut in 0..bytes.len() {
        assert!(Envelope::from_bytes(&bytes[..cut]).is_err());
    }
    // Another member's key, another kind, another session.
    assert_eq!(sent.read_proposal(&group.device(two).unwrap()), Err(FrostError::NotAuthentic(one)));
    let kind = sent.read::<Package>(Kind::Package, session, &device).unwrap_err();
    assert_eq!(kind, FrostError::WrongKind { expected: "package", found: "proposal" });
    let other = SessionId::from_bytes([1; 32]);
    assert_eq!(sent.read::<Proposal>(Kind::Proposal, other, &device), Err(FrostError::WrongSession));
    // A session that is not the hash of what it proposes.
    let lying = Envelope::sign(Kind::Proposal, other, one, &dealt.devices[0], &proposal).unwrap();
    assert_eq!(lying.read_proposal(&device), Err(FrostError::WrongSession));
    // Two proposals of the same message are two sessions.
    let again = Proposal::new(group, KeySpec::plain(), message(), &mut OsRng).unwrap();
    assert_ne!(again.session().unwrap(), session);
    for junk in ["", "keepfrost1:", "keepfrost1:????", "{}", "hello", "keepfrost2:AAAA"] {
        assert!(matches!(Envelope::parse(junk), Err(FrostError::Malformed { .. })), "{junk}");
    }
}

#[test]
fn a_damaged_share_is_caught_before_it_leaves() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let record = dealt.shares[0].to_record().unwrap();
    let mut bytes = record.expose().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let damaged = SecretShare::from_record(&bytes).unwrap();
    assert_eq!(damaged.check(&dealt.group), Err(FrostError::ShareMismatch(damaged.index())));

    let proposal = Proposal::new(&dealt.group, KeySpec::plain(), message(), &mut OsRng).unwrap();
    let mut coordinator = Coordinator::new(&dealt.group, proposal.clone()).unwrap();
    let bad = Committed::new(&dealt.group, &damaged, proposal.clone(), &mut OsRng).unwrap();
    let good = Committed::new(&dealt.group, &dealt.shares[1], proposal.clone(), &mut OsRng).unwrap();
    coordinator.commit(damaged.index(), bad.session(), bad.commitment().clone()).unwrap();
    coordinator.commit(dealt.shares[1].index(), good.session(), good.commitment().clone()).unwrap();
    let package = coordinator.package().unwrap().clone();
    assert_eq!(bad.sign(&dealt.group, &damaged, &package).unwrap_err(), FrostError::OwnShareInvalid);

    let shares = [&damaged, &dealt.shares[1]];
    let local = sign::sign_local(&dealt.group, &shares, &proposal, &mut OsRng).unwrap_err();
    assert_eq!(local, FrostError::Cheaters(vec![damaged.index()]));
}

#[test]
fn a_hundred_sessions_at_once() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let (group, shares) = (&dealt.group, &dealt.shares[..2]);
    let mut sessions = Vec::new();
    for n in 0_u8..100 {
        let message = Message::Raw(vec![n; 32]);
        let proposal = Proposal::new(group, KeySpec::plain(), message, &mut OsRng).unwrap();
        let mut coordinator = Coordinator::new(group, proposal.clone()).unwrap();
        let signers: Vec<Committed> =
            shares.iter().map(|s| Committed::new(group, s, proposal.clone(), &mut OsRng).unwrap()).collect();
        for (signer, share) in signers.iter().zip(shares) {
            coordinator.commit(share.index(), signer.session(), signer.commitment().clone()).unwrap();
        }
        sessions.push((coordinator, signers));
    }
    for (n, (mut coordinator, signers)) in sessions.into_iter().enumerate().rev() {
        let package = coordinator.package().unwrap().clone();
        for (signer, share) in signers.into_iter().zip(shares) {
            let held = signer.sign(group, share, &package).unwrap();
            let burn = held.burn();
            coordinator.share(share.index(), &held.release(&burn).unwrap()).unwrap();
        }
        let signature = coordinator.finish().unwrap();
        independent_verify(Suite::Secp256k1Tr, &group.public_key(), &[n as u8; 32], &signature);
    }
}

#[test]
fn a_text_that_is_no_message_is_not_quoted() {
    let secret = "nsec1thisisnotforanybody";
    for (text, reason) in [
        (format!("{{\"{secret}\": 1}}"), "its JSON has another form (line 1, column "),
        (format!("{{\"keepfrost\": \"{secret}\"}}"), "its JSON has another form (line 1, column "),
        (
            format!("{{\"keepfrost\": 1, \"kind\": \"{secret}\"}}"),
            "its JSON has another form (line 1, column ",
        ),
        (format!("{{{secret}}}"), "it is not JSON (line 1, column "),
        (format!("{{\n\"{secret}"), "it is cut off (line 2, column "),
    ] {
        let said = Envelope::parse(&text).unwrap_err().to_string();
        assert!(said.contains(reason) && !said.contains("nsec1"), "{text}: {said}");
    }
}
