//! The keys of a vault.

use std::sync::Arc;

use keep_cipher::nip49::{self, KeySecurity, Ncryptsec};
use keep_signer::Signer;
use keep_types::{
    Answer, ErrorCode, Fault, Intent, KeyId, Name, Origin, PublicKey, Request, RequestId, SecretKey32,
    SecretText,
};
use keep_vault::{KeyRecord, Vault};
use nostr::{FromBech32, ToBech32};

use crate::{KeyView, SecretInput, now};

/// Makes, imports, lists, exports and deletes keys.
#[derive(Debug, Clone)]
pub struct Keys {
    vault: Arc<Vault>,
    owner: Arc<Signer>,
}

impl Keys {
    pub(crate) const fn new(vault: Arc<Vault>, owner: Arc<Signer>) -> Self {
        Self { vault, owner }
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`] when the name is taken.
    pub fn generate(&self, name: Name) -> Result<KeyView, Fault> {
        self.check_intact()?;
        Ok(KeyView::from(&self.vault.generate_key(name)?))
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
        self.check_intact()?;
        let secret = input.open(passphrase)?;
        Ok(KeyView::from(&self.vault.import_key(name, &secret)?))
    }

    /// Every key, by name.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self) -> Result<Vec<KeyView>, Fault> {
        Ok(self.vault.keys()?.iter().map(KeyView::from).collect())
    }

    /// The key that `selector` means: its name, its npub or its public key in hexadecimal; without one, the only key there
    /// is.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; [`ErrorCode::Usage`] when there are several keys and none is named, with their names.
    pub fn find(&self, selector: Option<&str>) -> Result<KeyView, Fault> {
        Ok(KeyView::from(&self.record(selector)?))
    }

    pub(crate) fn record(&self, selector: Option<&str>) -> Result<KeyRecord, Fault> {
        let Some(selector) = selector else { return self.only() };
        // What reads as a public key means that key, even if another one has such a name.
        let public = parse_public_key(selector).map(|key| key.to_bytes());
        let found =
            match public {
                // The index of a damaged vault may not lead to a key that is there and can be saved.
                _ if !self.vault.integrity().is_intact() => self.vault.keys()?.into_iter().find(|key| {
                    public.map_or(key.name.as_str() == selector, |public| key.public_key == public)
                }),
                Some(public) => self.vault.key_by_public(&public)?,
                None => self.vault.key_by_name(selector)?,
            };
        found.ok_or_else(|| {
            let shown = keep_types::DisplayText::truncated(selector, 80);
            Fault::new(ErrorCode::NotFound, format!("there is no key \"{shown}\" in the vault"))
        })
    }

    /// The only key of the vault.
    fn only(&self) -> Result<KeyRecord, Fault> {
        let mut keys = self.vault.keys()?;
        match keys.len() {
            1 => Ok(keys.remove(0)),
            0 => Err(Fault::new(ErrorCode::NotFound, "the vault has no key yet")
                .with_hint("make one with `keep generate --name main`")),
            _ => {
                let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
                Err(Fault::new(ErrorCode::Usage, "the vault has several keys")
                    .with_hint(format!("name one with --key: {}", names.join(", "))))
            }
        }
    }

    /// Deletes a key and its secret for good.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`].
    pub fn delete(&self, key: &KeyView) -> Result<(), Fault> {
        self.check_intact()?;
        Ok(self.vault.delete_key(self.id(key)?)?)
    }

    /// The secret key as `nsec1…` (NIP-19). Recorded before it leaves.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; when the record cannot be written.
    pub fn export_nsec(&self, key: &KeyView) -> Result<SecretText, Fault> {
        let secret = self.export(self.id(key)?)?;
        to_nsec(&secret)
    }

    /// The secret key as `ncryptsec1…` (NIP-49) under a passphrase of its own. Recorded before it leaves.
    ///
    /// # Errors
    /// As [`export_nsec`](Self::export_nsec).
    pub fn export_ncryptsec(&self, key: &KeyView, passphrase: &SecretText) -> Result<String, Fault> {
        let secret = self.export(self.id(key)?)?;
        // The vault cannot know whether the key was ever handled in clear elsewhere.
        let sealed = Ncryptsec::seal(&secret, passphrase, nip49::DEFAULT_LOG_N, KeySecurity::Unknown)?;
        Ok(sealed.to_text()?)
    }

    fn export(&self, key: KeyId) -> Result<SecretKey32, Fault> {
        let request = owner_request(key, Intent::Export)?;
        match self.owner.handle_blocking(request)? {
            Answer::SecretKey(secret) => Ok(secret),
            Answer::PublicKey(_) | Answer::Event(_) | Answer::Ciphertext(_) | Answer::Plaintext(_) => {
                Err(bug("an export gave something else than a secret"))
            }
        }
    }

    fn id(&self, key: &KeyView) -> Result<KeyId, Fault> {
        Ok(self.record(Some(&key.pubkey))?.id)
    }

    /// Adding to or removing from a damaged vault could hide what happened to it.
    fn check_intact(&self) -> Result<(), Fault> {
        let report = self.vault.integrity();
        if report.is_intact() {
            return Ok(());
        }
        Err(keep_vault::VaultError::Tampered(report.problems.join("; ")).into())
    }
}

/// The text form of NIP-19.
pub(crate) fn to_nsec(secret: &SecretKey32) -> Result<SecretText, Fault> {
    let secret = nostr::SecretKey::from_slice(secret.expose()).map_err(|_| bug("the secret is no key"))?;
    secret.to_bech32().map(SecretText::new).map_err(|_| bug("the secret has no text form"))
}

/// A request of the owner, of its own each time.
pub(crate) fn owner_request(key: KeyId, intent: Intent) -> Result<Request, Fault> {
    let id = RequestId::random().map_err(keep_vault::VaultError::from)?;
    Ok(Request { id, origin: Origin::Cli, key, intent, asked_at: now() })
}

/// An npub or 64 hexadecimal digits.
fn parse_public_key(text: &str) -> Option<PublicKey> {
    PublicKey::from_bech32(text).or_else(|_| PublicKey::from_hex(text)).ok()
}

pub(crate) fn bug(message: &str) -> Fault {
    Fault::new(ErrorCode::Bug, message)
}
