//! Renewals with a member that says different things to different members, in every order that comes to mind: whoever is
//! honest ends with all the others or not at all, knows whom not to trust, and waits for nobody in silence.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

use std::collections::{BTreeMap, BTreeSet};

use keep_frost::ceremony::{Ceremony, Plan};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{DeviceKey, FrostError, Index, SecretShare, Suite, dealer};
use rand_core::OsRng;

/// Numbers that are the same at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }
}

fn index(n: u64) -> Index {
    Index::new(n).unwrap()
}

struct World {
    dealt: dealer::Dealt,
    plan: Plan,
}

impl World {
    fn new(members: u64) -> Self {
        let dealt =
            dealer::generate(Suite::Secp256k1Tr, 2, u16::try_from(members).unwrap(), &mut OsRng).unwrap();
        let plan = Plan::refresh(&dealt.group, &dealt.group.indices().collect(), &mut OsRng).unwrap();
        Self { dealt, plan }
    }

    fn device(&self, index: Index) -> DeviceKey {
        let device = &self.dealt.devices[usize::from(index.get()) - 1];
        DeviceKey::from_bytes(&mut device.expose().to_owned()).unwrap()
    }

    fn share(&self, index: Index) -> SecretShare {
        let share = &self.dealt.shares[usize::from(index.get()) - 1];
        SecretShare::from_record(share.to_record().unwrap().expose()).unwrap()
    }

    fn members(&self) -> BTreeMap<Index, Ceremony> {
        let member = |index: Index| {
            let (device, share) = (self.device(index), self.share(index));
            let group = self.dealt.group.clone();
            (index, Ceremony::refresh(self.plan.clone(), device, group, share, &mut OsRng).unwrap())
        };
        self.dealt.group.indices().map(member).collect()
    }

    /// Writes a member down and reads it again, as a vault does between two steps.
    fn again(&self, member: &Ceremony, index: Index) -> Ceremony {
        let old = Some((self.dealt.group.clone(), self.share(index)));
        let snapshot = member.snapshot().unwrap();
        let mut again = Ceremony::restore(snapshot.expose(), self.device(index), old).unwrap();
        again.advance().unwrap();
        again
    }

    /// A certificate of this member in the same session about another end: the same plan, run with other numbers.
    fn other_certificate(&self, by: Index) -> Envelope {
        let mut members = self.members();
        let sent = run(&mut members, |_, _| true);
        sent.into_iter().find(|e| e.kind() == Kind::Certificate && e.from() == by).unwrap()
    }

    /// A certificate of this member that says nothing.
    fn empty_certificate(&self, by: Index) -> Envelope {
        Envelope::sign(Kind::Certificate, self.plan.session(), by, &self.device(by), &7_u8).unwrap()
    }
}

/// Delivers what `reaches` lets through until nothing new is said. Gives all that was said.
fn run(members: &mut BTreeMap<Index, Ceremony>, reaches: impl Fn(Index, &Envelope) -> bool) -> Vec<Envelope> {
    let mut all = Vec::new();
    loop {
        let mut new = Vec::new();
        for member in members.values_mut() {
            new.extend(member.advance().unwrap());
        }
        if new.is_empty() {
            return all;
        }
        for envelope in &new {
            for (to, member) in members.iter_mut().filter(|(to, _)| **to != envelope.from()) {
                if envelope.to().is_none_or(|only| only == *to) && reaches(*to, envelope) {
                    member.receive(envelope).unwrap();
                }
            }
        }
        all.extend(new);
    }
}

fn is_through(member: &Ceremony) -> bool {
    member.waiting_for().is_empty()
}

#[test]
fn the_certificate_that_fits_counts_whichever_comes_first() {
    let world = World::new(3);
    let cheat = index(3);
    let wrong = [world.other_certificate(cheat), world.empty_certificate(cheat)];
    let mut members = world.members();
    // Member 1 gets the right certificate, member 2 two others.
    run(&mut members, |to, e| !(to == index(2) && e.from() == cheat && e.kind() == Kind::Certificate));
    let handed_on: Vec<Envelope> = members[&index(1)].certificates().cloned().collect();
    let two = members.get_mut(&index(2)).unwrap();
    two.receive(&wrong[0]).unwrap();
    assert!(two.advance().unwrap().is_empty());
    assert!(matches!(two.trouble(), Some(FrostError::Disagreement { some, .. }) if some == [cheat]));
    two.receive(&wrong[1]).unwrap();
    assert!(two.advance().unwrap().is_empty());
    assert_eq!(two.waiting_for(), [cheat]);
    let mut two = world.again(two, index(2));
    for envelope in handed_on.iter().filter(|envelope| envelope.from() != index(2)) {
        two.receive(envelope).unwrap();
    }
    two.advance().unwrap();
    assert_eq!((two.trouble(), two.two_faced()), (None, BTreeSet::from([cheat])));
    // What is handed on by it is what fits.
    let certificates: BTreeSet<Vec<u8>> = two.certificates().map(|e| e.to_bytes().unwrap()).collect();
    assert!(wrong.iter().all(|envelope| !certificates.contains(&envelope.to_bytes().unwrap())));
    let ends = [members.remove(&index(1)).unwrap().finish().unwrap(), two.finish().unwrap()];
    assert_eq!(ends[0].group, ends[1].group);
    assert_eq!(ends[1].two_faced, BTreeSet::from([cheat]));
}

