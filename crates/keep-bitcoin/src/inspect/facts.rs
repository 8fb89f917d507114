//! The facts that policy judges.

use keep_types::DisplayText;
use serde::{Deserialize, Serialize};

/// What a transaction does to us, computed from the very PSBT that is signed. Amounts in satoshis.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpendFacts {
    /// What our inputs are worth. `None` if an amount is unknown or contradictory.
    pub own_inputs_sats: Option<u64>,
    /// What comes back to outputs proved to be ours. 0 when a signature would leave the outputs open to change.
    pub own_outputs_sats: u64,
    /// What leaves us, fee included: our inputs minus our outputs, not below 0. `None` if it is unknown.
    pub leaving_sats: Option<u64>,
    /// The fee of the whole transaction. `None` if an amount is unknown, or the outputs are worth more.
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
    /// Whether every signature fixes all outputs.
    pub outputs_fixed: bool,
}

/// An output that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The index of the output.
    pub output: usize,
    /// Its address, by which allow and block lists name it; `None` for scripts without one.
    pub address: Option<DisplayText>,
    /// How much it gets, in satoshis.
    pub amount_sats: u64,
}
