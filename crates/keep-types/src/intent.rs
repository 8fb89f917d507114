//! What is asked for, as typed facts computed from the very bytes that will be used.

use std::fmt;
use std::str::FromStr;

use nostr::{Kind, PublicKey, Tag, Tags, UnsignedEvent};
use serde::{Deserialize, Serialize};

use crate::{
    ErrorCode, Fault, GroupMessage, GroupSign, GroupUse, InspectedMessage, InspectedSpend, MessageFacts,
    SecretBytes, SecretText, SpendFacts, event_id,
};

/// Which payload encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// NIP-44 version 2.
    Nip44,
    /// NIP-04, unrecommended and unauthenticated, still spoken by old clients.
    Nip04,
}

/// A use of a secret that somebody asks for.
///
/// The facts that policy judges come from the accessors below, which read the very value that the vault will act on.
#[derive(Debug)]
pub enum Intent {
    /// Tell the public key of the identity.
    GetPublicKey,
    /// Sign a Nostr event (NIP-01). The id is computed here, never taken from the caller.
    SignEvent(UnsignedEvent),
    /// Encrypt `plaintext` to `peer`.
    Encrypt {
        /// Which encryption.
        scheme: Scheme,
        /// The other side of the conversation.
        peer: PublicKey,
        /// What to encrypt.
        plaintext: SecretText,
    },
    /// Decrypt what `peer` sent.
    Decrypt {
        /// Which encryption.
        scheme: Scheme,
        /// The other side of the conversation.
        peer: PublicKey,
        /// The encrypted payload, as received.
        ciphertext: String,
    },
    /// Encrypt or decrypt with NIP-44 version 3 (draft).
    Nip44V3(Box<V3Use>),
    /// Hand out the secret key itself.
    Export,
    /// Hand out the words of the mnemonic that the key follows from.
    ExportMnemonic,
    /// Hand out a stored secret. The request's key is the identifier of the secret.
    RevealSecret,
    /// Hand out everything in the vault, for a backup. The request's key is that of no key.
    Backup,
    /// Use the shares of a group.
    Group(Box<GroupUse>),
    /// Derive the public side of a Bitcoin account (BIP-86). It holds no secret, but shows every address.
    BitcoinAccount {
        /// The coin type of the path (SLIP-44): 0 on mainnet, 1 on every test network.
        coin_type: u32,
        /// The number of the account.
        account: u32,
    },
    /// Sign a Bitcoin transaction, with every input that is ours (BIP-174).
    SignPsbt(Box<dyn InspectedSpend>),
    /// Sign a message in the name of a Bitcoin address (BIP-322).
    SignMessage(Box<dyn InspectedMessage>),
}

/// A use of NIP-44 version 3 (draft): bytes, for an event kind and a scope within it, which are authenticated.
#[derive(Debug)]
pub enum V3Use {
    /// Encrypt.
    Encrypt {
        /// The other side of the conversation.
        peer: PublicKey,
        /// The kind that the message is for.
        kind: u32,
        /// What within that kind.
        scope: String,
        /// What to encrypt.
        plaintext: SecretBytes,
    },
    /// Decrypt.
    Decrypt {
        /// The other side of the conversation.
        peer: PublicKey,
        /// The kind that the message is for.
        kind: u32,
        /// What within that kind.
        scope: String,
        /// The encrypted payload, as received.
        payload: String,
    },
}

