//! What one client may do.

use keep_types::{Collection, EndpointId, KeyId, PublicKey, Record, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::Policy;

/// Bounds on a grant beyond its rules. Enforced where the request is judged, inside the store's write lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct Limits {
    /// Nothing is allowed at this time or later.
    #[n(0)]
    pub expires: Option<Timestamp>,
    /// At most this many uses in all.
    #[n(1)]
    pub uses: Option<u64>,
    /// At most this many uses in each minute of the clock (so at most twice as many in any 60 seconds).
    #[n(2)]
    pub per_minute: Option<u32>,
}

/// What a connected client may do with one key. One record for each (client, endpoint).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Grant {
    /// The client's public key (32 bytes).
    #[cbor(n(0), with = "minicbor::bytes")]
    pub client: [u8; 32],
    /// The endpoint that it connected to.
    #[n(1)]
    pub endpoint: EndpointId,
    /// The key that it may use.
    #[n(2)]
    pub key: KeyId,
    /// What the client calls itself. Unauthenticated; shown, never trusted.
    #[n(3)]
    pub claims: Option<String>,
    /// What it may do.
    #[n(4)]
    pub policy: Policy,
    /// Within which bounds.
    #[n(5)]
    pub limits: Limits,
    /// Since when.
    #[n(6)]
    pub connected_at: Timestamp,
}

impl Record for Grant {
    const COLLECTION: Collection = Collection::Grants;
}

impl Grant {
    /// What identifies the grant of `client` at `endpoint`.
    pub fn natural_key(client: &PublicKey, endpoint: EndpointId) -> [u8; 48] {
        let mut key = [0; 48];
        key[..32].copy_from_slice(client.as_bytes());
        key[32..].copy_from_slice(endpoint.as_bytes());
        key
    }
}
