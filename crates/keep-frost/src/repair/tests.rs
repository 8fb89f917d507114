//! Helpers that cheat, which needs the inside of a message.

use std::collections::{BTreeMap, BTreeSet};

use frost_core::VerifyingKey;
use frost_core::keys::{PublicKeyPackage, VerifyingShare};
use rand_core::OsRng;
use serde_json::Value;
use zeroize::Zeroizing;

use super::pieces::{Shown, finish, sum};
use super::{Helper, Repair, RepairPlan};
use crate::group::Provenance;
use crate::suite::{Curve, identifier, public_of, scalar};
use crate::wire::{Envelope, Kind};
use crate::{DeviceKey, FrostError, Group, Index, SecretShare, Suite, dealer};

fn index(n: u64) -> Index {
    Index::new(n).unwrap()
}

fn copy(device: &DeviceKey) -> DeviceKey {
    DeviceKey::from_bytes(&mut device.expose().to_owned()).unwrap()
}

/// Members 1, 2 and 3 help member 5 of a 2-of-5 group. Messages of some pass through `cheat` on their way.
fn repair_with(
    suite: Suite,
    cheat: impl Fn(&dealer::Dealt, &DeviceKey, Envelope) -> Envelope,
) -> Result<SecretShare, FrostError> {
    let dealt = dealer::generate(suite, 2, 5, &mut OsRng).unwrap();
    let fresh = DeviceKey::generate(&mut OsRng).unwrap();
    let ids: BTreeSet<Index> = (1..=3).map(index).collect();
    let plan = RepairPlan::new(&dealt.group, index(5), fresh.public(), &ids, &mut OsRng).unwrap();
    let mut helpers: Vec<Helper> = (0..3)
        .map(|at| {
            let share = SecretShare::from_record(dealt.shares[at].to_record().unwrap().expose()).unwrap();
            let device = copy(&dealt.devices[at]);
            Helper::new(plan.clone(), dealt.group.clone(), share, device, &mut OsRng).unwrap()
        })
        .collect();
    let lost = copy(&fresh);
    let mut target = Repair::new(plan, dealt.group.clone(), fresh).unwrap();
    let started: Vec<Envelope> = helpers.iter().flat_map(|helper| helper.start().unwrap()).collect();
    for envelope in started {
        let sent = cheat(&dealt, &lost, envelope);
        for helper in &mut helpers {
            let me = helper.share.index();
            if sent.from() != me && sent.to().is_none_or(|to| to == me) {
                helper.receive(&sent)?;
            }
        }
        if sent.to().is_none() {
            target.receive(&sent)?;
        }
    }
    for helper in &helpers {
        target.receive(&cheat(&dealt, &lost, helper.sum()?.unwrap()))?;
    }
    target.finish()
}

/// The message with another secret in it, sealed again by its sender.
fn with_secret(dealt: &dealer::Dealt, lost: &DeviceKey, envelope: &Envelope, secret: &[u8]) -> Envelope {
    let from = envelope.from();
    let device = &dealt.devices[usize::from(from.get()) - 1];
    let to = envelope.to().unwrap();
    let key = if to == index(5) { lost.public() } else { dealt.group.device(to).unwrap() };
    Envelope::seal(envelope.kind(), envelope.session(), from, device, (to, key), secret, &mut OsRng).unwrap()
}

const SUITES: [Suite; 2] = [Suite::Secp256k1Tr, Suite::Ed25519];

#[test]
fn wrong_sums_are_blamed_on_all_who_sent_them() {
    for suite in SUITES {
        assert!(repair_with(suite, |_, _, envelope| envelope).is_ok());
        let cheat = |dealt: &dealer::Dealt, lost: &DeviceKey, envelope: Envelope| {
            if envelope.kind() != Kind::Sigma || envelope.from() == index(2) {
                return envelope;
            }
            let mut said = envelope.open(index(5), lost).unwrap();
            said[5] ^= 1;
            with_secret(dealt, lost, &envelope, &said)
        };
        let error = repair_with(suite, cheat).unwrap_err();
        assert_eq!(error, FrostError::BadContribution(vec![index(1), index(3)]));
    }
}

#[test]
fn wrong_pieces_are_blamed_on_all_who_sent_them() {
    for suite in SUITES {
        let cheat = |dealt: &dealer::Dealt, lost: &DeviceKey, envelope: Envelope| {
            if envelope.kind() != Kind::Delta
                || envelope.from() == index(1)
                || envelope.to() != Some(index(1))
            {
                return envelope;
            }
            with_secret(dealt, lost, &envelope, &[7; 32])
        };
        let error = repair_with(suite, cheat).unwrap_err();
        assert_eq!(error, FrostError::BadContribution(vec![index(2), index(3)]));
    }
}

