//! What the vault remembers about Bitcoin: opened accounts, and the owner's limits on spending.

use keep_policy::{SpendLimits, Spent};
use keep_types::{Collection, KeyId, Record, Timestamp};
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

/// A row of the collection.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum WalletRow {
    /// An account.
    #[n(0)]
    Account(#[n(0)] WalletAccount),
    /// Limits on spending.
    #[n(1)]
    Spending(#[n(0)] Spending),
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
}
