#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use keep_frost::{Suite, dealer};
use keep_store::MemoryStore;
use keep_testing::clock::FakeClock;
use keep_types::{GroupUse, Name, SecretText, Timestamp};

use super::*;
use crate::groups::{Accept, IncomingShares};
use crate::{Environment, KdfCost};

pub fn index(n: u64) -> Index {
    Index::new(n).unwrap()
}

pub fn indices(numbers: &[u64]) -> BTreeSet<Index> {
    numbers.iter().copied().map(index).collect()
}

/// Vaults with these members of one group, of which two sign.
pub struct World(pub Vec<(Vault, KeyId)>);

pub type Mail = Vec<Vec<u8>>;

impl World {
    pub fn of(members: &[&[u64]]) -> Self {
        let number = members.iter().map(|here| here.len()).sum::<usize>();
        let dealt =
            dealer::generate(Suite::Secp256k1Tr, 2, u16::try_from(number).unwrap(), &mut OsRng).unwrap();
        let mut pairs = dealt.shares.into_iter().zip(dealt.devices);
        let vaults = members.iter().map(|here| {
            let clock = FakeClock::at(Timestamp::from_secs(1_800_000_000));
            let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
            let environment = Environment::new(clock).allow_weak_kdf();
            let passphrase = SecretText::from("correct horse".to_owned());
            let store = Arc::new(MemoryStore::new());
            let vault = Vault::create(store, &passphrase, [7; 32], cheap, &environment).unwrap();
            let holdings = pairs.by_ref().take(here.len());
            let holdings = holdings.map(|(share, device)| Holding { share, device: Some(device) }).collect();
            let incoming = IncomingShares { group: dealt.group.clone(), endorsement: None, holdings };
            let record = vault.add_group(Name::new("g").unwrap(), incoming).unwrap();
            (vault, record.id)
        });
        Self(vaults.collect())
    }

    fn step(
        &self,
        at: usize,
        keep: Option<&BTreeSet<Index>>,
        mail: &Mail,
    ) -> Result<CeremonyStep, VaultError> {
        let (vault, id) = &self.0[at];
        vault.refresh_step(*id, keep, mail, false)
    }

    /// A step whose result is not kept yet, as of another process that has the vault open.
    fn half(&self, at: usize, mail: &Mail) -> (GroupRecord, Run) {
        let (vault, id) = &self.0[at];
        let record = vault.signing_group(*id).unwrap();
        let sorted = record.sort_renewal(mail).unwrap();
        let mut run = vault.go_on(&record, &sorted.plan().unwrap().0, None, &sorted, false).unwrap();
        assert!(run.advance(sorted.came()).is_ok());
        (record, run)
    }

    fn keep(&self, at: usize, (record, run): (GroupRecord, Run)) -> Result<CeremonyStep, VaultError> {
        self.0[at].0.keep_step(&record, run)
    }

    /// Steps of these vaults in turn until nobody says anything new, without certificates of others.
    fn certified(&self, vaults: &[usize], mail: &mut Mail) {
        loop {
            let before = mail.len();
            for at in vaults {
                let reaches = |bytes: &&Vec<u8>| {
                    Envelope::from_bytes(bytes).is_ok_and(|envelope| envelope.kind() != Kind::Certificate)
                };
                let came = mail.iter().filter(reaches).cloned().collect();
                for message in self.step(*at, None, &came).unwrap().messages {
                    if !mail.contains(&message) {
                        mail.push(message);
                    }
                }
            }
            if mail.len() == before {
                return;
            }
        }
    }
}

fn name(mail: &Mail) -> String {
    Envelope::from_bytes(&mail[0]).unwrap().session().to_string().chars().take(8).collect()
}

pub fn refused(result: Result<impl std::fmt::Debug, VaultError>, words: &str) {
    let said = Fault::from(result.unwrap_err()).message().to_owned();
    assert!(said.contains(words), "{words}: {said}");
}

