//! The messages that a machine has received: authenticated, each kind once per sender.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use crate::wire::{Envelope, Kind};
use crate::{DevicePublic, FrostError, Index, SessionId};

#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    session: SessionId,
    me: Index,
    /// Who may send what.
    senders: BTreeMap<(Kind, Index), DevicePublic>,
    inbox: BTreeMap<(Kind, Index), Envelope>,
}

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

    /// Takes a message in. A repeated one is the same as one; a different second one is equivocation.
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
        match self.inbox.get(&key) {
            Some(known) if known != envelope => Err(FrostError::Equivocation(envelope.from())),
            Some(_) => Ok(()),
            None => {
                self.inbox.insert(key, envelope.clone());
                Ok(())
            }
        }
    }

    pub(crate) fn missing(&self, kind: Kind) -> Vec<Index> {
        let expected = self.senders.keys().filter(|(k, _)| *k == kind);
        expected.filter(|key| !self.inbox.contains_key(key)).map(|(_, from)| *from).collect()
    }

    pub(crate) fn complete(&self, kind: Kind) -> bool {
        self.missing(kind).is_empty()
    }

    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Envelope> {
        self.inbox.iter().filter(move |((k, _), _)| *k == kind).map(|(_, envelope)| envelope)
    }

    pub(crate) fn device(&self, kind: Kind, from: Index) -> Result<DevicePublic, FrostError> {
        self.senders.get(&(kind, from)).copied().ok_or(FrostError::UnknownMember(from))
    }

    /// An open message's content.
    pub(crate) fn read<T: for<'b> Decode<'b, ()> + Encode<()>>(
        &self,
        envelope: &Envelope,
    ) -> Result<T, FrostError> {
        minicbor::decode(envelope.body()).map_err(|_| FrostError::BadContribution(vec![envelope.from()]))
    }

    pub(crate) fn envelopes(&self) -> Vec<&Envelope> {
        self.inbox.values().collect()
    }
}
