//! What is shown of a request that waits.

use keep_types::{DisplayText, MessageFacts, Origin, SpendFacts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::queue::Waiting;
use crate::views::npub;

/// A request that waits for a person, decoded from the very bytes that would be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingView {
    /// Its id, for `keep approve` and `keep deny`.
    pub id: String,
    /// Since when it waits, RFC 3339.
    pub since: String,
    /// Who asks for what, in one line.
    #[serde(default)]
    pub headline: String,
    /// Who asks, in words.
    #[serde(default)]
    pub asker: String,
    /// Who asks: `cli`, `nip46`, ….
    pub origin: String,
    /// The client's public key in hexadecimal.
    pub client: Option<String>,
    /// The same in bech32 (NIP-19).
    pub client_npub: Option<String>,
    /// The owner's name for the client.
    #[schemars(with = "String")]
    pub name: DisplayText,
    /// What the client calls itself. Unauthenticated.
    #[schemars(with = "String")]
    pub claims: DisplayText,
    /// The name of the key that is to be used.
    pub key: String,
    /// The method.
    pub method: String,
    /// The kind of the event.
    pub kind: Option<u16>,
    /// What events of this kind are.
    pub kind_name: Option<String>,
    /// The time that the event claims, RFC 3339.
    pub created_at: Option<String>,
    /// The event's tags.
    #[schemars(with = "Vec<Vec<String>>")]
    pub tags: Vec<Vec<DisplayText>>,
    /// The event's content.
    #[schemars(with = "String")]
    pub content: DisplayText,
    /// The other side of an encryption or decryption, in hexadecimal.
    pub peer: Option<String>,
    /// Whom the event names.
    #[schemars(with = "Vec<String>")]
    pub recipients: Vec<DisplayText>,
    /// The amount of a zap request in millisatoshi.
    pub zap_millisats: Option<u64>,
    /// What a Bitcoin transaction does.
    pub spend: Option<SpendFacts>,
    /// What a message in the name of a Bitcoin address says.
    pub message: Option<MessageFacts>,
    /// How many characters of its texts are not shown here; `keep pending show` shows all of them.
    #[serde(default)]
    pub not_shown: u64,
    /// Why it is asked.
    pub because: String,
    /// How many persons must approve.
    pub persons: u8,
    /// Who approved so far.
    pub approved_by: Vec<String>,
}

impl PendingView {
    /// At most `most` characters of each text are shown.
    pub(crate) fn new(waiting: &Waiting, key: String, most: usize) -> Self {
        let (prompt, not_shown) = waiting.prompt.cut(most);
        let client = match &prompt.origin {
            Origin::Nip46 { client, .. } => Some(*client),
            Origin::Cli | Origin::Agent { .. } => None,
        };
        Self {
            id: waiting.id.clone(),
            headline: prompt.headline(),
            asker: prompt.asker(),
            not_shown: u64::try_from(not_shown).unwrap_or(u64::MAX),
            since: waiting.since.to_string(),
            origin: prompt.origin.label().to_owned(),
            client: client.map(|key| key.to_hex()),
            client_npub: client.map(|key| npub(&key)),
            name: prompt.name.clone(),
            claims: prompt.claims.clone(),
            key,
            method: prompt.operation.to_string(),
            kind: prompt.kind.map(|kind| kind.as_u16()),
            kind_name: prompt.kind_name().map(str::to_owned),
            created_at: prompt.created_at.map(|time| time.to_string()),
            tags: prompt.tags.clone(),
            content: prompt.content.clone(),
            peer: prompt.peer.map(|peer| peer.to_hex()),
            recipients: prompt.recipients().into_iter().cloned().collect(),
            zap_millisats: prompt.zap_millisats(),
            spend: prompt.spend.clone(),
            message: prompt.message.clone(),
            because: prompt.because.clone(),
            persons: prompt.approval.persons(),
            approved_by: waiting.yes.iter().map(|voice| voice.by.name().to_owned()).collect(),
        }
    }
}

/// What a decision came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoteView {
    /// Whether the request is decided.
    pub settled: bool,
    /// Whether it was approved.
    pub approved: bool,
    /// How many more persons must approve.
    pub needs: u8,
}
