//! The vault's own records: keys and secrets.

use keep_types::{Collection, KeyId, Name, PublicKey, Record, RecordId, SecretBytes, SecretKey32, Timestamp};
use minicbor::{Decode, Encode};

use crate::{Derivation, VaultError};

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
    /// What its owner noted about it.
    #[n(5)]
    pub note: Option<String>,
    /// How it follows from its mnemonic, if the vault has one.
    #[n(6)]
    pub derivation: Option<Derivation>,
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
    /// The mnemonic that an identity follows from: reached only through a permit.
    #[n(2)]
    Mnemonic,
    /// Whatever its owner stored: reached only through a permit.
    #[n(5)]
    Stored,
    /// A share of a group with its device key, or the state of a ceremony: signs through a permit.
    #[n(3)]
    Share,
    /// Signs checkpoints of the audit log: says nothing in anybody's name.
    #[n(4)]
    Audit,
}

/// Secret key material. Never leaves this crate as a record.
#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct SecretRecord {
    #[n(0)]
    pub kind: SecretKind,
    /// The secret itself, of the length that its kind asks for. Ask [`key32`](Self::key32) for a key of 32 bytes.
    #[cbor(n(1), with = "secret_bytes")]
    pub secret: SecretBytes,
    /// For an identity, its public key in hexadecimal: no two secrets of a vault are the same. For the transport key with which
    /// another bunker is asked, the public key that is held there.
    #[n(2)]
    pub public: Option<String>,
}

impl SecretRecord {
    /// A record of a secret key.
    pub fn of_key(kind: SecretKind, key: &SecretKey32, public: Option<String>) -> Self {
        Self { kind, secret: SecretBytes::new(key.expose().to_vec()), public }
    }

    /// The secret as a key.
    ///
    /// # Errors
    /// [`VaultError::Record`] when it does not have 32 bytes.
    pub fn key32(&self) -> Result<SecretKey32, VaultError> {
        let mut bytes = <[u8; 32]>::try_from(self.secret.expose())
            .map_err(|_| VaultError::Record { collection: "secrets", reason: "it is no key".into() })?;
        Ok(SecretKey32::take(&mut bytes))
    }
}

/// Secret bytes as a CBOR byte string.
mod secret_bytes {
    use keep_types::SecretBytes;
    use minicbor::encode::{Error, Write};
    use minicbor::{Decoder, Encoder};

    pub fn encode<C, W: Write>(
        secret: &SecretBytes,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), Error<W::Error>> {
        e.bytes(secret.expose())?.ok()
    }

    pub fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<SecretBytes, minicbor::decode::Error> {
        Ok(SecretBytes::new(d.bytes()?.to_vec()))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as it was stored when every secret had 32 bytes.
    const STORED: &str = "a300000158200707070707070707070707070707070707070707070707070707070707070707\
                          026161";

    #[test]
    fn keys_are_stored_as_ever() {
        let key = SecretKey32::take(&mut [7; 32]);
        let record = SecretRecord::of_key(SecretKind::Identity, &key, Some("a".into()));
        let bytes = record.to_cbor().unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, STORED.replace(char::is_whitespace, ""));
        let read = SecretRecord::from_cbor(&bytes).unwrap();
        assert_eq!(read.key32().unwrap().expose(), &[7; 32]);
    }

    #[test]
    fn a_secret_may_have_any_length_and_is_a_key_only_at_32_bytes() {
        for len in [0, 16, 31, 32, 33, 64, 300] {
            let secret = SecretBytes::new(vec![5; len]);
            let bytes = SecretRecord { kind: SecretKind::Transport, secret, public: None }.to_cbor().unwrap();
            let read = SecretRecord::from_cbor(&bytes).unwrap();
            assert_eq!(read.secret.expose(), vec![5; len]);
            assert_eq!(read.key32().is_ok(), len == 32, "{len}");
        }
    }
}
