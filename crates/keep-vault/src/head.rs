//! The sealed head: what the vault as a whole looks like after its last commit.

use keep_audit::{Batch, Chain, ChainHash};
use keep_types::{Collection, RecordId, Revision, Timestamp, VaultId};
use minicbor::{Decode, Encode};

use crate::VaultError;
use crate::seal::{head_aad, open, seal};
use crate::subkeys::Subkeys;

/// The sum of the leaves of a collection, modulo 2^256, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    pub fn add(&mut self, leaf: &[u8; 32]) {
        let mut carry = false;
        for (word, other) in self.0.iter_mut().zip(words(leaf)).rev() {
            let (sum, first) = word.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, first || second);
        }
    }

    pub fn subtract(&mut self, leaf: &[u8; 32]) {
        let mut borrow = false;
        for (word, other) in self.0.iter_mut().zip(words(leaf)).rev() {
            let (diff, first) = word.overflowing_sub(other);
            let (diff, second) = diff.overflowing_sub(u64::from(borrow));
            (*word, borrow) = (diff, first || second);
        }
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        *word = u64::from_be_bytes(eight);
    }
    words
}

impl<C> Encode<C> for Sum {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Sum {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = <[u8; 32]>::try_from(d.bytes()?)
            .map_err(|_| minicbor::decode::Error::message("a sum has 32 bytes"))?;
        Ok(Self(words(&bytes)))
    }
}

/// How many rows a collection has, and the sum of their leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Tally {
    #[n(0)]
    pub collection: u8,
    #[n(1)]
    pub count: u64,
    #[n(2)]
    pub sum: Sum,
}

/// How the log lies in rows: where it begins, and up to where it has been written together in segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct LogMark {
    /// The hash before the first entry that the log still has; zeros before entry 1.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub base: ChainHash,
    /// The number of the first entry behind the segments.
    #[n(1)]
    pub next: u64,
    /// The hash of the last entry in a segment; `base` if there is none.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub hash: ChainHash,
}

/// The tally of the log's segments. No collection has this number.
pub(crate) const SEGMENTS: u8 = 0x80 | Collection::Audit as u8;

/// Subkeys that outlive their data key.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct Carried(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 64]);

impl Drop for Carried {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Carried(…)")
    }
}

/// The head.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Head {
    #[n(0)]
    pub revision: Revision,
    #[n(1)]
    pub epoch: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub header_hash: [u8; 32],
    #[n(3)]
    pub max_time: Timestamp,
    #[n(4)]
    pub audit: Chain,
    #[n(5)]
    pub tallies: Vec<Tally>,
    /// Absent in vaults whose log has no segments yet.
    #[n(6)]
    pub log: Option<LogMark>,
    /// The name key and the answer key of the first data key (64 bytes), which outlive it: by the one records are found, by
    /// the other a repeated request gets the same answer. Absent while the data key is the first.
    #[n(7)]
    pub carried: Option<Carried>,
    /// Which history this is: random bytes, made anew whenever the owner goes on from a state that Keep did not leave. Absent
    /// until then. What a process remembers of another history holds no more.
    #[n(8)]
    pub history: Option<History>,
}

/// Tells one history of a vault from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct History(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

impl History {
    pub fn fresh() -> Result<Self, VaultError> {
        let mut bytes = [0; 16];
        getrandom::getrandom(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl Head {
    pub const fn new(epoch: u64, header_hash: [u8; 32]) -> Self {
        Self {
            revision: Revision::ZERO,
            epoch,
            header_hash,
            max_time: Timestamp::ZERO,
            audit: Chain::start(),
            tallies: Vec::new(),
            carried: None,
            log: None,
            history: None,
        }
    }

    /// The tally of a collection; an empty one is added if there is none.
    pub fn tally(&mut self, collection: u8) -> &mut Tally {
        let at = self.tallies.iter().position(|t| t.collection == collection).unwrap_or_else(|| {
            self.tallies.push(Tally { collection, ..Tally::default() });
            self.tallies.len() - 1
        });
        &mut self.tallies[at]
    }

    /// How many rows a collection has.
    pub fn count(&self, collection: Collection) -> u64 {
        let tally = self.tallies.iter().find(|tally| tally.collection == collection.number());
        tally.map_or(0, |tally| tally.count)
    }

    /// How the log lies in rows.
    pub fn log_mark(&self) -> LogMark {
        self.log.unwrap_or(LogMark { base: [0; 32], next: self.audit.first_seq, hash: [0; 32] })
    }

    /// The chain before the first entry that the log still has.
    pub fn log_begin(&self) -> Chain {
        let first_seq = self.audit.first_seq;
        Chain { first_seq, next_seq: first_seq, hash: self.log_mark().base }
    }

    /// In which tally a row counts: segments of the log have one of their own, so that the rest can be checked without them.
    pub fn tally_number(&self, collection: u8, id: &RecordId) -> u8 {
        let is_segment = collection == Collection::Audit.number() && Batch::seq_at(id) < self.log_mark().next;
        if is_segment { SEGMENTS } else { collection }
    }

    pub fn seal(&self, keys: &Subkeys, vault: VaultId, nonce: [u8; 24]) -> Result<Vec<u8>, VaultError> {
        let plain = minicbor::to_vec(self).map_err(|e| VaultError::Head(e.to_string()))?;
        Ok(seal(keys.head(), nonce, &head_aad(vault, self.epoch), &plain))
    }

    pub fn open(keys: &Subkeys, vault: VaultId, epoch: u64, sealed: &[u8]) -> Result<Self, VaultError> {
        let plain = open(keys.head(), &head_aad(vault, epoch), sealed)
            .map_err(|_| VaultError::Head("it does not open".into()))?;
        minicbor::decode(&plain).map_err(|e| VaultError::Head(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_do_not_depend_on_order(leaves in proptest::collection::vec(any::<[u8; 32]>(), 0..20)) {
            let mut forward = Sum::default();
            leaves.iter().for_each(|leaf| forward.add(leaf));
            let mut backward = Sum::default();
            leaves.iter().rev().for_each(|leaf| backward.add(leaf));
            prop_assert_eq!(forward, backward);
            leaves.iter().for_each(|leaf| forward.subtract(leaf));
            prop_assert_eq!(forward, Sum::default());
        }
    }

    #[test]
    fn carries_reach_the_top() {
        let mut sum = Sum::default();
        sum.add(&[0xff; 32]);
        let mut one = [0; 32];
        one[31] = 1;
        sum.add(&one);
        assert_eq!(sum, Sum::default());
        sum.subtract(&one);
        assert_eq!(sum.to_bytes(), [0xff; 32]);
    }
}
