//! A lost share is made again: here from a threshold of others, or with the help of other vaults.

use std::collections::{BTreeMap, BTreeSet};

use keep_audit::{Action, Draft, Outcome};
use keep_frost::repair::{Helper, Repair, RepairPlan, repair_local};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{DeviceKey, DevicePublic, FrostError, Index};
use keep_types::{Answer, CeremonyStep, ErrorCode, Fault, KeyId, Origin, SecretBytes};
use rand_core::OsRng;

use super::ceremony::complained;
use super::change::{forget_member, put_holding};
use super::keyring::{DEVICE, REPAIR, repair_place, secret_place};
use super::sorting::Sorted;
use super::under_way::{Found, expect_lying, lying, make_way};
use super::{GroupRecord, Holding, changed_meanwhile};
use crate::records::{SecretKind, SecretRecord};
use crate::{Tx, Vault, VaultError};

impl Vault {
    pub(super) fn repair_here(&self, id: KeyId, lost: Index, abandon: bool) -> Result<Answer, VaultError> {
        let record = self.signing_group(id)?;
        refuse_held(&record, lost)?;
        let shares = self.shares(&record, &record.shares)?;
        let share = repair_local(&record.group, &shares.iter().collect::<Vec<_>>(), lost, &mut OsRng)?;
        let device = DeviceKey::generate(&mut OsRng)?;
        self.add_repaired(&record, Holding { share, device: Some(device) }, abandon)?;
        Ok(Answer::Done)
    }

    /// A step of our members that help, by the plan that the member who lost its share has made. With `abandon` renewals are
    /// given up that could not be gone on with once the device that is helped is that member's.
    pub(super) fn repair_step(
        &self,
        id: KeyId,
        lost: Index,
        messages: &[Vec<u8>],
        abandon: bool,
    ) -> Result<CeremonyStep, VaultError> {
        let record = self.signing_group(id)?;
        let sorted = record.sort_repair(lost, None, messages)?;
        let mut step = self.help_with(&record, &sorted, abandon)?;
        step.skipped = sorted.skipped();
        step.stopped = step.stopped.or_else(|| sorted.forged(&step.waiting_for));
        Ok(step)
    }

    fn help_with(
        &self,
        record: &GroupRecord,
        sorted: &Sorted<RepairPlan>,
        abandon: bool,
    ) -> Result<CeremonyStep, VaultError> {
        let (plan, _) = sorted.plan().ok_or_else(|| match sorted.wrong() {
            Some(wrong) => VaultError::from(wrong),
            None => Fault::new(ErrorCode::NotFound, "nobody has asked for help with this repair")
                .with_hint("the member that lost its share makes the plan, and is the first to run this")
                .into(),
        })?;
        let lost = plan.lost();
        let ours: Vec<Index> =
            record.shares.iter().filter(|index| plan.helpers().contains_key(index)).copied().collect();
        if ours.is_empty() {
            return Err(FrostError::OutOfOrder(
                "the plan asks for the help of other members than those here",
            )
            .into());
        }
        if !abandon {
            // Before anything is said, also a complaint.
            let (id, device) = (record.id, plan.device());
            self.submit(move |tx| clear_way(tx, id, lost, device, false)).wait()?;
        }
        let (mut helpers, found) = self.helpers(record, sorted, plan, &ours)?;
        let mut sent = Vec::new();
        for helper in helpers.values() {
            sent.extend(helper.start()?);
        }
        let inbox: Vec<Envelope> = sorted.came().iter().chain(&sent).cloned().collect();
        let mut missing = BTreeSet::new();
        let mut sums = Vec::new();
        for (index, helper) in &mut helpers {
            match summed(helper, *index, &inbox) {
                Ok(Some(sum)) => {
                    sums.push(sum);
                    sums.extend(helper.seen().cloned());
                }
                Ok(None) => missing.extend(helper.waiting_for()),
                Err(error) => return complained(helper.complaint(&error)?, error),
            }
        }
        let helped = Helped { lost, device: plan.device(), is_done: missing.is_empty(), abandon };
        self.keep_helpers(record, &helpers, found, helped)?;
        sent.extend(sums);
        let mut step = step(&sent, &missing)?;
        step.stopped = helpers.values().find_map(Helper::trouble).map(Into::into);
        Ok(step)
    }

    /// Our members' sides, as they lie in the vault, or new ones; and what lay in their places.
    fn helpers(
        &self,
        record: &GroupRecord,
        sorted: &Sorted<RepairPlan>,
        plan: &RepairPlan,
        ours: &[Index],
    ) -> Result<(BTreeMap<Index, Helper>, Found), VaultError> {
        let (mut helpers, mut found) = (BTreeMap::new(), Found::new());
        for index in ours {
            let place = repair_place(record.id, *index, plan.lost());
            let snapshot = self.read_secret(&place, SecretKind::Share)?;
            found.insert(place, lying(snapshot.as_ref()));
            // That of another repair is of no use for this one.
            let is_ours = |snapshot: &SecretRecord| {
                Helper::peek(snapshot.secret.expose()).is_ok_and(|session| session == plan.session())
            };
            let ours = match snapshot.filter(is_ours) {
                Some(ours) => Some(ours),
                None => self.group_secret(record.id, REPAIR, *index)?.filter(is_ours),
            };
            helpers.insert(*index, self.help(record, sorted, plan, *index, ours)?);
        }
        Ok((helpers, found))
    }

