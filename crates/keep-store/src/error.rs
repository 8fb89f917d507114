//! What can go wrong in a store.

use std::path::PathBuf;

use keep_types::{ErrorCode, Fault};

/// Why a store could not read or write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No store at this place.
    #[error("there is no vault at {0}")]
    Missing(PathBuf),
    /// A store is there already.
    #[error("there is already a vault at {0}")]
    Exists(PathBuf),
    /// The file is not a store, is truncated, or its structure is broken.
    #[error("the vault's database is damaged: {0}")]
    Damaged(String),
    /// Made by a newer version.
    #[error("the vault's database has format {found}; this version of Keep knows formats up to {known}")]
    TooNew {
        /// The format of the file.
        found: u32,
        /// The newest format that this version knows.
        known: u32,
    },
    /// The file system lacks what a safe store needs.
    #[error("the vault cannot live here: {0}")]
    Unsupported(String),
    /// A symbolic link lies where the store should.
    #[error(
        "{0} is a symbolic link: writers take turns beside it, and others beside the file that it leads to"
    )]
    Linked(PathBuf),
    /// No space left.
    #[error("the disk is full")]
    Full,
    /// A store of a fixed size has no room for this.
    #[error(
        "this vault has a fixed size, and {} of its {} KiB are in use: adding stops at nine tenths",
        .0.used / 1024, .0.capacity / 1024
    )]
    NoRoom(crate::Room),
    /// Another process did not let go in time.
    #[error("another process holds the vault: {0}")]
    Busy(String),
    /// Two rows of one collection with one name.
    #[error("the name is taken")]
    NameTaken,
    /// The operating system refused.
    #[error("{0}")]
    Io(String),
    /// The work inside the transaction gave up, with the reason as others see it.
    #[error("{0}")]
    Aborted(Fault),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Missing(_) => ErrorCode::NoVault,
            StoreError::Exists(_) | StoreError::NameTaken => ErrorCode::AlreadyExists,
            StoreError::Damaged(_) => ErrorCode::Integrity,
            StoreError::TooNew { .. } => ErrorCode::FormatTooNew,
            StoreError::Unsupported(_) => ErrorCode::StorageUnsupported,
            StoreError::Linked(_) => {
                return Self::new(ErrorCode::StorageUnsupported, error.to_string()).with_hint(
                    "point KEEP_HOME to the directory of the file itself; that directory may be a link as a whole",
                );
            }
            StoreError::Full => ErrorCode::StorageFull,
            StoreError::NoRoom(_) => {
                return Self::new(ErrorCode::StorageFull, error.to_string())
                    .with_hint("delete what is not needed; exporting and backing up still work");
            }
            StoreError::Busy(_) => ErrorCode::StorageBusy,
            StoreError::Io(_) => ErrorCode::Storage,
            StoreError::Aborted(fault) => return fault.clone(),
        };
        Self::new(code, error.to_string())
    }
}
