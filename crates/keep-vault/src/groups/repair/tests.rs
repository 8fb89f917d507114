#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;
use crate::groups::ceremony::tests::{Mail, World, index, indices, refused};
use crate::groups::keyring::REFRESH;

/// A plan to make the one share again that this vault has lost, with the help of the first two members.
fn asked(world: &World, at: usize) -> Mail {
    let (vault, id) = &world.0[at];
    let lost = vault.group(*id).unwrap().shares[0];
    vault.delete_share(*id, lost, false).unwrap();
    vault.repair_own(*id, lost, &indices(&[1, 2]), &Mail::new(), false).unwrap().messages
}

/// What the first vault's member would say, and keep, as of another process that has the vault open.
fn half(world: &World, mail: &Mail) -> (BTreeMap<Index, Helper>, Found) {
    let (vault, id) = &world.0[0];
    let record = vault.signing_group(*id).unwrap();
    let sorted = record.sort_repair(index(3), None, mail).unwrap();
    vault.helpers(&record, &sorted, &sorted.plan().unwrap().0, &[index(1)]).unwrap()
}

/// The member that is helped in these, by the device that it has.
fn helped(world: &World) -> Helped {
    let (vault, id) = &world.0[2];
    let device = vault.own_device(*id, index(3), false).unwrap().public();
    Helped { lost: index(3), device, is_done: false, abandon: false }
}

fn helps(world: &World, at: usize, lost: u64, mail: &mut Mail) {
    let (vault, id) = &world.0[at];
    let said = vault.repair_step(*id, index(lost), mail, false).unwrap().messages;
    mail.extend(said.into_iter().filter(|bytes| !mail.contains(bytes)).collect::<Vec<_>>());
}

fn is_repaired(world: &World, at: usize, lost: u64, mail: &Mail) -> bool {
    let (vault, id) = &world.0[at];
    vault.repair_own(*id, index(lost), &BTreeSet::new(), mail, false).unwrap().done
}

/// Two members have lost their shares, and the same ones help both, a step here and a step there.
#[test]
fn two_repairs_with_one_helper_stand_beside_each_other() {
    let world = World::of(&[&[1], &[2], &[3], &[4]]);
    let mut mails = [2, 3].map(|at| asked(&world, at));
    for at in [0, 1, 0] {
        for (lost, mail) in [3, 4].into_iter().zip(&mut mails) {
            helps(&world, at, lost, mail);
        }
    }
    for (at, mail) in [2, 3].into_iter().zip(&mails) {
        assert!(is_repaired(&world, at, at as u64 + 1, mail));
    }
    // With the share goes what its member has of either.
    let (vault, id) = &world.0[0];
    let places = || [3, 4].map(|lost| repair_place(*id, index(1), index(lost)));
    let lies = || places().map(|at| vault.read_secret(&at, SecretKind::Share).unwrap().is_some());
    assert_eq!(lies(), [true; 2]);
    vault.delete_share(*id, index(1), false).unwrap();
    assert_eq!(lies(), [false; 2]);
}

/// Where one place served all repairs of a helper, it may still have what it said.
#[test]
fn help_that_an_earlier_version_began_is_gone_on_with() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let mut mail = asked(&world, 2);
    helps(&world, 0, 3, &mut mail);
    let (vault, id) = &world.0[0];
    let (new, old) = (repair_place(*id, index(1), index(3)), secret_place(*id, REPAIR, index(1)));
    let moved = move |tx: &mut crate::Tx<'_, '_>| {
        let side = tx.get_any::<SecretRecord>(&new)?.unwrap();
        tx.delete_any::<SecretRecord>(&new)?;
        tx.put_any(old, &side)
    };
    vault.submit(moved).wait().unwrap();
    for at in [1, 0] {
        helps(&world, at, 3, &mut mail);
    }
    assert!(is_repaired(&world, 2, 3, &mail));
}

