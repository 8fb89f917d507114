//! Where Keep's sealed rows lie.
//!
//! A [`Store`] holds one vault: a header, a sealed head, and rows of ciphertext in numbered collections. It knows
//! nothing of what they mean. All writing goes through one path: [`Store::write`] is exclusive among all processes,
//! fair between them, and durable when it returns; a [`Writer`] collects the jobs of one process and commits those
//! that wait together in one transaction.
//!
//! ```
//! use keep_store::{Row, SqliteStore, Store};
//! use keep_types::{RecordId, Revision};
//!
//! let home = tempfile::tempdir()?;
//! let store = SqliteStore::create(home.path().join("keep.db"))?;
//! let id = RecordId::random()?;
//! let row = Row { collection: 1, id, revision: Revision::new(1), name: None, sealed: b"ciphertext".to_vec() };
//! store.write(&mut |tx| tx.put(&row))?;
//! store.read(&mut |tx| {
//!     assert_eq!(tx.get(1, &id)?.as_ref(), Some(&row));
//!     Ok(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod memory;
mod queue;
mod row;
mod salvage;
mod sqlite;
mod store;
mod writer;

pub use error::StoreError;
pub use memory::{ChangeLog, MemoryStore, Room, changes_header};
pub use row::{NameIndex, Row, Scan};
pub use salvage::{Found, salvage};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use store::{ReadTx, ReadWork, Store, WriteTx, WriteWork};
pub use writer::{Closed, Ledger, Writer};
