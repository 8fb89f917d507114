//! minisign signature files.

use std::io;
use std::str::FromStr;

use blake2::{Blake2b512, Digest};

use super::{
    KeyNumber, PublicKeyFile, TRUSTED, UNTRUSTED, check_comment, check_trusted_comment, decode, encode,
};
use crate::ed25519::verify_strict;
use crate::{FrostError, Signature};

/// Hashes a file piece by piece (BLAKE2b-512); an [`io::Write`], so `io::copy` drives it in constant memory.
#[derive(Clone, Default)]
pub struct FileHasher(Blake2b512);

impl std::fmt::Debug for FileHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileHasher")
    }
}

impl FileHasher {
    /// The hash of all bytes so far.
    pub fn finish(self) -> [u8; 64] {
        self.0.finalize().into()
    }
}

impl io::Write for FileHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The content of a `.minisig` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFile {
    pub(super) comment: String,
    pub(super) legacy: bool,
    pub(super) id: KeyNumber,
    pub(super) signature: Signature,
    pub(super) trusted_comment: String,
    pub(super) global: Signature,
}

impl SignatureFile {
    /// The first line: not signed, for people only.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// The trusted comment. Trust it only after verification.
    pub fn trusted_comment(&self) -> &str {
        &self.trusted_comment
    }

    /// Whether it is over the raw file (`Ed`) instead of its hash (`ED`).
    pub const fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// The id of the key that is said to have signed.
    pub const fn key_id(&self) -> KeyNumber {
        self.id
    }

    /// Verifies a prehashed signature over the file with this BLAKE2b-512 hash, and the trusted comment.
    ///
    /// # Errors
    /// [`FrostError::KeyId`], [`FrostError::LegacySignature`], [`FrostError::BadSignature`],
    /// [`FrostError::TrustedComment`].
    pub fn verify(&self, key: &PublicKeyFile, digest: &[u8; 64]) -> Result<(), FrostError> {
        if self.legacy {
            return Err(FrostError::LegacySignature);
        }
        self.verify_over(key, digest)
    }

    /// Verifies a legacy signature over the whole file. Such a key may have signed any other message of that form, so
    /// this is only for files that exist already.
    ///
    /// # Errors
    /// As [`SignatureFile::verify`]; [`FrostError::Malformed`] if the signature is not legacy.
    pub fn verify_legacy(&self, key: &PublicKeyFile, file: &[u8]) -> Result<(), FrostError> {
        if !self.legacy {
            return Err(FrostError::malformed("legacy signature", "it is a prehashed one"));
        }
        self.verify_over(key, file)
    }

    fn verify_over(&self, key: &PublicKeyFile, message: &[u8]) -> Result<(), FrostError> {
        if self.id != key.id() {
            return Err(FrostError::KeyId { expected: key.id().to_string(), found: self.id.to_string() });
        }
        verify_strict(key.key(), message, self.signature.as_bytes())?;
        let global = [self.signature.as_bytes().as_slice(), self.trusted_comment.as_bytes()].concat();
        verify_strict(key.key(), &global, self.global.as_bytes()).map_err(|_| FrostError::TrustedComment)
    }

    /// The file.
    pub fn to_text(&self) -> String {
        let algorithm: &[u8] = if self.legacy { b"Ed" } else { b"ED" };
        let line = encode(&[algorithm, &self.id.0, self.signature.as_bytes()].concat());
        let global = encode(self.global.as_bytes());
        format!("{UNTRUSTED}{}\n{line}\n{TRUSTED}{}\n{global}\n", self.comment, self.trusted_comment)
    }
}

impl FromStr for SignatureFile {
    type Err = FrostError;

    fn from_str(text: &str) -> Result<Self, FrostError> {
        const WHAT: &str = "minisign signature";
        let bad = |reason: &str| FrostError::malformed(WHAT, reason);
        let lines: Vec<&str> = text.lines().collect();
        let [comment, line, trusted, global, rest @ ..] = lines.as_slice() else {
            return Err(bad("it has fewer than four lines"));
        };
        if rest.iter().any(|l| !l.trim_ascii().is_empty()) {
            return Err(bad("it has more than four lines"));
        }
        let comment = comment.strip_prefix(UNTRUSTED).ok_or_else(|| bad("no untrusted comment"))?;
        let trusted = trusted.strip_prefix(TRUSTED).ok_or_else(|| bad("no trusted comment"))?;
        check_comment(comment)?;
        check_trusted_comment(trusted)?;
        let bytes: [u8; 74] = decode(WHAT, line)?;
        let legacy = match &bytes[..2] {
            b"ED" => false,
            b"Ed" => true,
            _ => return Err(bad("unknown algorithm")),
        };
        let (mut id, mut signature) = ([0; 8], [0; 64]);
        id.copy_from_slice(&bytes[2..10]);
        signature.copy_from_slice(&bytes[10..]);
        Ok(Self {
            comment: comment.to_owned(),
            legacy,
            id: KeyNumber(id),
            signature: Signature::from_bytes(signature),
            trusted_comment: trusted.to_owned(),
            global: Signature::from_bytes(decode(WHAT, global)?),
        })
    }
}
