//! Verification: needs no vault and no secret.

use std::io::Read;

use keep_frost::minisign::{FileHasher, PublicKeyFile, SignatureFile};
use keep_frost::sign::verify_with_key;
use keep_frost::{FrostError, Signature, Suite};
use keep_types::{ErrorCode, Fault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lookup::parse_public_key;

/// A public key as people have it: the file of minisign or its one line, an npub, or 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicInput {
    /// minisign's, with its key id.
    Minisign(PublicKeyFile),
    /// 32 bytes: the x coordinate of a secp256k1 key, or an Ed25519 key.
    Bytes([u8; 32]),
}

impl PublicInput {
    /// Reads any of the forms; nothing if it is none of them (it may be a name).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(bytes) = parse_public_key(text) {
            return Some(Self::Bytes(bytes));
        }
        text.parse().ok().map(Self::Minisign)
    }
}

/// A signature that verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedView {
    /// Always true: what does not verify is an error.
    pub valid: bool,
    /// The key under which it verifies, in hexadecimal.
    pub pubkey: String,
    /// `secp256k1-tr` (BIP-340) or `ed25519`.
    pub suite: String,
    /// Of a file, the trusted comment.
    pub trusted_comment: Option<String>,
}

/// Verifies a signature over a message of any length, under the schemes that the key may belong to.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] when it is not valid under any.
pub fn verify_message(key: &PublicInput, message: &[u8], signature: &str) -> Result<VerifiedView, Fault> {
    let signature: Signature = signature
        .trim()
        .parse()
        .map_err(|_| Fault::new(ErrorCode::InvalidInput, "a signature has 128 hex digits"))?;
    let (bytes, suites) = match key {
        PublicInput::Minisign(key) => (*key.key(), [Suite::Ed25519].as_slice()),
        PublicInput::Bytes(bytes) => (*bytes, [Suite::Secp256k1Tr, Suite::Ed25519].as_slice()),
    };
    let valid = suites.iter().find(|suite| verify_with_key(**suite, &bytes, message, &signature).is_ok());
    let suite = valid.ok_or(FrostError::BadSignature)?;
    Ok(VerifiedView {
        valid: true,
        pubkey: hex::encode(bytes),
        suite: suite.to_string(),
        trusted_comment: None,
    })
}

/// Hashes a file (BLAKE2b-512) piece by piece, in constant memory. `progress` is called with the bytes of each piece.
///
/// # Errors
/// Those of the reader.
pub fn hash_file(mut file: impl Read, mut progress: impl FnMut(u64)) -> std::io::Result<String> {
    use std::io::Write as _;
    let mut hasher = FileHasher::default();
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = match file.read(&mut piece) {
            Ok(0) => return Ok(hex::encode(hasher.finish())),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.write_all(&piece[..read])?;
        progress(read as u64);
    }
}

/// Whether a `.minisig` is a legacy one, over the raw file instead of its hash.
///
/// # Errors
/// [`ErrorCode::InvalidInput`].
pub fn is_legacy_signature(signature: &str) -> Result<bool, Fault> {
    Ok(signature.parse::<SignatureFile>()?.is_legacy())
}

/// Verifies a `.minisig` over the file with this BLAKE2b-512.
///
/// # Errors
/// The errors of the signature, each with its own message.
pub fn verify_file(key: &PublicInput, digest: &str, signature: &str) -> Result<VerifiedView, Fault> {
    let file: SignatureFile = signature.parse()?;
    let mut bytes = [0; 64];
    hex::decode_to_slice(digest, &mut bytes)
        .map_err(|_| Fault::new(ErrorCode::InvalidInput, "a BLAKE2b-512 has 128 hex digits"))?;
    let key = key_for(key, &file);
    file.verify(&key, &bytes)?;
    Ok(verified(&key, &file))
}

/// Verifies a legacy `.minisig` over the whole content of a file.
///
/// # Errors
/// As [`verify_file`].
pub fn verify_legacy_file(key: &PublicInput, content: &[u8], signature: &str) -> Result<VerifiedView, Fault> {
    let file: SignatureFile = signature.parse()?;
    let key = key_for(key, &file);
    file.verify_legacy(&key, content)?;
    Ok(verified(&key, &file))
}

/// Where only the bytes of a key are known there is no key id to compare.
fn key_for(key: &PublicInput, file: &SignatureFile) -> PublicKeyFile {
    match key {
        PublicInput::Minisign(key) => key.clone(),
        PublicInput::Bytes(bytes) => PublicKeyFile::new(file.key_id(), *bytes),
    }
}

fn verified(key: &PublicKeyFile, file: &SignatureFile) -> VerifiedView {
    VerifiedView {
        valid: true,
        pubkey: hex::encode(key.key()),
        suite: Suite::Ed25519.to_string(),
        trusted_comment: Some(file.trusted_comment().to_owned()),
    }
}

/// The content of a minisign public key file.
///
/// # Errors
/// [`ErrorCode::InvalidKey`] when the line is no minisign key.
pub fn minisign_key_file(line: &str) -> Result<String, Fault> {
    Ok(line.parse::<PublicKeyFile>()?.to_text(None)?)
}
