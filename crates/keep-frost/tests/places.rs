//! Which messages belong to a ceremony, and which are left out with a reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

use std::collections::BTreeSet;

use keep_frost::ceremony::{Ceremony, Plan};
use keep_frost::repair::{Helper, RepairPlan};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{DeviceKey, FrostError, Index, Place, SecretShare, SessionId, Suite, dealer};
use rand_core::OsRng;

fn index(n: u64) -> Index {
    Index::new(n).unwrap()
}

fn device(dealt: &dealer::Dealt, n: u64) -> DeviceKey {
    let device = &dealt.devices[usize::try_from(n).unwrap() - 1];
    DeviceKey::from_bytes(&mut device.expose().to_owned()).unwrap()
}

fn share(dealt: &dealer::Dealt, n: u64) -> SecretShare {
    let share = &dealt.shares[usize::try_from(n).unwrap() - 1];
    SecretShare::from_record(share.to_record().unwrap().expose()).unwrap()
}

fn forged(envelope: &Envelope) -> Envelope {
    let mut bytes = envelope.to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    Envelope::from_bytes(&bytes).unwrap()
}

/// The same message with another receiver; whoever has the device can sign that.
fn readdressed(envelope: &Envelope, to: Option<u16>) -> String {
    let mut json: serde_json::Value = serde_json::from_str(&envelope.to_json().unwrap()).unwrap();
    json["to"] = to.into();
    json.to_string()
}

/// Members 1, 2 and 3 of 1 to 4 renew; each has a share of its own.
struct Renewal {
    dealt: dealer::Dealt,
    plan: Plan,
}

impl Renewal {
    fn new() -> Self {
        let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 4, &mut OsRng).unwrap();
        let plan = Plan::refresh(&dealt.group, &(1..=3).map(index).collect(), &mut OsRng).unwrap();
        Self { dealt, plan }
    }

    fn member(&self, n: u64) -> Ceremony {
        let (group, device) = (self.dealt.group.clone(), device(&self.dealt, n));
        Ceremony::refresh(self.plan.clone(), device, group, share(&self.dealt, n), &mut OsRng).unwrap()
    }

    fn says(&self, kind: Kind, from: u64) -> Envelope {
        Envelope::sign(kind, self.plan.session(), index(from), &device(&self.dealt, from), &7_u8).unwrap()
    }
}

#[test]
fn a_renewal_takes_what_is_said_to_its_members() {
    let renewal = Renewal::new();
    let (mut one, mut two) = (renewal.member(1), renewal.member(2));
    let mut three = renewal.member(3);
    let all: Vec<Envelope> =
        [&mut one, &mut two, &mut three].iter_mut().flat_map(|m| m.advance().unwrap()).collect();
    for envelope in &all {
        for member in [&mut one, &mut two].into_iter().filter(|_| envelope.from() == index(3)) {
            member.receive(envelope).unwrap();
        }
    }
    for envelope in all.iter().filter(|envelope| envelope.from() == index(2)) {
        one.receive(envelope).unwrap();
        three.receive(envelope).unwrap();
    }
    three.receive(&all[0]).unwrap();
    let subshares: Vec<Envelope> =
        three.advance().unwrap().into_iter().filter(|envelope| envelope.kind() == Kind::Subshare).collect();
    let here = BTreeSet::from([index(1)]);
    let place = |envelope: &Envelope| renewal.plan.place(&here, envelope);
    let to = |n: u64| subshares.iter().find(|envelope| envelope.to() == Some(index(n))).unwrap();
    // What belongs to it: also what proves that its sender cheats, for the ceremony to find.
    assert_eq!(place(&all[1]), Ok(Place::Here));
    assert_eq!(place(to(1)), Ok(Place::Here));
    assert_eq!(place(to(2)), Ok(Place::Elsewhere));
    assert_eq!(place(&forged(to(2))), Ok(Place::Elsewhere));
    assert_eq!(place(&forged(to(1))), Err(FrostError::NotAuthentic(index(3))));
    assert_eq!(place(&all[0]), Ok(Place::Elsewhere));
    assert_eq!(place(&renewal.says(Kind::Contribution, 2)), Ok(Place::Here));
    // And what does not.
    assert_eq!(place(&renewal.says(Kind::Contribution, 4)), Err(FrostError::NotInvolved(index(4))));
    let wrong = FrostError::WrongKind { expected: "message of a renewal", found: "sigma" };
    assert_eq!(place(&renewal.says(Kind::Sigma, 2)), Err(wrong));
    let session = SessionId::from_bytes([7; 32]);
    let other =
        Envelope::sign(Kind::Contribution, session, index(2), &device(&renewal.dealt, 2), &7_u8).unwrap();
    assert_eq!(place(&other), Err(FrostError::WrongSession));
    assert_eq!(place(&forged(&all[1])), Err(FrostError::NotAuthentic(index(2))));
    // Another receiver is no longer what its sender has signed; and if it were, it would have no place.
    let moved = Envelope::parse(&readdressed(to(2), Some(1))).unwrap();
    assert_eq!(place(&moved), Err(FrostError::NotAuthentic(index(3))));
    let open = place(&renewal.says(Kind::Subshare, 2)).unwrap_err();
    assert_eq!(
        open.to_string(),
        "not a valid round message: a subshare is for one member, this one for none"
    );
}

/// A body of the form of a complaint.
fn complaint(renewal: &Renewal, from: u64, about: &[u16]) -> Envelope {
    let (session, device) = (renewal.plan.session(), device(&renewal.dealt, from));
    Envelope::sign(Kind::Complaint, session, index(from), &device, &[about.to_vec()]).unwrap()
}

