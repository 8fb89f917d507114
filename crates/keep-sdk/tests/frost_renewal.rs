//! Threshold keys whose shares are in several vaults: renewed and made again, message by message.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop where it is"
)]

mod groups;

use std::collections::{BTreeMap, BTreeSet};

use keep_sdk::frost::{ImportOptions, StepView, Suite};
use keep_sdk::{BackupKey, BackupLock, Keep, LockedBackup, SecretText, verify_backup};

use groups::*;

/// Everything that was left for everybody, as a shared directory would hold it.
#[derive(Default)]
struct Board(BTreeMap<String, String>);

impl Board {
    fn all(&self) -> Vec<String> {
        self.0.values().cloned().collect()
    }

    fn leave(&mut self, step: &StepView) {
        for message in &step.messages {
            let known = self.0.insert(message.name.clone(), message.text.clone());
            assert!(known.is_none_or(|known| known == message.text), "a message changed: {}", message.name);
        }
    }
}

/// What is under way in a vault is in its backups, and does not count as damage there.
fn backed_up(keep: &Keep) {
    const RECIPIENT: &str = "age1n72txnccwnne8udnfl9mepwucxnm6zren6nwe45f8tqra6cmyqvsrwtdxk";
    const IDENTITY: &str = "AGE-SECRET-KEY-1HXPS8SM5ENPD39GZQHHLF432PP5AQ9NADNG75CLZTJPGJ6HP9RQS78ZZ6U";
    let to = BackupLock::Recipients(vec![RECIPIENT.to_owned()]);
    let file = keep.backups().make(to).unwrap().bytes().unwrap();
    let key = BackupKey::Identities(SecretText::from(IDENTITY.to_owned()));
    verify_backup(LockedBackup::read(&file[..]).unwrap(), &key).unwrap();
}

#[test]
fn shares_in_different_vaults_are_renewed_file_by_file() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Secp256k1Tr);
    let this = Some(group.pubkey.as_str());
    drop(vaults);
    let mut board = Board::default();
    let mut done = BTreeSet::new();
    for round in 0..8 {
        for index in 1..=3_u16 {
            // Each step in a process of its own, and some of them twice: the vault is opened anew.
            let keep = world.vault(&format!("v{index}"));
            let frost = keep.frost();
            let begin = board.0.is_empty();
            let step = frost.refresh_step(this, begin, vec![], board.all()).unwrap();
            let again = frost
                .refresh_step(this, false, vec![], [board.all(), texts(&step.messages)].concat())
                .unwrap();
            assert_eq!(
                texts(&step.messages)
                    .iter()
                    .collect::<BTreeSet<_>>()
                    .difference(&texts(&again.messages).iter().collect())
                    .count(),
                0
            );
            board.leave(&step);
            board.leave(&again);
            if step.done || again.done {
                done.insert(index);
            }
            backed_up(&keep);
        }
        if done.len() == 3 {
            assert!(round < 7);
            break;
        }
    }
    assert_eq!(done.len(), 3);
    let mut all = Vec::new();
    for index in 1..=3_u16 {
        let frost = world.vault(&format!("v{index}")).frost();
        let view = frost.find(None).unwrap();
        assert_eq!(
            (view.epoch, view.pubkey.as_str(), view.shares.clone()),
            (1, group.pubkey.as_str(), vec![index])
        );
        all.push(export(&frost, &view, index));
    }
    let frost = world.vault("together").frost();
    import(&frost, &all[1..].join("\n")).unwrap();
    let signature = frost.sign(None, raw(b"renewed"), plain(), vec![]).unwrap();
    verified(&group, b"renewed", &signature.signature);
}