/// The kinds of use, as policy and the audit log name them. The words are those of NIP-46.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `get_public_key`
    GetPublicKey,
    /// `sign_event`
    SignEvent,
    /// `nip44_encrypt`
    Nip44Encrypt,
    /// `nip44_decrypt`
    Nip44Decrypt,
    /// `nip44v3_encrypt`
    Nip44V3Encrypt,
    /// `nip44v3_decrypt`
    Nip44V3Decrypt,
    /// `nip04_encrypt`
    Nip04Encrypt,
    /// `nip04_decrypt`
    Nip04Decrypt,
    /// `export`: the secret key leaves the vault.
    Export,
    /// `export_mnemonic`: the mnemonic leaves the vault.
    ExportMnemonic,
    /// `reveal_secret`: a stored secret leaves the vault.
    RevealSecret,
    /// `backup`: everything leaves the vault.
    Backup,
    /// `frost_sign`: shares of a group sign something that is no event.
    FrostSign,
    /// `share_export`: a share of a group leaves the vault.
    ShareExport,
    /// `group_recover`: the whole secret key of a group leaves the vault.
    GroupRecover,
    /// `group_refresh`: the shares of a group are renewed.
    GroupRefresh,
    /// `share_repair`: shares of a group make another member's share again.
    ShareRepair,
    /// `key_split`: a key becomes a group.
    KeySplit,
    /// `bitcoin_account`: the public side of a Bitcoin account is told.
    BitcoinAccount,
    /// `sign_psbt`: a Bitcoin transaction is signed.
    SignPsbt,
    /// `sign_message`: a message is signed in the name of a Bitcoin address.
    SignMessage,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 21] = [
        Self::GetPublicKey,
        Self::SignEvent,
        Self::Nip44Encrypt,
        Self::Nip44Decrypt,
        Self::Nip44V3Encrypt,
        Self::Nip44V3Decrypt,
        Self::Nip04Encrypt,
        Self::Nip04Decrypt,
        Self::Export,
        Self::ExportMnemonic,
        Self::RevealSecret,
        Self::Backup,
        Self::FrostSign,
        Self::ShareExport,
        Self::GroupRecover,
        Self::GroupRefresh,
        Self::ShareRepair,
        Self::KeySplit,
        Self::BitcoinAccount,
        Self::SignPsbt,
        Self::SignMessage,
    ];

    /// Whether a secret itself leaves the vault by it, or is given to other holders: never allowed to anybody but the owner.
    pub const fn hands_out(self) -> bool {
        match self {
            Self::Export
            | Self::ExportMnemonic
            | Self::RevealSecret
            | Self::Backup
            | Self::ShareExport
            | Self::GroupRecover
            | Self::GroupRefresh
            | Self::ShareRepair
            | Self::KeySplit => true,
            Self::GetPublicKey
            | Self::SignEvent
            | Self::Nip44Encrypt
            | Self::Nip44Decrypt
            | Self::Nip44V3Encrypt
            | Self::Nip44V3Decrypt
            | Self::Nip04Encrypt
            | Self::Nip04Decrypt
            | Self::FrostSign
            | Self::BitcoinAccount
            | Self::SignPsbt
            | Self::SignMessage => false,
        }
    }

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GetPublicKey => "get_public_key",
            Self::SignEvent => "sign_event",
            Self::Nip44Encrypt => "nip44_encrypt",
            Self::Nip44Decrypt => "nip44_decrypt",
            Self::Nip44V3Encrypt => "nip44v3_encrypt",
            Self::Nip44V3Decrypt => "nip44v3_decrypt",
            Self::Nip04Encrypt => "nip04_encrypt",
            Self::Nip04Decrypt => "nip04_decrypt",
            Self::Export => "export",
            Self::ExportMnemonic => "export_mnemonic",
            Self::RevealSecret => "reveal_secret",
            Self::Backup => "backup",
            Self::FrostSign => "frost_sign",
            Self::ShareExport => "share_export",
            Self::GroupRecover => "group_recover",
            Self::GroupRefresh => "group_refresh",
            Self::ShareRepair => "share_repair",
            Self::KeySplit => "key_split",
            Self::BitcoinAccount => "bitcoin_account",
            Self::SignPsbt => "sign_psbt",
            Self::SignMessage => "sign_message",
        }
    }
}

impl Operation {
    /// What clients may be allowed: never that a secret leaves the vault.
    pub fn for_clients() -> Vec<Self> {
        Self::ALL.into_iter().filter(|operation| operation.is_for_clients()).collect()
    }

    /// Whether clients may be allowed it at all.
    pub const fn is_for_clients(self) -> bool {
        matches!(self, Self::GetPublicKey | Self::SignEvent) || self.has_peer()
    }

