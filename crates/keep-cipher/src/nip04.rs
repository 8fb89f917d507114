//! NIP-04: AES-256-CBC under the shared x coordinate. Unauthenticated and unrecommended; old clients still speak it.

use aes::Aes256;
use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64::{Engine, engine::general_purpose::STANDARD};
use keep_types::SecretText;
use subtle::{Choice, ConstantTimeEq, ConstantTimeLess};
use zeroize::{Zeroize, Zeroizing};

use crate::nip44::{MAX_PAYLOAD, MAX_PLAINTEXT, into_text};
use crate::{CipherError, SharedX};

/// What stands between ciphertext and initialisation vector.
const SEPARATOR: &str = "?iv=";
const BLOCK: usize = 16;

/// Whether `payload` has the form of NIP-04, which NIP-44 never has.
pub fn looks_like(payload: &str) -> bool {
    payload.contains(SEPARATOR)
}

/// Encrypts `plaintext` with an initialisation vector from the caller, which must be unpredictable and never used
/// for two texts under one key.
///
/// # Errors
/// When the text is longer than [`MAX_PLAINTEXT`] bytes.
pub fn encrypt(shared: &SharedX, plaintext: &str, iv: &[u8; BLOCK]) -> Result<String, CipherError> {
    if plaintext.len() > MAX_PLAINTEXT {
        return Err(CipherError::PlaintextTooLong { len: plaintext.len(), max: MAX_PLAINTEXT });
    }
    let cipher = cbc::Encryptor::<Aes256>::new(shared.expose().into(), iv.into());
    let ciphertext = cipher.encrypt_padded_vec_mut::<Pkcs7>(plaintext.as_bytes());
    Ok(format!("{}{SEPARATOR}{}", STANDARD.encode(ciphertext), STANDARD.encode(iv)))
}

/// Encrypts `plaintext` with a fresh random initialisation vector from the operating system.
///
/// # Errors
/// As [`encrypt`], and when there are no random bytes.
pub fn encrypt_randomly(shared: &SharedX, plaintext: &str) -> Result<String, CipherError> {
    let mut iv = [0; BLOCK];
    getrandom::getrandom(&mut iv).map_err(|_| CipherError::Random)?;
    encrypt(shared, plaintext, &iv)
}

/// Decrypts a payload of at most [`MAX_PAYLOAD`] characters. The text may be empty.
///
/// # Errors
/// [`CipherError::PayloadLength`] when it is longer; [`CipherError::Nip04`] for everything else, so that the answer
/// does not tell a wrong padding from a wrong text.
pub fn decrypt(shared: &SharedX, payload: &str) -> Result<SecretText, CipherError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(CipherError::PayloadLength(payload.len()));
    }
    let (ciphertext, iv) = payload.split_once(SEPARATOR).ok_or(CipherError::Nip04)?;
    let iv = STANDARD.decode(iv).map_err(|_| CipherError::Nip04)?;
    let iv: [u8; BLOCK] = iv.try_into().map_err(|_| CipherError::Nip04)?;
    let mut bytes = Zeroizing::new(STANDARD.decode(ciphertext).map_err(|_| CipherError::Nip04)?);
    let cipher = cbc::Decryptor::<Aes256>::new(shared.expose().into(), (&iv).into());
    // Fails only when the ciphertext is not whole blocks.
    cipher.decrypt_padded_mut::<NoPadding>(&mut bytes).map_err(|_| CipherError::Nip04)?;
    let len = text_len(&bytes).ok_or(CipherError::Nip04)?;
    bytes[len..].zeroize();
    bytes.truncate(len);
    into_text(std::mem::take(&mut *bytes)).map_err(|_| CipherError::Nip04)
}

/// The length without PKCS #7 padding. Looks at every byte of the last block, whatever it finds.
fn text_len(padded: &[u8]) -> Option<usize> {
    let last_block = padded.last_chunk::<BLOCK>()?;
    let pad = last_block[BLOCK - 1];
    let mut good = !pad.ct_eq(&0) & pad.ct_lt(&(BLOCK as u8 + 1));
    for (from_end, byte) in (0_u8..).zip(last_block.iter().rev()) {
        let is_padding: Choice = from_end.ct_lt(&pad);
        good &= !is_padding | byte.ct_eq(&pad);
    }
    bool::from(good).then(|| padded.len() - usize::from(pad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_checked_in_every_byte() {
        let mut block = [16; 16];
        assert_eq!(text_len(&block), Some(0));
        block[0] = 15;
        assert_eq!(text_len(&block), None);
        block = [1; 16];
        assert_eq!(text_len(&block), Some(15));
        for pad in [0, 17, 255] {
            block[15] = pad;
            assert_eq!(text_len(&block), None);
        }
        block[14..].copy_from_slice(&[2, 2]);
        assert_eq!(text_len(&block), Some(14));
        assert_eq!(text_len(&[]), None);
    }
}
