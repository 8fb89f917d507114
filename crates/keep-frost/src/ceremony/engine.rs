//! The state machine of a ceremony: messages in, messages out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use keep_types::SecretKey32;
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::plan::{Certificate, Endorsement, Plan, other_device, word};
use super::rounds::{self, Contribution};
use crate::bytes::Transcript;
use crate::complaint::{complain, complaints};
use crate::dealer::next_epoch;
use crate::endorsement::vouch;
use crate::group::Provenance;
use crate::mailbox::Mailbox;
use crate::seed::{SeedRng, seed};
use crate::suite::{Curve, with_curve};
use crate::wire::{Envelope, Kind};
use crate::{DeviceKey, FrostError, Group, Index, SecretShare, SessionId, Signature, Suite};

/// One member's side of a key generation or refresh.
///
/// Call [`Ceremony::advance`] after every message and send what it returns; the same call after a restore sends
/// everything again, byte for byte. Nothing is usable before [`Ceremony::finish`].
pub struct Ceremony {
    pub(super) plan: Plan,
    session: SessionId,
    pub(super) me: Index,
    device: DeviceKey,
    pub(super) seed: SecretKey32,
    old: Option<(Group, SecretShare)>,
    pub(super) mailbox: Mailbox,
    sent: BTreeSet<Kind>,
    prepared: Option<Prepared>,
    certificate: Option<Certificate>,
    /// Who has sent several different messages for one step, after all for the result was here.
    two_faced: BTreeSet<Index>,
    /// Whose certificate about the result is here.
    certified: BTreeSet<Index>,
    /// What is wrong with the certificates that have come, as long as none that fit are here in their place.
    unfit: Option<FrostError>,
}

/// What the arithmetic gave, before everybody has certified it.
struct Prepared {
    group: Group,
    share: SecretShare,
    digest: [u8; 32],
    /// What this member's new share says for the new sharing, in a renewal.
    word: Option<Signature>,
}

/// The end of a ceremony.
#[derive(Debug)]
pub struct Outcome {
    /// The group.
    pub group: Group,
    /// This member's share.
    pub share: SecretShare,
    /// The proof for those who missed the end; keep it with the group.
    pub certificate: Certificate,
    /// After a renewal, the members' word for the new sharing: it shows those who hold older shares that this is the next
    /// one.
    pub endorsement: Option<crate::Endorsement>,
    /// Members that have sent several different messages for one step. The result is sound all the same; they are not to be
    /// trusted.
    pub two_faced: BTreeSet<Index>,
}

impl fmt::Debug for Ceremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ceremony({} of {}, sent {:?})", self.me, self.session, self.sent)
    }
}

const GENERATE: &[Kind] = &[Kind::DkgCommit, Kind::Contribution, Kind::Subshare];
const REFRESH: &[Kind] = &[Kind::Contribution, Kind::Subshare];

impl Ceremony {
    /// Takes part in a key generation.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`] when the plan has no such member; [`FrostError::Malformed`] when it names another
    /// device for it; [`FrostError::OutOfOrder`] for a plan to refresh; [`FrostError::Threshold`].
    pub fn generate(
        plan: Plan,
        me: Index,
        device: DeviceKey,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        if plan.is_refresh() {
            return Err(FrostError::OutOfOrder("this plan renews a group"));
        }
        Self::new(plan, me, device, seed(rng)?, None)
    }

    /// Takes part in the refresh of `group` with this device's share of it.
    ///
    /// # Errors
    /// As [`Ceremony::generate`]; the errors of [`Plan::fits`] and [`SecretShare::check`].
    pub fn refresh(
        plan: Plan,
        device: DeviceKey,
        group: Group,
        share: SecretShare,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        let me = share.index();
        check_refresh(&plan, &group, &share)?;
        Self::new(plan, me, device, seed(rng)?, Some((group, share)))
    }

