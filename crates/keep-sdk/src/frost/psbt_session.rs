//! Bitcoin transactions whose signers' shares are in different vaults.
//!
//! Each side has the PSBT itself and computes from it what is to be signed; nobody takes a hash from somebody else. Every
//! signature that the transaction needs is a session of its own, and what belongs to one round goes as one text: the
//! messages of all sessions, in their order, with a space between them. The transaction is judged once, as a whole, by each
//! vault that signs.

use std::collections::{BTreeMap, BTreeSet};

use keep_frost::sign::{Coordinator, Package, Partial, Proposal};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{Commitment, FrostError, Index, SessionId};
use keep_types::{Answer, Fault, GroupSpend, GroupUse, Intent, SpendPart};
use keep_vault::{GroupRecord, attach_group_signatures};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};

use super::lookup::{group, index};
use super::psbt::{Prepared, PsbtToSign, finished, other_transaction};
use super::session::named;
use super::sign::signers;
use super::views::{RoundView, StepMessage};
use crate::bitcoin::{SignedPsbtView, SkippedView};
use crate::call::{Call, Class, Host};
use crate::keys::bug;

/// The most messages that one text may hold: one for each signature.
const MAX_PARTS: usize = keep_vault::MAX_SESSIONS;

/// The messages of one text.
pub(super) fn parse(text: &str) -> Result<Vec<Envelope>, Fault> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.is_empty() || words.len() > MAX_PARTS {
        let reason = "it holds no message, or too many".to_owned();
        return Err(FrostError::Malformed { what: "round message", reason }.into());
    }
    Ok(words.into_iter().map(Envelope::parse).collect::<Result<_, _>>()?)
}

/// The messages of one round as one text, under the name of the first.
fn bundle(envelopes: &[Envelope]) -> Result<StepMessage, Fault> {
    let first = envelopes.first().ok_or_else(|| bug("a round without messages"))?;
    let mut text = String::new();
    for envelope in envelopes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&envelope.to_text()?);
    }
    Ok(StepMessage { name: named(first)?.name, text })
}

/// Proposals that were read and are about this side's own transaction, each about one signature that it needs.
pub(super) struct Proposed {
    pub from: Index,
    pub session: SessionId,
    parts: Vec<(SessionId, Proposal)>,
}

impl Proposed {
    pub fn read(prepared: &Prepared, text: &str) -> Result<Self, Fault> {
        let record = &prepared.record;
        let envelopes = parse(text)?;
        if envelopes.len() != prepared.jobs.len() {
            return Err(other_transaction());
        }
        let read = Self::bare(record, &envelopes)?;
        for ((_, proposal), (spec, message)) in read.parts.iter().zip(&prepared.jobs) {
            if proposal.message() != message || proposal.spec() != spec {
                return Err(other_transaction());
            }
        }
        Ok(read)
    }

    /// The same, without a look at the transaction: for putting commitments together.
    fn bare(record: &GroupRecord, envelopes: &[Envelope]) -> Result<Self, Fault> {
        let first = envelopes.first().ok_or_else(|| bug("a proposal without messages"))?;
        let (from, session) = (first.from(), first.session());
        let device = record.group.device(from)?;
        let mut parts = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            if envelope.from() != from {
                return Err(FrostError::NotAuthentic(from).into());
            }
            let proposal = envelope.read_proposal(&device)?;
            proposal.check(&record.group)?;
            parts.push((envelope.session(), proposal));
        }
        Ok(Self { from, session, parts })
    }
}

/// Makes nonces for every signature, and the commitments of each member that is here as one text.
fn commit(
    host: &Host,
    record: &GroupRecord,
    proposals: Vec<Proposal>,
    here: &[Index],
) -> Result<RoundView, Fault> {
    let mut session = None;
    let mut sent: BTreeMap<Index, Vec<Envelope>> = BTreeMap::new();
    for opened in host.vault().open_sessions(record.id, proposals, here)? {
        session.get_or_insert(opened.session);
        for (index, commitment) in &opened.commitments {
            let device = host.vault().device_key(record.id, *index)?;
            let envelope = Envelope::sign(Kind::Commitment, opened.session, *index, &device, commitment)?;
            sent.entry(*index).or_default().push(envelope);
        }
    }
    let session = session.ok_or_else(|| bug("a transaction without signatures"))?.to_string();
    let messages = sent.values().map(|envelopes| bundle(envelopes)).collect::<Result<_, _>>()?;
    let missing = record.group.threshold().saturating_sub(u16::try_from(here.len()).unwrap_or(u16::MAX));
    Ok(RoundView { session, messages, missing })
}

/// Proposes to sign a transaction, and commits with the shares that are here. The first message is the proposal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProposePsbt {
    pub psbt: PsbtToSign,
    pub signers: Vec<u16>,
}

impl Call for ProposePsbt {
    const NAME: &'static str = "frost.propose_psbt";
    const CLASS: Class = Class::Use;
    type Reply = RoundView;

