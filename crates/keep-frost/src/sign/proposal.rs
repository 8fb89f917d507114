//! The messages of a signing session.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use rand_core::{CryptoRng, RngCore};

use crate::bytes::Transcript;
use crate::share::check_binding;
use crate::{Commitment, FrostError, Group, GroupId, Index, KeySpec, Message, SessionId, SharingId, Suite};

/// What a coordinator proposes to sign. Its hash is the session's id, so every later message is bound to all of it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Proposal {
    #[n(0)]
    suite: Suite,
    #[n(1)]
    group: GroupId,
    #[n(2)]
    sharing: SharingId,
    #[n(3)]
    epoch: u32,
    #[n(4)]
    spec: KeySpec,
    #[n(5)]
    message: Message,
    #[cbor(n(6), with = "minicbor::bytes")]
    nonce: [u8; 16],
}

impl Proposal {
    /// A proposal for a new session.
    ///
    /// # Errors
    /// [`FrostError::MustReshare`]; [`FrostError::Message`] and [`FrostError::Derivation`] for what the group cannot
    /// sign; [`FrostError::Random`].
    pub fn new(
        group: &Group,
        spec: KeySpec,
        message: Message,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        let mut nonce = [0; 16];
        rng.try_fill_bytes(&mut nonce).map_err(|_| FrostError::Random)?;
        let (suite, epoch) = (group.suite(), group.epoch());
        let proposal =
            Self { suite, group: group.id(), sharing: group.sharing(), epoch, spec, message, nonce };
        proposal.check(group)?;
        Ok(proposal)
    }

    /// What would be signed. Judge this before committing to anything.
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// Under which key of the group.
    pub const fn spec(&self) -> &KeySpec {
        &self.spec
    }

    pub(crate) const fn suite(&self) -> Suite {
        self.suite
    }

    /// Of which group.
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// The session: a hash of everything in the proposal.
    ///
    /// # Errors
    /// [`FrostError::Message`].
    pub fn session(&self) -> Result<SessionId, FrostError> {
        let mut hash = Transcript::new("keep/frost/sign")
            .with(&[self.suite.number()])
            .with(self.group.as_bytes())
            .with(self.sharing.as_bytes())
            .with(&self.epoch.to_be_bytes())
            .with(&minicbor::to_vec(&self.spec).map_err(|_| FrostError::Internal("key spec"))?)
            .with(self.message.kind().as_bytes());
        hash.add(&self.message.signed_bytes()?);
        hash.add(&self.nonce);
        Ok(SessionId::from_bytes(hash.finish()))
    }

    /// Whether this group, as it is now, may sign it.
    ///
    /// # Errors
    /// [`FrostError::WrongSuite`], [`FrostError::WrongGroup`], [`FrostError::WrongEpoch`],
    /// [`FrostError::WrongSharing`], [`FrostError::MustReshare`], [`FrostError::Message`].
    pub fn check(&self, group: &Group) -> Result<(), FrostError> {
        check_binding(group, self.suite, self.group, self.epoch, self.sharing)?;
        group.check_active()?;
        self.message.check(group, &self.spec)
    }
}

/// Who signs, with which commitments: the coordinator's message of round 2.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Package {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// One commitment per signer.
    #[n(1)]
    pub commitments: BTreeMap<Index, Commitment>,
}

impl Package {
    /// Whether a member of `group` may answer this: the right session, signers of the group, enough and not too many.
    pub(crate) fn check(
        &self,
        group: &Group,
        session: SessionId,
        me: Index,
    ) -> Result<&Commitment, FrostError> {
        if self.session != session {
            return Err(FrostError::WrongSession);
        }
        group.check_signers(self.commitments.keys())?;
        self.commitments.get(&me).ok_or(FrostError::NotASigner(me))
    }
}

/// One signer's share of the signature: 32 bytes in the suite's scalar encoding.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Partial {
    /// The session.
    #[n(0)]
    pub session: SessionId,
    /// The share. Worthless without the others; it says nothing about the secret.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub share: [u8; 32],
}
