//! Asking for the passphrase of an open vault once more.

use keep_types::SecretText;

use crate::vault::{open_subkeys, read_header};
use crate::{Vault, VaultError, WeakKdf};

impl Vault {
    /// Whether `passphrase` opens this vault. Runs Argon2id once.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`]; when the header cannot be read or is not the one of this vault.
    pub fn check_passphrase(&self, passphrase: &SecretText, weak: WeakKdf) -> Result<(), VaultError> {
        let header = read_header(&*self.store)?;
        let derived = header.kdf.derive(passphrase, weak)?;
        let (data_key, _) = header.unwrap_key(&derived.keks())?;
        let theirs = open_subkeys(&*self.store, &header, &data_key)?;
        let ours = self.shared.keys()?;
        // A header that somebody put there opens with their passphrase, to another key.
        if theirs.as_bytes() == ours.as_bytes() {
            return Ok(());
        }
        Err(VaultError::Header("it is not the one of the vault that is open".into()))
    }
}
