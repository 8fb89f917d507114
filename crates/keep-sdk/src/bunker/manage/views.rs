//! What is shown of clients and tokens.

use keep_policy::{Grant, LimitsDocument, PolicyDocument, Usage};
use keep_signer::Endpoint;
use keep_types::{DisplayText, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::views::npub;

/// A connected client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppView {
    /// Its public key in bech32 (NIP-19).
    pub npub: String,
    /// Its public key in hexadecimal.
    pub client: String,
    /// The owner's name for it.
    pub name: Option<String>,
    /// What it calls itself. Unauthenticated.
    #[schemars(with = "Option<String>")]
    pub claims: Option<DisplayText>,
    /// The web page that it claims to be. Unauthenticated.
    #[schemars(with = "Option<String>")]
    pub claims_url: Option<DisplayText>,
    /// The name of the key that it may use.
    pub key: String,
    /// Its policy.
    pub policy: String,
    /// Whether a change of the policy of that name is a change for it.
    pub follows: bool,
    /// The rules, unless it follows a named policy.
    #[schemars(with = "Option<serde_json::Value>")]
    pub rules: Option<PolicyDocument>,
    /// Decisions that are remembered for it.
    #[schemars(with = "Option<serde_json::Value>")]
    pub remembered: Option<PolicyDocument>,
    /// Its bounds.
    #[schemars(with = "serde_json::Value")]
    pub limits: LimitsDocument,
    /// Since when it is connected, RFC 3339.
    pub connected_at: String,
    /// When its grant ends, RFC 3339.
    pub expires_at: Option<String>,
    /// Whether its grant is over by now.
    pub expired: bool,
    /// Whether it holds only as long as the present process runs.
    pub session: bool,
    /// Whether the owner suspended it.
    pub suspended: bool,
    /// How often it used the key.
    pub uses: u64,
    /// When last, RFC 3339.
    pub last_used: Option<String>,
    /// The public transport key that it writes to, in hexadecimal.
    pub transport: String,
    /// The relays that it uses.
    pub relays: Vec<String>,
}

impl AppView {
    pub(crate) fn new(
        grant: &Grant,
        usage: &Usage,
        endpoint: Option<&Endpoint>,
        key: String,
        now: Timestamp,
    ) -> Self {
        let client = grant.client_key();
        let remembered = (!grant.remembered.is_empty()).then(|| {
            let policy = keep_policy::Policy { rules: grant.remembered.clone(), ..Default::default() };
            PolicyDocument { name: "remembered".to_owned(), ..PolicyDocument::of(&policy) }
        });
        Self {
            npub: npub(&client),
            client: client.to_hex(),
            name: grant.name.clone(),
            claims: grant.claims.as_deref().map(DisplayText::from),
            claims_url: grant.claims_url.as_deref().map(DisplayText::from),
            key,
            policy: grant.policy.name.clone(),
            follows: grant.follows,
            rules: (!grant.follows).then(|| PolicyDocument::of(&grant.policy)),
            remembered,
            limits: LimitsDocument::of(&grant.limits),
            connected_at: grant.connected_at.to_string(),
            expires_at: grant.limits.expires.map(|time| time.to_string()),
            expired: grant.limits.expires.is_some_and(|expires| now >= expires),
            session: grant.session.is_some(),
            suspended: grant.suspended,
            uses: usage.total,
            last_used: (usage.total > 0).then(|| usage.last.to_string()),
            transport: endpoint.map(|endpoint| endpoint.transport_key().to_hex()).unwrap_or_default(),
            relays: endpoint.map(|endpoint| endpoint.relays.clone()).unwrap_or_default(),
        }
    }
}

/// A token: an address whose secret carries a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Its id.
    pub id: String,
    /// The owner's name for it.
    pub name: Option<String>,
    /// The address to hand out; without the secret once that is used up or has ended.
    pub bunker_url: String,
    /// The name of the key that it gives the use of.
    pub key: String,
    /// The policy that it carries.
    pub policy: String,
    /// How many clients may connect with it.
    pub uses: u32,
    /// How many have.
    pub used: u32,
    /// When it, and what was granted for it, ends, RFC 3339.
    pub expires_at: Option<String>,
    /// Whether it has ended by now.
    pub expired: bool,
    /// The relays.
    pub relays: Vec<String>,
    /// Since when there is it, RFC 3339.
    pub created_at: String,
    /// Whether it is stopped.
    pub stopped: bool,
}

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokedView {
    /// The clients' public keys in bech32 (NIP-19).
    pub revoked: Vec<String>,
}

/// What the kill switch came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoppedView {
    /// Whether the addresses are stopped now.
    pub stopped: bool,
    /// How many there are.
    pub addresses: usize,
}
