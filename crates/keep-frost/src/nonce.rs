//! Nonces: secret, single use, never written anywhere.

use std::fmt;

use frost_core::round1::{Nonce, NonceCommitment, SigningCommitments, SigningNonces};
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use minicbor::{Decode, Encode};
use rand_core::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::bytes::Transcript;
use crate::suite::{Curve, element, point, with_curve};
use crate::{FrostError, NonceId, Point, SecretShare, Suite};

/// The public halves of a nonce pair: what a signer sends in round 1.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Commitment {
    #[n(0)]
    hiding: Point,
    #[n(1)]
    binding: Point,
}

impl Commitment {
    /// The pair's identity, `H(D‖E)`: the key of the pool and of the burn table.
    pub fn id(&self) -> NonceId {
        let hash =
            Transcript::new("keep/frost/nonce").with(self.hiding.as_bytes()).with(self.binding.as_bytes());
        NonceId::from_bytes(hash.finish())
    }

    pub(crate) fn to_frost<C: Curve>(&self) -> Result<SigningCommitments<C>, FrostError> {
        let hiding = NonceCommitment::new(element::<C>(self.hiding.as_bytes())?);
        let binding = NonceCommitment::new(element::<C>(self.binding.as_bytes())?);
        Ok(SigningCommitments::new(hiding, binding))
    }
}

const DAMAGED: FrostError = FrostError::Internal("a nonce in memory was damaged");

fn secret_halves<C: Curve>(nonces: &SigningNonces<C>) -> Result<Zeroizing<[u8; 64]>, FrostError> {
    let mut secret = Zeroizing::new([0; 64]);
    let halves = [Zeroizing::new(nonces.hiding().serialize()), Zeroizing::new(nonces.binding().serialize())];
    for (place, half) in secret.chunks_exact_mut(32).zip(&halves) {
        place.copy_from_slice(half.get(..32).ok_or(DAMAGED)?);
    }
    Ok(secret)
}

pub(crate) enum Sealed {
    Secp256k1Tr(Box<SigningNonces<Secp256K1Sha256TR>>),
    Ed25519(Box<SigningNonces<Ed25519Sha512>>),
}

/// A secret nonce pair. It is consumed by the one signature it is used for; there is no way to copy it or to write it
/// down. Wiped on drop.
///
/// ```compile_fail
/// fn twice(nonces: &keep_frost::Nonces) -> keep_frost::Nonces { nonces.clone() }
/// ```
///
/// ```compile_fail
/// fn written(nonces: &keep_frost::Nonces) -> Vec<u8> { minicbor::to_vec(nonces).unwrap() }
/// ```
pub struct Nonces {
    sealed: Sealed,
    commitment: Commitment,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonces({})", self.commitment.id())
    }
}

impl Nonces {
    /// A fresh pair for `share`, from the generator hedged with the share itself (RFC 9591 §4.1).
    pub(crate) fn generate(
        share: &SecretShare,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Self, FrostError> {
        with_curve!(share.suite(), C => {
            let (nonces, public) = frost_core::round1::commit::<C, _>(&share.signing_share::<C>()?, rng);
            let commitment = Commitment {
                hiding: point::<C>(&public.hiding().value())?,
                binding: point::<C>(&public.binding().value())?,
            };
            Ok(Self { sealed: C::seal(nonces), commitment })
        })
    }

    /// The secret halves, hiding first: for whoever keeps them sealed in memory until their one use. The pair ends here.
    pub(crate) fn into_secret(self) -> Result<Zeroizing<[u8; 64]>, FrostError> {
        match &self.sealed {
            Sealed::Secp256k1Tr(nonces) => secret_halves(nonces),
            Sealed::Ed25519(nonces) => secret_halves(nonces),
        }
    }

    /// The pair again, as whoever kept it has authenticated it. If it is not the one that `commitment` is of, signing
    /// refuses it.
    pub(crate) fn from_secret(
        suite: Suite,
        secret: &[u8; 64],
        commitment: Commitment,
    ) -> Result<Self, FrostError> {
        with_curve!(suite, C => {
            let (hiding, binding) = secret.split_at(32);
            let half = |bytes| Nonce::<C>::deserialize(bytes).map_err(|_| DAMAGED);
            let nonces = SigningNonces::from_nonces(half(hiding)?, half(binding)?);
            Ok(Self { sealed: C::seal(nonces), commitment })
        })
    }

    /// The public halves.
    pub const fn commitment(&self) -> &Commitment {
        &self.commitment
    }

    pub(crate) fn open<C: Curve>(&self) -> Result<&SigningNonces<C>, FrostError> {
        C::unseal(&self.sealed).ok_or(FrostError::Internal("nonces of another suite"))
    }
}

#[cfg(test)]
impl Nonces {
    /// Nonces from a test vector.
    pub(crate) fn known<C: Curve>(nonces: SigningNonces<C>) -> Self {
        let public = SigningCommitments::from(&nonces);
        let commitment = Commitment {
            hiding: point::<C>(&public.hiding().value()).unwrap(),
            binding: point::<C>(&public.binding().value()).unwrap(),
        };
        Self { sealed: C::seal(nonces), commitment }
    }
}