/// Two processes have one vault open: what one of them certifies meanwhile, the other does not overwrite.
#[test]
fn a_step_is_kept_only_beside_what_it_has_seen() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let all = indices(&[1, 2, 3]);
    let other = world.step(2, Some(&all), &Mail::new()).unwrap().messages;
    let mut mail = world.step(0, Some(&all), &Mail::new()).unwrap().messages;
    // Of the same renewal too: an earlier state of it, and a second beginning, which would say something else.
    let (late, again) = (world.half(0, &other), world.half(1, &mail));
    let earlier = world.half(0, &mail);
    world.step(1, None, &mail).unwrap();
    refused(world.keep(1, again), "changed by another process");
    world.certified(&[0, 1, 2], &mut mail);
    refused(world.keep(0, late), &name(&mail));
    refused(world.keep(0, earlier), "changed by another process");
    // So nothing was forgotten.
    refused(world.step(0, None, &other), &name(&mail));
    for at in 0..3 {
        assert!(world.step(at, None, &mail).unwrap().done);
    }
}

/// Another process changes a device key meanwhile: with the new one, what the step has made would lead to no end.
#[test]
fn a_step_is_not_kept_beside_other_device_keys() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let mail = world.step(0, Some(&indices(&[1, 2, 3])), &Mail::new()).unwrap().messages;
    let late = world.half(1, &mail);
    let (vault, id) = &world.0[1];
    vault.rotate_device(*id, index(2), false).unwrap();
    refused(world.keep(1, late), "changed by another process");
}

/// A member that has begun a renewal, and has certified nothing, while the others have: without it nobody comes to the end.
#[test]
fn a_device_key_is_not_changed_in_the_middle_of_a_renewal() {
    let world = World::of(&[&[1, 2], &[3], &[4]]);
    let mut mail = world.step(0, Some(&indices(&[1, 3, 4])), &Mail::new()).unwrap().messages;
    for at in [1, 2, 0] {
        let kind = |bytes: &Vec<u8>| Envelope::from_bytes(bytes).unwrap().kind();
        let came = mail.iter().filter(|bytes| kind(bytes) != Kind::Subshare).cloned().collect();
        let said = world.step(at, None, &came).unwrap().messages;
        mail.extend(said.into_iter().filter(|bytes| !mail.contains(bytes)).collect::<Vec<_>>());
    }
    world.certified(&[1, 2], &mut mail);
    let certified = |at: usize| {
        let (vault, id) = &world.0[at];
        let begun = vault.group_secret(*id, REFRESH, index([1, 3][at])).unwrap();
        begun.map(|begun| Ceremony::peek(begun.secret.expose()).unwrap().is_certified())
    };
    assert_eq!((certified(0), certified(1)), (Some(false), Some(true)));
    let (vault, id) = &world.0[0];
    let said = Fault::from(vault.rotate_device(*id, index(1), false).unwrap_err());
    assert!(said.message().contains(&name(&mail)) && said.hint().contains("--abandon"), "{said}");
    // Of a member that has no part in it, it is.
    vault.rotate_device(*id, index(2), false).unwrap();
    vault.rotate_device(*id, index(2), true).unwrap();
    assert_eq!((certified(0), vault.group(*id).unwrap().given_up.len()), (Some(false), 0));
    vault.rotate_device(*id, index(1), true).unwrap();
    assert_eq!((certified(0), vault.group(*id).unwrap().given_up.len()), (None, 1));
    // Nothing is in the way of the next one.
    vault.rotate_device(*id, index(1), false).unwrap();
}

/// The same for keys of other members: what was begun here could not be gone on with, and does not end without a word.
#[test]
fn no_device_key_is_taken_in_the_middle_of_a_renewal() {
    let stranger = || keep_frost::DeviceKey::generate(&mut OsRng).unwrap().public();
    let take = |(vault, id): &(Vault, KeyId), member: u64, abandon: bool| {
        vault.trust_devices(*id, BTreeMap::from([(index(member), stranger())]), abandon)
    };
    let accept = |(vault, id): &(Vault, KeyId), (other, its): &(Vault, KeyId), abandon: bool| {
        let (_, notice) = other.rotate_device(*its, index(2), false).unwrap();
        let device = vault.group(*id).unwrap().noticed_device(&notice.unwrap()).unwrap();
        vault.trust_devices(*id, BTreeMap::from([(index(2), device)]), abandon)
    };
    let world = World::of(&[&[1], &[2], &[3], &[4]]);
    let begin = || world.step(0, Some(&indices(&[1, 2, 3])), &Mail::new()).unwrap().messages;
    let begun = || world.0[0].0.group_secret(world.0[0].1, REFRESH, index(1)).unwrap().is_some();
    let mail = begin();
    for refused in [take(&world.0[0], 2, false).map(drop), accept(&world.0[0], &world.0[1], false).map(drop)]
    {
        let said = Fault::from(refused.unwrap_err());
        assert!(said.message().contains(&name(&mail)) && said.hint().contains("--abandon"), "{said}");
    }
    // Of a member that has no part in it, one is.
    take(&world.0[0], 4, false).unwrap();
    take(&world.0[0], 4, true).unwrap();
    assert!(begun());
    take(&world.0[0], 3, true).unwrap();
    assert!(!begun());
    refused(world.step(0, None, &mail), "names another device key");
    // So is one where nothing is begun.
    take(&world.0[0], 2, false).unwrap();
}

