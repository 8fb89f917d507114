//! The coordinator's side. It holds no secret; a signer may be its own coordinator.

use std::collections::BTreeMap;

use frost_core::keys::PublicKeyPackage;
use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, Error, Identifier, SigningPackage};

use super::proposal::{Package, Partial, Proposal};
use super::signing_package;
use crate::suite::{Curve, blame, identifier, with_curve};
use crate::{Commitment, FrostError, Group, Index, SessionId, Signature};

/// Collects commitments, then signature shares, and makes the signature. Who sent what comes from the channel, never
/// from the message.
#[derive(Debug, Clone)]
pub struct Coordinator<'g> {
    group: &'g Group,
    proposal: Proposal,
    session: SessionId,
    commitments: BTreeMap<Index, Commitment>,
    package: Option<Package>,
    partials: BTreeMap<Index, [u8; 32]>,
}

impl<'g> Coordinator<'g> {
    /// A session for `proposal`.
    ///
    /// # Errors
    /// Those of [`Proposal::check`].
    pub fn new(group: &'g Group, proposal: Proposal) -> Result<Self, FrostError> {
        proposal.check(group)?;
        let session = proposal.session()?;
        let (commitments, partials) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { group, proposal, session, commitments, package: None, partials })
    }

    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// What is to be signed.
    pub const fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Takes the commitment that arrived from `from`. Returns whether enough signers are there.
    ///
    /// # Errors
    /// [`FrostError::UnknownMember`], [`FrostError::WrongSession`], [`FrostError::CommitmentTwice`],
    /// [`FrostError::BadPoint`], and [`FrostError::OutOfOrder`] after [`Coordinator::package`].
    pub fn commit(
        &mut self,
        from: Index,
        session: SessionId,
        commitment: Commitment,
    ) -> Result<bool, FrostError> {
        self.group.member(from)?;
        if session != self.session {
            return Err(FrostError::WrongSession);
        }
        if self.package.is_some() {
            return Err(FrostError::OutOfOrder("the signers of this session are already fixed"));
        }
        with_curve!(self.group.suite(), C => commitment.to_frost::<C>().map(|_| ()))?;
        match self.commitments.get(&from) {
            Some(known) if *known != commitment => return Err(FrostError::CommitmentTwice(from)),
            _ => self.commitments.insert(from, commitment),
        };
        Ok(self.commitments.len() >= usize::from(self.group.threshold()))
    }

    /// Fixes the signers to those that committed, and gives the message of round 2.
    ///
    /// # Errors
    /// [`FrostError::TooFewSigners`].
    pub fn package(&mut self) -> Result<&Package, FrostError> {
        self.group.check_signers(self.commitments.keys())?;
        let (session, commitments) = (self.session, &self.commitments);
        Ok(self.package.get_or_insert_with(|| Package { session, commitments: commitments.clone() }))
    }

    /// Takes the signature share that arrived from `from`. Returns whether all are there.
    ///
    /// # Errors
    /// [`FrostError::WrongSession`], [`FrostError::NotASigner`], [`FrostError::Equivocation`],
    /// [`FrostError::OutOfOrder`] before [`Coordinator::package`].
    pub fn share(&mut self, from: Index, partial: &Partial) -> Result<bool, FrostError> {
        let package = self.package.as_ref().ok_or(FrostError::OutOfOrder("the signers are not fixed yet"))?;
        if partial.session != self.session {
            return Err(FrostError::WrongSession);
        }
        if !package.commitments.contains_key(&from) {
            return Err(FrostError::NotASigner(from));
        }
        match self.partials.get(&from) {
            Some(known) if *known != partial.share => return Err(FrostError::Equivocation(from)),
            _ => self.partials.insert(from, partial.share),
        };
        Ok(self.partials.len() == package.commitments.len())
    }

    /// The signers whose share has not arrived.
    pub fn missing(&self) -> Vec<Index> {
        self.commitments.keys().filter(|i| !self.partials.contains_key(i)).copied().collect()
    }

    /// Makes the signature and verifies it. If it does not verify, every wrong share is named.
    ///
    /// # Errors
    /// [`FrostError::ShareMissing`], [`FrostError::Cheaters`] with all of them.
    pub fn finish(self) -> Result<Signature, FrostError> {
        if let Some(index) = self.missing().first() {
            return Err(FrostError::ShareMissing(*index));
        }
        with_curve!(self.group.suite(), C => self.aggregate::<C>())
    }

    fn aggregate<C: Curve>(&self) -> Result<Signature, FrostError> {
        let package = self.package.as_ref().ok_or(FrostError::OutOfOrder("the signers are not fixed yet"))?;
        let package = signing_package::<C>(&package.commitments, &self.proposal.message().signed_bytes()?)?;
        let mut shares = BTreeMap::new();
        let mut malformed = Vec::new();
        for (index, bytes) in &self.partials {
            match SignatureShare::deserialize(bytes) {
                Ok(share) => drop(shares.insert(identifier::<C>(*index)?, share)),
                Err(_) => malformed.push(*index),
            }
        }
        if !malformed.is_empty() {
            return self.name_cheaters::<C>(&package, shares, malformed);
        }
        // The usual case needs no member's public share, so none is decompressed.
        let keys = self.proposal.spec().apply_public(self.group, self.group.bare_keys::<C>()?)?;
        match frost_core::aggregate_custom(&package, &shares, &keys, CheaterDetection::Disabled) {
            Ok(signature) => encode::<C>(&signature),
            Err(_) => self.name_cheaters::<C>(&package, shares, malformed),
        }
    }

    fn name_cheaters<C: Curve>(
        &self,
        package: &SigningPackage<C>,
        mut shares: BTreeMap<Identifier<C>, SignatureShare<C>>,
        mut cheaters: Vec<Index>,
    ) -> Result<Signature, FrostError> {
        for index in &cheaters {
            let zero = SignatureShare::deserialize(&[0; 32]).map_err(|_| FrostError::Internal("blame"))?;
            shares.insert(identifier::<C>(*index)?, zero);
        }
        let keys = self.proposal.spec().apply_public(self.group, self.signers_keys::<C>()?)?;
        match frost_core::aggregate_custom(package, &shares, &keys, CheaterDetection::AllCheaters) {
            Ok(_) | Err(Error::InvalidSignature) => {}
            Err(error) => cheaters.extend(blame::<C>(&error)),
        }
        cheaters.sort_unstable();
        cheaters.dedup();
        if cheaters.is_empty() {
            Err(FrostError::InconsistentGroup)
        } else {
            Err(FrostError::Cheaters(cheaters))
        }
    }

    fn signers_keys<C: Curve>(&self) -> Result<PublicKeyPackage<C>, FrostError> {
        let bare = self.group.bare_keys::<C>()?;
        let mut shares = BTreeMap::new();
        for index in self.commitments.keys() {
            shares.insert(identifier::<C>(*index)?, self.group.verifying_share::<C>(*index)?);
        }
        Ok(PublicKeyPackage::new(shares, *bare.verifying_key(), bare.min_signers()))
    }
}

pub(crate) fn encode<C: Curve>(signature: &frost_core::Signature<C>) -> Result<Signature, FrostError> {
    let bytes = signature.serialize().map_err(|_| FrostError::Internal("signature"))?;
    Ok(Signature::from_bytes(bytes.try_into().map_err(|_| FrostError::Internal("signature"))?))
}
