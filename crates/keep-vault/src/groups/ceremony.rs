//! Renewal of shares among vaults, step by step.

use std::collections::{BTreeMap, BTreeSet};

use keep_frost::ceremony::{Ceremony, Plan};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{FrostError, Index};
use keep_types::{CeremonyStep, KeyId, SecretBytes};
use rand_core::OsRng;

use super::change::list;
use super::keyring::{REFRESH, secret_place};
use super::perform::NextSharing;
use super::record::{Message, Messages};
use super::{GroupRecord, Holding};
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
    ) -> Result<CeremonyStep, VaultError> {
        let record = self.signing_group(id)?;
        let envelopes = read(messages)?;
        if let Some(step) = already_done(&record, &envelopes)? {
            return Ok(step);
        }
        let (plan, announcement) = self.plan(&record, keep, &envelopes)?;
        let ours: Vec<Index> =
            record.shares.iter().filter(|index| plan.members().contains_key(index)).copied().collect();
        if ours.is_empty() {
            return self.dropped(&record, &plan);
        }
        let mut run = Run { ceremonies: BTreeMap::new(), sent: announcement.into_iter().collect() };
        for index in &ours {
            run.ceremonies.insert(*index, self.take_part(&record, &plan, *index)?);
        }
        match run.advance(plan.session(), envelopes) {
            Ok(()) => {}
            Err((index, error)) => return run.stop(index, error),
        }
        self.keep_snapshots(id, &run)?;
        let waiting: BTreeSet<Index> = run
            .ceremonies
            .values()
            .flat_map(Ceremony::waiting_for)
            .filter(|index| !ours.contains(index))
            .collect();
        if waiting.is_empty() {
            run.relay_certificates();
        }
        let sent = run.bytes()?;
        let mut step = CeremonyStep {
            messages: sent.iter().map(|message| message.0.clone()).collect(),
            waiting_for: waiting.iter().map(|index| index.get()).collect(),
            done: false,
            stopped: run.trouble().filter(|_| !waiting.is_empty()).map(Into::into),
            two_faced: run.two_faced(),
        };
        if waiting.is_empty() {
            let last = Messages { session: *plan.session().as_bytes(), sent };
            self.finish_refresh(&record, run, last)?;
            step.done = true;
        }
        Ok(step)
    }

    /// The plan: a new one, or the one that came, from a member of the roster.
    fn plan(
        &self,
        record: &GroupRecord,
        keep: Option<&BTreeSet<Index>>,
        envelopes: &[Envelope],
    ) -> Result<(Plan, Option<Envelope>), VaultError> {
        match (record.refresh_plan(envelopes)?, keep) {
            (Some((plan, envelope)), _) => {
                let same = keep.is_none_or(|keep| plan.members().keys().eq(keep.iter()));
                if !same {
                    let kept: Vec<Index> = plan.members().keys().copied().collect();
                    let reason =
                        format!("it renews the shares of members {}, not what you asked for", list(&kept));
                    return Err(FrostError::Malformed { what: "refresh plan", reason }.into());
                }
                // What was said once is said again.
                let ours = record.shares.contains(&envelope.from());
                Ok((plan, ours.then(|| envelope.clone())))
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
            (None, None) => Err(FrostError::OutOfOrder("there is no refresh plan yet").into()),
        }
    }

    fn take_part(&self, record: &GroupRecord, plan: &Plan, index: Index) -> Result<Ceremony, VaultError> {
        let Holding { share, device } = self.holding(record, index)?;
        let device = device.ok_or(FrostError::NoDeviceKey(index))?;
        let group = record.group.clone();
        let snapshot = self.group_secret(record.id, REFRESH, index)?;
        if let Some(snapshot) = snapshot {
            let old = Some((group.clone(), self.holding(record, index)?.share));
            let again = self.device_key(record.id, index)?;
            // A ceremony that was given up, for another plan, leaves a snapshot that is of no use.
            match Ceremony::restore(snapshot.secret.expose(), again, old) {
                Ok(ceremony) if ceremony.session() == plan.session() => return Ok(ceremony),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(Ceremony::refresh(plan.clone(), device, group, share, &mut OsRng)?)
    }

    fn keep_snapshots(&self, id: KeyId, run: &Run) -> Result<(), VaultError> {
        let mut snapshots: Vec<(Index, SecretBytes)> = Vec::with_capacity(run.ceremonies.len());
        for (index, ceremony) in &run.ceremonies {
            snapshots.push((*index, ceremony.snapshot()?));
        }
        self.submit(move |tx| {
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
        self.replace_sharing(
            record,
            NextSharing { group, holdings, last_refresh: Some(last), endorsement, burns: Vec::new() },
        )
    }

    /// None of our members keeps a share: theirs are of no use any more once the others are through.
    fn dropped(&self, record: &GroupRecord, plan: &Plan) -> Result<CeremonyStep, VaultError> {
        tracing::info!(group = %record.name, "the refresh drops the shares of this vault");
        let waiting_for = plan.members().keys().map(|index| index.get()).collect();
        Ok(CeremonyStep { waiting_for, ..CeremonyStep::default() })
    }
}

impl GroupRecord {
    /// The plan of a renewal among the messages, as a member of the roster has signed it.
    ///
    /// # Errors
    /// [`FrostError::Malformed`] when there are several; [`FrostError::WrongSession`] and [`FrostError::NotAuthentic`] when it
    /// is not what the member signed; those of [`keep_frost::Group::device`].
    pub fn refresh_plan<'e>(
        &self,
        envelopes: &'e [Envelope],
    ) -> Result<Option<(Plan, &'e Envelope)>, FrostError> {
        let mut found: Option<(Plan, &Envelope)> = None;
        let mut wrong = None;
        for envelope in envelopes.iter().filter(|envelope| envelope.kind() == Kind::Plan) {
            match (self.signed_plan(envelope), &found) {
                (Ok(plan), None) => found = Some((plan, envelope)),
                (Ok(_), Some((_, first))) if first.session() == envelope.session() => {}
                (Ok(_), Some(_)) => {
                    let reason = "there are several; take another directory for each renewal".to_owned();
                    return Err(FrostError::Malformed { what: "refresh plan", reason });
                }
                // What no member signed stops nobody, as long as there is one that a member did sign.
                (Err(error), _) => wrong = Some(error),
            }
        }
        match (found, wrong) {
            (None, Some(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }

    fn signed_plan(&self, envelope: &Envelope) -> Result<Plan, FrostError> {
        let device = self.group.device(envelope.from())?;
        let plan: Plan = envelope.read(Kind::Plan, envelope.session(), &device)?;
        if plan.session() == envelope.session() { Ok(plan) } else { Err(FrostError::WrongSession) }
    }

    /// Whether the renewal that the messages are about has come to its end here.
    ///
    /// # Errors
    /// Those of [`GroupRecord::refresh_plan`].
    pub fn has_finished(&self, envelopes: &[Envelope]) -> Result<bool, FrostError> {
        let plan = self.refresh_plan(envelopes)?;
        let last = self.last_refresh.as_ref().map(|last| &last.session);
        Ok(plan.is_some_and(|(plan, _)| Some(plan.session().as_bytes()) == last))
    }
}

/// The messages of a ceremony that is over here, for those who have not seen its end.
fn already_done(record: &GroupRecord, envelopes: &[Envelope]) -> Result<Option<CeremonyStep>, FrostError> {
    let Some(last) = record.last_refresh.as_ref().filter(|_| !envelopes.is_empty()) else { return Ok(None) };
    Ok(record.has_finished(envelopes)?.then(|| CeremonyStep {
        messages: last.sent.iter().map(|message| message.0.clone()).collect(),
        done: true,
        ..CeremonyStep::default()
    }))
}

pub(super) fn read(messages: &[Vec<u8>]) -> Result<Vec<Envelope>, VaultError> {
    Ok(messages.iter().map(|bytes| Envelope::from_bytes(bytes)).collect::<Result<Vec<_>, _>>()?)
}

/// A step that says nothing but why it is the last one, if that is to be said.
pub(super) fn complained(complaint: Option<Envelope>, error: FrostError) -> Result<CeremonyStep, VaultError> {
    let Some(complaint) = complaint else { return Err(error.into()) };
    let messages = vec![complaint.to_bytes()?];
    Ok(CeremonyStep { messages, stopped: Some(error.into()), ..CeremonyStep::default() })
}

/// Our members' sides of one ceremony, and what they have to send.
struct Run {
    ceremonies: BTreeMap<Index, Ceremony>,
    sent: Vec<Envelope>,
}

impl Run {
    /// Hands messages around until nothing new comes. An error is of one of our members.
    fn advance(
        &mut self,
        session: keep_frost::SessionId,
        came: Vec<Envelope>,
    ) -> Result<(), (Index, FrostError)> {
        let mut inbox: Vec<Envelope> = came
            .into_iter()
            .filter(|envelope| envelope.session() == session && envelope.kind() != Kind::Plan)
            .collect();
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
        complained(complaint, error)
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
