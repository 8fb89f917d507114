//! The audit log: entries, the hash chain over them, and its verification.
//!
//! Each entry is encoded canonically (CBOR with integer field numbers) and linked to the one before it:
//! `hash(n) = SHA-256("keep audit v1" ‖ hash(n-1) ‖ entry(n))`. The vault stores entries in batches and keeps the last
//! hash in its sealed head, so that a changed, removed or reordered entry, and a cut tail, are found.
//!
//! A [`SignedCheckpoint`] states where the log stood, under the vault's audit key: it ends an export, stands for entries that
//! were removed, or is kept elsewhere as an anchor. [`verify_export`] checks an exported log without its vault.
//!
//! What this proves: nobody without the vault's key changed the log. Who has the key can write another one.
//!
//! ```
//! use keep_audit::{Action, Batch, Chain, Draft, Outcome};
//! use keep_types::{Origin, Timestamp};
//!
//! let mut chain = Chain::start();
//! let draft = Draft::new(Action::VaultCreated, Outcome::Allowed, &Origin::Cli);
//! let batch = Batch::link(&mut chain, Timestamp::from_secs(1), vec![draft]);
//!
//! let mut check = Chain::start();
//! batch.verify(&mut check).unwrap();
//! assert_eq!(check, chain);
//! ```
#![forbid(unsafe_code)]

mod batch;
mod chain;
mod checkpoint;
mod counts;
mod decider;
mod entry;
mod export;
mod filter;
mod hex32;
mod raw;

pub use batch::Batch;
pub use chain::{Broken, Chain, ChainHash};
pub use checkpoint::{BadSignature, Checkpoint, Fingerprint, NoFingerprint, Purpose, SignedCheckpoint};
pub use counts::{Count, Counts};
pub use decider::{Decider, Surface};
pub use entry::{Action, Draft, Entry, Outcome};
pub use export::{ExportError, ExportSummary, ExportWriter, WriteError, verify_export};
pub use filter::Filter;
pub use raw::{Malformed, RawEntries, RawEntry, SEGMENT_LEN, join, link_all, segment_end};
