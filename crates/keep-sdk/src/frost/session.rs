//! Signing with shares in different vaults, message by message. Between the two rounds the nonces wait in the memory of
//! this process; if it ends, the session starts again.

use std::collections::BTreeSet;

use keep_frost::minisign::{Release, ReleaseCheck};
use keep_frost::sign::{Coordinator, Package, Partial, Proposal};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{Commitment, FrostError, KeySpec, Message, Signature, Tweak};
use keep_policy::Proposed;
use keep_types::{Answer, DisplayText, Fault, GroupSign, GroupUse, Intent, Timestamp, VaultId};
use keep_vault::{GroupRecord, group_key_path, group_message};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};

use super::lookup::group;
use super::sign::{GroupKey, ToSign, event, finished, signers, view};
use super::views::{ProposalView, ReleaseView, RoundView, SignatureView, StepMessage};
use crate::call::{Call, Class, Host};
use crate::keys::bug;
use crate::views::SignedEvent;

/// A message with a name for its file.
pub(super) fn named(envelope: &Envelope) -> Result<StepMessage, Fault> {
    let session = envelope.session().to_string();
    let mut name = format!("{}-{}-{}", &session[..8], envelope.kind().as_str(), envelope.from());
    if let Some(to) = envelope.to() {
        name.push_str(&format!("-{to}"));
    }
    Ok(StepMessage { name, text: envelope.to_text()? })
}

/// A proposal that was read: by whose device it is signed, of which group, about what.
struct Read {
    record: GroupRecord,
    envelope: Envelope,
    proposal: Proposal,
}

impl Read {
    fn parse(host: &Host, selector: Option<&str>, text: &str) -> Result<Self, Fault> {
        let envelope = Envelope::parse(text)?;
        let record = group(host, selector)?;
        let device = record.group.device(envelope.from())?;
        let proposal = envelope.read_proposal(&device)?;
        proposal.check(&record.group)?;
        Ok(Self { record, envelope, proposal })
    }

    fn view(&self, vault: VaultId, now: Timestamp) -> ProposalView {
        let message = self.proposal.message();
        let from = self.envelope.from().get();
        let proposed = group_message(message);
        let key = group_key_path(self.proposal.spec());
        let what = Proposed::Message { message: &proposed, key: &key };
        let granted = self.record.judge_cosigner(from, what, vault, now);
        let content = match message {
            Message::Event(event) => shown(&event.content).to_string(),
            Message::FileDigest(digest) => hex::encode(digest),
            Message::TrustedComment { comment, .. } => DisplayText::new(comment).to_string(),
            Message::Raw(bytes) => hex::encode(bytes),
        };
        let event = match message {
            Message::Event(event) => Some(event),
            Message::FileDigest(_) | Message::TrustedComment { .. } | Message::Raw(_) => None,
        };
        let tag = |tag: &keep_types::Tag| tag.as_slice().iter().map(|part| shown(part)).collect();
        ProposalView {
            event_kind: event.map(|event| event.kind.as_u16()),
            created_at: event.map(|event| Timestamp::from_secs(event.created_at.as_secs()).to_string()),
            tags: event.map(|event| event.tags.iter().map(tag).collect()).unwrap_or_default(),
            key: described(self.proposal.spec()),
            group: self.record.name.to_string(),
            from,
            granted: granted.is_ok(),
            session: self.envelope.session().to_string(),
            kind: message.kind().to_owned(),
            summary: message.summary().to_string(),
            content,
            shares: self.record.shares.iter().map(|index| index.get()).collect(),
            threshold: self.record.group.threshold(),
        }
    }
}

/// The longest text that a person is shown of one field, in characters.
const MAX_SHOWN: usize = 10_000;

fn shown(text: &str) -> DisplayText {
    DisplayText::truncated(text, MAX_SHOWN)
}

/// Which key of the group signs, in words.
fn described(spec: &KeySpec) -> String {
    let mut words: Vec<String> = Vec::new();
    if !spec.path.is_empty() {
        let steps: Vec<String> = spec.path.iter().map(ToString::to_string).collect();
        words.push(format!("child {}", steps.join("/")));
    }
    match spec.tweak {
        Tweak::None => {}
        Tweak::KeyPath => words.push("Taproot output key without scripts".to_owned()),
        Tweak::ScriptTree(root) => {
            words.push(format!("Taproot output key over scripts {}", hex::encode(root)))
        }
    }
    words.join(", ")
}

