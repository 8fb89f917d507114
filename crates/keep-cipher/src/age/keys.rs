//! How the key of a file is wrapped: scrypt for passphrases, X25519 for recipients.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bech32::{Bech32, Hrp};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use curve25519_dalek::MontgomeryPoint;
use hkdf::Hkdf;
use keep_types::{SecretKey32, SecretText};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::header::{Stanza, decode};
use super::{FileKey, MAX_LOG_N, random};
use crate::CipherError;

const SCRYPT_LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
const X25519_LABEL: &[u8] = b"age-encryption.org/v1/X25519";
const RECIPIENT: &str = "age";
const IDENTITY: &str = "age-secret-key-";

type WrapKey = Zeroizing<[u8; 32]>;

/// Whom a file is for: `age1…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(RECIPIENT, &self.0).unwrap_or_default())
    }
}

impl Recipient {
    /// Reads `age1…`. Spaces around it are ignored.
    ///
    /// # Errors
    /// [`CipherError::AgeKey`].
    pub fn parse(text: &str) -> Result<Self, CipherError> {
        read(text, RECIPIENT).map(|bytes| Self(*bytes))
    }

    pub(super) fn wrap(&self, file_key: &FileKey) -> Result<Stanza, CipherError> {
        let mut ephemeral = Zeroizing::new([0; 32]);
        random(&mut *ephemeral)?;
        let share = MontgomeryPoint::mul_base_clamped(*ephemeral).to_bytes();
        let shared = Zeroizing::new(MontgomeryPoint(self.0).mul_clamped(*ephemeral).to_bytes());
        let key = x25519_key(&shared, &share, &self.0).ok_or(CipherError::AgeKey)?;
        let args = vec!["X25519".to_owned(), STANDARD_NO_PAD.encode(share)];
        Ok(Stanza { args, body: seal(&key, file_key)? })
    }
}

/// The secret key of a recipient: `AGE-SECRET-KEY-1…`.
pub struct Identity(SecretKey32);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, CipherError> {
        let mut bytes = [0; 32];
        random(&mut bytes)?;
        Ok(Self(SecretKey32::take(&mut bytes)))
    }

    /// Reads `AGE-SECRET-KEY-1…`. Spaces around it are ignored.
    ///
    /// # Errors
    /// [`CipherError::AgeKey`].
    pub fn parse(text: &SecretText) -> Result<Self, CipherError> {
        let mut bytes = read(text.expose(), IDENTITY)?;
        Ok(Self(SecretKey32::take(&mut bytes)))
    }

    /// Reads a file of identities as `age-keygen` writes it: one in a line, and comments.
    ///
    /// # Errors
    /// [`CipherError::AgeKey`] when a line is neither, or there is none.
    pub fn parse_file(text: &SecretText) -> Result<Vec<Self>, CipherError> {
        let lines = text.expose().lines().map(str::trim);
        let found: Vec<Self> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| Self::parse(&SecretText::from(line.to_owned())))
            .collect::<Result<_, _>>()?;
        if found.is_empty() { Err(CipherError::AgeKey) } else { Ok(found) }
    }

    /// The text form.
    ///
    /// # Errors
    /// Never for a key that exists.
    pub fn to_text(&self) -> Result<SecretText, CipherError> {
        let mut text = text(IDENTITY, self.0.expose())?;
        text.make_ascii_uppercase();
        Ok(SecretText::new(text))
    }

    /// Whom files for this identity are addressed to.
    pub fn recipient(&self) -> Recipient {
        Recipient(MontgomeryPoint::mul_base_clamped(*self.0.expose()).to_bytes())
    }

    /// The key of the file, if this stanza is for this identity.
    pub(super) fn unwrap(&self, stanza: &Stanza) -> Result<Option<FileKey>, CipherError> {
        let [kind, share] = stanza.args.as_slice() else { return Ok(None) };
        if kind != "X25519" {
            return Ok(None);
        }
        let share =
            <[u8; 32]>::try_from(decode(share)?).map_err(|_| CipherError::Age("a share is damaged"))?;
        let shared = Zeroizing::new(MontgomeryPoint(share).mul_clamped(*self.0.expose()).to_bytes());
        let Some(key) = x25519_key(&shared, &share, &self.recipient().0) else {
            return Err(CipherError::Age("a share is no point of its curve"));
        };
        Ok(open(&key, &stanza.body))
    }
}

