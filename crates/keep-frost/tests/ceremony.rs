//! Key generation, renewal and repair among devices that exchange messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use keep_frost::ceremony::{Ceremony, Outcome, Plan};
use keep_frost::repair::{Helper, Repair, RepairPlan, repair_local};
use keep_frost::sign::{Proposal, sign_local};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::*;
use rand_core::OsRng;
use support::*;

fn index(n: u64) -> Index {
    Index::new(n).unwrap()
}

fn copy(device: &DeviceKey) -> DeviceKey {
    DeviceKey::from_bytes(&mut device.expose().to_owned()).unwrap()
}

fn share_copy(share: &SecretShare) -> SecretShare {
    SecretShare::from_record(share.to_record().unwrap().expose()).unwrap()
}

struct Devices(BTreeMap<Index, DeviceKey>);

impl Devices {
    fn new(count: u64) -> Self {
        Self((1..=count).map(|i| (index(i), DeviceKey::generate(&mut OsRng).unwrap())).collect())
    }

    fn public(&self) -> BTreeMap<Index, DevicePublic> {
        self.0.iter().map(|(i, d)| (*i, d.public())).collect()
    }
}

fn start(suite: Suite, t: u16, n: u64) -> (Devices, BTreeMap<Index, Ceremony>) {
    let devices = Devices::new(n);
    let plan = Plan::generate(suite, t, devices.public(), &mut OsRng).unwrap();
    let members = devices
        .0
        .iter()
        .map(|(i, d)| (*i, Ceremony::generate(plan.clone(), *i, copy(d), &mut OsRng).unwrap()))
        .collect();
    (devices, members)
}

/// Delivers everything, through text, until nothing moves; `edit` may change or drop a message on its way.
fn run(
    members: &mut BTreeMap<Index, Ceremony>,
    edit: &mut dyn FnMut(Index, &Envelope) -> Option<Envelope>,
) -> Result<(), (Index, FrostError)> {
    loop {
        let mut moved = false;
        let ids: Vec<Index> = members.keys().copied().collect();
        for from in &ids {
            let out = members.get_mut(from).unwrap().advance().map_err(|e| (*from, e))?;
            for envelope in out {
                moved = true;
                for to in ids.iter().filter(|to| *to != from && envelope.to().is_none_or(|t| t == **to)) {
                    let Some(envelope) = edit(*to, &envelope) else { continue };
                    let text = if to.get() % 2 == 0 { envelope.to_text() } else { envelope.to_json() };
                    let arrived = Envelope::parse(&text.unwrap()).unwrap();
                    assert_eq!(arrived, envelope);
                    members.get_mut(to).unwrap().receive(&arrived).map_err(|e| (*to, e))?;
                }
            }
        }
        if !moved {
            return Ok(());
        }
    }
}

fn deliver(members: &mut BTreeMap<Index, Ceremony>) -> Result<(), (Index, FrostError)> {
    run(members, &mut |_, e| Some(e.clone()))
}

fn finish(members: BTreeMap<Index, Ceremony>) -> Vec<Outcome> {
    members.into_values().map(|m| m.finish().unwrap()).collect()
}

fn signs(group: &Group, shares: &[&SecretShare]) {
    let proposal = Proposal::new(group, KeySpec::plain(), Message::Raw(vec![9; 32]), &mut OsRng).unwrap();
    let (signature, _) = sign_local(group, shares, &proposal, &mut OsRng).unwrap();
    independent_verify(group.suite(), &group.public_key(), &[9; 32], &signature);
}

