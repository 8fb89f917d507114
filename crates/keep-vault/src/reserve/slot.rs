//! A slot: everything as it was at one time, sealed.

use hkdf::Hkdf;
use keep_cipher::sealed::{self, NONCE, TAG};
use keep_types::SecretKey32;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::layout::{BLOCK, PIECE};
use crate::secrets::payload;
use crate::{VaultError, effort};

const VERSION: u8 = 1;
const PLAIN: usize = BLOCK - NONCE - TAG;

/// What the header of a slot says.
#[derive(Clone)]
pub(super) struct SlotHeader {
    pub generation: u64,
    pub id: [u8; 16],
    /// The slot key: that of the body and of the journal after it.
    pub key: Zeroizing<[u8; 32]>,
    pub body_salt: [u8; 32],
    pub len: u64,
    pub body_hash: [u8; 32],
}

fn aad(slot: usize, salt: &[u8; 32]) -> Vec<u8> {
    [b"keep v1 slot".as_slice(), &[u8::from(slot != 0)], salt].concat()
}

impl SlotHeader {
    /// A header with a fresh key, for content that is yet to be sealed.
    pub fn fresh(generation: u64, id: [u8; 16]) -> Result<Self, VaultError> {
        let mut header = Self {
            generation,
            id,
            key: Zeroizing::new([0; 32]),
            body_salt: [0; 32],
            len: 0,
            body_hash: [0; 32],
        };
        getrandom::getrandom(&mut *header.key)?;
        getrandom::getrandom(&mut header.body_salt)?;
        Ok(header)
    }

    /// The 4,096 bytes of the header.
    pub fn seal(&self, kek: &SecretKey32, slot: usize, salt: &[u8; 32]) -> Result<Vec<u8>, VaultError> {
        let mut out = Vec::with_capacity(BLOCK);
        let mut nonce = [0; NONCE];
        getrandom::getrandom(&mut nonce)?;
        out.extend_from_slice(&nonce);
        out.push(VERSION);
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&*self.key);
        out.extend_from_slice(&self.body_salt);
        out.extend_from_slice(&self.len.to_be_bytes());
        out.extend_from_slice(&self.body_hash);
        out.resize(NONCE + PLAIN, 0);
        let tag = sealed::seal(kek.expose(), &nonce, &aad(slot, salt), &mut out[NONCE..]).map_err(payload)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Opens a header; also gives its tag. Does the same work whether it opens or not.
    pub fn open(kek: &SecretKey32, slot: usize, salt: &[u8; 32], bytes: &[u8]) -> Option<(Self, [u8; TAG])> {
        effort::opened();
        let (nonce, rest) = bytes.split_first_chunk::<NONCE>()?;
        let (body, tag) = rest.split_at_checked(PLAIN)?;
        let tag: [u8; TAG] = tag.try_into().ok()?;
        let mut plain = Zeroizing::new(body.to_vec());
        if !sealed::open(kek.expose(), nonce, &aad(slot, salt), &mut plain, &tag) {
            return None;
        }
        let mut input = plain.as_slice();
        if field::<1>(&mut input)? != [VERSION] {
            return None;
        }
        let header = Self {
            generation: u64::from_be_bytes(field(&mut input)?),
            id: field(&mut input)?,
            key: Zeroizing::new(field(&mut input)?),
            body_salt: field(&mut input)?,
            len: u64::from_be_bytes(field(&mut input)?),
            body_hash: field(&mut input)?,
        };
        Some((header, tag))
    }

    /// Seals `content` into a body of `body_len` bytes, and notes its length and hash.
    pub fn seal_body(&mut self, content: &[u8], body_len: usize) -> Result<Vec<u8>, VaultError> {
        let key = self.body_key();
        let (mut body, mut rest) = (Vec::with_capacity(body_len), content);
        for index in 0.. {
            let piece = PIECE.min(body_len - body.len());
            if piece <= TAG {
                break;
            }
            let start = body.len();
            let (taken, others) = rest.split_at(rest.len().min(piece - TAG));
            body.extend_from_slice(taken);
            body.resize(start + piece - TAG, 0);
            let tag = sealed::seal(&key, &piece_nonce(index), &self.piece_aad(index), &mut body[start..])
                .map_err(payload)?;
            body.extend_from_slice(&tag);
            rest = others;
        }
        if !rest.is_empty() {
            return Err(VaultError::System("the reserve's slot is too small".into()));
        }
        self.len = content.len() as u64;
        self.body_hash = Sha256::digest(&body).into();
        Ok(body)
    }

