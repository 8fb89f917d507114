//! Identifiers.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Why an identifier could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hex digits")]
pub struct IdError {
    expected: usize,
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
        #[serde(try_from = "String", into = "String")]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] [u8; $len]);

        impl $name {
            /// An identifier from its bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// A fresh identifier from the operating system's random number generator.
            ///
            /// # Errors
            /// When the operating system gives no random bytes.
            pub fn random() -> Result<Self, getrandom::Error> {
                let mut bytes = [0; $len];
                getrandom::getrandom(&mut bytes)?;
                Ok(Self(bytes))
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

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError { expected: 2 * $len })?;
                Ok(Self(bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

byte_id!(
    /// Which vault. Random, made by `init`; a restored vault has a new one.
    VaultId, 16
);
byte_id!(
    /// Which key of a vault. Random; it never changes when the key is renamed.
    KeyId, 16
);
byte_id!(
    /// Which bunker endpoint: one transport key, one `bunker://` URL.
    EndpointId, 16
);
byte_id!(
    /// Which session of an agent. It tells nothing about the session's token.
    SessionId, 16
);
byte_id!(
    /// Where a record lies in its collection: random, or a keyed hash of its natural key.
    RecordId, 16
);
byte_id!(
    /// What makes a request the same request: the event id for NIP-46, else an idempotency key.
    RequestId, 32
);

impl RecordId {
    /// The place of a record that is found by a number: 8 zero bytes and the number, big-endian.
    pub fn numbered(number: u64) -> Self {
        Self((u128::from(number)).to_be_bytes())
    }

    /// The number in the last 8 bytes.
    pub const fn number(&self) -> u64 {
        (u128::from_be_bytes(self.0) & u64::MAX as u128) as u64
    }
}

/// The number of a commit of a vault. Grows by one with each durable batch.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Revision(#[n(0)] u64);

impl Revision {
    /// Before the first commit.
    pub const ZERO: Self = Self(0);

    /// Revision number `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The revision of the next commit.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One pass of one request through the write path of one process. What was permitted, computed and committed under
/// different jobs cannot be combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobId(u64);

impl JobId {
    /// A job number that this process has not given out before.
    pub fn fresh() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_reject_garbage() {
        let id = KeyId::random().unwrap();
        assert_eq!(id.to_string().parse::<KeyId>().unwrap(), id);
        assert!("abcd".parse::<KeyId>().is_err());
        assert!("zz".repeat(16).parse::<KeyId>().is_err());
        let cbor = minicbor::to_vec(id).unwrap();
        assert_eq!(minicbor::decode::<KeyId>(&cbor).unwrap(), id);
    }

    #[test]
    fn jobs_never_repeat() {
        assert_ne!(JobId::fresh(), JobId::fresh());
    }
}
