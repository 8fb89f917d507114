//! A group's own word for a sharing of its key.
//!
//! Whoever knows the public key alone can make up public shares that fit it, and t−1 secret shares beside them. A vault
//! must not give its shares up for such an invention. What nobody can make up without a threshold of real shares is a
//! signature: a renewed group signs the name of its new sharing with the new shares.

use std::collections::BTreeMap;

use frost_core::CheaterDetection;
use frost_core::round2::SignatureShare;
use minicbor::{Decode, Encode};
use rand_core::{CryptoRng, RngCore};

use crate::sign::{encode, partial, signing_package, verify_bytes};
use crate::suite::{Curve, identifier, with_curve};
use crate::{Commitment, FrostError, Group, Index, KeySpec, NonceId, Nonces, SecretShare, Signature};

/// What the signed bytes begin with. Nothing else that begins so is ever signed.
const PREFIX: &[u8] = b"keep frost: these are the next shares of this key: ";

/// A group's signature over the name of its own sharing. It proves that a threshold of these very shares exists, and that
/// their secret is the group's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Endorsement(#[n(0)] Signature);

impl Endorsement {
    /// Signs the sharing with a threshold of its shares. The ids of the nonces are returned for the burn table.
    ///
    /// # Errors
    /// Those of [`Group::check_signers`] and [`SecretShare::check`]; [`FrostError::InconsistentGroup`] when the shares do
    /// not sign.
    pub fn sign(
        group: &Group,
        shares: &[&SecretShare],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<(Self, Vec<NonceId>), FrostError> {
        crate::dealer::check_shares(group, shares)?;
        let enough = &shares[..usize::from(group.threshold()).min(shares.len())];
        let (signature, burns) = with_curve!(group.suite(), C => signed::<C>(group, enough, rng)?);
        let endorsement = Self(signature);
        endorsement.check(group)?;
        Ok((endorsement, burns))
    }

    /// Whether the group of this very sharing has signed it.
    ///
    /// # Errors
    /// [`FrostError::NotEndorsed`].
    pub fn check(&self, group: &Group) -> Result<(), FrostError> {
        verify_bytes(group.suite(), group.key().as_bytes(), &message(group), &self.0)
            .map_err(|_| FrostError::NotEndorsed)
    }

    /// From its 64 bytes.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(Signature::from_bytes(bytes))
    }

    /// The signature: BIP-340 or Ed25519.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        self.0.as_bytes()
    }
}

/// Whether these bytes are reserved for endorsements.
pub(crate) fn is_reserved(message: &[u8]) -> bool {
    message.starts_with(PREFIX)
}

fn message(group: &Group) -> Vec<u8> {
    [PREFIX, group.sharing().as_bytes()].concat()
}

fn signed<C: Curve>(
    group: &Group,
    shares: &[&SecretShare],
    rng: &mut (impl RngCore + CryptoRng),
) -> Result<(Signature, Vec<NonceId>), FrostError> {
    let mut commitments: BTreeMap<Index, Commitment> = BTreeMap::new();
    let mut nonces = Vec::with_capacity(shares.len());
    for share in shares {
        let made = Nonces::generate(share, rng)?;
        commitments.insert(share.index(), made.commitment().clone());
        nonces.push(made);
    }
    let burns = commitments.values().map(Commitment::id).collect();
    let package = signing_package::<C>(&commitments, &message(group))?;
    let mut partials = BTreeMap::new();
    for (share, nonces) in shares.iter().zip(nonces) {
        let bytes = partial::<C>(group, share, &KeySpec::plain(), &package, nonces, false)?;
        let partial = SignatureShare::deserialize(&bytes).map_err(|_| FrostError::Internal("endorsement"))?;
        partials.insert(identifier::<C>(share.index())?, partial);
    }
    let keys = group.bare_keys::<C>()?;
    let signature = frost_core::aggregate_custom(&package, &partials, &keys, CheaterDetection::Disabled)
        .map_err(|_| FrostError::InconsistentGroup)?;
    Ok((encode::<C>(&signature)?, burns))
}
