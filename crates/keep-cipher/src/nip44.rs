//! NIP-44 version 2.

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use hmac::digest::FixedOutput;
use hmac::{Hmac, Mac};
use keep_types::SecretText;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::key::hmac_sha256;
use crate::padding::{pad_into, text_range, total_len};
use crate::{CipherError, ConversationKey};

/// The longest text that Keep encrypts or decrypts, in bytes (16 MiB). NIP-44 itself allows 4 GiB and asks
/// implementations to set a limit of their own.
pub const MAX_PLAINTEXT: usize = 1 << 24;

/// The longest payload that Keep decrypts, in characters: [`MAX_PLAINTEXT`] padded and encoded. Longer payloads are
/// refused before anything is decoded or allocated.
pub const MAX_PAYLOAD: usize = base64_len(OVERHEAD + total_len(MAX_PLAINTEXT as u32) as usize);

/// The shortest payload, in characters: a text of 1 to 32 bytes.
pub const MIN_PAYLOAD: usize = base64_len(OVERHEAD + 34);

const VERSION: u8 = 2;
const NONCE: usize = 32;
const MAC: usize = 32;
/// Version, nonce and MAC.
const OVERHEAD: usize = 1 + NONCE + MAC;

const fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Encrypts `plaintext` with a nonce from the caller, so that the same inputs give the same payload.
///
/// A nonce must never be used for two different texts under one key: the caller draws it at random, or derives it
/// from the text by a keyed hash.
///
/// # Errors
/// When the text is empty or longer than [`MAX_PLAINTEXT`].
pub fn encrypt(key: &ConversationKey, plaintext: &str, nonce: &[u8; NONCE]) -> Result<String, CipherError> {
    if plaintext.is_empty() {
        return Err(CipherError::EmptyPlaintext);
    }
    let too_long = CipherError::PlaintextTooLong { len: plaintext.len(), max: MAX_PLAINTEXT };
    if plaintext.len() > MAX_PLAINTEXT {
        return Err(too_long);
    }
    let len = u32::try_from(plaintext.len()).map_err(|_| too_long)?;
    let keys = MessageKeys::derive(key, nonce);
    let mut bytes = Vec::with_capacity(OVERHEAD + total_len(len) as usize);
    bytes.push(VERSION);
    bytes.extend_from_slice(nonce);
    pad_into(&mut bytes, plaintext, len);
    keys.cipher().apply_keystream(&mut bytes[1 + NONCE..]);
    let mac = keys.mac(&bytes[1..]).finalize().into_bytes();
    bytes.extend_from_slice(&mac);
    Ok(STANDARD.encode(bytes))
}

/// Encrypts `plaintext` with a fresh random nonce from the operating system.
///
/// # Errors
/// As [`encrypt`], and when there are no random bytes.
pub fn encrypt_randomly(key: &ConversationKey, plaintext: &str) -> Result<String, CipherError> {
    let mut nonce = [0; NONCE];
    getrandom::getrandom(&mut nonce).map_err(|_| CipherError::Random)?;
    encrypt(key, plaintext, &nonce)
}

/// Decrypts a payload of at most [`MAX_PAYLOAD`] characters. The MAC is checked before anything is decrypted.
///
/// # Errors
/// What does not fit: length, version, base64, MAC, padding, text.
pub fn decrypt(key: &ConversationKey, payload: &str) -> Result<SecretText, CipherError> {
    decrypt_up_to(key, payload, MAX_PAYLOAD)
}

/// Decrypts a payload of at most `max` characters (and at most [`MAX_PAYLOAD`]); longer ones are refused before
/// anything is decoded or allocated.
///
/// # Errors
/// As [`decrypt`].
pub fn decrypt_up_to(key: &ConversationKey, payload: &str, max: usize) -> Result<SecretText, CipherError> {
    if payload.starts_with('#') {
        return Err(CipherError::UnknownVersion);
    }
    if payload.len() < MIN_PAYLOAD || payload.len() > max.min(MAX_PAYLOAD) {
        return Err(CipherError::PayloadLength(payload.len()));
    }
    let bytes = STANDARD.decode(payload).map_err(|_| CipherError::Base64)?;
    open(key, bytes)
}