#[test]
fn members_make_a_key_together() {
    for (suite, t, n) in [(Suite::Secp256k1Tr, 2, 3), (Suite::Ed25519, 3, 4), (Suite::Secp256k1Tr, 2, 2)] {
        let (devices, mut members) = start(suite, t, n);
        assert_eq!(members[&index(1)].code().unwrap(), None);
        deliver(&mut members).unwrap();
        let codes: BTreeSet<String> = members.values().map(|m| m.code().unwrap().unwrap()).collect();
        assert_eq!(codes.len(), 1);
        let plan = members[&index(1)].plan().clone();
        let outcomes = finish(members);
        for outcome in &outcomes {
            assert_eq!(outcome.group, outcomes[0].group);
            assert_eq!(outcome.certificate, outcomes[0].certificate);
            outcome.certificate.verify(&plan).unwrap();
            let member = outcome.group.member(outcome.share.index()).unwrap();
            assert_eq!(member.device, Some(devices.0[&member.index].public()));
        }
        let group = &outcomes[0].group;
        assert_eq!(group.provenance(), Provenance::Dkg);
        assert_eq!(group.chain_code().is_some(), suite == Suite::Secp256k1Tr);
        let shares: Vec<&SecretShare> = outcomes.iter().map(|o| &o.share).collect();
        signs(group, &shares[..usize::from(t)]);
        signs(group, &shares);
    }
}

#[test]
fn equivocation_fails() {
    // Member 1 takes part twice under one device, and shows one contribution to member 2, the other to member 3.
    let (devices, mut members) = start(Suite::Secp256k1Tr, 2, 3);
    let plan = members[&index(1)].plan().clone();
    let mut second = Ceremony::generate(plan, index(1), copy(&devices.0[&index(1)]), &mut OsRng).unwrap();
    let mut first = members.remove(&index(1)).unwrap();
    let mut inboxes: Vec<Envelope> = Vec::new();
    let mut failures = Vec::new();
    for _ in 0..6 {
        for (machine, to) in [(&mut first, index(2)), (&mut second, index(3))] {
            for envelope in inboxes.iter().filter(|e| e.to().is_none_or(|t| t == index(1))) {
                let _ = machine.receive(envelope);
            }
            for envelope in machine.advance().unwrap_or_default() {
                if envelope.to().is_none_or(|t| t == to) {
                    members.get_mut(&to).unwrap().receive(&envelope).unwrap();
                }
            }
        }
        for from in [index(2), index(3)] {
            let other = index(5 - u64::from(from.get()));
            match members.get_mut(&from).unwrap().advance() {
                Ok(out) => {
                    failures.extend(members[&from].trouble());
                    for envelope in out {
                        inboxes.push(envelope.clone());
                        if envelope.to().is_none_or(|t| t == other) {
                            members.get_mut(&other).unwrap().receive(&envelope).unwrap();
                        }
                    }
                }
                Err(error) => failures.push(error),
            }
        }
    }
    assert!(!failures.is_empty());
    assert!(failures.iter().all(|e| matches!(e, FrostError::Disagreement { .. })), "{failures:?}");
    for (_, member) in members {
        assert!(matches!(member.finish(), Err(FrostError::Disagreement { .. })));
    }
    // Shown to one and the same member, it is seen at once.
    let (devices, mut members) = start(Suite::Secp256k1Tr, 2, 2);
    let plan = members[&index(1)].plan().clone();
    let mut twin = Ceremony::generate(plan, index(1), copy(&devices.0[&index(1)]), &mut OsRng).unwrap();
    let a = members.get_mut(&index(1)).unwrap().advance().unwrap().remove(0);
    let b = twin.advance().unwrap().remove(0);
    let target = members.get_mut(&index(2)).unwrap();
    target.receive(&a).unwrap();
    target.receive(&a).unwrap();
    assert_eq!(target.receive(&b), Err(FrostError::Equivocation(index(1))));
}

#[test]
fn a_contribution_must_be_the_committed_one() {
    // Members 1 and 2 wait for the others' contributions and then use other ones than they committed to. All else is sound.
    let (devices, mut members) = start(Suite::Ed25519, 2, 4);
    let plan = members[&index(1)].plan().clone();
    let committed = [1, 2].map(|from| {
        let device = copy(&devices.0[&index(from)]);
        let mut first = Ceremony::generate(plan.clone(), index(from), device, &mut OsRng).unwrap();
        first.advance().unwrap().remove(0)
    });
    assert!(committed.iter().all(|envelope| envelope.kind() == Kind::DkgCommit));
    // These two hear no contributions: the first to notice is another member.
    let result = run(&mut members, &mut |to, envelope| {
        let late = envelope.kind() == Kind::Contribution && to <= index(2);
        let replaced =
            committed.iter().find(|other| (other.kind(), other.from()) == (envelope.kind(), envelope.from()));
        (!late).then(|| replaced.unwrap_or(envelope).clone())
    });
    assert_eq!(result.unwrap_err().1, FrostError::BadContribution(vec![index(1), index(2)]));
}

