//! Signing through the public API: any threshold signs, everything else is refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use keep_frost::sign::{Committed, Coordinator, Package, Partial, Proposal, sign_local, sign_pooled, verify};
use keep_frost::*;
use keep_types::{EventTemplate, PublicKey, Timestamp};
use rand_core::OsRng;
use support::*;

fn raw(text: &str) -> Message {
    Message::Raw(text.as_bytes().to_vec())
}

fn proposal(group: &Group, text: &str) -> Proposal {
    Proposal::new(group, KeySpec::plain(), raw(text), &mut OsRng).unwrap()
}

/// Round 1 for the first `count` members.
fn round1<'g>(
    dealt: &'g dealer::Dealt,
    proposal: &Proposal,
    count: usize,
) -> (Coordinator<'g>, Vec<Committed>) {
    let mut coordinator = Coordinator::new(&dealt.group, proposal.clone()).unwrap();
    let mut signers = Vec::new();
    for share in &dealt.shares[..count] {
        let signer = Committed::new(&dealt.group, share, proposal.clone(), &mut OsRng).unwrap();
        coordinator.commit(share.index(), signer.session(), signer.commitment().clone()).unwrap();
        signers.push(signer);
    }
    (coordinator, signers)
}

fn released(held: sign::HeldShare) -> Partial {
    let burn = held.burn();
    held.release(&burn).unwrap()
}

#[test]
fn two_rounds_over_messages() {
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let dealt = dealer::generate(suite, 2, 3, &mut OsRng).unwrap();
        let proposal = proposal(&dealt.group, "two rounds");
        let (mut coordinator, signers) = round1(&dealt, &proposal, 2);
        let package = coordinator.package().unwrap().clone();
        for (signer, share) in signers.into_iter().zip(&dealt.shares) {
            let partial = released(signer.sign(&dealt.group, share, &package).unwrap());
            coordinator.share(share.index(), &partial).unwrap();
        }
        let signature = coordinator.finish().unwrap();
        verify(&dealt.group, &KeySpec::plain(), proposal.message(), &signature).unwrap();
        independent_verify(suite, &dealt.group.public_key(), b"two rounds", &signature);
        let other = verify(&dealt.group, &KeySpec::plain(), &raw("other"), &signature);
        assert_eq!(other, Err(FrostError::BadSignature));
    }
}

#[test]
fn every_subset_signs_and_no_smaller_one() {
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let dealt = dealer::generate(suite, 3, 5, &mut OsRng).unwrap();
        for mask in 0_u32..32 {
            let shares: Vec<&SecretShare> =
                dealt.shares.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, s)| s).collect();
            let proposal = proposal(&dealt.group, "subset");
            let result = sign_local(&dealt.group, &shares, &proposal, &mut OsRng);
            if shares.len() < 3 {
                assert_eq!(result.unwrap_err(), FrostError::TooFewSigners { need: 3, have: shares.len() });
                assert!(dealer::recover(&dealt.group, &shares).is_err());
            } else {
                let (signature, burnt) = result.unwrap();
                assert_eq!(burnt.iter().collect::<BTreeSet<_>>().len(), shares.len());
                independent_verify(suite, &dealt.group.public_key(), b"subset", &signature);
            }
        }
    }
}

#[test]
fn a_nostr_event_is_signed_by_its_recomputed_id() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let author = PublicKey::from_slice(&dealt.group.public_key()).unwrap();
    let tags = vec![vec!["t".to_owned(), "a \"b\"".to_owned()], vec!["p".to_owned(), author.to_hex()]];
    let event = EventTemplate::new(1, "hello\n\u{1F600}", tags, 1_700_000_000).into_unsigned(author).unwrap();
    let mut lying = event.clone();
    lying.id = Some(keep_types::EventId::all_zeros());
    let message = Message::Event(Box::new(lying));
    let proposal = Proposal::new(&dealt.group, KeySpec::plain(), message, &mut OsRng).unwrap();
    // What travels is the event, and the receiver computes the id again.
    let decoded: Proposal = minicbor::decode(&minicbor::to_vec(&proposal).unwrap()).unwrap();
    assert_eq!(decoded.session().unwrap(), proposal.session().unwrap());
    let shares = [&dealt.shares[1], &dealt.shares[2]];
    let (signature, _) = sign_local(&dealt.group, &shares, &decoded, &mut OsRng).unwrap();
    independent_verify(
        Suite::Secp256k1Tr,
        &dealt.group.public_key(),
        event.id.unwrap().as_bytes(),
        &signature,
    );

    let stranger = PublicKey::from_slice(&[0x79; 32]).unwrap();
    let event = EventTemplate::new(1, "hello", vec![], 1).into_unsigned(stranger).unwrap();
    let result = Proposal::new(&dealt.group, KeySpec::plain(), Message::Event(Box::new(event)), &mut OsRng);
    assert!(matches!(result, Err(FrostError::Message(m)) if m.contains("author")));
}

