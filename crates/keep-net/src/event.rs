//! Events as a relay delivers them: parsed, bounded, not yet believed.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use keep_types::{Event, EventId, Kind, PublicKey, Tag, Timestamp};
use secp256k1::schnorr::Signature;
use secp256k1::{Message, SECP256K1, XOnlyPublicKey};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use crate::hex_field::Hex;

/// Most strings in all tags of one event together. Beyond that the small strings cost far more than their text.
const MAX_TAG_PARTS: usize = 65_536;

/// Why bytes are not a valid event (NIP-01).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// More bytes than the limit.
    #[error("the event is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Not the JSON of an event.
    #[error("not an event: {0}")]
    Malformed(String),
    /// The id is not the hash of the event.
    #[error("the event's id is not the hash of its content")]
    Id,
    /// The author is not a public key.
    #[error("the event's author is not a public key")]
    Author,
    /// The signature is not the author's.
    #[error("the event's signature is not valid")]
    Signature,
}

/// An event whose fields are only *claims*: no relay is trusted to have checked id or signature.
///
/// The accessors tell what the event claims, which is good for sorting and for throwing away. [`RawEvent::verify`]
/// turns it into an [`Event`] that can be relied on.
#[derive(Clone)]
pub struct RawEvent {
    id: [u8; 32],
    pubkey: [u8; 32],
    created_at: u64,
    kind: u16,
    tags: Vec<Vec<String>>,
    content: String,
    sig: [u8; 64],
    /// Set by this crate alone, where this very process has verified id and signature before.
    verified: bool,
}

#[derive(Deserialize)]
struct Fields {
    id: Hex<32>,
    pubkey: Hex<32>,
    created_at: u64,
    kind: u16,
    #[serde(deserialize_with = "bounded_tags")]
    tags: Vec<Vec<String>>,
    content: String,
    sig: Hex<64>,
}

impl RawEvent {
    /// Reads the JSON of an event of at most `limit` bytes. Unknown fields are ignored; repeated ones are errors.
    ///
    /// # Errors
    /// [`EventError::TooLarge`] or [`EventError::Malformed`]. Id and signature are not looked at.
    pub fn from_json(json: &str, limit: usize) -> Result<Self, EventError> {
        if json.len() > limit {
            return Err(EventError::TooLarge { limit });
        }
        // A JSON array would be read as the fields in order, which no other implementation does.
        if !json.trim_start().starts_with('{') {
            return Err(EventError::Malformed("expected an object".to_owned()));
        }
        let f: Fields = serde_json::from_str(json).map_err(|e| EventError::Malformed(e.to_string()))?;
        Ok(Self {
            id: f.id.0,
            pubkey: f.pubkey.0,
            created_at: f.created_at,
            kind: f.kind,
            tags: f.tags,
            content: f.content,
            sig: f.sig.0,
            verified: false,
        })
    }

    /// The event that this process has itself signed or verified.
    pub(crate) fn trusted(event: &Event) -> Self {
        Self {
            id: event.id.to_bytes(),
            pubkey: event.pubkey.to_bytes(),
            created_at: event.created_at.as_secs(),
            kind: event.kind.as_u16(),
            tags: event.tags.iter().map(|tag| tag.as_slice().to_vec()).collect(),
            content: event.content.clone(),
            sig: event.sig.serialize(),
            verified: true,
        }
    }

    /// The claimed id.
    pub const fn id(&self) -> EventId {
        EventId::from_byte_array(self.id)
    }

    /// The claimed author. Not necessarily a point of the curve.
    pub const fn author(&self) -> PublicKey {
        PublicKey::from_byte_array(self.pubkey)
    }

    /// The claimed time.
    pub const fn created_at(&self) -> Timestamp {
        Timestamp::from_secs(self.created_at)
    }

    /// The claimed kind.
    pub fn kind(&self) -> Kind {
        Kind::from(self.kind)
    }

    /// The claimed tags.
    pub fn tags(&self) -> &[Vec<String>] {
        &self.tags
    }

    /// The claimed content.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Whether a tag named `name` has the value `value`.
    pub fn has_tag(&self, name: &str, value: &str) -> bool {
        self.tags.iter().any(|tag| {
            tag.first().is_some_and(|n| n == name)
                && tag.get(1).is_some_and(|first_value| first_value == value)
        })
    }

    /// Checks id and signature (BIP-340), and gives the event if both are right. About 40 µs, or nothing where this
    /// process has verified the same event before, as its own embedded relay does.
    ///
    /// # Errors
    /// [`EventError::Id`], [`EventError::Author`], [`EventError::Signature`]; [`EventError::Malformed`] for an empty
    /// tag.
    pub fn verify(self) -> Result<Event, EventError> {
        self.check()?;
        self.into_claim()
    }