#[test]
fn foreign_and_misplaced_messages_are_refused() {
    let (_, mut members) = start(Suite::Secp256k1Tr, 2, 3);
    let (devices, mut others) = start(Suite::Secp256k1Tr, 2, 3);
    let foreign = others.get_mut(&index(1)).unwrap().advance().unwrap().remove(0);
    let two = members.get_mut(&index(2)).unwrap();
    assert_eq!(two.receive(&foreign), Err(FrostError::WrongSession));
    let session = two.session();
    let eve = &devices.0[&index(1)];
    let forged = Envelope::sign(Kind::DkgCommit, session, index(1), eve, &7_u8).unwrap();
    assert_eq!(two.receive(&forged), Err(FrostError::NotAuthentic(index(1))));
    let unknown = Envelope::sign(Kind::DkgCommit, session, index(9), eve, &7_u8).unwrap();
    assert_eq!(two.receive(&unknown), Err(FrostError::UnknownMember(index(9))));
    let kind = Envelope::sign(Kind::Partial, session, index(1), eve, &7_u8).unwrap();
    assert!(matches!(two.receive(&kind), Err(FrostError::WrongKind { .. })));

    // A sealed share that was bent on its way.
    let result = run(&mut members, &mut |to, envelope| {
        if envelope.kind() == Kind::Subshare && to == index(2) {
            let mut bytes = envelope.to_bytes().unwrap();
            let at = bytes.len() - 100;
            bytes[at] ^= 1;
            return Some(Envelope::from_bytes(&bytes).unwrap());
        }
        Some(envelope.clone())
    });
    assert!(matches!(result, Err((_, FrostError::NotAuthentic(_)))), "{result:?}");
}

#[test]
fn a_plan_needs_sound_parameters_and_its_own_devices() {
    let devices = Devices::new(3);
    for t in [0, 1, 4] {
        assert!(matches!(
            Plan::generate(Suite::Ed25519, t, devices.public(), &mut OsRng),
            Err(FrostError::Threshold { .. })
        ));
    }
    let mut twice = devices.public();
    twice.insert(index(3), devices.0[&index(1)].public());
    assert_eq!(Plan::generate(Suite::Ed25519, 2, twice, &mut OsRng), Err(FrostError::Duplicate(index(3))));
    let plan = Plan::generate(Suite::Ed25519, 2, devices.public(), &mut OsRng).unwrap();
    let wrong = Ceremony::generate(plan.clone(), index(1), copy(&devices.0[&index(2)]), &mut OsRng);
    let wrong = wrong.unwrap_err().to_string();
    assert_eq!(wrong, "not a valid plan: it names another device key for member 1 than is known here");
    let stranger = Ceremony::generate(plan, index(7), copy(&devices.0[&index(2)]), &mut OsRng);
    assert_eq!(stranger.unwrap_err(), FrostError::UnknownMember(index(7)));
}