/// Steps in turn, each with what reaches that vault, until nobody says anything new. Gives who is through.
fn renewed(
    frosts: &[keep_sdk::frost::Frost],
    this: Option<&str>,
    board: &mut Board,
    reaches: impl Fn(u16, &str) -> bool,
) -> BTreeSet<u16> {
    let mut done = BTreeSet::new();
    loop {
        let before = (board.0.len(), done.len());
        for (index, frost) in (1..).zip(frosts) {
            let came = board.0.iter().filter(|(name, _)| reaches(index, name));
            let came: Vec<String> = came.map(|(_, text)| text.clone()).collect();
            let step = frost.refresh_step(this, came.is_empty(), vec![], came).unwrap();
            if step.done {
                done.insert(index);
            }
            board.leave(&step);
        }
        if (board.0.len(), done.len()) == before {
            return done;
        }
    }
}

#[test]
fn who_is_through_hands_on_what_a_member_withholds() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Secp256k1Tr);
    let this = Some(group.pubkey.as_str());
    let frosts: Vec<_> = vaults.iter().map(Keep::frost).collect();
    let mut board = Board::default();
    // Member 3 gives its certificate to member 1 only, and is not heard of again.
    let withheld = |index: u16, name: &str| index == 1 || index == 3 || !name.ends_with("-certificate-3");
    assert_eq!(renewed(&frosts, this, &mut board, withheld), BTreeSet::from([1, 3]));
    // Member 1 says again what it has.
    let again = frosts[0].refresh_step(this, false, vec![], board.all()).unwrap();
    assert!(again.done);
    assert_eq!(frosts[1].find(this).unwrap().epoch, 0);
    assert!(frosts[1].refresh_step(this, false, vec![], texts(&again.messages)).unwrap().done);
    assert_eq!(frosts[1].find(this).unwrap().epoch, 1);
}

#[test]
fn a_renewal_that_was_certified_is_not_forgotten_for_another_one() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Secp256k1Tr);
    let this = Some(group.pubkey.as_str());
    let frosts: Vec<_> = vaults.iter().map(Keep::frost).collect();
    let mut board = Board::default();
    // Everybody has certified the first one, and nobody has the others' certificates.
    let none = renewed(&frosts, this, &mut board, |_, name| !name.contains("-certificate-"));
    assert!(none.is_empty());
    let first = board.0.keys().next().unwrap()[..8].to_owned();
    // With another device key it could not be gone on with.
    assert!(frosts[1].rotate_device(this, 2).unwrap_err().message().contains(&first));
    // Another one is begun neither in an empty directory nor by somebody else's plan.
    let begun = frosts[1].refresh_step(this, true, vec![], vec![]).unwrap_err();
    assert!(begun.message().contains(&first), "{begun}");
    assert!(begun.hint().contains("--abandon"));
    let other = frosts[2].refresh_step_abandoning(this, true, vec![], vec![]).unwrap();
    for begin in [true, false] {
        let taken = frosts[1].refresh_step(this, begin, vec![], texts(&other.messages)).unwrap_err();
        assert!(taken.message().contains(&first), "{taken}");
    }
    // So the first one comes to its end, whoever else is gone; giving others up does not touch it.
    assert!(frosts[0].refresh_step(this, false, vec![], board.all()).unwrap().done);
    assert!(frosts[1].refresh_step_abandoning(this, false, vec![], board.all()).unwrap().done);
    assert_eq!([&frosts[0], &frosts[1]].map(|frost| frost.find(this).unwrap().epoch), [1, 1]);
    // Who is through begins the next one.
    assert!(frosts[0].refresh_step(this, true, vec![], vec![]).is_ok());
}

/// What is given up goes in the commit of the step that takes its place: where there is none, nothing goes.
#[test]
fn a_step_that_fails_gives_nothing_up() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Secp256k1Tr);
    let this = Some(group.pubkey.as_str());
    let frosts: Vec<_> = vaults.iter().map(Keep::frost).collect();
    let mut board = Board::default();
    renewed(&frosts, this, &mut board, |_, name| !name.contains("-certificate-"));
    let two = &frosts[1];
    let no_plan = two.refresh_step_abandoning(this, false, vec![], vec![]).unwrap_err();
    assert_eq!(no_plan.code(), keep_sdk::ErrorCode::NotFound, "{no_plan}");
    assert!(two.refresh_step(this, true, vec![], vec![]).is_err(), "it was given up");
    assert!(two.refresh_step(this, false, vec![], board.all()).unwrap().done);
}

