//! What a message among many is to those who take part in a ceremony.

use std::collections::{BTreeMap, BTreeSet};

use crate::complaint;
use crate::wire::{Envelope, Kind};
use crate::{DevicePublic, FrostError, Index, SessionId};

/// Where a message of a ceremony belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is for a member here, and its sender has signed it.
    Here,
    /// A member here has said it, or it is sealed to a member that is not here. There is nothing to do with it, and whether its
    /// sender has signed it is not looked at.
    Elsewhere,
}

/// What a ceremony consists of.
pub(crate) struct Ceremonial<'c> {
    /// What its messages are part of, for a person.
    pub what: &'static str,
    pub session: SessionId,
    pub senders: &'c BTreeMap<Index, DevicePublic>,
    /// What is said to everybody.
    pub open: &'c [Kind],
    /// What is said to one of these members alone.
    pub sealed: &'c [(Kind, BTreeSet<Index>)],
}

impl Ceremonial<'_> {
    /// What the message is to the members that are `here`. Whatever is not part of the ceremony is an error that says why; what
    /// proves that its sender cheats is part of it.
    pub(crate) fn place(&self, here: &BTreeSet<Index>, envelope: &Envelope) -> Result<Place, FrostError> {
        let (kind, from) = (envelope.kind(), envelope.from());
        if envelope.session() != self.session {
            return Err(FrostError::WrongSession);
        }
        let readers = self.sealed.iter().find(|(sealed, _)| *sealed == kind).map(|(_, readers)| readers);
        if readers.is_none() && !self.open.contains(&kind) {
            return Err(FrostError::WrongKind { expected: self.what, found: kind.as_str() });
        }
        let device = self.senders.get(&from).ok_or(FrostError::NotInvolved(from))?;
        let for_others = match (readers, envelope.to()) {
            (Some(readers), Some(to)) => readers.contains(&to) && !here.contains(&to),
            (_, _) => false,
        };
        if here.contains(&from) || for_others {
            return Ok(Place::Elsewhere);
        }
        envelope.authenticate(device)?;
        let word = kind.as_str();
        match (readers, envelope.to()) {
            (None, None) if kind == Kind::Complaint => complaint::check(envelope).map(|()| Place::Here),
            (None, None) => Ok(Place::Here),
            (None, Some(to)) => {
                Err(addressed(format!("a {word} is for everybody, this one for member {to}")))
            }
            (Some(_), None) => Err(addressed(format!("a {word} is for one member, this one for none"))),
            (Some(readers), Some(to)) if !readers.contains(&to) => {
                Err(addressed(format!("it is for member {to}, who takes no {word}")))
            }
            (Some(_), Some(_)) => Ok(Place::Here),
        }
    }
}

fn addressed(reason: String) -> FrostError {
    FrostError::malformed("round message", reason)
}