    pub(super) fn new(
        plan: Plan,
        me: Index,
        device: DeviceKey,
        seed: SecretKey32,
        old: Option<(Group, SecretShare)>,
    ) -> Result<Self, FrostError> {
        plan.check()?;
        if *plan.members().get(&me).ok_or(FrostError::UnknownMember(me))? != device.public() {
            return Err(other_device(me));
        }
        let session = plan.session();
        let kinds = [made_of(&plan), &[Kind::Certificate, Kind::Complaint]].concat();
        let mailbox = Mailbox::new(session, me, &kinds, plan.members());
        let (sent, two_faced, certified) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (prepared, certificate, unfit) = (None, None, None);
        Ok(Self {
            plan,
            session,
            me,
            device,
            seed,
            old,
            mailbox,
            sent,
            prepared,
            certificate,
            two_faced,
            certified,
            unfit,
        })
    }

    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The group as it will be, once this member has certified it.
    pub fn certified_group(&self) -> Option<&Group> {
        self.prepared.as_ref().map(|prepared| &prepared.group)
    }

    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Takes a message that arrived, in any order. Of the certificates of one member all are taken: the one that fits counts.
    ///
    /// # Errors
    /// [`FrostError::WrongSession`], [`FrostError::UnknownMember`], [`FrostError::WrongKind`],
    /// [`FrostError::NotAuthentic`], [`FrostError::NotForMe`], [`FrostError::Equivocation`] for another message than the one
    /// that this member has already, before all for the result is here.
    pub fn receive(&mut self, envelope: &Envelope) -> Result<(), FrostError> {
        match self.mailbox.receive(envelope) {
            // The others may be through, on what is here already. What comes now changes nothing; it shows who cheats.
            Err(FrostError::Equivocation(from)) if self.has_all() => {
                self.two_faced.insert(from);
                Ok(())
            }
            taken => taken,
        }
    }

    /// Whether all is here that the result is made of.
    fn has_all(&self) -> bool {
        made_of(&self.plan).iter().all(|kind| self.mailbox.complete(*kind))
    }

    /// Does what can be done with what has arrived, and returns the messages that are due. Look at [`Ceremony::trouble`]
    /// then.
    ///
    /// # Errors
    /// [`FrostError::BadContribution`] and [`FrostError::Unreadable`] name who sent something wrong. This member cannot go
    /// on: tell the others with [`Ceremony::complaint`], and start again.
    pub fn advance(&mut self) -> Result<Vec<Envelope>, FrostError> {
        with_curve!(self.plan.suite(), C => self.advance_on::<C>())
    }

    fn advance_on<C: Curve>(&mut self) -> Result<Vec<Envelope>, FrostError> {
        let mut out = Vec::new();
        let part1 = rounds::part1::<C>(&self.plan, self.me, self.rng("part1")?)?;
        let mine = part1.contribution.clone();
        if !self.plan.is_refresh() {
            self.send(Kind::DkgCommit, &self.commitment(self.me, &mine)?, &mut out)?;
            if !self.mailbox.complete(Kind::DkgCommit) {
                return Ok(out);
            }
        }
        self.send(Kind::Contribution, &mine, &mut out)?;
        if !self.mailbox.complete(Kind::Contribution) {
            return Ok(out);
        }
        if self.prepared.is_none() {
            let others = self.contributions()?;
            let part2 = rounds::part2::<C>(&self.plan, part1.secret, &others)?;
            if self.sent.insert(Kind::Subshare) {
                self.seal_subshares(&part2.subshares, &mut out)?;
            }
            if !self.mailbox.complete(Kind::Subshare) {
                return Ok(out);
            }
            self.prepared = Some(self.prepare::<C>(&part2, &others, &mine)?);
        }
        let prepared = self.prepared.as_ref().ok_or(FrostError::Internal("ceremony"))?;
        let endorsement = Endorsement::new(self.session, prepared.digest, &self.device, prepared.word)?;
        self.send(Kind::Certificate, &endorsement, &mut out)?;
        self.certify(endorsement)?;
        Ok(out)
    }

