//! The keys of a vault.

mod calls;
mod lookup;
mod mnemonic;

use keep_cipher::nip49::{self, KeySecurity, Ncryptsec};
use keep_types::{ErrorCode, Fault, Name, SecretKey32, SecretText};
use nostr::ToBech32;

use crate::{Keep, KeyView, SecretInput};

pub(crate) use calls::{Delete, ExportNcryptsec, ExportNsec, Find, Generate, Import, List};
pub(crate) use lookup::record;
pub(crate) use mnemonic::{ExportMnemonic, GenerateMnemonic, ImportMnemonic, Note, Rename};
pub use mnemonic::{KeyPath, MnemonicKey, MnemonicView};

/// Makes, imports, lists, exports and deletes keys.
#[derive(Debug, Clone)]
pub struct Keys {
    keep: Keep,
}

impl Keys {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`] when the name is taken.
    pub fn generate(&self, name: Name) -> Result<KeyView, Fault> {
        self.keep.call(Generate { name })
    }

    /// Imports a secret key; `passphrase` is that of an `ncryptsec`.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`] when the name or the key is there already; [`ErrorCode::InvalidKey`];
    /// [`ErrorCode::WrongPassphrase`].
    pub fn import(
        &self,
        name: Name,
        input: SecretInput,
        passphrase: Option<&SecretText>,
    ) -> Result<KeyView, Fault> {
        self.keep.call(Import { name, secret: input.open(passphrase)? })
    }

    /// Makes a key from a new mnemonic of 12 or 24 words, which the vault keeps. Bitcoin keys follow from the same words.
    ///
    /// # Errors
    /// As [`generate`](Self::generate); [`ErrorCode::InvalidKey`] for another number of words or an account that there
    /// is not.
    pub fn generate_mnemonic(&self, name: Name, words: u8, path: KeyPath) -> Result<MnemonicKey, Fault> {
        self.keep.call(GenerateMnemonic { name, words, path })
    }

    /// Imports a mnemonic with its passphrase (empty for none).
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn import_mnemonic(
        &self,
        name: Name,
        words: SecretText,
        passphrase: SecretText,
        path: KeyPath,
    ) -> Result<KeyView, Fault> {
        self.keep.call(ImportMnemonic { name, words, passphrase, path })
    }

    /// The words that a key follows from. Recorded before they leave.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when the key has no mnemonic.
    pub fn export_mnemonic(&self, key: &KeyView) -> Result<MnemonicView, Fault> {
        self.keep.call(ExportMnemonic { pubkey: key.pubkey.clone() })
    }

    /// Gives a key another name.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`] when the name is taken.
    pub fn rename(&self, key: &KeyView, name: Name) -> Result<KeyView, Fault> {
        self.keep.call(Rename { pubkey: key.pubkey.clone(), name })
    }

    /// Notes something about a key; `None` takes the note away.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] beyond 1000 characters.
    pub fn note(&self, key: &KeyView, note: Option<String>) -> Result<KeyView, Fault> {
        self.keep.call(Note { pubkey: key.pubkey.clone(), note })
    }

    /// Every key, by name.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self) -> Result<Vec<KeyView>, Fault> {
        self.keep.call(List {})
    }

    /// Those whose secrets are in this vault: not the ones that other bunkers hold.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn own(&self) -> Result<Vec<KeyView>, Fault> {
        let mut keys = self.list()?;
        keys.retain(|key| !key.is_remote());
        Ok(keys)
    }

    /// The key that `selector` means: its name, its npub or its public key in hexadecimal; without one, the only key there
    /// is.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; [`ErrorCode::Usage`] when there are several keys and none is named, with their names.
    pub fn find(&self, selector: Option<&str>) -> Result<KeyView, Fault> {
        self.keep.call(Find { selector: selector.map(str::to_owned) })
    }

    /// Deletes a key and its secret for good.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`].
    pub fn delete(&self, key: &KeyView) -> Result<(), Fault> {
        self.keep.call(Delete { pubkey: key.pubkey.clone() }).map(drop)
    }

    /// The secret key as `nsec1…` (NIP-19). Recorded before it leaves.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; when the record cannot be written.
    pub fn export_nsec(&self, key: &KeyView) -> Result<SecretText, Fault> {
        Ok(self.keep.call(ExportNsec { pubkey: key.pubkey.clone() })?.nsec)
    }

    /// The secret key as `ncryptsec1…` (NIP-49) under a passphrase of its own. Recorded before it leaves.
    ///
    /// # Errors
    /// As [`export_nsec`](Self::export_nsec).
    pub fn export_ncryptsec(&self, key: &KeyView, passphrase: &SecretText) -> Result<String, Fault> {
        let passphrase = SecretText::new(passphrase.expose().to_owned());
        Ok(self.keep.call(ExportNcryptsec { pubkey: key.pubkey.clone(), passphrase })?.ncryptsec)
    }
}

/// The text form of NIP-19.
pub(crate) fn to_nsec(secret: &SecretKey32) -> Result<SecretText, Fault> {
    let secret = nostr::SecretKey::from_slice(secret.expose()).map_err(|_| bug("the secret is no key"))?;
    secret.to_bech32().map(SecretText::new).map_err(|_| bug("the secret has no text form"))
}

/// The text form of NIP-49. The vault cannot know whether the key was ever handled in clear elsewhere.
pub(crate) fn to_ncryptsec(secret: &SecretKey32, passphrase: &SecretText) -> Result<String, Fault> {
    let sealed = Ncryptsec::seal(secret, passphrase, nip49::DEFAULT_LOG_N, KeySecurity::Unknown)?;
    Ok(sealed.to_text()?)
}

pub(crate) fn bug(message: &str) -> Fault {
    Fault::new(ErrorCode::Bug, message)
}
