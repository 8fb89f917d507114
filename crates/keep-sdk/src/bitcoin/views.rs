//! What front ends show of Bitcoin.

use keep_bitcoin::{Branch, Network, OwnAddress, TransactionView};
use keep_policy::{Budget, SpendLimits};
use keep_types::DisplayText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An address of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressView {
    /// The address (BIP-350).
    pub address: String,
    /// Receive or change.
    pub branch: Branch,
    /// The index in its branch.
    pub index: u32,
    /// The origin of its key, `[fingerprint/86h/0h/0h/0/0]`.
    pub origin: String,
    /// Its key before the tweak (BIP-341), 64 hexadecimal digits.
    pub internal_key: String,
}

impl From<&OwnAddress> for AddressView {
    fn from(address: &OwnAddress) -> Self {
        let (fingerprint, path) = address.origin();
        Self {
            address: address.to_string(),
            branch: address.branch(),
            index: address.index(),
            origin: format!("[{fingerprint}/{}]", path.to_string().replace('\'', "h")),
            internal_key: address.internal_key().to_string(),
        }
    }
}

/// Addresses of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressesView {
    /// The name of the key.
    pub key: String,
    /// The network.
    pub network: Network,
    /// The number of the account.
    pub account: u32,
    /// The addresses.
    pub addresses: Vec<AddressView>,
}

/// The public side of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DescriptorView {
    /// `tr([fingerprint/86h/0h/0h]xpub/<0;1>/*)` with its checksum (BIP-389).
    pub descriptor: String,
    /// The receive branch alone.
    pub receive: String,
    /// The change branch alone.
    pub change: String,
    /// The fingerprint of the key tree's root, 8 hexadecimal digits.
    pub fingerprint: String,
    /// The account's extended public key.
    pub xpub: String,
    /// The network.
    pub network: Network,
    /// The number of the account.
    pub account: u32,
    /// The first index of the receive branch that was not handed out.
    pub next_receive: u32,
    /// The first index of the change branch that was not handed out.
    pub next_change: u32,
}

/// A transaction that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AnalysisView {
    /// What it does.
    #[serde(flatten)]
    pub transaction: TransactionView,
    /// Why it would not be signed: its dangers, the owner's limits, or that nothing in it is ours. Empty if it would.
    pub refusals: Vec<DisplayText>,
}

/// A transaction with our signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedPsbtView {
    /// The PSBT in base64, in the version of the one that was to be signed.
    pub psbt: String,
    /// Whether every input is final.
    pub complete: bool,
    /// The transaction in hexadecimal, ready to be sent, if it was to be finalised.
    pub transaction: Option<String>,
    /// The transaction's id.
    pub txid: String,
    /// How many signatures were added.
    pub signatures: usize,
    /// What leaves us, fee included, in satoshis.
    pub leaving_sats: Option<u64>,
    /// The fee in satoshis.
    pub fee_sats: Option<u64>,
    /// The inputs that got no signature, each with the reason.
    pub skipped: Vec<SkippedView>,
}

/// An input that got no signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedView {
    /// Its index.
    pub input: usize,
    /// Why.
    pub reason: DisplayText,
}

/// A signed message (BIP-322).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedMessageView {
    /// The address in whose name it was signed.
    pub address: DisplayText,
    /// The message.
    pub message: String,
    /// The signature with its prefix: `smp`, `ful` or `pof`.
    pub signature: String,
}

/// What a check of a signed message found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedMessageView {
    /// `valid`, `invalid`, or `inconclusive` for scripts that are not understood.
    pub verdict: String,
    /// Why it is invalid.
    pub reason: Option<String>,
    /// When above zero, the signer could spend only from this height or time on.
    pub lock_time: u32,
    /// When above zero, the signer could spend only after this age.
    pub age: u32,
    /// The coins that it proves control of. That they exist must be looked up in the chain.
    pub coins: Vec<CoinView>,
}

/// A coin whose control is proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoinView {
    /// The output, `txid:vout`.
    pub outpoint: String,
    /// Its amount in satoshis.
    pub amount_sats: u64,
}

/// The owner's limits on spending with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitsView {
    /// The name of the key.
    pub key: String,
    /// If not empty, only these addresses may be paid.
    pub allow: Vec<String>,
    /// These addresses may not be paid.
    pub block: Vec<String>,
    /// The most that may leave with one transaction, fee included.
    pub per_transaction_sats: Option<u64>,
    /// The most that may leave in a window of time, with what has left.
    pub budgets: Vec<BudgetView>,
    /// The highest fee.
    pub max_fee_sats: Option<u64>,
    /// The highest fee rate in satoshis per 1,000 virtual bytes.
    pub max_fee_rate_sats_per_kvb: Option<u64>,
    /// Above this, clients are asked about whatever their rules say.
    pub ask_above_sats: Option<u64>,
}

/// A budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetView {
    /// How much may leave.
    pub sats: u64,
    /// In any so many seconds.
    pub window_secs: u64,
    /// What has left in the window that ends now; all of it where that is not known.
    pub spent_sats: u64,
}

impl LimitsView {
    pub(crate) fn new(key: String, limits: &SpendLimits, spent: impl Fn(&Budget) -> u64) -> Self {
        let known = |b: &Budget| Some(spent(b)).filter(|spent| *spent < u64::MAX);
        let budget = |b: &Budget| BudgetView {
            sats: b.sats,
            window_secs: b.window_secs,
            spent_sats: known(b).unwrap_or(b.sats),
        };
        Self {
            key,
            allow: limits.allow.clone(),
            block: limits.block.clone(),
            per_transaction_sats: limits.per_transaction_sats,
            budgets: limits.budgets.iter().map(budget).collect(),
            max_fee_sats: limits.max_fee_sats,
            max_fee_rate_sats_per_kvb: limits.max_fee_rate_sats_per_kvb,
            ask_above_sats: limits.ask_above_sats,
        }
    }
}

/// What an account has, as a server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalanceView {
    /// The name of the key.
    pub key: String,
    /// The network.
    pub network: Network,
    /// The number of the account.
    pub account: u32,
    /// What is in blocks, in satoshis.
    pub confirmed_sats: u64,
    /// What transactions that wait for a block add, or take away.
    pub pending_sats: i64,
    /// The addresses that were used.
    pub used: Vec<AddressBalanceView>,
}

/// What an address has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddressBalanceView {
    /// The address.
    pub address: String,
    /// Receive or change.
    pub branch: Branch,
    /// The index in its branch.
    pub index: u32,
    /// What is in blocks, in satoshis.
    pub confirmed_sats: u64,
    /// What transactions that wait for a block add, or take away.
    pub pending_sats: i64,
}
