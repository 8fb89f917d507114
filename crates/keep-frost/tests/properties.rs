//! What holds for every group: random thresholds up to 15 of 20, odd and even keys, tweaks, children, renewals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::collections::BTreeSet;

use keep_frost::repair::repair_local;
use keep_frost::sign::{Proposal, sign_local, verify};
use keep_frost::*;
use keep_types::SecretKey32;
use proptest::prelude::*;
use rand_core::{OsRng, RngCore};
use secp256k1::{Keypair, Parity, SECP256K1, Scalar, SecretKey, XOnlyPublicKey};
use support::*;

fn suite() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(Suite::Secp256k1Tr), Just(Suite::Ed25519)]
}

/// A threshold and a number of members.
fn size(max: u16) -> impl Strategy<Value = (u16, u16)> {
    (2..=max).prop_flat_map(|n| (2..=n.min(15), Just(n)))
}

/// `count` of `all`, in a random order.
fn choose<T: Copy>(all: &[T], count: usize) -> Vec<T> {
    let mut all = all.to_vec();
    let mut out = Vec::new();
    for _ in 0..count {
        out.push(all.swap_remove(OsRng.next_u32() as usize % all.len()));
    }
    out
}

fn sign(group: &Group, shares: &[&SecretShare], spec: &KeySpec) -> Result<Signature, FrostError> {
    let proposal = Proposal::new(group, spec.clone(), Message::Raw(vec![5; 32]), &mut OsRng)?;
    sign_local(group, shares, &proposal, &mut OsRng).map(|(s, _)| s)
}

fn check(group: &Group, shares: &[&SecretShare], spec: &KeySpec) {
    let signature = sign(group, shares, spec).unwrap();
    verify(group, spec, &Message::Raw(vec![5; 32]), &signature).unwrap();
    independent_verify(group.suite(), &group.derive_public(spec).unwrap(), &[5; 32], &signature);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_threshold_signs_and_fewer_cannot(suite in suite(), (t, n) in size(20)) {
        let dealt = dealer::generate(suite, t, n, &mut OsRng).unwrap();
        dealt.group.check().unwrap();
        let all: Vec<&SecretShare> = dealt.shares.iter().collect();
        check(&dealt.group, &choose(&all, t.into()), &KeySpec::plain());
        let few = choose(&all, usize::from(t) - 1);
        let need = FrostError::TooFewSigners { need: t, have: few.len() };
        prop_assert_eq!(sign(&dealt.group, &few, &KeySpec::plain()).unwrap_err(), need.clone());
        prop_assert_eq!(dealer::recover(&dealt.group, &few).unwrap_err(), need);
        // Not even a group record with a lower threshold helps: its points do not fit it any more.
        if t > 2 {
            let mut parts = dealt.group.clone().into_parts();
            parts.threshold = t - 1;
            prop_assert_eq!(Group::try_from(parts).unwrap().check(), Err(FrostError::InconsistentGroup));
        }
    }

    #[test]
    fn refresh_drop_and_repair_keep_the_key(suite in suite(), (t, n) in size(20)) {
        let dealt = dealer::generate(suite, t, n, &mut OsRng).unwrap();
        let all: Vec<&SecretShare> = dealt.shares.iter().collect();
        let kept = t + (OsRng.next_u32() as u16) % (n - t + 1);
        let keep: BTreeSet<Index> =
            choose(&dealt.group.indices().collect::<Vec<_>>(), kept.into()).into_iter().collect();
        let (next, fresh) = dealer::refresh(&dealt.group, &all, &keep, &mut OsRng).unwrap();
        prop_assert_eq!(next.key(), dealt.group.key());
        prop_assert_eq!(next.epoch(), 1);
        prop_assert_eq!(next.indices().collect::<BTreeSet<_>>(), keep);
        let new: Vec<&SecretShare> = fresh.iter().collect();
        check(&next, &choose(&new, t.into()), &KeySpec::plain());

        // Old and new together fail by arithmetic too, not only by the labels: the old share does not fit.
        let old = all.iter().find(|s| s.index() == new[0].index()).unwrap();
        let record = old.to_record().unwrap();
        let mut secret: [u8; 32] = record.expose()[record.expose().len() - 32..].try_into().unwrap();
        prop_assert_eq!(
            SecretShare::new(&next, old.index(), &mut secret).unwrap_err(),
            FrostError::ShareMismatch(old.index())
        );
        // But a threshold of old shares still signs, for a group record that was not renewed.
        check(&dealt.group, &choose(&all, t.into()), &KeySpec::plain());

        if kept > t {
            let helpers = choose(&new[1..], t.into());
            let again = repair_local(&next, &helpers, new[0].index(), &mut OsRng).unwrap();
            let (again, first) = (again.to_record().unwrap(), new[0].to_record().unwrap());
            prop_assert_eq!(again.expose(), first.expose());
        }
    }

    #[test]
    fn a_split_key_keeps_its_npub_whatever_its_parity(bytes in any::<[u8; 32]>(), (t, n) in size(20)) {
        let Ok(secret) = SecretKey::from_slice(&bytes) else { return Ok(()) };
        let expected = Keypair::from_secret_key(SECP256K1, &secret);
        let mut raw = bytes;
        let dealt = dealer::split(Suite::Secp256k1Tr, &SecretKey32::take(&mut raw), t, n, &mut OsRng).unwrap();
        prop_assert_eq!(dealt.group.public_key(), expected.x_only_public_key().0.serialize());
        prop_assert_eq!(dealt.group.key().as_bytes(), expected.public_key().serialize());
        let all: Vec<&SecretShare> = dealt.shares.iter().collect();
        let some = choose(&all, t.into());
        check(&dealt.group, &some, &KeySpec::plain());
        let recovered = dealer::recover(&dealt.group, &some).unwrap();
        prop_assert_eq!(recovered.expose(), &bytes);
    }

    #[test]
    fn taproot_and_children_sign_for_the_key_that_bitcoin_computes(
        path in proptest::collection::vec(0_u32..1 << 31, 0..4),
        root in any::<Option<[u8; 32]>>(),
        (t, n) in size(5),
    ) {
        let dealt = dealer::generate(Suite::Secp256k1Tr, t, n, &mut OsRng).unwrap();
        let shares = choose(&dealt.shares.iter().collect::<Vec<_>>(), t.into());
        for tweak in [Tweak::None, root.map_or(Tweak::KeyPath, Tweak::ScriptTree)] {
            let spec = KeySpec::new(path.clone(), tweak);
            prop_assert_eq!(dealt.group.derive_public(&spec).unwrap(), expected_key(&dealt.group, &path, tweak));
            check(&dealt.group, &shares, &spec);
        }
    }
}

