//! The content of an age file: chunks of 64 KiB, each authentic by itself, the last one marked.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::FileKey;
use crate::CipherError;

const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

fn cipher(file_key: &FileKey, nonce: &[u8]) -> ChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    // 32 bytes are far below the limit of HKDF-SHA-256.
    let _ = Hkdf::<Sha256>::new(Some(nonce), &**file_key).expand(b"payload", &mut *key);
    ChaCha20Poly1305::new((&*key).into())
}

fn chunk_nonce(number: u64, last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce.into()
}

/// Adds the sealed chunks of `plain` to `out`.
pub fn seal(
    file_key: &FileKey,
    nonce: &[u8; 16],
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CipherError> {
    let cipher = cipher(file_key, nonce);
    let count = plain.len().div_ceil(CHUNK).max(1);
    out.reserve(plain.len() + count * TAG);
    for number in 0..count {
        let chunk = &plain[number * CHUNK..plain.len().min((number + 1) * CHUNK)];
        let start = out.len();
        out.extend_from_slice(chunk);
        let nonce = chunk_nonce(number as u64, number + 1 == count);
        let tag = cipher
            .encrypt_in_place_detached(&nonce, b"", &mut out[start..])
            .map_err(|_| CipherError::Age("a chunk cannot be sealed"))?;
        out.extend_from_slice(&tag);
    }
    Ok(())
}

/// The whole content, or nothing.
pub fn open(file_key: &FileKey, nonce: &[u8], body: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    const DAMAGED: CipherError = CipherError::Age("its content was changed, or its end is missing");
    let cipher = cipher(file_key, nonce);
    let count = body.len().div_ceil(CHUNK + TAG);
    let mut plain = Zeroizing::new(Vec::with_capacity(body.len()));
    for (number, chunk) in body.chunks(CHUNK + TAG).enumerate() {
        let last = number + 1 == count;
        let (text, tag) = chunk.split_at_checked(chunk.len().wrapping_sub(TAG)).ok_or(DAMAGED)?;
        // Only an empty file ends with an empty chunk.
        if text.is_empty() && number > 0 {
            return Err(DAMAGED);
        }
        let start = plain.len();
        plain.extend_from_slice(text);
        cipher
            .decrypt_in_place_detached(
                &chunk_nonce(number as u64, last),
                b"",
                &mut plain[start..],
                Tag::from_slice(tag),
            )
            .map_err(|_| DAMAGED)?;
    }
    if count == 0 { Err(DAMAGED) } else { Ok(plain) }
}