    fn help(
        &self,
        record: &GroupRecord,
        sorted: &Sorted<RepairPlan>,
        plan: &RepairPlan,
        index: Index,
        snapshot: Option<SecretRecord>,
    ) -> Result<Helper, VaultError> {
        let Holding { share, device } = self.holding(record, index)?;
        let device = device.ok_or(FrostError::NoDeviceKey(index))?;
        let group = record.group.clone();
        if let Some(snapshot) = snapshot {
            // What was said once is said again, or nothing is.
            let restored = Helper::restore(snapshot.secret.expose(), group, share, device);
            return restored.map_err(|why| Fault::from(why).with_hint(ask_anew(plan)).into());
        }
        // Fresh pieces beside those that the others have would pass for a cheat.
        if sorted.has_said(index, &device.public()) {
            return Err(helped_before(plan, index));
        }
        Ok(Helper::new(plan.clone(), group, share, device, &mut OsRng)?)
    }

    /// Keeps what is needed to say the same again; and whoever was helped is known by its device from then on.
    fn keep_helpers(
        &self,
        record: &GroupRecord,
        helpers: &BTreeMap<Index, Helper>,
        found: Found,
        helped: Helped,
    ) -> Result<(), VaultError> {
        let mut snapshots: Vec<(Index, SecretBytes)> = Vec::with_capacity(helpers.len());
        for (index, helper) in helpers {
            snapshots.push((*index, helper.snapshot()?));
        }
        let (id, before) = (record.id, record.clone());
        self.submit(move |tx| {
            let place = GroupRecord::place(id);
            let mut record: GroupRecord = tx.get(&place)?.ok_or(VaultError::NoSuchKey)?;
            // What was made of older shares, or for other device keys, is of no use to anybody.
            if record.group != before.group || record.shares != before.shares {
                return Err(changed_meanwhile());
            }
            expect_lying(tx, &found)?;
            for (index, secret) in snapshots {
                let place = repair_place(id, index, helped.lost);
                tx.put_any(place, &SecretRecord { kind: SecretKind::Share, secret, public: None })?;
            }
            // What stands in the way at the end does so at the beginning.
            let roster =
                record.group.clone().with_devices(&BTreeMap::from([(helped.lost, helped.device)]))?;
            make_way(tx, &mut record, &roster, helped.abandon)?;
            if helped.is_done {
                record.group = roster;
                tx.put(place, &record)?;
            }
            Ok(())
        })
        .wait()?;
        Ok(())
    }

    /// The side of the member that lost its share: makes the plan, or goes on with the one that it made, and takes the
    /// helpers' sums. It uses no share, so it needs no permit; what comes out of it is checked against the group. With `abandon`
    /// renewals of other members here are given up that could not be gone on with beside its device key.
    ///
    /// # Errors
    /// Those of [`RepairPlan::new`] and [`Repair::receive`]; [`FrostError::RepairFailed`]; when the share is here; while another
    /// member here has begun a renewal with another device key of this one, and that is not done.
    pub fn repair_own(
        &self,
        id: KeyId,
        lost: Index,
        helpers: &BTreeSet<Index>,
        messages: &[Vec<u8>],
        abandon: bool,
    ) -> Result<CeremonyStep, VaultError> {
        let record = self.group(id)?;
        refuse_held(&record, lost)?;
        let device = self.own_device(id, lost, abandon)?;
        let sorted = record.sort_repair(lost, Some(device.public()), messages)?;
        let plan = match sorted.plan() {
            Some((plan, _)) => plan.clone(),
            None => RepairPlan::new(&record.group, lost, device.public(), helpers, &mut OsRng)?,
        };
        let announcement = Envelope::sign(Kind::RepairPlan, plan.session(), lost, &device, &plan)?;
        let mut repair = Repair::new(plan, record.group.clone(), device)?;
        for envelope in sorted.came() {
            repair.receive(envelope)?;
        }
        let waiting = repair.waiting_for();
        if waiting.is_empty() {
            let share = repair.finish()?;
            let device = self.own_device(id, lost, abandon)?;
            self.add_repaired(&record, Holding { share, device: Some(device) }, abandon)?;
        }
        let mut step = step(&[announcement], &waiting)?;
        step.skipped = sorted.skipped();
        step.stopped = repair.trouble().map(Into::into).or_else(|| sorted.forged(&step.waiting_for));
        Ok(step)
    }