/// The same for one that comes with a share.
#[test]
fn no_share_brings_a_device_key_in_the_middle_of_a_renewal() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let mail = world.step(0, Some(&indices(&[1, 2, 3])), &Mail::new()).unwrap().messages;
    let ((vault, id), (other, its)) = (&world.0[0], &world.0[2]);
    let take = |abandon: bool| {
        let record = other.group(*its).unwrap();
        let Holding { share, .. } = other.holding(&record, index(3)).unwrap();
        let device = Some(keep_frost::DeviceKey::generate(&mut OsRng).unwrap());
        let holdings = vec![Holding { share, device }];
        let incoming = IncomingShares { group: record.group, endorsement: None, holdings };
        vault.add_shares(*id, incoming, Accept { roster: true, abandon, ..Accept::default() })
    };
    refused(take(false), &name(&mail));
    assert_eq!(take(true).unwrap().0.given_up.len(), 1);
}

/// A share that is made again comes with a device key of its own.
#[test]
fn no_share_is_made_again_for_a_member_of_what_was_certified() {
    let world = World::of(&[&[1, 2], &[3]]);
    let mut mail = world.step(0, Some(&indices(&[1, 2, 3])), &Mail::new()).unwrap().messages;
    world.certified(&[0, 1], &mut mail);
    let (vault, id) = &world.0[0];
    let said =
        Fault::from(vault.perform_group(*id, GroupUse::Repair { index: 3, abandon: false }).unwrap_err());
    assert!(said.message().contains(&name(&mail)), "{said}");
    assert!(said.hint().contains("with --abandon,"), "{said}");
    assert!(world.step(0, None, &mail).unwrap().done);
}

/// One vault holds two shares. What one of them has certified keeps the other from all that would leave it behind.
#[test]
fn every_member_here_keeps_what_one_has_certified() {
    let world = World::of(&[&[1, 2], &[3], &[4]]);
    let (vault, id) = &world.0[0];
    let mut mail = world.step(0, Some(&indices(&[1, 3])), &Mail::new()).unwrap().messages;
    world.certified(&[0, 1], &mut mail);
    let first = name(&mail);
    let other = world.step(2, Some(&indices(&[2, 4])), &Mail::new()).unwrap().messages;
    refused(world.step(0, None, &other), &first);
    refused(world.step(0, Some(&indices(&[2, 4])), &Mail::new()), &first);
    let local = GroupUse::Refresh { keep: vec![1, 2], abandon: false };
    refused(vault.perform_group(*id, local), &first);
    for member in [1, 2] {
        refused(vault.delete_share(*id, index(member), false), &first);
    }
    // The devices by which its members know each other stay, others do not matter.
    let stranger = || keep_frost::DeviceKey::generate(&mut OsRng).unwrap().public();
    let rotated = vault.rotate_device(*id, index(1), false).map(drop);
    let trusted = vault.trust_devices(*id, BTreeMap::from([(index(3), stranger())]), false).map(drop);
    for refused in [rotated, trusted] {
        let said = Fault::from(refused.unwrap_err());
        assert!(said.message().contains(&first) && said.hint().contains("with --abandon,"), "{said}");
    }
    vault.rotate_device(*id, index(2), false).unwrap();
    vault.trust_devices(*id, BTreeMap::from([(index(4), stranger())]), false).unwrap();
    // The owner may delete it, or give it up for another one.
    assert_eq!(vault.delete_share(*id, index(2), true).unwrap().shares, [index(1)]);
    refused(world.step(0, Some(&indices(&[1, 3])), &Mail::new()), &first);
    assert!(vault.refresh_step(*id, Some(&indices(&[1, 3])), &Mail::new(), true).is_ok());
    refused(world.step(0, None, &mail), &first);
    let (three, its) = &world.0[1];
    let third = three.refresh_step(*its, Some(&indices(&[1, 3])), &Mail::new(), true).unwrap();
    assert!(world.step(0, None, &third.messages).is_ok(), "the new one is not certified, and gives way");
}

