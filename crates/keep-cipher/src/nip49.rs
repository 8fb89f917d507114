//! NIP-49: a secret key encrypted under a passphrase (`ncryptsec1…`, version 2).
//!
//! The `nostr` crate does the work (scrypt with r = 8 and p = 1 over the passphrase in Unicode NFKC, then
//! XChaCha20-Poly1305); this module bounds what it may cost before it starts.

use keep_types::{SecretKey32, SecretText};
use nostr::nips::nip19::{FromBech32, ToBech32};
use nostr::nips::nip49::{EncryptedSecretKey, Error as Nip49Error};
use zeroize::Zeroize;

use crate::CipherError;

/// How securely a key was handled before it was encrypted.
pub use nostr::nips::nip49::KeySecurity;

/// The highest scrypt cost that is accepted: `2^20` rounds, 1 GiB of memory and a few seconds. An `ncryptsec` names
/// its own cost, so whoever made it could otherwise ask for any amount.
pub const MAX_LOG_N: u8 = 20;

/// The cost for keys that Keep encrypts itself: `2^16` rounds, 64 MiB.
pub const DEFAULT_LOG_N: u8 = 16;

/// An `ncryptsec` of 91 bytes has 162 characters; anything much longer is none.
const MAX_CHARS: usize = 200;

/// An encrypted secret key that was read but not yet opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ncryptsec(EncryptedSecretKey);

impl Ncryptsec {
    /// Reads an `ncryptsec1…`; spaces around it are ignored.
    ///
    /// # Errors
    /// [`CipherError::Ncryptsec`] when it is none; [`CipherError::LogN`] when opening it would cost too much.
    pub fn parse(text: &str) -> Result<Self, CipherError> {
        let text = text.trim();
        if text.len() > MAX_CHARS {
            return Err(CipherError::Ncryptsec);
        }
        let encrypted = EncryptedSecretKey::from_bech32(text).map_err(|_| CipherError::Ncryptsec)?;
        // The crate also reads the checksum of bech32m, which NIP-49 does not have.
        let parsed = Self(encrypted);
        if !parsed.to_text()?.eq_ignore_ascii_case(text) {
            return Err(CipherError::Ncryptsec);
        }
        check_cost(parsed.log_n())?;
        Ok(parsed)
    }

    /// Encrypts `secret` under `passphrase`. Salt and nonce are random, so that each result is another.
    ///
    /// # Errors
    /// When `log_n` is not in `1..=MAX_LOG_N`, or `secret` is not a valid scalar.
    pub fn seal(
        secret: &SecretKey32,
        passphrase: &SecretText,
        log_n: u8,
        security: KeySecurity,
    ) -> Result<Self, CipherError> {
        check_cost(log_n)?;
        let mut secret =
            secp256k1::SecretKey::from_slice(secret.expose()).map_err(|_| CipherError::SecretKey)?;
        let sealed = EncryptedSecretKey::new(&secret.into(), passphrase.expose(), log_n, security);
        secret.non_secure_erase();
        sealed.map(Self).map_err(|_| CipherError::Ncryptsec)
    }

    /// The secret key.
    ///
    /// # Errors
    /// [`CipherError::Passphrase`] when the passphrase does not open it, [`CipherError::SecretKey`] when what is inside
    /// is not a secret key.
    pub fn open(&self, passphrase: &SecretText) -> Result<SecretKey32, CipherError> {
        let secret =
            self.0.decrypt_with_max_log_n(passphrase.expose(), MAX_LOG_N).map_err(|e| self.refusal(&e))?;
        let mut bytes = secret.to_secret_bytes();
        let key = SecretKey32::take(&mut bytes);
        bytes.zeroize();
        let mut secret = secret;
        secret.non_secure_erase();
        Ok(key)
    }

    fn refusal(&self, error: &Nip49Error) -> CipherError {
        match error {
            Nip49Error::ChaCha20Poly1305(_) => CipherError::Passphrase,
            Nip49Error::Keys(_) => CipherError::SecretKey,
            Nip49Error::LogNTooBig { .. } | Nip49Error::InvalidScryptParams(_) => {
                CipherError::LogN { log_n: self.0.log_n(), max: MAX_LOG_N }
            }
            _ => CipherError::Ncryptsec,
        }
    }

    /// The scrypt cost: opening takes `2^LOG_N` KiB of memory.
    pub fn log_n(&self) -> u8 {
        self.0.log_n()
    }

    /// How securely the key was handled, as whoever encrypted it says.
    pub fn security(&self) -> KeySecurity {
        self.0.key_security()
    }

    /// The `ncryptsec1…`.
    ///
    /// # Errors
    /// Never in practice: 91 bytes always have a bech32 form.
    pub fn to_text(&self) -> Result<String, CipherError> {
        self.0.to_bech32().map_err(|_| CipherError::Ncryptsec)
    }
}

impl std::fmt::Debug for Ncryptsec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ncryptsec(LOG_N {}, …)", self.log_n())
    }
}

fn check_cost(log_n: u8) -> Result<(), CipherError> {
    if (1..=MAX_LOG_N).contains(&log_n) { Ok(()) } else { Err(CipherError::LogN { log_n, max: MAX_LOG_N }) }
}
