//! Whose messages: the other side of an encryption or decryption.

use keep_types::PublicKey;
use minicbor::{Decode, Encode};

/// A set of people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Peers {
    /// The identity itself: encrypted drafts, private lists.
    #[n(0)]
    pub own: bool,
    /// These public keys (32 bytes each).
    #[n(1)]
    pub keys: Vec<Key>,
}

/// A public key of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Key(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl Peers {
    /// These people, and the identity itself if `own`.
    pub fn new(own: bool, keys: &[PublicKey]) -> Self {
        Self { own, keys: keys.iter().map(|key| Key(key.to_bytes())).collect() }
    }

    /// Their public keys.
    pub fn public_keys(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.keys.iter().map(|key| PublicKey::from_byte_array(key.0))
    }

    /// Whether `peer` is one of them, where `identity` is the key that would be used.
    pub fn contain(&self, peer: &PublicKey, identity: &PublicKey) -> bool {
        (self.own && peer == identity) || self.keys.iter().any(|key| key.0 == peer.to_bytes())
    }
}