    /// Whether it is about messages with somebody.
    pub const fn has_peer(self) -> bool {
        matches!(
            self,
            Self::Nip44Encrypt
                | Self::Nip44Decrypt
                | Self::Nip44V3Encrypt
                | Self::Nip44V3Decrypt
                | Self::Nip04Encrypt
                | Self::Nip04Decrypt
        )
    }

    /// Whether it gives a plaintext.
    pub const fn is_decrypting(self) -> bool {
        self.has_peer() && !self.has_text()
    }

    /// Whether the asker brings a text: an event's content, or a plaintext to encrypt.
    pub const fn has_text(self) -> bool {
        matches!(self, Self::SignEvent | Self::Nip44Encrypt | Self::Nip44V3Encrypt | Self::Nip04Encrypt)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = IntentError;

    fn from_str(text: &str) -> Result<Self, IntentError> {
        Self::ALL.into_iter().find(|op| op.as_str() == text).ok_or(IntentError::UnknownOperation)
    }
}

/// Why something is not a valid intent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// Not one of the operations that Keep knows.
    #[error("unknown operation")]
    UnknownOperation,
    /// The JSON of an event template does not fit NIP-01.
    #[error("not a valid event: {0}")]
    Event(String),
    /// A template names a public key that is not the identity's.
    #[error("the event names another author than the key that would sign it")]
    Author,
    /// A template brings an id that is not the hash of its own fields.
    #[error("the event's id is not the hash of its content")]
    EventId,
}

impl From<IntentError> for Fault {
    fn from(error: IntentError) -> Self {
        Self::new(ErrorCode::InvalidEvent, error.to_string())
    }
}

impl Intent {
    /// Which kind of use this is.
    pub fn operation(&self) -> Operation {
        match self {
            Self::GetPublicKey => Operation::GetPublicKey,
            Self::SignEvent(_) => Operation::SignEvent,
            Self::Encrypt { scheme: Scheme::Nip44, .. } => Operation::Nip44Encrypt,
            Self::Encrypt { scheme: Scheme::Nip04, .. } => Operation::Nip04Encrypt,
            Self::Decrypt { scheme: Scheme::Nip44, .. } => Operation::Nip44Decrypt,
            Self::Decrypt { scheme: Scheme::Nip04, .. } => Operation::Nip04Decrypt,
            Self::Nip44V3(usage) => match **usage {
                V3Use::Encrypt { .. } => Operation::Nip44V3Encrypt,
                V3Use::Decrypt { .. } => Operation::Nip44V3Decrypt,
            },
            Self::Export => Operation::Export,
            Self::ExportMnemonic => Operation::ExportMnemonic,
            Self::RevealSecret => Operation::RevealSecret,
            Self::Backup => Operation::Backup,
            Self::Group(group) => group.operation(),
            Self::BitcoinAccount { .. } => Operation::BitcoinAccount,
            Self::SignPsbt(_) => Operation::SignPsbt,
            Self::SignMessage(_) => Operation::SignMessage,
        }
    }

    /// The event to be signed, if this signs one.
    pub fn event(&self) -> Option<&UnsignedEvent> {
        match self {
            Self::SignEvent(event) => Some(event),
            Self::Group(group) => group.event(),
            Self::GetPublicKey
            | Self::Encrypt { .. }
            | Self::Decrypt { .. }
            | Self::Nip44V3(_)
            | Self::Export
            | Self::ExportMnemonic
            | Self::RevealSecret
            | Self::Backup
            | Self::BitcoinAccount { .. }
            | Self::SignPsbt(_)
            | Self::SignMessage(_) => None,
        }
    }

    /// The kind of the event to be signed, if this signs one.
    pub fn kind(&self) -> Option<Kind> {
        self.event().map(|event| event.kind)
    }