    /// What stands in the way: certificates about something else than this member saw, with [`FrostError::Disagreement`];
    /// certificates that are none, with [`FrostError::BadContribution`]; [`FrostError::Complaint`] of those who have stopped.
    /// The ceremony goes on all the same if the messages that are missing come.
    pub fn trouble(&self) -> Option<FrostError> {
        if self.certificate.is_some() {
            return None;
        }
        // Whoever has certified the same had no reason to stop, or has found none in the end.
        let waits = |from: Index| !self.certified.contains(&from);
        self.unfit.clone().or_else(|| complaints(&self.mailbox, waits))
    }

    /// What tells the others that this member stops, because of what `error` says of others. None if it says nothing of
    /// them.
    ///
    /// # Errors
    /// [`FrostError::Internal`].
    pub fn complaint(&self, error: &FrostError) -> Result<Option<Envelope>, FrostError> {
        complain(error, self.session, self.me, &self.device)
    }

    fn rng(&self, purpose: &str) -> Result<SeedRng, FrostError> {
        SeedRng::new(&self.seed, self.session, purpose)
    }

    fn send<T: minicbor::Encode<()>>(
        &mut self,
        kind: Kind,
        value: &T,
        out: &mut Vec<Envelope>,
    ) -> Result<(), FrostError> {
        if self.sent.insert(kind) {
            out.push(Envelope::sign(kind, self.session, self.me, &self.device, value)?);
        }
        Ok(())
    }

    fn seal_subshares(
        &self,
        subshares: &BTreeMap<Index, Zeroizing<[u8; 32]>>,
        out: &mut Vec<Envelope>,
    ) -> Result<(), FrostError> {
        for (to, secret) in subshares {
            let recipient = (*to, *self.plan.members().get(to).ok_or(FrostError::UnknownMember(*to))?);
            let rng = &mut self.rng(&format!("seal {to}"))?;
            out.push(Envelope::seal(
                Kind::Subshare,
                self.session,
                self.me,
                &self.device,
                recipient,
                &**secret,
                rng,
            )?);
        }
        Ok(())
    }

    fn commitment(
        &self,
        from: Index,
        contribution: &Contribution,
    ) -> Result<minicbor::bytes::ByteArray<32>, FrostError> {
        let bytes = minicbor::to_vec(contribution).map_err(|_| FrostError::Internal("ceremony"))?;
        let hash = Transcript::new("keep/frost/dkg commit")
            .with(self.session.as_bytes())
            .with(&from.get().to_be_bytes())
            .with(&bytes);
        Ok(hash.finish().into())
    }

    /// The others' contributions, each as it was committed to.
    fn contributions(&self) -> Result<BTreeMap<Index, Contribution>, FrostError> {
        let (mut out, mut wrong) = (BTreeMap::new(), BTreeSet::new());
        for envelope in self.mailbox.all(Kind::Contribution) {
            match self.mailbox.read::<Contribution>(envelope) {
                Ok(contribution) => drop(out.insert(envelope.from(), contribution)),
                Err(_) => drop(wrong.insert(envelope.from())),
            }
        }
        for envelope in self.mailbox.all(Kind::DkgCommit) {
            let from = envelope.from();
            let committed = self.mailbox.read::<minicbor::bytes::ByteArray<32>>(envelope).ok();
            let revealed =
                out.get(&from).map(|contribution| self.commitment(from, contribution)).transpose()?;
            if committed.is_none() || committed != revealed {
                wrong.insert(from);
            }
        }
        if wrong.is_empty() { Ok(out) } else { Err(FrostError::BadContribution(wrong.into_iter().collect())) }
    }