#[test]
fn a_complaint_names_no_more_members_than_there_can_be() {
    let renewal = Renewal::new();
    let here = BTreeSet::from([index(1)]);
    let most: Vec<u16> = (1..=255).collect();
    for about in [&most[..], &[3]] {
        let right = complaint(&renewal, 2, about);
        assert_eq!(renewal.plan.place(&here, &right), Ok(Place::Here));
        let mut one = renewal.member(1);
        one.receive(&right).unwrap();
        assert!(one.trouble().is_some());
    }
    for about in [&vec![3; 256], &vec![3; 1 << 20], &vec![3, 3], &vec![0], &vec![256]] {
        let wrong = complaint(&renewal, 2, about);
        let mut one = renewal.member(1);
        let error = one.receive(&wrong).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not a valid complaint: it does not name at most 255 members, each once"
        );
        assert_eq!(renewal.plan.place(&here, &wrong), Err(error));
        assert_eq!(one.trouble(), None);
    }
    let none = renewal.says(Kind::Complaint, 2);
    assert!(renewal.member(1).receive(&none).is_err());
}

#[test]
fn a_complaint_counts_for_as_long_as_it_is_there() {
    let renewal = Renewal::new();
    let mut one = renewal.member(1);
    one.receive(&complaint(&renewal, 2, &[3])).unwrap();
    assert!(one.trouble().is_some());
    let old = Some((renewal.dealt.group.clone(), share(&renewal.dealt, 1)));
    let snapshot = one.snapshot().unwrap();
    let again = Ceremony::restore(snapshot.expose(), device(&renewal.dealt, 1), old).unwrap();
    assert_eq!(again.trouble(), None);
}

/// Helpers 1, 2 and 3 of five help member 5.
fn repair() -> (dealer::Dealt, RepairPlan, DeviceKey) {
    let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 5, &mut OsRng).unwrap();
    let fresh = DeviceKey::generate(&mut OsRng).unwrap();
    let plan =
        RepairPlan::new(&dealt.group, index(5), fresh.public(), &(1..=3).map(index).collect(), &mut OsRng)
            .unwrap();
    (dealt, plan, fresh)
}

fn helper(dealt: &dealer::Dealt, plan: &RepairPlan, n: u64) -> Helper {
    let group = dealt.group.clone();
    Helper::new(plan.clone(), group, share(dealt, n), device(dealt, n), &mut OsRng).unwrap()
}

#[test]
fn a_repair_takes_what_is_said_to_its_members() {
    let (dealt, plan, _) = repair();
    let sent = helper(&dealt, &plan, 2).start().unwrap();
    let of = |kind: Kind, to: Option<u64>| {
        sent.iter().find(|e| e.kind() == kind && e.to() == to.map(index)).unwrap().clone()
    };
    let one = BTreeSet::from([index(1)]);
    let lost = BTreeSet::from([index(5)]);
    let shown = of(Kind::RepairCommit, None);
    for here in [&one, &lost] {
        assert_eq!(plan.place(here, &shown), Ok(Place::Here));
        assert_eq!(plan.place(here, &forged(&shown)), Err(FrostError::NotAuthentic(index(2))));
        assert_eq!(plan.place(here, &of(Kind::Delta, Some(3))), Ok(Place::Elsewhere));
    }
    assert_eq!(plan.place(&one, &of(Kind::Delta, Some(1))), Ok(Place::Here));
    let says = |kind: Kind, from: u64| {
        Envelope::sign(kind, plan.session(), index(from), &device(&dealt, from), &7_u8).unwrap()
    };
    assert_eq!(plan.place(&one, &says(Kind::RepairCommit, 4)), Err(FrostError::NotInvolved(index(4))));
    let wrong = FrostError::WrongKind { expected: "message of a repair", found: "certificate" };
    assert_eq!(plan.place(&one, &says(Kind::Certificate, 2)), Err(wrong));
}

/// Member 1 has complained of member 3, got what is right after all, and gone on. Member 2, who still waits for member 3, does
/// not take it for stopped.
#[test]
fn who_has_gone_on_has_not_stopped() {
    let (dealt, plan, _) = repair();
    let mut one = helper(&dealt, &plan, 1);
    let mut two = helper(&dealt, &plan, 2);
    let complaint = one.complaint(&FrostError::BadContribution(vec![index(3)])).unwrap().unwrap();
    two.receive(&complaint).unwrap();
    assert!(two.trouble().is_some());
    for n in [2, 3] {
        for envelope in helper(&dealt, &plan, n).start().unwrap() {
            if envelope.to().is_none_or(|to| to == index(1)) {
                one.receive(&envelope).unwrap();
            }
        }
    }
    let sum = one.sum().unwrap().unwrap();
    let here = BTreeSet::from([index(2)]);
    assert_eq!(plan.place(&here, &sum), Ok(Place::Here));
    assert_eq!(plan.place(&here, &forged(&sum)), Ok(Place::Elsewhere));
    assert!(two.receive(&forged(&sum)).is_err());
    assert!(two.trouble().is_some());
    two.receive(&sum).unwrap();
    assert_eq!(two.trouble(), None);
    assert!(!two.waiting_for().is_empty());
    // Of another repair it does not count at all.
    let (_, other, _) = repair();
    let stale = helper(&dealt, &plan, 1);
    assert_ne!(other.session(), stale.session());
    let late = Envelope::sign(Kind::Complaint, other.session(), index(1), &device(&dealt, 1), &[vec![3_u16]])
        .unwrap();
    assert_eq!(two.receive(&late), Err(FrostError::WrongSession));
    assert_eq!(two.trouble(), None);
}
