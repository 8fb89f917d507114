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
    /// The relays that its clients should use.
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
    /// Whether its clients follow the policy of the vault that has the name of [`policy`](Self::policy).
    #[cbor(n(9), default)]
    pub follows: bool,
    /// The name that the owner gave it.
    #[n(10)]
    pub name: Option<String>,
    /// How many clients may use the secret, where that is not one.
    #[n(11)]
    uses: Option<u32>,
    /// Clients that used the secret after the first one.
    #[cbor(n(12), default)]
    later: Vec<Client>,
    /// When the secret ends, and what was granted for it.
    #[n(13)]
    pub expires: Option<Timestamp>,
    /// Whether it is stopped: none of its clients is answered until the owner lets it go on.
    #[cbor(n(14), default)]
    pub stopped: bool,
    /// Whether it was made as a token, to be handed out, and not as the address of a running bunker.
    #[cbor(n(15), default)]
    pub is_token: bool,
    /// The relays that it moved away from: it still listens there, for clients that have not heard of it.
    #[cbor(n(16), default)]
    pub left: Vec<String>,
    /// Whether it has other relays than at first, or had.
    #[cbor(n(17), default)]
    moved: bool,
    /// Whether it was made for a client that asked (`nostrconnect://`), on relays of the client's choice.
    #[cbor(n(18), default)]
    pub asked_for: bool,
}

/// How many relays that were moved away from are still listened to.
const MAX_LEFT: usize = 8;

/// A client's public key (32 bytes).
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
struct Client(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

/// What an endpoint has beyond the usual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Its name for the owner.
    pub name: Option<String>,
    /// Whether its clients follow the policy of the vault that has the policy's name.
    pub follows: bool,
    /// How many clients may connect with its secret.
    pub uses: u32,
    /// When the secret, and what was granted for it, ends.
    pub expires: Option<Timestamp>,
    /// Whether it is a token, to be handed out.
    pub is_token: bool,
    /// Whether it is for a client that asked, on relays of the client's choice.
    pub asked_for: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { name: None, follows: false, uses: 1, expires: None, is_token: false, asked_for: false }
    }
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
    pub terms: Terms,
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
            follows: parts.terms.follows,
            name: parts.terms.name,
            uses: (parts.terms.uses != 1).then_some(parts.terms.uses),
            later: Vec::new(),
            expires: parts.terms.expires,
            stopped: false,
            is_token: parts.terms.is_token,
            left: Vec::new(),
            moved: false,
            asked_for: parts.terms.asked_for,
        }
    }

    /// Where it lies.
    pub const fn place(id: EndpointId) -> RecordId {
        RecordId::from_bytes(*id.as_bytes())
    }

    /// Has its clients use other relays. Those of before are listened to as well.
    pub(crate) fn move_to(&mut self, relays: Vec<String>) {
        let before = std::mem::replace(&mut self.relays, relays);
        self.moved |= before != self.relays;
        let told: Vec<String> = self.left.drain(..).chain(before).collect();
        for relay in told {
            if !self.relays.contains(&relay) && !self.left.contains(&relay) {
                self.left.push(relay);
            }
        }
        // Of many moves only the latest relays are kept.
        self.left.drain(..self.left.len().saturating_sub(MAX_LEFT));
    }

    /// The relays to tell a client that asks for them (`switch_relays`), if they are others than it was told first.
    pub fn moved(&self) -> Option<&[String]> {
        self.moved.then_some(self.relays.as_slice())
    }

    /// Every relay on which it listens.
    pub fn listens_on(&self) -> impl Iterator<Item = &String> {
        self.relays.iter().chain(&self.left)
    }

    /// Uses the connect secret up, so that nobody new connects with it.
    pub(crate) fn burn(&mut self) {
        self.claimed_by = self.claimed_by.or(Some([0; 32]));
        self.uses = None;
    }

    /// The public transport key.
    pub fn transport_key(&self) -> PublicKey {
        PublicKey::from_byte_array(self.transport)
    }

    /// How many clients may use the secret.
    pub fn uses(&self) -> u32 {
        self.uses.unwrap_or(1)
    }

    /// How many clients have used the secret.
    pub fn used(&self) -> u32 {
        u32::from(self.claimed_by.is_some())
            .saturating_add(u32::try_from(self.later.len()).unwrap_or(u32::MAX))
    }

    /// Whether the secret is used up.
    pub fn is_claimed(&self) -> bool {
        self.used() >= self.uses()
    }

    /// Whether the secret has ended by `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// The connect secret, for printing the URL. `None` once it is used up.
    pub fn unused_secret(&self) -> Option<&str> {
        (!self.is_claimed()).then_some(self.secret.as_str())
    }

    /// Presents `secret` in the name of `client`. Compared in constant time.
    pub(crate) fn claim(&mut self, client: &PublicKey, secret: &str, now: Timestamp) -> Claim {
        let same: bool = self.secret.as_bytes().ct_eq(secret.as_bytes()).into();
        if !same || secret.is_empty() || self.is_expired(now) || self.stopped {
            return Claim::Rejected;
        }
        let bytes = client.to_bytes();
        if self.claimed_by == Some(bytes) || self.later.contains(&Client(bytes)) {
            return Claim::Again;
        }
        if self.is_claimed() {
            return Claim::Rejected;
        }
        match self.claimed_by {
            None => self.claimed_by = Some(bytes),
            Some(_) => self.later.push(Client(bytes)),
        }
        Claim::Accepted
    }
}
