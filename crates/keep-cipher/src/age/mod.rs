//! The age file format, version 1 (<https://age-encryption.org/v1>), so that a stock `age -d` opens what Keep writes.
//!
//! Two ways to lock a file: a passphrase (scrypt), or recipients (X25519). The format does not mix them.
//!
//! ```
//! use keep_cipher::age::{self, Lock, Unlock};
//! use keep_types::SecretText;
//!
//! # fn main() -> Result<(), keep_cipher::CipherError> {
//! let passphrase = SecretText::from("correct horse".to_owned());
//! let file = age::encrypt(&Lock::Passphrase(&passphrase, 10), b"hello")?;
//! assert!(file.starts_with(b"age-encryption.org/v1\n-> scrypt "));
//! assert_eq!(&*age::decrypt(&Unlock::Passphrase(&passphrase), &file)?, b"hello");
//! # Ok(())
//! # }
//! ```

mod header;
mod keys;
mod payload;

use keep_types::SecretText;
use zeroize::Zeroizing;

use crate::CipherError;
use header::{Header, Stanza};

pub use keys::{Identity, Recipient};

/// The scrypt cost of files that Keep writes, as its logarithm: 2^18 rounds, 256 MiB, about a second.
pub const DEFAULT_LOG_N: u8 = 18;
/// The highest cost that is accepted: 2^20 rounds, 1 GiB. A file names its own cost.
pub const MAX_LOG_N: u8 = 20;

/// What a file is locked with.
pub enum Lock<'a> {
    /// A passphrase, and the logarithm of the scrypt cost.
    Passphrase(&'a SecretText, u8),
    /// Each of these opens it.
    Recipients(&'a [Recipient]),
}

/// What a file is opened with.
pub enum Unlock<'a> {
    /// Its passphrase.
    Passphrase(&'a SecretText),
    /// The secret keys of recipients; one that fits is enough.
    Identities(&'a [Identity]),
}

/// What a file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Its passphrase.
    Passphrase,
    /// The secret key of a recipient.
    Identity,
}

/// The key of one file.
pub(crate) type FileKey = Zeroizing<[u8; 16]>;

/// What opens this file.
///
/// # Errors
/// [`CipherError::Age`] when it is no age file.
pub fn needs(file: &[u8]) -> Result<Needs, CipherError> {
    let (header, _) = Header::parse(file)?;
    Ok(if header.stanzas.iter().any(Stanza::is_scrypt) { Needs::Passphrase } else { Needs::Identity })
}

/// An age file with `plaintext` inside.
///
/// # Errors
/// Without a recipient, with a cost that is not in `1..=MAX_LOG_N`, or without random bytes.
pub fn encrypt(lock: &Lock<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
    let mut file_key = FileKey::default();
    random(&mut *file_key)?;
    let stanzas = match lock {
        Lock::Passphrase(passphrase, log_n) => vec![keys::wrap_scrypt(passphrase, *log_n, &file_key)?],
        Lock::Recipients([]) => return Err(CipherError::Age("it has no recipient")),
        Lock::Recipients(recipients) => {
            recipients.iter().map(|to| to.wrap(&file_key)).collect::<Result<_, _>>()?
        }
    };
    let mut file = Header { stanzas }.to_bytes(&file_key);
    let mut nonce = [0; 16];
    random(&mut nonce)?;
    file.extend_from_slice(&nonce);
    payload::seal(&file_key, &nonce, plaintext, &mut file)?;
    Ok(file)
}

/// What is inside an age file. Nothing is given unless all of it is authentic.
///
/// # Errors
/// [`CipherError::AgeLocked`] when it does not open with what was given; [`CipherError::Age`] when it is damaged or no age
/// file.
pub fn decrypt(unlock: &Unlock<'_>, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    let (header, rest) = Header::parse(file)?;
    let file_key = match unlock {
        Unlock::Passphrase(passphrase) => match header.stanzas.as_slice() {
            [only] if only.is_scrypt() => keys::unwrap_scrypt(passphrase, only)?,
            _ => None,
        },
        Unlock::Identities(identities) => identities
            .iter()
            .flat_map(|identity| header.stanzas.iter().map(move |stanza| (identity, stanza)))
            .find_map(|(identity, stanza)| identity.unwrap(stanza).transpose())
            .transpose()?,
    };
    let file_key = file_key.ok_or(CipherError::AgeLocked)?;
    header.check(&file_key, file)?;
    let (nonce, body) = rest.split_at_checked(16).ok_or(CipherError::Age("it ends in its beginning"))?;
    payload::open(&file_key, nonce, body)
}

pub(crate) fn random(bytes: &mut [u8]) -> Result<(), CipherError> {
    getrandom::getrandom(bytes).map_err(|_| CipherError::Random)
}
