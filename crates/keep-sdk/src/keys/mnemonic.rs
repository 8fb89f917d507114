//! Keys that follow from a mnemonic.

use keep_types::{Answer, ErrorCode, Fault, Intent, Name, SecretText};
use keep_vault::{Derivation, DerivationRule, KeySource, MnemonicSecret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{bug, record};
use crate::KeyView;
use crate::call::{Call, Class, Host, secret};

/// How the Nostr key follows from a mnemonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyPath {
    /// NIP-06 (`m/44'/1237'/account'/0/0`) instead of BIP-85 (`m/83696968'/128002'/1'/account'`).
    pub nip06: bool,
    /// Which account of it; without one, the first.
    pub account: Option<u32>,
}

impl KeyPath {
    fn derivation(self) -> Derivation {
        let rule = if self.nip06 { DerivationRule::Nip06 } else { DerivationRule::Bip85 };
        let first = Derivation::first(rule);
        Derivation { account: self.account.unwrap_or(first.account), ..first }
    }
}

/// Makes a key from a new mnemonic.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GenerateMnemonic {
    pub name: Name,
    pub words: u8,
    pub path: KeyPath,
}

/// A new key with the words that it follows from.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct MnemonicKey {
    /// The key.
    pub key: KeyView,
    /// The words (BIP-39), to be written down.
    #[serde(with = "secret::text")]
    #[schemars(with = "String")]
    pub mnemonic: SecretText,
}

impl Call for GenerateMnemonic {
    const NAME: &'static str = "keys.generate_mnemonic";
    const CLASS: Class = Class::Use;
    type Reply = MnemonicKey;

    fn run(self, host: &Host) -> Result<MnemonicKey, Fault> {
        host.check_intact()?;
        let made = MnemonicSecret::generate(self.words)?;
        let derivation = self.path.derivation();
        let key = host.vault().add_mnemonic(self.name, &made, derivation, KeySource::Generated)?;
        let mnemonic = SecretText::new(made.words().expose().to_owned());
        Ok(MnemonicKey { key: KeyView::from(&key), mnemonic })
    }
}

/// Imports a mnemonic.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImportMnemonic {
    pub name: Name,
    #[serde(with = "secret::text")]
    pub words: SecretText,
    #[serde(with = "secret::text")]
    pub passphrase: SecretText,
    pub path: KeyPath,
}

impl Call for ImportMnemonic {
    const NAME: &'static str = "keys.import_mnemonic";
    const CLASS: Class = Class::Use;
    type Reply = KeyView;

    fn run(self, host: &Host) -> Result<KeyView, Fault> {
        host.check_intact()?;
        let mnemonic = MnemonicSecret::parse(&self.words, self.passphrase)?;
        let derivation = self.path.derivation();
        let key = host.vault().add_mnemonic(self.name, &mnemonic, derivation, KeySource::Imported);
        Ok(KeyView::from(&key.map_err(|error| crate::remote::name_holder(host, error))?))
    }
}

/// Hands out the words that a key follows from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportMnemonic {
    pub pubkey: String,
}

/// A mnemonic in clear.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct MnemonicView {
    /// The words (BIP-39).
    #[serde(with = "secret::text")]
    #[schemars(with = "String")]
    pub mnemonic: SecretText,
    /// The passphrase that belongs to them, if they were imported with one.
    #[serde(with = "secret::optional_text", default)]
    #[schemars(with = "Option<String>")]
    pub passphrase: Option<SecretText>,
    /// Where in the tree the Nostr key is (BIP-32).
    pub path: String,
}

impl Call for ExportMnemonic {
    const NAME: &'static str = "keys.export_mnemonic";
    const CLASS: Class = Class::Manage;
    type Reply = MnemonicView;

    fn run(self, host: &Host) -> Result<MnemonicView, Fault> {
        let key = record(host, Some(&self.pubkey))?;
        let derivation = key.derivation.ok_or_else(|| {
            Fault::new(ErrorCode::NotFound, "this key has no mnemonic: it was made or imported by itself")
                .with_hint("export it as nsec or with --ncryptsec")
        })?;
        match host.answer(key.id, Intent::ExportMnemonic)? {
            Answer::Plaintext(text) => {
                let (words, passphrase) = match text.expose().split_once('\n') {
                    Some((words, passphrase)) => (words, Some(SecretText::new(passphrase.to_owned()))),
                    None => (text.expose(), None),
                };
                let mnemonic = SecretText::new(words.to_owned());
                Ok(MnemonicView { mnemonic, passphrase, path: derivation.path() })
            }
            _ => Err(bug("an export gave something else than words")),
        }
    }
}

/// Gives a key another name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rename {
    pub pubkey: String,
    pub name: Name,
}

impl Call for Rename {
    const NAME: &'static str = "keys.rename";
    // The owner says by name which key is meant.
    const CLASS: Class = Class::Manage;
    type Reply = KeyView;

    fn run(self, host: &Host) -> Result<KeyView, Fault> {
        host.check_intact()?;
        let id = record(host, Some(&self.pubkey))?.id;
        Ok(KeyView::from(&host.vault().rename_key(id, self.name)?))
    }
}

/// Notes something about a key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    pub pubkey: String,
    pub note: Option<String>,
}

impl Call for Note {
    const NAME: &'static str = "keys.note";
    const CLASS: Class = Class::Use;
    type Reply = KeyView;

    fn run(self, host: &Host) -> Result<KeyView, Fault> {
        host.check_intact()?;
        let id = record(host, Some(&self.pubkey))?.id;
        Ok(KeyView::from(&host.vault().note_key(id, self.note)?))
    }
}
