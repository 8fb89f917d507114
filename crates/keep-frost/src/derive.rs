//! Which key of a group signs: itself, a BIP-32 child, with or without a Taproot tweak.

use frost_core::keys::{KeyPackage, PublicKeyPackage, SigningShare, VerifyingShare};
use frost_core::{Element, Group as _, Scalar, VerifyingKey};
use hmac::{Hmac, Mac};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256, Sha512};

use crate::suite::{Curve, point, scalar, with_curve, zero};
use crate::{FrostError, Group, Point, Suite};

/// The Taproot tweak (BIP-341) of the key that signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode)]
pub enum Tweak {
    /// The key itself: Nostr, `rawtr(KEY)`.
    #[n(0)]
    #[default]
    None,
    /// The key as internal key without scripts (BIP-86): the key path of `tr(KEY)`.
    #[n(1)]
    KeyPath,
    /// The key as internal key over a script tree with this Merkle root: the key path of `tr(KEY,TREE)`.
    #[n(2)]
    ScriptTree(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]),
}

/// Which key of a group signs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode)]
pub struct KeySpec {
    /// Unhardened BIP-32 steps from the group key, each below 2³¹. Empty for the group key.
    #[n(0)]
    pub path: Vec<u32>,
    /// The tweak on top.
    #[n(1)]
    pub tweak: Tweak,
}

/// Which of Bitcoin's networks an extended key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// `xpub…`
    Mainnet,
    /// `tpub…`: testnet, signet, regtest.
    Testnet,
}

/// The deepest path.
const MAX_DEPTH: usize = 16;

impl KeySpec {
    /// The group key as it is.
    pub fn plain() -> Self {
        Self::default()
    }

    /// A child of the group key with a tweak.
    pub fn new(path: impl Into<Vec<u32>>, tweak: Tweak) -> Self {
        Self { path: path.into(), tweak }
    }

    pub(crate) fn apply_public<C: Curve>(
        &self,
        group: &Group,
        mut keys: PublicKeyPackage<C>,
    ) -> Result<PublicKeyPackage<C>, FrostError> {
        if !self.path.is_empty() {
            let offset = C::Group::generator() * walk::<C>(group, &self.path)?.offset;
            let shares = keys.verifying_shares().iter();
            let shares = shares.map(|(id, s)| (*id, VerifyingShare::new(s.to_element() + offset))).collect();
            let key = VerifyingKey::new(keys.verifying_key().to_element() + offset);
            keys = PublicKeyPackage::new(shares, key, keys.min_signers());
        }
        C::tweak_public(keys, &self.tweak)
    }

    pub(crate) fn apply_secret<C: Curve>(
        &self,
        group: &Group,
        mut keys: KeyPackage<C>,
    ) -> Result<KeyPackage<C>, FrostError> {
        if !self.path.is_empty() {
            let child = walk::<C>(group, &self.path)?;
            let offset = C::Group::generator() * child.offset;
            keys = KeyPackage::new(
                *keys.identifier(),
                SigningShare::new(keys.signing_share().to_scalar() + child.offset),
                VerifyingShare::new(keys.verifying_share().to_element() + offset),
                VerifyingKey::new(child.key),
                *keys.min_signers(),
            );
        }
        C::tweak_secret(keys, &self.tweak)
    }
}

/// A BIP-32 descendant: its key, its chain code, and the sum of all steps (which is what every share adds).
struct Child<C: Curve> {
    offset: Scalar<C>,
    key: Element<C>,
    chain_code: [u8; 32],
}