/// Opens the decoded payload `bytes`: version, nonce, ciphertext, MAC.
fn open(key: &ConversationKey, mut bytes: Vec<u8>) -> Result<SecretText, CipherError> {
    let payload_length = CipherError::PayloadLength(bytes.len());
    let (&version, rest) = bytes.split_first().ok_or(payload_length.clone())?;
    if version != VERSION {
        return Err(CipherError::UnknownVersion);
    }
    let (authenticated, mac) = rest.split_last_chunk::<MAC>().ok_or(payload_length.clone())?;
    let nonce = authenticated.first_chunk::<NONCE>().ok_or(payload_length)?;
    let keys = MessageKeys::derive(key, nonce);
    // `verify_slice` compares in constant time (subtle).
    keys.mac(authenticated).verify_slice(mac).map_err(|_| CipherError::Mac)?;

    // Decrypted where it lies and handed on in the same allocation, so that no second copy has to be wiped.
    bytes.truncate(bytes.len() - MAC);
    keys.cipher().apply_keystream(&mut bytes[1 + NONCE..]);
    let mut bytes = Zeroizing::new(bytes);
    let text = text_range(&bytes[1 + NONCE..])?;
    let (start, len) = (1 + NONCE + text.start, text.len());
    bytes.copy_within(start..start + len, 0);
    bytes[len..].zeroize();
    bytes.truncate(len);
    into_text(std::mem::take(&mut *bytes))
}

/// UTF-8 text from decrypted bytes, which are wiped if they are none.
pub(crate) fn into_text(bytes: Vec<u8>) -> Result<SecretText, CipherError> {
    String::from_utf8(bytes).map(SecretText::new).map_err(|e| {
        e.into_bytes().zeroize();
        CipherError::Utf8
    })
}

/// The keys of one message: ChaCha20 key and nonce, HMAC key.
struct MessageKeys(Zeroizing<[u8; 76]>);

impl MessageKeys {
    /// HKDF-expand (RFC 5869) of the conversation key with the nonce as info: three blocks, of which 76 bytes count.
    fn derive(key: &ConversationKey, nonce: &[u8; NONCE]) -> Self {
        let keyed = hmac_sha256(key.expose());
        let mut keys = Zeroizing::new([0; 76]);
        let mut block = Zeroizing::new([0; 32]);
        for (number, part) in (1_u8..).zip(keys.chunks_mut(32)) {
            let mut mac = keyed.clone();
            if number > 1 {
                mac.update(&*block);
            }
            mac.update(nonce);
            mac.update(&[number]);
            mac.finalize_into((&mut *block).into());
            part.copy_from_slice(&block[..part.len()]);
        }
        Self(keys)
    }

    fn cipher(&self) -> ChaCha20 {
        let (key, rest) = self.0.split_at(32);
        ChaCha20::new(key.into(), rest[..12].into())
    }

    /// HMAC-SHA256 over nonce and ciphertext, not yet finished.
    fn mac(&self, nonce_and_ciphertext: &[u8]) -> Hmac<Sha256> {
        let mut mac = hmac_sha256(&self.0[44..]);
        mac.update(nonce_and_ciphertext);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of NIP-44 for message keys, which no public function shows.
    #[test]
    fn message_keys_match_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/nip44/nip44.vectors.json")).unwrap();
        let group = &vectors["v2"]["valid"]["get_message_keys"];
        let mut key = [0; 32];
        hex::decode_to_slice(group["conversation_key"].as_str().unwrap(), &mut key).unwrap();
        let key = ConversationKey::take(&mut key);
        for case in group["keys"].as_array().unwrap() {
            let bytes = |name: &str| hex::decode(case[name].as_str().unwrap()).unwrap();
            let keys = MessageKeys::derive(&key, bytes("nonce").first_chunk().unwrap());
            let expected = [bytes("chacha_key"), bytes("chacha_nonce"), bytes("hmac_key")].concat();
            assert_eq!(&keys.0[..], expected);
        }
    }

    #[test]
    fn padded_lengths_match_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/nip44/nip44.vectors.json")).unwrap();
        for case in vectors["v2"]["valid"]["calc_padded_len"].as_array().unwrap() {
            let len = u32::try_from(case[0].as_u64().unwrap()).unwrap();
            assert_eq!(crate::padding::padded_len(len), case[1].as_u64().unwrap());
        }
    }

    #[test]
    fn the_limits_are_what_they_say() {
        assert_eq!(MIN_PAYLOAD, 132);
        assert_eq!(MAX_PAYLOAD, 22_369_716);
    }
}
