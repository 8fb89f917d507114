//! Signed statements about the log: where it stood, when, and at which revision of the vault.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use keep_types::{Collection, Timestamp};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Chain, ChainHash, hex32};

/// What a checkpoint is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It ends an export.
    #[n(1)]
    Export,
    /// It stands for entries that were removed: the log goes on from its hash.
    #[n(2)]
    Pruned,
    /// It is kept elsewhere, to tell a vault that was put back.
    #[n(3)]
    Anchor,
}

/// The entries from `first` to `next - 1` link `base` to `hash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Checkpoint {
    /// What it is for.
    #[n(0)]
    pub purpose: Purpose,
    /// The number of the first entry.
    #[n(1)]
    pub first: u64,
    /// The number after that of the last entry.
    #[n(2)]
    pub next: u64,
    /// The hash before the first entry; zeros before entry 1.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub base: ChainHash,
    /// The hash of the last entry.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub hash: ChainHash,
    /// The revision of the vault.
    #[n(5)]
    pub revision: u64,
    /// When it was signed (the vault's time).
    #[n(6)]
    pub time: Timestamp,
}

impl Checkpoint {
    /// How many entries it covers.
    pub const fn count(&self) -> u64 {
        self.next.saturating_sub(self.first)
    }

    /// The chain before its first entry.
    pub const fn begin(&self) -> Chain {
        Chain { first_seq: self.first, next_seq: self.first, hash: self.base }
    }

    /// The chain after its last entry.
    pub const fn end(&self) -> Chain {
        Chain { first_seq: self.first, next_seq: self.next, hash: self.hash }
    }

    /// The bytes that are signed.
    pub fn message(&self) -> Vec<u8> {
        let purpose: u8 = match self.purpose {
            Purpose::Export => 1,
            Purpose::Pruned => 2,
            Purpose::Anchor => 3,
        };
        let mut message = b"keep audit checkpoint v1".to_vec();
        message.push(purpose);
        message.extend_from_slice(&self.first.to_be_bytes());
        message.extend_from_slice(&self.next.to_be_bytes());
        message.extend_from_slice(&self.base);
        message.extend_from_slice(&self.hash);
        message.extend_from_slice(&self.revision.to_be_bytes());
        message.extend_from_slice(&self.time.as_secs().to_be_bytes());
        message
    }
}

/// A checkpoint under the audit key of its vault (Ed25519, RFC 8032).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(from = "Flat", into = "Flat")]
pub struct SignedCheckpoint {
    /// What is stated.
    #[n(0)]
    pub checkpoint: Checkpoint,
    /// The public key (32 bytes).
    #[cbor(n(1), with = "minicbor::bytes")]
    pub public_key: [u8; 32],
    /// The signature (64 bytes).
    #[cbor(n(2), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// A signed checkpoint as one flat JSON object, without room for anything that is not signed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    checkpoint: Purpose,
    first: u64,
    next: u64,
    #[serde(with = "hex32")]
    base: ChainHash,
    #[serde(with = "hex32")]
    hash: ChainHash,
    revision: u64,
    time: Timestamp,
    #[serde(with = "hex32")]
    public_key: [u8; 32],
    #[serde(with = "hex32")]
    signature: [u8; 64],
}

impl From<Flat> for SignedCheckpoint {
    fn from(flat: Flat) -> Self {
        let Flat { checkpoint: purpose, first, next, base, hash, revision, time, public_key, signature } =
            flat;
        let checkpoint = Checkpoint { purpose, first, next, base, hash, revision, time };
        Self { checkpoint, public_key, signature }
    }
}

impl From<SignedCheckpoint> for Flat {
    fn from(signed: SignedCheckpoint) -> Self {
        let SignedCheckpoint { checkpoint, public_key, signature } = signed;
        let Checkpoint { purpose, first, next, base, hash, revision, time } = checkpoint;
        Self { checkpoint: purpose, first, next, base, hash, revision, time, public_key, signature }
    }
}

impl keep_types::Record for SignedCheckpoint {
    const COLLECTION: Collection = Collection::Checkpoints;
}

/// A signature that is not one of this key over this checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature of the checkpoint does not hold")]
pub struct BadSignature;

impl SignedCheckpoint {
    /// Checks the signature, strictly: no small-order key and only the one encoding of each signature.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(&self.public_key).map_err(|_| BadSignature)?;
        key.verify_strict(&self.checkpoint.message(), &Signature::from_bytes(&self.signature))
            .map_err(|_| BadSignature)
    }

    /// The fingerprint of the vault whose key this is.
    pub fn signer(&self) -> Fingerprint {
        Fingerprint::of(&self.public_key)
    }
}

/// What tells a vault from every other: the hash of its audit public key, 20 bytes of it. It survives a change of
/// passphrase and of data key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 20]);

impl Fingerprint {
    /// That of a public key.
    pub fn of(public_key: &[u8; 32]) -> Self {
        let hash = Sha256::new().chain_update(b"keep audit key v1").chain_update(public_key).finalize();
        let mut short = [0; 20];
        short.copy_from_slice(&hash[..20]);
        Self(short)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a vault's fingerprint has 40 hex digits")]
pub struct NoFingerprint;

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    /// Reads 40 hex digits, in groups or not.
    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ':' | '-')).collect();
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NoFingerprint)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NoFingerprint;

    fn try_from(text: String) -> Result<Self, NoFingerprint> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn signed() -> SignedCheckpoint {
        let checkpoint = Checkpoint {
            purpose: Purpose::Anchor,
            first: 1,
            next: 10,
            base: [0; 32],
            hash: [3; 32],
            revision: 9,
            time: Timestamp::from_secs(1_800_000_000),
        };
        let key = SigningKey::from_bytes(&[5; 32]);
        let signature = key.sign(&checkpoint.message()).to_bytes();
        SignedCheckpoint { checkpoint, public_key: key.verifying_key().to_bytes(), signature }
    }

    #[test]
    fn every_field_is_signed() {
        let good = signed();
        good.verify().unwrap();
        let changes: [fn(&mut SignedCheckpoint); 9] = [
            |c| c.checkpoint.purpose = Purpose::Export,
            |c| c.checkpoint.first = 2,
            |c| c.checkpoint.next = 11,
            |c| c.checkpoint.base[31] = 1,
            |c| c.checkpoint.hash[0] = 0,
            |c| c.checkpoint.revision = 8,
            |c| c.checkpoint.time = Timestamp::ZERO,
            |c| c.public_key = [7; 32],
            |c| c.signature[10] ^= 1,
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut bad = good;
            change(&mut bad);
            assert_eq!(bad.verify(), Err(BadSignature), "{n}");
        }
    }

    #[test]
    fn it_is_the_same_in_json_and_cbor() {
        let good = signed();
        let json = serde_json::to_string(&good).unwrap();
        assert!(json.starts_with(r#"{"checkpoint":"anchor","first":1,"next":10,"base":"00"#), "{json}");
        assert_eq!(serde_json::from_str::<SignedCheckpoint>(&json).unwrap(), good);
        let cbor = minicbor::to_vec(good).unwrap();
        assert_eq!(minicbor::decode::<SignedCheckpoint>(&cbor).unwrap(), good);
    }

    #[test]
    fn fingerprints_are_read_in_groups() {
        let fingerprint = signed().signer();
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 40);
        let grouped = format!("{} {}:{}", &text[..4], text[4..9].to_uppercase(), &text[9..]);
        assert_eq!(grouped.parse::<Fingerprint>().unwrap(), fingerprint);
        assert!("12".parse::<Fingerprint>().is_err());
    }
}