/// CKDpub (BIP-32) along `path`, with the parity-preserving 33-byte key.
fn walk<C: Curve>(group: &Group, path: &[u32]) -> Result<Child<C>, FrostError> {
    if C::SUITE != Suite::Secp256k1Tr {
        return Err(FrostError::Derivation("only secp256k1 groups have BIP-32 children"));
    }
    if path.len() > MAX_DEPTH {
        return Err(FrostError::Derivation("the path is too long"));
    }
    let chain_code =
        *group.chain_code().ok_or(FrostError::Derivation("the group has agreed on no chain code"))?;
    let key = group.key_element::<C>()?;
    let mut child = Child::<C> { offset: zero::<C>(), key, chain_code };
    for step in path {
        if *step >= 1 << 31 {
            return Err(FrostError::Derivation(
                "hardened children need the whole secret, which no group has",
            ));
        }
        let mut mac = Hmac::<Sha512>::new_from_slice(&child.chain_code)
            .map_err(|_| FrostError::Internal("derivation"))?;
        mac.update(point::<C>(&child.key)?.as_bytes());
        mac.update(&step.to_be_bytes());
        let out = mac.finalize().into_bytes();
        let (left, right) = out.split_at(32);
        let left = scalar::<C>(left).map_err(|_| FrostError::Derivation("this child does not exist"))?;
        child.chain_code.copy_from_slice(right);
        child.offset = child.offset + left;
        child.key = child.key + C::Group::generator() * left;
        if child.key == C::Group::identity() {
            return Err(FrostError::Derivation("this child does not exist"));
        }
    }
    Ok(child)
}

impl Group {
    /// The key that signs under `spec`, with its parity: 33 bytes (secp256k1) or 32 (Ed25519).
    ///
    /// # Errors
    /// [`FrostError::Derivation`] for what the group cannot derive.
    pub fn derive(&self, spec: &KeySpec) -> Result<Point, FrostError> {
        with_curve!(self.suite(), C => {
            let keys = spec.apply_public::<C>(self, self.bare_keys::<C>()?)?;
            point::<C>(&keys.verifying_key().to_element())
        })
    }

    /// The 32-byte public key under which signatures of `spec` verify (BIP-340 x-only, or Ed25519).
    ///
    /// # Errors
    /// As [`Group::derive`].
    pub fn derive_public(&self, spec: &KeySpec) -> Result<[u8; 32], FrostError> {
        let point = self.derive(spec)?;
        point.as_bytes().last_chunk::<32>().copied().ok_or(FrostError::Internal("public key"))
    }

    /// The group key and chain code as a BIP-32 extended public key of depth 0. Everybody who has it can derive all
    /// unhardened children; together with a child's secret it would reveal the parent's.
    ///
    /// # Errors
    /// [`FrostError::Derivation`] for Ed25519 and for groups without a chain code.
    pub fn xpub(&self, network: Network) -> Result<String, FrostError> {
        if self.suite() != Suite::Secp256k1Tr {
            return Err(FrostError::Derivation("only secp256k1 groups have an xpub"));
        }
        let chain =
            self.chain_code().ok_or(FrostError::Derivation("the group has agreed on no chain code"))?;
        let version: u32 = match network {
            Network::Mainnet => 0x0488_b21e,
            Network::Testnet => 0x0435_87cf,
        };
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend([0; 9]);
        bytes.extend(chain);
        bytes.extend(self.key().as_bytes());
        Ok(base58check(&bytes))
    }
}

/// Base58 with the 4-byte double-SHA-256 checksum.
fn base58check(payload: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let check = Sha256::digest(Sha256::digest(payload));
    let bytes = [payload, &check[..4]].concat();
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 2);
    for byte in &bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|b| **b == 0).map(|_| '1');
    zeros.chain(digits.iter().rev().map(|d| char::from(ALPHABET[usize::from(*d)]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base58check_matches_bip32_vector_1() {
        let hex = "0488b21e000000000000000000873dff81c02f525623fd1fe5167eac3a55a049de3d314bb42ee227ffed37d508\
                   0339a36013301597daef41fbe593a02cc513d0b55527ec2df1050e2e8ff49c85c2";
        let bytes = hex::decode(hex).unwrap();
        assert_eq!(
            base58check(&bytes),
            "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8"
        );
    }
}