/// What would take the place of a certified renewal is refused unless it is its end, or the owner gives it up.
#[test]
fn shares_of_another_epoch_do_not_take_the_place_of_a_certified_renewal() {
    let world = World::new();
    let dealer = world.vault("dealer").frost();
    let group = dealer.generate(name("family"), Suite::Secp256k1Tr, 2, 3).unwrap();
    let this = Some(group.pubkey.as_str());
    let frosts: Vec<_> =
        (1..=3_u16).map(|index| (index, world.vault(&format!("v{index}")).frost())).collect();
    for (index, frost) in &frosts {
        import(frost, &export(&dealer, &group, *index)).unwrap();
    }
    let frosts: Vec<_> = frosts.into_iter().map(|(_, frost)| frost).collect();
    let mut board = Board::default();
    renewed(&frosts, this, &mut board, |_, name| !name.contains("-certificate-"));
    let first = board.0.keys().next().unwrap()[..8].to_owned();
    let elsewhere = export(&dealer, &dealer.refresh(this, vec![]).unwrap(), 2);
    let take = |frost: &keep_sdk::frost::Frost, text: &str, accept| {
        frost.import(text.to_owned().into(), Some(share_passphrase()), None, accept)
    };
    let refused = take(&frosts[1], &elsewhere, REPLACE).unwrap_err();
    assert!(refused.message().contains(&first) && refused.hint().contains("--abandon"), "{refused}");
    let refused = frosts[1].delete_share(this, 2).unwrap_err();
    assert!(refused.message().contains(&first), "{refused}");
    // Its own end may come that way.
    assert!(frosts[0].refresh_step(this, false, vec![], board.all()).unwrap().done);
    let end = export(&frosts[0], &frosts[0].find(this).unwrap(), 1);
    assert_eq!(take(&frosts[2], &end, REPLACE).unwrap().group.epoch, 1);
    let given_up = take(&frosts[1], &elsewhere, ImportOptions { abandon: true, ..REPLACE }).unwrap();
    assert_eq!((given_up.group.epoch, given_up.group.shares), (1, vec![2]));
}

#[test]
fn a_renewal_that_was_not_certified_gives_way_to_another_one() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Secp256k1Tr);
    let this = Some(group.pubkey.as_str());
    let frosts: Vec<_> = vaults.iter().map(Keep::frost).collect();
    assert!(!frosts[0].refresh_step(this, true, vec![], vec![]).unwrap().done);
    // Where a device key of its plan has changed, so that it cannot be gone on with, the owner says so.
    let notice = frosts[2].rotate_device(this, 3).unwrap().notice.unwrap();
    let refused = frosts[0].take_devices(this, vec![notice.clone()], BTreeMap::new()).unwrap_err();
    assert!(refused.message().contains("is under way") && refused.hint().contains("--abandon"), "{refused}");
    for frost in &frosts[..2] {
        frost.take_devices_abandoning(this, vec![notice.clone()], BTreeMap::new()).unwrap();
    }
    let mut board = Board::default();
    assert_eq!(renewed(&frosts, this, &mut board, |_, _| true).len(), 3);
}

