//! What is known of a key that another bunker holds.

use keep_types::{Collection, EndpointId, KeyId, PublicKey, Record, RecordId, Timestamp};
use minicbor::{Decode, Encode};

use crate::KeyView;
use crate::views::npub;

/// A key of another bunker. The transport key with which it is spoken to lies with those of our own endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RemoteKey {
    #[n(0)]
    pub id: KeyId,
    #[n(1)]
    pub name: String,
    /// The user's public key (32 bytes).
    #[cbor(n(2), with = "minicbor::bytes")]
    pub public_key: [u8; 32],
    /// The bunker's transport key (32 bytes).
    #[cbor(n(3), with = "minicbor::bytes")]
    pub bunker: [u8; 32],
    #[n(4)]
    pub relays: Vec<String>,
    /// Where our transport key lies.
    #[n(5)]
    pub client: EndpointId,
    #[n(6)]
    pub created_at: Timestamp,
}

impl Record for RemoteKey {
    const COLLECTION: Collection = Collection::RemoteKeys;

    fn unique_name(&self) -> Option<&str> {
        Some(&self.name)
    }
}

impl RemoteKey {
    pub const fn place(id: KeyId) -> RecordId {
        RecordId::from_bytes(*id.as_bytes())
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::from_byte_array(self.public_key)
    }

    pub fn view(&self) -> KeyView {
        let public = self.public();
        KeyView {
            name: self.name.clone(),
            npub: npub(&public),
            pubkey: public.to_hex(),
            id: self.id.to_string(),
            source: "bunker".to_owned(),
            kind: "remote".to_owned(),
            path: None,
            note: None,
            created_at: self.created_at.to_string(),
            last_used: None,
        }
    }
}