/// Proposes to sign, and commits with the shares that are here. The first message is the proposal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Propose {
    pub group: Option<String>,
    pub what: ToSign,
    pub key: GroupKey,
    pub signers: Vec<u16>,
}

impl Call for Propose {
    const NAME: &'static str = "frost.propose";
    const CLASS: Class = Class::Use;
    type Reply = RoundView;

    fn run(self, host: &Host) -> Result<RoundView, Fault> {
        host.check_intact()?;
        let record = group(host, self.group.as_deref())?;
        let spec = self.key.spec()?;
        let message = self.what.message(&record, &spec)?;
        let here = signers(&record, &self.signers)?;
        let from = *here.first().ok_or(FrostError::OutOfOrder("this vault has no share of the group"))?;
        let proposal = Proposal::new(&record.group, spec, message, &mut OsRng)?;
        let device = host.vault().device_key(record.id, from)?;
        let envelope = Envelope::sign(Kind::Proposal, proposal.session()?, from, &device, &proposal)?;
        let mut round = commit(host, &record, proposal, &here)?;
        round.messages.insert(0, named(&envelope)?);
        Ok(round)
    }
}

/// Reads a proposal. Nothing is committed to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Inspect {
    pub group: Option<String>,
    pub proposal: String,
}

impl Call for Inspect {
    const NAME: &'static str = "frost.inspect";
    const CLASS: Class = Class::Use;
    type Reply = ProposalView;

    fn run(self, host: &Host) -> Result<ProposalView, Fault> {
        Ok(Read::parse(host, self.group.as_deref(), &self.proposal)?.view(host.vault().id(), host.now()))
    }
}

/// Commits, with the shares that are here, to a proposal that the person has agreed to. For a release, the proposal must
/// be about this side's own file and comment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Join {
    pub group: Option<String>,
    pub proposal: String,
    pub release: Option<OwnRelease>,
    pub signers: Vec<u16>,
}

/// What a co-signer itself knows of a release.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwnRelease {
    /// The BLAKE2b-512 of its own copy of the file, in hexadecimal.
    pub digest: String,
    /// The trusted comment that it approves.
    pub trusted_comment: String,
}

impl Call for Join {
    const NAME: &'static str = "frost.join";
    const CLASS: Class = Class::Use;
    type Reply = RoundView;

    fn run(self, host: &Host) -> Result<RoundView, Fault> {
        host.check_intact()?;
        let read = Read::parse(host, self.group.as_deref(), &self.proposal)?;
        check_release(&read, self.release.as_ref())?;
        let here = signers(&read.record, &self.signers)?;
        commit(host, &read.record, read.proposal, &here)
    }
}

/// File digests and comments are signed only by those who have hashed the file themselves.
fn check_release(read: &Read, own: Option<&OwnRelease>) -> Result<(), Fault> {
    let spec = keep_frost::KeySpec::plain();
    match (own, read.proposal.message()) {
        (Some(own), message) => {
            let Message::FileDigest(digest) =
                ToSign::FileDigest(own.digest.clone()).message(&read.record, &spec)?
            else {
                return Err(bug("not a digest"));
            };
            let check = ReleaseCheck::new(&read.record.group, digest, own.trusted_comment.as_str())?;
            Ok(check.check(message)?)
        }
        (None, Message::FileDigest(_) | Message::TrustedComment { .. }) => Err(Fault::from(
            FrostError::Message("it is part of a release, and which file it is about cannot be seen from it"),
        )
        .with_hint(
            "take part with `keep sign FILE --interactive --join`, which hashes your own copy of the file",
        )),
        (None, Message::Event(_) | Message::Raw(_)) => Ok(()),
    }
}

