//! Renewal of shares among vaults, step by step.

use std::collections::{BTreeMap, BTreeSet};

use keep_frost::ceremony::{Ceremony, Plan};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{FrostError, Group, Index, SessionId};
use keep_types::{CeremonyStep, ErrorCode, Fault, KeyId, SecretBytes};
use rand_core::OsRng;

use super::change::list;
use super::keyring::{REFRESH, secret_place};
use super::perform::NextSharing;
use super::record::{Message, Messages};
use super::sorting::Sorted;
use super::under_way::{Lying, RightOfWay, lying, spoken_before};
use super::{GroupRecord, Holding, changed_meanwhile};
use crate::records::{SecretKind, SecretRecord};
use crate::{Vault, VaultError};

impl Vault {
    /// One step: takes what has come, does what can be done, keeps it, and gives what is to be sent. The same step again
    /// gives the same messages.
    pub(super) fn refresh_step(
        &self,
        id: KeyId,
        keep: Option<&BTreeSet<Index>>,
        messages: &[Vec<u8>],
        abandon: bool,
    ) -> Result<CeremonyStep, VaultError> {
        let record = self.signing_group(id)?;
        let sorted = record.sort_renewal(messages)?;
        let mut step = match already_done(&record, &sorted) {
            Some(step) => {
                self.give_up_others(&record, abandon)?;
                step
            }
            None => self.renew(&record, keep, &sorted, abandon)?,
        };
        step.skipped = sorted.skipped();
        if !step.done {
            step.stopped = step.stopped.or_else(|| sorted.forged(&step.waiting_for));
        }
        Ok(step)
    }

    fn renew(
        &self,
        record: &GroupRecord,
        keep: Option<&BTreeSet<Index>>,
        sorted: &Sorted<Plan>,
        abandon: bool,
    ) -> Result<CeremonyStep, VaultError> {
        let (plan, announcement) = self.plan(record, keep, sorted)?;
        if !record.shares.iter().any(|index| plan.members().contains_key(index)) {
            self.give_up_others(record, abandon)?;
            return self.dropped(record, &plan);
        }
        let mut run = self.go_on(record, &plan, announcement, sorted, abandon)?;
        match run.advance(sorted.came()) {
            Ok(()) => self.keep_step(record, run),
            Err((index, error)) => run.stop(index, error),
        }
    }

    /// Our members' sides, as they lie in the vault, or new ones.
    fn go_on(
        &self,
        record: &GroupRecord,
        plan: &Plan,
        announcement: Option<Envelope>,
        sorted: &Sorted<Plan>,
        abandon: bool,
    ) -> Result<Run, VaultError> {
        let way = RightOfWay { of: vec![plan.session()], abandon, found: BTreeMap::new() };
        self.expect_way(record, &way)?;
        let sent = announcement.into_iter().collect();
        let mut run = Run { session: plan.session(), ceremonies: BTreeMap::new(), sent, way };
        for index in record.shares.iter().filter(|index| plan.members().contains_key(index)) {
            let (ceremony, found) = self.take_part(record, plan, *index, sorted)?;
            run.ceremonies.insert(*index, ceremony);
            run.way.found.insert(secret_place(record.id, REFRESH, *index), found);
        }
        Ok(run)
    }

    /// Keeps what a step has made, or the end that it has come to, and gives what is to be sent.
    fn keep_step(&self, record: &GroupRecord, mut run: Run) -> Result<CeremonyStep, VaultError> {
        let waiting: BTreeSet<Index> = run
            .ceremonies
            .values()
            .flat_map(Ceremony::waiting_for)
            .filter(|index| !run.ceremonies.contains_key(index))
            .collect();
        if waiting.is_empty() {
            run.relay_certificates();
        }
        let sent = run.bytes()?;
        let mut step = CeremonyStep {
            messages: sent.iter().map(|message| message.0.clone()).collect(),
            waiting_for: waiting.iter().map(|index| index.get()).collect(),
            done: false,
            stopped: run.trouble().filter(|_| !waiting.is_empty()).map(told),
            two_faced: run.two_faced(),
            skipped: Vec::new(),
        };
        if waiting.is_empty() {
            let last = Messages { session: *run.session.as_bytes(), sent };
            self.finish_refresh(record, run, last)?;
            step.done = true;
        } else {
            self.keep_snapshots(record, run)?;
        }
        Ok(step)
    }

