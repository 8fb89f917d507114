//! Bitcoin transactions and messages to be signed, as policy and people see them.
//!
//! This crate does not know Bitcoin. Whoever does (`keep-bitcoin`) inspects the very bytes that will be signed and wraps
//! the result as [`InspectedSpend`] or [`InspectedMessage`]; the facts are read from it, and the vault signs that value and
//! no other.

use std::any::Any;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::DisplayText;

/// What a transaction does to us, computed from the very PSBT that is signed. Amounts in satoshis.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SpendFacts {
    /// What our inputs are worth. `None` if an amount is unknown or contradictory.
    pub own_inputs_sats: Option<u64>,
    /// What comes back to outputs proved to be ours. 0 when a signature would leave inputs or outputs open to change: what
    /// it does not bind may never come back, or be counted by another transaction too.
    pub own_outputs_sats: u64,
    /// What leaves us, fee included, at most: our inputs minus what surely comes back to them, not below 0. What comes back
    /// is taken as paid by the inputs that are not known to be ours first: whoever gets a transaction signed in parts, each
    /// naming other inputs as ours, has the same change counted once, and never less than the truth in all. `None` if it is
    /// unknown.
    pub leaving_sats: Option<u64>,
    /// The fee of the whole transaction as it stands. `None` if an amount is unknown, or the outputs are worth more.
    pub fee_sats: Option<u64>,
    /// The fee rate in satoshis per 1,000 virtual bytes, from the estimated size. `None` if the fee is unknown.
    pub fee_rate_sats_per_kvb: Option<u64>,
    /// The size of the signed transaction in virtual bytes (BIP-141), estimated.
    pub vsize: u64,
    /// Whether the estimate knows how each input will be spent.
    pub vsize_is_exact: bool,
    /// Every output that is not ours, in the order of the transaction.
    pub destinations: Vec<Destination>,
    /// How many inputs would be signed.
    pub signable_inputs: usize,
    /// The network as whose transaction it was inspected.
    pub network: DisplayText,
    /// Whether a key that signs is the same on every network, so that the signatures hold on any of them.
    pub any_network: bool,
    /// Whether every signature fixes all outputs.
    pub outputs_fixed: bool,
    /// Whether every signature fixes all inputs. Where one does not, anybody can add inputs: the fee is open, and so is
    /// with which other transaction of ours the outputs are shared.
    pub inputs_fixed: bool,
}

/// An output that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Destination {
    /// The index of the output.
    pub output: usize,
    /// Its address, by which allow and block lists name it; `None` for scripts without one.
    pub address: Option<DisplayText>,
    /// The addresses of the same script on other networks: a list that names one of them means this script.
    #[serde(skip)]
    pub elsewhere: Vec<DisplayText>,
    /// How much it gets, in satoshis.
    pub amount_sats: u64,
}

/// What a message to be signed says, and in whose name (BIP-322).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageFacts {
    /// The address that signs.
    pub address: Option<DisplayText>,
    /// The message.
    pub message: DisplayText,
    /// The coins whose control is proved, `txid:vout`.
    pub coins: Vec<DisplayText>,
    /// What they are worth together, in satoshis.
    pub coins_sats: u64,
}

/// A short mark of an output script: by it a vault knows later that the script was used, without keeping the script.
pub type ScriptMark = [u8; 8];

/// A transaction that was inspected as the owner of a wallet. The vault signs only what `keep-bitcoin` made.
pub trait InspectedSpend: Any + Send + fmt::Debug {
    /// The facts that policy judges.
    fn facts(&self) -> &SpendFacts;
    /// The transaction's id, in the order of bytes in which hashes are computed.
    fn txid(&self) -> [u8; 32];
    /// The marks of the scripts that it uses: those of ours that it spends from, and those that it pays to.
    fn marks(&self) -> Vec<ScriptMark>;
    /// The value itself, for whoever signs it.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// A message that was prepared for signing. The vault signs only what `keep-bitcoin` made.
pub trait InspectedMessage: Any + Send + fmt::Debug {
    /// The facts that policy judges.
    fn facts(&self) -> &MessageFacts;
    /// The tagged hash of the message (BIP-322).
    fn hash(&self) -> [u8; 32];
    /// The value itself, for whoever signs it.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}
