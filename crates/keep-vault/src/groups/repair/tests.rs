#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;
use crate::groups::ceremony::tests::{Mail, World, index, indices, refused};

/// A plan to make the share of member 3 again, which its vault has lost, with the help of the first two.
fn asked(world: &World) -> Mail {
    let (vault, id) = &world.0[2];
    vault.delete_share(*id, index(3), false).unwrap();
    vault.repair_own(*id, index(3), &indices(&[1, 2]), &Mail::new()).unwrap().messages
}

/// Two processes have one vault open, and both help: with pieces of its own the later one would contradict the first.
#[test]
fn a_helper_is_kept_only_beside_what_it_has_seen() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let mut mail = asked(&world);
    let (vault, id) = &world.0[0];
    let record = vault.signing_group(*id).unwrap();
    let plan = record.sort_repair(index(3), None, &mail).unwrap().plan().unwrap().0.clone();
    let (helpers, found) = vault.helpers(&record, &plan, &[index(1)]).unwrap();
    let said = vault.repair_step(*id, index(3), &mail).unwrap().messages;
    refused(vault.keep_helpers(&record, &helpers, found, None), "changed by another process");
    assert_eq!(vault.repair_step(*id, index(3), &mail).unwrap().messages, said);
    // So the repair comes to its end.
    mail.extend(said);
    for at in [1, 0] {
        let (vault, id) = &world.0[at];
        mail.extend(vault.repair_step(*id, index(3), &mail).unwrap().messages);
    }
    let (vault, id) = &world.0[2];
    assert!(vault.repair_own(*id, index(3), &BTreeSet::new(), &mail).unwrap().done);
}

/// The group is another one by the time that the step is kept.
#[test]
fn a_helper_is_not_kept_beside_other_device_keys() {
    let world = World::of(&[&[1], &[2], &[3]]);
    let mail = asked(&world);
    let (vault, id) = &world.0[0];
    let record = vault.signing_group(*id).unwrap();
    let plan = record.sort_repair(index(3), None, &mail).unwrap().plan().unwrap().0.clone();
    let (helpers, found) = vault.helpers(&record, &plan, &[index(1)]).unwrap();
    vault.rotate_device(*id, index(1), false).unwrap();
    refused(vault.keep_helpers(&record, &helpers, found, None), "changed by another process");
}