#[test]
fn a_second_contribution_after_the_first_keeps_nobody_from_the_end() {
    let world = World::new(3);
    let cheat = index(3);
    let other = world.members().remove(&cheat).unwrap().advance().unwrap().remove(0);
    assert_eq!(other.kind(), Kind::Contribution);
    // Before all is there, it ends it, with a name.
    let mut early = world.members();
    let first = early.get_mut(&cheat).unwrap().advance().unwrap().remove(0);
    let one = early.get_mut(&index(1)).unwrap();
    one.receive(&first).unwrap();
    assert_eq!(one.receive(&other), Err(FrostError::Equivocation(cheat)));
    // Later, others may have finished: it shows the cheat, and changes nothing.
    let mut members = world.members();
    let said = run(&mut members, |to, e| !(to == index(2) && e.kind() == Kind::Certificate));
    let two = members.get_mut(&index(2)).unwrap();
    two.receive(&other).unwrap();
    for envelope in said.iter().filter(|e| e.kind() == Kind::Certificate && e.from() != index(2)) {
        two.receive(envelope).unwrap();
    }
    two.advance().unwrap();
    let end = members.remove(&index(2)).unwrap().finish().unwrap();
    assert_eq!(end.two_faced, BTreeSet::from([cheat]));
}

#[test]
fn whoever_stops_says_why_and_the_others_know() {
    let world = World::new(3);
    let cheat = index(3);
    // A secret contribution that does not fit the public one: of the same plan, run with other numbers.
    let said = run(&mut world.members(), |_, _| true);
    let is_to_one =
        |e: &Envelope| e.kind() == Kind::Subshare && e.from() == cheat && e.to() == Some(index(1));
    let wrong = said.into_iter().find(is_to_one).unwrap();
    let mut members = world.members();
    let (mut stopped, mut complaints) = (None, Vec::new());
    for _ in 0..3 {
        let mut new = Vec::new();
        for (index, member) in &mut members {
            match member.advance() {
                Ok(sent) => new.extend(sent),
                Err(error) => {
                    let complaint = member.complaint(&error).unwrap().unwrap();
                    stopped = Some((*index, error));
                    complaints.push(complaint.clone());
                    new.push(complaint);
                }
            }
        }
        for envelope in new {
            let envelope = if is_to_one(&envelope) { wrong.clone() } else { envelope };
            for (to, member) in members.iter_mut().filter(|(to, _)| **to != envelope.from()) {
                if envelope.to().is_none_or(|only| only == *to) {
                    member.receive(&envelope).unwrap();
                }
            }
        }
    }
    assert_eq!(stopped, Some((index(1), FrostError::BadContribution(vec![cheat]))));
    assert!(members[&index(2)].trouble().is_some());
    let mut two = world.again(&members[&index(2)], index(2));
    assert_eq!(two.waiting_for(), [index(1)]);
    // It counts for as long as it is there.
    assert_eq!(two.trouble(), None);
    two.receive(&complaints[0]).unwrap();
    let error = two.trouble().unwrap();
    assert_eq!(error, FrostError::Complaint { by: vec![index(1)], about: vec![cheat] });
    assert!(error.to_string().starts_with("member 1 stopped because of what came from member 3"), "{error}");
    assert_eq!(two.finish().unwrap_err(), error);
}

#[test]
fn a_complaint_keeps_nobody_from_the_end() {
    let world = World::new(3);
    let mut members = world.members();
    let lie = FrostError::BadContribution(vec![index(1)]);
    let complaint = members[&index(3)].complaint(&lie).unwrap().unwrap();
    for to in [index(1), index(2)] {
        members.get_mut(&to).unwrap().receive(&complaint).unwrap();
    }
    assert!(members[&index(1)].trouble().is_some());
    run(&mut members, |_, _| true);
    for member in members.into_values() {
        assert_eq!(member.trouble(), None);
        member.finish().unwrap();
    }
}

