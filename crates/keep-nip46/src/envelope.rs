//! The envelopes: events of kind 24133 around encrypted messages.
//!
//! Opening ([`open`]) checks the MAC, which is cheap and keeps out junk that names a known client. Only [`Opened::verify`]
//! checks id and signature, under which the time, the tags and the id itself stand: nothing may be done, and no id
//! remembered, before both.

use std::fmt;
use std::sync::Arc;

use keep_cipher::{CipherError, nip04, nip44};
use keep_types::{
    ErrorCode, Event, EventId, Fault, Kind, PublicKey, Scheme, SecretText, Tag, Timestamp, has_own_id,
};
use secp256k1::{Message, SECP256K1};
use sha2::{Digest, Sha256};

use crate::TransportKey;
use crate::transport_key::Conversation;

/// The kind of every message of NIP-46; ephemeral.
pub const KIND: Kind = Kind::NostrConnect;

/// The longest content that is opened, in characters (1 MiB). Relays accept far less.
pub const MAX_CONTENT: usize = 1 << 20;

/// Why an event is no message for this key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Another kind than 24133.
    #[error("not an event of kind 24133")]
    Kind,
    /// No `p` tag names this key.
    #[error("the event is for another key")]
    NotForUs,
    /// The event was signed by this very key.
    #[error("the event is one of our own")]
    OwnEvent,
    /// The content is longer than [`MAX_CONTENT`].
    #[error("the message has {0} characters; at most {MAX_CONTENT} are read")]
    TooLong(usize),
    /// Encryption or decryption failed.
    #[error("{0}")]
    Cipher(#[from] CipherError),
    /// The event's id is not that of its content, or its signature not that of its author.
    #[error("the event's id or signature is wrong")]
    Signature,
    /// The transport key's secret is no valid scalar.
    #[error("the transport key is not valid")]
    TransportKey,
}

impl From<EnvelopeError> for Fault {
    fn from(error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Cipher(error) => error.into(),
            EnvelopeError::TransportKey => Self::new(ErrorCode::InvalidKey, error.to_string()),
            EnvelopeError::Kind
            | EnvelopeError::NotForUs
            | EnvelopeError::OwnEvent
            | EnvelopeError::TooLong(_)
            | EnvelopeError::Signature => Self::new(ErrorCode::InvalidEvent, error.to_string()),
        }
    }
}

/// A message whose MAC is right, and whose signature nobody has checked yet.
pub struct Opened<'e> {
    event: &'e Event,
    conversation: Arc<Conversation>,
    plaintext: SecretText,
    scheme: Scheme,
}

/// A message that its author really sent: MAC, id and signature are right.
#[derive(Debug)]
pub struct Received {
    /// The id of the event that carried it.
    pub event_id: EventId,
    /// Who sent it.
    pub author: PublicKey,
    /// When its author says it was sent.
    pub created_at: Timestamp,
    /// When it stops to count (NIP-40), if its author says so.
    pub expires: Option<Timestamp>,
    /// The encryption, in which an answer must be sealed too.
    pub scheme: Scheme,
    /// The message.
    pub plaintext: SecretText,
}

/// Whether a `p` tag of `event` names `transport`.
pub fn is_for(event: &Event, transport: &TransportKey) -> bool {
    let hex = transport.public_hex();
    event.tags.iter().any(|tag| matches!(tag.as_slice(), [name, value, ..] if name == "p" && value == hex))
}

/// Opens an envelope for `transport`: kind, `p` tag, length, MAC. NIP-44, or NIP-04 where the content has its form.
///
/// # Errors
/// [`EnvelopeError`] with the first thing that does not fit.
pub fn open<'e>(event: &'e Event, transport: &TransportKey) -> Result<Opened<'e>, EnvelopeError> {
    if event.kind != KIND {
        return Err(EnvelopeError::Kind);
    }
    if event.pubkey == *transport.public_key() {
        return Err(EnvelopeError::OwnEvent);
    }
    if !is_for(event, transport) {
        return Err(EnvelopeError::NotForUs);
    }
    if event.content.len() > MAX_CONTENT {
        return Err(EnvelopeError::TooLong(event.content.len()));
    }
    let (conversation, is_new) = transport.conversation(&event.pubkey)?;
    let (scheme, plaintext) = if nip04::looks_like(&event.content) {
        (Scheme::Nip04, nip04::decrypt(&conversation.shared, &event.content)?)
    } else {
        (Scheme::Nip44, nip44::decrypt_up_to(&conversation.key, &event.content, MAX_CONTENT)?)
    };
    if is_new {
        transport.keep(event.pubkey, Arc::clone(&conversation));
    }
    Ok(Opened { event, conversation, plaintext, scheme })
}