    /// Whether this process has verified id and signature before, as its own embedded relay does.
    pub const fn is_verified(&self) -> bool {
        self.verified
    }

    /// The event as it is claimed, without a look at id or signature: for those who throw most of them away by cheaper
    /// checks first, and verify what is left themselves.
    ///
    /// # Errors
    /// [`EventError::Malformed`] for an empty tag; [`EventError::Signature`] for one that cannot be any.
    pub fn into_claim(self) -> Result<Event, EventError> {
        let tags = self
            .tags
            .into_iter()
            .map(|tag| Tag::parse(tag).map_err(|e| EventError::Malformed(e.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        let sig = Signature::from_slice(&self.sig).map_err(|_| EventError::Signature)?;
        let created_at = nostr::Timestamp::from_secs(self.created_at);
        Ok(Event::new(
            EventId::from_byte_array(self.id),
            PublicKey::from_byte_array(self.pubkey),
            created_at,
            Kind::from(self.kind),
            tags,
            self.content,
            sig,
        ))
    }

    /// Checks id and signature and remembers the result.
    pub(crate) fn mark_verified(&mut self) -> Result<(), EventError> {
        self.check()?;
        if self.tags.iter().any(Vec::is_empty) {
            return Err(EventError::Malformed("empty tag".to_owned()));
        }
        self.verified = true;
        Ok(())
    }

    /// Changes one field, as a faulty network would.
    #[cfg(feature = "testing")]
    pub(crate) fn corrupt(&mut self, which: u64, value: u64) {
        let index = (value % 32) as usize;
        let flip = 1 << (value % 8);
        match which {
            0 => self.id[index] ^= flip,
            1 => self.pubkey[index] ^= flip,
            2 => self.sig[index] ^= flip,
            3 => self.created_at ^= u64::from(flip),
            4 => self.tags.push(vec!["x".to_owned()]),
            _ => self.content.push('x'),
        }
        self.verified = false;
    }

    fn check(&self) -> Result<(), EventError> {
        if self.verified {
            return Ok(());
        }
        if self.compute_id()? != self.id {
            return Err(EventError::Id);
        }
        let author = XOnlyPublicKey::from_slice(&self.pubkey).map_err(|_| EventError::Author)?;
        let sig = Signature::from_slice(&self.sig).map_err(|_| EventError::Signature)?;
        SECP256K1
            .verify_schnorr(&sig, &Message::from_digest(self.id), &author)
            .map_err(|_| EventError::Signature)
    }

    /// NIP-01: SHA-256 over `[0, pubkey, created_at, kind, tags, content]` without white space.
    fn compute_id(&self) -> Result<[u8; 32], EventError> {
        let mut text = Vec::with_capacity(self.content.len() + 256);
        let fields = (0u8, Hex(self.pubkey), self.created_at, self.kind, &self.tags, &self.content);
        serde_json::to_writer(&mut text, &fields).map_err(|e| EventError::Malformed(e.to_string()))?;
        Ok(Sha256::digest(&text).into())
    }

    /// A keyed hash over every field. Equal only for copies of the same event in all its fields: a forgery that
    /// borrows id or signature of another event hashes differently, so it cannot stand in for that event.
    pub(crate) fn fingerprint(&self, key: &RandomState) -> u64 {
        key.hash_one((
            (self.id, self.pubkey, self.sig.as_slice()),
            (self.created_at, self.kind, &self.tags, &self.content),
        ))
    }

    /// Roughly the bytes of memory that this event holds.
    pub(crate) fn weight(&self) -> usize {
        let tags: usize = self.tags.iter().flatten().map(|part| part.len() + 24).sum();
        256 + self.content.len() + tags + self.tags.len() * 24
    }
}

impl fmt::Debug for RawEvent {
    /// Id, kind and size; never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RawEvent(id {}, kind {}, {} bytes of content)",
            hex::encode(self.id),
            self.kind,
            self.content.len()
        )
    }
}

impl PartialEq for RawEvent {
    /// Equal in every claimed field.
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.pubkey, self.sig, self.created_at, self.kind)
            == (other.id, other.pubkey, other.sig, other.created_at, other.kind)
            && self.tags == other.tags
            && self.content == other.content
    }
}

impl Eq for RawEvent {}

impl Hash for RawEvent {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
        self.sig.hash(state);
    }
}

fn bounded_tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<String>>, D::Error> {
    struct Tags;

    impl<'de> Visitor<'de> for Tags {
        type Value = Vec<Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of tags")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut tags = Vec::new();
            let mut parts = 0;
            while let Some(tag) = seq.next_element::<Vec<String>>()? {
                parts += tag.len() + 1;
                if parts > MAX_TAG_PARTS {
                    return Err(A::Error::custom("too many tags"));
                }
                tags.push(tag);
            }
            Ok(tags)
        }
    }

    deserializer.deserialize_seq(Tags)
}

