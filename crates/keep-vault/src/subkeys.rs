//! The keys that are derived from the data key.

use std::cell::OnceCell;

use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use keep_types::{Collection, RecordId, SecretKey32, VaultId};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::head::Carried;

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// How many record keys there are: one for each collection number from 0.
const COLLECTIONS: usize = 20;
const HEAD: usize = COLLECTIONS;
const LEAF: usize = COLLECTIONS + 1;
const NAME: usize = COLLECTIONS + 2;
const ANSWER: usize = COLLECTIONS + 3;
const KEYS: usize = COLLECTIONS + 4;

/// The length of all subkeys together, in bytes.
pub(crate) const SUBKEYS_LEN: usize = KEYS * 32;

/// All subkeys, in clear, for the length of one operation. Wiped on drop.
pub(crate) struct Subkeys {
    bytes: Zeroizing<[u8; SUBKEYS_LEN]>,
    leaf: OnceCell<HmacSha256>,
    name: OnceCell<HmacSha256>,
}

impl Subkeys {
    /// Derives them from the data key.
    pub fn derive(data_key: &SecretKey32, vault: VaultId, epoch: u64) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(vault.as_bytes()), data_key.expose());
        let mut keys = Zeroizing::new([0; SUBKEYS_LEN]);
        let epoch = epoch.to_be_bytes();
        for (index, out) in keys.chunks_exact_mut(32).enumerate() {
            let number = [index as u8];
            let purpose: [&[u8]; 2] = match index {
                HEAD => [b"head", b""],
                LEAF => [b"leaf", b""],
                NAME => [b"name", b""],
                ANSWER => [b"answer", b""],
                _ => [b"records", &number],
            };
            // 32 bytes are far below the limit of HKDF-SHA-256.
            let _ = hkdf.expand_multi_info(&[b"keep v1 ", purpose[0], purpose[1], &epoch], out);
        }
        Self::from_bytes(keys)
    }

    pub const fn from_bytes(bytes: Zeroizing<[u8; SUBKEYS_LEN]>) -> Self {
        Self { bytes, leaf: OnceCell::new(), name: OnceCell::new() }
    }

    pub fn as_bytes(&self) -> &[u8; SUBKEYS_LEN] {
        &self.bytes
    }

    /// The keys that outlive the data key.
    pub fn carried(&self) -> Carried {
        let mut carried = Carried([0; 64]);
        carried.0[..32].copy_from_slice(self.key(NAME));
        carried.0[32..].copy_from_slice(self.key(ANSWER));
        carried
    }

    /// With the keys of an earlier data key in the places of those that outlive it.
    #[must_use]
    pub fn with_carried(self, carried: &Carried) -> Self {
        let mut bytes = self.bytes;
        bytes[NAME * 32..][..32].copy_from_slice(&carried.0[..32]);
        bytes[ANSWER * 32..][..32].copy_from_slice(&carried.0[32..]);
        Self::from_bytes(bytes)
    }

    fn key(&self, index: usize) -> &[u8] {
        &self.bytes[index * 32..][..32]
    }

    /// The key that seals the rows of a collection. Numbers beyond the format have none.
    pub fn records(&self, collection: u8) -> Option<&[u8]> {
        (usize::from(collection) < COLLECTIONS).then(|| self.key(usize::from(collection)))
    }

    pub fn head(&self) -> &[u8] {
        self.key(HEAD)
    }

    /// The hash of rows, keyed and ready.
    pub fn leaf(&self) -> &HmacSha256 {
        self.leaf.get_or_init(|| keyed(self.key(LEAF)))
    }

    /// The key of what answers are derived from.
    pub fn answer_key(&self) -> AnswerKey {
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(self.key(ANSWER));
        AnswerKey(key)
    }

    /// Where a record lies that is found by what it is about.
    pub fn locate(&self, collection: Collection, natural: &[u8]) -> RecordId {
        let full = self.name_mac(b"id", collection, natural);
        let mut id = [0; 16];
        id.copy_from_slice(&full[..16]);
        RecordId::from_bytes(id)
    }

    /// The index of a unique name (already in Unicode NFC).
    pub fn name_index(&self, collection: Collection, name: &str) -> [u8; 32] {
        self.name_mac(b"name", collection, name.as_bytes())
    }

    fn name_mac(&self, label: &[u8], collection: Collection, value: &[u8]) -> [u8; 32] {
        let mut mac = self.name.get_or_init(|| keyed(self.key(NAME))).clone();
        mac.update(label);
        mac.update(&[collection.number()]);
        mac.update(value);
        mac.finalize().into_bytes().into()
    }
}

/// The key of what answers are derived from, in clear, for the length of one operation. Wiped on drop.
pub(crate) struct AnswerKey(Zeroizing<[u8; 32]>);

impl AnswerKey {
    pub const fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Deterministic bytes for the answer to one request: HMAC over labelled parts.
    pub fn derive(&self, label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = keyed(&*self.0);
        mac.update(label);
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

/// HMAC takes keys of every length, so this cannot fail; the fallback only satisfies the type.
fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).unwrap_or_else(|_| HmacSha256::new(&Default::default()))
}

/// `count` × 24 random bytes, for nonces.
pub(crate) struct Nonces {
    bytes: Vec<u8>,
    used: usize,
}

impl Nonces {
    pub fn new(count: usize) -> Result<Self, VaultError> {
        let mut bytes = vec![0; count * 24];
        getrandom::getrandom(&mut bytes)?;
        Ok(Self { bytes, used: 0 })
    }

    /// The next nonce; more random bytes are fetched when they run out.
    pub fn next(&mut self) -> Result<[u8; 24], VaultError> {
        if self.used + 24 > self.bytes.len() {
            *self = Self::new(8)?;
        }
        let mut nonce = [0; 24];
        nonce.copy_from_slice(&self.bytes[self.used..self.used + 24]);
        self.used += 24;
        Ok(nonce)
    }
}