    /// The text to be encrypted, if this encrypts one.
    pub fn plaintext(&self) -> Option<&str> {
        match self {
            Self::Encrypt { plaintext, .. } => Some(plaintext.expose()),
            // Bytes that are no text have no words that a rule could look for.
            Self::Nip44V3(usage) => match &**usage {
                V3Use::Encrypt { plaintext, .. } => {
                    Some(std::str::from_utf8(plaintext.expose()).unwrap_or_default())
                }
                V3Use::Decrypt { .. } => None,
            },
            _ => None,
        }
    }

    /// The kind that a message is for, where its encryption says so (NIP-44 version 3).
    pub fn message_kind(&self) -> Option<u32> {
        let Self::Nip44V3(usage) = self else { return None };
        match **usage {
            V3Use::Encrypt { kind, .. } | V3Use::Decrypt { kind, .. } => Some(kind),
        }
    }

    /// The other side of an encryption or decryption.
    pub fn peer(&self) -> Option<&PublicKey> {
        match self {
            Self::Encrypt { peer, .. } | Self::Decrypt { peer, .. } => Some(peer),
            Self::Nip44V3(usage) => match &**usage {
                V3Use::Encrypt { peer, .. } | V3Use::Decrypt { peer, .. } => Some(peer),
            },
            Self::GetPublicKey
            | Self::SignEvent(_)
            | Self::Export
            | Self::ExportMnemonic
            | Self::RevealSecret
            | Self::Backup
            | Self::Group(_)
            | Self::BitcoinAccount { .. }
            | Self::SignPsbt(_)
            | Self::SignMessage(_) => None,
        }
    }

    /// The transaction to be signed, if this signs one.
    pub fn transaction(&self) -> Option<&dyn InspectedSpend> {
        match self {
            Self::SignPsbt(spend) => Some(&**spend),
            Self::Group(usage) => match &**usage {
                GroupUse::Spend(spend) => Some(&*spend.spend),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the transaction to be signed does, if this signs one.
    pub fn spend(&self) -> Option<&SpendFacts> {
        self.transaction().map(InspectedSpend::facts)
    }

    /// Whether this signs bytes that may be the hash of a transaction, of which nothing can be told.
    pub fn may_spend_unseen(&self) -> bool {
        let Self::Group(usage) = self else { return false };
        matches!(&**usage, GroupUse::Sign(GroupSign { message: GroupMessage::Raw(bytes), .. }) if bytes.len() == 32)
    }

    /// What the message to be signed says, if this signs one (BIP-322).
    pub fn message(&self) -> Option<&MessageFacts> {
        if let Self::SignMessage(message) = self { Some(message.facts()) } else { None }
    }
}

impl GroupUse {
    /// Which kind of use this is. An event that a group signs is an event that is signed.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Sign(sign) if matches!(sign.message, GroupMessage::Event(_)) => Operation::SignEvent,
            Self::Sign(_) => Operation::FrostSign,
            Self::Spend(_) => Operation::SignPsbt,
            Self::ExportShare { .. } => Operation::ShareExport,
            Self::Recover => Operation::GroupRecover,
            Self::Refresh { .. } | Self::RefreshStep { .. } => Operation::GroupRefresh,
            Self::Repair { .. } | Self::RepairStep { .. } => Operation::ShareRepair,
            Self::Split { .. } => Operation::KeySplit,
        }
    }

    /// The event to be signed, if this signs one.
    pub fn event(&self) -> Option<&UnsignedEvent> {
        match self {
            Self::Sign(sign) => match &sign.message {
                GroupMessage::Event(event) => Some(event),
                GroupMessage::FileDigest(_) | GroupMessage::TrustedComment { .. } | GroupMessage::Raw(_) => {
                    None
                }
            },
            Self::Spend(_)
            | Self::ExportShare { .. }
            | Self::Recover
            | Self::Refresh { .. }
            | Self::RefreshStep { .. }
            | Self::Repair { .. }
            | Self::RepairStep { .. }
            | Self::Split { .. } => None,
        }
    }
}

/// An event as a client proposes it: the fields of NIP-01 without signature; author and id may be absent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventTemplate {
    kind: u16,
    content: String,
    tags: Vec<Vec<String>>,
    created_at: u64,
    #[serde(default)]
    pubkey: Option<String>,
    #[serde(default)]
    id: Option<String>,
}

