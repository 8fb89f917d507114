//! Why something could not be encrypted or decrypted.

use std::io::ErrorKind;

use keep_types::{ErrorCode, Fault};

/// Why something could not be encrypted or decrypted. Never holds any part of a key or of a plaintext.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// The peer's public key is not the x coordinate of a point of secp256k1.
    #[error("the peer's public key is not a point of the curve")]
    PeerKey,
    /// NIP-44 does not encrypt an empty text.
    #[error("an empty text cannot be encrypted with NIP-44")]
    EmptyPlaintext,
    /// The text is longer than Keep encrypts.
    #[error("the text has {len} bytes; at most {max} can be encrypted")]
    PlaintextTooLong {
        /// Bytes of the text.
        len: usize,
        /// The most that is accepted.
        max: usize,
    },
    /// The payload is too short or too long to be one.
    #[error("an encrypted payload cannot have {0} characters")]
    PayloadLength(usize),
    /// The payload is of another version of NIP-44 than the one that was asked for.
    #[error("the payload is of another encryption version")]
    UnknownVersion,
    /// The payload is not strict base64.
    #[error("the payload is not base64")]
    Base64,
    /// The payload was not made under this conversation key, or was changed.
    #[error("the payload was not made for this key, or was changed")]
    Mac,
    /// The payload is authentic, but made for another kind or scope.
    #[error("the payload was made for another kind or scope")]
    Context,
    /// The payload is authentic, but its padding is not that of its length.
    #[error("the padding of the payload is not that of its length")]
    Padding,
    /// The payload is authentic, but not UTF-8 text.
    #[error("the decrypted payload is not UTF-8 text")]
    Utf8,
    /// A NIP-04 payload that does not open. One error for every cause, because NIP-04 has no authentication.
    #[error("the NIP-04 payload does not open with this key")]
    Nip04,
    /// Not an `ncryptsec1…` of NIP-49 version 2.
    #[error("not an ncryptsec of NIP-49")]
    Ncryptsec,
    /// The scrypt cost of an `ncryptsec` is beyond what Keep spends.
    #[error("the ncryptsec asks for LOG_N {log_n}; Keep accepts 1 to {max}")]
    LogN {
        /// The cost that was asked for: scrypt takes `2^LOG_N` KiB.
        log_n: u8,
        /// The most that is accepted.
        max: u8,
    },
    /// The passphrase does not open the `ncryptsec`, or the `ncryptsec` was changed.
    #[error("the passphrase does not open this ncryptsec")]
    Passphrase,
    /// Not an age file, or damaged.
    #[error("not an age file, or damaged: {0}")]
    Age(&'static str),
    /// What was encrypted cannot be written where it is to be.
    #[error("the encrypted file cannot be written: {0}")]
    Write(ErrorKind),
    /// What is to be decrypted cannot be read where it is.
    #[error("the encrypted file cannot be read: {0}")]
    Read(ErrorKind),
    /// What was given does not open the age file.
    #[error("this does not open the file")]
    AgeLocked,
    /// Neither `age1…` nor `AGE-SECRET-KEY-1…`.
    #[error("not an age key")]
    AgeKey,
    /// The secret key is zero or not below the order of the curve.
    #[error("the secret key is not a valid scalar")]
    SecretKey,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
}

impl From<CipherError> for Fault {
    fn from(error: CipherError) -> Self {
        let code = match &error {
            CipherError::EmptyPlaintext | CipherError::PlaintextTooLong { .. } => ErrorCode::InvalidInput,
            CipherError::PeerKey
            | CipherError::PayloadLength(_)
            | CipherError::UnknownVersion
            | CipherError::Base64
            | CipherError::Mac
            | CipherError::Context
            | CipherError::Padding
            | CipherError::Utf8
            | CipherError::Nip04 => ErrorCode::InvalidPayload,
            CipherError::Ncryptsec | CipherError::LogN { .. } | CipherError::SecretKey => {
                ErrorCode::InvalidKey
            }
            CipherError::AgeKey => ErrorCode::InvalidKey,
            CipherError::Age(_) => ErrorCode::InvalidPayload,
            CipherError::Write(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => ErrorCode::StorageFull,
            CipherError::Write(_) | CipherError::Read(_) => ErrorCode::Storage,
            CipherError::Passphrase | CipherError::AgeLocked => ErrorCode::WrongPassphrase,
            CipherError::Random => ErrorCode::Bug,
        };
        Self::new(code, error.to_string())
    }
}