/// CKDpub and TapTweak with libsecp256k1, from the group's 33-byte key and chain code.
fn expected_key(group: &Group, path: &[u32], tweak: Tweak) -> [u8; 32] {
    use hmac::{Hmac, Mac};
    use sha2::{Digest, Sha256, Sha512};
    let mut key = secp256k1::PublicKey::from_slice(group.key().as_bytes()).unwrap();
    let mut chain = *group.chain_code().unwrap();
    for step in path {
        let mut mac = Hmac::<Sha512>::new_from_slice(&chain).unwrap();
        mac.update(&key.serialize());
        mac.update(&step.to_be_bytes());
        let out = mac.finalize().into_bytes();
        key = key
            .add_exp_tweak(SECP256K1, &Scalar::from_be_bytes(out[..32].try_into().unwrap()).unwrap())
            .unwrap();
        chain.copy_from_slice(&out[32..]);
    }
    let internal: XOnlyPublicKey = key.x_only_public_key().0;
    let root: &[u8] = match &tweak {
        Tweak::None => return internal.serialize(),
        Tweak::KeyPath => &[],
        Tweak::ScriptTree(root) => root,
    };
    let tag = Sha256::digest(b"TapTweak");
    let hash = Sha256::new()
        .chain_update(tag)
        .chain_update(tag)
        .chain_update(internal.serialize())
        .chain_update(root);
    let scalar = Scalar::from_be_bytes(hash.finalize().into()).unwrap();
    let (output, _): (XOnlyPublicKey, Parity) = internal.add_tweak(SECP256K1, &scalar).unwrap();
    output.serialize()
}