fn x25519_key(shared: &[u8; 32], share: &[u8; 32], recipient: &[u8; 32]) -> Option<WrapKey> {
    // All zeros comes of a point of low order: anybody could have it.
    if bool::from(shared.ct_eq(&[0; 32])) {
        return None;
    }
    let mut salt = [0; 64];
    salt[..32].copy_from_slice(share);
    salt[32..].copy_from_slice(recipient);
    let mut key = WrapKey::default();
    Hkdf::<Sha256>::new(Some(&salt), shared).expand(X25519_LABEL, &mut *key).ok()?;
    Some(key)
}

/// The file key under a passphrase.
pub(super) fn wrap_scrypt(
    passphrase: &SecretText,
    log_n: u8,
    file_key: &FileKey,
) -> Result<Stanza, CipherError> {
    let mut salt = [0; 16];
    random(&mut salt)?;
    let key = scrypt_key(passphrase, &salt, log_n)?;
    let args = vec!["scrypt".to_owned(), STANDARD_NO_PAD.encode(salt), log_n.to_string()];
    Ok(Stanza { args, body: seal(&key, file_key)? })
}

/// The file key, if the passphrase is right.
pub(super) fn unwrap_scrypt(
    passphrase: &SecretText,
    stanza: &Stanza,
) -> Result<Option<FileKey>, CipherError> {
    let damaged = CipherError::Age("its scrypt parameters are damaged");
    let [_, salt, cost] = stanza.args.as_slice() else { return Err(damaged) };
    let Ok(salt) = <[u8; 16]>::try_from(decode(salt)?) else { return Err(damaged) };
    let log_n: u8 = cost.parse().map_err(|_| damaged.clone())?;
    if log_n.to_string() != *cost {
        return Err(damaged);
    }
    Ok(open(&*scrypt_key(passphrase, &salt, log_n)?, &stanza.body))
}

fn scrypt_key(passphrase: &SecretText, salt: &[u8; 16], log_n: u8) -> Result<WrapKey, CipherError> {
    if !(1..=MAX_LOG_N).contains(&log_n) {
        return Err(CipherError::LogN { log_n, max: MAX_LOG_N });
    }
    let params =
        scrypt::Params::new(log_n, 8, 1, 32).map_err(|_| CipherError::LogN { log_n, max: MAX_LOG_N })?;
    let salt = [SCRYPT_LABEL, salt].concat();
    let mut key = WrapKey::default();
    scrypt::scrypt(passphrase.expose().as_bytes(), &salt, &params, &mut *key)
        .map_err(|_| CipherError::LogN { log_n, max: MAX_LOG_N })?;
    Ok(key)
}

fn seal(key: &[u8; 32], file_key: &FileKey) -> Result<Vec<u8>, CipherError> {
    // Each wrapping key is used once, so the nonce may be zero.
    ChaCha20Poly1305::new(key.into())
        .encrypt(&Nonce::default(), &file_key[..])
        .map_err(|_| CipherError::Age("its key cannot be wrapped"))
}

fn open(key: &[u8; 32], body: &[u8]) -> Option<FileKey> {
    if body.len() != 32 {
        return None;
    }
    let plain = Zeroizing::new(ChaCha20Poly1305::new(key.into()).decrypt(&Nonce::default(), body).ok()?);
    let mut file_key = FileKey::default();
    file_key.copy_from_slice(&plain);
    Some(file_key)
}

fn text(prefix: &str, bytes: &[u8; 32]) -> Result<String, CipherError> {
    let hrp = Hrp::parse(prefix).map_err(|_| CipherError::AgeKey)?;
    bech32::encode::<Bech32>(hrp, bytes).map_err(|_| CipherError::AgeKey)
}

fn read(text: &str, prefix: &str) -> Result<Zeroizing<[u8; 32]>, CipherError> {
    let (hrp, bytes) = bech32::decode(text.trim()).map_err(|_| CipherError::AgeKey)?;
    let bytes = Zeroizing::new(bytes);
    let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| CipherError::AgeKey)?;
    // The crate reads both checksums of bech32; age has one.
    let same = super::keys::text(prefix, &key)?.eq_ignore_ascii_case(text.trim());
    if hrp.to_lowercase() == prefix && same { Ok(Zeroizing::new(key)) } else { Err(CipherError::AgeKey) }
}
