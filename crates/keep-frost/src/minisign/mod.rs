//! minisign files: public keys, signatures, and how a group makes them.
//!
//! A signature is over the BLAKE2b-512 of the file; a second one, over the first and the trusted comment, keeps the
//! comment from being changed. A group therefore signs twice, and the second message contains the first signature.
//! Nothing separates these messages from others under the same key, so a group's key is best used for minisign only.

mod key;
mod release;
mod signature;

pub use key::{KeyNumber, PublicKeyFile};
pub use release::{Release, ReleaseCheck, SignedFile, sign_release_local};
pub use signature::{FileHasher, SignatureFile};

use crate::FrostError;

/// The longest untrusted comment in bytes.
pub const MAX_COMMENT: usize = 1023 - UNTRUSTED.len();
/// The longest trusted comment in bytes.
pub const MAX_TRUSTED_COMMENT: usize = 8191 - TRUSTED.len();

const UNTRUSTED: &str = "untrusted comment: ";
const TRUSTED: &str = "trusted comment: ";

fn printable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

/// Whether minisign would accept this as a trusted comment.
pub(crate) fn check_trusted_comment(comment: &str) -> Result<(), FrostError> {
    if comment.len() > MAX_TRUSTED_COMMENT {
        return Err(FrostError::Message("the trusted comment is longer than 8 KiB"));
    }
    if !printable(comment) {
        return Err(FrostError::Message("the trusted comment has control characters or line breaks"));
    }
    Ok(())
}

/// Whether the signature over raw bytes could never be taken for one that minisign makes. Under one key, a signature over
/// 64 bytes is that of a file with this BLAKE2b-512, and one over a signature with a text behind it is that of a trusted
/// comment; nobody was shown that file or comment.
pub(crate) fn check_raw(bytes: &[u8]) -> Result<(), FrostError> {
    let Some((signature, comment)) = bytes.split_first_chunk::<64>() else { return Ok(()) };
    if comment.is_empty() {
        return Err(FrostError::Message(
            "64 bytes may be the digest of a file; sign the file itself with `keep sign`",
        ));
    }
    // Some verifiers take any line as a comment, however long and in whatever encoding.
    let is_a_line = !comment.contains(&b'\n');
    if is_a_line && crate::ed25519::may_be_signature(signature) {
        return Err(FrostError::Message(
            "it reads as a signature with a comment behind it, which minisign would take for a trusted comment; sign \
             the file itself with `keep sign`",
        ));
    }
    Ok(())
}

fn check_comment(comment: &str) -> Result<(), FrostError> {
    if comment.len() > MAX_COMMENT {
        return Err(FrostError::Message("the untrusted comment is longer than 1 KiB"));
    }
    if !printable(comment) {
        return Err(FrostError::Message("the untrusted comment has control characters or line breaks"));
    }
    Ok(())
}

fn decode<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], FrostError> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text.trim_ascii())
        .map_err(|_| FrostError::malformed(what, "not base64"))?;
    bytes.try_into().map_err(|_| FrostError::malformed(what, "of the wrong length"))
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