#[cfg(test)]
mod tests {
    use nostr::{EventBuilder, JsonUtil, Keys};

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn signed(content: &str) -> Event {
        let tags = [Tag::parse(["p", "ab"]).unwrap(), Tag::parse(["x", "\u{7f}\u{2028}"]).unwrap()];
        EventBuilder::new(Kind::Custom(24133), content).tags(tags).sign_with_keys(&Keys::generate()).unwrap()
    }

    #[test]
    fn a_signed_event_verifies_and_comes_back_equal() {
        for content in
            ["", "plain", "quotes \" \\ \n\r\t \u{8}\u{c}\u{1}\u{1f}\u{7f}", "ž 🦀 \u{2028}", "</script>"]
        {
            let event = signed(content);
            let raw = RawEvent::from_json(&event.as_json(), LIMIT).unwrap();
            assert_eq!(raw, RawEvent::trusted(&event));
            assert_eq!(raw.verify().unwrap(), event);
        }
    }

    #[test]
    fn every_changed_field_is_noticed() {
        let event = signed("hello");
        let json: serde_json::Value = serde_json::from_str(&event.as_json()).unwrap();
        let with = |field: &str, value: serde_json::Value| {
            let mut changed = json.clone();
            changed[field] = value;
            RawEvent::from_json(&changed.to_string(), LIMIT).unwrap().verify().unwrap_err()
        };
        assert_eq!(with("content", "hellO".into()), EventError::Id);
        assert_eq!(with("created_at", 1.into()), EventError::Id);
        assert_eq!(with("kind", 1.into()), EventError::Id);
        assert_eq!(with("tags", serde_json::json!([["p", "ac"]])), EventError::Id);
        assert_eq!(with("pubkey", "00".repeat(32).into()), EventError::Id);
        assert_eq!(with("id", "00".repeat(32).into()), EventError::Id);
        assert_eq!(with("sig", "00".repeat(64).into()), EventError::Signature);
    }

    #[test]
    fn malformed_json_is_an_error_and_never_a_panic() {
        let good = signed("x").as_json();
        let upper = good.replace("\"sig\":\"", "\"sig\":\"A").to_uppercase();
        for bad in [
            "",
            "{",
            "[]",
            "null",
            "\"text\"",
            "{}",
            &good.replace("24133", "65536"),
            &good.replace("24133", "-1"),
            &good.replace("24133", "1.5"),
            &good.replace("\"kind\"", "\"kind\":1,\"kind\""),
            &good.replace("[\"p\"", "[1"),
            &upper,
            &format!("[{good}]"),
            &format!("{good}x"),
            &"[".repeat(10_000),
        ] {
            assert!(matches!(RawEvent::from_json(bad, LIMIT), Err(EventError::Malformed(_))), "{bad}");
        }
        assert_eq!(RawEvent::from_json(&good, 10).unwrap_err(), EventError::TooLarge { limit: 10 });
        let many = good.replace("[[\"p\"", &format!("[{}[\"p\"", "[],".repeat(70_000)));
        assert!(RawEvent::from_json(&many, 1 << 20).unwrap_err().to_string().contains("too many tags"));
    }

    #[test]
    fn a_forgery_with_borrowed_id_and_signature_has_another_fingerprint() {
        let key = RandomState::new();
        let real = RawEvent::trusted(&signed("real"));
        let mut forged = real.clone();
        forged.content = "forged".to_owned();
        assert_ne!(real.fingerprint(&key), forged.fingerprint(&key));
        assert_eq!(real.fingerprint(&key), real.clone().fingerprint(&key));
    }

    #[test]
    fn debug_hides_the_content() {
        assert!(!format!("{:?}", RawEvent::trusted(&signed("ciphertext"))).contains("ciphertext"));
    }

    proptest::proptest! {
        #[test]
        fn ids_agree_with_the_nostr_crate(content in ".*", tag in ".*", secs in 0u64..1 << 40, kind: u16) {
            let keys = Keys::generate();
            let event = EventBuilder::new(Kind::from(kind), content)
                .tag(Tag::parse(["t", &tag]).unwrap())
                .custom_created_at(nostr::Timestamp::from_secs(secs))
                .sign_with_keys(&keys)
                .unwrap();
            proptest::prop_assert_eq!(RawEvent::from_json(&event.as_json(), LIMIT).unwrap().verify().unwrap(), event);
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = RawEvent::from_json(&text, LIMIT);
        }
    }
}
