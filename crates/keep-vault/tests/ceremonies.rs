//! Which of many messages a vault takes for a step of a ceremony, and what it says of the others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::memory_vault;
use keep_frost::ceremony::Plan;
use keep_frost::repair::RepairPlan;
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{DeviceKey, Index, SessionId, Suite, dealer};
use keep_types::{Name, SkippedMessage};
use keep_vault::{GroupRecord, Vault};
use rand_core::OsRng;

fn index(n: u64) -> Index {
    Index::new(n).unwrap()
}

/// A group of four in a vault that says to hold share 1 alone; its device keys are all here, to speak for the others.
fn group() -> (Vault, GroupRecord) {
    let vault = memory_vault();
    let mut record = vault.deal_group(Name::new("g").unwrap(), Suite::Secp256k1Tr, 2, 4).unwrap();
    record.shares = vec![index(1)];
    (vault, record)
}

fn said(vault: &Vault, record: &GroupRecord, kind: Kind, session: SessionId, from: u64) -> Envelope {
    let device = vault.device_key(record.id, index(from)).unwrap();
    Envelope::sign(kind, session, index(from), &device, &7_u8).unwrap()
}

fn forged(envelope: &Envelope) -> Vec<u8> {
    let mut bytes = envelope.to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

/// Another version of the protocol. The first field of a message is its version.
fn of_another_version(envelope: &Envelope) -> Vec<u8> {
    let mut bytes = envelope.to_bytes().unwrap();
    assert_eq!(bytes[1], 1);
    bytes[1] = 9;
    bytes
}

fn reasons(skipped: &[SkippedMessage]) -> Vec<(usize, String)> {
    skipped.iter().map(|skipped| (skipped.at, skipped.fault.message().to_owned())).collect()
}

#[test]
fn a_renewal_leaves_out_what_is_no_part_of_it() {
    let (vault, record) = group();
    let plan = Plan::refresh(&record.group, &(1..=3).map(index).collect(), &mut OsRng).unwrap();
    let device = vault.device_key(record.id, index(2)).unwrap();
    let announced = Envelope::sign(Kind::Plan, plan.session(), index(2), &device, &plan).unwrap();
    let says = |kind: Kind, from: u64| said(&vault, &record, kind, plan.session(), from);
    let other = SessionId::from_bytes([7; 32]);
    let foreign = dealer::generate(Suite::Secp256k1Tr, 2, 4, &mut OsRng).unwrap();
    let others = Plan::refresh(&foreign.group, &(1..=3).map(index).collect(), &mut OsRng).unwrap();
    let others_plan = Envelope::sign(Kind::Plan, others.session(), index(2), &foreign.devices[1], &others);
    let messages = vec![
        b"junk".to_vec(),
        of_another_version(&says(Kind::Contribution, 2)),
        says(Kind::Contribution, 2).to_bytes().unwrap(),
        says(Kind::Sigma, 2).to_bytes().unwrap(),
        says(Kind::Subshare, 2).to_bytes().unwrap(),
        says(Kind::Contribution, 4).to_bytes().unwrap(),
        said(&vault, &record, Kind::Contribution, other, 2).to_bytes().unwrap(),
        forged(&says(Kind::Certificate, 3)),
        others_plan.unwrap().to_bytes().unwrap(),
        forged(&announced),
        announced.to_bytes().unwrap(),
        says(Kind::Contribution, 1).to_bytes().unwrap(),
    ];
    let sorted = record.sort_renewal(&messages).unwrap();
    assert_eq!(sorted.plan().unwrap().0, plan);
    assert_eq!(sorted.wrong(), None);
    let expected = [
        (0, "not a valid round message: it is damaged or cut off"),
        (1, "round message of version 9 needs a newer program"),
        (3, "this message is a sigma, not a message of a renewal"),
        (4, "not a valid round message: a subshare is for one member, this one for none"),
        (5, "member 4 takes no part in this"),
        (6, "this message belongs to another session"),
        (7, "the message is not authentic: it was not signed by member 3"),
        (8, "this belongs to another group"),
        (9, "the message is not authentic: it was not signed by member 2"),
    ];
    let expected: Vec<(usize, String)> = expected.iter().map(|(at, why)| (*at, (*why).to_owned())).collect();
    assert_eq!(reasons(&sorted.skipped()), expected);
}

#[test]
fn a_plan_that_is_damaged_is_missed_and_one_of_others_is_not() {
    let (vault, record) = group();
    let all: BTreeSet<Index> = record.group.indices().collect();
    let announce = |plan: &Plan, device: &DeviceKey| {
        Envelope::sign(Kind::Plan, plan.session(), index(2), device, plan).unwrap()
    };
    let device = vault.device_key(record.id, index(2)).unwrap();
    let plan = Plan::refresh(&record.group, &all, &mut OsRng).unwrap();
    let damaged = record.sort_renewal(&[forged(&announce(&plan, &device))]).unwrap();
    assert!(damaged.plan().is_none());
    assert!(damaged.wrong().is_some());
    let foreign = dealer::generate(Suite::Secp256k1Tr, 2, 4, &mut OsRng).unwrap();
    let others = announce(&Plan::refresh(&foreign.group, &all, &mut OsRng).unwrap(), &foreign.devices[1]);
    let sorted = record.sort_renewal(&[others.to_bytes().unwrap()]).unwrap();
    assert!(sorted.plan().is_none());
    assert_eq!(sorted.wrong(), None);
    // Two that both fit are one too many, and are named.
    let second = Plan::refresh(&record.group, &all, &mut OsRng).unwrap();
    let both = [&plan, &second].map(|plan| announce(plan, &device).to_bytes().unwrap());
    let several = record.sort_renewal(&both).unwrap_err().to_string();
    for plan in [&plan, &second] {
        assert!(several.contains(&plan.session().to_string()[..8]), "{several}");
    }
}

/// A plan that names a member's device key or the threshold otherwise than the roster stops nobody, and its maker is named.
#[test]
fn a_plan_that_does_not_fit_is_its_makers_fault() {
    let (vault, record) = group();
    let all: BTreeSet<Index> = record.group.indices().collect();
    let announce = |plan: &Plan, from: u64| {
        let device = vault.device_key(record.id, index(from)).unwrap();
        let envelope = Envelope::sign(Kind::Plan, plan.session(), index(from), &device, plan).unwrap();
        envelope.to_bytes().unwrap()
    };
    let stranger = DeviceKey::generate(&mut OsRng).unwrap().public();
    let other_roster = record.group.clone().with_devices(&BTreeMap::from([(index(3), stranger)])).unwrap();
    let bad = Plan::refresh(&other_roster, &all, &mut OsRng).unwrap();
    let why = "member 2 made a plan that cannot be followed: it names another device key for member 3 than is known here";
    let alone = record.sort_renewal(&[announce(&bad, 2)]).unwrap();
    assert!(alone.plan().is_none());
    assert_eq!(alone.wrong().unwrap().message(), why);
    let good = Plan::refresh(&record.group, &all, &mut OsRng).unwrap();
    let both = record.sort_renewal(&[announce(&bad, 2), announce(&good, 4)]).unwrap();
    assert_eq!(both.plan().unwrap().0, good);
    assert_eq!((both.wrong(), reasons(&both.skipped())), (None, vec![(0, why.to_owned())]));
}

#[test]
fn a_repair_takes_the_plan_that_is_asked_about() {
    let (vault, record) = group();
    let ask = |lost: u64, helpers: &[u64]| {
        let device = DeviceKey::generate(&mut OsRng).unwrap();
        let helpers = helpers.iter().map(|n| index(*n)).collect();
        let plan =
            RepairPlan::new(&record.group, index(lost), device.public(), &helpers, &mut OsRng).unwrap();
        let asked = Envelope::sign(Kind::RepairPlan, plan.session(), index(lost), &device, &plan).unwrap();
        (device, plan, asked.to_bytes().unwrap())
    };
    let (device, plan, ours) = ask(3, &[1, 2]);
    let (_, _, about_another) = ask(4, &[1, 2]);
    let shown = said(&vault, &record, Kind::RepairCommit, plan.session(), 2).to_bytes().unwrap();
    let outsider = said(&vault, &record, Kind::RepairCommit, plan.session(), 4).to_bytes().unwrap();
    let messages = [about_another, ours.clone(), shown, outsider];
    let sorted = record.sort_repair(index(3), None, &messages).unwrap();
    assert_eq!(sorted.plan().unwrap().0, plan);
    let expected = vec![
        (0, "not a valid plan of this repair: it is about the share of member 4".to_owned()),
        (3, "member 4 takes no part in this".to_owned()),
    ];
    assert_eq!(reasons(&sorted.skipped()), expected);
    // Somebody else asks for the share as well: whom to help is for a person to say, and who lost it knows its own plan.
    let (_, _, stranger) = ask(3, &[1, 2]);
    let both = [stranger, ours];
    assert!(record.sort_repair(index(3), None, &both).unwrap_err().to_string().contains("there are several"));
    let mine = record.sort_repair(index(3), Some(device.public()), &both).unwrap();
    assert_eq!(mine.plan().unwrap().0, plan);
    assert_eq!(mine.skipped().len(), 1);
}
