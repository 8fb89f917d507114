//! Asking for the passphrase of an open vault once more.

use keep_types::SecretText;

use crate::header::Header;
use crate::kdf::Derived;
use crate::vault::{open_subkeys, read_header};
use crate::{Vault, VaultError, WeakKdf, Which};

impl Vault {
    /// Whether `passphrase` opens this vault. Runs Argon2id once.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`]; when the header cannot be read or is not the one of this vault.
    pub fn check_passphrase(&self, passphrase: &SecretText, weak: WeakKdf) -> Result<(), VaultError> {
        let header = read_header(&*self.store)?;
        let derived = header.kdf.derive(passphrase, weak)?;
        self.check_derived(&header, &derived)
    }

    /// Which vault of the directory `passphrase` opens: this one, or the one beside it. Runs Argon2id once, and does the same work
    /// whichever it is.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`] when it opens neither; when a header cannot be read or is not the one of this vault.
    pub fn which_opens(&self, passphrase: &SecretText, weak: WeakKdf) -> Result<Which, VaultError> {
        let header = read_header(&*self.store)?;
        let derived = header.kdf.derive(passphrase, weak)?;
        let (own, other) = (self.check_derived(&header, &derived), self.opens_beside(&header, &derived)?);
        match (own, other, self.which()) {
            (Err(VaultError::WrongPassphrase), true, Which::Outer) => Ok(Which::Hidden),
            (Err(VaultError::WrongPassphrase), true, Which::Hidden) => Ok(Which::Outer),
            (own, _, this) => own.map(|()| this),
        }
    }

    fn check_derived(&self, header: &Header, derived: &Derived) -> Result<(), VaultError> {
        let (data_key, _) = header.unwrap_key(&derived.keks())?;
        let theirs = open_subkeys(&*self.store, header, &data_key)?;
        let ours = self.shared.keys()?;
        // A header that somebody put there opens with their passphrase, to another key.
        if theirs.as_bytes() == ours.as_bytes() {
            return Ok(());
        }
        Err(VaultError::Header("it is not the one of the vault that is open".into()))
    }
}