    fn transcript(
        &self,
        others: &BTreeMap<Index, Contribution>,
        mine: &Contribution,
    ) -> Result<Transcript, FrostError> {
        let mut all: BTreeMap<Index, &Contribution> = others.iter().map(|(i, c)| (*i, c)).collect();
        all.insert(self.me, mine);
        let mut hash = Transcript::new("keep/frost/transcript").with(self.session.as_bytes());
        for (index, contribution) in all {
            hash.add(&index.get().to_be_bytes());
            hash.add(&minicbor::to_vec(contribution).map_err(|_| FrostError::Internal("ceremony"))?);
        }
        Ok(hash)
    }

    fn prepare<C: Curve>(
        &self,
        part2: &rounds::Part2<C>,
        others: &BTreeMap<Index, Contribution>,
        mine: &Contribution,
    ) -> Result<Prepared, FrostError> {
        let (mut received, mut wrong) = (BTreeMap::new(), Vec::new());
        for envelope in self.mailbox.all(Kind::Subshare) {
            let secret = envelope.open(self.me, &self.device)?;
            match <[u8; 32]>::try_from(secret.as_slice()) {
                Ok(secret) => drop(received.insert(envelope.from(), Zeroizing::new(secret))),
                Err(_) => wrong.push(envelope.from()),
            }
        }
        if !wrong.is_empty() {
            return Err(FrostError::BadContribution(wrong));
        }
        let old = match &self.old {
            Some((group, share)) => Some((share.key_package::<C>(group)?, group.keys::<C>()?)),
            None => None,
        };
        let (key, public) = rounds::part3::<C>(&self.plan, self.me, part2, &received, old)?;
        let hash = self.transcript(others, mine)?;
        let group = match &self.old {
            Some((old, _)) => next_epoch::<C>(old, &public)?,
            None => self.new_group::<C>(&public, others, mine)?,
        };
        group.check()?;
        let share = SecretShare::from_scalar::<C>(&group, self.me, &key.signing_share().to_scalar())?;
        let bytes = minicbor::to_vec(&group).map_err(|_| FrostError::Internal("ceremony"))?;
        let word = self.old.is_some().then(|| vouch(&group, &share)).transpose()?;
        Ok(Prepared { group, share, digest: hash.with(&bytes).finish(), word })
    }

    fn new_group<C: Curve>(
        &self,
        public: &frost_core::keys::PublicKeyPackage<C>,
        others: &BTreeMap<Index, Contribution>,
        mine: &Contribution,
    ) -> Result<Group, FrostError> {
        let mut parts = Group::from_keys::<C>(public, self.plan.threshold(), 0, Provenance::Dkg)?;
        for member in &mut parts.members {
            member.device = self.plan.members().get(&member.index).copied();
        }
        if C::SUITE == Suite::Secp256k1Tr {
            parts.chain_code = Some(self.transcript(others, mine)?.with(b"chain code").finish());
        }
        Group::try_from(parts)
    }

    /// Collects the endorsements that are about what this member saw; of several from one member the one that fits.
    fn certify(&mut self, own: Endorsement) -> Result<(), FrostError> {
        let prepared = self.prepared.as_ref().ok_or(FrostError::Internal("ceremony"))?;
        let (digest, session) = (prepared.digest, self.session);
        let mut signatures = BTreeMap::from([(self.me, own)]);
        let (mut wrong, mut others_saw) = (BTreeSet::new(), BTreeSet::new());
        self.mailbox.sort(Kind::Certificate, |envelope| {
            let from = envelope.from();
            let said = minicbor::decode::<Endorsement>(envelope.body()).ok();
            let device = self.plan.members().get(&from);
            match said.filter(|said| device.is_some_and(|device| said.verifies(session, device))) {
                Some(said) if said.digest != digest => others_saw.insert(from),
                Some(said) if !self.plan.is_refresh() || said.speaks_for(&prepared.group, from) => {
                    signatures.insert(from, said);
                    return true;
                }
                Some(_) | None => wrong.insert(from),
            };
            false
        });
        let unfit = |from: &Index| !signatures.contains_key(from);
        let wrong: Vec<Index> = wrong.into_iter().filter(unfit).collect();
        let others_saw: Vec<Index> = others_saw.into_iter().filter(unfit).collect();
        let same = || signatures.keys().copied().collect();
        self.unfit = match (wrong.is_empty(), others_saw.is_empty()) {
            (true, true) => None,
            (true, false) => Some(FrostError::Disagreement { some: others_saw, others: same() }),
            (false, _) => Some(FrostError::BadContribution(wrong)),
        };
        self.certified = signatures.keys().copied().collect();
        if signatures.len() == self.plan.members().len() {
            self.certificate = Some(Certificate { session, digest, signatures });
        }
        Ok(())
    }

