//! The arithmetic of the rounds, on the FROST crates.

use std::collections::BTreeMap;

use frost_core::keys::dkg::{self, round1, round2};
use frost_core::keys::{
    CoefficientCommitment, KeyPackage, PublicKeyPackage, SecretShare as VssShare, SigningShare,
    VerifiableSecretSharingCommitment, refresh,
};
use frost_core::{Group as _, Identifier};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use rand_core::RngCore as _;
use zeroize::Zeroizing;

use super::plan::Plan;
use crate::seed::SeedRng;
use crate::share::scalar_bytes;
use crate::suite::{Curve, blame, element, identifier, index_of, scalar};
use crate::{FrostError, Index};

/// A member's public contribution.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Contribution {
    /// Goes into the code that people compare.
    #[cbor(n(0), with = "minicbor::bytes")]
    nonce: [u8; 32],
    /// Commitments to the coefficients of the member's polynomial.
    #[n(1)]
    coefficients: Vec<ByteVec>,
    /// Proof that it knows the first one.
    #[n(2)]
    proof: ByteVec,
}

pub(super) struct Part1<C: Curve> {
    pub(super) secret: round1::SecretPackage<C>,
    pub(super) contribution: Contribution,
}

pub(super) struct Part2<C: Curve> {
    pub(super) secret: round2::SecretPackage<C>,
    pub(super) packages: BTreeMap<Identifier<C>, round1::Package<C>>,
    pub(super) subshares: BTreeMap<Index, Zeroizing<[u8; 32]>>,
}

pub(super) type Keys<C> = (KeyPackage<C>, PublicKeyPackage<C>);

pub(super) fn part1<C: Curve>(plan: &Plan, me: Index, mut rng: SeedRng) -> Result<Part1<C>, FrostError> {
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let (id, threshold) = (identifier::<C>(me)?, plan.threshold());
    let members = u16::try_from(plan.members().len()).map_err(|_| FrostError::Internal("ceremony"))?;
    let (secret, package) = if plan.is_refresh() {
        refresh::refresh_dkg_part1(id, members, threshold, &mut rng)
    } else {
        dkg::part1(id, members, threshold, &mut rng)
    }
    .map_err(|_| FrostError::Internal("ceremony"))?;
    let coefficients = package.commitment().serialize().map_err(|_| FrostError::Internal("ceremony"))?;
    let proof = package.proof_of_knowledge().serialize().map_err(|_| FrostError::Internal("ceremony"))?;
    let coefficients = coefficients.into_iter().map(ByteVec::from).collect();
    Ok(Part1 { secret, contribution: Contribution { nonce, coefficients, proof: proof.into() } })
}

fn package<C: Curve>(plan: &Plan, contribution: &Contribution) -> Option<round1::Package<C>> {
    // In a refresh the first coefficient is zero and not sent, so nobody can add to the key.
    let expected = usize::from(plan.threshold()) - usize::from(plan.is_refresh());
    if contribution.coefficients.len() != expected {
        return None;
    }
    let mut coefficients = Vec::with_capacity(expected);
    for bytes in &contribution.coefficients {
        coefficients.push(CoefficientCommitment::new(element::<C>(bytes).ok()?));
    }
    let proof = frost_core::Signature::deserialize(&contribution.proof).ok()?;
    Some(round1::Package::new(VerifiableSecretSharingCommitment::new(coefficients), proof))
}

pub(super) fn part2<C: Curve>(
    plan: &Plan,
    secret: round1::SecretPackage<C>,
    contributions: &BTreeMap<Index, Contribution>,
) -> Result<Part2<C>, FrostError> {
    let (mut packages, mut wrong) = (BTreeMap::new(), Vec::new());
    for (from, contribution) in contributions {
        match package::<C>(plan, contribution) {
            Some(package) => drop(packages.insert(identifier::<C>(*from)?, package)),
            None => wrong.push(*from),
        }
    }
    if !wrong.is_empty() {
        return Err(FrostError::BadContribution(wrong));
    }
    let result = if plan.is_refresh() {
        refresh::refresh_dkg_part2(secret, &packages)
    } else {
        dkg::part2(secret, &packages)
    };
    let (secret, out) = result.map_err(|error| culprits::<C>(&error, &packages))?;
    let mut subshares = BTreeMap::new();
    for (id, share) in &out {
        let bytes = Zeroizing::new(scalar_bytes::<C>(&share.signing_share().to_scalar()));
        subshares.insert(index_of::<C>(id)?, bytes);
    }
    Ok(Part2 { secret, packages, subshares })
}

