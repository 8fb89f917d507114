//! The header: what stands in clear, and the stanzas that wrap the data key.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use keep_types::{Name, SecretKey32, Timestamp, VaultId};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::kdf::Keks;
use crate::{KdfParams, VaultError, effort};

/// The format of vaults that this version reads and writes.
pub const FORMAT: u64 = 1;
const MAX_STANZAS: usize = 8;
const CHECK_LEN: usize = 8;

/// How a stanza is opened. Types that this version does not know are carried along and not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StanzaKind {
    /// Argon2id over a passphrase.
    Passphrase,
    /// A recovery code of 24 words.
    Recovery,
}

impl StanzaKind {
    const fn number(self) -> u8 {
        match self {
            Self::Passphrase => 1,
            Self::Recovery => 2,
        }
    }

    const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Passphrase),
            2 => Some(Self::Recovery),
            _ => None,
        }
    }

    /// The word for views.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Recovery => "recovery_code",
        }
    }
}

/// What names a stanza as long as it is in the header: the beginning of its nonce.
pub type StanzaId = [u8; 4];

/// One way to unlock: the data key, wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Stanza {
    #[n(0)]
    kind: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    nonce: [u8; 24],
    #[cbor(n(2), with = "minicbor::bytes")]
    wrapped: Vec<u8>,
    /// What its owner calls it. In clear.
    #[n(3)]
    pub label: Option<Name>,
    /// Since when it is there.
    #[n(4)]
    pub created_at: Option<Timestamp>,
}

impl Stanza {
    /// What names it.
    pub fn id(&self) -> StanzaId {
        [self.nonce[0], self.nonce[1], self.nonce[2], self.nonce[3]]
    }

    /// How it is opened, if this version knows.
    pub const fn kind(&self) -> Option<StanzaKind> {
        StanzaKind::of(self.kind)
    }
}

/// The header of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Header {
    #[n(0)]
    format: u64,
    /// Which vault.
    #[n(1)]
    pub vault: VaultId,
    /// The generation of the data key.
    #[n(2)]
    pub epoch: u64,
    /// What a passphrase costs.
    #[n(3)]
    pub kdf: KdfParams,
    /// The ways to unlock.
    #[n(4)]
    pub stanzas: Vec<Stanza>,
}

impl Header {
    /// A header without stanzas.
    pub const fn new(vault: VaultId, kdf: KdfParams) -> Self {
        Self { format: FORMAT, vault, epoch: 1, kdf, stanzas: Vec::new() }
    }