    /// Opens a body, if it is the one that belongs to this header.
    pub fn open_body(&self, body: &[u8]) -> Option<Vec<u8>> {
        if <[u8; 32]>::from(Sha256::digest(body)) != self.body_hash {
            return None;
        }
        let key = self.body_key();
        let mut content = Vec::with_capacity(body.len());
        for (index, piece) in (0..).zip(body.chunks(PIECE)) {
            let (text, tag) = piece.split_last_chunk::<TAG>()?;
            let start = content.len();
            content.extend_from_slice(text);
            let aad = self.piece_aad(index);
            if !sealed::open(&key, &piece_nonce(index), &aad, &mut content[start..], tag) {
                return None;
            }
        }
        let len = usize::try_from(self.len).ok().filter(|len| *len <= content.len())?;
        content.truncate(len);
        Some(content)
    }

    /// The key of the journal that continues this slot.
    pub fn journal_key(&self) -> Zeroizing<[u8; 32]> {
        let info = [b"keep v1 reserve journal".as_slice(), &self.generation.to_be_bytes()].concat();
        derive(&self.key, &self.body_salt, &info)
    }

    fn body_key(&self) -> Zeroizing<[u8; 32]> {
        let salt = [self.body_salt.as_slice(), &self.generation.to_be_bytes()].concat();
        derive(&self.key, &salt, b"keep v1 reserve body")
    }

    fn piece_aad(&self, index: u64) -> Vec<u8> {
        let generation = self.generation.to_be_bytes();
        [b"keep v1 reserve body".as_slice(), &self.id, &generation, &index.to_be_bytes()].concat()
    }
}

/// Each key is used for one body, so the number of a piece is nonce enough.
fn piece_nonce(index: u64) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    nonce[16..].copy_from_slice(&index.to_be_bytes());
    nonce
}

fn derive(key: &[u8; 32], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    // 32 bytes are far below the limit of HKDF-SHA-256.
    let _ = Hkdf::<Sha256>::new(Some(salt), key).expand(info, &mut *out);
    out
}

fn field<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kek(byte: u8) -> SecretKey32 {
        SecretKey32::take(&mut [byte; 32])
    }

    #[test]
    fn a_header_opens_in_its_place_only() {
        let mut header = SlotHeader::fresh(7, [1; 16]).unwrap();
        header.seal_body(b"content", 3 * PIECE + 5_000).unwrap();
        let sealed = header.seal(&kek(1), 0, &[9; 32]).unwrap();
        assert_eq!(sealed.len(), BLOCK);
        let (read, tag) = SlotHeader::open(&kek(1), 0, &[9; 32], &sealed).unwrap();
        assert_eq!((read.generation, read.id, read.len), (7, [1; 16], 7));
        assert_eq!(
            (read.key, read.body_hash, tag.as_slice()),
            (header.key, header.body_hash, &sealed[BLOCK - TAG..])
        );
        assert!(SlotHeader::open(&kek(2), 0, &[9; 32], &sealed).is_none());
        assert!(SlotHeader::open(&kek(1), 1, &[9; 32], &sealed).is_none());
        assert!(SlotHeader::open(&kek(1), 0, &[8; 32], &sealed).is_none());
        assert!(SlotHeader::open(&kek(1), 0, &[9; 32], &sealed[1..]).is_none());
    }

    #[test]
    fn bodies_of_every_length_come_back_and_fill_the_slot() {
        for (length, body_len) in [
            (0, BLOCK),
            (BLOCK - TAG, BLOCK),
            (1, 2 * PIECE),
            (PIECE, 2 * PIECE),
            (2 * (PIECE - TAG), 2 * PIECE),
        ] {
            let content: Vec<u8> = (0..length).map(|n| n as u8 | 1).collect();
            let mut header = SlotHeader::fresh(1, [1; 16]).unwrap();
            let body = header.seal_body(&content, body_len).unwrap();
            assert_eq!((body.len(), header.open_body(&body)), (body_len, Some(content)));
            let mut torn = body.clone();
            torn[body_len / 2] ^= 1;
            assert_eq!(header.open_body(&torn), None);
            header.body_hash = Sha256::digest(&torn).into();
            assert_eq!(header.open_body(&torn), None, "a hash alone is not enough");
        }
        assert!(SlotHeader::fresh(1, [1; 16]).unwrap().seal_body(&[0; BLOCK], BLOCK).is_err());
    }
}