#[test]
fn a_signer_refuses_what_does_not_belong() {
    let rng = &mut OsRng;
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, rng).unwrap();
    let other = dealer::generate(Suite::Secp256k1Tr, 2, 3, rng).unwrap();
    let ed = dealer::generate(Suite::Ed25519, 2, 3, rng).unwrap();
    let secret = dealer::recover(&dealt.group, &[&dealt.shares[0], &dealt.shares[1]]).unwrap();
    let twin = dealer::split(Suite::Secp256k1Tr, &secret, 2, 3, rng).unwrap();
    assert_eq!(twin.group.key(), dealt.group.key());
    let keep: BTreeSet<Index> = dealt.group.indices().collect();
    let all: Vec<&SecretShare> = dealt.shares.iter().collect();
    let (next, new) = dealer::refresh(&dealt.group, &all, &keep, rng).unwrap();
    let p = proposal(&dealt.group, "x");

    let refusal = |group: &Group, share: &SecretShare| {
        Committed::new(group, share, p.clone(), &mut OsRng).map(|_| ()).unwrap_err()
    };
    let (suite, found) = (Suite::Secp256k1Tr, Suite::Ed25519);
    assert_eq!(refusal(&dealt.group, &ed.shares[0]), FrostError::WrongSuite { expected: suite, found });
    assert_eq!(refusal(&dealt.group, &other.shares[0]), FrostError::WrongGroup);
    assert_eq!(refusal(&dealt.group, &new[0]), FrostError::WrongEpoch { expected: 0, found: 1 });
    assert_eq!(refusal(&dealt.group, &twin.shares[0]), FrostError::WrongSharing);
    assert_eq!(refusal(&other.group, &other.shares[0]), FrostError::WrongGroup);
    assert_eq!(refusal(&next, &new[0]), FrostError::WrongEpoch { expected: 1, found: 0 });
    assert_eq!(refusal(&twin.group, &twin.shares[0]), FrostError::WrongSharing);
    assert_eq!(
        refusal(&ed.group, &ed.shares[0]),
        FrostError::WrongSuite { expected: Suite::Ed25519, found: Suite::Secp256k1Tr }
    );
}

#[test]
fn a_signer_refuses_a_bad_package() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let p = proposal(&dealt.group, "x");
    let refusal = |edit: &dyn Fn(&mut Package)| {
        let (mut coordinator, mut signers) = round1(&dealt, &p, 2);
        let mut package = coordinator.package().unwrap().clone();
        edit(&mut package);
        signers.remove(0).sign(&dealt.group, &dealt.shares[0], &package).map(|_| ()).unwrap_err()
    };
    let (one, two, nine) = (Index::new(1).unwrap(), Index::new(2).unwrap(), Index::new(9).unwrap());
    let unknown = |p: &mut Package| {
        let commitment = p.commitments[&two].clone();
        p.commitments.insert(nine, commitment);
    };
    assert_eq!(refusal(&unknown), FrostError::UnknownMember(nine));
    assert_eq!(refusal(&|p| p.session = SessionId::from_bytes([1; 32])), FrostError::WrongSession);
    let few = FrostError::TooFewSigners { need: 2, have: 1 };
    assert_eq!(refusal(&|p| drop(p.commitments.remove(&two))), few);
    let absent = |p: &mut Package| {
        let mine = p.commitments.remove(&one).unwrap();
        p.commitments.insert(Index::new(3).unwrap(), mine);
    };
    assert_eq!(refusal(&absent), FrostError::NotASigner(one));
    let swapped = |p: &mut Package| {
        let theirs = p.commitments[&two].clone();
        p.commitments.insert(one, theirs);
    };
    assert_eq!(refusal(&swapped), FrostError::CommitmentMismatch);
}