/// What a renewal that gave way was made of is not there any more: a second contribution to it would pass for a cheat.
#[test]
fn a_renewal_that_gave_way_is_not_begun_again() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let all = indices(&[1, 2, 3]);
    let first = world.step(1, Some(&all), &Mail::new()).unwrap().messages;
    let said = world.step(0, None, &first).unwrap().messages;
    let mut other = world.step(2, Some(&all), &Mail::new()).unwrap().messages;
    world.step(0, None, &other).unwrap();
    // Whether its own message lies there or not, and whatever is given up for it.
    for mail in [first.clone(), [first.clone(), said].concat()] {
        for abandon in [false, true] {
            let (vault, id) = &world.0[0];
            refused(vault.refresh_step(*id, None, &mail, abandon), "has taken part in the renewal");
            refused(vault.refresh_step(*id, None, &mail, abandon), &name(&first));
        }
    }
    // The one that took its place comes to its end.
    world.certified(&[0, 1, 2], &mut other);
    for at in 0..3 {
        assert!(world.step(at, None, &other).unwrap().done);
        assert_eq!(world.0[at].0.group(world.0[at].1).unwrap().given_up, []);
    }
}

/// The same where another process has begun it and given it up meanwhile, so that its place is as empty as before.
#[test]
fn what_was_given_up_meanwhile_is_not_begun() {
    let world = World::of(&[&[1], &[2]]);
    let mail = world.step(1, Some(&indices(&[1, 2])), &Mail::new()).unwrap().messages;
    let late = world.half(0, &mail);
    world.step(0, None, &mail).unwrap();
    let (vault, id) = &world.0[0];
    vault.give_up_others(&vault.group(*id).unwrap(), true).unwrap();
    refused(world.keep(0, late), "changed by another process");
}

/// The share may come back after what its member has begun is gone with it.
#[test]
fn a_share_that_came_back_does_not_begin_again() {
    let world = World::of(&[&[1], &[2]]);
    let mail = world.step(1, Some(&indices(&[1, 2])), &Mail::new()).unwrap().messages;
    let (vault, id) = &world.0[0];
    let record = vault.group(*id).unwrap();
    let holding = vault.holding(&record, index(1)).unwrap();
    world.step(0, None, &mail).unwrap();
    vault.delete_share(*id, index(1), false).unwrap();
    let incoming = IncomingShares { group: record.group, endorsement: None, holdings: vec![holding] };
    vault.add_shares(*id, incoming, Accept::default()).unwrap();
    refused(world.step(0, None, &mail), &name(&mail));
}

/// A share that came back does not keep another one here from the end of what that one has certified: it waits for it elsewhere.
#[test]
fn a_share_that_came_back_makes_way_for_one_that_has_certified() {
    let world = World::of(&[&[1, 2], &[3]]);
    let mut mail = world.step(0, Some(&indices(&[1, 2, 3])), &Mail::new()).unwrap().messages;
    world.certified(&[0, 1], &mut mail);
    let (vault, id) = &world.0[0];
    let record = vault.group(*id).unwrap();
    let holdings = vec![vault.holding(&record, index(2)).unwrap()];
    vault.delete_share(*id, index(2), true).unwrap();
    let incoming = IncomingShares { group: record.group, endorsement: None, holdings };
    vault.add_shares(*id, incoming, Accept::default()).unwrap();
    let said = Fault::from(world.step(0, None, &mail).unwrap_err());
    assert!(said.message().contains("member 2 of this vault has taken part in the renewal"), "{said}");
    assert!(said.hint().contains("member 1 can finish it: take the share of member 2 away"), "{said}");
    vault.delete_share(*id, index(2), true).unwrap();
    for at in [0, 1] {
        assert!(world.step(at, None, &mail).unwrap().done);
    }
    let [here, there] = [0, 1].map(|at| world.0[at].0.group(world.0[at].1).unwrap());
    assert_eq!((here.group, here.shares), (there.group, vec![index(1)]));
    // And is made again from the others.
    let mut asked = vault.repair_own(*id, index(2), &indices(&[1, 3]), &Mail::new(), false).unwrap().messages;
    for at in [0, 1, 0] {
        let (vault, id) = &world.0[at];
        asked.extend(vault.repair_step(*id, index(2), &asked, false).unwrap().messages);
    }
    assert!(vault.repair_own(*id, index(2), &BTreeSet::new(), &asked, false).unwrap().done);
    assert_eq!(vault.group(*id).unwrap().shares, [1, 2].map(index));
}