impl EventTemplate {
    /// A template from its fields; `created_at` in Unix seconds.
    pub fn new(kind: u16, content: impl Into<String>, tags: Vec<Vec<String>>, created_at: u64) -> Self {
        Self { kind, content: content.into(), tags, created_at, pubkey: None, id: None }
    }

    /// Reads the JSON of a NIP-46 `sign_event` parameter. Duplicate fields, fractional numbers and kinds beyond 65535
    /// are errors; fields that NIP-01 does not know are ignored.
    ///
    /// # Errors
    /// [`IntentError::Event`] with what does not fit.
    pub fn from_json(json: &str) -> Result<Self, IntentError> {
        serde_json::from_str(json).map_err(|e| IntentError::Event(e.to_string()))
    }

    /// The author that it names, in hexadecimal as a rule.
    pub fn author(&self) -> Option<&str> {
        self.pubkey.as_deref()
    }

    /// The event that `author` would sign, with its id computed from these fields.
    ///
    /// # Errors
    /// When a tag is empty, or the template names another author or another id.
    pub fn into_unsigned(self, author: PublicKey) -> Result<UnsignedEvent, IntentError> {
        if self.pubkey.as_deref().is_some_and(|named| !named.is_empty() && named != author.to_hex()) {
            return Err(IntentError::Author);
        }
        let tags = self
            .tags
            .into_iter()
            .map(|tag| Tag::parse(tag).map_err(|e| IntentError::Event(e.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        let (kind, tags) = (Kind::from(self.kind), Tags::from_list(tags));
        let created_at = nostr::Timestamp::from_secs(self.created_at);
        let mut event =
            UnsignedEvent { id: None, pubkey: author, created_at, kind, tags, content: self.content };
        let id = event_id(&event);
        if self.id.as_deref().is_some_and(|claimed| !claimed.is_empty() && claimed != id.to_hex()) {
            return Err(IntentError::EventId);
        }
        event.id = Some(id);
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author() -> PublicKey {
        PublicKey::from_hex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap()
    }

    #[test]
    fn a_template_gets_author_and_id() {
        let json = r#"{"kind":1,"content":"hi","tags":[["t","x"]],"created_at":1700000000}"#;
        let event = EventTemplate::from_json(json).unwrap().into_unsigned(author()).unwrap();
        assert_eq!(event.kind, Kind::TextNote);
        assert!(event.verify_id().is_ok());
        assert_eq!(Intent::SignEvent(event).operation(), Operation::SignEvent);
    }

    #[test]
    fn smuggled_fields_are_refused() {
        for json in [
            r#"{"kind":1,"kind":0,"content":"","tags":[],"created_at":1}"#,
            r#"{"kind":1.0,"content":"","tags":[],"created_at":1}"#,
            r#"{"kind":"1","content":"","tags":[],"created_at":1}"#,
            r#"{"kind":65536,"content":"","tags":[],"created_at":1}"#,
            r#"{"kind":1,"content":"","tags":[],"created_at":-1}"#,
            r#"{"kind":1,"content":"","tags":[]}"#,
        ] {
            assert!(matches!(EventTemplate::from_json(json), Err(IntentError::Event(_))), "{json}");
        }
    }

    #[test]
    fn another_author_or_id_is_refused() {
        let mut template = EventTemplate::new(1, "x", vec![], 1);
        template.pubkey = Some("00".repeat(32));
        assert_eq!(template.into_unsigned(author()).unwrap_err(), IntentError::Author);
        let mut template = EventTemplate::new(1, "x", vec![], 1);
        template.id = Some("00".repeat(32));
        assert_eq!(template.into_unsigned(author()).unwrap_err(), IntentError::EventId);
    }

    #[test]
    fn operation_words_round_trip() {
        for op in Operation::ALL {
            assert_eq!(op.as_str().parse::<Operation>().unwrap(), op);
        }
    }
}
