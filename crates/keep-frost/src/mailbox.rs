//! The messages that a machine has received: authenticated, each kind once per sender, but for what says how a ceremony
//! ended.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::complaint;
use crate::wire::{Envelope, Kind};
use crate::{DevicePublic, FrostError, Index, SessionId};

#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    session: SessionId,
    me: Index,
    /// Who may send what.
    senders: BTreeMap<(Kind, Index), DevicePublic>,
    /// What came, of each kind and sender; several only where [`Several::Kept`].
    inbox: BTreeMap<(Kind, Index), Vec<Envelope>>,
}

/// What becomes of a second message of a kind from a member that says something else.
enum Several {
    /// It is an error.
    Refused,
    /// It is kept: which of them counts is seen later.
    Kept,
    /// The first one stands.
    Ignored,
}

const fn several(kind: Kind) -> Several {
    match kind {
        Kind::Certificate => Several::Kept,
        Kind::Complaint => Several::Ignored,
        Kind::Proposal
        | Kind::Commitment
        | Kind::Package
        | Kind::Partial
        | Kind::DkgCommit
        | Kind::Contribution
        | Kind::Subshare
        | Kind::Delta
        | Kind::Sigma
        | Kind::Plan
        | Kind::RepairPlan
        | Kind::Device
        | Kind::RepairCommit => Several::Refused,
    }
}

/// How many messages of one kind and sender are written down.
const WRITTEN: usize = 4;

impl Mailbox {
    pub(crate) fn new(
        session: SessionId,
        me: Index,
        kinds: &[Kind],
        peers: &BTreeMap<Index, DevicePublic>,
    ) -> Self {
        let peers = peers.iter().filter(|(i, _)| **i != me);
        let senders = peers.flat_map(|(i, d)| kinds.iter().map(move |k| ((*k, *i), *d))).collect();
        Self { session, me, senders, inbox: BTreeMap::new() }
    }

    /// Takes a message in. A repeated one is the same as one; a different second one is equivocation, but for the kinds
    /// that may come in several.
    pub(crate) fn receive(&mut self, envelope: &Envelope) -> Result<(), FrostError> {
        envelope.expect(envelope.kind(), self.session)?;
        let key = (envelope.kind(), envelope.from());
        let Some(device) = self.senders.get(&key) else {
            let known = self.senders.keys().any(|(_, from)| *from == envelope.from());
            return Err(match self.senders.keys().next() {
                Some((kind, _)) if known => {
                    FrostError::WrongKind { expected: kind.as_str(), found: envelope.kind().as_str() }
                }
                _ => FrostError::UnknownMember(envelope.from()),
            });
        };
        envelope.authenticate(device)?;
        // What holds a secret is sealed to one member, what is public goes to all: nothing in between.
        let expected = envelope.kind().is_sealed().then_some(self.me);
        if envelope.to() != expected {
            return Err(FrostError::NotForMe);
        }
        if envelope.kind() == Kind::Complaint {
            complaint::check(envelope)?;
        }
        let known = self.inbox.entry(key).or_default();
        if known.contains(envelope) {
            return Ok(());
        }
        match several(envelope.kind()) {
            Several::Refused if !known.is_empty() => Err(FrostError::Equivocation(envelope.from())),
            Several::Ignored if !known.is_empty() => Ok(()),
            Several::Refused | Several::Ignored | Several::Kept => {
                known.push(envelope.clone());
                Ok(())
            }
        }
    }

    /// Keeps what fits, before one message that does not: the proof that its sender has said something else.
    pub(crate) fn sort(&mut self, kind: Kind, mut fits: impl FnMut(&Envelope) -> bool) {
        for (_, versions) in self.inbox.iter_mut().filter(|((k, _), _)| *k == kind) {
            let (mut right, mut wrong): (Vec<_>, Vec<_>) = versions.drain(..).partition(&mut fits);
            right.truncate(1);
            wrong.truncate(1);
            right.append(&mut wrong);
            *versions = right;
        }
    }

    pub(crate) fn missing(&self, kind: Kind) -> Vec<Index> {
        let expected = self.senders.keys().filter(|(k, _)| *k == kind);
        expected.filter(|key| !self.inbox.contains_key(key)).map(|(_, from)| *from).collect()
    }

    pub(crate) fn complete(&self, kind: Kind) -> bool {
        self.missing(kind).is_empty()
    }

    /// The first of each sender.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Envelope> {
        let of_kind = self.inbox.iter().filter(move |((k, _), _)| *k == kind);
        of_kind.filter_map(|(_, versions)| versions.first())
    }

    /// Who sent several that differ.
    pub(crate) fn two_faced(&self, kind: Kind) -> impl Iterator<Item = Index> {
        let of_kind = self.inbox.iter().filter(move |((k, _), _)| *k == kind);
        of_kind.filter(|(_, versions)| versions.len() > 1).map(|((_, from), _)| *from)
    }

    /// An open message's content.
    pub(crate) fn read<T: for<'b> Decode<'b, ()> + Encode<()>>(
        &self,
        envelope: &Envelope,
    ) -> Result<T, FrostError> {
        minicbor::decode(envelope.body()).map_err(|_| FrostError::BadContribution(vec![envelope.from()]))
    }

    /// What is written down. Of many that one member sent, a few: what fits comes again. No complaints: they are about how
    /// things stand, and come again as long as they do.
    pub(crate) fn envelopes(&self) -> Vec<&Envelope> {
        let lasting = self.inbox.iter().filter(|((kind, _), _)| *kind != Kind::Complaint);
        lasting.flat_map(|(_, versions)| versions.iter().take(WRITTEN)).collect()
    }
}
