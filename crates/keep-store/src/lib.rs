//! Where Keep's sealed rows lie.
//!
//! A [`Store`] holds one vault: a header, a sealed head, and rows of ciphertext in numbered collections. It knows
//! nothing of what they mean. All writing goes through one path: [`Store::write`] is exclusive among all processes,
//! fair between them, and durable when it returns; a [`Writer`] collects the jobs of one process and commits those
//! that wait together in one transaction.
#![forbid(unsafe_code)]

mod error;
mod row;
mod store;
mod writer;

pub use error::StoreError;
pub use row::{NameIndex, Row, Scan};
pub use store::{ReadTx, Store, WriteTx};
pub use writer::{Closed, Ledger, Writer};