    /// The plan: a new one, or the one that came, from a member of the roster.
    fn plan(
        &self,
        record: &GroupRecord,
        keep: Option<&BTreeSet<Index>>,
        sorted: &Sorted<Plan>,
    ) -> Result<(Plan, Option<Envelope>), VaultError> {
        // One that is damaged is not replaced by another: two of them stop everybody.
        if let Some(wrong) = sorted.wrong() {
            return Err(wrong.into());
        }
        match (sorted.plan(), keep) {
            (Some((plan, envelope)), _) => {
                let same = keep.is_none_or(|keep| plan.members().keys().eq(keep.iter()));
                if !same {
                    let kept: Vec<Index> = plan.members().keys().copied().collect();
                    let reason =
                        format!("it renews the shares of members {}, not what you asked for", list(&kept));
                    let error = Fault::from(FrostError::Malformed { what: "refresh plan", reason });
                    let hint =
                        "leave --drop out to take part in it, or take an empty directory for another one";
                    return Err(error.with_hint(hint).into());
                }
                // What was said once is said again.
                let ours = record.shares.contains(&envelope.from());
                Ok((plan.clone(), ours.then(|| envelope.clone())))
            }
            (None, Some(keep)) => {
                let plan = Plan::refresh(&record.group, keep, &mut OsRng)?;
                let from = *record.shares.iter().find(|index| keep.contains(index)).ok_or(
                    FrostError::OutOfOrder("none of the members that keep their share is in this vault"),
                )?;
                let device = self.device_key(record.id, from)?;
                let announcement = Envelope::sign(Kind::Plan, plan.session(), from, &device, &plan)?;
                Ok((plan, Some(announcement)))
            }
            (None, None) => Err(Fault::new(ErrorCode::NotFound, "there is no plan of a renewal yet")
                .with_hint("one of the members begins it")
                .into()),
        }
    }

    /// One member's side, and what lay in its place.
    fn take_part(
        &self,
        record: &GroupRecord,
        plan: &Plan,
        index: Index,
        sorted: &Sorted<Plan>,
    ) -> Result<(Ceremony, Lying), VaultError> {
        let Holding { share, device } = self.holding(record, index)?;
        let device = device.ok_or(FrostError::NoDeviceKey(index))?;
        let group = record.group.clone();
        let snapshot = self.group_secret(record.id, REFRESH, index)?;
        let found = lying(snapshot.as_ref());
        if let Some(snapshot) = snapshot {
            let snapshot = snapshot.secret.expose();
            if Ceremony::peek(snapshot).is_ok_and(|peeked| peeked.plan().session() == plan.session()) {
                // What was said once is said again, or nothing is.
                return Ok((Ceremony::restore(snapshot, device, Some((group, share)))?, found));
            }
        }
        // With fresh randomness it is begun once: whoever has the first contribution takes a second one for a cheat.
        let session = plan.session();
        if record.given_up.contains(&session) || sorted.has_said(index, &device.public()) {
            let read = |index| self.group_secret(record.id, REFRESH, index);
            let certified = sorted.has_certified(index, &device.public());
            return Err(spoken_before(record, (index, session), certified, read)?);
        }
        Ok((Ceremony::refresh(plan.clone(), device, group, share, &mut OsRng)?, found))
    }

    /// Whether nothing of our members stands in the way as things are.
    pub(super) fn expect_way(&self, record: &GroupRecord, way: &RightOfWay) -> Result<(), VaultError> {
        way.expect(record, |index| self.group_secret(record.id, REFRESH, index))
    }

