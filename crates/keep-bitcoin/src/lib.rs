//! Bitcoin for Keep: taproot addresses, PSBT inspection and signing, signed messages.
//!
//! Everything that looks needs only a [`Wallet`], which is public data; a secret is used in one place, behind
//! [`TaprootSigner`]. Nothing here does input or output.
//!
//! - keys: [`Mnemonic`], [`Seed`], [`SecretNode`] (BIP-32, BIP-39), [`mod@derive`] (NIP-06, BIP-85)
//! - what is ours: [`Account`] (BIP-86, descriptors), [`OwnAddress`], [`Wallet`]
//! - transactions: [`PsbtFile`] (BIP-174, BIP-370, BIP-371), [`Inspection`], [`TransactionView`], [`SpendFacts`],
//!   [`Signed`]
//! - messages: [`message`] (BIP-322)
//!
//! ```
//! use keep_bitcoin::{Account, Branch, Network, Seed};
//! use keep_types::SecretText;
//!
//! let words = "abandon ".repeat(11) + "about";
//! let master = Seed::from_mnemonic(&SecretText::from(words), &SecretText::from(String::new()))?.master()?;
//! let account = Account::bip86(&master, Network::Mainnet, 0)?;
//! assert_eq!(
//!     account.address(Branch::Receive, 0)?.to_string(),
//!     "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"
//! );
//! # Ok::<(), keep_bitcoin::BitcoinError>(())
//! ```
#![forbid(unsafe_code)]

mod account;
mod address;
pub mod derive;
mod error;
mod hd;
mod inspect;
pub mod message;
mod mnemonic;
mod network;
mod psbt;
mod sign;
mod verify;
mod wallet;

pub use account::{Account, Branch};
pub use address::{OwnAddress, parse_address};
pub use error::BitcoinError;
pub use hd::{SecretNode, Seed};
pub use inspect::{
    Destination, InputOwnership, InputView, InspectOptions, Inspection, LeafView, LockTimeView, OutputRole,
    OutputView, Place, RelativeLockView, ScriptKind, ScriptMark, Severity, SpendFacts, TransactionView,
    Warning, WarningCode, WayView, script_mark,
};
pub use mnemonic::Mnemonic;
pub use network::Network;
pub use psbt::{Encoding, MAX_PSBT_BYTES, PsbtFile};
pub use sign::{KeyTweak, LocalSigner, SignJob, Signed, SignerError, SkipReason, Skipped, TaprootSigner};
pub use wallet::{KeyLocation, OwnScript, Wallet};

/// The `bitcoin` crate in the version that this crate speaks.
pub use bitcoin;
