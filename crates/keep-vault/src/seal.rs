//! Sealing: padding, authenticated encryption, and the keyed hash of a row.

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{Key, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hmac::Mac;
use keep_store::{NameIndex, Row};
use keep_types::{RecordId, Revision, VaultId};
use zeroize::Zeroizing;

use crate::subkeys::{HmacSha256, Subkeys};

const NONCE: usize = 24;
const TAG: usize = 16;

/// A sealed value does not open: wrong key, or any bit of it or of what it is bound to was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DoesNotOpen;

/// What ties a row to its place: vault, epoch, collection, id, revision and name index.
pub(crate) fn row_aad(vault: VaultId, epoch: u64, row: RowPlace<'_>) -> Vec<u8> {
    let mut aad = Vec::with_capacity(104);
    aad.extend_from_slice(b"keep v1 row");
    aad.extend_from_slice(vault.as_bytes());
    aad.extend_from_slice(&epoch.to_be_bytes());
    aad.push(row.collection);
    aad.extend_from_slice(row.id.as_bytes());
    aad.extend_from_slice(&row.revision.get().to_be_bytes());
    match row.name {
        None => aad.push(0),
        Some(name) => {
            aad.push(1);
            aad.extend_from_slice(name);
        }
    }
    aad
}

/// The clear columns of a row.
#[derive(Clone, Copy)]
pub(crate) struct RowPlace<'a> {
    pub collection: u8,
    pub id: RecordId,
    pub revision: Revision,
    pub name: Option<&'a NameIndex>,
}

impl<'a> From<&'a Row> for RowPlace<'a> {
    fn from(row: &'a Row) -> Self {
        Self { collection: row.collection, id: row.id, revision: row.revision, name: row.name.as_ref() }
    }
}

/// The associated data of the head.
pub(crate) fn head_aad(vault: VaultId, epoch: u64) -> Vec<u8> {
    let mut aad = b"keep v1 head".to_vec();
    aad.extend_from_slice(vault.as_bytes());
    aad.extend_from_slice(&epoch.to_be_bytes());
    aad
}

/// nonce ‖ XChaCha20-Poly1305(padded plaintext).
pub(crate) fn seal(key: &[u8], nonce: [u8; NONCE], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(NONCE + padded_len(plain.len()) + TAG);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    out.push(0x80);
    out.resize(NONCE + padded_len(plain.len()), 0);
    let cipher = XChaCha20Poly1305::new(Key::from_slice(key));
    // Fails only beyond 256 GiB.
    let tag = cipher
        .encrypt_in_place_detached(XNonce::from_slice(&nonce), aad, &mut out[NONCE..])
        .unwrap_or_default();
    out.extend_from_slice(&tag);
    out
}

/// Opens what [`seal`] made.
pub(crate) fn open(key: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    if sealed.len() < NONCE + TAG {
        return Err(DoesNotOpen);
    }
    let (nonce, rest) = sealed.split_at(NONCE);
    let (body, tag) = rest.split_at(rest.len() - TAG);
    let mut plain = Zeroizing::new(body.to_vec());
    XChaCha20Poly1305::new(Key::from_slice(key))
        .decrypt_in_place_detached(XNonce::from_slice(nonce), aad, &mut plain, Tag::from_slice(tag))
        .map_err(|_| DoesNotOpen)?;
    let end = plain.iter().rposition(|&byte| byte != 0).filter(|&at| plain[at] == 0x80).ok_or(DoesNotOpen)?;
    plain.truncate(end);
    Ok(plain)
}

/// The keyed hash of a row, in the sum of its collection. Covers every byte that is stored of it.
pub(crate) fn leaf(mac: &HmacSha256, aad: &[u8], sealed: &[u8]) -> [u8; 32] {
    let mut mac = mac.clone();
    mac.update(aad);
    mac.update(sealed);
    mac.finalize().into_bytes().into()
}

/// Opens a row with the key of its collection.
pub(crate) fn open_row(
    keys: &Subkeys,
    vault: VaultId,
    epoch: u64,
    row: &Row,
) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    let key = keys.records(row.collection).ok_or(DoesNotOpen)?;
    open(key, &row_aad(vault, epoch, row.into()), &row.sealed)
}

/// Lengths show in steps of at most an eighth, and of at least 64 bytes.
const fn padded_len(len: usize) -> usize {
    let with_mark = len + 1;
    let step = with_mark.next_power_of_two() / 8;
    let step = if step < 64 { 64 } else { step };
    with_mark.div_ceil(step) * step
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_hidden_in_steps() {
        assert_eq!(padded_len(0), 64);
        assert_eq!(padded_len(63), 64);
        assert_eq!(padded_len(64), 128);
        assert_eq!(padded_len(1000), 1024);
        assert_eq!(padded_len(1024), 1280);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(plain in proptest::collection::vec(any::<u8>(), 0..700)) {
            let sealed = seal(&[1; 32], [2; 24], b"aad", &plain);
            prop_assert_eq!(sealed.len(), 40 + padded_len(plain.len()));
            let opened = open(&[1; 32], b"aad", &sealed).unwrap();
            prop_assert_eq!(&*opened, &plain);
        }

        #[test]
        fn a_flipped_bit_does_not_open(at in 0_usize..104, bit in 0_u8..8) {
            let mut sealed = seal(&[1; 32], [2; 24], b"aad", b"text");
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(open(&[1; 32], b"aad", &sealed).err(), Some(DoesNotOpen));
        }
    }

    #[test]
    fn another_place_does_not_open() {
        let sealed = seal(&[1; 32], [2; 24], b"here", b"text");
        assert!(open(&[1; 32], b"there", &sealed).is_err());
        assert!(open(&[1; 32], b"here", &[]).is_err());
    }
}