#[test]
fn all_cheaters_are_named() {
    for (suite, spec) in [
        (Suite::Secp256k1Tr, KeySpec::plain()),
        (Suite::Secp256k1Tr, KeySpec::new([4], Tweak::KeyPath)),
        (Suite::Ed25519, KeySpec::plain()),
    ] {
        let dealt = dealer::generate(suite, 3, 5, &mut OsRng).unwrap();
        let p = Proposal::new(&dealt.group, spec, raw("x"), &mut OsRng).unwrap();
        for bad in [vec![2_u64], vec![1, 4], vec![1, 2, 3, 4, 5]] {
            let (mut coordinator, signers) = round1(&dealt, &p, 5);
            let package = coordinator.package().unwrap().clone();
            for (signer, share) in signers.into_iter().zip(&dealt.shares) {
                let mut partial = released(signer.sign(&dealt.group, share, &package).unwrap());
                if bad.contains(&u64::from(share.index().get())) {
                    // Not a scalar at all, in one case.
                    partial.share =
                        if share.index().get() == 4 { [0xff; 32] } else { [share.index().get() as u8; 32] };
                    partial.share[31] &= 0x0f;
                    partial.share[0] |= u8::from(share.index().get() == 4);
                }
                coordinator.share(share.index(), &partial).unwrap();
            }
            let expected = bad.iter().map(|i| Index::new(*i).unwrap()).collect();
            assert_eq!(coordinator.finish().unwrap_err(), FrostError::Cheaters(expected));
        }
    }
}

#[test]
fn a_coordinator_refuses_confusion() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let p = proposal(&dealt.group, "x");
    let (mut coordinator, signers) = round1(&dealt, &p, 2);
    let (one, three) = (Index::new(1).unwrap(), Index::new(3).unwrap());
    let other = signers[1].commitment().clone();
    let session = coordinator.session();
    assert_eq!(coordinator.commit(one, session, other.clone()), Err(FrostError::CommitmentTwice(one)));
    let foreign = SessionId::from_bytes([0; 32]);
    assert_eq!(coordinator.commit(three, foreign, other.clone()), Err(FrostError::WrongSession));
    let nine = Index::new(9).unwrap();
    assert_eq!(coordinator.commit(nine, session, other), Err(FrostError::UnknownMember(nine)));
    let stray = Partial { session, share: [1; 32] };
    assert!(matches!(coordinator.share(one, &stray), Err(FrostError::OutOfOrder(_))));
    coordinator.package().unwrap();
    assert_eq!(coordinator.share(three, &stray), Err(FrostError::NotASigner(three)));
    assert_eq!(coordinator.share(one, &stray), Ok(false));
    let second = Partial { session, share: [2; 32] };
    assert_eq!(coordinator.share(one, &second), Err(FrostError::Equivocation(one)));
    assert_eq!(coordinator.finish().unwrap_err(), FrostError::ShareMissing(Index::new(2).unwrap()));
}

#[test]
fn a_share_leaves_only_with_its_burn_record() {
    let dealt = dealer::generate(Suite::Ed25519, 2, 2, &mut OsRng).unwrap();
    let p = proposal(&dealt.group, "x");
    let (mut coordinator, mut signers) = round1(&dealt, &p, 2);
    let package = coordinator.package().unwrap().clone();
    let theirs = signers[1].commitment().id();
    let held = signers.remove(0).sign(&dealt.group, &dealt.shares[0], &package).unwrap();
    assert_eq!(held.release(&theirs).unwrap_err(), FrostError::NotBurnt);
}

#[test]
fn the_pool_gives_each_nonce_once_to_its_peer_in_time() {
    let rng = &mut OsRng;
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, rng).unwrap();
    let (mine, peer, eve) = (&dealt.shares[0], dealt.devices[1].public(), dealt.devices[2].public());
    let now = Timestamp::from_secs(1_000);
    let mut pool = NoncePool::new(&dealt.group, mine, rng).unwrap();
    let commitments = pool.refill(mine, peer, 16, now, rng).unwrap();
    assert_eq!(pool.refill(mine, peer, 1, now, rng).unwrap_err(), FrostError::PoolFull(16));
    assert_eq!(pool.refill(mine, eve, 1, now, rng).unwrap().len(), 1);

    let p = proposal(&dealt.group, "pooled");
    let sign = |pool: &mut NoncePool, commitment: &Commitment, peer: &DevicePublic, now| {
        let (mut coordinator, _) = round1(&dealt, &p, 0);
        let theirs = Committed::new(&dealt.group, &dealt.shares[1], p.clone(), &mut OsRng).unwrap();
        coordinator.commit(dealt.shares[1].index(), theirs.session(), theirs.commitment().clone()).unwrap();
        coordinator.commit(mine.index(), theirs.session(), commitment.clone()).unwrap();
        let package = coordinator.package().unwrap().clone();
        let held = sign_pooled(&dealt.group, mine, &p, &package, pool, peer, now)?;
        coordinator.share(mine.index(), &released(held)).unwrap();
        let partial = released(theirs.sign(&dealt.group, &dealt.shares[1], &package).unwrap());
        coordinator.share(dealt.shares[1].index(), &partial).unwrap();
        coordinator.finish()
    };
    let signature = sign(&mut pool, &commitments[0], &peer, now).unwrap();
    verify(&dealt.group, &KeySpec::plain(), p.message(), &signature).unwrap();
    assert_eq!(sign(&mut pool, &commitments[0], &peer, now), Err(FrostError::UnknownNonce));
    assert_eq!(sign(&mut pool, &commitments[1], &eve, now), Err(FrostError::ForeignNonce));
    let late = now.plus(NoncePool::TTL);
    assert_eq!(sign(&mut pool, &commitments[1], &peer, late), Err(FrostError::ExpiredNonce));
    assert_eq!(sign(&mut pool, &commitments[1], &peer, now), Err(FrostError::UnknownNonce));
    let earlier = now.minus(Duration::from_secs(1));
    assert_eq!(sign(&mut pool, &commitments[2], &peer, earlier), Err(FrostError::ExpiredNonce));
    pool.expire(late);
    assert_eq!(pool.unused(&peer, now), 0);

    // A second process with the same share has a pool of its own: it knows none of these nonces.
    let mut copy = NoncePool::new(&dealt.group, mine, rng).unwrap();
    assert_ne!(copy.id(), pool.id());
    assert_eq!(sign(&mut copy, &commitments[3], &peer, now), Err(FrostError::UnknownNonce));

    let all: Vec<&SecretShare> = dealt.shares.iter().collect();
    let (next, new) = dealer::refresh(&dealt.group, &all, &dealt.group.indices().collect(), rng).unwrap();
    assert_eq!(pool.serves(&next), Err(FrostError::WrongEpoch { expected: 1, found: 0 }));
    let refused = pool.refill(&new[0], peer, 1, now, rng).unwrap_err();
    assert_eq!(refused, FrostError::WrongEpoch { expected: 0, found: 1 });
}