fn commit(
    host: &Host,
    record: &GroupRecord,
    proposal: Proposal,
    here: &[keep_frost::Index],
) -> Result<RoundView, Fault> {
    let opened = host.vault().open_session(record.id, proposal, here)?;
    let mut messages = Vec::with_capacity(opened.commitments.len());
    for (index, commitment) in &opened.commitments {
        let device = host.vault().device_key(record.id, *index)?;
        let envelope = Envelope::sign(Kind::Commitment, opened.session, *index, &device, commitment)?;
        messages.push(named(&envelope)?);
    }
    let missing = record.group.threshold().saturating_sub(u16::try_from(here.len()).unwrap_or(u16::MAX));
    Ok(RoundView { session: opened.session.to_string(), messages, missing })
}

/// Fixes the signers: takes the commitments, and gives the package once there are enough.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MakePackage {
    pub group: Option<String>,
    pub proposal: String,
    pub commitments: Vec<String>,
}

impl Call for MakePackage {
    const NAME: &'static str = "frost.package";
    const CLASS: Class = Class::Use;
    type Reply = RoundView;

    fn run(self, host: &Host) -> Result<RoundView, Fault> {
        let read = Read::parse(host, self.group.as_deref(), &self.proposal)?;
        let mut coordinator = Coordinator::new(&read.record.group, read.proposal.clone())?;
        let have = collect(&mut coordinator, &read.record, &self.commitments)?;
        let session = coordinator.session().to_string();
        let missing = read.record.group.threshold().saturating_sub(have);
        if missing > 0 {
            return Ok(RoundView { session, messages: Vec::new(), missing });
        }
        let from = read.envelope.from();
        let device = host.vault().device_key(read.record.id, from)?;
        let package = coordinator.package()?.clone();
        let envelope = Envelope::sign(Kind::Package, coordinator.session(), from, &device, &package)?;
        Ok(RoundView { session, messages: vec![named(&envelope)?], missing: 0 })
    }
}

/// Hands the commitments to the coordinator, each after checking whose it is; how many different signers there are.
fn collect(coordinator: &mut Coordinator<'_>, record: &GroupRecord, texts: &[String]) -> Result<u16, Fault> {
    let mut from = BTreeSet::new();
    for text in texts {
        let envelope = Envelope::parse(text)?;
        let device = record.group.device(envelope.from())?;
        let commitment: Commitment = envelope.read(Kind::Commitment, coordinator.session(), &device)?;
        coordinator.commit(envelope.from(), envelope.session(), commitment)?;
        from.insert(envelope.from());
    }
    Ok(u16::try_from(from.len()).unwrap_or(u16::MAX))
}

/// Round 2: signature shares of the shares that are here. Judged, recorded, the nonces burnt, then signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Contribute {
    pub group: Option<String>,
    pub proposal: String,
    pub package: String,
    /// This side's own commitments, which say what is burnt.
    pub own: Vec<String>,
    /// Nobody was asked: it needs the grant of the member who proposes it.
    #[serde(default)]
    pub granted: bool,
}

impl Call for Contribute {
    const NAME: &'static str = "frost.answer";
    const CLASS: Class = Class::Use;
    type Reply = RoundView;

    fn run(self, host: &Host) -> Result<RoundView, Fault> {
        let read = Read::parse(host, self.group.as_deref(), &self.proposal)?;
        let (record, session) = (&read.record, read.envelope.session());
        let envelope = Envelope::parse(&self.package)?;
        if envelope.from() != read.envelope.from() {
            return Err(FrostError::NotAuthentic(read.envelope.from()).into());
        }
        let package: Package =
            envelope.read(Kind::Package, session, &record.group.device(envelope.from())?)?;
        let mut nonces = Vec::with_capacity(self.own.len());
        for text in &self.own {
            let own = Envelope::parse(text)?;
            let commitment: Commitment =
                own.read(Kind::Commitment, session, &record.group.device(own.from())?)?;
            nonces.push(*commitment.id().as_bytes());
        }
        let sign = GroupSign {
            session: *session.as_bytes(),
            message: group_message(read.proposal.message()),
            key: group_key_path(read.proposal.spec()),
            nonces,
            package: Some(minicbor::to_vec(&package).map_err(|_| bug("the package has no binary form"))?),
            proposed_by: self.granted.then(|| read.envelope.from().get()),
        };
        let answered = host.answer(record.id, Intent::Group(Box::new(GroupUse::Sign(sign))));
        host.vault().forget_sessions(&[session]);
        let Answer::SignatureShares(shares) = answered? else {
            return Err(bug("signing gave something else than signature shares"));
        };
        let mut messages = Vec::with_capacity(shares.len());
        for (number, share) in shares {
            let index = super::lookup::index(number)?;
            let device = host.vault().device_key(record.id, index)?;
            let partial = Partial { session, share };
            messages.push(named(&Envelope::sign(Kind::Partial, session, index, &device, &partial)?)?);
        }
        Ok(RoundView { session: session.to_string(), messages, missing: 0 })
    }
}