    /// What other members have certified, as they sent it: whoever is through can hand it on.
    pub fn certificates(&self) -> impl Iterator<Item = &Envelope> {
        self.mailbox.all(Kind::Certificate)
    }

    /// Those whose certificate about the result is missing.
    fn uncertified(&self) -> Vec<Index> {
        let others = self.plan.members().keys().filter(|index| **index != self.me);
        others.filter(|index| !self.certified.contains(index)).copied().collect()
    }

    /// Whose messages are missing for the next step.
    pub fn waiting_for(&self) -> Vec<Index> {
        let missing = made_of(&self.plan).iter().map(|kind| self.mailbox.missing(*kind));
        missing.into_iter().find(|missing| !missing.is_empty()).unwrap_or_else(|| self.uncertified())
    }

    /// Twelve digits that are the same for all members that saw the same contributions. Nobody can steer them, because
    /// contributions are committed to before they are seen. None before all have arrived.
    ///
    /// # Errors
    /// [`FrostError::BadContribution`].
    pub fn code(&self) -> Result<Option<String>, FrostError> {
        if !self.mailbox.complete(Kind::Contribution) {
            return Ok(None);
        }
        with_curve!(self.plan.suite(), C => {
            let mine = rounds::part1::<C>(&self.plan, self.me, self.rng("part1")?)?.contribution;
            let hash = self.transcript(&self.contributions()?, &mine)?.with(b"code").finish();
            let number = hash[..8].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b)) % 1_000_000_000_000;
            Ok(Some(format!("{:04} {:04} {:04}", number / 100_000_000, number / 10_000 % 10_000, number % 10_000)))
        })
    }

    /// Who has sent several different messages for one step: nobody else can have signed them.
    pub fn two_faced(&self) -> BTreeSet<Index> {
        self.mailbox.two_faced(Kind::Certificate).chain(self.two_faced.iter().copied()).collect()
    }

    /// Ends the ceremony.
    ///
    /// # Errors
    /// [`FrostError::OutOfOrder`] before every member has certified the same transcript; what [`Ceremony::trouble`] says.
    pub fn finish(self) -> Result<Outcome, FrostError> {
        if let Some(trouble) = self.trouble() {
            return Err(trouble);
        }
        let two_faced = self.two_faced();
        match (self.prepared, self.certificate) {
            (Some(Prepared { group, share, .. }), Some(certificate)) => {
                let endorsement = if self.plan.is_refresh() {
                    let said = word(&group, &certificate.signatures)?;
                    Some(crate::Endorsement::of_members(&group, &said))
                } else {
                    None
                };
                Ok(Outcome { group, share, certificate, endorsement, two_faced })
            }
            _ => Err(FrostError::OutOfOrder("not all members have certified the result yet")),
        }
    }
}

/// The messages that the result is made of.
pub(super) const fn made_of(plan: &Plan) -> &'static [Kind] {
    if plan.is_refresh() { REFRESH } else { GENERATE }
}

/// The plan renews this very sharing, and the share is one of it.
pub(super) fn check_refresh(plan: &Plan, group: &Group, share: &SecretShare) -> Result<(), FrostError> {
    plan.fits(group)?;
    share.check(group)
}
