//! minisign public keys.

use std::fmt;
use std::str::FromStr;

use super::{UNTRUSTED, check_comment, decode, encode};
use crate::bytes::Transcript;
use crate::{FrostError, Group, Suite};

/// A minisign key id: 8 bytes, shown as the 16 upper-case hex digits of their little-endian number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyNumber(pub [u8; 8]);

impl fmt::Display for KeyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyNumber({self})")
    }
}

/// The content of a minisign public key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyFile {
    id: KeyNumber,
    key: [u8; 32],
}

impl PublicKeyFile {
    /// The public key of an Ed25519 group. minisign's key ids are any 8 bytes; a group's are a hash of its key, so
    /// that every member writes the same file.
    ///
    /// # Errors
    /// [`FrostError::Message`] for a group of another suite.
    pub fn of_group(group: &Group) -> Result<Self, FrostError> {
        if group.suite() != Suite::Ed25519 {
            return Err(FrostError::Message("minisign signatures need an Ed25519 group"));
        }
        let key = group.public_key();
        let hash = Transcript::new("keep/frost/minisign key id").with(&key).finish();
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        Ok(Self { id: KeyNumber(id), key })
    }

    /// A public key from its parts.
    pub const fn new(id: KeyNumber, key: [u8; 32]) -> Self {
        Self { id, key }
    }

    /// The key id.
    pub const fn id(&self) -> KeyNumber {
        self.id
    }

    /// The Ed25519 public key.
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The one-line form, as `minisign -P` takes it.
    pub fn to_base64(&self) -> String {
        encode(&[b"Ed".as_slice(), &self.id.0, &self.key].concat())
    }

    /// The file, with `comment` or minisign's own in the first line.
    ///
    /// # Errors
    /// [`FrostError::Message`] for a comment that is too long or not printable.
    pub fn to_text(&self, comment: Option<&str>) -> Result<String, FrostError> {
        let own = format!("minisign public key {}", self.id);
        let comment = comment.unwrap_or(&own);
        check_comment(comment)?;
        Ok(format!("{UNTRUSTED}{comment}\n{}\n", self.to_base64()))
    }
}

impl FromStr for PublicKeyFile {
    type Err = FrostError;

    /// Reads the file, or the one-line form.
    fn from_str(text: &str) -> Result<Self, FrostError> {
        const WHAT: &str = "minisign public key";
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let line = if first.starts_with("untrusted comment:") {
            lines.next().ok_or_else(|| FrostError::malformed(WHAT, "the second line is missing"))?
        } else {
            first
        };
        if lines.any(|l| !l.trim_ascii().is_empty()) {
            return Err(FrostError::malformed(WHAT, "it has too many lines"));
        }
        let bytes: [u8; 42] = decode(WHAT, line)?;
        if &bytes[..2] != b"Ed" {
            return Err(FrostError::malformed(WHAT, "not an Ed25519 key"));
        }
        let (mut id, mut key) = ([0; 8], [0; 32]);
        id.copy_from_slice(&bytes[2..10]);
        key.copy_from_slice(&bytes[10..]);
        Ok(Self { id: KeyNumber(id), key })
    }
}