/// Makes the signature of all signature shares, and verifies it. Wrong shares are named, all of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Finish {
    pub group: Option<String>,
    pub proposal: String,
    pub commitments: Vec<String>,
    pub shares: Vec<String>,
}

impl Finish {
    fn signature(&self, read: &Read) -> Result<Signature, Fault> {
        let record = &read.record;
        let mut coordinator = Coordinator::new(&record.group, read.proposal.clone())?;
        collect(&mut coordinator, record, &self.commitments)?;
        let session = coordinator.session();
        coordinator.package()?;
        let mut nonsense = Vec::new();
        for text in &self.shares {
            let envelope = Envelope::parse(text)?;
            let device = record.group.device(envelope.from())?;
            match envelope.read::<Partial>(Kind::Partial, session, &device) {
                Ok(partial) => _ = coordinator.share(envelope.from(), &partial)?,
                Err(FrostError::BadContribution(from)) => nonsense.extend(from),
                Err(error) => return Err(error.into()),
            }
        }
        if !nonsense.is_empty() {
            return Err(FrostError::Cheaters(nonsense).into());
        }
        Ok(coordinator.finish()?)
    }
}

impl Call for Finish {
    const NAME: &'static str = "frost.finish";
    const CLASS: Class = Class::Use;
    type Reply = SignatureView;

    fn run(self, host: &Host) -> Result<SignatureView, Fault> {
        let read = Read::parse(host, self.group.as_deref(), &self.proposal)?;
        let signature = self.signature(&read)?;
        let mut signers = BTreeSet::new();
        for text in &self.commitments {
            signers.insert(Envelope::parse(text)?.from());
        }
        let signers: Vec<_> = signers.into_iter().collect();
        view(&read.record, read.proposal.spec(), &signature, &signers)
    }
}

/// As [`Finish`], for an event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FinishEvent {
    pub finish: Finish,
}

impl Call for FinishEvent {
    const NAME: &'static str = "frost.finish_event";
    const CLASS: Class = Class::Use;
    type Reply = SignedEvent;

    fn run(self, host: &Host) -> Result<SignedEvent, Fault> {
        let read = Read::parse(host, self.finish.group.as_deref(), &self.finish.proposal)?;
        let signature = self.finish.signature(&read)?;
        Ok(SignedEvent(event(read.proposal.message().clone(), &signature)?))
    }
}

/// Puts the two signatures of a release together.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FinishRelease {
    pub group: Option<String>,
    pub release: OwnRelease,
    pub comment: Option<String>,
    pub signature: String,
    pub global: String,
}

impl Call for FinishRelease {
    const NAME: &'static str = "frost.finish_release";
    const CLASS: Class = Class::Use;
    type Reply = ReleaseView;

    fn run(self, host: &Host) -> Result<ReleaseView, Fault> {
        let record = group(host, self.group.as_deref())?;
        let spec = keep_frost::KeySpec::plain();
        let Message::FileDigest(digest) =
            ToSign::FileDigest(self.release.digest.clone()).message(&record, &spec)?
        else {
            return Err(bug("not a digest"));
        };
        let release =
            Release::new(&record.group, digest, self.release.trusted_comment.as_str(), self.comment)?;
        let signed = release.signed(self.signature.parse()?)?;
        finished(&record, signed.signed(self.global.parse()?)?, self.release.digest)
    }
}
