//! What is signed, as a typed value.

use keep_types::{DisplayText, EventTemplate, PublicKey, UnsignedEvent, counted};
use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::{FrostError, Group, KeySpec, Signature, Suite};

/// What a group is asked to sign. A signer judges this value and signs the bytes that it computes from it; no digest
/// is ever taken from somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A Nostr event (NIP-01). The id is computed from the other fields.
    Event(Box<UnsignedEvent>),
    /// The BLAKE2b-512 of a file, as minisign signs it. The signer has hashed the file itself.
    FileDigest([u8; 64]),
    /// A minisign trusted comment, bound to the file's signature.
    TrustedComment {
        /// The signature over the file, from the round before.
        signature: Signature,
        /// The comment.
        comment: String,
    },
    /// Bytes whose meaning nobody checked. For the owner, or with an explicit grant, only.
    Raw(Vec<u8>),
}

/// The longest raw message in bytes.
pub(crate) const MAX_RAW: usize = 1 << 20;

impl Message {
    /// The bytes that are signed.
    ///
    /// # Errors
    /// [`FrostError::Message`] when it is too long.
    pub fn signed_bytes(&self) -> Result<Vec<u8>, FrostError> {
        match self {
            Self::Event(event) => Ok(event_id(event).to_vec()),
            Self::FileDigest(digest) => Ok(digest.to_vec()),
            Self::TrustedComment { signature, comment } => {
                Ok([signature.as_bytes().as_slice(), comment.as_bytes()].concat())
            }
            Self::Raw(bytes) if bytes.len() > MAX_RAW => Err(FrostError::Message("it is longer than 1 MiB")),
            Self::Raw(bytes) => Ok(bytes.clone()),
        }
    }

    /// The stable word for the kind of message.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Event(_) => "event",
            Self::FileDigest(_) => "file_digest",
            Self::TrustedComment { .. } => "trusted_comment",
            Self::Raw(_) => "raw",
        }
    }

    /// One line for a person.
    pub fn summary(&self) -> DisplayText {
        match self {
            Self::Event(event) => {
                DisplayText::truncated(&format!("Nostr event of kind {}: {}", event.kind, event.content), 200)
            }
            Self::FileDigest(digest) => {
                DisplayText::new(&format!("file with BLAKE2b-512 {}", hex::encode(digest)))
            }
            Self::TrustedComment { comment, .. } => {
                DisplayText::truncated(&format!("trusted comment: {comment}"), 200)
            }
            Self::Raw(bytes) => DisplayText::truncated(
                &format!("{} {}", counted(bytes.len(), "raw byte"), hex::encode(bytes)),
                200,
            ),
        }
    }

    /// Whether `group` may sign this under `spec`: events name the group as author; file signatures are Ed25519.
    pub(crate) fn check(&self, group: &Group, spec: &KeySpec) -> Result<(), FrostError> {
        // Whatever the message is called: these bytes mean one thing only.
        if crate::endorsement::is_reserved(&self.signed_bytes()?) {
            return Err(FrostError::Message("only a renewal says this about a group's shares"));
        }
        match self {
            Self::Event(event) => {
                if group.suite() != Suite::Secp256k1Tr {
                    return Err(FrostError::Message("an Ed25519 group cannot sign Nostr events"));
                }
                if group.derive_public(spec)? != event.pubkey.to_bytes() {
                    return Err(FrostError::Message(
                        "the event names another author than the key that would sign",
                    ));
                }
                Ok(())
            }
            Self::FileDigest(_) | Self::TrustedComment { .. } if group.suite() != Suite::Ed25519 => {
                Err(FrostError::Message("minisign signatures need an Ed25519 group"))
            }
            Self::TrustedComment { comment, .. } => crate::minisign::check_trusted_comment(comment),
            Self::Raw(bytes) if bytes.len() > MAX_RAW => Err(FrostError::Message("it is longer than 1 MiB")),
            Self::Raw(bytes) if group.suite() == Suite::Ed25519 => crate::minisign::check_raw(bytes),
            Self::FileDigest(_) | Self::Raw(_) => Ok(()),
        }
    }
}

fn event_id(event: &UnsignedEvent) -> [u8; 32] {
    keep_types::event_id(event).to_bytes()
}

impl<C> Encode<C> for Message {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match self {
            Self::Event(event) => {
                let json = serde_json::json!({
                    "kind": event.kind.as_u16(), "content": event.content, "tags": event.tags,
                    "created_at": event.created_at.as_secs(),
                });
                e.array(3)?.u8(1)?.bytes(&event.pubkey.to_bytes())?.str(&json.to_string())?;
            }
            Self::FileDigest(digest) => {
                e.array(2)?.u8(2)?.bytes(digest)?;
            }
            Self::TrustedComment { signature, comment } => {
                e.array(3)?.u8(3)?.encode(signature)?.str(comment)?;
            }
            Self::Raw(bytes) => {
                e.array(2)?.u8(4)?.bytes(bytes)?;
            }
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Message {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bad = |reason: &str| minicbor::decode::Error::message(reason.to_owned());
        let len = d.array()?;
        match (d.u8()?, len) {
            (1, Some(3)) => {
                let author = PublicKey::from_slice(d.bytes()?).map_err(|_| bad("author"))?;
                let template = EventTemplate::from_json(d.str()?).map_err(|e| bad(&e.to_string()))?;
                let event = template.into_unsigned(author).map_err(|e| bad(&e.to_string()))?;
                Ok(Self::Event(Box::new(event)))
            }
            (2, Some(2)) => Ok(Self::FileDigest(d.bytes()?.try_into().map_err(|_| bad("digest"))?)),
            (3, Some(3)) => Ok(Self::TrustedComment { signature: d.decode()?, comment: d.str()?.to_owned() }),
            (4, Some(2)) if d.datatype()? == Type::Bytes => Ok(Self::Raw(d.bytes()?.to_vec())),
            _ => Err(bad("unknown kind of message")),
        }
    }
}