/// A share that is made again begins with a new device key: that is refused before anybody hears of it.
#[test]
fn a_share_is_not_made_again_in_the_middle_of_a_renewal() {
    let world = World::of(&[&[1, 2], &[3]]);
    world.step(0, Some(&indices(&[1, 2, 3])), &Mail::new()).unwrap();
    let (vault, id) = &world.0[0];
    vault.delete_share(*id, index(2), false).unwrap();
    let begun = || vault.group_secret(*id, REFRESH, index(1)).unwrap().is_some();
    let make = |abandon| vault.repair_own(*id, index(2), &indices(&[1, 3]), &Mail::new(), abandon);
    let said = Fault::from(make(false).unwrap_err());
    assert!(said.hint().contains("--abandon"), "{said}");
    assert!(begun() && vault.device_key(*id, index(2)).is_err(), "nothing was done");
    assert!(!make(true).unwrap().messages.is_empty());
    assert!(!begun() && vault.device_key(*id, index(2)).is_ok());
}

/// Where the member has not certified it, nobody comes to its end, and no share is to make way for it.
#[test]
fn a_share_that_came_back_makes_no_way_for_what_cannot_end() {
    let world = World::of(&[&[1, 2], &[3], &[4]]);
    let mut mail = world.step(0, Some(&indices(&[1, 2, 3, 4])), &Mail::new()).unwrap().messages;
    for at in [1, 2, 0, 1] {
        mail.extend(world.step(at, None, &mail).unwrap().messages);
    }
    let (vault, id) = &world.0[0];
    let record = vault.group(*id).unwrap();
    let holdings = vec![vault.holding(&record, index(2)).unwrap()];
    vault.delete_share(*id, index(2), false).unwrap();
    for at in [2, 0] {
        mail.extend(world.step(at, None, &mail).unwrap().messages);
    }
    let incoming = IncomingShares { group: record.group, endorsement: None, holdings };
    vault.add_shares(*id, incoming, Accept::default()).unwrap();
    let said = Fault::from(world.step(0, None, &mail).unwrap_err());
    assert!(said.message().contains("member 2 of this vault has taken part in the renewal"), "{said}");
    assert!(said.hint().contains("begin a new one"), "{said}");
}

/// A vault that was put back, or has the share from another one: that its member has spoken is seen from what it said.
#[test]
fn what_a_member_here_has_said_elsewhere_is_not_said_anew() {
    let world = World::of(&[&[1], &[2]]);
    let mail = world.step(1, Some(&indices(&[1, 2])), &Mail::new()).unwrap().messages;
    let said = world.step(0, None, &mail).unwrap().messages;
    let (vault, id) = &world.0[0];
    let place = secret_place(*id, REFRESH, index(1));
    vault.submit(move |tx| tx.delete_any::<SecretRecord>(&place)).wait().unwrap();
    refused(world.step(0, None, &[mail.clone(), said.clone()].concat()), &name(&mail));
    // What it has not signed says nothing, nor does a complaint, with which nothing is kept.
    let forged = said.into_iter().map(|mut bytes| {
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    });
    let session = Envelope::from_bytes(&mail[0]).unwrap().session();
    let device = vault.device_key(*id, index(1)).unwrap();
    let complaint = Envelope::sign(Kind::Complaint, session, index(1), &device, &7_u8).unwrap();
    let nothing = forged.chain([complaint.to_bytes().unwrap()]).collect();
    world.step(0, None, &[mail, nothing].concat()).unwrap();
}

#[test]
fn the_last_renewals_that_were_given_up_are_remembered() {
    let world = World::of(&[&[1, 2]]);
    let mut record = world.0[0].0.group(world.0[0].1).unwrap();
    let session = |n: u8| SessionId::from_bytes([n; 32]);
    record.give_up((0..70).chain([20]).map(session));
    assert_eq!(record.given_up.len(), 64);
    assert_eq!(record.given_up.last(), Some(&session(20)));
    assert!(!record.given_up.contains(&session(5)) && record.given_up.contains(&session(6)));
}