    /// The renewals that our members have certified and that end with this sharing.
    pub(super) fn ending_with(
        &self,
        record: &GroupRecord,
        next: &Group,
    ) -> Result<Vec<SessionId>, VaultError> {
        let mut sessions = Vec::new();
        for index in record.shares.iter().copied() {
            let Some(snapshot) = self.group_secret(record.id, REFRESH, index)? else { continue };
            let Holding { share, device: Some(device) } = self.holding(record, index)? else { continue };
            let old = Some((record.group.clone(), share));
            // What cannot be gone on with has no end.
            let Ok(mut ceremony) = Ceremony::restore(snapshot.secret.expose(), device, old) else { continue };
            let end = if ceremony.advance().is_ok() { ceremony.certified_group() } else { None };
            if end.is_some_and(|end| end.sharing() == next.sharing()) {
                sessions.push(ceremony.session());
            }
        }
        Ok(sessions)
    }

    /// Forgets what our members have of renewals that are under way, where the owner says so. Those that were certified here may
    /// come to their end elsewhere all the same.
    fn give_up_others(&self, record: &GroupRecord, abandon: bool) -> Result<(), VaultError> {
        if !abandon {
            return Ok(());
        }
        let id = record.id;
        self.submit(move |tx| {
            let mut record: GroupRecord = tx.get(&GroupRecord::place(id))?.ok_or(VaultError::NoSuchKey)?;
            RightOfWay { abandon, ..RightOfWay::default() }.take(tx, &mut record)
        })
        .wait()?;
        Ok(())
    }

    fn keep_snapshots(&self, record: &GroupRecord, run: Run) -> Result<(), VaultError> {
        let mut snapshots: Vec<(Index, SecretBytes)> = Vec::with_capacity(run.ceremonies.len());
        for (index, ceremony) in &run.ceremonies {
            snapshots.push((*index, ceremony.snapshot()?));
        }
        let (id, before, way) = (record.id, record.clone(), run.way);
        self.submit(move |tx| {
            let mut record: GroupRecord = tx.get(&GroupRecord::place(id))?.ok_or(VaultError::NoSuchKey)?;
            // Device keys too: with others than the plan's there would be no end. And what was given up meanwhile may be this.
            let is_same = record.group == before.group && record.shares == before.shares;
            if !is_same || record.given_up != before.given_up {
                return Err(changed_meanwhile());
            }
            way.take(tx, &mut record)?;
            for (index, secret) in snapshots {
                let place = secret_place(id, REFRESH, index);
                tx.put_any(place, &SecretRecord { kind: SecretKind::Share, secret, public: None })?;
            }
            Ok(())
        })
        .wait()?;
        Ok(())
    }

    fn finish_refresh(&self, record: &GroupRecord, run: Run, last: Messages) -> Result<(), VaultError> {
        let (mut next, mut endorsement) = (None, None);
        let mut holdings = Vec::with_capacity(run.ceremonies.len());
        for (index, ceremony) in run.ceremonies {
            let outcome = ceremony.finish()?;
            let device = self.device_key(record.id, index)?;
            holdings.push(Holding { share: outcome.share, device: Some(device) });
            next = Some(outcome.group);
            endorsement = outcome.endorsement;
        }
        let group = next.ok_or(FrostError::Internal("refresh"))?;
        let (last_refresh, burns, way) = (Some(last), Vec::new(), run.way);
        self.replace_sharing(record, NextSharing { group, holdings, last_refresh, endorsement, burns, way })
    }

    /// None of our members keeps a share: theirs are of no use any more once the others are through.
    fn dropped(&self, record: &GroupRecord, plan: &Plan) -> Result<CeremonyStep, VaultError> {
        tracing::info!(group = %record.name, "the refresh drops the shares of this vault");
        let waiting_for = plan.members().keys().map(|index| index.get()).collect();
        Ok(CeremonyStep { waiting_for, ..CeremonyStep::default() })
    }
}

