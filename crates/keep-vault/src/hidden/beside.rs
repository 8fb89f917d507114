//! What lies beside an open vault: the other one of its directory, or a reserve in which one may be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keep_store::Store;

use crate::header::Header;
use crate::kdf::Derived;
use crate::reserve::{self, Layout, Medium, ReserveFile};
use crate::vault::read_header;
use crate::{Vault, VaultError};

/// Where a passphrase could open another vault than the one that is open.
pub(crate) enum Beside {
    /// Nowhere: the store stands alone.
    Nothing,
    /// In the reserve of this directory.
    Reserve(PathBuf),
    /// In the database beside the reserve.
    Database(Arc<dyn Store>),
}

impl Vault {
    /// Says where the vault lies, if it was made in a store alone: its new passphrases are then compared with what lies beside it.
    #[must_use]
    pub fn in_directory(mut self, directory: &Path) -> Self {
        if self.reserve.is_none() {
            self.beside = Beside::Reserve(directory.to_owned());
        }
        self
    }

    /// Refuses a new passphrase that opens a vault here already, be it this one or another: of two vaults with one passphrase the
    /// second would be out of reach.
    ///
    /// The refusal tells no more than an attempt to open the vault with that passphrase does, in the same words whichever it
    /// opens; and the work is the same whether there is another vault or not.
    pub(crate) fn refuse_taken(&self, header: &Header, derived: &Derived) -> Result<(), VaultError> {
        let own = header.unwrap_key(&derived.keks()).is_ok();
        let other = self.opens_beside(header, derived)?;
        if own || other { Err(VaultError::PassphraseTaken) } else { Ok(()) }
    }

    /// Whether the other vault of the directory opens.
    pub(crate) fn opens_beside(&self, header: &Header, derived: &Derived) -> Result<bool, VaultError> {
        Ok(match &self.beside {
            Beside::Nothing => false,
            Beside::Reserve(directory) => opens_slot(directory, header, derived),
            // The salt and the cost are the same in both headers.
            Beside::Database(store) => read_header(&**store)?.unwrap_key(&derived.keks()).is_ok(),
        })
    }

    /// Copies what the vault in the database left in its log into the database, as its last process does at its end. Beside no hidden
    /// vault there is nothing to do.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn settle_beside(&self) -> Result<(), VaultError> {
        match &self.beside {
            Beside::Database(store) => Ok(store.settle()?),
            Beside::Nothing | Beside::Reserve(_) => Ok(()),
        }
    }
}

/// Whether a slot of the reserve in `directory` opens. A reserve that cannot be read opens for nobody.
pub(super) fn opens_slot(directory: &Path, header: &Header, derived: &Derived) -> bool {
    let bytes = ReserveFile::open(directory).and_then(|mut file| file.read().map_err(reserve::failed));
    bytes.is_ok_and(|bytes| {
        reserve::find(&bytes, Layout::STANDARD, &header.kdf.salt, &derived.reserve_kek()).is_some()
    })
}
