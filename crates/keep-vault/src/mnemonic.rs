//! Keys that follow from a mnemonic.

use keep_bitcoin::{BitcoinError, Mnemonic, Seed, derive};
use keep_types::{KeyId, SecretBytes, SecretKey32, SecretText};
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::VaultError;

/// By which rule a Nostr key follows from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(index_only)]
pub enum DerivationRule {
    /// BIP-85, application 128002': `m/83696968'/128002'/1'/account'`, counted from 1. The key says nothing about the seed.
    #[n(0)]
    #[default]
    Bip85,
    /// NIP-06: `m/44'/1237'/account'/0/0`, counted from 0.
    #[n(1)]
    Nip06,
}

/// How a key follows from its mnemonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Derivation {
    /// By which rule.
    #[n(0)]
    pub rule: DerivationRule,
    /// Which account of the rule.
    #[n(1)]
    pub account: u32,
}

impl Derivation {
    /// The first key by `rule`.
    pub const fn first(rule: DerivationRule) -> Self {
        let account = match rule {
            DerivationRule::Bip85 => 1,
            DerivationRule::Nip06 => 0,
        };
        Self { rule, account }
    }

    /// The path in the notation of BIP-32.
    pub fn path(&self) -> String {
        match self.rule {
            DerivationRule::Bip85 => format!("m/83696968'/128002'/1'/{}'", self.account),
            DerivationRule::Nip06 => format!("m/44'/1237'/{}'/0/0", self.account),
        }
    }

    /// The key at this place of the tree of `seed`.
    ///
    /// # Errors
    /// [`VaultError::Mnemonic`] when there is no such account.
    pub(crate) fn key(&self, seed: &Seed) -> Result<SecretKey32, VaultError> {
        let master = seed.master()?;
        Ok(match self.rule {
            DerivationRule::Bip85 => derive::bip85_nostr(&master, 1, self.account)?,
            DerivationRule::Nip06 => derive::nip06(&master, self.account)?,
        })
    }
}

/// The words of a mnemonic (BIP-39) and the passphrase that belongs to them, which most people do not have.
#[derive(Debug)]
pub struct MnemonicSecret {
    words: SecretText,
    passphrase: SecretText,
}

/// As it is stored: text, because the words of every language are words.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Stored<'a> {
    #[b(0)]
    words: &'a str,
    #[b(1)]
    passphrase: &'a str,
}

impl MnemonicSecret {
    /// A new mnemonic of 12 or 24 English words.
    ///
    /// # Errors
    /// [`VaultError::Mnemonic`] for another number of words; when the operating system gives no random bytes.
    pub fn generate(words: u8) -> Result<Self, VaultError> {
        let len = match words {
            12 => 16,
            24 => 32,
            _ => return Err(VaultError::Mnemonic("a new mnemonic has 12 or 24 words".into())),
        };
        let mut entropy = Zeroizing::new(vec![0; len]);
        getrandom::getrandom(&mut entropy)?;
        let mnemonic = Mnemonic::from_entropy(&SecretBytes::new(std::mem::take(&mut *entropy)))?;
        Ok(Self { words: mnemonic.words(), passphrase: SecretText::new(String::new()) })
    }

    /// A mnemonic that somebody has, in any language of BIP-39, with its passphrase (empty for none).
    ///
    /// # Errors
    /// [`VaultError::Mnemonic`], without any of the words.
    pub fn parse(words: &SecretText, passphrase: SecretText) -> Result<Self, VaultError> {
        let words = Mnemonic::parse(words)?.words();
        Ok(Self { words, passphrase })
    }

    /// The words.
    pub const fn words(&self) -> &SecretText {
        &self.words
    }

    /// The passphrase that belongs to them; empty for none.
    pub const fn passphrase(&self) -> &SecretText {
        &self.passphrase
    }

    /// The seed of the key tree.
    ///
    /// # Errors
    /// [`VaultError::Mnemonic`] when the stored words are none.
    pub fn seed(&self) -> Result<Seed, VaultError> {
        Ok(Mnemonic::parse(&self.words)?.seed(&self.passphrase))
    }

    /// Words and passphrase, in a line of their own where there is one.
    pub(crate) fn into_text(self) -> SecretText {
        if self.passphrase.expose().is_empty() {
            return self.words;
        }
        let mut text = String::with_capacity(self.words.expose().len() + 1 + self.passphrase.expose().len());
        text.push_str(self.words.expose());
        text.push('\n');
        text.push_str(self.passphrase.expose());
        SecretText::new(text)
    }

    pub(crate) fn to_secret(&self) -> Result<SecretBytes, VaultError> {
        let stored = Stored { words: self.words.expose(), passphrase: self.passphrase.expose() };
        // Has its final size from the start, so that growing leaves no copies behind.
        let room = stored.words.len() + stored.passphrase.len() + 16;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        minicbor::encode(&stored, &mut *bytes).map_err(|e| VaultError::Mnemonic(e.to_string()))?;
        Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
    }

    pub(crate) fn from_secret(secret: &SecretBytes) -> Result<Self, VaultError> {
        let stored: Stored<'_> = minicbor::decode(secret.expose())
            .map_err(|_| VaultError::Record { collection: "secrets", reason: "it is no mnemonic".into() })?;
        Ok(Self {
            words: SecretText::new(stored.words.to_owned()),
            passphrase: SecretText::new(stored.passphrase.to_owned()),
        })
    }
}

/// What the mnemonic of a key is found by.
pub(crate) fn natural_key(key: KeyId) -> [u8; 24] {
    let mut natural = [0; 24];
    natural[..8].copy_from_slice(b"mnemonic");
    natural[8..].copy_from_slice(key.as_bytes());
    natural
}

impl From<BitcoinError> for VaultError {
    fn from(error: BitcoinError) -> Self {
        Self::Mnemonic(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_passphrase_come_back() {
        let words = SecretText::from("abandon ".repeat(11) + "about");
        let secret = MnemonicSecret::parse(&words, SecretText::from("TREZOR".to_owned())).unwrap();
        let back = MnemonicSecret::from_secret(&secret.to_secret().unwrap()).unwrap();
        assert_eq!(back.words().expose().split(' ').count(), 12);
        assert_eq!(back.passphrase.expose(), "TREZOR");
    }

    #[test]
    fn new_mnemonics_have_12_or_24_words() {
        for words in [12, 24] {
            let made = MnemonicSecret::generate(words).unwrap();
            assert_eq!(made.words().expose().split(' ').count(), usize::from(words));
            made.seed().unwrap();
        }
        assert!(MnemonicSecret::generate(13).is_err());
    }

    /// The first test vector of NIP-06.
    #[test]
    fn nip06_gives_the_published_key() {
        let words = "leader monkey parrot ring guide accident before fence cannon height naive bean";
        let secret =
            MnemonicSecret::parse(&SecretText::from(words.to_owned()), SecretText::from(String::new()))
                .unwrap();
        let key = Derivation::first(DerivationRule::Nip06).key(&secret.seed().unwrap()).unwrap();
        let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "7f7ff03d123792d6ac594bfa67bf6d0c0ab55b6b1fdb6249303fe861f1ccba9a");
    }
}