    fn run(self, host: &Host) -> Result<RoundView, Fault> {
        host.check_intact()?;
        let Prepared { record, jobs, .. } = self.psbt.prepare(host)?;
        let here = signers(&record, &self.signers)?;
        let from = *here.first().ok_or(FrostError::OutOfOrder("this vault has no share of the group"))?;
        let device = host.vault().device_key(record.id, from)?;
        let (mut proposals, mut envelopes) = (Vec::new(), Vec::new());
        for (spec, message) in jobs {
            let proposal = Proposal::new(&record.group, spec, message, &mut OsRng)?;
            envelopes.push(Envelope::sign(Kind::Proposal, proposal.session()?, from, &device, &proposal)?);
            proposals.push(proposal);
        }
        let mut round = commit(host, &record, proposals, &here)?;
        round.messages.insert(0, bundle(&envelopes)?);
        Ok(round)
    }
}

/// Commits to a proposal about this side's own transaction.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JoinPsbt {
    pub psbt: PsbtToSign,
    pub proposal: String,
    pub signers: Vec<u16>,
}

impl Call for JoinPsbt {
    const NAME: &'static str = "frost.join_psbt";
    const CLASS: Class = Class::Use;
    type Reply = RoundView;

    fn run(self, host: &Host) -> Result<RoundView, Fault> {
        host.check_intact()?;
        let prepared = self.psbt.prepare(host)?;
        let proposed = Proposed::read(&prepared, &self.proposal)?;
        let here = signers(&prepared.record, &self.signers)?;
        let proposals = proposed.parts.into_iter().map(|(_, proposal)| proposal).collect();
        commit(host, &prepared.record, proposals, &here)
    }
}

/// Fixes the signers of every session, once enough have committed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MakePsbtPackage {
    pub group: Option<String>,
    pub proposal: String,
    pub commitments: Vec<String>,
}

impl Call for MakePsbtPackage {
    const NAME: &'static str = "frost.package_psbt";
    const CLASS: Class = Class::Use;
    type Reply = RoundView;

    fn run(self, host: &Host) -> Result<RoundView, Fault> {
        let record = group(host, self.group.as_deref())?;
        let proposed = Proposed::bare(&record, &parse(&self.proposal)?)?;
        let session = proposed.session.to_string();
        let mut from = BTreeSet::new();
        for text in &self.commitments {
            from.extend(parse(text)?.first().map(Envelope::from));
        }
        let have = u16::try_from(from.len()).unwrap_or(u16::MAX);
        let missing = record.group.threshold().saturating_sub(have);
        if missing > 0 {
            return Ok(RoundView { session, messages: Vec::new(), missing });
        }
        let device = host.vault().device_key(record.id, proposed.from)?;
        let mut envelopes = Vec::with_capacity(proposed.parts.len());
        for mut coordinator in coordinators(&record, &proposed, &self.commitments)? {
            let package = coordinator.package()?.clone();
            envelopes.push(Envelope::sign(
                Kind::Package,
                coordinator.session(),
                proposed.from,
                &device,
                &package,
            )?);
        }
        Ok(RoundView { session, messages: vec![bundle(&envelopes)?], missing: 0 })
    }
}

/// One coordinator for each session, with the commitments of everybody.
fn coordinators<'r>(
    record: &'r GroupRecord,
    proposed: &Proposed,
    commitments: &[String],
) -> Result<Vec<Coordinator<'r>>, Fault> {
    let mut coordinators = Vec::with_capacity(proposed.parts.len());
    for (_, proposal) in &proposed.parts {
        coordinators.push(Coordinator::new(&record.group, proposal.clone())?);
    }
    for text in commitments {
        for (coordinator, envelope) in zipped(&mut coordinators, parse(text)?)? {
            let device = record.group.device(envelope.from())?;
            let commitment: Commitment = envelope.read(Kind::Commitment, coordinator.session(), &device)?;
            coordinator.commit(envelope.from(), envelope.session(), commitment)?;
        }
    }
    Ok(coordinators)
}

/// A message for each session.
fn zipped<T>(sessions: &mut [T], envelopes: Vec<Envelope>) -> Result<Vec<(&mut T, Envelope)>, Fault> {
    if sessions.len() != envelopes.len() {
        return Err(FrostError::WrongSession.into());
    }
    Ok(sessions.iter_mut().zip(envelopes).collect())
}

/// Round 2: this side's signature shares. The transaction is judged as a whole, recorded, the nonces burnt, then signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ContributePsbt {
    pub psbt: PsbtToSign,
    pub proposal: String,
    pub package: String,
    /// This side's own commitments, which say what is burnt.
    pub own: Vec<String>,
    /// Nobody was asked: it needs the grant of the member who proposes it.
    #[serde(default)]
    pub granted: bool,
}

impl Call for ContributePsbt {
    const NAME: &'static str = "frost.answer_psbt";
    const CLASS: Class = Class::Use;
    type Reply = RoundView;