#[test]
fn pieces_of_another_number_than_the_share_are_blamed() {
    for suite in SUITES {
        let cheat = |dealt: &dealer::Dealt, _: &DeviceKey, envelope: Envelope| {
            if envelope.kind() != Kind::RepairCommit || envelope.from() == index(1) {
                return envelope;
            }
            let mut shown: Shown = minicbor::decode(envelope.body()).unwrap();
            match envelope.from().get() {
                2 => shown.insert(index(1), shown[&index(2)].clone()),
                _ => shown.remove(&index(1)),
            };
            let (from, session) = (envelope.from(), envelope.session());
            let device = &dealt.devices[usize::from(from.get()) - 1];
            Envelope::sign(Kind::RepairCommit, session, from, device, &shown).unwrap()
        };
        let error = repair_with(suite, cheat).unwrap_err();
        assert_eq!(error, FrostError::BadContribution(vec![index(2), index(3)]));
    }
}

/// A helper that only says that it was shown other pieces changes nothing: the sums give the share.
#[test]
fn right_sums_give_the_share_whatever_else_was_shown() {
    let cheat = |dealt: &dealer::Dealt, lost: &DeviceKey, envelope: Envelope| {
        if envelope.kind() != Kind::Sigma || envelope.from() == index(2) {
            return envelope;
        }
        let mut said = envelope.open(index(5), lost).unwrap();
        said[40] ^= 1;
        with_secret(dealt, lost, &envelope, &said)
    };
    assert!(repair_with(Suite::Secp256k1Tr, cheat).is_ok());
}

/// Whoever says that it saw the same, and sums up to something else, has lied; a helper that was shown something else is not
/// named beside it.
#[test]
fn a_wrong_sum_of_what_all_saw_is_blamed_before_anybody_who_saw_something_else() {
    let cheat = |dealt: &dealer::Dealt, lost: &DeviceKey, envelope: Envelope| {
        let at = match (envelope.kind(), envelope.from().get()) {
            (Kind::Sigma, 1) => 5,
            (Kind::Sigma, 3) => 40,
            _ => return envelope,
        };
        let mut said = envelope.open(index(5), lost).unwrap();
        said[at] ^= 1;
        if envelope.from().get() == 3 {
            said[6] ^= 1;
        }
        with_secret(dealt, lost, &envelope, &said)
    };
    let error = repair_with(Suite::Secp256k1Tr, cheat).unwrap_err();
    assert_eq!(error, FrostError::BadContribution(vec![index(1)]));
}

/// Helpers that were shown other pieces than the member that lost its share are not blamed for their sums, and who lied is not known:
/// both sides are named.
#[test]
fn what_was_shown_differently_accuses_nobody() {
    let cheat = |dealt: &dealer::Dealt, lost: &DeviceKey, envelope: Envelope| {
        if envelope.kind() != Kind::Sigma || envelope.from() == index(2) {
            return envelope;
        }
        let mut said = envelope.open(index(5), lost).unwrap();
        said[5] ^= 1;
        said[40] ^= 1;
        with_secret(dealt, lost, &envelope, &said)
    };
    let error = repair_with(Suite::Secp256k1Tr, cheat).unwrap_err();
    let (some, others) = (vec![index(1), index(3)], vec![index(2), index(5)]);
    assert_eq!(error, FrostError::Disagreement { some, others });
    assert_eq!(
        error.to_string(),
        "member 1, member 3 and member 2, member 5 saw different messages: nothing was changed here, and who is to blame cannot \
         be told from them"
    );
}

/// What helpers hand on of what they were shown proves who has shown different things.
#[test]
fn what_is_handed_on_proves_who_showed_different_things() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 5, &mut OsRng).unwrap();
    let fresh = DeviceKey::generate(&mut OsRng).unwrap();
    let ids: BTreeSet<Index> = (1..=2).map(index).collect();
    let plan = RepairPlan::new(&dealt.group, index(5), fresh.public(), &ids, &mut OsRng).unwrap();
    let helper = |at: usize| {
        let share = SecretShare::from_record(dealt.shares[at].to_record().unwrap().expose()).unwrap();
        Helper::new(plan.clone(), dealt.group.clone(), share, copy(&dealt.devices[at]), &mut OsRng).unwrap()
    };
    let (mut honest, first, second) = (helper(0), helper(1), helper(1));
    let mut target = Repair::new(plan.clone(), dealt.group.clone(), fresh).unwrap();
    for envelope in first.start().unwrap() {
        honest.receive(&envelope).unwrap();
    }
    assert!(honest.sum().unwrap().is_some());
    target.receive(&second.start().unwrap()[0]).unwrap();
    let handed_on: Vec<Envelope> = honest.seen().cloned().collect();
    assert_eq!(handed_on.len(), 1);
    assert_eq!(target.receive(&handed_on[0]), Err(FrostError::Equivocation(index(2))));
}

