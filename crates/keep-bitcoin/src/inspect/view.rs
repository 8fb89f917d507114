//! The transaction as people see it and as policy judges it: plain data with serde.
//!
//! All amounts are in satoshis. Everything that comes from the PSBT and is text is a [`DisplayText`].

use keep_types::{DisplayText, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SpendFacts, Warning};
use crate::{Branch, Network};

/// A whole transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TransactionView {
    /// The network whose addresses are shown.
    pub network: Network,
    /// The version of the PSBT, 0 or 2.
    pub psbt_version: u32,
    /// The id that the transaction will have if all its inputs are segwit inputs.
    pub txid: DisplayText,
    /// The transaction's version.
    pub version: i32,
    /// From when on it can be mined.
    pub lock_time: LockTimeView,
    /// What it spends.
    pub inputs: Vec<InputView>,
    /// Where it pays to.
    pub outputs: Vec<OutputView>,
    /// The facts that policy judges.
    pub facts: SpendFacts,
    /// What to look at, the most serious first.
    pub warnings: Vec<Warning>,
}

/// From when on a transaction can be mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LockTimeView {
    /// At once.
    None,
    /// After the block of this height.
    Height {
        /// The height.
        height: u32,
    },
    /// After this time.
    Time {
        /// The median time of blocks.
        #[schemars(with = "u64")]
        at: Timestamp,
    },
}

/// How long an input must have been confirmed (BIP-68).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RelativeLockView {
    /// For this many blocks.
    Blocks {
        /// How many.
        blocks: u16,
    },
    /// For this many seconds.
    Time {
        /// How many, a multiple of 512.
        seconds: u32,
    },
}

/// The form of an output script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScriptKind {
    /// A bare public key.
    P2pk,
    /// The hash of a public key.
    P2pkh,
    /// The hash of a script.
    P2sh,
    /// The segwit version 0 hash of a public key (BIP-141).
    P2wpkh,
    /// The segwit version 0 hash of a script (BIP-141).
    P2wsh,
    /// Taproot (BIP-341).
    P2tr,
    /// An anchor that everybody may spend, used for fee bumping.
    P2a,
    /// Data; unspendable.
    OpReturn,
    /// A segwit version without rules yet.
    FutureWitness,
    /// Anything else.
    Other,
}

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputView {
    /// Its position.
    pub index: usize,
    /// What it spends, `txid:vout`.
    pub outpoint: DisplayText,
    /// How much, if the PSBT says so without contradiction.
    pub amount_sats: Option<u64>,
    /// From which address, if its script has one.
    pub address: Option<DisplayText>,
    /// The form of the script.
    pub script: Option<ScriptKind>,
    /// The signature type that is asked for.
    pub sighash: DisplayText,
    /// How long it must have been confirmed.
    pub relative_lock: Option<RelativeLockView>,
    /// What we have to do with it.
    pub ownership: InputOwnership,
}

/// What we have to do with an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InputOwnership {
    /// We can sign it.
    Signable {
        /// By which ways.
        ways: Vec<WayView>,
    },
    /// It is ours and has its signature.
    Signed {
        /// Our key.
        key: DisplayText,
    },
    /// We do not sign it.
    NotSignable {
        /// Why not.
        reason: DisplayText,
    },
}

/// A way to spend a taproot input (BIP-341).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WayView {
    /// With the output key.
    KeyPath {
        /// Our key: its origin, or `identity key`.
        key: DisplayText,
    },
    /// With a script (BIP-342).
    ScriptPath {
        /// Our key in the script.
        key: DisplayText,
        /// The script.
        leaf: LeafView,
    },
}

/// A script of a taproot tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeafView {
    /// Its hash, 64 hexadecimal digits.
    pub leaf_hash: DisplayText,
    /// The script as assembler text, cut after 600 characters.
    pub script: DisplayText,
    /// What it demands as a policy, if it is miniscript.
    pub policy: Option<DisplayText>,
    /// The height or time before which it cannot be used, if it has one (`OP_CHECKLOCKTIMEVERIFY`).
    pub after: Vec<LockTimeView>,
    /// How long the input must have been confirmed (`OP_CHECKSEQUENCEVERIFY`).
    pub older: Vec<RelativeLockView>,
}

/// One output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputView {
    /// Its position.
    pub index: usize,
    /// How much it gets.
    pub amount_sats: u64,
    /// Its address, if its script has one.
    pub address: Option<DisplayText>,
    /// The form of the script.
    pub script: ScriptKind,
    /// The script itself, in hexadecimal, cut after 600 characters.
    pub script_hex: DisplayText,
    /// Whose it is.
    pub role: OutputRole,
}

/// Whose an output is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OutputRole {
    /// Ours, proved by derivation from our own descriptor.
    Ours {
        /// Receive or change.
        branch: Branch,
        /// The index in the branch.
        index: u32,
        /// The origin of the key.
        key: DisplayText,
    },
    /// It pays to our identity key.
    Identity,
    /// Somebody else's.
    Destination,
    /// Data, which nobody receives.
    Data {
        /// The data as text, made harmless.
        text: DisplayText,
    },
}

impl OutputRole {
    /// Whether the coins stay with us.
    pub const fn is_ours(&self) -> bool {
        match self {
            Self::Ours { .. } | Self::Identity => true,
            Self::Destination | Self::Data { .. } => false,
        }
    }
}
