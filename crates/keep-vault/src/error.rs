//! What can go wrong in a vault.

use keep_store::StoreError;
use keep_types::{DecodeError, ErrorCode, Fault};

/// Why a vault could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The passphrase opens no stanza.
    #[error("the passphrase does not open this vault")]
    WrongPassphrase,
    /// A new passphrase opens a vault here already.
    #[error("this passphrase opens a vault here already")]
    PassphraseTaken,
    /// The header is damaged.
    #[error("the vault's header is damaged: {0}")]
    Header(String),
    /// The header asks for a key derivation outside the bounds.
    #[error(
        "the vault's header asks for an impossible key derivation ({0}); it is damaged or was tampered with"
    )]
    AbsurdKdf(String),
    /// The key derivation is cheaper than the standard.
    #[error("this vault's key derivation is weaker than the standard ({0}); it was made for tests")]
    WeakKdf(String),
    /// All places for ways to unlock are taken.
    #[error("the vault has room for {0} ways to unlock, and all are taken")]
    NoRoom(usize),
    /// No such way to unlock.
    #[error("there is no way to unlock \"{0}\"")]
    NoSuchStanza(String),
    /// The last way to unlock must stay.
    #[error("this is the only way to unlock the vault; without it nobody could open it again")]
    LastStanza,
    /// Which passphrase is meant is not clear.
    #[error("the vault has several passphrases, and was not opened with one of them")]
    WhichPassphrase,
    /// The reserve is opened by one passphrase.
    #[error("a hidden vault has one passphrase, and no other way in")]
    HiddenHasOne,
    /// The reserve is made anew from the vault in the database.
    #[error("the reserve cannot be made anew from a vault that lies in it")]
    InReserve,
    /// The header was changed by another process between looking and doing.
    #[error("the ways to unlock were changed meanwhile")]
    HeaderChanged,
    /// Made by a newer version.
    #[error("the vault has format {0}; this version of Keep knows format 1")]
    TooNew(u64),
    /// Another process gave the vault a new data key.
    #[error("the vault's data key was changed by another process; unlock the vault again")]
    Rekeyed,
    /// The head does not open, or goes back in time.
    #[error("the vault's integrity record is damaged: {0}")]
    Head(String),
    /// A record does not open.
    #[error("a record of {collection} cannot be read: {reason}")]
    Record {
        /// The collection's word.
        collection: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The rows are not those that were recorded; remote signing is refused.
    #[error("the vault was changed by something that is not Keep: {0}")]
    Tampered(String),
    /// Two keys with one name.
    #[error("the name \"{0}\" is taken")]
    NameTaken(String),
    /// A name that reads as a public key, which always means that key.
    #[error("what reads as a public key cannot be a name: \"{0}\"")]
    NameReadsAsKey(String),
    /// The same key is there already.
    #[error("this key is already in the vault, as \"{0}\"")]
    KeyExists(String),
    /// No such key.
    #[error("there is no such key in the vault")]
    NoSuchKey,
    /// No such stored secret.
    #[error("there is no such secret in the vault")]
    NoSuchSecret,
    /// The key does not follow from a mnemonic of the vault.
    #[error("this key has no mnemonic: it was made or imported by itself")]
    NoMnemonic,
    /// Not a mnemonic, or no key follows from it. Never any of the words.
    #[error("{0}")]
    Mnemonic(String),
    /// A text is longer than its place.
    #[error("{0}")]
    TooLong(&'static str),
    /// The secret of a key is missing or not what its public key says.
    #[error("the secret of this key does not belong to its public key")]
    SecretMismatch,
    /// An encrypted payload does not open, or a text is too long to encrypt.
    #[error("{0}")]
    Payload(String),
    /// What a decryption gave is none of the plaintexts that the policy releases.
    #[error("the policy does not release what this decrypts to: {0}")]
    Withheld(keep_policy::PlaintextClass),
    /// A result was released with the record of another request.
    #[error("a result can only be released with its own durable record")]
    Unrecorded,
    /// The operating system refused something.
    #[error("{0}")]
    System(String),
    /// The writer thread ended.
    #[error("the vault is closed")]
    Closed,
    /// A threshold operation was refused or failed.
    #[error(transparent)]
    Frost(#[from] keep_frost::FrostError),
    /// The work of a transaction gave up.
    #[error("{0}")]
    Rejected(Fault),
}

impl From<DecodeError> for VaultError {
    fn from(error: DecodeError) -> Self {
        Self::Record { collection: error.collection, reason: error.reason }
    }
}

impl From<Fault> for VaultError {
    fn from(fault: Fault) -> Self {
        Self::Rejected(fault)
    }
}

impl From<getrandom::Error> for VaultError {
    fn from(error: getrandom::Error) -> Self {
        Self::System(format!("the operating system gives no random bytes: {error}"))
    }
}

impl From<VaultError> for Fault {
    fn from(error: VaultError) -> Self {
        let message = error.to_string();
        let code = match error {
            VaultError::Store(store) => return store.into(),
            VaultError::Rejected(fault) => return fault,
            VaultError::Frost(error) => return error.into(),
            VaultError::WeakKdf(_) => {
                return Self::new(ErrorCode::InvalidInput, message).with_hint(
                    "for a test vault, say so with --allow-weak-kdf; for a real one, make it anew",
                );
            }
            VaultError::Rekeyed => {
                return Self::new(ErrorCode::Locked, message).with_hint("start the command again");
            }
            VaultError::NameReadsAsKey(_) => {
                return Self::new(ErrorCode::InvalidInput, message)
                    .with_hint("choose another name, for example main");
            }
            VaultError::PassphraseTaken => {
                return Self::new(ErrorCode::AlreadyExists, message)
                    .with_hint("choose another passphrase: each opens one vault");
            }
            VaultError::NoRoom(_) => {
                return Self::new(ErrorCode::InvalidInput, message)
                    .with_hint("remove one first: keep vault stanza list");
            }
            VaultError::NoSuchStanza(_) => {
                return Self::new(ErrorCode::NotFound, message).with_hint("see `keep vault stanza list`");
            }
            VaultError::LastStanza => {
                return Self::new(ErrorCode::InvalidInput, message)
                    .with_hint("add another one first: keep vault stanza add");
            }
            VaultError::HiddenHasOne => {
                return Self::new(ErrorCode::InvalidInput, message)
                    .with_hint("change it with `keep rotate-password`, or make a backup");
            }
            VaultError::InReserve => {
                return Self::new(ErrorCode::InvalidInput, message).with_hint(
                    "give the first vault's passphrase; whatever lies in the reserve is lost then",
                );
            }
            VaultError::WhichPassphrase => {
                return Self::new(ErrorCode::Usage, message)
                    .with_hint("name it with --stanza; see `keep vault stanza list`");
            }
            VaultError::HeaderChanged => {
                return Self::new(ErrorCode::StorageBusy, message).with_hint("start the command again");
            }
            VaultError::WrongPassphrase => ErrorCode::WrongPassphrase,
            VaultError::Header(_)
            | VaultError::AbsurdKdf(_)
            | VaultError::Head(_)
            | VaultError::Record { .. }
            | VaultError::Tampered(_)
            | VaultError::SecretMismatch => ErrorCode::Integrity,
            VaultError::TooNew(_) => ErrorCode::FormatTooNew,
            VaultError::NameTaken(_) | VaultError::KeyExists(_) => ErrorCode::AlreadyExists,
            VaultError::NoSuchSecret => {
                return Self::new(ErrorCode::NotFound, message).with_hint("see `keep secret list`");
            }
            VaultError::NoSuchKey | VaultError::NoMnemonic => ErrorCode::NotFound,
            VaultError::Mnemonic(_) => ErrorCode::InvalidKey,
            VaultError::TooLong(_) => ErrorCode::InvalidInput,
            VaultError::Payload(_) => ErrorCode::InvalidPayload,
            VaultError::Withheld(_) => ErrorCode::RefusedByPolicy,
            VaultError::System(_) => ErrorCode::Storage,
            VaultError::Unrecorded | VaultError::Closed => ErrorCode::Bug,
        };
        Self::new(code, message)
    }
}