    /// Adds a stanza: the data key wrapped under `kek`.
    ///
    /// # Errors
    /// When there are 8 stanzas already, or the operating system gives no random bytes.
    pub fn wrap(
        &mut self,
        kind: StanzaKind,
        kek: &SecretKey32,
        data_key: &SecretKey32,
        label: Option<Name>,
        now: Timestamp,
    ) -> Result<StanzaId, VaultError> {
        if self.stanzas.len() >= MAX_STANZAS {
            return Err(VaultError::NoRoom(MAX_STANZAS));
        }
        let mut nonce = [0; 24];
        getrandom::getrandom(&mut nonce)?;
        let kind = kind.number();
        let aad = self.stanza_aad(kind);
        let payload = Payload { msg: data_key.expose(), aad: &aad };
        let wrapped = cipher(kek)
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| VaultError::Header("the data key cannot be wrapped".into()))?;
        let stanza = Stanza { kind, nonce, wrapped, label, created_at: Some(now) };
        let id = stanza.id();
        self.stanzas.push(stanza);
        Ok(id)
    }

    /// Tries all eight positions, whatever is in them, without stopping at the first that opens. Gives the data key and the
    /// stanza that it was in.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`] when none opens.
    pub(crate) fn unwrap_key(&self, keks: &Keks) -> Result<(SecretKey32, StanzaId), VaultError> {
        let empty = Stanza {
            kind: StanzaKind::Passphrase.number(),
            nonce: [0; 24],
            wrapped: vec![0; 48],
            label: None,
            created_at: None,
        };
        let mut found = None;
        for position in 0..MAX_STANZAS {
            let stanza = self.stanzas.get(position);
            let opened = self.open_stanza(stanza.unwrap_or(&empty), keks);
            found = found.or(stanza.and_then(|stanza| Some((opened?, stanza.id()))));
        }
        found.ok_or(VaultError::WrongPassphrase)
    }

    /// The data key in one stanza.
    fn open_stanza(&self, stanza: &Stanza, keks: &Keks) -> Option<SecretKey32> {
        let kek = match stanza.kind() {
            // One of a type that this version does not know does not open, after the same work.
            Some(StanzaKind::Passphrase) | None => &keks.passphrase,
            Some(StanzaKind::Recovery) => &keks.recovery,
        };
        let aad = self.stanza_aad(stanza.kind);
        let payload = Payload { msg: &stanza.wrapped, aad: &aad };
        effort::opened();
        let plain = cipher(kek).decrypt(XNonce::from_slice(&stanza.nonce), payload).ok()?;
        let plain = Zeroizing::new(plain);
        stanza.kind()?;
        <[u8; 32]>::try_from(plain.as_slice()).ok().map(|mut key| SecretKey32::take(&mut key))
    }

    /// The stanzas that a text opens.
    pub(crate) fn opened_by(&self, keks: &Keks) -> Vec<&Stanza> {
        self.stanzas.iter().filter(|stanza| self.open_stanza(stanza, keks).is_some()).collect()
    }

    /// The bytes as stored.
    ///
    /// # Errors
    /// When the header cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, VaultError> {
        let mut bytes = minicbor::to_vec(self).map_err(|e| VaultError::Header(e.to_string()))?;
        let check = Sha256::digest(&bytes);
        bytes.extend_from_slice(&check[..CHECK_LEN]);
        Ok(bytes)
    }

    /// Reads the bytes as stored.
    ///
    /// # Errors
    /// [`VaultError::Header`] when they are damaged, [`VaultError::TooNew`] for a later format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VaultError> {
        let damaged = |what: &str| VaultError::Header(what.to_owned());
        let split = bytes.len().checked_sub(CHECK_LEN).ok_or_else(|| damaged("it is too short"))?;
        let (cbor, check) = bytes.split_at(split);
        if Sha256::digest(cbor)[..CHECK_LEN] != *check {
            return Err(damaged("its check bytes do not match"));
        }
        match peek_format(cbor) {
            Some(FORMAT) => {}
            Some(later) => return Err(VaultError::TooNew(later)),
            None => return Err(damaged("it names no format")),
        }
        let header: Self = minicbor::decode(cbor).map_err(|e| damaged(&e.to_string()))?;
        if header.stanzas.is_empty() || header.stanzas.len() > MAX_STANZAS {
            return Err(damaged("it has no usable way to unlock"));
        }
        Ok(header)
    }

    /// As [`from_bytes`](Self::from_bytes), with one byte put right if need be: 64 check bits tell which. For the rescue of a
    /// damaged vault; what it gives is trusted no more than the stanza that it opens.
    pub fn repair(bytes: &[u8]) -> Option<Self> {
        if let Ok(header) = Self::from_bytes(bytes) {
            return Some(header);
        }
        let mut changed = bytes.to_vec();
        for at in 0..bytes.len() {
            for byte in 0..=u8::MAX {
                changed[at] = byte;
                if let Ok(header) = Self::from_bytes(&changed) {
                    return Some(header);
                }
            }
            changed[at] = bytes[at];
        }
        None
    }

    /// The whole headers that stand anywhere in `bytes`.
    pub fn search(bytes: &[u8]) -> Vec<Self> {
        /// A map of five, format 1, a vault id of 16 bytes.
        const BEGINNING: &[u8] = &[0xa5, 0x00, 0x01, 0x01, 0x50];
        let starts = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(BEGINNING));
        let read = starts.filter_map(|at| {
            let mut decoder = minicbor::Decoder::new(&bytes[at..]);
            decoder.decode::<Self>().ok()?;
            let end = at + decoder.position() + CHECK_LEN;
            Self::from_bytes(bytes.get(at..end)?).ok()
        });
        read.collect()
    }

    /// The hash by which the sealed head knows the header.
    pub fn hash(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    fn stanza_aad(&self, kind: u8) -> Vec<u8> {
        let mut aad = b"keep v1 stanza".to_vec();
        aad.extend_from_slice(self.vault.as_bytes());
        aad.extend_from_slice(&self.epoch.to_be_bytes());
        aad.push(kind);
        for cost in [self.kdf.memory_kib, self.kdf.iterations, self.kdf.lanes] {
            aad.extend_from_slice(&cost.to_be_bytes());
        }
        aad.extend_from_slice(&self.kdf.salt);
        aad
    }
}