#[test]
fn a_refused_pooled_request_keeps_the_nonce() {
    let rng = &mut OsRng;
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, rng).unwrap();
    let (mine, peer, now) = (&dealt.shares[0], dealt.devices[1].public(), Timestamp::from_secs(9));
    let mut pool = NoncePool::new(&dealt.group, mine, rng).unwrap();
    let commitment = pool.refill(mine, peer, 1, now, rng).unwrap().remove(0);
    let p = proposal(&dealt.group, "x");
    let package = Package { session: p.session().unwrap(), commitments: [(mine.index(), commitment)].into() };
    let refused = sign_pooled(&dealt.group, mine, &p, &package, &mut pool, &peer, now).unwrap_err();
    assert_eq!(refused, FrostError::TooFewSigners { need: 2, have: 1 });
    assert_eq!(pool.unused(&peer, now), 1);
}

#[test]
fn the_same_message_never_meets_the_same_nonce() {
    let dealt = dealer::generate(Suite::Ed25519, 2, 2, &mut OsRng).unwrap();
    let p = proposal(&dealt.group, "x");
    let mut seen = BTreeSet::new();
    for _ in 0..50 {
        let (_, burnt) =
            sign_local(&dealt.group, &[&dealt.shares[0], &dealt.shares[1]], &p, &mut OsRng).unwrap();
        assert!(burnt.into_iter().all(|id| seen.insert(id)));
    }
}

#[test]
fn nothing_secret_is_shown() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 2, &mut OsRng).unwrap();
    let secret = dealer::recover(&dealt.group, &[&dealt.shares[0], &dealt.shares[1]]).unwrap();
    let record = dealt.shares[0].to_record().unwrap();
    let share = hex::encode(&record.expose()[record.expose().len() - 32..]);
    let p = proposal(&dealt.group, "x");
    let (mut coordinator, mut signers) = round1(&dealt, &p, 2);
    let package = coordinator.package().unwrap().clone();
    let held = signers.remove(0).sign(&dealt.group, &dealt.shares[0], &package).unwrap();
    let shown = format!("{dealt:?} {signers:?} {held:?} {coordinator:?}");
    let partial =
        hex::encode(held.release(&package.commitments[&Index::new(1).unwrap()].id()).unwrap().share);
    for hidden in [hex::encode(secret.expose()), share, partial, hex::encode(dealt.devices[0].expose())] {
        assert!(!shown.contains(&hidden));
    }
}

#[test]
fn records_round_trip() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let group: Group = minicbor::decode(&minicbor::to_vec(&dealt.group).unwrap()).unwrap();
    assert_eq!(group, dealt.group);
    let record = dealt.shares[0].to_record().unwrap();
    let share = SecretShare::from_record(record.expose()).unwrap();
    share.check(&group).unwrap();
    for cut in 0..record.expose().len() {
        assert!(SecretShare::from_record(&record.expose()[..cut]).is_err());
    }
    assert!(SecretShare::from_record(&[record.expose(), &[0]].concat()).is_err());
}
