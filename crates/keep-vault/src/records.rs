//! The vault's own records: keys and secrets.

use keep_types::{Collection, KeyId, Name, PublicKey, Record, RecordId, Timestamp};
use minicbor::{Decode, Encode};
use zeroize::Zeroize;

/// Where a key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum KeySource {
    /// Made in this vault.
    #[n(0)]
    Generated,
    /// Brought from elsewhere.
    #[n(1)]
    Imported,
}

impl KeySource {
    /// The word for views.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Imported => "imported",
        }
    }
}

/// What is public about a key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct KeyRecord {
    /// Which key. Never changes.
    #[n(0)]
    pub id: KeyId,
    /// Its name, unique in the vault.
    #[n(1)]
    pub name: Name,
    /// Its x-only public key (BIP-340, 32 bytes).
    #[cbor(n(2), with = "minicbor::bytes")]
    pub public_key: [u8; 32],
    /// Since when it is in the vault.
    #[n(3)]
    pub created_at: Timestamp,
    /// Where it came from.
    #[n(4)]
    pub source: KeySource,
}

impl Record for KeyRecord {
    const COLLECTION: Collection = Collection::Keys;

    fn unique_name(&self) -> Option<&str> {
        Some(self.name.as_str())
    }
}

impl KeyRecord {
    /// The public key as the Nostr type.
    pub fn nostr_key(&self) -> PublicKey {
        PublicKey::from_byte_array(self.public_key)
    }
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum SecretKind {
    /// Signs for a person: reached only through a permit.
    #[n(0)]
    Identity,
    /// Encrypts and signs a bunker endpoint's envelopes: says nothing in anybody's name.
    #[n(1)]
    Transport,
}

/// Secret key material. Never leaves this crate as a record.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct SecretRecord {
    #[n(0)]
    pub kind: SecretKind,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub secret: [u8; 32],
    /// For an identity, its public key in hexadecimal: no two secrets of a vault are the same.
    #[n(2)]
    pub public: Option<String>,
}

impl Drop for SecretRecord {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Record for SecretRecord {
    const COLLECTION: Collection = Collection::Secrets;

    fn unique_name(&self) -> Option<&str> {
        self.public.as_deref()
    }
}

/// Where a key's records lie: under the key's own id, in both collections.
pub(crate) const fn key_place(id: KeyId) -> RecordId {
    RecordId::from_bytes(*id.as_bytes())
}
