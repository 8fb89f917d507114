//! The two ciphersuites, and the one place where code is generic over them.

use std::fmt;
use std::str::FromStr;

use frost_core::keys::{KeyPackage, PublicKeyPackage};
use frost_core::round1::SigningNonces;
use frost_core::{Ciphersuite, Element, Field, Group as _, Identifier, Scalar};
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use frost_secp256k1_tr::keys::Tweak as _;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::derive::Tweak;
use crate::nonce::Sealed;
use crate::{FrostError, Index, Point};

/// A ciphersuite: curve, hash and signature format.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[cbor(index_only)]
pub enum Suite {
    /// `FROST-secp256k1-SHA256-TR-v1`: BIP-340 signatures, for Nostr and Taproot.
    #[n(1)]
    #[serde(rename = "secp256k1-tr")]
    Secp256k1Tr,
    /// `FROST-ED25519-SHA512-v1` (RFC 9591): Ed25519 signatures, for minisign.
    #[n(2)]
    #[serde(rename = "ed25519")]
    Ed25519,
}

impl Suite {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Secp256k1Tr => "secp256k1-tr",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The number that stands in binary formats.
    pub const fn number(self) -> u8 {
        match self {
            Self::Secp256k1Tr => 1,
            Self::Ed25519 => 2,
        }
    }