#[test]
fn a_restored_ceremony_sends_the_same_messages() {
    let (devices, mut members) = start(Suite::Secp256k1Tr, 2, 3);
    let mut sent: BTreeMap<(Index, Kind, Option<Index>), Envelope> = BTreeMap::new();
    let ids: Vec<Index> = members.keys().copied().collect();
    for _ in 0..8 {
        for from in &ids {
            // Every member is written down and restored before every step.
            let snapshot = members[from].snapshot().unwrap();
            let restored = Ceremony::restore(snapshot.expose(), copy(&devices.0[from]), None).unwrap();
            members.insert(*from, restored);
            for envelope in members.get_mut(from).unwrap().advance().unwrap() {
                let key = (*from, envelope.kind(), envelope.to());
                let before = sent.entry(key).or_insert_with(|| envelope.clone());
                assert_eq!(*before, envelope);
                for to in ids.iter().filter(|to| *to != from && envelope.to().is_none_or(|t| t == **to)) {
                    members.get_mut(to).unwrap().receive(&envelope).unwrap();
                }
            }
        }
    }
    for member in members.values_mut() {
        member.advance().unwrap();
    }
    let outcomes = finish(members);
    signs(&outcomes[0].group, &[&outcomes[0].share, &outcomes[2].share]);
    let snapshot = start(Suite::Secp256k1Tr, 2, 2).1[&index(1)].snapshot().unwrap();
    assert!(Ceremony::restore(&snapshot.expose()[..40], copy(&devices.0[&index(1)]), None).is_err());
}

fn refresh_members(dealt: &dealer::Dealt, keep: &[u64]) -> BTreeMap<Index, Ceremony> {
    let keep: BTreeSet<Index> = keep.iter().map(|i| index(*i)).collect();
    let plan = Plan::refresh(&dealt.group, &keep, &mut OsRng).unwrap();
    let members = keep.iter().map(|i| {
        let at = usize::from(i.get()) - 1;
        let (device, share) = (copy(&dealt.devices[at]), share_copy(&dealt.shares[at]));
        let member = Ceremony::refresh(plan.clone(), device, dealt.group.clone(), share, &mut OsRng);
        (*i, member.unwrap())
    });
    members.collect()
}

#[test]
fn a_refresh_among_devices_keeps_the_key_and_drops_members() {
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let dealt = dealer::generate(suite, 2, 4, &mut OsRng).unwrap();
        let mut members = refresh_members(&dealt, &[1, 3, 4]);
        deliver(&mut members).unwrap();
        let outcomes = finish(members);
        let group = &outcomes[0].group;
        assert_eq!((group.key(), group.epoch()), (dealt.group.key(), 1));
        assert_eq!(group.chain_code(), dealt.group.chain_code());
        assert_eq!(group.indices().collect::<Vec<_>>(), [index(1), index(3), index(4)]);
        signs(group, &[&outcomes[0].share, &outcomes[2].share]);
        // The same word of the members everywhere, for this sharing and no other.
        let word = outcomes[0].endorsement.clone().unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.endorsement.as_ref() == Some(&word)));
        word.check(group).unwrap();
        assert_eq!(word.check(&dealt.group), Err(FrostError::NotEndorsed));
        assert_eq!(Endorsement::from_bytes(&word.to_bytes()), Ok(word));
        // Old and new shares do not mix, by name and by arithmetic.
        let proposal = Proposal::new(group, KeySpec::plain(), Message::Raw(vec![1]), &mut OsRng).unwrap();
        let mixed = sign_local(group, &[&outcomes[0].share, &dealt.shares[3]], &proposal, &mut OsRng);
        assert_eq!(mixed.unwrap_err(), FrostError::WrongEpoch { expected: 1, found: 0 });
        let record = dealt.shares[3].to_record().unwrap();
        let mut old: [u8; 32] = record.expose()[record.expose().len() - 32..].try_into().unwrap();
        assert_eq!(
            SecretShare::new(group, index(4), &mut old).unwrap_err(),
            FrostError::ShareMismatch(index(4))
        );
    }
}

/// What somebody who is through hands on.
fn handed_on(members: &BTreeMap<Index, Ceremony>, by: u64) -> Vec<Envelope> {
    members[&index(by)].certificates().cloned().collect()
}

