//! Signing with shares that are all in this process, and with those of them that are.

use std::collections::BTreeMap;
use std::fmt;

use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::coordinator::Coordinator;
use super::proposal::{Package, Partial, Proposal};
use super::signer::{HeldShare, answer, partial};
use super::signing_package;
use crate::suite::with_curve;
use crate::{Commitment, FrostError, Group, Index, NonceId, Nonces, SecretShare, SessionId, Signature};

/// Round 1 of the shares that are in this process: their nonces, for one proposal. It lives in memory only and ends with
/// the one signature, or the one answer, that it is for.
#[derive(Debug)]
pub struct LocalSession {
    proposal: Proposal,
    session: SessionId,
    nonces: BTreeMap<Index, Nonces>,
}

impl LocalSession {
    /// Makes nonces for `shares`.
    ///
    /// # Errors
    /// Those of [`Proposal::check`] and [`SecretShare::belongs_to`]; [`FrostError::Duplicate`].
    pub fn new(
        group: &Group,
        shares: &[&SecretShare],
        proposal: Proposal,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        proposal.check(group)?;
        let session = proposal.session()?;
        let mut nonces = BTreeMap::new();
        for share in shares {
            share.belongs_to(group)?;
            if nonces.insert(share.index(), Nonces::generate(share, rng)?).is_some() {
                return Err(FrostError::Duplicate(share.index()));
            }
        }
        Ok(Self { proposal, session, nonces })
    }

    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// What is to be signed.
    pub const fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// The members whose shares are here, and what they commit to.
    pub fn commitments(&self) -> impl Iterator<Item = (Index, &Commitment)> {
        self.nonces.iter().map(|(index, nonces)| (*index, nonces.commitment()))
    }

    /// Takes the nonces out, for the time between the rounds: `keep` seals the 64 secret bytes of each, in memory of this
    /// process only. They come back once, with [`Parked::unpark`].
    ///
    /// # Errors
    /// That of `keep`.
    pub fn park<K, E: From<FrostError>>(
        self,
        mut keep: impl FnMut(&[u8; 64]) -> Result<K, E>,
    ) -> Result<Parked<K>, E> {
        let Self { proposal, session, nonces } = self;
        let mut parked = Vec::with_capacity(nonces.len());
        for (index, nonces) in nonces {
            let commitment = nonces.commitment().clone();
            parked.push((index, commitment, keep(&*nonces.into_secret()?)?));
        }
        Ok(Parked { proposal, session, nonces: parked })
    }

    /// What must be in the burn table before anything is made of the nonces.
    pub fn burns(&self) -> Vec<NonceId> {
        self.commitments().map(|(_, commitment)| commitment.id()).collect()
    }

    /// Signs with the shares that are here alone. No signature share leaves, so they are not verified one by one: the
    /// signature is, before it is returned.
    ///
    /// # Errors
    /// [`FrostError::TooFewSigners`]; [`FrostError::ShareMissing`] for a share that is not given;
    /// [`FrostError::Cheaters`] for damaged shares.
    pub fn finish(self, group: &Group, shares: &[&SecretShare]) -> Result<Signature, FrostError> {
        let mut coordinator = Coordinator::new(group, self.proposal.clone())?;
        for (index, commitment) in self.commitments() {
            coordinator.commit(index, self.session, commitment.clone())?;
        }
        let commitments = &coordinator.package()?.commitments;
        let message = self.proposal.message().signed_bytes()?;
        let spec = self.proposal.spec();
        let partials = with_curve!(group.suite(), C => {
            // The package is decoded once for all signers.
            let package = signing_package::<C>(commitments, &message)?;
            let mut partials = Vec::with_capacity(self.nonces.len());
            for (index, nonces) in self.nonces {
                let share = given(shares, index)?;
                share.belongs_to(group)?;
                partials.push((index, partial::<C>(group, share, spec, &package, nonces, false)?));
            }
            partials
        });
        for (index, share) in partials {
            coordinator.share(index, &Partial { session: self.session, share })?;
        }
        coordinator.finish()
    }

    /// Answers the coordinator's package with one verified signature share for each share that is here.
    ///
    /// # Errors
    /// Those of [`Committed::sign`](super::Committed::sign); [`FrostError::ShareMissing`].
    pub fn answer(
        self,
        group: &Group,
        shares: &[&SecretShare],
        package: &Package,
    ) -> Result<Vec<HeldShare>, FrostError> {
        let Self { proposal, session, nonces } = self;
        let mut held = Vec::with_capacity(nonces.len());
        for (index, nonces) in nonces {
            // Of several that committed the coordinator may have chosen some.
            if package.commitments.contains_key(&index) {
                held.push(answer(group, given(shares, index)?, &proposal, session, package, nonces)?);
            }
        }
        match held.first() {
            Some(_) => Ok(held),
            None => Err(shares
                .first()
                .map_or(FrostError::Internal("no shares"), |share| FrostError::NotASigner(share.index()))),
        }
    }
}

/// A session between its rounds, with nonces that are sealed as `K`. Neither can be copied or written down.
pub struct Parked<K> {
    proposal: Proposal,
    session: SessionId,
    nonces: Vec<(Index, Commitment, K)>,
}

impl<K> fmt::Debug for Parked<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parked({} with {} nonces)", self.session, self.nonces.len())
    }
}

impl<K> Parked<K> {
    /// The session.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The session with its nonces, for the one use that they have.
    ///
    /// # Errors
    /// That of `open`; [`FrostError::Internal`] when what it gives are not the nonces that were sealed.
    pub fn unpark<E: From<FrostError>>(
        self,
        mut open: impl FnMut(&K) -> Result<Zeroizing<[u8; 64]>, E>,
    ) -> Result<LocalSession, E> {
        let Self { proposal, session, nonces: parked } = self;
        let mut nonces = BTreeMap::new();
        for (index, commitment, sealed) in parked {
            let secret = open(&sealed)?;
            nonces.insert(index, Nonces::from_secret(proposal.suite(), &secret, commitment)?);
        }
        Ok(LocalSession { proposal, session, nonces })
    }
}

fn given<'s>(shares: &[&'s SecretShare], index: Index) -> Result<&'s SecretShare, FrostError> {
    shares.iter().find(|share| share.index() == index).copied().ok_or(FrostError::ShareMissing(index))
}

/// Signs with at least a threshold of shares held here. The ids of the nonces are returned for the burn table; the
/// pipeline commits them before it releases the signature.
///
/// # Errors
/// Those of [`LocalSession::new`] and [`LocalSession::finish`].
pub fn sign_local(
    group: &Group,
    shares: &[&SecretShare],
    proposal: &Proposal,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Signature, Vec<NonceId>), FrostError> {
    let session = LocalSession::new(group, shares, proposal.clone(), rng)?;
    let burnt = session.burns();
    Ok((session.finish(group, shares)?, burnt))
}
