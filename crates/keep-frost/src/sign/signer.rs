//! The signer's side.

use std::fmt;

use frost_core::{SigningPackage, round2};
use keep_types::Timestamp;
use rand_core::{CryptoRng, RngCore};

use super::proposal::{Package, Partial, Proposal};
use super::signing_package;
use crate::suite::{Curve, with_curve};
use crate::{
    Commitment, DevicePublic, FrostError, Group, Index, KeySpec, NonceId, NoncePool, Nonces, SecretShare,
    SessionId,
};

/// A signer that has committed to nonces for one proposal. It lives in one process through both rounds; if it is
/// lost, the session starts again.
#[derive(Debug)]
pub struct Committed {
    proposal: Proposal,
    session: SessionId,
    nonces: Nonces,
}

impl Committed {
    /// Round 1: commits to fresh nonces for a proposal that was judged and allowed.
    ///
    /// # Errors
    /// The errors of [`Proposal::check`] and of [`SecretShare::belongs_to`].
    pub fn new(
        group: &Group,
        share: &SecretShare,
        proposal: Proposal,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        proposal.check(group)?;
        share.belongs_to(group)?;
        let session = proposal.session()?;
        Ok(Self { proposal, session, nonces: Nonces::generate(share, rng)? })
    }

    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The proposal that was committed to.
    pub const fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// What goes to the coordinator.
    pub const fn commitment(&self) -> &Commitment {
        self.nonces.commitment()
    }

    /// Round 2: signs. The nonces are gone afterwards, also when the package is refused.
    ///
    /// # Errors
    /// [`FrostError::WrongSession`], [`FrostError::UnknownMember`], [`FrostError::TooFewSigners`],
    /// [`FrostError::NotASigner`], [`FrostError::CommitmentMismatch`], [`FrostError::OwnShareInvalid`], and those of
    /// [`Proposal::check`].
    pub fn sign(
        self,
        group: &Group,
        share: &SecretShare,
        package: &Package,
    ) -> Result<HeldShare, FrostError> {
        answer(group, share, &self.proposal, self.session, package, self.nonces)
    }
}

/// Answers proposal and package at once with a nonce from the pool, which `peer` was given before.
///
/// # Errors
/// Those of [`Committed::sign`] and of [`NoncePool::take`]. The nonce is used up only when proposal and package are
/// acceptable.
pub fn sign_pooled(
    group: &Group,
    share: &SecretShare,
    proposal: &Proposal,
    package: &Package,
    pool: &mut NoncePool,
    peer: &DevicePublic,
    now: Timestamp,
) -> Result<HeldShare, FrostError> {
    proposal.check(group)?;
    share.belongs_to(group)?;
    pool.serves(group)?;
    let session = proposal.session()?;
    let id = package.check(group, session, share.index())?.id();
    let nonces = pool.take(&id, peer, now)?;
    answer(group, share, proposal, session, package, nonces)
}

pub(super) fn answer(
    group: &Group,
    share: &SecretShare,
    proposal: &Proposal,
    session: SessionId,
    package: &Package,
    nonces: Nonces,
) -> Result<HeldShare, FrostError> {
    proposal.check(group)?;
    share.belongs_to(group)?;
    if package.check(group, session, share.index())? != nonces.commitment() {
        return Err(FrostError::CommitmentMismatch);
    }
    let burn = nonces.commitment().id();
    let share_bytes = with_curve!(group.suite(), C => {
        let package = signing_package::<C>(&package.commitments, &proposal.message().signed_bytes()?)?;
        partial::<C>(group, share, proposal.spec(), &package, nonces, true)?
    });
    let partial = Partial { session, share: share_bytes };
    Ok(HeldShare { index: share.index(), burn, partial })
}

/// Signs with the nonces, which end here. With `verify` the result is checked as a coordinator would check it.
pub(crate) fn partial<C: Curve>(
    group: &Group,
    share: &SecretShare,
    spec: &KeySpec,
    package: &SigningPackage<C>,
    nonces: Nonces,
    verify: bool,
) -> Result<[u8; 32], FrostError> {
    let keys = spec.apply_secret::<C>(group, share.key_package::<C>(group)?)?;
    let signed = round2::sign(package, nonces.open::<C>()?, &keys).map_err(|error| match error {
        frost_core::Error::IdentityCommitment => FrostError::BadPoint(C::SUITE),
        _ => FrostError::Internal("signing"),
    })?;
    if verify {
        let (id, public) = (*keys.identifier(), keys.verifying_share());
        frost_core::verify_signature_share(id, public, &signed, package, keys.verifying_key())
            .map_err(|_| FrostError::OwnShareInvalid)?;
    }
    signed.serialize().try_into().map_err(|_| FrostError::Internal("signature share"))
}

/// A signature share that may not leave yet: first its nonce is recorded as burnt, durably.
pub struct HeldShare {
    index: Index,
    burn: NonceId,
    partial: Partial,
}

impl fmt::Debug for HeldShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldShare({} with {})", self.index, self.burn)
    }
}

impl HeldShare {
    /// What must be in the burn table, which refuses a second entry, before the share leaves.
    pub const fn burn(&self) -> NonceId {
        self.burn
    }

    /// Whose share it is.
    pub const fn index(&self) -> Index {
        self.index
    }

    /// Hands the share out. `burnt` is the id that was committed to the burn table.
    ///
    /// # Errors
    /// [`FrostError::NotBurnt`] when that was another nonce's.
    pub fn release(self, burnt: &NonceId) -> Result<Partial, FrostError> {
        if *burnt == self.burn { Ok(self.partial) } else { Err(FrostError::NotBurnt) }
    }
}
