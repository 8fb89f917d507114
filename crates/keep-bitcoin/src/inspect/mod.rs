//! Looking before signing: what a PSBT would do, found out without any secret.

mod input;
mod intent;
mod output;
mod prevout;
mod script;
mod size;
mod transaction;
mod view;
mod warning;

use std::collections::HashSet;

use bitcoin::key::XOnlyPublicKey;

pub use self::intent::script_mark;
pub use self::view::{
    InputOwnership, InputView, LeafView, LockTimeView, OutputRole, OutputView, RelativeLockView, ScriptKind,
    TransactionView, WayView,
};
pub use self::warning::{Place, Severity, Warning, WarningCode};
pub use keep_types::{Destination, ScriptMark, SpendFacts};

pub(crate) use self::input::{Finding, Way, taproot_key};
pub(crate) use self::prevout::prevout;
pub(crate) use self::transaction::SIGNED_MESSAGE;
use crate::wallet::Prover;
use crate::{Account, PsbtFile, Wallet};

/// What the inspection goes by.
#[derive(Debug, Clone)]
pub struct InspectOptions {
    /// The highest fee in satoshis. 0.1 BTC unless changed.
    pub max_fee_sats: u64,
    /// The highest fee rate in satoshis per 1,000 virtual bytes. 1,000,000 (1,000 sat/vB) unless changed.
    pub max_fee_rate_sats_per_kvb: u64,
    /// Whether signature types that leave the transaction open to change may be signed. They never are by default.
    pub allow_unusual_sighash: bool,
    /// Outputs of ours from this index on are warned about. 100,000 unless changed; better the next unused index plus
    /// the gap that wallets search.
    pub index_horizon: u32,
    /// The marks of output scripts known to have been used before ([`script_mark`]).
    pub used: HashSet<ScriptMark>,
}

impl Default for InspectOptions {
    fn default() -> Self {
        Self {
            max_fee_sats: 10_000_000,
            max_fee_rate_sats_per_kvb: 1_000_000,
            allow_unusual_sighash: false,
            index_horizon: 100_000,
            used: HashSet::new(),
        }
    }
}

/// A PSBT and everything that was found out about it. It owns the PSBT, so that what was judged is what is signed.
#[derive(Debug)]
pub struct Inspection {
    pub(crate) file: PsbtFile,
    pub(crate) findings: Vec<Finding>,
    view: TransactionView,
    /// As whose owner it was inspected: whoever signs checks that this is what the secret owns.
    pub(crate) accounts: Vec<Account>,
    pub(crate) identity: Option<XOnlyPublicKey>,
}

impl Inspection {
    /// Inspects `file` as the owner of `wallet`.
    pub fn new(file: PsbtFile, wallet: &Wallet, options: &InspectOptions) -> Self {
        let mut warnings = Vec::new();
        let mut prover = Prover::new(wallet);
        let psbt = file.psbt();
        let findings: Vec<Finding> = (0..psbt.inputs.len())
            .map(|index| input::find(&mut prover, psbt, index, &mut warnings))
            .collect();
        let roles: Vec<OutputRole> = (0..psbt.outputs.len())
            .map(|index| output::role(&mut prover, psbt, index, options, &mut warnings))
            .collect();
        let view = transaction::view(&file, wallet.network(), options, &findings, roles, warnings);
        let (accounts, identity) = (wallet.accounts().to_vec(), wallet.identity_key());
        Self { file, findings, view, accounts, identity }
    }

    /// The transaction as people see it.
    pub const fn view(&self) -> &TransactionView {
        &self.view
    }

    /// The facts that policy judges.
    pub const fn facts(&self) -> &SpendFacts {
        &self.view.facts
    }

    /// Why signing would be refused; empty if it would not.
    pub fn refusals(&self) -> Vec<Warning> {
        self.view.warnings.iter().filter(|warning| warning.severity == Severity::Danger).cloned().collect()
    }

    /// As the owner of which accounts it was inspected.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// As the owner of which identity key it was inspected, if of one.
    pub const fn identity(&self) -> Option<XOnlyPublicKey> {
        self.identity
    }

    /// The PSBT.
    pub const fn file(&self) -> &PsbtFile {
        &self.file
    }

    /// Gives the PSBT back, unchanged.
    pub fn into_file(self) -> PsbtFile {
        self.file
    }
}
