//! The audit log: entries, the hash chain over them, and its verification.
//!
//! Each entry is encoded canonically (CBOR with integer field numbers) and linked to the one before it:
//! `hash(n) = SHA-256("keep audit v1" ‖ hash(n-1) ‖ entry(n))`. The vault stores entries in batches and keeps the last
//! hash in its sealed head, so that a changed, removed or reordered entry, and a cut tail, are found.
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
mod entry;

pub use batch::Batch;
pub use chain::{Broken, Chain, ChainHash};
pub use entry::{Action, Draft, Entry, Outcome};
