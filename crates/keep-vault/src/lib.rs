//! The encrypted vault.
//!
//! A [`Vault`] is a header and sealed records in a [`Store`](keep_store::Store). The header's *stanzas* each wrap the same
//! random data key; subkeys of it seal the records, and a sealed head holds a keyed sum over all of them, so that any
//! removed, changed or replayed record is found. `docs/formats/vault.md` describes the format.
//!
//! A secret is used in one way only: [`Vault::execute`] takes a [`Permit`](keep_policy::Permit) by value and gives a
//! [`Held`] answer, and the answer leaves only against the [`Committed`] record of the same job.
//!
//! ```
//! use std::sync::Arc;
//! use keep_store::MemoryStore;
//! use keep_types::{Name, SecretText, SystemClock};
//! use keep_vault::{Environment, KdfCost, Vault};
//!
//! let environment = Environment::new(SystemClock).allow_weak_kdf();
//! let passphrase = SecretText::from("correct horse".to_owned());
//! let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
//! let vault = Vault::create(Arc::new(MemoryStore::new()), &passphrase, [7; 32], cost, &environment)?;
//! let key = vault.generate_key(Name::new("main").unwrap())?;
//! assert_eq!(vault.keys()?, [key]);
//! # Ok::<(), keep_vault::VaultError>(())
//! ```
#![deny(unsafe_code)]

mod accept;
mod accept_doubles;
mod accept_halves;
mod accept_toll;
mod addition;
mod again;
mod archive;
mod batch;
mod bundles;
mod bundling;
mod cache;
mod checkpoint;
mod effort;
mod error;
mod examination;
mod form;
mod groups;
mod head;
mod header;
mod held;
mod hidden;
mod holder;
mod items;
mod kdf;
mod keyring;
mod ledger;
mod listing;
mod log;
mod memory;
mod mnemonic;
mod nip44v3;
mod pending;
mod presence;
mod prune;
mod records;
mod recovery;
mod rescue;
pub mod reserve;
mod restore;
mod rotate;
mod seal;
mod secrets;
mod segments;
mod shield;
mod stanzas;
mod subkeys;
mod tx;
mod unanswered;
mod vault;
mod verify;
mod wallets;

pub use accept::DamageAccepted;
pub use accept_toll::KindDamage;
pub use addition::{Addition, Additions};
pub use archive::{Archive, ArchivedKey, ArchivedRecord, TakeArchive};
pub use error::VaultError;
pub use examination::{ArchiveContent, Examination};
pub use form::{Form, Forms};
pub use groups::{
    Accept, BurnRecord, GroupRecord, GroupSession, Holding, IncomingShares, MAX_SESSIONS, Proof, Sorted,
    attach_group_signatures, burn, group_account, group_key_path, group_message, group_spend_jobs,
};
pub use header::FORMAT;
pub use held::{Committed, Held};
pub use hidden::{HIDDEN_CAPACITY, Opened, ReserveReset, Which};
pub use holder::Holder;
pub use items::SecretItem;
pub use kdf::{KdfParams, WeakKdf};
pub use keyring::check_name;
pub use listing::Version;
pub use log::{AuditStats, AuditSummary};
pub use mnemonic::{Derivation, DerivationRule, MnemonicSecret};
pub use pending::{Pending, Recording};
pub use prune::PrunePlan;
pub use records::{KeyRecord, KeySource};
pub use rescue::Rescue;
pub use restore::{ArchiveOrigin, GiveArchive, RestoreOptions, Revive};
pub use rotate::{Rotated, RotationPlan};
pub use stanzas::{StanzaInfo, StanzaKind};
pub use tx::Tx;
pub use unanswered::{Received, Unanswered};
pub use vault::{Environment, KdfCost, Vault};
pub use verify::IntegrityReport;
pub use wallets::{Spending, Trail, WalletAccount, WalletRow};

/// Reads a header as stored, for tools and fuzzing. Opens nothing.
///
/// # Errors
/// When the bytes are damaged or of a later format.
pub fn inspect_header(bytes: &[u8]) -> Result<KdfParams, VaultError> {
    Ok(header::Header::from_bytes(bytes)?.kdf)
}