impl Opened<'_> {
    /// Checks id and signature (BIP-340). Without this the author, the time and the id are nobody's word.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`].
    pub fn verify(self) -> Result<Received, EnvelopeError> {
        if !has_own_id(self.event) {
            return Err(EnvelopeError::Signature);
        }
        let digest = Message::from_digest(self.event.id.to_bytes());
        SECP256K1
            .verify_schnorr(&self.event.sig, &digest, &self.conversation.peer)
            .map_err(|_| EnvelopeError::Signature)?;
        Ok(self.assume_verified())
    }

    /// Skips the check of id and signature: for an event that this very process has verified already, as its own
    /// relay does. Anything else must go through [`Self::verify`].
    pub fn assume_verified(self) -> Received {
        Received {
            event_id: self.event.id,
            author: self.event.pubkey,
            created_at: created_at(self.event),
            expires: expires(self.event),
            scheme: self.scheme,
            plaintext: self.plaintext,
        }
    }
}

impl fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({})", self.event.id.to_hex())
    }
}

/// Checks that the id is that of the content, and the signature that of the author.
///
/// # Errors
/// [`EnvelopeError::Signature`].
pub fn verify(event: &Event) -> Result<(), EnvelopeError> {
    event.verify().map_err(|_| EnvelopeError::Signature)
}

/// When the author says the event was made.
pub const fn created_at(event: &Event) -> Timestamp {
    Timestamp::from_secs(event.created_at.as_secs())
}

/// When the event stops to count (NIP-40). A tag that is no number counts as none.
pub fn expires(event: &Event) -> Option<Timestamp> {
    let tag =
        event.tags.iter().find(|tag| tag.as_slice().first().is_some_and(|name| name == "expiration"))?;
    tag.content()?.parse().ok().map(Timestamp::from_secs)
}

/// Everything but the text that decides what a sealed envelope looks like. The same values give the same event, byte
/// for byte.
pub struct Seal {
    /// To whom.
    pub to: PublicKey,
    /// In which encryption: that of the request.
    pub scheme: Scheme,
    /// The event's time.
    pub created_at: Timestamp,
    /// The nonce of NIP-44; its first 16 bytes are the initialisation vector of NIP-04. Random, or derived by a keyed
    /// hash from the text among other things: never the same for two texts.
    pub nonce: [u8; 32],
    /// The auxiliary randomness of BIP-340.
    pub aux_rand: [u8; 32],
}

/// Seals `text` into an event of kind 24133, signed by `transport`. Our own signature is not verified here; an answer
/// that is computed again after a crash should be, with [`verify`].
///
/// # Errors
/// When the text is empty or too long, or the receiver's key is no point of the curve.
pub fn seal(transport: &TransportKey, text: &str, seal: &Seal) -> Result<Event, EnvelopeError> {
    let (conversation, is_new) = transport.conversation(&seal.to)?;
    let content = match seal.scheme {
        Scheme::Nip44 => nip44::encrypt(&conversation.key, text, &seal.nonce)?,
        Scheme::Nip04 => {
            let mut iv = [0; 16];
            iv.copy_from_slice(&seal.nonce[..16]);
            nip04::encrypt(&conversation.shared, text, &iv)?
        }
    };
    if is_new {
        transport.keep(seal.to, conversation);
    }
    sign(transport, content, seal)
}

fn sign(transport: &TransportKey, content: String, seal: &Seal) -> Result<Event, EnvelopeError> {
    let author = *transport.public_key();
    let to = seal.to.to_hex();
    let id = id_of(transport.public_hex(), seal.created_at, &to, &content);
    let digest = Message::from_digest(id.to_bytes());
    let signature = SECP256K1.sign_schnorr_with_aux_rand(&digest, transport.keypair(), &seal.aux_rand);
    // A tag of two parts is never refused.
    let tag = Tag::parse(["p".to_owned(), to]).map_err(|_| EnvelopeError::NotForUs)?;
    let created_at = nostr::Timestamp::from_secs(seal.created_at.as_secs());
    Ok(Event::new(id, author, created_at, KIND, [tag], content, signature))
}

/// The id of an envelope of ours (NIP-01), hashed piece by piece: nothing in it needs an escape in JSON.
fn id_of(author: &str, created_at: Timestamp, to: &str, content: &str) -> EventId {
    let mut hash = Sha256::new();
    let created_at = created_at.as_secs().to_string();
    let kind = KIND.as_u16().to_string();
    let pieces =
        ["[0,\"", author, "\",", &created_at, ",", &kind, ",[[\"p\",\"", to, "\"]],\"", content, "\"]"];
    pieces.iter().for_each(|piece| hash.update(piece));
    EventId::from_byte_array(hash.finalize().into())
}
