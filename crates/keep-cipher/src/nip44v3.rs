//! NIP-44 version 3 (draft): bytes instead of text, and the context, an event kind and a scope, is authenticated.
//!
//! A payload is base64 of version (3), nonce (32 bytes), MAC (32), kind (`u32`), length of the scope (`u32`), scope, and the
//! encrypted text: its length (`u32`), the text, zeros. HKDF (RFC 5869) over the shared x coordinate with the salt
//! `nip44-v3\0` and the nonce gives the keys; ChaCha20 encrypts under a zero nonce; HMAC-SHA256 covers everything else.

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use hmac::Mac;
use hmac::digest::FixedOutput;
use keep_types::{SecretBytes, SecretText};
use zeroize::{Zeroize, Zeroizing};

use crate::key::hmac_sha256;
use crate::nip44::MAX_PLAINTEXT;
use crate::{CipherError, SharedX};

const VERSION: u8 = 3;
const NONCE: usize = 32;
const MAC: usize = 32;
/// Version, nonce and MAC.
const HEAD: usize = 1 + NONCE + MAC;
/// Kind and length of the scope.
const CONTEXT: usize = 8;
/// The length before the text.
const PREFIX: usize = 4;
/// The longest scope, in bytes.
pub const MAX_SCOPE: usize = 4096;
/// The longest payload, in characters; longer ones are refused before anything is decoded or allocated.
pub const MAX_PAYLOAD: usize =
    (HEAD + CONTEXT + MAX_SCOPE + padded_len(PREFIX + MAX_PLAINTEXT)).div_ceil(3) * 4;

/// What a message is for: it opens under the same context only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    /// The kind of the event that it is in.
    pub kind: u32,
    /// What within that kind.
    pub scope: &'a str,
}

/// The length of `len` bytes with their padding.
const fn padded_len(len: usize) -> usize {
    if len <= 32 {
        return 32;
    }
    let power = len.next_power_of_two();
    let quarter = power / if power <= 16_384 { 4 } else { 8 };
    let chunk = if quarter < 32 { 32 } else { quarter };
    len.div_ceil(chunk) * chunk
}