    fn run(self, host: &Host) -> Result<RoundView, Fault> {
        let prepared = self.psbt.prepare(host)?;
        let proposed = Proposed::read(&prepared, &self.proposal)?;
        let Prepared { record, inspection, .. } = prepared;
        let parts = self.parts(&record, &proposed)?;
        let proposed_by = self.granted.then(|| proposed.from.get());
        let spend = GroupSpend { spend: Box::new(inspection), parts, proposed_by };
        let spend = Intent::Group(Box::new(GroupUse::Spend(spend)));
        let answered = host.answer(record.id, spend);
        let opened: Vec<SessionId> = proposed.parts.iter().map(|(session, _)| *session).collect();
        host.vault().forget_sessions(&opened);
        let Answer::SpendShares(shares) = answered? else {
            return Err(bug("signing gave something else than signature shares"));
        };
        let mut sent: BTreeMap<u16, Vec<Envelope>> = BTreeMap::new();
        for ((session, _), shares) in proposed.parts.iter().zip(shares) {
            for (number, share) in shares {
                let member = index(number)?;
                let device = host.vault().device_key(record.id, member)?;
                let partial = Partial { session: *session, share };
                let envelope = Envelope::sign(Kind::Partial, *session, member, &device, &partial)?;
                sent.entry(number).or_default().push(envelope);
            }
        }
        let messages = sent.values().map(|envelopes| bundle(envelopes)).collect::<Result<_, _>>()?;
        Ok(RoundView { session: proposed.session.to_string(), messages, missing: 0 })
    }
}

impl ContributePsbt {
    fn parts(&self, record: &GroupRecord, proposed: &Proposed) -> Result<Vec<SpendPart>, Fault> {
        let device = record.group.device(proposed.from)?;
        let mut parts: Vec<SpendPart> = Vec::with_capacity(proposed.parts.len());
        let packages = parse(&self.package)?;
        if packages.len() != proposed.parts.len() {
            return Err(FrostError::WrongSession.into());
        }
        for ((session, _), envelope) in proposed.parts.iter().zip(packages) {
            if envelope.from() != proposed.from {
                return Err(FrostError::NotAuthentic(proposed.from).into());
            }
            let package: Package = envelope.read(Kind::Package, *session, &device)?;
            let package = minicbor::to_vec(&package).map_err(|_| bug("the package has no binary form"))?;
            parts.push(SpendPart {
                session: *session.as_bytes(),
                nonces: Vec::new(),
                package: Some(package),
            });
        }
        for text in &self.own {
            for (part, envelope) in zipped(&mut parts, parse(text)?)? {
                let session = SessionId::from_bytes(part.session);
                let device = record.group.device(envelope.from())?;
                let commitment: Commitment = envelope.read(Kind::Commitment, session, &device)?;
                part.nonces.push(*commitment.id().as_bytes());
            }
        }
        Ok(parts)
    }
}

/// Makes the signatures of all signature shares, verifies them, and puts them into the PSBT.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FinishPsbt {
    pub psbt: PsbtToSign,
    pub proposal: String,
    pub commitments: Vec<String>,
    pub shares: Vec<String>,
    pub finalize: bool,
}

impl Call for FinishPsbt {
    const NAME: &'static str = "frost.finish_psbt";
    const CLASS: Class = Class::Use;
    type Reply = SignedPsbtView;

    fn run(self, host: &Host) -> Result<SignedPsbtView, Fault> {
        let prepared = self.psbt.prepare(host)?;
        let proposed = Proposed::read(&prepared, &self.proposal)?;
        let Prepared { record, inspection, .. } = prepared;
        let facts = inspection.facts().clone();
        let mut coordinators = coordinators(&record, &proposed, &self.commitments)?;
        for coordinator in &mut coordinators {
            coordinator.package()?;
        }
        let mut nonsense = BTreeSet::new();
        for text in &self.shares {
            for (coordinator, envelope) in zipped(&mut coordinators, parse(text)?)? {
                let device = record.group.device(envelope.from())?;
                match envelope.read::<Partial>(Kind::Partial, coordinator.session(), &device) {
                    Ok(partial) => _ = coordinator.share(envelope.from(), &partial)?,
                    Err(FrostError::BadContribution(from)) => nonsense.extend(from),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if !nonsense.is_empty() {
            return Err(FrostError::Cheaters(nonsense.into_iter().collect()).into());
        }
        let mut signatures = Vec::with_capacity(coordinators.len());
        for coordinator in coordinators {
            signatures.push(*coordinator.finish()?.as_bytes());
        }
        let signed = attach_group_signatures(inspection, &signatures)?;
        let skipped = signed
            .skipped
            .iter()
            .map(|skip| SkippedView { input: skip.input, reason: skip.reason.to_string().as_str().into() });
        finished(signed.file, &facts, self.finalize, signed.signatures, skipped.collect())
    }
}