    /// The suite with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Secp256k1Tr),
            2 => Some(Self::Ed25519),
            _ => None,
        }
    }

    /// The length of an encoded point in bytes.
    pub const fn point_len(self) -> usize {
        match self {
            Self::Secp256k1Tr => 33,
            Self::Ed25519 => 32,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Suite {
    type Err = FrostError;

    fn from_str(text: &str) -> Result<Self, FrostError> {
        [Self::Secp256k1Tr, Self::Ed25519]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| FrostError::malformed("suite", "expected secp256k1-tr or ed25519"))
    }
}

/// Runs `$body` with `$C` standing for the curve of `$suite`.
macro_rules! with_curve {
    ($suite:expr, $C:ident => $body:expr) => {
        match $suite {
            $crate::Suite::Secp256k1Tr => {
                type $C = frost_secp256k1_tr::Secp256K1Sha256TR;
                $body
            }
            $crate::Suite::Ed25519 => {
                type $C = frost_ed25519::Ed25519Sha512;
                $body
            }
        }
    };
}
pub(crate) use with_curve;

/// What our code asks of a ciphersuite beyond what the FROST crates do.
pub(crate) trait Curve: Ciphersuite {
    const SUITE: Suite;
    /// Scalars are big-endian here and little-endian there.
    const BIG_ENDIAN: bool;

    fn tweak_public(
        keys: PublicKeyPackage<Self>,
        tweak: &Tweak,
    ) -> Result<PublicKeyPackage<Self>, FrostError>;
    fn tweak_secret(keys: KeyPackage<Self>, tweak: &Tweak) -> Result<KeyPackage<Self>, FrostError>;
    fn seal(nonces: SigningNonces<Self>) -> Sealed;
    fn unseal(nonces: &Sealed) -> Option<&SigningNonces<Self>>;
}

impl Curve for Secp256K1Sha256TR {
    const SUITE: Suite = Suite::Secp256k1Tr;
    const BIG_ENDIAN: bool = true;

    fn tweak_public(
        keys: PublicKeyPackage<Self>,
        tweak: &Tweak,
    ) -> Result<PublicKeyPackage<Self>, FrostError> {
        Ok(match tweak {
            Tweak::None => keys,
            Tweak::KeyPath => keys.tweak::<&[u8]>(None),
            Tweak::ScriptTree(root) => keys.tweak(Some(root)),
        })
    }

    fn tweak_secret(keys: KeyPackage<Self>, tweak: &Tweak) -> Result<KeyPackage<Self>, FrostError> {
        Ok(match tweak {
            Tweak::None => keys,
            Tweak::KeyPath => keys.tweak::<&[u8]>(None),
            Tweak::ScriptTree(root) => keys.tweak(Some(root)),
        })
    }

    fn seal(nonces: SigningNonces<Self>) -> Sealed {
        Sealed::Secp256k1Tr(Box::new(nonces))
    }

    fn unseal(nonces: &Sealed) -> Option<&SigningNonces<Self>> {
        match nonces {
            Sealed::Secp256k1Tr(inner) => Some(inner),
            Sealed::Ed25519(_) => None,
        }
    }
}

impl Curve for Ed25519Sha512 {
    const SUITE: Suite = Suite::Ed25519;
    const BIG_ENDIAN: bool = false;

    fn tweak_public(
        keys: PublicKeyPackage<Self>,
        tweak: &Tweak,
    ) -> Result<PublicKeyPackage<Self>, FrostError> {
        match tweak {
            Tweak::None => Ok(keys),
            Tweak::KeyPath | Tweak::ScriptTree(_) => Err(NO_TAPROOT),
        }
    }

    fn tweak_secret(keys: KeyPackage<Self>, tweak: &Tweak) -> Result<KeyPackage<Self>, FrostError> {
        match tweak {
            Tweak::None => Ok(keys),
            Tweak::KeyPath | Tweak::ScriptTree(_) => Err(NO_TAPROOT),
        }
    }

    fn seal(nonces: SigningNonces<Self>) -> Sealed {
        Sealed::Ed25519(Box::new(nonces))
    }

    fn unseal(nonces: &Sealed) -> Option<&SigningNonces<Self>> {
        match nonces {
            Sealed::Ed25519(inner) => Some(inner),
            Sealed::Secp256k1Tr(_) => None,
        }
    }
}

const NO_TAPROOT: FrostError = FrostError::Derivation("an Ed25519 group has no Taproot tweak");

/// A point from its encoding; the identity and points outside the prime-order group are refused.
pub(crate) fn element<C: Curve>(bytes: &[u8]) -> Result<Element<C>, FrostError> {
    let bad = FrostError::BadPoint(C::SUITE);
    let encoded = bytes.try_into().map_err(|_| bad.clone())?;
    <C::Group as frost_core::Group>::deserialize(&encoded).map_err(|_| bad)
}

pub(crate) fn point<C: Curve>(element: &Element<C>) -> Result<Point, FrostError> {
    let bytes = C::Group::serialize(element).map_err(|_| FrostError::BadPoint(C::SUITE))?;
    Ok(Point::from_vec(bytes.as_ref().to_vec()))
}

/// A scalar from 32 bytes in the suite's own byte order. Canonical encodings only; zero is refused.
pub(crate) fn scalar<C: Curve>(bytes: &[u8]) -> Result<Scalar<C>, FrostError> {
    type FieldOf<C> = <<C as Ciphersuite>::Group as frost_core::Group>::Field;
    let bad = FrostError::BadScalar(C::SUITE);
    let encoded = bytes.try_into().map_err(|_| bad.clone())?;
    let scalar = FieldOf::<C>::deserialize(&encoded).map_err(|_| bad.clone())?;
    if scalar == FieldOf::<C>::zero() { Err(bad) } else { Ok(scalar) }
}

/// The scalar times the generator.
pub(crate) fn public_of<C: Curve>(secret: &Scalar<C>) -> Element<C> {
    C::Group::generator() * *secret
}

pub(crate) fn zero<C: Curve>() -> Scalar<C> {
    <<C::Group as frost_core::Group>::Field as Field>::zero()
}

pub(crate) fn identifier<C: Curve>(index: Index) -> Result<Identifier<C>, FrostError> {
    Identifier::try_from(index.get()).map_err(|_| FrostError::Internal("identifier"))
}

/// The index of an identifier, if it is a small number.
pub(crate) fn index_of<C: Curve>(identifier: &Identifier<C>) -> Result<Index, FrostError> {
    let mut bytes = identifier.serialize();
    if !C::BIG_ENDIAN {
        bytes.reverse();
    }
    match bytes.split_last() {
        Some((last, rest)) if rest.iter().all(|b| *b == 0) => Index::new(u64::from(*last)),
        _ => Err(FrostError::malformed("share", "its identifier is not a small number")),
    }
}

/// Names the members that an error of the FROST crates blames.
pub(crate) fn blame<C: Curve>(error: &frost_core::Error<C>) -> Vec<Index> {
    error.culprits().iter().filter_map(|id| index_of::<C>(id).ok()).collect()
}

#[cfg(test)]
mod tests {
    use frost_ed25519::Ed25519Sha512;
    use frost_secp256k1_tr::Secp256K1Sha256TR;

    use super::*;

    /// The invalid elements of the FROST crates' own vectors.
    #[test]
    fn what_is_no_point_is_refused() {
        let invalid = |suite: &str| {
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
            let file = std::fs::read_to_string(root.join(suite).join("elements.json")).unwrap();
            let file: serde_json::Value = serde_json::from_str(&file).unwrap();
            hex::decode(file["elements"]["invalid_element"].as_str().unwrap()).unwrap()
        };
        let off_curve = invalid("frost-secp256k1-tr");
        assert_eq!(element::<Secp256K1Sha256TR>(&off_curve), Err(FrostError::BadPoint(Suite::Secp256k1Tr)));
        let off_curve = invalid("frost-ed25519");
        assert_eq!(element::<Ed25519Sha512>(&off_curve), Err(FrostError::BadPoint(Suite::Ed25519)));
        let beyond = hex::decode(format!("02{}", "ff".repeat(32))).unwrap();
        assert_eq!(element::<Secp256K1Sha256TR>(&beyond), Err(FrostError::BadPoint(Suite::Secp256k1Tr)));
        // The identity, a point of order 8, and one that is no point.
        let identity = format!("01{}", "00".repeat(31));
        let low = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".to_owned();
        let none = format!("02{}", "00".repeat(31));
        for bytes in [identity, low, none] {
            let refused = element::<Ed25519Sha512>(&hex::decode(&bytes).unwrap());
            assert_eq!(refused, Err(FrostError::BadPoint(Suite::Ed25519)), "{bytes}");
        }
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        let refused = scalar::<Secp256K1Sha256TR>(&hex::decode(order).unwrap());
        assert_eq!(refused.unwrap_err(), FrostError::BadScalar(Suite::Secp256k1Tr));
    }
}
