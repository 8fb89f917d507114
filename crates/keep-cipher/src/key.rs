//! The secrets that two keys share.

use std::fmt;

use hmac::digest::{FixedOutput, KeyInit};
use hmac::{Hmac, Mac};
use nostr::PublicKey;
use secp256k1::{SecretKey, ecdh};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::CipherError;

/// The salt of HKDF-extract, NIP-44 "Encryption", step 1.
const SALT: &[u8] = b"nip44-v2";

/// The x coordinate of the point that two keys share (ECDH on secp256k1, not hashed). The key of NIP-04, and the
/// input of the conversation key of NIP-44. Wiped on drop.
pub struct SharedX(Zeroizing<[u8; 32]>);

impl SharedX {
    /// The x coordinate of `secret` times the point with x coordinate `peer` (the even one, as in BIP-340; x is the
    /// same for both).
    ///
    /// # Errors
    /// [`CipherError::PeerKey`] when no point has this x coordinate.
    pub fn derive(secret: &SecretKey, peer: &PublicKey) -> Result<Self, CipherError> {
        let mut compressed = [2; 33];
        compressed[1..].copy_from_slice(peer.as_bytes());
        let point = secp256k1::PublicKey::from_slice(&compressed).map_err(|_| CipherError::PeerKey)?;
        let mut shared = ecdh::shared_secret_point(&point, secret);
        let mut x = Zeroizing::new([0; 32]);
        x.copy_from_slice(&shared[..32]);
        shared.zeroize();
        Ok(Self(x))
    }

    /// The secret itself. Keep the borrow short.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SharedX {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedX(…)")
    }
}

/// The key of a conversation between two keys (NIP-44 version 2), the same in both directions. Wiped on drop.
pub struct ConversationKey(Zeroizing<[u8; 32]>);

impl ConversationKey {
    /// The conversation key of `secret` and `peer`. This costs a multiplication on the curve: keep the key, if it is
    /// used again.
    ///
    /// # Errors
    /// [`CipherError::PeerKey`] when `peer` is not a point of the curve.
    pub fn derive(secret: &SecretKey, peer: &PublicKey) -> Result<Self, CipherError> {
        Ok(Self::from_shared(&SharedX::derive(secret, peer)?))
    }

    /// The conversation key from a shared x coordinate that was computed before.
    pub fn from_shared(shared: &SharedX) -> Self {
        let mut mac = hmac_sha256(SALT);
        mac.update(shared.expose());
        let mut key = Zeroizing::new([0; 32]);
        mac.finalize_into((&mut *key).into());
        Self(key)
    }

    /// A conversation key that was computed elsewhere. Wipes the source.
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let key = Self(Zeroizing::new(*bytes));
        bytes.zeroize();
        key
    }

    /// The secret itself. Keep the borrow short.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ConversationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConversationKey(…)")
    }
}

/// HMAC-SHA256 under a key of at most 64 bytes. Such a key is the same as with zeros up to the block of SHA-256, and
/// a whole block is a key that cannot be refused.
pub(crate) fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    let len = key.len().min(64);
    block[..len].copy_from_slice(&key[..len]);
    <Hmac<Sha256> as KeyInit>::new((&*block).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = SecretKey::from_slice(&[7; 32]).unwrap();
        let peer = PublicKey::from(secret.x_only_public_key(secp256k1::SECP256K1).0);
        let shared = SharedX::derive(&secret, &peer).unwrap();
        let key = ConversationKey::from_shared(&shared);
        assert_eq!(format!("{shared:?} {key:?}"), "SharedX(…) ConversationKey(…)");
    }
}
