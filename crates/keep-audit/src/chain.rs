//! The hash chain.

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

/// The hash of an entry and of everything before it (SHA-256, 32 bytes).
pub type ChainHash = [u8; 32];

/// The state of a chain: where the next entry goes, and what it links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Chain {
    /// The number of the first entry that the log still has.
    #[n(0)]
    pub first_seq: u64,
    /// The number of the next entry.
    #[n(1)]
    pub next_seq: u64,
    /// The hash of the last entry; zeros before the first.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub hash: ChainHash,
}

/// Where and how a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry does not follow the one before it.
    #[error("entry {found} stands where entry {expected} belongs: entries were removed, added or reordered")]
    Gap {
        /// The number that belongs here.
        expected: u64,
        /// The number that stands here.
        found: u64,
    },
    /// An entry cannot be read.
    #[error("entry {0} cannot be read")]
    Unreadable(u64),
    /// The log ends before the entry that the vault recorded last.
    #[error("the log ends at entry {found}, but the vault has recorded {expected}: its tail was cut")]
    Cut {
        /// The last entry that must exist.
        expected: u64,
        /// The last entry that exists.
        found: u64,
    },
    /// Every entry is there, but one or more say something else than was recorded.
    #[error("the hash over the entries does not match the vault's: an entry was changed")]
    Changed,
}

impl Chain {
    /// The state before the first entry.
    pub const fn start() -> Self {
        Self { first_seq: 1, next_seq: 1, hash: [0; 32] }
    }

    /// How many entries the log has.
    pub const fn len(&self) -> u64 {
        self.next_seq.saturating_sub(self.first_seq)
    }

    /// Whether the log has no entry.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Links the canonical bytes of the entry with number `seq`.
    ///
    /// # Errors
    /// [`Broken::Gap`] when another entry belongs here.
    pub fn push(&mut self, seq: u64, canonical: &[u8]) -> Result<(), Broken> {
        if seq != self.next_seq {
            return Err(Broken::Gap { expected: self.next_seq, found: seq });
        }
        self.hash = Sha256::new()
            .chain_update(b"keep audit v1")
            .chain_update(self.hash)
            .chain_update(canonical)
            .finalize()
            .into();
        self.next_seq += 1;
        Ok(())
    }

    /// Compares a chain that was computed from the entries with the one that was recorded.
    ///
    /// # Errors
    /// What is wrong with the entries.
    pub fn compare(&self, recorded: &Self) -> Result<(), Broken> {
        if self.next_seq < recorded.next_seq {
            return Err(Broken::Cut {
                expected: recorded.next_seq - 1,
                found: self.next_seq.saturating_sub(1),
            });
        }
        if self.next_seq > recorded.next_seq {
            return Err(Broken::Gap { expected: recorded.next_seq, found: self.next_seq.saturating_sub(1) });
        }
        if self.hash == recorded.hash { Ok(()) } else { Err(Broken::Changed) }
    }
}
