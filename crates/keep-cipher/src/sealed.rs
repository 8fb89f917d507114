//! XChaCha20-Poly1305 in place, for large things that Keep seals for itself.

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroize;

use crate::CipherError;

/// The length of a nonce in bytes.
pub const NONCE: usize = 24;
/// The length of an authentication tag in bytes.
pub const TAG: usize = 16;
/// The most that one nonce encrypts, in bytes.
const MAX: usize = 256 << 30;

/// Encrypts `data` in place and gives the tag. A key must never see the same nonce twice.
///
/// # Errors
/// When there is more than 256 GiB of it. It is wiped then, so that nothing is stored by mistake.
pub fn seal(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    aad: &[u8],
    data: &mut [u8],
) -> Result<[u8; TAG], CipherError> {
    let cipher = XChaCha20Poly1305::new(key.into());
    match cipher.encrypt_in_place_detached(XNonce::from_slice(nonce), aad, data) {
        Ok(tag) => Ok(tag.into()),
        Err(_) => {
            data.zeroize();
            Err(CipherError::PlaintextTooLong { len: data.len(), max: MAX })
        }
    }
}

/// Decrypts `data` in place; says whether it is what was sealed. If not, `data` is as it was.
#[must_use]
pub fn open(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], data: &mut [u8], tag: &[u8; TAG]) -> bool {
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt_in_place_detached(XNonce::from_slice(nonce), aad, data, &Tag::from(*tag)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_unless_anything_differs() {
        let mut data = *b"some text that is longer than one block of the stream cipher, to be sure of it";
        let plain = data;
        let tag = seal(&[1; 32], &[2; NONCE], b"here", &mut data).unwrap();
        assert_ne!(data, plain);
        let opens = |key, nonce, aad: &[u8], mut data: [u8; 78], tag| {
            open(&[key; 32], &[nonce; NONCE], aad, &mut data, &tag)
        };
        assert!(opens(1, 2, b"here", data, tag));
        assert!(!opens(9, 2, b"here", data, tag) && !opens(1, 9, b"here", data, tag));
        assert!(!opens(1, 2, b"there", data, tag));
        let mut bad = data;
        bad[70] ^= 1;
        assert!(!opens(1, 2, b"here", bad, tag) && !opens(1, 2, b"here", data, [0; TAG]));
        assert!(open(&[1; 32], &[2; NONCE], b"here", &mut data, &tag));
        assert_eq!(data, plain);
    }
}