#[test]
fn a_laggard_switches_by_the_others_certificates_and_nobody_without() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let mut members = refresh_members(&dealt, &[1, 2, 3]);
    // Member 3 hears no endorsements.
    run(&mut members, &mut |to, e| (!(to == index(3) && e.kind() == Kind::Certificate)).then(|| e.clone()))
        .unwrap();
    assert_eq!(members[&index(3)].waiting_for(), [index(1), index(2)]);
    for by in [2, 1] {
        for envelope in handed_on(&members, by).iter().filter(|envelope| envelope.from() != index(3)) {
            members.get_mut(&index(3)).unwrap().receive(envelope).unwrap();
        }
        members.get_mut(&index(3)).unwrap().advance().unwrap();
    }
    let plan = members[&index(1)].plan().clone();
    let outcomes = finish(members);
    assert!(outcomes.iter().all(|outcome| outcome.group == outcomes[0].group));
    signs(&outcomes[2].group, &[&outcomes[2].share, &outcomes[0].share]);
    // The certificate is that of all, about this very end.
    outcomes[2].certificate.verify(&plan).unwrap();
    let mut forged = outcomes[0].certificate.clone();
    forged.signatures.remove(&index(2));
    assert_eq!(forged.verify(&plan), Err(FrostError::ShareMissing(index(2))));
    let mut forged = outcomes[0].certificate.clone();
    forged.digest[0] ^= 1;
    assert!(matches!(forged.verify(&plan), Err(FrostError::Malformed { .. })));

    // A member missing before the end: nobody switches.
    let mut members = refresh_members(&dealt, &[1, 2, 3]);
    run(&mut members, &mut |_, e| (e.from() != index(2)).then(|| e.clone())).unwrap();
    assert!(members.into_values().all(|m| m.finish().is_err()));
}

#[test]
fn a_refresh_refuses_other_groups_and_too_few() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let few = Plan::refresh(&dealt.group, &[index(1)].into(), &mut OsRng).unwrap_err();
    assert_eq!(few, FrostError::TooFewSigners { need: 2, have: 1 });
    let other = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let plan = Plan::refresh(&dealt.group, &[index(1), index(2)].into(), &mut OsRng).unwrap();
    let wrong = Ceremony::refresh(
        plan,
        copy(&other.devices[0]),
        other.group.clone(),
        share_copy(&other.shares[0]),
        &mut OsRng,
    );
    assert_eq!(wrong.unwrap_err(), FrostError::WrongGroup);
}

fn repair(dealt: &dealer::Dealt, helpers: &[u64], lost: u64) -> (Vec<Helper>, Repair) {
    let fresh = DeviceKey::generate(&mut OsRng).unwrap();
    let ids: BTreeSet<Index> = helpers.iter().map(|i| index(*i)).collect();
    let plan = RepairPlan::new(&dealt.group, index(lost), fresh.public(), &ids, &mut OsRng).unwrap();
    let make = |i: &u64| {
        let at = *i as usize - 1;
        let (share, device) = (share_copy(&dealt.shares[at]), copy(&dealt.devices[at]));
        Helper::new(plan.clone(), dealt.group.clone(), share, device, &mut OsRng).unwrap()
    };
    let machines = helpers.iter().map(make).collect();
    (machines, Repair::new(plan.clone(), dealt.group.clone(), fresh).unwrap())
}