fn cipher(kek: &SecretKey32) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(kek.expose().into())
}

/// The format number, which every version of the header has under key 0.
fn peek_format(cbor: &[u8]) -> Option<u64> {
    let mut decoder = minicbor::Decoder::new(cbor);
    decoder.map().ok()?;
    (decoder.u64().ok()? == 0).then(|| decoder.u64().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretKey32 {
        SecretKey32::take(&mut [byte; 32])
    }

    fn header() -> Header {
        let mut header = Header::new(VaultId::from_bytes([1; 16]), KdfParams::standard([2; 32]));
        add(&mut header, StanzaKind::Passphrase, 3).unwrap();
        header
    }

    fn add(header: &mut Header, kind: StanzaKind, kek: u8) -> Result<StanzaId, VaultError> {
        header.wrap(kind, &key(kek), &key(4), None, Timestamp::ZERO)
    }

    fn keks(passphrase: u8, recovery: u8) -> Keks {
        Keks { passphrase: key(passphrase), recovery: key(recovery) }
    }

    #[test]
    fn each_way_opens_by_its_own_key_and_there_is_room_for_eight() {
        let mut header = header();
        let code = add(&mut header, StanzaKind::Recovery, 9).unwrap();
        assert_eq!(header.unwrap_key(&keks(8, 9)).unwrap().1, code);
        // A passphrase does not open a recovery code, nor the other way round.
        assert_eq!(header.unwrap_key(&keks(9, 3)).unwrap_err(), VaultError::WrongPassphrase);
        for kek in 10..16 {
            add(&mut header, StanzaKind::Passphrase, kek).unwrap();
        }
        assert_eq!(header.unwrap_key(&keks(15, 0)).unwrap().0.expose(), &[4; 32]);
        assert_eq!(add(&mut header, StanzaKind::Passphrase, 16).unwrap_err(), VaultError::NoRoom(8));
    }

    #[test]
    fn wraps_and_unwraps_and_round_trips() {
        let stored = header().to_bytes().unwrap();
        let read = Header::from_bytes(&stored).unwrap();
        assert_eq!(read.unwrap_key(&keks(3, 0)).unwrap().0.expose(), &[4; 32]);
        assert_eq!(read.unwrap_key(&keks(5, 0)).unwrap_err(), VaultError::WrongPassphrase);
    }

    #[test]
    fn every_flipped_byte_is_damage() {
        let stored = header().to_bytes().unwrap();
        for at in 0..stored.len() {
            let mut bad = stored.clone();
            bad[at] ^= 1;
            assert!(Header::from_bytes(&bad).is_err(), "byte {at}");
        }
        for len in 0..stored.len() {
            assert!(Header::from_bytes(&stored[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn one_wrong_byte_is_put_right_and_headers_are_found() {
        let stored = header().to_bytes().unwrap();
        for at in (0..stored.len()).step_by(5) {
            let mut bad = stored.clone();
            bad[at] ^= 0x40;
            assert_eq!(Header::repair(&bad).unwrap().unwrap_key(&keks(3, 0)).unwrap().0.expose(), &[4; 32]);
        }
        let mut bad = stored.clone();
        (bad[7], bad[90]) = (!bad[7], !bad[90]);
        assert_eq!(Header::repair(&bad), None);
        let heap = [b"noise".as_slice(), &stored, b"more"].concat();
        assert_eq!(Header::search(&heap), [header_of(&stored)]);
    }

    fn header_of(stored: &[u8]) -> Header {
        Header::from_bytes(stored).unwrap()
    }

    #[test]
    fn changed_costs_do_not_unwrap() {
        let mut header = header();
        header.kdf.iterations += 1;
        assert_eq!(header.unwrap_key(&keks(3, 0)).unwrap_err(), VaultError::WrongPassphrase);
    }

    #[test]
    fn a_later_format_is_named() {
        let mut later = header();
        later.format = 2;
        assert_eq!(Header::from_bytes(&later.to_bytes().unwrap()), Err(VaultError::TooNew(2)));
    }
}