/// Encrypts `plaintext` with a nonce from the caller. A nonce must never be used for two different texts under one key.
///
/// # Errors
/// When the text is longer than [`MAX_PLAINTEXT`], or the scope than [`MAX_SCOPE`].
pub fn encrypt(
    shared: &SharedX,
    context: Context<'_>,
    plaintext: &[u8],
    nonce: &[u8; NONCE],
) -> Result<String, CipherError> {
    let too_long = |len, max| CipherError::PlaintextTooLong { len, max };
    if plaintext.len() > MAX_PLAINTEXT {
        return Err(too_long(plaintext.len(), MAX_PLAINTEXT));
    }
    let scope = context.scope.as_bytes();
    if scope.len() > MAX_SCOPE {
        return Err(too_long(scope.len(), MAX_SCOPE));
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    let keys = Keys::derive(shared, nonce);
    let body = HEAD + CONTEXT + scope.len();
    let mut bytes = Vec::with_capacity(body + padded_len(PREFIX + plaintext.len()));
    bytes.push(VERSION);
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(&[0; MAC]);
    bytes.extend_from_slice(&context.kind.to_be_bytes());
    bytes.extend_from_slice(&length(scope));
    bytes.extend_from_slice(scope);
    bytes.extend_from_slice(&length(plaintext));
    bytes.extend_from_slice(plaintext);
    bytes.resize(body + padded_len(PREFIX + plaintext.len()), 0);
    keys.cipher().apply_keystream(&mut bytes[body..]);
    let mac = keys.mac(nonce, &bytes[HEAD..]);
    bytes[1 + NONCE..HEAD].copy_from_slice(&mac.finalize().into_bytes());
    Ok(STANDARD.encode(bytes))
}

/// Decrypts a payload that was made under the same context. The MAC is checked before anything is decrypted.
///
/// # Errors
/// What does not fit: length, version, base64, MAC, context, padding.
pub fn decrypt(shared: &SharedX, context: Context<'_>, payload: &str) -> Result<SecretBytes, CipherError> {
    if payload.starts_with('#') {
        return Err(CipherError::UnknownVersion);
    }
    if payload.is_empty() || payload.len() > MAX_PAYLOAD {
        return Err(CipherError::PayloadLength(payload.len()));
    }
    let mut bytes = STANDARD.decode(payload).map_err(|_| CipherError::Base64)?;
    let length = CipherError::PayloadLength(payload.len());
    if bytes.first() != Some(&VERSION) {
        return Err(CipherError::UnknownVersion);
    }
    let (Some(nonce), Some(mac)) = (
        bytes.get(1..).and_then(|b| b.first_chunk::<NONCE>().copied()),
        bytes.get(1 + NONCE..HEAD).map(<[u8]>::to_vec),
    ) else {
        return Err(length);
    };
    let keys = Keys::derive(shared, &nonce);
    let authenticated = bytes.get(HEAD..).ok_or(length.clone())?;
    let (kind, scope) = read_context(authenticated).ok_or(length.clone())?;
    let body = HEAD + CONTEXT + scope.len();
    // `verify_slice` compares in constant time (subtle).
    keys.mac(&nonce, authenticated).verify_slice(&mac).map_err(|_| CipherError::Mac)?;
    if kind != context.kind || scope != context.scope.as_bytes() {
        return Err(CipherError::Context);
    }
    if bytes.len() < body + PREFIX {
        return Err(length);
    }
    // Decrypted where it lies and handed on in the same allocation, so that no second copy has to be wiped.
    keys.cipher().apply_keystream(&mut bytes[body..]);
    let mut bytes = Zeroizing::new(bytes);
    let prefix = bytes[body..].first_chunk::<PREFIX>().copied().ok_or(length)?;
    let len = usize::try_from(u32::from_be_bytes(prefix)).map_err(|_| CipherError::Padding)?;
    let start = body + PREFIX;
    let end = start.checked_add(len).filter(|end| *end <= bytes.len()).ok_or(CipherError::Padding)?;
    if bytes[end..].iter().any(|byte| *byte != 0) {
        return Err(CipherError::Padding);
    }
    bytes.copy_within(start..end, 0);
    bytes[len..].zeroize();
    bytes.truncate(len);
    Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
}

/// Bytes as base64, as clients send and get them.
pub fn to_base64(bytes: &SecretBytes) -> SecretText {
    SecretText::new(STANDARD.encode(bytes.expose()))
}

/// Bytes from base64.
///
/// # Errors
/// [`CipherError::Base64`].
pub fn from_base64(text: &str) -> Result<SecretBytes, CipherError> {
    STANDARD.decode(text).map(SecretBytes::new).map_err(|_| CipherError::Base64)
}

/// Kind and scope at the head of what is authenticated.
fn read_context(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let kind = u32::from_be_bytes(*bytes.first_chunk()?);
    let len = usize::try_from(u32::from_be_bytes(*bytes.get(4..)?.first_chunk()?)).ok()?;
    let scope = bytes.get(CONTEXT..)?.get(..len)?;
    std::str::from_utf8(scope).ok()?;
    Some((kind, scope))
}

/// The keys of one message.
struct Keys {
    cipher: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
}

impl Keys {
    fn derive(shared: &SharedX, nonce: &[u8; NONCE]) -> Self {
        let mut extract = hmac_sha256(&[b"nip44-v3\0".as_slice(), nonce].concat());
        extract.update(shared.expose());
        let mut prk = Zeroizing::new([0; 32]);
        extract.finalize_into((&mut *prk).into());
        let expand = |info: &[u8]| {
            let mut mac = hmac_sha256(&*prk);
            mac.update(info);
            mac.update(&[1]);
            let mut key = Zeroizing::new([0; 32]);
            mac.finalize_into((&mut *key).into());
            key
        };
        Self { cipher: expand(b"encryption_key"), mac: expand(b"mac_key") }
    }

    fn cipher(&self) -> ChaCha20 {
        ChaCha20::new((&*self.cipher).into(), &[0; 12].into())
    }

    /// HMAC-SHA256 over the nonce and all that follows the MAC, not yet finished.
    fn mac(&self, nonce: &[u8], rest: &[u8]) -> hmac::Hmac<sha2::Sha256> {
        let mut mac = hmac_sha256(&*self.mac);
        mac.update(nonce);
        mac.update(rest);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_lengths_match_the_vectors() {
        let text = include_str!("../tests/vectors/nip44v3/nip44v3-vectors.json");
        let vectors: serde_json::Value = serde_json::from_str(text).unwrap();
        for case in vectors["padded_length"].as_array().unwrap() {
            let number = |at: usize| usize::try_from(case[at].as_u64().unwrap()).unwrap();
            assert_eq!(padded_len(number(0)), number(1), "{case}");
        }
    }
}
