//! Signing: proposal, commitments, signature shares, signature.

mod coordinator;
mod local;
mod proposal;
mod signer;
#[cfg(test)]
mod vectors;

pub use coordinator::Coordinator;
pub use local::{LocalSession, Parked, sign_local};
pub use proposal::{Package, Partial, Proposal};
pub use signer::{Committed, HeldShare, sign_pooled};

pub(crate) use coordinator::encode;
pub(crate) use signer::partial;

use std::collections::BTreeMap;

use frost_core::{SigningPackage, VerifyingKey};

use crate::suite::{Curve, element, identifier, with_curve};
use crate::{Commitment, FrostError, Group, Index, KeySpec, Message, Signature, Suite};

pub(crate) fn signing_package<C: Curve>(
    commitments: &BTreeMap<Index, Commitment>,
    message: &[u8],
) -> Result<SigningPackage<C>, FrostError> {
    let mut out = BTreeMap::new();
    for (index, commitment) in commitments {
        out.insert(identifier::<C>(*index)?, commitment.to_frost::<C>()?);
    }
    Ok(SigningPackage::new(out, message))
}

/// Whether `signature` is the group's over `message` under `spec`.
///
/// # Errors
/// [`FrostError::BadSignature`]; [`FrostError::Derivation`], [`FrostError::Message`] for what cannot be.
pub fn verify(
    group: &Group,
    spec: &KeySpec,
    message: &Message,
    signature: &Signature,
) -> Result<(), FrostError> {
    let key = group.derive(spec)?;
    verify_bytes(group.suite(), key.as_bytes(), &message.signed_bytes()?, signature)
}

/// Whether `signature` over `message` is of the key with these 32 bytes: the x coordinate (BIP-340, messages of any
/// length), or the Ed25519 key (RFC 8032, strictly).
///
/// # Errors
/// [`FrostError::BadSignature`]; [`FrostError::BadPoint`] when the bytes are no key of the suite.
pub fn verify_with_key(
    suite: Suite,
    key: &[u8; 32],
    message: &[u8],
    signature: &Signature,
) -> Result<(), FrostError> {
    match suite {
        Suite::Ed25519 => verify_bytes(suite, key, message, signature),
        Suite::Secp256k1Tr => {
            let even = [[2].as_slice(), key].concat();
            verify_bytes(suite, &even, message, signature)
        }
    }
}

/// Whether `signature` over `message` is of the key with this encoding.
pub(crate) fn verify_bytes(
    suite: Suite,
    key: &[u8],
    message: &[u8],
    signature: &Signature,
) -> Result<(), FrostError> {
    if suite == Suite::Ed25519 {
        let key = key.try_into().map_err(|_| FrostError::BadPoint(suite))?;
        return crate::ed25519::verify_strict(key, message, signature.as_bytes());
    }
    with_curve!(suite, C => {
        let key = VerifyingKey::<C>::new(element::<C>(key)?);
        let signature = frost_core::Signature::<C>::deserialize(signature.as_bytes())
            .map_err(|_| FrostError::BadSignature)?;
        key.verify(message, &signature).map_err(|_| FrostError::BadSignature)
    })
}