pub(super) fn part3<C: Curve>(
    plan: &Plan,
    me: Index,
    part2: &Part2<C>,
    received: &BTreeMap<Index, Zeroizing<[u8; 32]>>,
    old: Option<Keys<C>>,
) -> Result<Keys<C>, FrostError> {
    let mut subshares = BTreeMap::new();
    let no_scalar = received.iter().filter(|(_, bytes)| scalar::<C>(&***bytes).is_err());
    let no_scalar: Vec<Index> = no_scalar.map(|(from, _)| *from).collect();
    if !no_scalar.is_empty() {
        return Err(FrostError::BadContribution(no_scalar));
    }
    for (from, bytes) in received {
        let share = scalar::<C>(&**bytes)?;
        subshares.insert(identifier::<C>(*from)?, round2::Package::new(SigningShare::new(share)));
    }
    let result = match old {
        Some((key, public)) => {
            refresh::refresh_dkg_shares(&part2.secret, &part2.packages, &subshares, public, key)
        }
        None => dkg::part3(&part2.secret, &part2.packages, &subshares),
    };
    result.map_err(|_| FrostError::BadContribution(wrong_subshares::<C>(plan, me, part2, &subshares)))
}

/// Whose secret contribution does not fit its public one.
fn wrong_subshares<C: Curve>(
    plan: &Plan,
    me: Index,
    part2: &Part2<C>,
    subshares: &BTreeMap<Identifier<C>, round2::Package<C>>,
) -> Vec<Index> {
    let Ok(mine) = identifier::<C>(me) else { return Vec::new() };
    let wrong = subshares.iter().filter(|(id, share)| {
        let Some(package) = part2.packages.get(id) else { return true };
        let mut coefficients = package.commitment().coefficients().to_vec();
        if plan.is_refresh() {
            coefficients.insert(0, CoefficientCommitment::new(C::Group::identity()));
        }
        let commitment = VerifiableSecretSharingCommitment::new(coefficients);
        VssShare::new(mine, *share.signing_share(), commitment).verify().is_err()
    });
    wrong.filter_map(|(id, _)| index_of::<C>(id).ok()).collect()
}

/// All whose proof is wrong, where the error names only the first of them.
fn culprits<C: Curve>(
    error: &frost_core::Error<C>,
    packages: &BTreeMap<Identifier<C>, round1::Package<C>>,
) -> FrostError {
    if !matches!(error, frost_core::Error::InvalidProofOfKnowledge { .. }) {
        return FrostError::BadContribution(blame::<C>(error));
    }
    let wrong = packages.iter().filter(|(id, package)| {
        dkg::verify_proof_of_knowledge(**id, package.commitment(), package.proof_of_knowledge()).is_err()
    });
    FrostError::BadContribution(wrong.filter_map(|(id, _)| index_of::<C>(id).ok()).collect())
}

#[cfg(test)]
impl Contribution {
    pub(super) fn known(coefficients: Vec<Vec<u8>>, proof: Vec<u8>) -> Self {
        let coefficients = coefficients.into_iter().map(ByteVec::from).collect();
        Self { nonce: [0; 32], coefficients, proof: proof.into() }
    }

    pub(super) fn with_coefficients_of(self, other: &Self) -> Self {
        Self { coefficients: other.coefficients.clone(), ..self }
    }

    pub(super) fn doubled(&self) -> Self {
        Self { coefficients: [self.coefficients.clone(), self.coefficients.clone()].concat(), ..self.clone() }
    }
}
