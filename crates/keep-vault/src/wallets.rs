//! What the vault remembers about Bitcoin: opened accounts, the owner's limits on spending, and which scripts were used.

use std::collections::HashSet;

use keep_policy::{SpendLimits, Spent};
use keep_types::{Collection, KeyId, Record, ScriptMark, Timestamp};
use minicbor::{Decode, Encode};

/// An account of a key, as it was opened. Public data, but whoever sees it sees every address.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WalletAccount {
    /// The key that it belongs to.
    #[n(0)]
    pub key: KeyId,
    /// The word of the network: `mainnet`, `testnet3`, `testnet4`, `signet` or `regtest`.
    #[n(1)]
    pub network: String,
    /// The number of the account (BIP-86).
    #[n(2)]
    pub number: u32,
    /// Its public side, `tr([origin]xpub/<0;1>/*)` with checksum.
    #[n(3)]
    pub descriptor: String,
    /// The first index of the receive branch that was not handed out.
    #[n(4)]
    pub next_receive: u32,
    /// The first index of the change branch that was not handed out.
    #[n(5)]
    pub next_change: u32,
    /// Since when it is open.
    #[n(6)]
    pub opened_at: Timestamp,
}

/// The owner's limits on spending with a key, and what was spent against them.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Spending {
    /// The key.
    #[n(0)]
    pub key: KeyId,
    /// The limits.
    #[n(1)]
    pub limits: SpendLimits,
    /// What was spent.
    #[n(2)]
    pub spent: Spent,
}

/// How many uses of scripts are remembered of one key. The oldest are forgotten first.
const MAX_USES: usize = 2_048;
/// The length of a use: the beginning of the transaction's id, and the mark of the script.
const USE: usize = 16;

/// The scripts that transactions signed with a key spent from and paid to, the latest ones.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Trail {
    /// The key.
    #[n(0)]
    pub key: KeyId,
    /// Eight bytes of a transaction's id and the mark of a script, again and again.
    #[cbor(n(1), with = "minicbor::bytes")]
    uses: Vec<u8>,
}

impl Trail {
    /// Nothing yet.
    pub const fn new(key: KeyId) -> Self {
        Self { key, uses: Vec::new() }
    }

    /// Remembers what a transaction uses. One that is known already changes nothing; says whether anything changed.
    pub fn note(&mut self, txid: &[u8; 32], marks: &[ScriptMark]) -> bool {
        if self.uses.chunks_exact(USE).any(|known| known[..8] == txid[..8]) {
            return false;
        }
        for mark in marks {
            self.uses.extend_from_slice(&txid[..8]);
            self.uses.extend_from_slice(mark);
        }
        let forgotten = self.uses.len().saturating_sub(MAX_USES * USE);
        self.uses.drain(..forgotten);
        !marks.is_empty()
    }

    /// The scripts that transactions other than this one used.
    pub fn used_besides(&self, txid: &[u8; 32]) -> HashSet<ScriptMark> {
        let others = self.uses.chunks_exact(USE).filter(|known| known[..8] != txid[..8]);
        others.filter_map(|known| known[8..].try_into().ok()).collect()
    }
}

/// A row of the collection.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum WalletRow {
    /// An account.
    #[n(0)]
    Account(#[n(0)] WalletAccount),
    /// Limits on spending.
    #[n(1)]
    Spending(#[n(0)] Spending),
    /// Scripts that were used.
    #[n(2)]
    Trail(#[n(0)] Trail),
}

impl Record for WalletRow {
    const COLLECTION: Collection = Collection::Wallets;
}

impl WalletRow {
    /// The key that the row is about.
    pub const fn key(&self) -> KeyId {
        match self {
            Self::Account(account) => account.key,
            Self::Spending(spending) => spending.key,
            Self::Trail(trail) => trail.key,
        }
    }

    /// What identifies this row.
    pub fn natural_key(&self) -> Vec<u8> {
        match self {
            Self::Account(account) => Self::account_key(account.key, &account.network, account.number),
            Self::Spending(spending) => Self::spending_key(spending.key),
            Self::Trail(trail) => Self::trail_key(trail.key),
        }
    }

    /// What identifies an account.
    pub fn account_key(key: KeyId, network: &str, number: u32) -> Vec<u8> {
        let mut natural = key.as_bytes().to_vec();
        natural.push(b'a');
        natural.extend_from_slice(&number.to_be_bytes());
        natural.extend_from_slice(network.as_bytes());
        natural
    }

    /// What identifies the limits on a key.
    pub fn spending_key(key: KeyId) -> Vec<u8> {
        let mut natural = key.as_bytes().to_vec();
        natural.push(b's');
        natural
    }

    /// What identifies the trail of a key.
    pub fn trail_key(key: KeyId) -> Vec<u8> {
        let mut natural = key.as_bytes().to_vec();
        natural.push(b't');
        natural
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_forgets_the_oldest_and_knows_a_transaction_again() {
        let mut trail = Trail::new(KeyId::from_bytes([1; 16]));
        let (first, second) = ([1; 32], [2; 32]);
        assert!(trail.note(&first, &[[1; 8], [2; 8]]));
        assert!(!trail.note(&first, &[[3; 8]]), "it is known");
        assert!(trail.note(&second, &[[2; 8], [4; 8]]));
        assert_eq!(trail.used_besides(&second), [[1; 8], [2; 8]].into());
        assert_eq!(trail.used_besides(&first), [[2; 8], [4; 8]].into());
        let many: Vec<ScriptMark> = (0..MAX_USES as u64).map(u64::to_be_bytes).collect();
        assert!(trail.note(&[3; 32], &many));
        assert_eq!(trail.uses.len(), MAX_USES * USE);
        assert!(!trail.used_besides(&[4; 32]).contains(&[4; 8]));
        let row = WalletRow::Trail(trail);
        let bytes = minicbor::to_vec(&row).unwrap();
        assert_eq!(minicbor::decode::<WalletRow>(&bytes).unwrap(), row);
    }
}