#[test]
fn a_finished_renewal_is_no_answer_to_another_one() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Secp256k1Tr);
    let this = Some(group.pubkey.as_str());
    let frosts: Vec<_> = vaults.iter().map(Keep::frost).collect();
    let mut board = Board::default();
    assert_eq!(renewed(&frosts, this, &mut board, |_, _| true).len(), 3);
    let one = &frosts[0];
    assert!(one.refresh_step(this, true, vec![], board.all()).unwrap().done);
    let stale = one.refresh_step(this, true, vec![3], board.all()).unwrap_err();
    assert!(stale.message().contains("of a finished renewal"), "{stale}");
    // What only looks like the plan is none.
    let plan = board.0.iter().find(|(name, _)| name.contains("plan")).unwrap().1;
    let mut bytes = keep_frost::wire::Envelope::parse(plan).unwrap().to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = keep_frost::wire::Envelope::from_bytes(&bytes).unwrap().to_text().unwrap();
    for begin in [true, false] {
        assert!(one.refresh_step(this, begin, vec![], vec![forged.clone()]).is_err());
    }
    // Beside the one that was signed it stops nobody.
    for plans in [vec![forged.clone(), plan.clone()], vec![plan.clone(), forged]] {
        assert!(one.refresh_step(this, true, vec![], plans).unwrap().done);
    }
    // Two plans are one too many.
    let other = one.refresh_step(this, true, vec![3], vec![]).unwrap();
    let both = [texts(&other.messages), vec![plan.clone()]].concat();
    let several = one.refresh_step(this, true, vec![3], both.clone()).unwrap_err();
    assert!(several.message().contains("there are several"), "{several}");
    assert!(one.inspect_plan(this, None, both).is_err());
    assert_eq!(one.find(this).unwrap().epoch, 1);
    // Those who were dropped are dropped.
    let mut board = Board::default();
    board.leave(&other);
    assert_eq!(renewed(&frosts[..2], this, &mut board, |_, _| true).len(), 2);
    assert!(one.refresh_step(this, true, vec![3], board.all()).unwrap().done);
}

#[test]
fn a_lost_share_is_made_again_with_the_help_of_others() {
    let world = World::new();
    let (vaults, group) = scattered(&world, Suite::Secp256k1Tr);
    let this = Some(group.pubkey.as_str());
    vaults[2].frost().delete_share(this, 3).unwrap();
    let held = vaults[0].frost().repair_own(this, 1, vec![], vec![]).unwrap_err();
    assert!(held.message().contains("it needs no repair"), "{held}");
    let mut board = Board::default();
    board.leave(&vaults[2].frost().repair_own(this, 3, vec![1, 2], vec![]).unwrap());
    let plan = vaults[0].frost().inspect_plan(this, Some(3), board.all()).unwrap();
    assert_eq!(
        (plan.kind.as_deref(), plan.lost, plan.members.clone()),
        (Some("repair"), Some(3), vec![1, 2])
    );
    assert!(!plan.device_known, "the device key went with the share");
    for _ in 0..2 {
        for keep in &vaults[..2] {
            board.leave(&keep.frost().repair_step(this, 3, board.all()).unwrap());
            backed_up(keep);
        }
    }
    let wrong: Vec<String> =
        board.0.iter().filter(|(name, _)| !name.contains("sigma-1")).map(|(_, text)| text.clone()).collect();
    let waits = vaults[2].frost().repair_own(this, 3, vec![], wrong).unwrap();
    assert_eq!((waits.done, waits.waiting_for), (false, vec![1]));
    assert!(vaults[2].frost().repair_own(this, 3, vec![], board.all()).unwrap().done);
    let view = vaults[2].frost().find(None).unwrap();
    assert_eq!(view.shares, [3]);
    // Its helpers know it by its new device.
    let proposal =
        vaults[2].frost().propose(this, raw(b"x"), plain(), vec![]).unwrap().messages[0].text.clone();
    assert_eq!(vaults[0].frost().inspect(this, &proposal).unwrap().from, 3);
    let both = [export(&vaults[2].frost(), &view, 3), export(&vaults[0].frost(), &group, 1)].join("\n");
    let frost = world.vault("together").frost();
    import(&frost, &both).unwrap();
    let signature = frost.sign(None, raw(b"repaired"), plain(), vec![]).unwrap();
    verified(&group, b"repaired", &signature.signature);
}
