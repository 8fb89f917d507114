//! Signing with shares that are all in this process.

use rand_core::{CryptoRng, RngCore};

use super::coordinator::Coordinator;
use super::proposal::{Partial, Proposal};
use super::signer::partial;
use super::signing_package;
use crate::suite::with_curve;
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
    let commitments = &coordinator.package()?.commitments;
    let message = proposal.message().signed_bytes()?;
    let partials = with_curve!(group.suite(), C => {
        // The package is decoded once for all signers.
        let package = signing_package::<C>(commitments, &message)?;
        let pairs = shares.iter().zip(nonces);
        pairs
            .map(|(share, nonces)| partial::<C>(group, share, proposal.spec(), &package, nonces, false))
            .collect::<Result<Vec<_>, FrostError>>()?
    });
    for (held, share) in shares.iter().zip(partials) {
        coordinator.share(held.index(), &Partial { session, share })?;
    }
    Ok((coordinator.finish()?, burnt))
}
