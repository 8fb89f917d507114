//! Cheats that need the inside of a message.

use std::collections::BTreeMap;

use rand_core::OsRng;

use super::plan::Endorsement;
use super::rounds::{Contribution, part1, part2};
use super::{Ceremony, Plan};
use crate::seed::{SeedRng, seed};
use crate::wire::{Envelope, Kind};
use crate::{DeviceKey, FrostError, Index, SecretShare, Suite, dealer};

type Secp = frost_secp256k1_tr::Secp256K1Sha256TR;

fn index(n: u64) -> Index {
    Index::new(n).unwrap()
}

fn copy(device: &DeviceKey) -> DeviceKey {
    DeviceKey::from_bytes(&mut device.expose().to_owned()).unwrap()
}

/// Two members renew a 2-of-2 group; the first one's messages pass through `cheat`.
fn refresh_with(cheat: impl Fn(&Ceremony, &DeviceKey, Envelope) -> Envelope) -> FrostError {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 2, &mut OsRng).unwrap();
    let plan = Plan::refresh(&dealt.group, &dealt.group.indices().collect(), &mut OsRng).unwrap();
    let mut members: Vec<Ceremony> = (0..2)
        .map(|at| {
            let share = SecretShare::from_record(dealt.shares[at].to_record().unwrap().expose()).unwrap();
            let device = copy(&dealt.devices[at]);
            Ceremony::refresh(plan.clone(), device, dealt.group.clone(), share, &mut OsRng).unwrap()
        })
        .collect();
    for _ in 0..4 {
        for at in 0..2 {
            let out = match members[at].advance() {
                Ok(out) => out,
                Err(error) => return error,
            };
            if let Some(error) = members[at].trouble() {
                return error;
            }
            for envelope in out {
                let sent = if at == 0 { cheat(&members[0], &dealt.devices[0], envelope) } else { envelope };
                members[1 - at].receive(&sent).unwrap();
            }
        }
    }
    panic!("the cheat was not noticed");
}

#[test]
fn a_wrong_proof_of_knowledge_is_blamed() {
    let error = refresh_with(|ceremony, device, envelope| {
        if envelope.kind() != Kind::Contribution {
            return envelope;
        }
        // Another polynomial's commitments with this one's proof.
        let mine: Contribution = minicbor::decode(envelope.body()).unwrap();
        let rng = SeedRng::new(&seed(&mut OsRng).unwrap(), ceremony.session(), "other").unwrap();
        let other = part1::<Secp>(ceremony.plan(), index(1), rng).unwrap().contribution;
        let mixed = mine.with_coefficients_of(&other);
        Envelope::sign(Kind::Contribution, ceremony.session(), index(1), device, &mixed).unwrap()
    });
    assert_eq!(error, FrostError::BadContribution(vec![index(1)]));
}

#[test]
fn a_wrong_secret_contribution_is_blamed() {
    let error = refresh_with(|ceremony, device, envelope| {
        if envelope.kind() != Kind::Subshare {
            return envelope;
        }
        let to = (index(2), ceremony.plan().members()[&index(2)]);
        Envelope::seal(Kind::Subshare, ceremony.session(), index(1), device, to, &[7; 32], &mut OsRng)
            .unwrap()
    });
    assert_eq!(error, FrostError::BadContribution(vec![index(1)]));
}

#[test]
fn a_secret_contribution_must_be_sealed() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 2, &mut OsRng).unwrap();
    let plan = Plan::refresh(&dealt.group, &dealt.group.indices().collect(), &mut OsRng).unwrap();
    let share = SecretShare::from_record(dealt.shares[1].to_record().unwrap().expose()).unwrap();
    let (session, device) = (plan.session(), copy(&dealt.devices[1]));
    let mut two = Ceremony::refresh(plan, device, dealt.group.clone(), share, &mut OsRng).unwrap();
    let open = Envelope::sign(Kind::Subshare, session, index(1), &dealt.devices[0], &[7_u8; 32]).unwrap();
    assert_eq!(two.receive(&open), Err(FrostError::NotForMe));
}

#[test]
fn a_contribution_with_another_degree_is_blamed() {
    let error = refresh_with(|ceremony, device, envelope| {
        if envelope.kind() != Kind::Contribution {
            return envelope;
        }
        let mine: Contribution = minicbor::decode(envelope.body()).unwrap();
        let longer = mine.clone().with_coefficients_of(&mine.doubled());
        Envelope::sign(Kind::Contribution, ceremony.session(), index(1), device, &longer).unwrap()
    });
    assert_eq!(error, FrostError::BadContribution(vec![index(1)]));
}

#[test]
fn all_wrong_proofs_are_blamed() {
    let devices: BTreeMap<_, _> =
        (1..=4).map(|i| (index(i), DeviceKey::generate(&mut OsRng).unwrap().public())).collect();
    let plan = Plan::generate(Suite::Secp256k1Tr, 2, devices, &mut OsRng).unwrap();
    let of = |from: u64| {
        let rng = SeedRng::new(&seed(&mut OsRng).unwrap(), plan.session(), "part1").unwrap();
        part1::<Secp>(&plan, index(from), rng).unwrap()
    };
    let mut contributions: BTreeMap<_, _> =
        (2..=4).map(|from| (index(from), of(from).contribution)).collect();
    for from in [index(2), index(4)] {
        let mixed = contributions[&from].clone().with_coefficients_of(&of(3).contribution);
        contributions.insert(from, mixed);
    }
    let refused = part2::<Secp>(&plan, of(1).secret, &contributions).map(drop);
    assert_eq!(refused, Err(FrostError::BadContribution(vec![index(2), index(4)])));
}

#[test]
fn the_same_seed_gives_other_numbers_in_another_session() {
    let seed = seed(&mut OsRng).unwrap();
    let devices: BTreeMap<_, _> =
        (1..=2).map(|i| (index(i), DeviceKey::generate(&mut OsRng).unwrap().public())).collect();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let plan = Plan::generate(Suite::Secp256k1Tr, 2, devices.clone(), &mut OsRng).unwrap();
        let rng = SeedRng::new(&seed, plan.session(), "part1").unwrap();
        seen.push(part1::<Secp>(&plan, index(1), rng).unwrap().contribution);
    }
    assert_ne!(seen[0], seen[1]);
}

/// Nobody takes new shares on for which not every member's own new share has spoken.
#[test]
fn a_wrong_word_for_the_new_shares_is_blamed() {
    for silent in [true, false] {
        let error = refresh_with(|ceremony, device, envelope| {
            if envelope.kind() != Kind::Certificate {
                return envelope;
            }
            let said: Endorsement = minicbor::decode(envelope.body()).unwrap();
            let mut bytes = *said.share().unwrap().as_bytes();
            bytes[40] ^= 1;
            let said = said.with_share((!silent).then(|| crate::Signature::from_bytes(bytes)));
            Envelope::sign(Kind::Certificate, ceremony.session(), index(1), device, &said).unwrap()
        });
        assert_eq!(error, FrostError::BadContribution(vec![index(1)]));
    }
}