/// One history: the cheat says what it likes to whom it likes, in any order, and those who are through hand on what they have.
fn history(seed: u64) {
    let dice = &mut Dice(seed);
    let count = 3 + dice.roll(2) as u64;
    let world = World::new(count);
    let cheat = index(1 + dice.roll(usize::try_from(count).unwrap()) as u64);
    let wrong =
        [world.other_certificate(cheat), world.other_certificate(cheat), world.empty_certificate(cheat)];
    let lie =
        FrostError::BadContribution(world.plan.members().keys().copied().filter(|i| *i != cheat).collect());
    let mut members = world.members();
    let said = run(&mut members, |to, e| !(e.kind() == Kind::Certificate && to != cheat));
    let mut certificates: Vec<Envelope> =
        said.into_iter().filter(|envelope| envelope.kind() == Kind::Certificate).collect();
    let at = certificates.iter().position(|envelope| envelope.from() == cheat).unwrap();
    let right = certificates.remove(at);
    let complaint = members.remove(&cheat).unwrap().complaint(&lie).unwrap().unwrap();
    let honest: Vec<Index> = members.keys().copied().collect();
    let mut got_right = BTreeSet::new();
    // What goes to whom, in any order.
    let mut way: Vec<(Index, Envelope)> = Vec::new();
    for to in &honest {
        way.extend(certificates.iter().filter(|e| e.from() != *to).map(|e| (*to, e.clone())));
        for envelope in wrong.iter().chain([&complaint]).filter(|_| dice.roll(2) == 0).collect::<Vec<_>>() {
            way.push((*to, envelope.clone()));
        }
        if dice.roll(3) == 0 {
            got_right.insert(*to);
            way.push((*to, right.clone()));
        }
    }
    while !way.is_empty() {
        let (to, envelope) = way.swap_remove(dice.roll(way.len()));
        let member = members.get_mut(&to).unwrap();
        member.receive(&envelope).unwrap();
        if dice.roll(2) == 0 {
            assert!(member.advance().unwrap().is_empty());
        }
        if dice.roll(4) == 0 {
            let again = world.again(member, to);
            members.insert(to, again);
        }
    }
    for member in members.values_mut() {
        member.advance().unwrap();
    }
    let through: BTreeSet<Index> = honest.iter().copied().filter(|i| is_through(&members[i])).collect();
    assert_eq!(through, got_right, "seed {seed}");
    for (index, member) in members.iter().filter(|(index, _)| !through.contains(index)) {
        // Whoever waits waits for the cheat alone, and blames nobody else alone.
        assert_eq!(member.waiting_for(), [cheat], "seed {seed}, member {index}");
        match member.trouble() {
            None => {}
            Some(FrostError::BadContribution(wrong)) => assert_eq!(wrong, [cheat], "seed {seed}"),
            Some(FrostError::Disagreement { some, .. }) => assert_eq!(some, [cheat], "seed {seed}"),
            Some(FrostError::Complaint { by, .. }) => assert_eq!(by, [cheat], "seed {seed}"),
            Some(other) => panic!("seed {seed}: {other}"),
        }
    }
    // Whoever is through hands it on: then all are.
    if let Some(first) = through.first() {
        let handed_on: Vec<Envelope> = members[first].certificates().cloned().collect();
        for (index, member) in &mut members {
            for envelope in handed_on.iter().filter(|envelope| envelope.from() != *index) {
                member.receive(envelope).unwrap();
            }
            member.advance().unwrap();
        }
    }
    let mut groups = Vec::new();
    for (index, member) in members {
        assert!(member.two_faced().is_subset(&BTreeSet::from([cheat])), "seed {seed}");
        match member.finish() {
            Ok(end) => groups.push(end.group),
            Err(error) => assert!(through.is_empty(), "seed {seed}, member {index}: {error}"),
        }
    }
    assert_eq!(groups.len(), if through.is_empty() { 0 } else { honest.len() }, "seed {seed}");
    assert!(groups.iter().all(|group| *group == groups[0]), "seed {seed}");
}

#[test]
fn honest_members_end_together_in_any_order() {
    let rounds = if std::env::var_os("KEEP_SOAK").is_some() { 300 } else { 20 };
    (0..rounds).for_each(history);
}
