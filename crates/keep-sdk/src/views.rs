//! What front ends show. The same values are the command line's `--json`.

use keep_audit::Entry;
use keep_types::{DisplayText, Event, PublicKey};
use keep_vault::KeyRecord;
use nostr::ToBech32;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// Its name.
    pub name: String,
    /// Its public key in bech32 (NIP-19).
    pub npub: String,
    /// Its public key in hexadecimal.
    pub pubkey: String,
    /// Its identifier in this vault.
    pub id: String,
    /// `generated` or `imported`; or `bunker` if another bunker holds it.
    pub source: String,
    /// `key`, or `mnemonic` if the vault has the words that it follows from; `remote` if another bunker holds it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is in the tree of its mnemonic (BIP-32).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What its owner noted about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Since when it is in this vault, RFC 3339.
    pub created_at: String,
    /// When it was last used, RFC 3339; only in the list of all keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
}

impl KeyView {
    /// Whether another bunker holds it.
    pub fn is_remote(&self) -> bool {
        self.kind == "remote"
    }
}

impl From<&KeyRecord> for KeyView {
    fn from(key: &KeyRecord) -> Self {
        let public = key.nostr_key();
        Self {
            name: key.name.to_string(),
            npub: npub(&public),
            pubkey: public.to_hex(),
            id: key.id.to_string(),
            source: key.source.as_str().to_owned(),
            kind: if key.derivation.is_some() { "mnemonic" } else { "key" }.to_owned(),
            path: key.derivation.map(|derivation| derivation.path()),
            note: key.note.clone(),
            last_used: None,
            created_at: key.created_at.to_string(),
        }
    }
}

/// The bech32 form; every public key of 32 bytes has one, so the fallback is never seen.
pub(crate) fn npub(key: &PublicKey) -> String {
    key.to_bech32().unwrap_or_else(|_| key.to_hex())
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntryView {
    /// Its number.
    pub seq: u64,
    /// When, RFC 3339.
    pub time: String,
    /// What was done or asked for.
    pub action: String,
    /// How it was decided or how it ended.
    pub outcome: String,
    /// Who asked: `cli` or `nip46`.
    #[schemars(with = "String")]
    pub origin: DisplayText,
    /// The client's public key in hexadecimal.
    pub client: Option<String>,
    /// The name of the key, if it is still in the vault; else its identifier.
    pub key: Option<String>,
    /// The kind of the event.
    pub kind: Option<u16>,
    /// The id of the event, or the peer's public key, in hexadecimal.
    pub subject: Option<String>,
    /// Which rule decided, or why it failed.
    #[schemars(with = "Option<String>")]
    pub reason: Option<DisplayText>,
    /// Who said yes or no, where somebody was asked: `owner:screen`, `owner:command`, `person:NAME`, or `client` for the
    /// program that asked, which says that its own user did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub by: Vec<DisplayText>,
}

impl AuditEntryView {
    pub(crate) fn new(entry: &Entry, key_name: Option<String>) -> Self {
        Self {
            seq: entry.seq,
            time: entry.time.to_string(),
            action: entry.action.as_str().to_owned(),
            outcome: entry.outcome.as_str().to_owned(),
            origin: entry.origin.as_str().into(),
            client: entry.client.map(hex::encode),
            key: key_name.or_else(|| entry.key.map(|id| id.to_string())),
            kind: entry.event_kind,
            subject: entry.subject.map(hex::encode),
            reason: entry.reason.as_deref().map(DisplayText::from),
            by: entry.by.iter().flatten().map(|word| DisplayText::new(word)).collect(),
        }
    }
}

/// What a check of the audit log and of every record found, when nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditReport {
    /// How many entries the log has.
    pub entries: u64,
    /// The number of the first entry that is still there.
    pub first: u64,
    /// The hash of the last one, in hexadecimal.
    pub head: String,
    /// The time of the last one, RFC 3339.
    pub last: Option<String>,
    /// The revision of the vault.
    pub revision: u64,
    /// How many records the vault has.
    pub records: u64,
    /// What tells this vault from every other; absent in one of an older version.
    pub fingerprint: Option<String>,
    /// The anchor that the vault was compared with.
    pub anchor: Option<crate::AnchorView>,
}

/// An offer of a bunker: the first line of `keep --json serve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BunkerView {
    /// The one-time URL to paste into a client.
    pub bunker_url: String,
    /// The identity's public key in bech32.
    pub npub: String,
    /// The identity's public key in hexadecimal.
    pub pubkey: String,
    /// The relays on which the bunker listens.
    pub relays: Vec<String>,
    /// The policy of whoever takes the offer.
    pub policy: String,
    /// Relays of earlier addresses, on which the bunker listens too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_relays: Vec<String>,
}

/// What a relay did with a published event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishView {
    /// The relay.
    pub relay: String,
    /// Whether it took the event.
    pub accepted: bool,
    /// Why not.
    #[schemars(with = "Option<String>")]
    pub reason: Option<DisplayText>,
}

/// It is done, and there is nothing more to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

/// A signed Nostr event (NIP-01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignedEvent(pub Event);

impl JsonSchema for SignedEvent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SignedEvent".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        EventFields::json_schema(generator)
    }
}

/// The fields of a signed Nostr event (NIP-01).
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct EventFields {
    /// The hash of the other fields, in hexadecimal.
    id: String,
    /// The author's public key in hexadecimal.
    pubkey: String,
    /// Unix seconds.
    created_at: u64,
    /// The kind.
    kind: u16,
    /// The tags.
    tags: Vec<Vec<String>>,
    /// The content.
    content: String,
    /// The signature (BIP-340) in hexadecimal.
    sig: String,
}

/// Whether a process holds the vault unlocked for others, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DaemonStatus {
    /// Whether one does.
    pub unlocked: bool,
    /// The process.
    pub pid: Option<u32>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// When it locks by itself, RFC 3339.
    pub locks_at: Option<String>,
    /// How long that is from now, in seconds.
    pub locks_in_seconds: Option<u64>,
    /// Whether a person is asked about each use of a secret.
    pub confirm: bool,
    /// Whether a bunker serves in the same process.
    pub serving: bool,
    /// How many processes are connected, the asking one included.
    pub connections: usize,
}
