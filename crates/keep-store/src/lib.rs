//! Where Keep's sealed rows lie.
//!
//! A [`Store`] holds one vault: a header, a sealed head, and rows of ciphertext in numbered collections. It knows
//! nothing of what they mean. All writing goes through one path: [`Store::write`] is exclusive among all processes,
//! fair between them, and durable when it returns; a [`Writer`] collects the jobs of one process and commits those
//! that wait together in one transaction.
#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod memory;
mod queue;
mod row;
mod sqlite;
mod store;
mod writer;

pub use error::StoreError;
pub use memory::MemoryStore;
pub use row::{NameIndex, Row, Scan};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{ReadTx, ReadWork, Store, WriteTx, WriteWork};
pub use writer::{Closed, Ledger, Writer};