    /// The device key of a member without share: the one that it has, or a new one, for which renewals here must make way
    /// before anybody hears of it.
    fn own_device(&self, id: KeyId, index: Index, abandon: bool) -> Result<DeviceKey, VaultError> {
        match self.device_key(id, index) {
            Err(VaultError::Frost(FrostError::NoDeviceKey(_))) => {}
            known => return known,
        }
        let device = DeviceKey::generate(&mut OsRng)?;
        let secret = SecretBytes::new(device.expose().to_vec());
        let public = device.public();
        self.submit(move |tx| {
            clear_way(tx, id, index, public, abandon)?;
            let place = secret_place(id, DEVICE, index);
            tx.put_any(place, &SecretRecord { kind: SecretKind::Share, secret, public: None })
        })
        .wait()?;
        Ok(device)
    }

    fn add_repaired(&self, record: &GroupRecord, holding: Holding, abandon: bool) -> Result<(), VaultError> {
        let (id, index, sharing) = (record.id, holding.share.index(), record.group.sharing());
        holding.share.check(&record.group)?;
        let device = holding.device.as_ref().map(DeviceKey::public);
        let secret = holding.to_record()?;
        drop(holding);
        self.submit(move |tx| {
            let place = GroupRecord::place(id);
            let mut record: GroupRecord = tx.get(&place)?.ok_or(VaultError::NoSuchKey)?;
            if record.group.sharing() != sharing {
                return Err(FrostError::WrongSharing.into());
            }
            if let Some(device) = device {
                let roster = record.group.clone().with_devices(&BTreeMap::from([(index, device)]))?;
                make_way(tx, &mut record, &roster, abandon)?;
                record.group = roster;
            }
            forget_member(tx, id, &record.group, index)?;
            put_holding(tx, id, index, secret)?;
            record.shares.push(index);
            record.shares.sort_unstable();
            record.shares.dedup();
            tx.put(place, &record)?;
            let entry = Draft::new(Action::GroupChanged, Outcome::Allowed, &Origin::Cli).key(id);
            tx.audit(entry.reason(format!("{}: the share of member {index} was made again", record.name)));
            Ok(())
        })
        .wait()?;
        Ok(())
    }
}

/// Whom our members help, and on what terms.
struct Helped {
    lost: Index,
    device: DevicePublic,
    /// Whether it is known by that device from now on.
    is_done: bool,
    /// Renewals that the device does not fit are given up.
    abandon: bool,
}

/// A repair in which a member here has spoken, and what it said is not known any more.
fn helped_before(plan: &RepairPlan, index: Index) -> VaultError {
    let session = plan.session().to_string();
    let message = format!(
        "member {index} has helped with the repair {} before, and this vault has nothing of it any more: it would say something \
         else now, and the others would take it for a cheat",
        session.chars().take(8).collect::<String>()
    );
    Fault::new(ErrorCode::InvalidInput, message).with_hint(ask_anew(plan)).into()
}

fn ask_anew(plan: &RepairPlan) -> String {
    format!(
        "let the member that lost its share ask anew, with an empty directory: `keep frost repair --share {} --mine`; delete the \
         files of this repair everywhere",
        plan.lost()
    )
}

/// Renewals here that a new device key of this member would end stand in its way, or are given up.
fn clear_way(
    tx: &mut Tx<'_, '_>,
    id: KeyId,
    index: Index,
    device: DevicePublic,
    abandon: bool,
) -> Result<(), VaultError> {
    let mut record: GroupRecord = tx.get(&GroupRecord::place(id))?.ok_or(VaultError::NoSuchKey)?;
    let roster = record.group.clone().with_devices(&BTreeMap::from([(index, device)]))?;
    make_way(tx, &mut record, &roster, abandon)
}

fn refuse_held(record: &GroupRecord, lost: Index) -> Result<(), VaultError> {
    record.group.member(lost)?;
    if record.shares.contains(&lost) {
        let message = format!("the share of member {lost} is in this vault; it needs no repair");
        return Err(Fault::new(ErrorCode::InvalidInput, message)
            .with_hint("`keep frost show` shows which shares are here")
            .into());
    }
    Ok(())
}

/// Gives a helper what has come for it, and its sum if that was all.
fn summed(helper: &mut Helper, index: Index, inbox: &[Envelope]) -> Result<Option<Envelope>, FrostError> {
    for envelope in inbox.iter().filter(|envelope| envelope.from() != index) {
        // What others sum up shows that they have not stopped.
        let shows = envelope.kind() == Kind::Sigma;
        if shows || envelope.to().is_none_or(|to| to == index) {
            helper.receive(envelope)?;
        }
    }
    helper.sum()
}

fn step(sent: &[Envelope], waiting: &BTreeSet<Index>) -> Result<CeremonyStep, VaultError> {
    let mut messages: Vec<Vec<u8>> = Vec::with_capacity(sent.len());
    for envelope in sent {
        let bytes = envelope.to_bytes()?;
        if !messages.contains(&bytes) {
            messages.push(bytes);
        }
    }
    let waiting_for = waiting.iter().map(|index| index.get()).collect();
    Ok(CeremonyStep { messages, waiting_for, done: waiting.is_empty(), ..CeremonyStep::default() })
}

#[cfg(test)]
mod tests;