/// The messages of a ceremony that is over here, for those who have not seen its end.
fn already_done(record: &GroupRecord, sorted: &Sorted<Plan>) -> Option<CeremonyStep> {
    let last = record.last_refresh.as_ref()?;
    let (plan, _) = sorted.plan()?;
    record.is_finished(plan).then(|| CeremonyStep {
        messages: last.sent.iter().map(|message| message.0.clone()).collect(),
        done: true,
        ..CeremonyStep::default()
    })
}

/// An error of a renewal, with what its owner is to do: what came may be wrong for this vault only, and right for the others.
fn told(error: FrostError) -> Fault {
    let hint = match &error {
        FrostError::BadContribution(_) | FrostError::Equivocation(_) | FrostError::Unreadable(_) => {
            "nothing was changed here, but others may be through: ask them for the epoch that their `keep frost show` shows. If \
             one is, get its messages and run this step again; if none is, ask for the right message, or begin anew in an empty \
             directory without the members named here (--drop)"
        }
        _ => return error.into(),
    };
    Fault::from(error).with_hint(hint)
}

/// A step that says nothing but why it is the last one, if that is to be said.
pub(super) fn complained(
    complaint: Option<Envelope>,
    error: impl Into<Fault>,
) -> Result<CeremonyStep, VaultError> {
    let error = error.into();
    let Some(complaint) = complaint else { return Err(error.into()) };
    let messages = vec![complaint.to_bytes()?];
    Ok(CeremonyStep { messages, stopped: Some(error), ..CeremonyStep::default() })
}

/// Our members' sides of one ceremony, and what they have to send.
struct Run {
    session: SessionId,
    ceremonies: BTreeMap<Index, Ceremony>,
    sent: Vec<Envelope>,
    way: RightOfWay,
}

impl Run {
    /// Hands messages around until nothing new comes. An error is of one of our members.
    fn advance(&mut self, came: &[Envelope]) -> Result<(), (Index, FrostError)> {
        let mut inbox = came.to_vec();
        loop {
            for (index, ceremony) in &mut self.ceremonies {
                for envelope in &inbox {
                    let meant = envelope.to().is_none_or(|to| to == *index);
                    if envelope.from() != *index && meant {
                        ceremony.receive(envelope).map_err(|error| (*index, error))?;
                    }
                }
            }
            inbox.clear();
            for (index, ceremony) in &mut self.ceremonies {
                for envelope in ceremony.advance().map_err(|error| (*index, error))? {
                    if !self.sent.contains(&envelope) {
                        self.sent.push(envelope.clone());
                        inbox.push(envelope);
                    }
                }
            }
            if inbox.is_empty() {
                return Ok(());
            }
        }
    }

    /// One of our members cannot go on. The others are told why, where it is for what one of them sent; nothing else is said,
    /// because nothing of this step is kept.
    fn stop(&self, index: Index, error: FrostError) -> Result<CeremonyStep, VaultError> {
        let complaint = match self.ceremonies.get(&index) {
            Some(ceremony) => ceremony.complaint(&error)?,
            None => None,
        };
        complained(complaint, told(error))
    }

    fn trouble(&self) -> Option<FrostError> {
        self.ceremonies.values().find_map(Ceremony::trouble)
    }

    fn two_faced(&self) -> Vec<u16> {
        let all: BTreeSet<Index> = self.ceremonies.values().flat_map(Ceremony::two_faced).collect();
        all.into_iter().map(Index::get).collect()
    }

    /// Whoever is through hands on what the others have certified: a member that gives its certificate to some only, then
    /// keeps nobody from the end.
    fn relay_certificates(&mut self) {
        for ceremony in self.ceremonies.values() {
            for envelope in ceremony.certificates() {
                if !self.sent.contains(envelope) {
                    self.sent.push(envelope.clone());
                }
            }
        }
    }

    fn bytes(&self) -> Result<Vec<Message>, VaultError> {
        Ok(self.sent.iter().map(|e| e.to_bytes().map(Message)).collect::<Result<Vec<_>, _>>()?)
    }
}

#[cfg(test)]
pub(super) mod tests;