#[test]
fn odd_and_even_keys_both_occur_and_sign() {
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 2, &mut OsRng).unwrap();
        let shares = [&dealt.shares[0], &dealt.shares[1]];
        if seen.insert(dealt.group.key().as_bytes()[0]) {
            for spec in [
                KeySpec::plain(),
                KeySpec::new([], Tweak::KeyPath),
                KeySpec::new([], Tweak::ScriptTree([3; 32])),
                KeySpec::new([0, 7], Tweak::None),
                KeySpec::new([1, 0], Tweak::KeyPath),
                KeySpec::new([1], Tweak::ScriptTree([4; 32])),
            ] {
                check(&dealt.group, &shares, &spec);
                assert_eq!(
                    dealt.group.derive_public(&spec).unwrap(),
                    expected_key(&dealt.group, &spec.path, spec.tweak)
                );
            }
        }
    }
    assert_eq!(seen, BTreeSet::from([2, 3]));
}

#[test]
fn derivation_refuses_what_cannot_be() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 2, &mut OsRng).unwrap();
    let refused = |group: &Group, spec: KeySpec| group.derive(&spec).unwrap_err().to_string();
    assert!(refused(&dealt.group, KeySpec::new([1 << 31], Tweak::None)).contains("hardened"));
    assert!(refused(&dealt.group, KeySpec::new([0; 17], Tweak::None)).contains("too long"));
    let ed = dealer::generate(Suite::Ed25519, 2, 2, &mut OsRng).unwrap();
    assert!(refused(&ed.group, KeySpec::new([0], Tweak::None)).contains("secp256k1"));
    assert!(refused(&ed.group, KeySpec::new([], Tweak::KeyPath)).contains("Taproot"));
    assert!(ed.group.xpub(Network::Mainnet).is_err());
    let mut parts = dealt.group.clone().into_parts();
    parts.chain_code = None;
    let bare = Group::try_from(parts).unwrap();
    assert!(refused(&bare, KeySpec::new([0], Tweak::None)).contains("chain code"));
    assert!(bare.xpub(Network::Mainnet).is_err());
    assert!(dealt.group.xpub(Network::Mainnet).unwrap().starts_with("xpub661MyMwAqRbc"));
    assert!(dealt.group.xpub(Network::Testnet).unwrap().starts_with("tpubD6NzVbkrYhZ4"));
}

#[test]
fn edited_groups_are_inconsistent() {
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let dealt = dealer::generate(suite, 3, 6, &mut OsRng).unwrap();
        let other = dealer::generate(suite, 3, 6, &mut OsRng).unwrap();
        for at in 0..6 {
            let mut parts = dealt.group.clone().into_parts();
            parts.members[at].verifying_share = other.group.members()[at].verifying_share.clone();
            assert_eq!(Group::try_from(parts).unwrap().check(), Err(FrostError::InconsistentGroup));
        }
        let mut parts = dealt.group.clone().into_parts();
        parts.key = other.group.key().clone();
        assert_eq!(Group::try_from(parts).unwrap().check(), Err(FrostError::InconsistentGroup));
        let mut parts = dealt.group.clone().into_parts();
        parts.members[1].index = parts.members[0].index;
        assert!(matches!(Group::try_from(parts), Err(FrostError::Duplicate(_))));
        let mut parts = dealt.group.clone().into_parts();
        parts.threshold = 7;
        assert!(matches!(Group::try_from(parts), Err(FrostError::Threshold { .. })));
    }
}

#[test]
fn dealers_refuse_bad_sizes() {
    for (t, n) in [(0, 3), (1, 3), (4, 3), (2, 256), (2, 0)] {
        let refused = dealer::generate(Suite::Secp256k1Tr, t, n, &mut OsRng).unwrap_err();
        assert!(matches!(refused, FrostError::Threshold { .. }));
    }
    let zero = SecretKey32::take(&mut [0; 32]);
    let refused = dealer::split(Suite::Secp256k1Tr, &zero, 2, 3, &mut OsRng).unwrap_err();
    assert_eq!(refused, FrostError::BadScalar(Suite::Secp256k1Tr));
    let big = SecretKey32::take(&mut [0xff; 32]);
    let refused = dealer::split(Suite::Ed25519, &big, 2, 3, &mut OsRng).unwrap_err();
    assert_eq!(refused, FrostError::BadScalar(Suite::Ed25519));
}
