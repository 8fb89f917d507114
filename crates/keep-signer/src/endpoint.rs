//! Bunker endpoints: one transport key, one `bunker://` URL.

use keep_policy::{Limits, Policy};
use keep_types::{Collection, EndpointId, KeyId, PublicKey, Record, RecordId, Timestamp};
use minicbor::{Decode, Encode};
use subtle::ConstantTimeEq;

/// One bunker endpoint. Its transport key is made for it alone, so that its URL says nothing about the identity.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Endpoint {
    /// Which endpoint.
    #[n(0)]
    pub id: EndpointId,
    /// The key that its clients may use.
    #[n(1)]
    pub key: KeyId,
    /// The public transport key (32 bytes): the "remote signer" of the URL.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub transport: [u8; 32],
    /// The relays on which it listens.
    #[n(3)]
    pub relays: Vec<String>,
    /// What a client that connects with the secret may do.
    #[n(4)]
    pub policy: Policy,
    /// Within which bounds.
    #[n(5)]
    pub limits: Limits,
    /// The one-time connect secret.
    #[n(6)]
    secret: String,
    /// The client that used the secret up.
    #[cbor(n(7), with = "minicbor::bytes")]
    claimed_by: Option<[u8; 32]>,
    /// Since when it exists.
    #[n(8)]
    pub created_at: Timestamp,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("id", &self.id).field("relays", &self.relays).finish_non_exhaustive()
    }
}

impl Record for Endpoint {
    const COLLECTION: Collection = Collection::Endpoints;
}

/// The parts of an endpoint that are decided before it is made.
#[derive(Debug)]
pub(crate) struct Parts {
    pub id: EndpointId,
    pub key: KeyId,
    pub transport: PublicKey,
    pub relays: Vec<String>,
    pub policy: Policy,
    pub limits: Limits,
    pub created_at: Timestamp,
}

/// What presenting a secret comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It was unused and is this client's now.
    Accepted,
    /// This client had used it before.
    Again,
    /// It is wrong, or another client used it.
    Rejected,
}

impl Endpoint {
    pub(crate) fn new(parts: Parts, secret: String) -> Self {
        Self {
            id: parts.id,
            key: parts.key,
            transport: parts.transport.to_bytes(),
            relays: parts.relays,
            policy: parts.policy,
            limits: parts.limits,
            secret,
            claimed_by: None,
            created_at: parts.created_at,
        }
    }

    /// Where it lies.
    pub const fn place(id: EndpointId) -> RecordId {
        RecordId::from_bytes(*id.as_bytes())
    }

    /// The public transport key.
    pub fn transport_key(&self) -> PublicKey {
        PublicKey::from_byte_array(self.transport)
    }

    /// Whether a client has used the secret up.
    pub const fn is_claimed(&self) -> bool {
        self.claimed_by.is_some()
    }

    /// The connect secret, for printing the URL. `None` once it is used up.
    pub fn unused_secret(&self) -> Option<&str> {
        self.claimed_by.is_none().then_some(self.secret.as_str())
    }

    /// Presents `secret` in the name of `client`. Compared in constant time.
    pub(crate) fn claim(&mut self, client: &PublicKey, secret: &str) -> Claim {
        let same: bool = self.secret.as_bytes().ct_eq(secret.as_bytes()).into();
        let matches = same && !secret.is_empty();
        match self.claimed_by {
            None if matches => {
                self.claimed_by = Some(client.to_bytes());
                Claim::Accepted
            }
            Some(owner) if matches && owner == client.to_bytes() => Claim::Again,
            None | Some(_) => Claim::Rejected,
        }
    }
}
