//! What is stored: typed records in numbered collections.

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

/// The collections of a vault. The numbers are part of the vault format and never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Collection {
    /// What is public about keys: names, public keys, times.
    Keys = 1,
    /// Secret key material, under a subkey of its own.
    Secrets = 2,
    /// Audit entries, in batches.
    Audit = 3,
    /// What each client may do.
    Grants = 4,
    /// How often each grant was used.
    Usage = 5,
    /// Requests that were decided, for repeats and restarts.
    Requests = 6,
    /// Bunker endpoints: transport keys, relays, connect secrets.
    Endpoints = 7,
    /// What is public about threshold keys: members, public shares, epoch.
    Groups = 8,
    /// Nonces of threshold signatures that are used up.
    Burns = 9,
    /// Bitcoin accounts that were opened, and the owner's limits on spending.
    Wallets = 10,
    /// Sessions of agents: token hashes, scopes, limits.
    Sessions = 12,
    /// What is public about stored secrets: names, notes, times.
    Items = 13,
    /// What stands for the audit log as a whole: signed checkpoints, and counts.
    Checkpoints = 14,
    /// Named policies, and the persons who may approve.
    Policies = 11,
    /// What the owner chose for the vault as a whole.
    Settings = 15,
    /// Keys that another bunker holds, and how it is reached.
    RemoteKeys = 16,
    /// What was received of requests that are decided and whose answers have not left.
    Unanswered = 17,
    /// Requests again: those that one commit added, in one record. Open to the vault alone.
    Bundles = 18,
}

impl Collection {
    /// Every collection, by number.
    pub const ALL: &'static [Self] = &[
        Self::Keys,
        Self::Secrets,
        Self::Audit,
        Self::Grants,
        Self::Usage,
        Self::Requests,
        Self::Endpoints,
        Self::Groups,
        Self::Burns,
        Self::Wallets,
        Self::Policies,
        Self::Sessions,
        Self::Items,
        Self::Checkpoints,
        Self::Settings,
        Self::RemoteKeys,
        Self::Unanswered,
        Self::Bundles,
    ];

    /// The number that stands in the store.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The collection with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.number() == number)
    }

    /// The word for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Secrets => "secrets",
            Self::Audit => "audit",
            Self::Grants => "grants",
            Self::Usage => "usage",
            Self::Requests => "requests",
            Self::Endpoints => "endpoints",
            Self::Groups => "groups",
            Self::Burns => "burns",
            Self::Wallets => "wallets",
            Self::Items => "items",
            Self::Checkpoints => "checkpoints",
            Self::Sessions => "sessions",
            Self::Policies => "policies",
            Self::Settings => "settings",
            Self::RemoteKeys => "remote keys",
            Self::Unanswered => "unanswered requests",
            Self::Bundles => "bundled requests",
        }
    }
}

/// A stored record does not have the form that its collection asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a record of {collection} does not decode: {reason}")]
pub struct DecodeError {
    /// The collection's word.
    pub collection: &'static str,
    /// What does not fit. Never any content.
    pub reason: String,
}

/// A value that lives in a vault. Encoded as CBOR (RFC 8949) with integer field numbers, so that fields can be added.
pub trait Record: Sized + Encode<()> + for<'b> Decode<'b, ()> {
    /// Where it lives.
    const COLLECTION: Collection;

    /// A name that no two records of the collection may share (compared in Unicode NFC), if it has one.
    fn unique_name(&self) -> Option<&str> {
        None
    }

    /// The CBOR bytes, wiped on drop.
    ///
    /// # Errors
    /// [`DecodeError`] when a value cannot be encoded.
    fn to_cbor(&self) -> Result<Zeroizing<Vec<u8>>, DecodeError> {
        let mut bytes = Wiping(Zeroizing::new(Vec::with_capacity(256)));
        minicbor::encode(self, &mut bytes).map_err(|e| Self::error(&e.to_string()))?;
        Ok(bytes.0)
    }

    /// Reads the CBOR bytes.
    ///
    /// # Errors
    /// [`DecodeError`] when they do not fit the type.
    fn from_cbor(bytes: &[u8]) -> Result<Self, DecodeError> {
        minicbor::decode(bytes).map_err(|e| Self::error(&e.to_string()))
    }

    /// A decoding error of this collection.
    fn error(reason: &str) -> DecodeError {
        DecodeError { collection: Self::COLLECTION.as_str(), reason: reason.to_owned() }
    }
}

/// A buffer that wipes what it outgrows.
struct Wiping(Zeroizing<Vec<u8>>);

impl minicbor::encode::Write for Wiping {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_numbers_are_stable() {
        let numbers: Vec<u8> = Collection::ALL.iter().map(|c| c.number()).collect();
        assert!(numbers.is_sorted());
        assert_eq!(numbers[..7], [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(Collection::from_number(10), Some(Collection::Wallets));
        assert_eq!(Collection::from_number(3), Some(Collection::Audit));
        assert_eq!(Collection::from_number(0), None);
    }
}