/// A helper that cannot go on says so, and the others do not wait for it in silence.
#[test]
fn a_helper_that_stops_tells_the_others() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 5, &mut OsRng).unwrap();
    let fresh = DeviceKey::generate(&mut OsRng).unwrap();
    let ids: BTreeSet<Index> = (1..=3).map(index).collect();
    let plan = RepairPlan::new(&dealt.group, index(5), fresh.public(), &ids, &mut OsRng).unwrap();
    let mut helpers: Vec<Helper> = (0..3)
        .map(|at| {
            let share = SecretShare::from_record(dealt.shares[at].to_record().unwrap().expose()).unwrap();
            let device = copy(&dealt.devices[at]);
            Helper::new(plan.clone(), dealt.group.clone(), share, device, &mut OsRng).unwrap()
        })
        .collect();
    let mut target = Repair::new(plan, dealt.group.clone(), copy(&fresh)).unwrap();
    let sent: Vec<Envelope> = helpers[1..].iter().flat_map(|helper| helper.start().unwrap()).collect();
    for envelope in sent.iter().filter(|envelope| envelope.to().is_none_or(|to| to == index(1))) {
        let wrong = envelope.kind() == Kind::Delta && envelope.from() == index(3);
        let envelope = if wrong { with_secret(&dealt, &fresh, envelope, &[7; 32]) } else { envelope.clone() };
        helpers[0].receive(&envelope).unwrap();
    }
    let error = helpers[0].sum().unwrap_err();
    assert_eq!(error, FrostError::BadContribution(vec![index(3)]));
    assert_eq!(helpers[0].complaint(&FrostError::RepairFailed), Ok(None));
    let complaint = helpers[0].complaint(&error).unwrap().unwrap();
    assert_eq!((target.trouble(), helpers[1].trouble()), (None, None));
    target.receive(&complaint).unwrap();
    helpers[1].receive(&complaint).unwrap();
    let (by, about) = (vec![index(1)], vec![index(3)]);
    let said = FrostError::Complaint { by, about };
    assert_eq!((target.trouble(), helpers[1].trouble()), (Some(said.clone()), Some(said)));
}

/// The crates' vectors: pieces and their sum, sums and the share.
fn run_vectors<C: Curve>(file: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let number =
        |value: &Value| -> [u8; 32] { hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap() };
    let numbers = |part: &str, name: &str, count: u64| -> Vec<super::Piece> {
        let of = |n: u64| (index(n), Zeroizing::new(number(&vectors[part][format!("{name}_{n}")])));
        (1..=count).map(of).collect()
    };
    let pieces = numbers("scalar_generation", "random_scalar", 3);
    assert_eq!(*sum::<C>(&pieces).unwrap(), number(&vectors["scalar_generation"]["random_scalar_sum"]));

    let lost = index(2);
    let mut expected = number(&vectors["sigma_generation"]["sigma_sum"]);
    let public = public_of::<C>(&scalar::<C>(&expected).unwrap());
    let shares = BTreeMap::from([(identifier::<C>(lost).unwrap(), VerifyingShare::new(public))]);
    let keys = PublicKeyPackage::new(shares, VerifyingKey::new(public), Some(1));
    let parts = Group::from_keys::<C>(&keys, 1, 0, Provenance::Imported).unwrap();
    let group = Group::try_from(parts).unwrap();
    let sums = numbers("sigma_generation", "sigma", 4);
    let share = finish::<C>(&group, lost, &sums).unwrap();
    let known = SecretShare::new(&group, lost, &mut expected).unwrap();
    assert_eq!(share.to_record().unwrap().expose(), known.to_record().unwrap().expose());
    assert_eq!(finish::<C>(&group, lost, &sums[..3]).unwrap_err(), FrostError::RepairFailed);
}

#[test]
fn the_vectors_of_the_crates() {
    run_vectors::<frost_secp256k1_tr::Secp256K1Sha256TR>("frost-secp256k1-tr/repair-share.json");
    run_vectors::<frost_ed25519::Ed25519Sha512>("frost-ed25519/repair-share.json");
}