/// With pieces that do not fit its first ones a helper would contradict itself.
#[test]
fn a_helper_that_has_spoken_does_not_speak_anew() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let asked = asked(&world, 2);
    let mut mail = asked.clone();
    for at in [0, 1, 0] {
        helps(&world, at, 3, &mut mail);
    }
    let (vault, id) = &world.0[0];
    let place = repair_place(*id, index(1), index(3));
    let mut side = vault.read_secret(&place, SecretKind::Share).unwrap().unwrap();
    vault.submit(move |tx| tx.delete_any::<SecretRecord>(&place)).wait().unwrap();
    let said = Fault::from(vault.repair_step(*id, index(3), &mail, false).unwrap_err());
    assert!(said.message().contains("member 1 has helped with the repair"), "{said}");
    assert!(said.hint().contains("--share 3 --mine"), "{said}");
    // What lies there of this very repair, and cannot be gone on with, is not replaced.
    let mut bytes = side.secret.expose().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    side.secret = SecretBytes::new(bytes);
    assert!(Helper::peek(side.secret.expose()).is_ok());
    vault.submit(move |tx| tx.put_any(place, &side)).wait().unwrap();
    let said = Fault::from(vault.repair_step(*id, index(3), &asked, false).unwrap_err());
    assert!(said.message().contains("signed") && said.hint().contains("--share 3 --mine"), "{said}");
    // Asked anew, it helps.
    let (three, its) = &world.0[2];
    let mut anew = three.repair_own(*its, index(3), &indices(&[1, 2]), &Mail::new(), false).unwrap().messages;
    for at in [0, 1, 0] {
        helps(&world, at, 3, &mut anew);
    }
    assert!(is_repaired(&world, 2, 3, &anew));
}

/// Two processes have one vault open, and both help: with pieces of its own the later one would contradict the first.
#[test]
fn a_helper_is_kept_only_beside_what_it_has_seen() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let mut mail = asked(&world, 2);
    let (vault, id) = &world.0[0];
    let record = vault.signing_group(*id).unwrap();
    let (helpers, found) = half(&world, &mail);
    let said = vault.repair_step(*id, index(3), &mail, false).unwrap().messages;
    refused(vault.keep_helpers(&record, &helpers, found, helped(&world)), "changed by another process");
    assert_eq!(vault.repair_step(*id, index(3), &mail, false).unwrap().messages, said);
    // So the repair comes to its end.
    mail.extend(said);
    for at in [1, 0] {
        let (vault, id) = &world.0[at];
        mail.extend(vault.repair_step(*id, index(3), &mail, false).unwrap().messages);
    }
    let (vault, id) = &world.0[2];
    assert!(vault.repair_own(*id, index(3), &BTreeSet::new(), &mail, false).unwrap().done);
}

/// The group is another one by the time that the step is kept.
#[test]
fn a_helper_is_not_kept_beside_other_device_keys() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let mail = asked(&world, 2);
    let (vault, id) = &world.0[0];
    let record = vault.signing_group(*id).unwrap();
    let (helpers, found) = half(&world, &mail);
    vault.rotate_device(*id, index(1), false).unwrap();
    refused(vault.keep_helpers(&record, &helpers, found, helped(&world)), "changed by another process");
}

/// Whom a vault helps is known by another device then: a renewal that it has begun is not lost without a word.
#[test]
fn a_helper_gives_up_no_renewal_without_a_word() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let mut mail = asked(&world, 2);
    let (vault, id) = &world.0[0];
    let renewal = |keep: &[u64]| vault.refresh_step(*id, Some(&indices(keep)), &Mail::new(), false).unwrap();
    let begun = || vault.group_secret(*id, REFRESH, index(1)).unwrap().is_some();
    let first = &renewal(&[1, 3]).messages[0];
    let first = Envelope::from_bytes(first).unwrap().session().to_string();
    // Before anything is said for the repair.
    let said = Fault::from(vault.repair_step(*id, index(3), &mail, false).unwrap_err());
    assert!(said.message().contains(&first[..8]) && said.hint().contains("--abandon"), "{said}");
    let place = repair_place(*id, index(1), index(3));
    assert!(vault.read_secret(&place, SecretKind::Share).unwrap().is_none() && begun());
    mail.extend(vault.repair_step(*id, index(3), &mail, true).unwrap().messages);
    assert!(!begun());
    // One without that member goes on.
    renewal(&[1, 2]);
    for at in [1, 0] {
        helps(&world, at, 3, &mut mail);
    }
    assert!(begun() && is_repaired(&world, 2, 3, &mail));
}

/// The same where the share is made again here.
#[test]
fn a_share_made_again_here_gives_up_no_renewal_without_a_word() {
    let world = World::of(&[&[1, 2], &[3]]);
    let (vault, id) = &world.0[0];
    let mail = vault.refresh_step(*id, Some(&indices(&[1, 3])), &Mail::new(), false).unwrap().messages;
    let name = Envelope::from_bytes(&mail[0]).unwrap().session().to_string();
    refused(vault.repair_here(*id, index(3), false), &name[..8]);
    assert!(vault.repair_here(*id, index(3), true).is_ok());
    assert_eq!(vault.group(*id).unwrap().given_up.len(), 1);
    assert_eq!(vault.group(*id).unwrap().shares, [1, 2, 3].map(index));
}
