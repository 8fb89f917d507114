//! Public byte strings: points, digests, signatures.

use std::fmt;

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

macro_rules! public_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] [u8; $len]);

        impl $name {
            /// From its bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex::encode(self.0))
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::FrostError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| {
                    crate::FrostError::malformed(stringify!($name), concat!("expected the hex of ", $len, " bytes"))
                })?;
                Ok(Self(bytes))
            }
        }
    };
}

public_bytes!(
    /// Which group key: a hash of suite and key. It stays the same through refresh and repair.
    GroupId, 32
);
public_bytes!(
    /// Which way of sharing out a key: a hash of suite, key, threshold, epoch and all public shares. Two splits of one
    /// key differ in it, as do two epochs.
    SharingId, 32
);
public_bytes!(
    /// Which session: a hash of everything that was agreed before its first message.
    SessionId, 32
);
public_bytes!(
    /// What makes a nonce pair itself: `H(D‖E)` over its two public commitments. It is what a signer burns.
    NonceId, 32
);
public_bytes!(
    /// A finished signature: 64 bytes, BIP-340 or Ed25519 (RFC 8032).
    Signature, 64
);

/// A point of the group's curve in its usual encoding: 33 bytes compressed (SEC 1) for secp256k1, 32 for Ed25519.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Point(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>);

impl Point {
    pub(crate) fn from_vec(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Point({})", hex::encode(&self.0))
    }
}

/// SHA-256 with domain separation. Every part is preceded by its length, so that no two lists of parts collide.
pub(crate) struct Transcript(Sha256);

impl Transcript {
    pub(crate) fn new(domain: &str) -> Self {
        Self(Sha256::new()).with(domain.as_bytes())
    }

    pub(crate) fn with(mut self, part: &[u8]) -> Self {
        self.add(part);
        self
    }

    pub(crate) fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