fn exchange(helpers: &mut [Helper]) {
    let all: Vec<Envelope> = helpers.iter().flat_map(|h| h.start().unwrap()).collect();
    for helper in helpers {
        for envelope in &all {
            match helper.receive(envelope) {
                Ok(()) | Err(FrostError::NotForMe | FrostError::UnknownMember(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The member that lost its share sees what the helpers show of their pieces.
fn show(helpers: &[Helper], target: &mut Repair) {
    for envelope in helpers.iter().flat_map(|helper| helper.start().unwrap()) {
        if envelope.kind() == Kind::RepairCommit {
            target.receive(&envelope).unwrap();
        }
    }
}

#[test]
fn a_lost_share_is_repaired() {
    for suite in [Suite::Secp256k1Tr, Suite::Ed25519] {
        let dealt = dealer::generate(suite, 2, 4, &mut OsRng).unwrap();
        for helpers in [vec![1, 2], vec![1, 2, 4]] {
            let (mut machines, mut target) = repair(&dealt, &helpers, 3);
            assert!(machines[0].sum().unwrap().is_none());
            exchange(&mut machines);
            show(&machines, &mut target);
            for helper in &machines {
                target.receive(&helper.sum().unwrap().unwrap()).unwrap();
            }
            let share = target.finish().unwrap();
            assert_eq!(share.to_record().unwrap().expose(), dealt.shares[2].to_record().unwrap().expose());
        }
        let local =
            repair_local(&dealt.group, &[&dealt.shares[0], &dealt.shares[3]], index(2), &mut OsRng).unwrap();
        assert_eq!(local.to_record().unwrap().expose(), dealt.shares[1].to_record().unwrap().expose());
    }
}

#[test]
fn a_wrong_contribution_makes_the_repair_fail() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    // Helper 2 restarts with other numbers in between, so its sum does not fit the pieces that helper 1 got.
    let (mut machines, mut target) = repair(&dealt, &[1, 2], 3);
    exchange(&mut machines);
    let (share, device) = (share_copy(&dealt.shares[1]), copy(&dealt.devices[1]));
    // The same session, another seed.
    let snapshot = machines[1].snapshot().unwrap();
    let mut bytes = snapshot.expose().to_vec();
    let at = seed_position(&bytes);
    bytes[at] ^= 1;
    let cheat = Helper::restore(&bytes, dealt.group.clone(), share, device).unwrap();
    show(&machines, &mut target);
    target.receive(&machines[0].sum().unwrap().unwrap()).unwrap();
    assert!(matches!(target.finish(), Err(FrostError::OutOfOrder(_))));
    target.receive(&cheat.sum().unwrap().unwrap()).unwrap();
    let (some, others) = (vec![index(2)], vec![index(1), index(3)]);
    assert_eq!(target.finish().unwrap_err(), FrostError::Disagreement { some, others });
}

/// Where the seed lies in a repair snapshot: after `[1, plan`, as a CBOR byte string of 32.
fn seed_position(snapshot: &[u8]) -> usize {
    let mut d = minicbor::Decoder::new(snapshot);
    d.array().unwrap();
    d.skip().unwrap();
    d.skip().unwrap();
    d.position() + 2
}

#[test]
fn a_restored_helper_goes_on() {
    let dealt = dealer::generate(Suite::Ed25519, 2, 3, &mut OsRng).unwrap();
    let (mut machines, mut target) = repair(&dealt, &[1, 3], 2);
    exchange(&mut machines);
    show(&machines, &mut target);
    for (helper, at) in machines.iter().zip([0, 2]) {
        let snapshot = helper.snapshot().unwrap();
        let (share, device) = (share_copy(&dealt.shares[at]), copy(&dealt.devices[at]));
        let again = Helper::restore(snapshot.expose(), dealt.group.clone(), share, device).unwrap();
        assert_eq!(again.start().unwrap(), helper.start().unwrap());
        target.receive(&again.sum().unwrap().unwrap()).unwrap();
    }
    target.finish().unwrap().check(&dealt.group).unwrap();
}

#[test]
fn repair_refuses_what_it_must() {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
    let device = DeviceKey::generate(&mut OsRng).unwrap().public();
    let plan = |lost: u64, helpers: &[u64]| {
        let helpers = helpers.iter().map(|i| index(*i)).collect();
        RepairPlan::new(&dealt.group, index(lost), device, &helpers, &mut OsRng).unwrap_err()
    };
    assert_eq!(plan(3, &[1]), FrostError::TooFewSigners { need: 2, have: 1 });
    assert_eq!(plan(3, &[1, 3]), FrostError::Duplicate(index(3)));
    assert_eq!(plan(4, &[1, 2]), FrostError::UnknownMember(index(4)));
    assert_eq!(plan(3, &[1, 7]), FrostError::UnknownMember(index(7)));
    // Helpers that do not agree on the set are in two sessions.
    let (a, _) = repair(&dealt, &[1, 2], 3);
    let (mut b, _) = repair(&dealt, &[1, 2], 3);
    assert_eq!(b[0].receive(&a[1].start().unwrap()[0]), Err(FrostError::WrongSession));
}
