//! What one client may do.

use keep_types::{Collection, DecodeError, EndpointId, KeyId, PublicKey, Record, Timestamp};
use minicbor::{Decode, Encode};

use crate::{Approval, Decided, Effect, Facts, Limits, Policy, Rule, Source};

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
    /// What it may do, unless it follows a named policy of the vault.
    #[n(4)]
    pub policy: Policy,
    /// Within which bounds.
    #[n(5)]
    pub limits: Limits,
    /// Since when.
    #[n(6)]
    pub connected_at: Timestamp,
    /// Whether it follows the policy of the vault that has the name of [`policy`](Self::policy): a change of that policy is a
    /// change for this client.
    #[cbor(n(7), default)]
    pub follows: bool,
    /// What the owner decided for it when asked, the latest first.
    #[cbor(n(8), default)]
    pub remembered: Vec<Rule>,
    /// The name that the owner gave the client.
    #[n(9)]
    pub name: Option<String>,
    /// The run of the signing process for which it holds, if it holds for one only.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub session: Option<[u8; 16]>,
    /// Whether nothing is allowed until the owner says so.
    #[cbor(n(11), default)]
    pub suspended: bool,
    /// The web page that the client claims to be. Unauthenticated.
    #[n(12)]
    pub claims_url: Option<String>,
}

/// How many decisions are remembered for one client; the oldest are forgotten.
const MOST_REMEMBERED: usize = 128;

impl Record for Grant {
    const COLLECTION: Collection = Collection::Grants;

    fn from_cbor(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut grant: Self = minicbor::decode(bytes).map_err(|e| Self::error(&e.to_string()))?;
        // A bunker keeps one of them for each client: without the room that decoding left.
        grant.policy.rules.shrink_to_fit();
        Ok(grant)
    }
}

impl Grant {
    /// A grant of `policy` within `limits`.
    pub fn new(
        client: &PublicKey,
        endpoint: EndpointId,
        key: KeyId,
        policy: Policy,
        limits: Limits,
        connected_at: Timestamp,
    ) -> Self {
        Self {
            client: client.to_bytes(),
            endpoint,
            key,
            claims: None,
            policy,
            limits,
            connected_at,
            follows: false,
            remembered: Vec::new(),
            name: None,
            session: None,
            suspended: false,
            claims_url: None,
        }
    }

    /// What identifies the grant of `client` at `endpoint`.
    pub fn natural_key(client: &PublicKey, endpoint: EndpointId) -> [u8; 48] {
        let mut key = [0; 48];
        key[..32].copy_from_slice(client.as_bytes());
        key[32..].copy_from_slice(endpoint.as_bytes());
        key
    }

    /// The client.
    pub fn client_key(&self) -> PublicKey {
        PublicKey::from_byte_array(self.client)
    }

    /// Remembers a decision, before all earlier ones; what is over by `now` is forgotten.
    pub fn remember(&mut self, rule: Rule, now: Timestamp) {
        self.remembered.retain(|old| old.until.is_none_or(|until| until > now) && !same_matter(old, &rule));
        self.remembered.insert(0, rule);
        self.remembered.truncate(MOST_REMEMBERED);
    }

    /// What `policy` and the remembered decisions say. What the policy denies stays denied; otherwise the latest decision
    /// that is about the request counts, and without one the policy. What two persons must approve is asked each time: one
    /// person's earlier yes is not two.
    pub fn decide(&self, policy: &Policy, facts: &Facts<'_>) -> Decided {
        let decided = policy.decide(facts);
        if decided.effect == Effect::Deny {
            return decided;
        }
        let asks_two = decided.effect == Effect::Ask && decided.approval == Approval::TwoPersons;
        let counts = |rule: &Rule| !(asks_two && rule.effect == Effect::Allow);
        let mut remembered = self.remembered.iter();
        match remembered.position(|rule| counts(rule) && rule.fit(facts) == crate::Fit::Yes) {
            Some(at) => Decided {
                releases: decided.withheld.others(),
                withheld: decided.withheld,
                ..Decided::by(&self.remembered[at], Source::Remembered(at + 1))
            },
            None => decided,
        }
    }
}

/// Whether a decision replaces another: it is about the same requests.
fn same_matter(old: &Rule, new: &Rule) -> bool {
    let matter = |rule: &Rule| Rule { effect: Effect::Ask, until: None, name: None, ..rule.clone() };
    matter(old) == matter(new)
}
