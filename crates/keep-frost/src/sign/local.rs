//! Signing with shares that are all in this process.

use rand_core::{CryptoRng, RngCore};

use super::coordinator::Coordinator;
use super::proposal::Proposal;
use super::signer::answer;
use crate::{FrostError, Group, NonceId, Nonces, SecretShare, Signature};

/// Signs with at least a threshold of shares held here. No signature share leaves this function, so they are not
/// verified one by one: the signature is, before it is returned. The ids of the nonces are returned for the burn
/// table; the pipeline commits them before it releases the signature.
///
/// # Errors
/// Those of [`Proposal::check`] and [`SecretShare::belongs_to`]; [`FrostError::Duplicate`];
/// [`FrostError::TooFewSigners`]; [`FrostError::Cheaters`] for damaged shares.
pub fn sign_local(
    group: &Group,
    shares: &[&SecretShare],
    proposal: &Proposal,
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Signature, Vec<NonceId>), FrostError> {
    let mut coordinator = Coordinator::new(group, proposal.clone())?;
    let session = coordinator.session();
    let mut nonces = Vec::with_capacity(shares.len());
    for share in shares {
        share.belongs_to(group)?;
        let fresh = Nonces::generate(share, rng)?;
        coordinator.commit(share.index(), session, fresh.commitment().clone()).map_err(
            |error| match error {
                FrostError::CommitmentTwice(index) => FrostError::Duplicate(index),
                other => other,
            },
        )?;
        nonces.push(fresh);
    }
    let burnt = nonces.iter().map(|n| n.commitment().id()).collect();
    let package = coordinator.package()?.clone();
    for (share, nonces) in shares.iter().zip(nonces) {
        let held = answer(group, share, proposal, session, &package, nonces, false)?;
        let burn = held.burn();
        coordinator.share(share.index(), &held.release(&burn)?)?;
    }
    Ok((coordinator.finish()?, burnt))
}
