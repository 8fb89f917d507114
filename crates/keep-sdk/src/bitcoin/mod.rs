//! Bitcoin with the keys of a vault.

mod accounts;
mod esplora;
mod limits;
mod messages;
mod spend;
mod views;
mod wallet;

use keep_policy::SpendLimits;
use keep_types::Fault;

pub use esplora::Esplora;
pub use keep_bitcoin::{
    Branch, Encoding, InputOwnership, Network, OutputRole, PsbtFile, Severity, TransactionView, WayView,
};
pub use messages::{CoinProof, verify_message};
pub use views::{
    AddressBalanceView, AddressView, AddressesView, AnalysisView, BalanceView, BudgetView, CoinView,
    DescriptorView, LimitsView, SignedMessageView, SignedPsbtView, SkippedView, VerifiedMessageView,
};
pub use wallet::{FeeLimits, WalletSelector};

pub(crate) use accounts::{GetAddresses, GetDescriptor};
pub(crate) use limits::{GetLimits, LimitedKey, SetLimits};
pub(crate) use messages::SignMessage;
pub(crate) use spend::{Analyze, SignPsbt};
pub(crate) use wallet::wallets;

use crate::Keep;

/// Addresses, transactions and messages. Every signature is judged by the owner's limits, and is in the audit log before
/// it is released.
#[derive(Debug, Clone)]
pub struct Bitcoin {
    keep: Keep,
}

impl Bitcoin {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// The next `count` addresses of a branch that nobody has got yet; they are not given again.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) for the key; when the vault cannot be written.
    pub fn next_addresses(
        &self,
        wallet: &WalletSelector,
        branch: Branch,
        count: u32,
    ) -> Result<AddressesView, Fault> {
        self.keep.call(GetAddresses { wallet: wallet.clone(), branch, index: None, count })
    }

    /// `count` addresses of a branch from `index` on, whether or not somebody has got them.
    ///
    /// # Errors
    /// As [`next_addresses`](Self::next_addresses); [`InvalidInput`](keep_types::ErrorCode::InvalidInput) for an index of 2³¹
    /// or more.
    pub fn addresses(
        &self,
        wallet: &WalletSelector,
        branch: Branch,
        index: u32,
        count: u32,
    ) -> Result<AddressesView, Fault> {
        self.keep.call(GetAddresses { wallet: wallet.clone(), branch, index: Some(index), count })
    }

    /// The descriptor of an account.
    ///
    /// # Errors
    /// As [`next_addresses`](Self::next_addresses).
    pub fn descriptor(&self, wallet: &WalletSelector) -> Result<DescriptorView, Fault> {
        self.keep.call(GetDescriptor { wallet: wallet.clone() })
    }

    /// What a PSBT would do.
    ///
    /// # Errors
    /// As [`next_addresses`](Self::next_addresses).
    pub fn analyze(
        &self,
        wallet: &WalletSelector,
        psbt: &PsbtFile,
        fees: &FeeLimits,
    ) -> Result<AnalysisView, Fault> {
        self.keep.call(Analyze { wallet: wallet.clone(), psbt: base64(psbt), fees: fees.clone() })
    }

    /// Signs every input of a PSBT that is ours; with `finalize`, gives the transaction too.
    ///
    /// # Errors
    /// [`InvalidInput`](keep_types::ErrorCode::InvalidInput) with the dangers of the transaction, with the reason for each
    /// input when nothing in it is ours, and when it is not complete and was to be finalised;
    /// [`RefusedByPolicy`](keep_types::ErrorCode::RefusedByPolicy) when a limit would be exceeded.
    pub fn sign(
        &self,
        wallet: &WalletSelector,
        psbt: &PsbtFile,
        fees: &FeeLimits,
        finalize: bool,
    ) -> Result<SignedPsbtView, Fault> {
        let psbt = base64(psbt);
        self.keep.call(SignPsbt { wallet: wallet.clone(), psbt, finalize, fees: fees.clone() })
    }

    /// Signs a message in the name of one of our addresses (BIP-322), proving control of `coins` too; without an address,
    /// of the account's first one. `full` writes the whole virtual transaction.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) when the address is not ours.
    pub fn sign_message(
        &self,
        wallet: &WalletSelector,
        address: Option<&str>,
        message: &str,
        coins: &[CoinProof],
        full: bool,
    ) -> Result<SignedMessageView, Fault> {
        self.keep.call(SignMessage {
            wallet: wallet.clone(),
            address: address.map(str::to_owned),
            message: message.to_owned(),
            coins: coins.to_vec(),
            full,
        })
    }

    /// The owner's limits on spending with a key. Those on a group are [`Frost::limits`](crate::frost::Frost::limits).
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound) for the key.
    pub fn limits(&self, key: Option<&str>) -> Result<LimitsView, Fault> {
        self.keep.call(GetLimits { of: LimitedKey::Key(key.map(str::to_owned)) })
    }

    /// Sets the owner's limits on spending with a key. They hold for everybody who uses it, the owner included.
    ///
    /// # Errors
    /// As [`limits`](Self::limits).
    pub fn set_limits(&self, key: Option<&str>, limits: SpendLimits) -> Result<LimitsView, Fault> {
        self.keep.call(SetLimits { of: LimitedKey::Key(key.map(str::to_owned)), limits })
    }
}

fn base64(psbt: &PsbtFile) -> String {
    String::from_utf8_lossy(&psbt.write_as(Encoding::Base64)).into_owned()
}
