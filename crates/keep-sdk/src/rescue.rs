//! Taking keys out of a vault that is too damaged to be opened.

use std::path::Path;

use keep_types::{ErrorCode, Fault, KeyId, SecretKey32, SecretText};

use crate::keys::{to_ncryptsec, to_nsec};
use crate::{Home, KeyView, Options};

/// The keys that could be read from a damaged vault. Reads only, needs no page, index or integrity record to be whole, and
/// signs nothing. Its exports **cannot be recorded** in the vault's log, which is the one exception from that rule: say
/// so to the owner.
///
/// No process should have the vault open meanwhile.
#[derive(Debug)]
pub struct Rescue(keep_vault::Rescue);

impl Rescue {
    /// Searches the files of the vault in `home` for keys.
    ///
    /// # Errors
    /// [`ErrorCode::NoVault`], [`ErrorCode::WrongPassphrase`]; [`ErrorCode::Integrity`] when nothing is left.
    pub fn open(home: &Home, passphrase: &SecretText, options: &Options) -> Result<Self, Fault> {
        let database = home.database();
        let mut files = vec![read(&database)?.ok_or_else(|| crate::place::no_vault(home))?];
        let mut log = database.into_os_string();
        log.push("-wal");
        files.extend(read(Path::new(&log))?);
        Ok(Self(keep_vault::Rescue::open(&files, passphrase, &options.environment())?))
    }

    /// Every key that can be read, by name. One of which only the secret is left is named after its id.
    pub fn list(&self) -> Vec<KeyView> {
        self.0.keys().iter().map(KeyView::from).collect()
    }

    /// The secret key as `nsec1…` (NIP-19). Not recorded.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; [`ErrorCode::Integrity`] when the secret is lost.
    pub fn export_nsec(&self, key: &KeyView) -> Result<SecretText, Fault> {
        to_nsec(&self.export(key)?)
    }

    /// The secret key as `ncryptsec1…` (NIP-49) under a passphrase of its own. Not recorded.
    ///
    /// # Errors
    /// As [`export_nsec`](Self::export_nsec).
    pub fn export_ncryptsec(&self, key: &KeyView, passphrase: &SecretText) -> Result<String, Fault> {
        to_ncryptsec(&self.export(key)?, passphrase)
    }

    fn export(&self, key: &KeyView) -> Result<SecretKey32, Fault> {
        let found = self.0.keys().iter().find(|record| record.id.to_string() == key.id);
        let id: Option<KeyId> = found.map(|record| record.id);
        let id = id.ok_or_else(|| Fault::new(ErrorCode::NotFound, "there is no such key in the vault"))?;
        Ok(self.0.export(id)?)
    }
}

/// The bytes of a file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::new(ErrorCode::Storage, format!("cannot read {}: {error}", path.display()))),
    }
}
